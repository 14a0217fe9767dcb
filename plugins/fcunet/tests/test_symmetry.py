"""What is mirrored there and back is where it was."""

from __future__ import annotations

import pytest
import torch

from ronchi_fcunet.compact import CompactDetector
from ronchi_fcunet.decode import peaks_of_maps
from ronchi_fcunet.maps import DiskMaps
from ronchi_fcunet.symmetry import mean_maps
from ronchi_fcunet.targets import make_targets


class Seeing(CompactDetector):
    """Finds the brightest pixels, each off by a known part of a pixel to the lower right, and checks the probe."""

    def __init__(self) -> None:
        super().__init__((4, 8), attention=0)
        self.shapes: list[tuple[int, ...]] = []

    def forward(self, pattern: torch.Tensor, probe: torch.Tensor) -> DiskMaps:
        self.shapes.append(tuple(pattern.shape))
        middle = (probe[0] == probe.max()).nonzero()[0].tolist()
        assert middle == [probe.shape[-2] // 2, probe.shape[-1] // 2]
        found = (pattern > 0).nonzero().float()
        points = torch.cat([found, torch.full((len(found), 1), 0.5), torch.ones(len(found), 1)], 1)
        targets = make_targets(points, torch.ones(pattern.shape, dtype=torch.bool))
        correlation = 0.5 * torch.ones_like(targets.amplitude)
        log_sigma = torch.zeros_like(targets.offset_px)
        log_sigma[:, 1] = -1.0
        logit = torch.where(targets.present, 6.0, -9.0)
        return DiskMaps(logit, targets.offset_px, log_sigma, correlation, targets.amplitude, 0 * logit + 30)


@pytest.mark.parametrize(("shape", "n"), [((20, 26), 8), ((21, 26), 4), ((20, 27), 4), ((21, 27), 2)])
def test_all_mirror_images_agree_on_the_places(shape: tuple[int, int], n: int) -> None:
    pattern, probe = torch.zeros(2, *shape), torch.zeros(1, *shape)
    places = [(0, 3, 5), (0, 12, 20), (1, 19, 6), (1, 8, 25)]
    for place in places:
        pattern[place] = 1.0
    probe[0, shape[0] // 2, shape[1] // 2] = 1.0
    network = Seeing()
    found = peaks_of_maps(mean_maps(network, pattern, probe, 8), shape, 0.5, 10)
    assert len(network.shapes) == n
    assert sorted(set(network.shapes)) == sorted({(2, *shape), (2, *shape[::-1])})
    assert found.counts.tolist() == [2, 2]
    assert sorted(zip(found.qy_px.round(4), found.qx_px.round(4), strict=True)) == sorted(p[1:] for p in places)


def test_errors_are_mirrored_too() -> None:
    pattern, probe = torch.zeros(1, 20, 20), torch.zeros(1, 20, 20)
    pattern[0, 4, 7] = probe[0, 10, 10] = 1.0
    once = mean_maps(Seeing(), pattern, probe, 1)
    assert (once.correlation == 0.5).all()
    # Two flips leave a correlation as it is, one turns its sign; exchanged axes exchange the errors.
    both, four, eight = (mean_maps(Seeing(), pattern, probe, n) for n in (2, 4, 8))
    assert (both.correlation == 0.5).all()
    assert (four.correlation == 0).all()
    assert torch.allclose(four.log_sigma[:, 0], torch.tensor(0.0))
    assert torch.allclose(eight.log_sigma, torch.tensor(-0.5))
