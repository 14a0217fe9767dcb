"""The reader ``rosettasciio``: patterns and images of any microscope's file, and what ronchi wrote for HyperSpy."""

from __future__ import annotations

import functools
import logging
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from xarray.core import indexing

from ronchi.api import CalibrationError, ReadError
from ronchi.chunking import chunks_of_stack, scan_chunks
from ronchi.schema import fourd, images, peaks, strain
from ronchi_rosettasciio import calibrate, guards, layout, sniff
from ronchi_rosettasciio.companions import companions, followed
from ronchi_rosettasciio.formats import FORMATS, Format
from ronchi_rosettasciio.layout import Layout
from ronchi_rosettasciio.lazy import LazySignal, native_dtype
from ronchi_rosettasciio.own import restored, schema_noted
from ronchi_rosettasciio.params import RosettaParams
from ronchi_rosettasciio.signals import Signal, quiet, read_npy, read_signals

__all__ = ["RosettaReader"]

log = logging.getLogger("ronchi.rosettasciio")


class RosettaReader:
    """Opens vendor files through RosettaSciIO, lazily where the format allows."""

    def __init__(self, params: RosettaParams) -> None:
        self.params = params

    def confidence(self, path: Path) -> float:
        """0 to 1 from the header of the file; never raises."""
        return sniff.confidence(Path(path))

    def companions(self, path: Path) -> list[Path]:
        """Other files that are read with ``path``: headers, frames, calibrations beside it; never raises."""
        try:
            path = Path(path)
            form = _format(path, self.params.format)
            return companions(followed(path, form), form)
        except Exception:  # noqa: BLE001 - opening the file will say what is wrong with it
            return []

    def open(self, path: Path) -> xr.Dataset:
        """Open the data set of a file that the parameters ask for.

        Returns
        -------
        xarray.Dataset
            ``fourd/1`` or ``images/1``, or what ronchi itself wrote for HyperSpy. With attributes ``source_format``,
            ``is_lazy``, ``file_contents``, ``dataset`` (its number there), and where there is something to say
            ``notes`` and ``calibration_refused``. What is said there is also logged.

        Raises
        ------
        ReadError
            The file is absent, of no known format, damaged, or holds neither images nor patterns.
        """
        path, params = Path(path), self.params
        form = _format(path, params.format)
        with guards.damage(path, form):
            path = followed(path, form)
        guards.check_header(path, form)
        if not form.lazy:
            guards.check_memory(path, form)
        signals, notes = _signals(path, form, params.scan_shape)
        if lacking := _lacking(path, form):
            # Said at once, for it may be why `scan_shape` does not fit.
            log.warning("%s: %s", path.name, lacking)
        signal = layout.choose(signals, params.dataset, str(path))
        guards.check_promise(signal.data, path, form)
        about: dict[str, Any] = {
            "source_format": form.name,
            "dataset": signals.index(signal),
            "file_contents": "; ".join(f"{i}: {each}" for i, each in enumerate(signals)),
        }
        is_told = params.scan_shape is not None or params.content != "auto" or bool(params.extra_index)
        own = "" if is_told else schema_noted(signal)
        if own in (peaks.NAME, strain.NAME):
            with guards.damage(path, form):
                return restored(signal).assign_attrs(about, is_lazy=0)
        order = layout.plan(
            signal,
            form,
            scan_shape=params.scan_shape,
            content=params.content,
            extra_index=params.extra_index,
            where=str(path),
        )
        with guards.damage(path, form):
            data, is_lazy = _bring(path, form, signals.index(signal), signal, order, params.scan_shape)
            ds = _around(data, signal, notes) if own else None
            ds = _calibrated(data, signal, form, order) if ds is None else ds
        notes += [*filter(None, [ds.attrs.pop("notes", "")]), *order.notes]
        if not is_lazy:
            notes.append("read into memory as a whole")
        for text in filter(None, ds.attrs.get("calibration_refused", "").split("; ")):
            log.warning("%s: left %s: %s", path.name, "out" if text.startswith(calibrate.BEAM) else "in pixels", text)
        for text in notes:
            log.info("%s: %s", path.name, text)
        notes = [*filter(None, [lacking]), *notes]
        ds.attrs = {"title": path.stem, **ds.attrs, **about, "is_lazy": int(is_lazy)}
        if notes:
            ds.attrs["notes"] = "; ".join(notes)
        ds["intensity"].encoding["source"] = str(path)
        return _in_blocks(ds, signal, form, int(params.block_mb * 2**20)) if is_lazy else ds


def _calibrated(data: Any, signal: Signal, form: Format, order: Layout) -> xr.Dataset:
    """A data set with what the file says of beam and pixels, and in its attributes what was not believed."""
    attrs = calibrate.beam(signal, form)
    not_of_beam = attrs.pop("refused", [])
    calibration = calibrate.calibrate(signal, form, order, attrs)
    stated = attrs.pop("stated_scan_rotation_deg", 0)
    attrs |= {
        "title": signal.name or None,
        "notes": f"the file states a scan rotation of {stated:g} degrees in the microscope's own sense"
        if stated
        else None,
        "calibration_refused": "; ".join([*not_of_beam, *calibration.refused]) or None,
    }
    if not order.patterns:
        return images.make(data, step=calibration.step, **attrs)
    return fourd.make(data, scan_step=calibration.step, q_step=calibration.q, centre_px=calibration.centre_px, **attrs)


def _around(data: Any, signal: Signal, notes: list[str]) -> xr.Dataset | None:
    """What ronchi wrote, around data that travel to other processes as a file name; None if its axes were changed."""
    try:
        ds = restored(signal)
    except CalibrationError as error:
        notes.append(f"what ronchi noted in the file is left out: {error.what}")
        return None
    held = ds["intensity"].variable
    return ds.assign(intensity=xr.Variable(held.dims, data, held.attrs))


def _format(path: Path, name: str) -> Format:
    where = str(path)
    if not path.exists():
        raise ReadError("no such file", where=where, fix="check the path; relative ones start at the pipeline file")
    if name != "auto":
        if name not in FORMATS:
            raise ReadError(f"unknown format {name!r}", where=where, fix=f"one of: {', '.join(FORMATS)}")
        found = sniff.identify(path)
        return found if found is not None and found.name.startswith(name) else FORMATS[name]
    if path.is_file() and path.stat().st_size == 0:
        raise ReadError("the file is empty (0 bytes)", where=where, fix=guards.COPY)
    found = sniff.identify(path)
    if found is None:
        what = "" if path.is_dir() else sniff.fault(path)
        raise ReadError(
            what or "its content is of no format that is known here, or is damaged",
            where=where,
            fix=f"{guards.COPY}, or name its `format`, one of: {', '.join(FORMATS)}",
        )
    return found


def _signals(path: Path, form: Format, scan_shape: tuple[int, int] | None) -> tuple[list[Signal], list[str]]:
    """All data sets of a file, in a fixed order, and what is to be said of them."""
    from ronchi_rosettasciio import hdf5, merlin, zspy

    with guards.damage(path, form), quiet():
        if form.name == "mib":
            return merlin.read_merlin(path, scan_shape)
        if form.name == "arina":
            return hdf5.read_arina(path, scan_shape)
        if form.name == "hdf5":
            return hdf5.read_datasets(path), []
        if form.name == "npy":
            return [read_npy(path)], []
        if form.name == "zspy":
            return zspy.read_zspy(path), []
        return read_signals(path, form), []


def _lacking(path: Path, form: Format) -> str:
    """What the file has not of what its header promises; formats whose files must be whole are refused before."""
    from ronchi_rosettasciio import hdf5, merlin, zspy

    tell = {"mib": merlin.left_out, "zspy": zspy.lost_chunks, "hdf5": hdf5.left_out, "nexus": hdf5.left_out}.get(
        form.name
    )
    with guards.damage(path, form), quiet():
        return tell(path) if tell else ""


def _bring(
    path: Path, form: Format, index: int, signal: Signal, order: Layout, scan_shape: tuple[int, int] | None
) -> tuple[Any, bool]:
    """The data in ronchi's order, and whether they stay in the file."""
    data = order.apply(signal.data)
    if not hasattr(signal.data, "dask"):
        return np.asarray(data).astype(native_dtype(signal.data.dtype, form), copy=False), False
    opener = functools.partial(_open_array, path, form, index, order, scan_shape)
    lazy = LazySignal(path, form, opener, tuple(data.shape), data.dtype, data)
    return indexing.LazilyIndexedArray(lazy), True


def _open_array(path: Path, form: Format, index: int, order: Layout, scan_shape: tuple[int, int] | None) -> Any:
    return order.apply(_signals(path, form, scan_shape)[0][index].data)


def _in_blocks(ds: xr.Dataset, signal: Signal, form: Format, block_bytes: int) -> xr.Dataset:
    """Whole patterns or images in blocks that suit the chunks of the file."""
    intensity = ds["intensity"]
    chunks: tuple[int, ...]
    if intensity.ndim == 4:
        # Only compressed chunks are read whole or not at all; a reordered axis has none that are in order.
        as_stored = not form.raw and signal.shape == intensity.shape
        chunks = scan_chunks(
            intensity.shape, intensity.dtype.itemsize, signal.data.chunksize if as_stored else None, block_bytes
        )
    else:
        chunks = chunks_of_stack(intensity.shape, intensity.dtype.itemsize, block_bytes)
    return ds.assign(intensity=intensity.chunk(dict(zip(intensity.dims, chunks, strict=True))))
