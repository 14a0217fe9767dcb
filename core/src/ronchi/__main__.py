"""``python -m ronchi``."""

from __future__ import annotations

import sys

from ronchi.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
