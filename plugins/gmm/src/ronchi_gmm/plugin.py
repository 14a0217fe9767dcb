"""Advertises the learners ``gmm``, ``kmeans``, ``pca``, ``nmf`` and ``ica``; imports nothing heavy."""

from __future__ import annotations

from collections.abc import Iterator

from ronchi.api import AlgorithmSpec, Params, hookimpl
from ronchi_gmm.params import GmmParams, IcaParams, KmeansParams, NmfParams, PcaParams

__all__ = ["ronchi_descriptor_learners"]

_SKLEARN = "Pedregosa et al., J. Mach. Learn. Res. 12, 2825 (2011)"


def _learner(name: str, summary: str, params: type[Params], factory: str, side: str, cite: str) -> AlgorithmSpec:
    return AlgorithmSpec(
        name=name,
        summary=summary,
        params=params,
        factory=f"ronchi_gmm.{factory}",
        inputs={"data": "fourd/1|images/1|crops/1|descriptors/1", "model?": "model/1"},
        output="descriptors/1",
        sides={"model": "model/1", side: "decoded/1"},
        version=3,
        capabilities=frozenset({"deterministic", "lazy"}),
        citation=f"{cite}; {_SKLEARN}",
    )


@hookimpl
def ronchi_descriptor_learners() -> Iterator[AlgorithmSpec]:
    """Yield all five."""
    yield _learner(
        "gmm",
        "Gaussian mixture over principal scores or pixels: classes with probabilities and mean images.",
        GmmParams,
        "mixture:Gmm",
        "means",
        "Dempster, Laird & Rubin, J. R. Stat. Soc. B 39, 1 (1977), doi:10.1111/j.2517-6161.1977.tb01600.x",
    )
    yield _learner(
        "kmeans",
        "k-means: classes by the nearest mean image.",
        KmeansParams,
        "clusters:Kmeans",
        "means",
        "Lloyd, IEEE Trans. Inf. Theory 28, 129 (1982), doi:10.1109/TIT.1982.1056489",
    )
    yield _learner(
        "pca",
        "Principal components.",
        PcaParams,
        "linear:Pca",
        "components",
        "Halko, Martinsson & Tropp, SIAM Rev. 53, 217 (2011), doi:10.1137/090771806",
    )
    yield _learner(
        "nmf",
        "Non-negative matrix factorisation: images that only add up.",
        NmfParams,
        "factors:Nmf",
        "components",
        "Lee & Seung, Nature 401, 788 (1999), doi:10.1038/44565",
    )
    yield _learner(
        "ica",
        "Independent components: scores with as little to do with each other as can be.",
        IcaParams,
        "linear:Ica",
        "components",
        "Hyvarinen & Oja, Neural Netw. 13, 411 (2000), doi:10.1016/S0893-6080(00)00026-5",
    )
