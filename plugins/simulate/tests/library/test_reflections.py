"""Reflections lie where Bragg's law puts them and have the strength of their structure factors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ronchi.optics import wavelength_angstrom
from ronchi_simulate.library.crystals import Crystal
from ronchi_simulate.library.orientation import beam_along, random_rotation
from ronchi_simulate.library.reflections import Reflections, reflections

FCC = np.array([(0, 0, 0), (0, 0.5, 0.5), (0.5, 0, 0.5), (0.5, 0.5, 0)])
SILICON = Crystal("A_cF8_227_a", "Si", np.eye(3) * 5.431, np.concatenate([FCC, FCC + 0.25]), np.full(8, 14))


def seen(rotation: np.ndarray, **more: Any) -> Reflections:
    return reflections(SILICON, rotation, beam_energy_eV=200e3, q_max=1.5, **more)


@given(seed=st.integers(0, 2**32))
@settings(max_examples=20, deadline=None)
def test_positions_and_excitation_errors_are_those_of_the_reciprocal_lattice(seed: int) -> None:
    rotation = random_rotation(np.random.default_rng(seed))
    found = seen(rotation)
    g = found.hkl @ (np.eye(3) / 5.431) @ rotation.T
    np.testing.assert_allclose(found.q_inv_angstrom, g[:, [1, 0]], atol=1e-12)
    np.testing.assert_allclose(found.height_inv_angstrom, g[:, 2], atol=1e-12)
    wave_number = 1 / wavelength_angstrom(200e3)
    # Exact: how far g must be moved along the beam to lie on the sphere about (0, 0, -1 / wavelength).
    on_sphere = np.sqrt(wave_number**2 - (g[:, :2] ** 2).sum(axis=1)) - wave_number
    # The parabola of the paraxial equation differs by wavelength^3 q^4 / 8: 4e-5 at q = 2.1.
    np.testing.assert_allclose(found.excitation_error, on_sphere - g[:, 2], atol=5e-5)
    assert np.abs(found.excitation_error).max() <= 0.15
    assert np.linalg.norm(found.q_inv_angstrom, axis=1).max() <= 1.5
    assert tuple(found.hkl[0]) == (0, 0, 0)


def test_none_is_missing() -> None:
    rotation = beam_along(SILICON, (0, 0, 1), in_plane_deg=17)
    found = seen(rotation)
    hkl = np.stack(np.meshgrid(*[np.arange(-20, 21)] * 3, indexing="ij"), -1).reshape(-1, 3)
    g = hkl @ rotation.T / 5.431
    s = -(g[:, 2] + wavelength_angstrom(200e3) / 2 * (g[:, :2] ** 2).sum(axis=1))
    expected = hkl[(np.linalg.norm(g[:, :2], axis=1) <= 1.5) & (np.abs(s) <= 0.15)]
    assert {tuple(row) for row in expected} == {tuple(row) for row in found.hkl}


def test_those_near_the_plane_are_all_there_however_far_from_the_sphere() -> None:
    rotation = beam_along(SILICON, (0, 0, 1), in_plane_deg=17)
    found = seen(rotation, near="plane", distance_max=0.01)
    hkl = np.stack(np.meshgrid(*[np.arange(-20, 21)] * 3, indexing="ij"), -1).reshape(-1, 3)
    zone = hkl[(hkl[:, 2] == 0) & (np.linalg.norm(hkl, axis=1) <= 1.5 * 5.431)]
    assert {tuple(row) for row in zone} == {tuple(row) for row in found.hkl}
    assert np.abs(found.excitation_error).max() > 0.02


def test_silicon_has_its_extinctions_and_its_mean_inner_potential() -> None:
    found = seen(beam_along(SILICON, (0, 1, 1)))
    strength = {tuple(map(int, hkl)): abs(v) for hkl, v in zip(found.hkl, found.structure_factor_V, strict=True)}
    # Of independent atoms; bonds take it to some 12 V.
    assert strength[0, 0, 0] == pytest.approx(13.8, abs=0.2)
    assert strength[2, 0, 0] < 1e-9, "the glide planes of diamond"
    assert strength[1, 0, 0] < 1e-9, "face centring"
    assert strength[1, 1, -1] == pytest.approx(strength[-1, -1, 1]), "Friedel"
    assert strength[4, 0, 0] < strength[0, 2, -2]


def test_thermal_motion_damps_as_a_gaussian() -> None:
    rotation = beam_along(SILICON, (0, 0, 1))
    still, warm = seen(rotation), seen(rotation, u_angstrom=0.08)
    g_squared = (still.hkl.astype(float) ** 2).sum(axis=1) / 5.431**2
    strong = np.abs(still.structure_factor_V) > 1e-3
    ratio = np.abs(warm.structure_factor_V[strong]) / np.abs(still.structure_factor_V[strong])
    np.testing.assert_allclose(ratio, np.exp(-2 * np.pi**2 * 0.08**2 * g_squared[strong]), rtol=1e-9)
