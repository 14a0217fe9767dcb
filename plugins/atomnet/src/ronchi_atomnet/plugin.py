"""Advertises the atom finders; imports nothing heavy."""

from __future__ import annotations

from collections.abc import Iterator

from ronchi.api import AlgorithmSpec, hookimpl
from ronchi_atomnet.params import LogParams

__all__ = ["ronchi_atom_finders"]


@hookimpl
def ronchi_atom_finders() -> Iterator[AlgorithmSpec]:
    """Yield the classical finder."""
    yield AlgorithmSpec(
        name="log",
        summary="Blobs of the Laplacian of Gaussian, their centres of mass, and Gaussians fitted with standard errors.",
        params=LogParams,
        factory="ronchi_atomnet.log_finder:LogFinder",
        inputs={"images": "images/1"},
        output="atoms/1",
        capabilities=frozenset({"deterministic", "lazy", "subpixel"}),
        citation="Lindeberg, Int. J. Comput. Vis. 30, 79 (1998), doi:10.1023/A:1008045108935",
    )
