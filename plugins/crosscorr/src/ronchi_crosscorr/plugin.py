"""Hook of the plugin: what it offers, without importing how."""

from __future__ import annotations

from ronchi.api import AlgorithmSpec, hookimpl
from ronchi_crosscorr.params import CrossCorrParams

__all__ = ["ronchi_disk_detectors"]


@hookimpl
def ronchi_disk_detectors() -> list[AlgorithmSpec]:
    """Describe the detectors of this plugin."""
    return [
        AlgorithmSpec(
            name="crosscorr",
            version=6,
            summary="Bragg disks by correlation with the probe, refined below a pixel, with a covariance for each.",
            params=CrossCorrParams,
            factory="ronchi_crosscorr.detector:CrossCorr",
            inputs={"data": "fourd/1"},
            output="peaks/1",
            capabilities=frozenset({"cpu", "cuda", "deterministic", "explain", "masks", "subpixel", "variance"}),
            citation="Savitzky et al., Microsc. Microanal. 27, 712 (2021), doi:10.1017/S1431927621000477",
        )
    ]
