"""When this process first imported ronchi."""

from __future__ import annotations

import time

__all__ = ["IMPORTED_NS"]

IMPORTED_NS = time.time_ns()
"""When this process began, for what is here: code that is changed later may not be the code that is loaded."""
