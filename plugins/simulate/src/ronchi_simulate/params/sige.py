"""Parameters of the Si / SiGe multilayer."""

from __future__ import annotations

from typing import Literal

from ronchi.api import Field, Params
from ronchi_simulate.params.scan import TiltedScanParams

__all__ = ["Layer", "SigeParams", "Substrate"]


class Layer(Params):
    """An epitaxial layer."""

    thickness_angstrom: float = Field(
        gt=0,
        description="Thickness along the growth direction; rounded to whole atomic planes.",
        json_schema_extra={"unit": "angstrom"},
    )
    germanium: float = Field(0.0, ge=0, le=1, description="Part x of the atoms of Si(1-x)Ge(x) that is Ge.")
    strain: float | None = Field(
        None,
        gt=-0.2,
        lt=0.2,
        description="Strain along the growth direction against the substrate; null has it follow from the composition, "
        "by Vegard's law and the elastic constants of a layer that is coherent with the substrate.",
    )


class Substrate(Params):
    """The crystal under the layers: the reference of every strain, and the lattice that they share in the plane."""

    germanium: float = Field(0.25, ge=0, le=1, description="Part x of the atoms of Si(1-x)Ge(x) that is Ge.")
    lattice_angstrom: float | None = Field(
        5.6034,
        gt=4,
        lt=8,
        description="Lattice constant; null has it follow from the composition, by Vegard's law.",
        json_schema_extra={"unit": "angstrom"},
    )


_PAPER = (
    Layer(thickness_angstrom=44.4, germanium=0.0, strain=-0.01),
    Layer(thickness_angstrom=45.3, germanium=0.5, strain=0.01),
)


class SigeParams(TiltedScanParams):
    """A cross-section along [011]: layers grow along <100> towards -x, from a substrate at the right.

    y, <011>, is in their plane. x = 0 is the left surface of the first layer, which goes on to the left for the probe;
    the last layer lies on the substrate. The defaults are the stack of Munshi et al. 2022.
    """

    layers: tuple[Layer, ...] = Field(_PAPER * 2, description="Layers from left to right, down to the substrate.")
    substrate: Substrate = Field(Substrate(), description="The crystal under the layers.")
    q_step_inv_angstrom: float = Field(
        0.03154811,
        gt=0,
        description="Detector pixel. The default makes the window 24 lattice periods along y: there it has no seam.",
        json_schema_extra={"unit": "1/angstrom"},
    )
    binning: int = Field(
        3,
        ge=1,
        le=16,
        description="Simulated pixels to a detector pixel, along each axis: a probe sees a window of binning / q_step, "
        "and its disks are as smooth.",
    )
    alloy: Literal["random", "mean"] = Field(
        "random",
        description="Si and Ge drawn for every site, as in a real alloy, or the mean atom at every site, free of the "
        "diffuse scattering and of the scatter between positions that the drawing brings.",
    )
    u_silicon_angstrom: float = Field(
        0.076, ge=0, description="Rms thermal displacement of Si along an axis.", json_schema_extra={"unit": "angstrom"}
    )
    u_germanium_angstrom: float = Field(
        0.085, ge=0, description="Rms thermal displacement of Ge along an axis.", json_schema_extra={"unit": "angstrom"}
    )
