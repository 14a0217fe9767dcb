"""Advertises the atom finders; imports nothing heavy."""

from __future__ import annotations

from collections.abc import Iterator

from ronchi.api import AlgorithmSpec, hookimpl
from ronchi_atomnet.params import AtomnetParams, LogParams
from ronchi_atomnet.train_params import TrainParams

__all__ = ["ronchi_atom_finders"]


@hookimpl
def ronchi_atom_finders() -> Iterator[AlgorithmSpec]:
    """Yield the classical finder and the network."""
    yield AlgorithmSpec(
        name="log",
        summary="Blobs of the Laplacian of Gaussian, their centres of mass, and Gaussians fitted with standard errors.",
        params=LogParams,
        factory="ronchi_atomnet.log_finder:LogFinder",
        inputs={"images": "images/1"},
        output="atoms/1",
        version=5,
        capabilities=frozenset({"deterministic", "lazy", "subpixel"}),
        citation="Lindeberg, Int. J. Comput. Vis. 30, 79 (1998), doi:10.1023/A:1008045108935",
    )
    yield AlgorithmSpec(
        name="atomnet",
        summary="Atoms and their species by a U-Net that has learned from simulated movies, refined by Gaussian fits.",
        params=AtomnetParams,
        factory="ronchi_atomnet.finder:Atomnet",
        inputs={"images": "images/1"},
        output="atoms/1",
        version=5,
        files="ronchi_atomnet.registry:weights_files",
        trainer="ronchi_atomnet.training:Trainer",
        training=TrainParams,
        capabilities=frozenset({"cuda", "deterministic", "lazy", "subpixel"}),
        citation="Kalinin et al., Sci. Adv. 7, eabd5084 (2021), doi:10.1126/sciadv.abd5084",
    )
