"""Pixel sizes in 1/angstrom from angles and lengths; sizes that cannot be true."""

from __future__ import annotations

import pytest

from ronchi.interop.axis_units import parse
from ronchi_rosettasciio.units import implausible, q_step


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


@pytest.mark.parametrize(
    ("step", "what", "part"),
    [
        (7.8e-21, "q", "outside"),
        (2.0, "q", "outside"),
        (-10.0, "scan", "positive"),
        (0.0, "image", "positive"),
        (1.7e18, "scan", "outside"),
        (float("nan"), "q", "finite"),
        (float("inf"), "image", "finite"),
    ],
)
def test_what_cannot_be_true_is_named(step: float, what, part: str):
    assert part in implausible(step, what)


def test_what_can_be_true_is_kept():
    assert not implausible(0.0267, "q")
    assert not implausible(20.0, "scan")
    assert not implausible(0.02, "image")
