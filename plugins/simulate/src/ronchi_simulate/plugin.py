"""Advertises the simulators and the transform ``augment``; imports nothing heavy."""

from __future__ import annotations

from collections.abc import Iterator

from ronchi.api import AlgorithmSpec, Params, hookimpl
from ronchi_simulate.params_hbn import HbnParams
from ronchi_simulate.params_sige import SigeParams

__all__ = ["ronchi_simulators"]

_FCUNET = "Munshi et al., npj Comput. Mater. 8, 254 (2022), doi:10.1038/s41524-022-00939-9"


def _of_strain(name: str, summary: str, params: type[Params], factory: str, citation: str) -> AlgorithmSpec:
    return AlgorithmSpec(
        name=name,
        summary=summary,
        params=params,
        factory=f"ronchi_simulate.{factory}",
        inputs={},
        output="fourd/1",
        sides={"truth": "strain/1"},
        capabilities=frozenset({"cuda"}),
        citation=citation,
    )


@hookimpl
def ronchi_simulators() -> Iterator[AlgorithmSpec]:
    """Yield one spec a specimen."""
    yield _of_strain(
        "sige",
        "Multislice scan across Si / SiGe layers on a substrate, straight or twisted, with the strain everywhere.",
        SigeParams,
        "sige:Sige",
        _FCUNET,
    )
    yield _of_strain(
        "hbn",
        "Multislice scan over unstrained hexagonal boron nitride, for disks from small to overlapping, and bullseyes.",
        HbnParams,
        "hbn:Hbn",
        _FCUNET,
    )
