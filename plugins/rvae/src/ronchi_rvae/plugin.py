"""Advertises the learners ``polar-invariants``, ``polar-em``, ``rvae`` and ``rrvae``; imports nothing heavy."""

from __future__ import annotations

from collections.abc import Iterator

from ronchi.api import AlgorithmSpec, Params, hookimpl
from ronchi_rvae.params import PolarEmParams, PolarInvariantsParams, RrvaeParams, RvaeParams

__all__ = ["ronchi_descriptor_learners"]

_KALININ = "Kalinin et al. 2021, Sci. Adv. 7, eabd5084, doi:10.1126/sciadv.abd5084"
_OXLEY = "Oxley et al. 2021, npj Comput. Mater. 7, 65, doi:10.1038/s41524-021-00527-3"
_ZHAO = "Zhao & Singer 2013, J. Opt. Soc. Am. A 30, 871, doi:10.1364/JOSAA.30.000871"


def _learner(
    name: str, summary: str, params: type[Params], factory: str, sides: tuple[str, ...], cite: str, *words: str
) -> AlgorithmSpec:
    return AlgorithmSpec(
        name=name,
        summary=summary,
        params=params,
        factory=f"ronchi_rvae.{factory}",
        version=7,
        inputs={"data": "fourd/1|images/1|crops/1", "model?": "model/1"},
        output="descriptors/1",
        sides={"model": "model/1", **dict.fromkeys(sides, "decoded/1")},
        capabilities=frozenset({"deterministic", "lazy", "rotation-invariant", *words}),
        citation=cite,
    )


@hookimpl
def ronchi_descriptor_learners() -> Iterator[AlgorithmSpec]:
    """Yield the four, each with what the one before lacks."""
    yield _learner(
        "polar-invariants",
        "Rotation invariants of images in a disc, and their principal components.",
        PolarInvariantsParams,
        "invariants:PolarInvariants",
        (),
        _ZHAO,
    )
    yield _learner(
        "polar-em",
        "Classes of images at any angle and a small shift; their number and symmetries are found.",
        PolarEmParams,
        "polar_em:PolarEm",
        ("means",),
        _ZHAO,
    )
    yield _learner(
        "rvae",
        "Autoencoder of images at any angle, which is integrated over, and a small shift.",
        RvaeParams,
        "rvae:Rvae",
        ("means", "manifold"),
        f"{_KALININ}; {_OXLEY}",
        "cuda",
    )
    yield _learner(
        "rrvae",
        "Autoencoder of diffraction patterns at any angle, which is integrated over.",
        RrvaeParams,
        "rvae:Rrvae",
        ("means", "manifold"),
        _OXLEY,
        "cuda",
    )
