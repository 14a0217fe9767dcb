"""Strain, composition and interfaces of the multilayer."""

from __future__ import annotations

import numpy as np
import pytest

from ronchi_simulate.params.sige import Layer, SigeParams, Substrate
from ronchi_simulate.specimens.sige_stack import Stack, coherent_strain, relaxed_lattice


def test_the_default_is_the_stack_of_the_paper() -> None:
    stack = Stack.of(SigeParams())
    assert stack.lattice_angstrom == 5.6034
    np.testing.assert_array_equal(stack.strain, [-0.01, 0.01, -0.01, 0.01, 0.0])
    np.testing.assert_array_equal(stack.germanium, [0.0, 0.5, 0.0, 0.5, 0.25])
    # Eight lattice constants a layer, each of its own length.
    lengths = 8 * 5.6034 * np.array([0.99, 1.01, 0.99, 1.01])
    np.testing.assert_allclose(np.diff(stack.start_angstrom), lengths, rtol=1e-12)


def test_coherent_strain_of_silicon_on_germanium_has_the_handbooks_tetragonality() -> None:
    # Misfit -4.0 %, and 0.77 = 2 C12 / C11 of silicon of it again: by hand, to the digits of the constants.
    misfit = 5.4310 / 5.6579 - 1
    assert coherent_strain(0.0, relaxed_lattice(1.0)) == pytest.approx(misfit * (1 + 2 * 63.9 / 165.8), abs=1e-4)
    assert coherent_strain(0.25, relaxed_lattice(0.25)) == pytest.approx(0, abs=1e-15)
    # A layer of more germanium is pressed in the plane, and expands along the growth.
    assert coherent_strain(0.3, relaxed_lattice(0.0)) > 0.3 * (5.6579 / 5.4310 - 1)


def test_strain_follows_the_composition_where_it_is_not_given() -> None:
    layers = (Layer(thickness_angstrom=50, germanium=0.18), Layer(thickness_angstrom=50, germanium=0.18, strain=0.0))
    stack = Stack.of(SigeParams(layers=layers, substrate=Substrate(germanium=0.0, lattice_angstrom=None)))
    assert stack.lattice_angstrom == 5.4310
    np.testing.assert_allclose(stack.strain, [coherent_strain(0.18, 5.4310), 0, 0])


def test_planes_lie_a_quarter_of_the_local_lattice_constant_apart() -> None:
    stack = Stack.of(SigeParams())
    number, x, layer = stack.planes_between(-20.0, 250.0)
    assert (np.diff(number) == 1).all()
    np.testing.assert_allclose(x[number == 0], 0, atol=1e-12)
    np.testing.assert_allclose(np.diff(x), (5.6034 / 4 * (1 + stack.strain))[layer[:-1]], rtol=1e-9)
    np.testing.assert_array_equal(layer, stack.layer_at(x + 1e-6))
    assert x[0] >= -20
    assert x[0] < -20 + 1.5
    assert x[-1] < 250
    assert x[-1] > 250 - 1.5


@pytest.mark.parametrize("span", [(-30.0, -10.0), (60.0, 70.0), (230.0, 260.0)])
def test_planes_of_a_part_are_those_of_the_whole(span: tuple[float, float]) -> None:
    stack = Stack.of(SigeParams())
    number, x, _ = stack.planes_between(-100.0, 300.0)
    inside = (x >= span[0]) & (x < span[1])
    part = stack.planes_between(*span)
    np.testing.assert_array_equal(part[0], number[inside])
    np.testing.assert_allclose(part[1], x[inside])


def test_mean_strain_is_exact_across_an_interface() -> None:
    stack = Stack.of(SigeParams())
    edge = stack.start_angstrom[1]
    # A quarter left (-1 %) and three quarters right (+1 %) of the first interface; the first layer left of 0.
    np.testing.assert_allclose(stack.mean_strain(np.array([edge - 1, edge + 3])), [0.005], atol=1e-15)
    np.testing.assert_allclose(stack.mean_strain(np.array([-30.0, -20.0, 10.0])), -0.01)
    np.testing.assert_allclose(stack.mean_strain(np.array([300.0, 310.0])), 0, atol=1e-12)


def test_interfaces() -> None:
    stack = Stack.of(SigeParams())
    edge = stack.start_angstrom[1]
    np.testing.assert_array_equal(stack.layer_at(np.array([-5.0, 0.0, edge - 0.1, edge, 500.0])), [0, 0, 0, 1, 4])
    np.testing.assert_allclose(stack.distance_to_interface(np.array([0.0, edge + 2.0])), [edge, 2.0])
    bare = Stack.of(SigeParams(layers=()))
    assert np.isinf(bare.distance_to_interface(np.array([3.0]))).all()
    np.testing.assert_array_equal(bare.layer_at(np.array([-4.0, 4.0])), [0, 0])
