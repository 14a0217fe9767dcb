"""The files that make one acquisition together: headers, frames and calibrations beside the file that is opened."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from pathlib import Path

from ronchi_rosettasciio.formats import Format
from ronchi_rosettasciio.probe import probe

__all__ = ["companions", "followed", "merlin_header"]

_DIRECT_ELECTRON = re.compile(r"(?P<series>\d{8}_\d+_).*")


def companions(path: Path, form: Format) -> list[Path]:
    """Other files that are read with ``path``, of those that are there, in the order of their names.

    Raises
    ------
    Exception
        Whatever the libraries raise on a damaged file.
    """
    find = _FIND.get(form.name)
    found = () if find is None or not path.is_file() else find(path)
    return sorted(file for file in set(found) if file != path and file.is_file())


def followed(path: Path, form: Format) -> Path:
    """What a link leads to, where the other files of the acquisition lie there and not beside the link.

    Raises
    ------
    Exception
        As `companions`.
    """
    if not path.is_symlink() or companions(path, form):
        return path
    target = path.resolve()
    return target if companions(target, form) else path


def merlin_header(path: Path) -> Path | None:
    """The ``.hdr`` of a ``.mib``."""
    return next((file for ending in (".hdr", ".HDR") if (file := path.with_suffix(ending)).is_file()), None)


def _merlin(path: Path) -> Iterator[Path]:
    if header := merlin_header(path):
        yield header


def _tia(path: Path) -> Iterator[Path]:
    numbered = re.compile(re.escape(path.stem) + r"_\d\.ser", re.IGNORECASE)
    return (file for file in path.parent.iterdir() if numbered.fullmatch(file.name))


def _empad(path: Path) -> Iterator[Path]:
    raw = ET.parse(path).getroot().find("raw_file")
    if raw is not None and raw.get("filename"):
        yield path.parent / str(raw.get("filename"))


def _tvips(path: Path) -> Iterator[Path]:
    if path.stem.endswith("000"):
        numbered = re.compile(re.escape(path.stem[:-3]) + r"\d{3}" + re.escape(path.suffix))
        yield from (file for file in path.parent.iterdir() if numbered.fullmatch(file.name))


def _direct_electron(path: Path) -> Iterator[Path]:
    # Direct Electron's files share the beginning of their names: date and number of the acquisition.
    if found := _DIRECT_ELECTRON.fullmatch(path.name):
        for file in path.parent.iterdir():
            if file.name.startswith(found["series"]) and file.suffix.lower() in (".txt", ".csv", ".mrc"):
                yield file


def _arina(path: Path) -> Iterator[Path]:
    import h5py

    # The microscope's own file has the same name without "_master".
    yield path.with_name(path.name.replace("_master.h5", ".h5"))
    with h5py.File(path, "r") as file:
        group = file["entry/data"]
        links = [group.get(name, getlink=True) for name in group]
    yield from (path.parent / link.filename for link in links if isinstance(link, h5py.ExternalLink))


def _hdf5(path: Path) -> Iterator[Path]:
    # Of virtual data sets, and behind links: as the HDF5 library looks for them.
    return (path.parent / name for name in probe(path).outside)


_FIND: dict[str, Callable[[Path], Iterator[Path]]] = {
    "mib": _merlin,
    "emi": _tia,
    "empad": _empad,
    "tvips": _tvips,
    "mrc": _direct_electron,
    "arina": _arina,
    **dict.fromkeys(("hdf5", "nexus", "hspy", "velox", "emd", "py4dstem", "topspin"), _hdf5),
}
