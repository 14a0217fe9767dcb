"""What a GPU finds is what the processor finds, to the tolerance that the README states."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ronchi.api import Context, Geometry, PeakBatch
from ronchi.schema import fourd
from ronchi.testing.data import disk_patterns
from ronchi_fcunet.detector import Fcunet
from ronchi_fcunet.params import FcunetParams

POSITION_PX, LOG_ODDS = 0.02, 0.1

DEVICES = [
    ("cpu", 5),  # batches of another size, whose sums have another order: the test itself is tested everywhere
    pytest.param("cuda", None, marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")),
]


def found(device: str, **params: Any) -> PeakBatch:
    data = disk_patterns().data
    detector = Fcunet(FcunetParams(**params))
    shape, radius = data["intensity"].shape, 4.0
    y, x = np.indices(shape[2:]) - np.array(fourd.centre_px(data))[:, None, None]
    probe = 1 / (1 + np.exp(np.clip((np.hypot(y, x) - radius) / 0.3, -40, 40)))
    geometry = Geometry(shape=shape[2:], centre_px=fourd.centre_px(data))
    detector.prepare(geometry, probe, Context(rng=np.random.default_rng(0), device=device))
    return detector.detect(data["intensity"].values.reshape(-1, *shape[2:]))


def places(peaks: PeakBatch) -> NDArray[np.float64]:
    """(n, 3) places of peaks, those of different patterns far apart."""
    pattern = np.repeat(np.arange(len(peaks.counts)), peaks.counts)
    return np.stack([1e4 * pattern, peaks.qy_px, peaks.qx_px], 1)


@pytest.mark.parametrize("refine", ["likelihood", "none"])
@pytest.mark.parametrize(("device", "batch"), DEVICES)
def test_all_devices_find_the_same_disks(device: str, batch: int | None, refine: str) -> None:
    here, there = found("cpu", refine=refine, batch=1), found(device, refine=refine, batch=batch)
    distance, row = cKDTree(places(there)).query(places(here))
    sure = here.score > LOG_ODDS  # what is on the threshold may be on either side of it
    assert sure.sum() > 50
    assert (distance[sure] < POSITION_PX).all()
    np.testing.assert_allclose(there.score[row[sure]], here.score[sure], atol=LOG_ODDS)
    assert abs(len(there.score) - len(here.score)) <= (~sure).sum() + 1
