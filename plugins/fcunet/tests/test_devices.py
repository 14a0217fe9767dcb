"""Nothing that runs on a GPU is made on the processor.

Tensors of the device "meta" have shapes and no values, and torch refuses to mix them with others, as it does those of a
GPU: what is made without its device is found where there is no GPU.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.symbolic_shapes import ShapeEnv

from ronchi_fcunet import decode
from ronchi_fcunet.compact import CompactDetector
from ronchi_fcunet.losses import disk_loss
from ronchi_fcunet.maps import DiskMaps
from ronchi_fcunet.symmetry import mean_maps
from ronchi_fcunet.targets import Targets
from ronchi_fcunet.unet import FourierUNet
from ronchi_fcunet.views import probe_radius_px

META = torch.device("meta")
NETWORKS: dict[str, Callable[[], torch.nn.Module]] = {
    "compact": lambda: CompactDetector((4, 8, 8), 1, 1, (4, 8)),
    "unet": lambda: FourierUNet("unet", 2, 1, 0.1, 2),
    "spectral-unet": lambda: FourierUNet("spectral-unet", 2, 1, 0.1, 2),
    "fcunet": lambda: FourierUNet("fcunet", 2, 1, 0.1, 2),
}


@pytest.fixture(autouse=True)
def without_autocast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a device without values no precision can be chosen."""
    monkeypatch.setattr(torch, "autocast", lambda *args, **options: contextlib.nullcontext())


def _maps(*shape: int) -> DiskMaps:
    made = {f.name: torch.zeros(shape, device=META) for f in fields(DiskMaps)}
    two = torch.zeros(shape[0], 2, *shape[1:], device=META)
    return DiskMaps(**{**made, "offset_px": two, "log_sigma": two})


@pytest.mark.parametrize("shape", [(48, 40), (45, 50)])
@pytest.mark.parametrize("kind", list(NETWORKS))
def test_networks_compute_where_their_patterns_are(kind: str, shape: tuple[int, int]) -> None:
    network = NETWORKS[kind]().to(META)
    patterns, probe = torch.zeros(2, *shape, device=META), torch.zeros(1, *shape, device=META)
    said = network.train()(patterns, probe)
    made = [getattr(maps, f.name) for maps in said for f in fields(maps)] if kind == "compact" else [said]
    torch.stack([each.square().mean() for each in made]).sum().backward()
    assert all(p.grad is not None and p.grad.device == META for p in network.parameters())
    with torch.inference_mode():
        if isinstance(network.eval(), CompactDetector):
            said = mean_maps(network, patterns, probe, 8)
            assert {getattr(said, f.name).device for f in fields(said)} == {META}
        else:
            assert network(patterns, probe).device == META
    assert probe_radius_px(probe).device == META


def _around_unknown_numbers(work: Callable[[], Any]) -> Any:
    """What depends on values, such as how many disks there are, has sizes that are not known."""
    with FakeTensorMode(allow_non_fake_inputs=True, shape_env=ShapeEnv()):
        return work()


def test_losses_are_made_where_the_maps_are() -> None:
    def loss() -> torch.Tensor:
        asked = {f.name: torch.zeros(2, 20, 16, dtype=torch.bool, device=META) for f in fields(Targets)}
        numbers = {
            "offset_px": torch.zeros(2, 2, 20, 16, device=META), "amplitude": torch.zeros(2, 20, 16, device=META),
        }  # fmt: skip
        return disk_loss(_maps(2, 20, 16), Targets(**{**asked, **numbers}))[0]

    assert _around_unknown_numbers(loss).device == META


@pytest.mark.parametrize("kind", ["maps", "image"])
def test_peaks_are_found_where_the_maps_are(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def parts(*given: Any) -> list[torch.Tensor]:
        flat = [each for value in given for each in (value if isinstance(value, tuple) else (value,))]
        return [each for each in flat if isinstance(each, torch.Tensor)]

    # There they leave the device.
    monkeypatch.setattr(decode, "_batch", parts)

    def found() -> Any:
        if kind == "maps":
            return decode.peaks_of_maps(_maps(2, 20, 16), (40, 32), 0.5, 9, min_relative=0.1)
        images, known = torch.zeros(2, 40, 32, device=META), torch.zeros(2)
        return decode.peaks_of_image(images, torch.zeros(2, 2), known, 0.1, 9, 1.0)

    devices = [each.device for each in _around_unknown_numbers(found)]
    assert len(devices) == 8
    assert set(devices) == {META}
