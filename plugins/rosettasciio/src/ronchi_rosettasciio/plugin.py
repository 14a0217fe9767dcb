"""Advertises the readers; imports nothing heavy."""

from __future__ import annotations

from collections.abc import Iterator

from ronchi.api import AlgorithmSpec, hookimpl
from ronchi_rosettasciio.params import RosettaParams

__all__ = ["ronchi_readers"]


@hookimpl
def ronchi_readers() -> Iterator[AlgorithmSpec]:
    """Yield the readers of this distribution."""
    yield AlgorithmSpec(
        name="rosettasciio",
        summary="Vendor files through RosettaSciIO, recognised by their content; patterns stay on disk where they can.",
        params=RosettaParams,
        factory="ronchi_rosettasciio.reader:RosettaReader",
        inputs={},
        output="fourd/1|images/1",
        capabilities=frozenset({"lazy"}),
        citation="RosettaSciIO, doi:10.5281/zenodo.8011666",
    )
