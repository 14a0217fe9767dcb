"""Advertises the baselines ``spatial-vae``, ``jrvae``, ``vae`` and ``conv-ae``; imports nothing heavy."""

from __future__ import annotations

from collections.abc import Iterator

from ronchi.api import AlgorithmSpec, Params, hookimpl
from ronchi_rvae.params_pixels import ConvAeParams, JrvaeParams, SpatialVaeParams, VaeParams

__all__ = ["ronchi_descriptor_learners"]

_BEPLER = "Bepler et al. 2019, arXiv:1909.11663"
_KALININ = "Kalinin et al. 2021, Sci. Adv. 7, eabd5084, doi:10.1126/sciadv.abd5084"
_KINGMA = "Kingma & Welling 2014, arXiv:1312.6114"
_ZIATDINOV = "Ziatdinov et al. 2022, Adv. Mater. 34, 2201345, doi:10.1002/adma.202201345"


def _baseline(name: str, summary: str, params: type[Params], factory: str, cite: str, *sides: str) -> AlgorithmSpec:
    return AlgorithmSpec(
        name=name,
        summary=summary,
        params=params,
        factory=f"ronchi_rvae.{factory}",
        version=4,
        inputs={"data": "fourd/1|images/1|crops/1", "model?": "model/1"},
        output="descriptors/1",
        sides={"model": "model/1", "manifold": "decoded/1", **dict.fromkeys(sides, "decoded/1")},
        capabilities=frozenset({"deterministic", "lazy", "cuda"}),
        citation=cite,
    )


@hookimpl
def ronchi_descriptor_learners() -> Iterator[AlgorithmSpec]:
    """Yield the four."""
    yield _baseline(
        "spatial-vae",
        "Autoencoder with an encoded angle and shift and a decoder of coordinates, for small rotations.",
        SpatialVaeParams,
        "spatial_vae:SpatialVae",
        f"{_KALININ}; {_BEPLER}",
    )
    yield _baseline(
        "jrvae",
        "The same with classes that are summed over.",
        JrvaeParams,
        "spatial_vae:Jrvae",
        f"{_ZIATDINOV}; {_BEPLER}",
        "means",
    )
    yield _baseline(
        "vae",
        "Variational autoencoder of images as they lie, optionally with classes.",
        VaeParams,
        "vae:Vae",
        _KINGMA,
        "means",
    )
    yield _baseline(
        "conv-ae",
        "Autoencoder of two convolutions for images as they lie.",
        ConvAeParams,
        "vae:ConvAe",
        _KALININ,
    )
