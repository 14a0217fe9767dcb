"""Contract of metrics."""

from __future__ import annotations

from ronchi.testing.advertised import AdvertisedContract

__all__ = ["MetricContract"]


class MetricContract(AdvertisedContract):
    """Contract of a metric."""

    kind = "metric"
    min_checks = 5
