"""Contract of descriptor learners."""

from __future__ import annotations

from ronchi.testing.advertised import AdvertisedContract

__all__ = ["DescriptorLearnerContract"]


class DescriptorLearnerContract(AdvertisedContract):
    """Contract of a descriptor learner."""

    kind = "descriptor_learner"
    min_checks = 5
