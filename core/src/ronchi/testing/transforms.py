"""Contract of transforms."""

from __future__ import annotations

from ronchi.testing.advertised import AdvertisedContract

__all__ = ["TransformContract"]


class TransformContract(AdvertisedContract):
    """Contract of a transform."""

    kind = "transform"
    min_checks = 5
