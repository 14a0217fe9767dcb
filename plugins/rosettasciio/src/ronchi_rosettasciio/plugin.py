"""Advertises the readers; imports nothing heavy."""

from __future__ import annotations

from collections.abc import Iterator

from ronchi.api import AlgorithmSpec, hookimpl
from ronchi_rosettasciio.params import RosettaParams
from ronchi_rosettasciio.params_hyperspy import HyperspyWriterParams
from ronchi_rosettasciio.params_py4dstem import Py4dstemParams, Py4dstemWriterParams

__all__ = ["ronchi_readers", "ronchi_writers"]

_PY4DSTEM = "py4DSTEM: Savitzky et al., Microsc. Microanal. 27, 712 (2021), doi:10.1017/S1431927621000477"


@hookimpl
def ronchi_readers() -> Iterator[AlgorithmSpec]:
    """Yield the readers of this distribution."""
    yield AlgorithmSpec(
        name="rosettasciio",
        summary="Vendor files through RosettaSciIO, recognised by their content; patterns stay on disk where they can.",
        params=RosettaParams,
        factory="ronchi_rosettasciio.reader:RosettaReader",
        version=7,
        inputs={},
        output="fourd/1|images/1|peaks/1|strain/1",
        capabilities=frozenset({"lazy"}),
        citation="RosettaSciIO, doi:10.5281/zenodo.8011666",
    )
    yield AlgorithmSpec(
        name="py4dstem",
        summary="py4DSTEM's HDF5, EMD 1.0 and the versions before: patterns, peaks, strain and images, calibrated.",
        params=Py4dstemParams,
        factory="ronchi_rosettasciio.py4dstem_reader:Py4dstemReader",
        version=5,
        inputs={},
        output="fourd/1|peaks/1|strain/1|maps/1",
        sides={"*": "*"},
        capabilities=frozenset({"lazy"}),
        citation=_PY4DSTEM,
    )


@hookimpl
def ronchi_writers() -> Iterator[AlgorithmSpec]:
    """Yield the writers of this distribution."""
    yield AlgorithmSpec(
        name="hyperspy",
        summary="Files for HyperSpy and pyxem: patterns, movies, strain and (.hspy) peaks, calibrated, block by block.",
        params=HyperspyWriterParams,
        factory="ronchi_rosettasciio.hyperspy_writer:HyperspyWriter",
        inputs={"data": "fourd/1|images/1|peaks/1|strain/1"},
        output="",
        suffixes=(".hspy", ".zspy"),
        capabilities=frozenset({"lazy"}),
        citation="RosettaSciIO, doi:10.5281/zenodo.8011666",
    )
    yield AlgorithmSpec(
        name="py4dstem",
        summary="Files for py4DSTEM 0.14 (EMD 1.0): patterns, peaks, strain and images, with their calibration.",
        params=Py4dstemWriterParams,
        factory="ronchi_rosettasciio.py4dstem_writer:Py4dstemWriter",
        inputs={"data": "fourd/1|peaks/1|strain/1|maps/1"},
        output="",
        sides={"*": "*"},
        suffixes=(".h5", ".emd"),
        capabilities=frozenset({"lazy"}),
        citation=_PY4DSTEM,
    )
