"""Contract of writers."""

from __future__ import annotations

from ronchi.testing.advertised import AdvertisedContract

__all__ = ["WriterContract"]


class WriterContract(AdvertisedContract):
    """Contract of a writer."""

    kind = "writer"
    min_checks = 5
