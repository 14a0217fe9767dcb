"""Words on a figure: units, lengths and titles of the form ``quantity [unit]``."""

from __future__ import annotations

import re

__all__ = ["length_text", "literal", "titled", "unit_text"]

_UNIT_TEXT = {
    "1": "",
    "angstrom": "Å",
    "1/angstrom": "Å⁻¹",
    "(1/angstrom)^2": "Å⁻²",
    "1/angstrom^2": "Å⁻²",
    "angstrom^2": "Å²",
    "1/pixel": "px⁻¹",
    "pixel": "px",
    "pixel^2": "px²",
    "(pixel)^2": "px²",
    "deg": "°",
}
_LENGTH = re.compile(r"(?<=\d )(1/)?angstrom\b")
_ANGSTROM_STEPS = ((1e4, "µm"), (10.0, "nm"))


def unit_text(units: str) -> str:
    """A unit as it is written on a figure; an unknown one stays as it is, but for its symbols.

    >>> unit_text("1/angstrom")
    'Å⁻¹'
    """
    known = _UNIT_TEXT.get(units)
    return units.replace("angstrom", "Å").replace("pixel", "px").replace("^2", "²") if known is None else known


def literal(text: str) -> str:
    """Text that a figure shows as it is: a dollar sign would begin a formula."""
    return text.replace("$", r"\$")


def titled(quantity: str, units: str, scaling: str = "") -> str:
    """``quantity [unit], scaling``; empty parts are left out, and lengths within the quantity get their symbols.

    >>> titled("Mean pattern", "counts", "log scale")
    'Mean pattern [counts], log scale'
    >>> titled("disk of radius 0.3 1/angstrom", "counts")
    'disk of radius 0.3 Å⁻¹ [counts]'
    """
    text = unit_text(units)
    quantity = _LENGTH.sub(lambda found: unit_text(found[0]), quantity)
    return quantity + (f" [{text}]" if text else "") + (f", {scaling}" if scaling else "")


def length_text(length: float, units: str) -> str:
    """A length with its unit, in the prefix that keeps the number short.

    >>> length_text(50.0, "angstrom"), length_text(20.0, "pixel")
    ('5 nm', '20 px')
    """
    if units == "angstrom":
        for size, name in _ANGSTROM_STEPS:
            if length >= size * (1 - 1e-9):
                return f"{length / size:g} {name}"
    return f"{length:g} {unit_text(units)}".rstrip()
