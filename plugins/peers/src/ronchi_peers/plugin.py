"""Advertises the disk detectors and descriptor learners of other programs; imports nothing heavy."""

from __future__ import annotations

from collections.abc import Iterator

from ronchi.api import AlgorithmSpec, hookimpl
from ronchi_peers.params import (
    AtomaiParams,
    BlobfinderParams,
    PeerParams,
    Py4dstemParams,
    PyrovedParams,
    PyxemParams,
)

__all__ = ["ronchi_descriptor_learners", "ronchi_disk_detectors"]


@hookimpl
def ronchi_disk_detectors() -> Iterator[AlgorithmSpec]:
    """Yield py4DSTEM, LiberTEM-blobfinder and pyxem."""
    yield _detector(
        "py4dstem",
        "find_Bragg_disks of py4DSTEM, in its own environment.",
        Py4dstemParams,
        "Py4dstem",
        "Savitzky et al. 2021, Microsc. Microanal. 27, 712, doi:10.1017/S1431927621000477",
    )
    yield _detector(
        "blobfinder",
        "Correlation around known peaks by LiberTEM-blobfinder, in its own environment.",
        BlobfinderParams,
        "Blobfinder",
        "Weber et al. 2020, LiberTEM-blobfinder, doi:10.5281/zenodo.3663437",
    )
    yield _detector(
        "pyxem",
        "Template matching of disks by pyxem, in its own environment.",
        PyxemParams,
        "Pyxem",
        "pyxem developers, pyxem, doi:10.5281/zenodo.2649351",
    )


@hookimpl
def ronchi_descriptor_learners() -> Iterator[AlgorithmSpec]:
    """Yield AtomAI and pyroVED."""
    yield _learner(
        "atomai",
        "rVAE of AtomAI, in its own environment.",
        AtomaiParams,
        "Atomai",
        "Ziatdinov et al. 2022, Nat. Mach. Intell. 4, 1101, doi:10.1038/s42256-022-00555-8",
    )
    yield _learner(
        "pyroved",
        "iVAE of pyroVED, in its own environment.",
        PyrovedParams,
        "Pyroved",
        "Ziatdinov & Kalinin 2021, pyroVED, https://github.com/ziatdinovmax/pyroVED",
    )


def _detector(name: str, summary: str, params: type[PeerParams], factory: str, citation: str) -> AlgorithmSpec:
    return AlgorithmSpec(
        name=name,
        summary=summary,
        params=params,
        factory=f"ronchi_peers.detectors:{factory}",
        inputs={"data": "fourd/1"},
        output="peaks/1",
        columns=dict.fromkeys(("intensity", "score"), ("1", "height of the correlation")),
        version=3,
        capabilities=frozenset({"install", "subpixel"}),
        citation=citation,
    )


def _learner(name: str, summary: str, params: type[PeerParams], factory: str, citation: str) -> AlgorithmSpec:
    return AlgorithmSpec(
        name=name,
        summary=summary,
        params=params,
        factory=f"ronchi_peers.learners:{factory}",
        inputs={"data": "fourd/1|images/1|crops/1", "model?": "model/1"},
        output="descriptors/1",
        sides={"model": "model/1"},
        capabilities=frozenset({"install", "lazy", "rotation-invariant"}),
        citation=citation,
    )
