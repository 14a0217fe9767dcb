"""Advertises the disk detectors of other programs; imports nothing heavy."""

from __future__ import annotations

from collections.abc import Iterator

from ronchi.api import AlgorithmSpec, hookimpl
from ronchi_peers.params import BlobfinderParams, PeerParams, Py4dstemParams, PyxemParams

__all__ = ["ronchi_disk_detectors"]


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


def _detector(name: str, summary: str, params: type[PeerParams], factory: str, citation: str) -> AlgorithmSpec:
    return AlgorithmSpec(
        name=name,
        summary=summary,
        params=params,
        factory=f"ronchi_peers.detectors:{factory}",
        inputs={"data": "fourd/1"},
        output="peaks/1",
        capabilities=frozenset({"install", "subpixel"}),
        citation=citation,
    )
