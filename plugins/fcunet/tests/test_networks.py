"""Layers and networks against their equations."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ronchi_fcunet.compact import CompactDetector
from ronchi_fcunet.compact_layers import Attention
from ronchi_fcunet.complex_layers import ComplexBatchNorm2d, ComplexConv2d, as_complex, as_real, concatenate
from ronchi_fcunet.correlation import correlated
from ronchi_fcunet.spectral import SpectralPool2d
from ronchi_fcunet.unet import FourierUNet
from ronchi_fcunet.views import N_VIEWS, probe_radius_px, views


def _complex(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.complex64, generator=torch.Generator().manual_seed(seed))


def test_complex_convolution_is_complex_linear() -> None:
    torch.manual_seed(0)
    layer = ComplexConv2d(2, 3)
    torch.nn.init.zeros_(layer.bias)
    maps, factor = _complex(1, 2, 8, 6), complex(0.3, -1.7)
    turned = as_complex(layer(as_real(maps * factor)))
    torch.testing.assert_close(turned, factor * as_complex(layer(as_real(maps))), atol=1e-5, rtol=1e-5)


def test_complex_convolution_is_equation_2() -> None:
    torch.manual_seed(0)
    layer = ComplexConv2d(1, 1)
    maps = _complex(1, 1, 5, 7)
    kernel = torch.complex(layer.real, layer.imaginary).detach()[0, 0]
    expected = sum(
        kernel[1 + dy, 1 + dx] * torch.roll(maps[0, 0], (-dy, -dx), (0, 1)) for dy in (-1, 0, 1) for dx in (-1, 0, 1)
    )
    torch.testing.assert_close(as_complex(layer(as_real(maps)))[0, 0], expected, atol=1e-5, rtol=1e-5)


def test_complex_normalisation_whitens_both_parts_together() -> None:
    maps = _complex(8, 2, 16, 16)
    skewed = torch.complex(3 * maps.real + 1, 2 * maps.real + 0.5 * maps.imag - 4)
    made = as_complex(ComplexBatchNorm2d(2).train()(as_real(skewed)))
    assert made.mean((0, 2, 3)).abs().max() < 1e-4
    assert abs(made.real.square().mean() - 0.5) < 2e-3
    assert abs(made.imag.square().mean() - 0.5) < 2e-3
    assert abs((made.real * made.imag).mean()) < 2e-3


def test_complex_normalisation_of_one_batch_is_the_same_later() -> None:
    layer, maps = ComplexBatchNorm2d(2), as_real(_complex(8, 2, 16, 16))
    for _ in range(200):
        trained = layer.train()(maps)
    torch.testing.assert_close(layer.eval()(maps), trained, atol=1e-4, rtol=1e-4)


def test_complex_normalisation_is_as_exact_in_half_precision() -> None:
    maps = as_real(_complex(4, 2, 16, 16)) + 20  # twenty spreads from zero
    with torch.autocast("cpu", torch.bfloat16):
        made = ComplexBatchNorm2d(2).train()(maps)
    torch.testing.assert_close(made, ComplexBatchNorm2d(2).train()(maps), atol=1e-4, rtol=1e-4)


def test_concatenation_keeps_real_parts_with_real_parts() -> None:
    first, second = _complex(1, 2, 3, 3), _complex(1, 1, 3, 3, seed=1)
    joined = as_complex(concatenate(as_real(first), as_real(second)))
    torch.testing.assert_close(joined, torch.cat([first, second], 1))


@pytest.mark.parametrize("size", [8, 9, 10])
def test_spectral_pooling_keeps_what_is_band_limited(size: int) -> None:
    y = torch.arange(size) / size
    x = torch.arange(12) / 12
    wave = 2 + torch.cos(2 * torch.pi * (y[:, None] + 2 * x[None]))
    small = SpectralPool2d()(wave[None, None])[0, 0]
    rows, columns = torch.arange((size + 1) // 2) / ((size + 1) // 2), torch.arange(6) / 6
    expected = 2 + torch.cos(2 * torch.pi * (rows[:, None] + 2 * columns[None]))
    torch.testing.assert_close(small, expected, atol=1e-5, rtol=1e-5)
    doubled = as_complex(SpectralPool2d()(as_real(torch.complex(wave, -wave)[None, None])))[0, 0]
    torch.testing.assert_close(doubled, torch.complex(expected, -expected), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("shape", [(32, 32), (33, 30)])
def test_correlation_has_its_maximum_where_the_disk_is(shape: tuple[int, int]) -> None:
    rows, columns = (torch.arange(side) - side // 2 for side in shape)
    probe = (torch.hypot(rows[:, None].float(), columns[None].float()) < 4).float()
    found = correlated(torch.roll(probe, (5, -7), (0, 1))[None], probe[None])[0, 0]
    assert divmod(int(found.argmax()), shape[1]) == (shape[0] // 2 + 5, shape[1] // 2 - 7)


@pytest.mark.parametrize("variant", ["unet", "spectral-unet", "fcunet"])
@pytest.mark.parametrize("shape", [(32, 32), (34, 27)])
def test_networks_take_any_size_and_learn(variant: str, shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    network = FourierUNet(variant, filters=2, depth=1, levels=2)  # type: ignore[arg-type]
    pattern, probe = torch.rand(2, *shape), torch.rand(1, *shape)
    made = network(pattern, probe)
    assert made.shape == (2, *shape)
    made.square().mean().backward()
    assert all(p.grad is not None and bool(torch.isfinite(p.grad).all()) for p in network.parameters())


def test_the_papers_network_has_true_complex_skips() -> None:
    """Turning the phase of the input by a constant turns that of every linear part with it."""
    torch.manual_seed(0)
    network = FourierUNet("fcunet", filters=2, depth=1, dropout=0.0, levels=2)
    block = network.up[0][0]
    maps = _complex(1, 6, 8, 8)
    torch.nn.init.zeros_(block.bias)
    turned = as_complex(block(as_real(1j * maps)))
    torch.testing.assert_close(turned, 1j * as_complex(block(as_real(maps))), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("shape", [(64, 64), (61, 50)])
def test_compact_detector_takes_any_size(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    maps = CompactDetector((8, 16, 32), attention=1).eval()(torch.rand(2, *shape), torch.rand(1, *shape))
    assert maps.logit.shape == (2, -(-shape[0] // 2), -(-shape[1] // 2))
    assert maps.offset_px.shape == (2, 2, *maps.logit.shape[1:])


@pytest.mark.parametrize("channels", [12, 70, 100, 128])
def test_any_number_of_channels_is_shared_by_the_heads_of_attention(channels: int) -> None:
    torch.manual_seed(0)
    layer, maps = Attention(channels), torch.randn(1, channels, 3, 4)
    assert layer.heads == {12: 1, 70: 2, 100: 2, 128: 4}[channels]
    assert layer(maps).shape == maps.shape


@pytest.mark.parametrize("kind", ["compact", "unet", "spectral-unet", "fcunet"])
def test_half_precision_changes_little(kind: str) -> None:
    torch.manual_seed(0)
    made = CompactDetector((8, 16), attention=1) if kind == "compact" else FourierUNet(kind, 4, 2, 0.0, 2)  # type: ignore[arg-type]
    network, pattern, probe = made.eval(), torch.rand(2, 40, 36), torch.rand(1, 40, 36)
    with torch.no_grad():
        whole = network(pattern, probe)
        with torch.autocast("cpu", torch.bfloat16):
            half = network(pattern, probe)
    said = [[x] if isinstance(x, torch.Tensor) else [x.logit, x.offset_px] for x in (whole, half)]
    for one, other in zip(*said, strict=True):
        assert float((one - other).square().mean()) < 0.03**2 * float(one.var())
        assert kind != "compact" or other.dtype == torch.float32


def test_compact_detector_does_not_see_gain_or_dose() -> None:
    torch.manual_seed(0)
    network = CompactDetector((8, 16), attention=1).eval()
    pattern, probe = torch.rand(1, 48, 48), torch.rand(1, 48, 48)
    one, other = network(pattern, probe), network(400 * pattern, 7 * probe)
    torch.testing.assert_close(one.logit, other.logit, atol=1e-4, rtol=1e-4)


def test_compact_detector_has_fewer_than_two_million_weights() -> None:
    assert sum(p.numel() for p in CompactDetector().parameters()) <= 2_000_000


@pytest.mark.parametrize("radius", [2.0, 5.0, 15.0])
def test_the_radius_of_a_probe_is_measured(radius: float) -> None:
    y, x = torch.arange(128) - 64, torch.arange(96) - 48
    rho = torch.hypot(y[:, None].float(), x[None].float())
    disk = torch.sigmoid((radius - rho) / 0.3)
    # The soft edge adds (pi a)^2 to the square, Fermi-Dirac integral of the second moment.
    assert float(probe_radius_px(disk[None])) == pytest.approx((radius**2 + (torch.pi * 0.3) ** 2) ** 0.5, rel=0.06)


def test_the_distance_goes_on_where_a_frame_is_filled_up() -> None:
    made = views(torch.rand(1, 20, 26), torch.rand(1, 20, 26), 16)
    assert made.shape == (1, N_VIEWS, 32, 32)
    assert bool((made[0, :-1, 20:] == 0).all())
    distance = made[0, -1]
    torch.testing.assert_close(distance[10], ((torch.arange(32) - 13) / 13).abs())
    torch.testing.assert_close(distance[:, 13], ((torch.arange(32) - 10) / 10).abs())


@pytest.mark.parametrize("radius", [4.0, 9.0])
def test_differences_of_disks_show_where_the_lattice_has_nodes(radius: float) -> None:
    """Disks at some nodes of a lattice, the larger ones overlapping: these stand out, and one that is not lit."""
    side, a, b = 96, np.array([2.0, 15.0]), np.array([14.0, -3.0])
    y, x = np.mgrid[:side, :side]
    lit = [(0, 0), (1, 0), (0, 1), (-1, 1), (-1, 0), (1, -1), (2, -1)]
    beam = np.array([45.0, 51.0])
    pattern = np.ones((side, side))
    for n, (h, k) in enumerate(lit):
        centre = beam + h * a + k * b
        pattern += (100 if n == 0 else 20) * (np.hypot(y - centre[0], x - centre[1]) < radius)
    noisy = np.random.default_rng(0).poisson(pattern).astype(np.float32)
    probe = (np.hypot(y - side // 2, x - side // 2) < radius).astype(np.float32)
    nodes = views(torch.from_numpy(noisy)[None], torch.from_numpy(probe)[None])[0, 3].numpy()
    for h, k in [*lit, (-2, 1)]:
        row, column = np.rint(beam + h * a + k * b).astype(int)
        assert nodes[row - 1 : row + 2, column - 1 : column + 2].max() > np.quantile(nodes, 0.95), (h, k)
