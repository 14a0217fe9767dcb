"""What every disk detector promises."""

from __future__ import annotations

from ronchi.testing import DiskDetectorContract


class TestRadialGradient(DiskDetectorContract):
    algorithm = "radial-gradient"
    max_error_px = 0.3
