"""Advertises the simulators and the transform ``augment``; imports nothing heavy."""

from __future__ import annotations

from collections.abc import Iterator

from ronchi.api import AlgorithmSpec, Params, hookimpl
from ronchi_simulate.params.augment import AugmentParams
from ronchi_simulate.params.graphene4d import Graphene4dParams
from ronchi_simulate.params.graphene_movie import GrapheneMovieParams
from ronchi_simulate.params.graphene_pairs import GraphenePairsParams
from ronchi_simulate.params.hbn import HbnParams
from ronchi_simulate.params.library import LibraryParams
from ronchi_simulate.params.library_scan import LibraryScanParams
from ronchi_simulate.params.sige import SigeParams
from ronchi_simulate.params.zincblende4d import Zincblende4dParams

__all__ = ["ronchi_simulators", "ronchi_transforms"]

_FCUNET = "Munshi et al., npj Comput. Mater. 8, 254 (2022), doi:10.1038/s41524-022-00939-9"
_KALININ = "Kalinin et al., Sci. Adv. 7, eabd5084 (2021), doi:10.1126/sciadv.abd5084"
_OXLEY = "Oxley et al., npj Comput. Mater. 7, 65 (2021), doi:10.1038/s41524-021-00527-3"


def _scan(
    name: str, summary: str, params: type[Params], factory: str, truth: str, citation: str, version: int = 2
) -> AlgorithmSpec:
    return AlgorithmSpec(
        name=name,
        summary=summary,
        params=params,
        factory=f"ronchi_simulate.simulators.{factory}",
        inputs={},
        output="fourd/1",
        sides={"truth": truth},
        version=version,
        capabilities=frozenset({"cuda"}),
        citation=citation,
    )


@hookimpl
def ronchi_simulators() -> Iterator[AlgorithmSpec]:
    """Yield one spec a specimen."""
    yield _scan(
        "sige",
        "Multislice scan across Si / SiGe layers on a substrate, straight or twisted, with the strain everywhere.",
        SigeParams,
        "sige:Sige",
        "strain/1",
        _FCUNET,
        version=3,
    )
    yield _scan(
        "hbn",
        "Multislice scan over unstrained hexagonal boron nitride, for disks from small to overlapping, and bullseyes.",
        HbnParams,
        "hbn:Hbn",
        "strain/1",
        _FCUNET,
    )
    yield _scan(
        "graphene4d",
        "Multislice scan, finer than atoms, of graphene in rotated tiles, pristine or with a defect in their middle.",
        Graphene4dParams,
        "graphene4d:Graphene4d",
        "descriptors/1",
        _OXLEY,
    )
    yield _scan(
        "graphene-pairs",
        "Multislice patterns of graphene at random places, each again with the sheet turned by known angles.",
        GraphenePairsParams,
        "graphene_pairs:GraphenePairs",
        "descriptors/1",
        _OXLEY,
    )
    yield _scan(
        "zincblende4d",
        "Multislice scan, finer than atoms, of zincblende in rotated tiles: the sites of its cell and their symmetry.",
        Zincblende4dParams,
        "zincblende4d:Zincblende4d",
        "descriptors/1",
        _OXLEY,
    )
    yield AlgorithmSpec(
        name="library",
        summary="Dynamical diffraction of a thousand crystals in many orientations with their truth, to learn from.",
        params=LibraryParams,
        factory="ronchi_simulate.simulators.library:Library",
        inputs={},
        output="library/1",
        version=2,
        capabilities=frozenset({"cuda", "resumable"}),
        citation=_FCUNET,
    )
    yield AlgorithmSpec(
        name="graphene-movie",
        summary="Movie of graphene under the beam: grains, growing holes, migrating silicon, drift; every atom known.",
        params=GrapheneMovieParams,
        factory="ronchi_simulate.simulators.graphene_movie:GrapheneMovie",
        inputs={},
        output="images/1",
        version=3,
        sides={"truth": "atoms/1"},
        citation=_KALININ,
    )


@hookimpl
def ronchi_transforms() -> Iterator[AlgorithmSpec]:
    """Yield the augmentation, and the way from a library to detectors."""
    yield AlgorithmSpec(
        name="library-scan",
        summary="Samples of a library as a scan, runs by thicknesses, with their reflections: detectors on crystals.",
        params=LibraryScanParams,
        factory="ronchi_simulate.library.as_scan:LibraryScan",
        inputs={"data": "library/1"},
        output="fourd/1",
        sides={"truth_peaks": "peaks/1"},
        capabilities=frozenset({"lazy"}),
        citation=_FCUNET,
    )
    yield AlgorithmSpec(
        name="augment",
        summary="Distortion, background, detector and dose of a real instrument on ideal patterns, peaks included.",
        params=AugmentParams,
        factory="ronchi_simulate.augment.transform:Augment",
        version=2,
        inputs={"data": "fourd/1", "peaks?": "peaks/1"},
        output="fourd/1",
        sides={"peaks": "peaks/1"},
        capabilities=frozenset({"cuda", "lazy"}),
        citation=_FCUNET,
    )
