"""Advertises the disk detector ``fcunet``; imports nothing heavy."""

from __future__ import annotations

from collections.abc import Iterator

from ronchi.api import AlgorithmSpec, hookimpl
from ronchi_fcunet.params import FcunetParams
from ronchi_fcunet.train_params import TrainParams

__all__ = ["ronchi_disk_detectors"]


@hookimpl
def ronchi_disk_detectors() -> Iterator[AlgorithmSpec]:
    """Yield the one detector, whichever network its weights belong to."""
    yield AlgorithmSpec(
        name="fcunet",
        summary="Bragg disks by a network that has learned multiple scattering from simulations.",
        params=FcunetParams,
        factory="ronchi_fcunet.detector:Fcunet",
        inputs={"data": "fourd/1"},
        output="peaks/1",
        columns={
            "intensity": ("1", "square of the structure factor over the largest of the pattern that is to be expected"),
            "score": ("1", "log-odds of a disk; of networks without: structure factor over the threshold"),
        },
        files="ronchi_fcunet.registry:weights_files",
        trainer="ronchi_fcunet.training:Trainer",
        training=TrainParams,
        version=7,
        capabilities=frozenset({"cuda", "deterministic", "explain", "subpixel"}),
        citation="Munshi et al., npj Comput. Mater. 8, 254 (2022), doi:10.1038/s41524-022-00939-9",
    )
