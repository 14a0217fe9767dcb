"""What the compact detector sees of a pattern: maps in units that do not depend on dose, gain or size of the disks."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["N_VIEWS", "probe_radius_px", "views"]

N_VIEWS = 5
"""Pattern, correlation, edge correlation, differences of disks, distance from the middle."""
_LEAST = 1e-12
_SOFTENING = 0.03
"""Share of the probe's largest Fourier component below which the edge filter does not amplify."""
_RIM_SIGMAS_PX = (1.0, 2.5)
"""Of the two Gaussians whose difference shows rims."""
_TAPER = 0.4
"""Part of a side, from the brightest disk, where those cease that differences are made of: differences of disks at
opposite ends would come back in from the other side."""


def views(pattern: Tensor, probe: Tensor, multiple: int = 1) -> Tensor:
    """Stack the views of patterns.

    Parameters
    ----------
    pattern, probe : (n, qy, qx) float32 Tensor
        The probe is centred at N // 2; it may be one for all, (1, qy, qx).
    multiple : int
        Rows and columns are added behind the last until their numbers are multiples of this: the detector is dark
        there, and the distance goes on.

    Returns
    -------
    (n, N_VIEWS, rows, columns) float32 Tensor
        Square root of the pattern over its mean, which makes counting noise even (Anscombe, Biometrika 35, 246
        (1948)); square root of the correlation with the probe over its mean; correlation with the edges of the probe
        over its rms, a phase correlation softened where the probe has little; the autocorrelation of the rims laid on
        the brightest disk, which is high where the lattice has a node, seen or not; and the distance from the middle,
        in half sides.
    """
    pattern, probe = pattern.float().clamp_min(0), probe.float()
    axes, shape = (-2, -1), pattern.shape[-2:]
    spectrum = torch.fft.rfft2(pattern)
    template = torch.fft.rfft2(torch.fft.ifftshift(probe, axes)).conj()
    strength = template.abs()
    top = strength.amax(axes, keepdim=True).clamp_min(_LEAST)
    flat = torch.fft.irfft2(spectrum * template, s=shape).clamp_min(0)
    edges = torch.fft.irfft2(spectrum * (template / (strength + _SOFTENING * top)), s=shape)
    edges = edges - edges.mean(axes, keepdim=True)
    margin = (0, -shape[1] % multiple, 0, -shape[0] % multiple)
    root = (pattern / pattern.mean(axes, keepdim=True).clamp_min(_LEAST)).sqrt()
    seen = [
        root,
        (flat / flat.mean(axes, keepdim=True).clamp_min(_LEAST)).sqrt(),
        _compressed(edges),
        _compressed(_differences(root, flat)),
    ]
    away = _distance(shape, margin, pattern.device).expand(pattern.shape[0], -1, -1)
    return torch.stack([*(functional.pad(view, margin) for view in seen), away], 1)


def probe_radius_px(probe: Tensor) -> Tensor:
    """Radius (n,) of the uniform disk with the second moment of probes (n, qy, qx) that are centred at N // 2.

    It needs no edge, so that a disk of two pixels and a bullseye have one too.
    """
    rows, columns = (torch.arange(side, device=probe.device) - side // 2 for side in probe.shape[-2:])
    weight = probe.float().clamp_min(0)
    squared = (rows[:, None] ** 2 + columns[None] ** 2).float()
    return (2 * (weight * squared).sum((-2, -1)) / weight.sum((-2, -1)).clamp_min(_LEAST)).sqrt()


def _differences(root: Tensor, flat: Tensor) -> Tensor:
    """Autocorrelation of the rims in patterns (n, qy, qx), its zero at the highest point of ``flat``.

    Disks are of one size, so that their rims come to lie on one another at the differences of their places alone,
    however much they overlap.
    """
    height, width = root.shape[-2:]
    y, x = (place[:, None] for place in (flat.flatten(1).argmax(1) // width, flat.flatten(1).argmax(1) % width))
    # As `torch.fft.fftfreq` and `rfftfreq` have it, which ONNX does not know.
    rows = torch.arange(height, device=root.device)
    rows = torch.where(rows < (height + 1) // 2, rows, rows - height) * (1 / height)
    columns = torch.arange(width // 2 + 1, device=root.device) * (1 / width)
    squared = 2 * torch.pi**2 * (rows[:, None].square() + columns.square())
    narrow, wide = (torch.exp(-(sigma**2) * squared) for sigma in _RIM_SIGMAS_PX)
    rims = torch.fft.irfft2(torch.fft.rfft2(root) * (narrow - wide), s=(height, width))
    tapered = rims * _taper(y, height)[:, :, None] * _taper(x, width)[:, None, :]
    power = torch.fft.rfft2(tapered).abs().square()
    turn = 2 * torch.pi * ((rows * y)[:, :, None] + (columns * x)[:, None, :])
    return torch.fft.irfft2(torch.complex(power * turn.cos(), -power * turn.sin()), s=(height, width))


def _taper(middle: Tensor, side: int) -> Tensor:
    """Squared cosine (n, side) around pixels (n, 1)."""
    away = (torch.arange(side, device=middle.device) - middle).abs() / (_TAPER * side)
    return torch.cos(0.5 * torch.pi * away.clamp_max(1)).square()


def _compressed(values: Tensor) -> Tensor:
    """Square root of values over their rms, with the sign kept: a bright direct beam does not drown the rest."""
    relative = values / values.square().mean((-2, -1), keepdim=True).sqrt().clamp_min(_LEAST)
    return relative.sign() * relative.abs().sqrt()


def _distance(shape: torch.Size, margin: tuple[int, int, int, int], device: torch.device) -> Tensor:
    """Distance of all pixels and of the margin from the middle, in half sides along each axis."""
    rows, columns = (
        (torch.arange(side + more, device=device) - side // 2) / (side / 2)
        for side, more in zip(shape, (margin[3], margin[1]), strict=True)
    )
    return (rows[:, None] ** 2 + columns[None] ** 2).sqrt()
