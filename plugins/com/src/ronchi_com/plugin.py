"""Advertises the learner ``com`` and the transform ``dpc``; imports nothing heavy."""

from __future__ import annotations

from collections.abc import Iterator

from ronchi.api import AlgorithmSpec, hookimpl
from ronchi_com.params import ComParams, DpcParams

__all__ = ["ronchi_descriptor_learners", "ronchi_transforms"]


@hookimpl
def ronchi_descriptor_learners() -> Iterator[AlgorithmSpec]:
    """Yield the centre of mass."""
    yield AlgorithmSpec(
        name="com",
        summary="Centre of mass of every pattern: the mean deflection of the beam.",
        params=ComParams,
        version=3,
        factory="ronchi_com.com:CentreOfMass",
        inputs={"data": "fourd/1"},
        output="descriptors/1",
        capabilities=frozenset({"deterministic", "lazy"}),
        citation="Mueller et al. 2014, Nat. Commun. 5, 5653, doi:10.1038/ncomms6653",
    )


@hookimpl
def ronchi_transforms() -> Iterator[AlgorithmSpec]:
    """Yield differential phase contrast."""
    yield AlgorithmSpec(
        name="dpc",
        summary="Field in the scan frame, phase, divergence, curl and charge density from centres of mass.",
        params=DpcParams,
        version=3,
        factory="ronchi_com.dpc:Dpc",
        inputs={"data": "descriptors/1"},
        output="descriptors/1",
        capabilities=frozenset({"deterministic"}),
        citation="Lazic, Bosch & Lazar 2016, Ultramicroscopy 160, 265, doi:10.1016/j.ultramic.2015.10.011",
    )
