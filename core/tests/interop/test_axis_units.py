"""Spellings of units."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ronchi.interop.axis_units import parse

LENGTHS = {
    "nm": 10,
    "n_m": 10,
    "[n_m]": 10,
    "nanometer": 10,
    "µm": 1e4,
    "μm": 1e4,
    "um": 1e4,
    "microns": 1e4,
    "m": 1e10,
    "meters": 1e10,
    "cm": 1e8,
    "mm": 1e7,
    "pm": 0.01,
    "A": 1,
    "\u00c5": 1,
    "\u212b": 1,
    "A\u030a": 1,
    "angstrom": 1,
    "Angstroms": 1,
    b"nm": 10,
}
RECIPROCALS = {
    "1/A\u030a": 1,
    "nm\u22121": 0.1,
    "A^\u22121": 1,
    "1/nm": 0.1,
    "1 / nm": 0.1,
    "nm^-1": 0.1,
    "nm-1": 0.1,
    "nm**-1": 0.1,
    "nm⁻¹": 0.1,
    "[n_m^-1]": 0.1,
    "1 / nanometer": 0.1,
    "$nm^{-1}$": 0.1,
    "$A^{-1}$": 1,
    "$\\mathrm{A}^{-1}$": 1,
    "A^-1": 1,
    "1 / A": 1,
    "1 / Å": 1,
    r"$\AA^{-1}$": 1,
    "1/angstrom": 1,
    "1/m": 1e-10,
    "1/µm": 1e-4,
    "reciprocal_nm": 0.1,
}
ANGLES = {"rad": 1, "Angle": 1, "mrad": 1e-3, "mrads": 1e-3, "milliradian": 1e-3, "deg": 0.0174532925}
NOTHING = ["", None, "<undefined>", "Traits Undefined", "px", "pixel", "1", "dimensionless"]
UNKNOWN = ["?/m", "keV", "s", "colour_index", "counts", "val"]


@pytest.mark.parametrize(("text", "factor"), LENGTHS.items())
def test_lengths(text: object, factor: float):
    unit = parse(text)
    assert (unit.dimension, unit.factor) == ("length", pytest.approx(factor, rel=1e-12))


@pytest.mark.parametrize(("text", "factor"), RECIPROCALS.items())
def test_reciprocal_lengths(text: str, factor: float):
    unit = parse(text)
    assert (unit.dimension, unit.factor) == ("reciprocal", pytest.approx(factor, rel=1e-12))


@pytest.mark.parametrize(("text", "factor"), ANGLES.items())
def test_angles(text: str, factor: float):
    unit = parse(text)
    assert (unit.dimension, unit.factor) == ("angle", pytest.approx(factor, rel=1e-8))


@pytest.mark.parametrize("text", NOTHING)
def test_no_unit(text: object):
    assert parse(text).dimension == "none"


@pytest.mark.parametrize("text", UNKNOWN)
def test_what_is_not_understood_is_not_guessed(text: str):
    assert parse(text).dimension == "unknown"


@given(st.text(max_size=12))
def test_any_text_is_taken(text: str):
    assert parse(text).factor > 0


@given(st.sampled_from(["nm", "pm", "um", "m", "A"]))
def test_one_over_a_length_is_its_reciprocal(length: str):
    for spelling in (f"1/{length}", f"{length}^-1", f" ${length}^{{-1}}$ "):
        assert parse(spelling).factor == pytest.approx(1 / parse(length).factor, rel=1e-12)
