"""Pixel sizes in 1/angstrom from angles and lengths."""

from __future__ import annotations

import pytest

from ronchi.interop.axis_units import parse
from ronchi_rosettasciio.units import q_step


def test_an_angle_needs_the_energy():
    assert q_step(1.0, parse("mrad"), 200e3, None)[0] == pytest.approx(1e-3 / 0.025079, rel=1e-4)
    step, why = q_step(1.0, parse("mrad"), None, 0.2)
    assert step is None
    assert "beam energy" in why


def test_a_length_on_the_detector_needs_energy_and_camera_length():
    # 55 um at 0.5 m are 0.11 mrad.
    assert q_step(55, parse("um"), 300e3, 0.5)[0] == pytest.approx(0.11e-3 / 0.019687, rel=1e-4)
    for energy, length, missing in ((None, 0.5, "beam energy"), (3e5, None, "camera length")):
        step, why = q_step(55, parse("um"), energy, length)
        assert step is None
        assert missing in why
