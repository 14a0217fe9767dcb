"""Scale bars: 1, 2 or 5 times a power of ten, exactly as long as their label says."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from matplotlib.transforms import ScaledTranslation, blended_transform_factory

from ronchi.plot.canvas import OUTLINE
from ronchi.plot.labels import length_text

__all__ = ["add_scale_bar", "nice_length"]

_MARGIN_IN = 0.07
_THICKNESS_IN = 0.045


def nice_length(span: float, fraction: float = 0.3) -> float:
    """Largest 1, 2 or 5 times a power of ten that is at most ``fraction`` of ``span``.

    >>> nice_length(240.0), nice_length(3.0)
    (50.0, 0.5)

    Raises
    ------
    ValueError
        ``span`` or ``fraction`` is not positive and finite.
    """
    target = span * fraction
    if not (np.isfinite(target) and target > 0):
        raise ValueError(f"a scale bar needs a positive span and fraction, got {span} and {fraction}")
    exponent = int(np.floor(np.log10(target)))
    # a target of 0.5 in the mathematical sense may be 0.49999… in floats
    digit = max((d for d in (1, 2, 5, 10) if d * 10.0**exponent <= target * (1 + 1e-9)), default=1)
    return digit * 10.0**exponent if exponent >= 0 else digit / 10.0**-exponent


def add_scale_bar(ax: Any, units: str, *, location: str = "lower left", vertical: bool | None = None) -> Any:
    """Draw a scale bar on axes whose limits are in ``units``.

    The bar is white with a dark edge outside its length, so that it can be read on
    any image and measured to the pixel.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        An image drawn with its extent in data units.
    units : {"angstrom", "1/angstrom", "pixel"}
        Units of the axes; ``"pixel"`` gives a label in px, never a guessed unit.
    location : {"lower left", "lower right"}
    vertical : bool, optional
        Along y; by default where the image is drawn more than three times as tall as wide.

    Returns
    -------
    matplotlib.patches.Rectangle
        The bar; its width (height if vertical) is the length in ``units``.

    Raises
    ------
    ValueError
        ``location`` is another one.
    """
    if location not in ("lower left", "lower right"):
        raise ValueError(f"location is {location!r}, allowed: lower left, lower right")
    width, height = (abs(high - low) for low, high in (ax.get_xlim(), ax.get_ylim()))
    if vertical is None:
        aspect = ax.get_aspect()
        vertical = height * (1.0 if aspect == "auto" else float(aspect)) > 3 * width
    span = height if vertical else width
    length = nice_length(span)
    if units == "pixel" and length < 1 <= span:
        length = 1.0

    right = location == "lower right"
    inches = ax.get_figure(root=True).dpi_scale_trans + ScaledTranslation(float(right), 0, ax.transAxes)
    side = -1 if right else 1
    outline = [withStroke(linewidth=2.0, foreground=OUTLINE)]
    style: dict[str, Any] = {
        "facecolor": "white",
        "edgecolor": "none",
        "path_effects": outline,
        "gid": "scale-bar",
        "zorder": 5,
    }
    text: dict[str, Any] = {"color": "white", "fontsize": "small", "path_effects": outline, "zorder": 5}
    label = length_text(length, units)
    across = _MARGIN_IN if side > 0 else -_MARGIN_IN - _THICKNESS_IN
    if vertical:
        bottom, top = ax.get_ylim()
        up = np.sign(top - bottom)
        start = bottom + up * 0.03 * height
        place = blended_transform_factory(inches, ax.transData)
        bar = Rectangle((across, start if up > 0 else start - length), _THICKNESS_IN, length, transform=place, **style)
        beside = across + _THICKNESS_IN + 0.03 if side > 0 else across - 0.03
        ax.text(
            beside,
            start + up * length / 2,
            label,
            transform=place,
            rotation=90,
            va="center",
            ha="left" if side > 0 else "right",
            **text,
        )
    else:
        left, end = ax.get_xlim()
        start = end - 0.03 * width - length if right else left + 0.03 * width
        place = blended_transform_factory(ax.transData, inches)
        bar = Rectangle((start, _MARGIN_IN), length, _THICKNESS_IN, transform=place, **style)
        ax.text(
            start + length / 2,
            _MARGIN_IN + _THICKNESS_IN + 0.02,
            label,
            transform=place,
            ha="center",
            va="bottom",
            **text,
        )
    return ax.add_patch(bar)
