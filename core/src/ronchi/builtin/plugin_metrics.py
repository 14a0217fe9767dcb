"""Hook of ronchi's own metrics: what each compares, and whether more or less of a figure is better."""

from __future__ import annotations

from collections.abc import Mapping

from ronchi.api import AlgorithmSpec, Params, hookimpl
from ronchi.builtin.params_atoms import AtomsParams
from ronchi.builtin.params_descriptors import (
    AdjustedRandParams,
    AngleResultantParams,
    LatentInvarianceParams,
    PoseNllParams,
    SsimParams,
)
from ronchi.builtin.params_metrics import Eq1Params, PeakF1Params, PeakRmseParams, StrainRmseParams

__all__ = ["ronchi_metrics"]


@hookimpl
def ronchi_metrics() -> list[AlgorithmSpec]:
    """Describe the metrics."""
    to_known = {"result": "descriptors/1", "truth": "descriptors/1|atoms/1"}
    return [
        _metric(
            "strain-rmse",
            "Bias, RMS and robust error of each strain component, with the coverage.",
            StrainRmseParams,
            "metrics_strain:StrainRmse",
            "strain/1",
            better={"rms_*": "lower", "mad_*": "lower", "coverage": "higher"},
        ),
        _metric(
            "peak-f1",
            "Precision, recall and F1 of peaks, matched one to one.",
            PeakF1Params,
            "metrics_peaks:PeakF1",
            "peaks/1",
            better={"precision": "higher", "recall": "higher", "f1*": "higher"},
        ),
        _metric(
            "peak-rmse",
            "RMS distance of matched peaks from the true ones.",
            PeakRmseParams,
            "metrics_peaks:PeakRmse",
            "peaks/1",
            better={
                "rms_px": "lower",
                "median_px": "lower",
                "p95_px": "lower",
                "recall": "higher",
                "efficiency": "higher",
            },
        ),
        _metric(
            "atoms",
            "Atoms against true ones, matched one to one: found and missed, position error, species.",
            AtomsParams,
            "metrics_atoms:Atoms",
            "atoms/1",
            better={
                "precision*": "higher",
                "recall*": "higher",
                "f1*": "higher",
                "rms_*": "lower",
                "median_px": "lower",
                "p95_px": "lower",
                "species_*": "higher",
            },
        ),
        _metric(
            "eq1",
            "Equation (1) of the FCU-Net paper, as coded there and one to one.",
            Eq1Params,
            "metrics_peaks:Eq1",
            "peaks/1",
            citation="Munshi et al., npj Comput. Mater. 8, 254 (2022), doi:10.1038/s41524-022-00939-9",
            better={"accuracy*": "higher"},
        ),
        _metric(
            "angle-resultant",
            "Circular resultant and error of angles, up to the symmetry and one offset of each class.",
            AngleResultantParams,
            "metrics_angle:AngleResultant",
            **to_known,
            better={"resultant*": "higher", "mae_deg*": "lower", "coverage": "higher"},
        ),
        _metric(
            "latent-invariance",
            "What the latents still tell about the angle: regression, mutual information, orbit variance.",
            LatentInvarianceParams,
            "metrics_invariance:LatentInvariance",
            **to_known,
            citation="Kraskov et al., Phys. Rev. E 69, 066138 (2004), doi:10.1103/PhysRevE.69.066138",
            better={"r2*": "lower", "mi_nats*": "lower", "orbit*": "lower"},
        ),
        _metric(
            "adjusted-rand",
            "Classes found against true ones: adjusted Rand index and accuracy.",
            AdjustedRandParams,
            "metrics_classes:AdjustedRand",
            **to_known,
            citation="Hubert & Arabie, J. Classif. 2, 193 (1985), doi:10.1007/BF01908075",
            better={"ari": "higher", "accuracy": "higher", "purity": "higher", "coverage": "higher"},
        ),
        _metric(
            "ssim",
            "Structural similarity of decoded images to true ones, after the best rotation.",
            SsimParams,
            "metrics_images:Ssim",
            "decoded/1",
            "descriptors/1",
            citation="Wang et al., IEEE Trans. Image Process. 13, 600 (2004), doi:10.1109/TIP.2003.819861",
            better={"ssim*": "higher"},
        ),
        _metric(
            "pose-nll",
            "Likelihood of the data under reconstructions with their pose applied: the same for every learner.",
            PoseNllParams,
            "metrics_images:PoseNll",
            "fourd/1|images/1|crops/1",
            better={"nll*": "lower", "rmse": "lower"},
        ),
    ]


def _metric(
    name: str,
    summary: str,
    params: type[Params],
    factory: str,
    result: str,
    truth: str = "",
    *,
    better: Mapping[str, str],
    citation: str = "",
) -> AlgorithmSpec:
    return AlgorithmSpec(
        name=name,
        summary=summary,
        params=params,
        factory=f"ronchi.builtin.{factory}",
        inputs={"result": result, "truth": truth or result},
        output="scores/1",
        better=better,
        citation=citation,
    )
