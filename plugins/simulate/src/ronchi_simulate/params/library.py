"""Parameters of the diffraction library."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import SerializerFunctionWrapHandler, model_serializer, model_validator

from ronchi.api import Field, Params
from ronchi.optics import disk_radius
from ronchi_simulate.params.scan import BeamEnergy

__all__ = ["LibraryParams", "WeighedFrom"]

Pair = tuple[float, float]
WeighedFrom = Literal["sphere", "plane"]
"""From where the distance of a reflection is told that weighs it in a structure-factor image."""

_WIDEST_APERTURE = 0.8
"""Radius of the widest disk over half a pattern: waves carry it, for all sizes and binnings."""


class LibraryParams(Params):
    """Crystals, orientations, beams and thicknesses of a library of diffraction patterns.

    A run is one crystal in one orientation and one beam energy. It gives a sample for every semiangle and thickness: 75
    of them by default.
    """

    runs: int = Field(1334, ge=1, description="Runs: crystals in an orientation; the first ones are all different.")
    materials: Literal["prototypes", "common", "common-structures"] = Field(
        "prototypes",
        description="Which crystals: some 250 prototypes, rare ones as often as usual ones; 275 metals, "
        "semiconductors, ceramics and salts as they are, which most specimens are made of; or those and others of "
        "the same structures.",
    )
    variants: int = Field(
        4,
        ge=1,
        le=48,
        description="Not of `common`: crystals of each at most, itself and with other elements of their families.",
    )
    splits: tuple[Literal["train", "validation", "test"], ...] = Field(
        (), description="Only crystals whose prototypes are for these; all if none is given."
    )
    zone_axes: int = Field(5, ge=0, le=6, description="Orientations of a crystal along low-index zone axes.")
    random_orientations: int = Field(5, ge=0, description="Orientations of a crystal at random.")
    tilt_max_mrad: float = Field(
        10.0,
        ge=0,
        le=200,
        description="Most tilt off a zone axis, drawn for each run.",
        json_schema_extra={"unit": "mrad"},
    )
    beam_energy_range_eV: tuple[BeamEnergy, BeamEnergy] = Field(
        (60e3, 300e3), description="Energies are drawn between these.", json_schema_extra={"unit": "eV"}
    )
    beam_energies_eV: tuple[BeamEnergy, ...] = Field(
        (), description="Energies are drawn from this list instead, where it has any.", json_schema_extra={"unit": "eV"}
    )
    semiangles_mrad: tuple[float, ...] = Field(
        (1.0, 2.0, 4.0), min_length=1, description="Semiangles of every run.", json_schema_extra={"unit": "mrad"}
    )
    semiangle_range_mrad: Pair | None = Field(
        None,
        description="Each run draws its semiangles log-uniformly between these instead, as many as listed.",
        json_schema_extra={"unit": "mrad"},
    )
    thickness_max_angstrom: float = Field(
        500.0, gt=0, description="Thickness of the crystals.", json_schema_extra={"unit": "angstrom"}
    )
    thickness_step_angstrom: float = Field(
        20.0, gt=0, description="Patterns are taken at every multiple of this.", json_schema_extra={"unit": "angstrom"}
    )
    pattern_px: int = Field(256, ge=16, description="Rows and columns of a pattern.", json_schema_extra={"unit": "px"})
    q_step_inv_angstrom: float = Field(
        0.0217, gt=0, description="Detector pixel.", json_schema_extra={"unit": "1/angstrom"}
    )
    binning: int = Field(
        2,
        ge=1,
        le=4,
        description="Simulated pixels to a detector pixel, along each axis: the probe sees a window of binning / "
        "q_step. 1 takes a fifth of the time, and lets the probes of small semiangles reach its rim.",
    )
    slice_angstrom: float = Field(
        2.0, gt=0, description="Thickness of a slice.", json_schema_extra={"unit": "angstrom"}
    )
    frozen_phonons: int = Field(
        0,
        ge=0,
        description="Configurations of displaced atoms to average; 0 damps by Debye-Waller factors instead. A few "
        "configurations bring speckle of the size of a disk, which looks like a disk and is in no truth: 1 at small "
        "doses only, else 30 and more.",
    )
    u_range_angstrom: Pair = Field(
        (0.05, 0.1),
        description="Rms thermal displacement along one axis, drawn for each run.",
        json_schema_extra={"unit": "angstrom"},
    )
    weighed_from: WeighedFrom = Field(
        "sphere",
        description="What the Gaussian of the structure-factor image lies about: the Ewald sphere, or the plane "
        "through the origin across the beam. The first is what a thin crystal shows, the second the lattice of a zone.",
    )
    sigma_inv_angstrom: float = Field(
        0.05,
        gt=0,
        description="Gaussian of the structure-factor image about the sphere or the plane.",
        json_schema_extra={"unit": "1/angstrom"},
    )
    tukey_alpha: float = Field(0.5, ge=0, le=1, description="Taper of the structure-factor image's window.")
    excitation_max_inv_angstrom: float = Field(
        0.15,
        gt=0,
        description="Reflections up to this far from the sphere or the plane are listed.",
        json_schema_extra={"unit": "1/angstrom"},
    )
    validation: float = Field(0.1, ge=0, lt=1, description="Fraction of the prototypes for validation.")
    test: float = Field(0.1, ge=0, lt=1, description="Fraction of the prototypes for the test.")
    engine: Literal["torch", "abtem"] = Field("torch", description="Multislice engine.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for name in ("beam_energy_range_eV", "semiangle_range_mrad", "u_range_angstrom"):
            pair = getattr(self, name)
            if pair is not None and not 0 <= pair[0] <= pair[1]:
                raise ValueError(f"{name}: {pair} is not a rising pair of numbers from 0")
        if min(self.semiangle_range_mrad or self.semiangles_mrad) <= 0:
            raise ValueError("semiangles must be above 0")
        widest = max(self.semiangle_range_mrad or self.semiangles_mrad)
        radius = disk_radius(max(self.beam_energies_eV or self.beam_energy_range_eV), widest)
        most = _WIDEST_APERTURE * (self.pattern_px // 2) * self.q_step_inv_angstrom
        if radius > most:
            what = f"an aperture of {widest:g} mrad has a radius of up to {radius:.3g} 1/angstrom"
            raise ValueError(f"{what}, and the pattern has room for {most:.3g}")
        if self.zone_axes + self.random_orientations == 0:
            raise ValueError("zone_axes and random_orientations are both 0")
        if self.thickness_step_angstrom > self.thickness_max_angstrom:
            raise ValueError("thickness_step_angstrom is above thickness_max_angstrom")
        if abs(self.thickness_step_angstrom / self.slice_angstrom % 1 - 0.5) < 0.5 - 1e-6:
            raise ValueError("thickness_step_angstrom is no multiple of slice_angstrom")
        return self

    @model_serializer(mode="wrap")
    def _without_later_ones(self, dumped: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out those that came later where they are as they come.

        Random numbers are drawn from the parameters as they are written: by the same seed a library is then the same as
        before there were these.
        """
        values: dict[str, Any] = dumped(self)
        for name in ("splits", "materials", "weighed_from"):
            if getattr(self, name) == type(self).model_fields[name].default:
                values.pop(name, None)
        return values

    @property
    def thicknesses_angstrom(self) -> list[float]:
        """Thicknesses of the samples, rising."""
        step = self.thickness_step_angstrom
        return [step * i for i in range(1, int(self.thickness_max_angstrom / step + 1e-6) + 1)]
