"""Advertises the transforms ``track-atoms``, ``rings`` and ``dynamics`` and the metric ``tracks``."""

from __future__ import annotations

from collections.abc import Iterator

from ronchi.api import AlgorithmSpec, hookimpl
from ronchi_movies.params import DynamicsParams, RingsParams, TrackAtomsParams, TracksParams

__all__ = ["ronchi_metrics", "ronchi_transforms"]

_DETERMINISTIC = frozenset({"deterministic"})
_BERNARDIN = "Bernardin & Stiefelhagen 2008, EURASIP J. Image Video Process. 246309, doi:10.1155/2008/246309"


@hookimpl
def ronchi_transforms() -> Iterator[AlgorithmSpec]:
    """Yield the three, in the order in which a pipeline uses them."""
    yield AlgorithmSpec(
        name="track-atoms",
        version=7,
        summary="Link atoms from frame to frame, one to one, over gaps, after the motion of the sheet is taken out.",
        params=TrackAtomsParams,
        factory="ronchi_movies.track_atoms:TrackAtoms",
        inputs={"atoms": "atoms/1"},
        output="atoms/1",
        capabilities=_DETERMINISTIC,
        citation="Jaqaman et al. 2008, Nat. Methods 5, 695, doi:10.1038/nmeth.1237",
    )
    yield AlgorithmSpec(
        name="rings",
        summary="Rings of 5, 6, 7 and other numbers of atoms in the network of bonds: on each atom and in each frame.",
        params=RingsParams,
        factory="ronchi_movies.ring_statistics:Rings",
        inputs={"atoms": "atoms/1"},
        output="atoms/1",
        sides={"counts": "dynamics/1"},
        capabilities=_DETERMINISTIC,
    )
    yield AlgorithmSpec(
        name="dynamics",
        version=4,
        summary="Descriptors against time: histograms, class fractions, transitions and times in a class.",
        params=DynamicsParams,
        factory="ronchi_movies.dynamics:Dynamics",
        inputs={"data": "descriptors/1", "atoms?": "atoms/1"},
        output="dynamics/1",
        capabilities=_DETERMINISTIC,
        citation="Kalinin et al. 2021, Sci. Adv. 7, eabd5084, doi:10.1126/sciadv.abd5084; "
        "Kaplan & Meier 1958, J. Am. Stat. Assoc. 53, 457, doi:10.1080/01621459.1958.10501452; "
        "Rabiner 1989, Proc. IEEE 77, 257, doi:10.1109/5.18626",
    )


@hookimpl
def ronchi_metrics() -> Iterator[AlgorithmSpec]:
    """Yield the metric."""
    yield AlgorithmSpec(
        name="tracks",
        version=2,
        summary="Tracks against true ones: links, identity switches, purity and completeness.",
        params=TracksParams,
        factory="ronchi_movies.metric:Tracks",
        inputs={"result": "atoms/1", "truth": "atoms/1"},
        output="scores/1",
        better={
            "link_precision": "higher",
            "link_recall": "higher",
            "identity_switches": "lower",
            "purity": "higher",
            "completeness": "higher",
        },
        citation=_BERNARDIN,
    )
