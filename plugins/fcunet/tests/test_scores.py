"""Scores by which a training is judged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from ronchi_fcunet.compact import CompactDetector
from ronchi_fcunet.library_samples import LibrarySamples
from ronchi_fcunet.maps import DiskMaps
from ronchi_fcunet.samples import batches
from ronchi_fcunet.scores import Tally, judge
from ronchi_fcunet.targets import make_targets


def test_patterns_without_disks_have_no_accuracy() -> None:
    assert np.isnan(Tally(loss=[1.0]).figures()["accuracy"])


class Perfect(CompactDetector):
    """Says what it was told."""

    def __init__(self, points: torch.Tensor) -> None:
        super().__init__((4, 8), attention=0)
        self.points = points

    def forward(self, pattern: torch.Tensor, probe: torch.Tensor) -> DiskMaps:
        targets = make_targets(self.points, torch.ones(pattern.shape, dtype=torch.bool))
        return DiskMaps(
            logit=torch.where(targets.present, 9.0, -9.0),
            offset_px=targets.offset_px,
            log_sigma=torch.full_like(targets.offset_px, -2.0),
            correlation=torch.zeros_like(targets.amplitude),
            amplitude=targets.amplitude,
            lit_logit=torch.full_like(targets.amplitude, 30.0),
        )


def test_a_network_that_finds_the_direct_beam_alone_scores_nothing(small_library: Path, plain: Any) -> None:
    samples = LibrarySamples(small_library, "train")
    (batch,) = batches(samples, plain, size=4, seed=0, numbers=range(1))
    beam = torch.cat([torch.arange(4.0)[:, None], batch.centre_px, torch.ones(4, 2)], 1)
    for points, least, most in ((beam, 0.0, 0.0), (batch.points, 0.95, 1.0)):
        tally = Tally()
        judge(Perfect(points), batch, tally, 0.5, half=False)
        assert least <= tally.figures()["accuracy"] <= most
