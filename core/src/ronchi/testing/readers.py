"""Contract of readers."""

from __future__ import annotations

from ronchi.testing.advertised import AdvertisedContract

__all__ = ["ReaderContract"]


class ReaderContract(AdvertisedContract):
    """Contract of a reader."""

    kind = "reader"
    min_checks = 5
