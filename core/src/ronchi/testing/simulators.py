"""Contract of simulators."""

from __future__ import annotations

from ronchi.testing.advertised import AdvertisedContract

__all__ = ["SimulatorContract"]


class SimulatorContract(AdvertisedContract):
    """Contract of a simulator."""

    kind = "simulator"
    min_checks = 5
