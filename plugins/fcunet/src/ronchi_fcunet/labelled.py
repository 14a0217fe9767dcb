"""Samples of the user's own patterns whose disks are known: simulated, labelled by hand, or found and looked at."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ronchi.api import DataError, Geometry, RonchiError
from ronchi.bad_pixels import BadPixelFill
from ronchi.schema import fourd, peaks
from ronchi_fcunet.decode import beam_radius_px
from ronchi_fcunet.samples import Sample, check_sample
from ronchi_fcunet.template import probe_template
from ronchi_fcunet.train_params import Labelled

__all__ = ["LabelledSamples"]

_LABEL_SIGMA_PX = 0.65
"""Width of a lattice point in the images of a library, which fall to 0.29 within a pixel."""


class LabelledSamples:
    """Patterns (``fourd/1``) with their peaks (``peaks/1``), file by file: a file is what a prototype is in a library.

    Parameters
    ----------
    sources : sequence of Labelled
    split : str
        Those of them that are taken.

    Raises
    ------
    DataError
        There are none of the split; a file is in two splits, cannot be read, or does not fit its peaks or the others;
        or the size of its disks is not known.
    """

    def __init__(self, sources: tuple[Labelled, ...], split: str) -> None:
        self.sources = [source for source in sources if source.split == split]
        if not self.sources:
            raise DataError(f"nothing labelled is for {split}", where="labelled", fix=f"an entry with split: {split}")
        # However a path is written, it is one file.
        self.prototypes = {str(source.data.resolve()) for source in self.sources}
        both = self.prototypes & {str(source.data.resolve()) for source in sources if source.split != split}
        if both:
            raise DataError("a file is in two splits", where=min(both), fix="hold out another scan, or crop it in two")
        self._files: list[_File] | None = None
        files = self._opened()
        shapes = sorted({file.probe.shape for file in files})
        if len(shapes) > 1:
            what = f"the patterns have several sizes: {', '.join(map(str, shapes))}"
            raise DataError(what, where="labelled", fix="crop or bin them to one")
        self._first = np.cumsum([0, *(len(file.positions) for file in files)])
        told = hashlib.sha256()
        for file in files:
            told.update(file.places.tobytes() + file.strength.tobytes() + file.probe.tobytes())
            told.update(file.pattern(int(file.positions[0])).tobytes())
        self.identity = told.hexdigest()

    def __len__(self) -> int:
        return int(self._first[-1])

    def __getstate__(self) -> dict[str, Any]:
        # Every process opens the files by itself.
        return {**self.__dict__, "_files": None}

    def sample(self, number: int) -> Sample:
        """What `LibrarySamples.sample` gives, of a pattern as it was recorded, scaled to the sum 1."""
        place = int(np.searchsorted(self._first, number, side="right")) - 1
        return self._opened()[place].sample(number - int(self._first[place]))

    def _opened(self) -> list[_File]:
        if self._files is None:
            self._files = [_File(source) for source in self.sources]
        return self._files


class _File:
    """Open patterns with their peaks."""

    def __init__(self, source: Labelled) -> None:
        import ronchi

        try:
            data = fourd.validate(ronchi.read(source.data), str(source.data))
            found = peaks.validate(ronchi.read(source.peaks), str(source.peaks))
        except (OSError, RonchiError) as error:
            raise DataError(f"cannot be learned from: {error}", where=str(source.data)) from error
        self.where, self.shape = str(source.data), (data.sizes["qy"], data.sizes["qx"])
        own = (*self.shape, data.sizes["scan_y"], data.sizes["scan_x"])
        theirs = (*map(int, found.attrs["q_shape"]), *map(int, found.attrs["scan_shape"]))
        if own != theirs:
            what = f"the peaks are of data of the shape {theirs}, (qy, qx, scan_y, scan_x); the data have {own}"
            raise DataError(what, where=str(source.peaks), fix="give the peaks of this very file")
        bad = data["bad_pixel"].values.astype(bool) if "bad_pixel" in data else None
        geometry = Geometry(
            shape=self.shape, q_step=fourd.q_step(data), q_units=fourd.q_units(data), centre_px=fourd.centre_px(data),
            bad_pixel=bad, beam_energy_eV=data.attrs.get("beam_energy_eV"),
            semiangle_mrad=data.attrs.get("semiangle_mrad"),
        )  # fmt: skip
        self.probe, shape = probe_template(geometry, data["probe"].values if "probe" in data else None)
        self._fill = BadPixelFill(bad) if bad is not None and bad.any() else None
        self._patterns, self._centre = data["intensity"], geometry.centre_px
        self._beam_px = beam_radius_px(shape.radius_px)
        self._scan = np.stack([found["scan_y_index"].values, found["scan_x_index"].values], 1)
        self._offsets = peaks.offsets(found)
        self.places = np.stack(peaks.pixels(found), 1)
        # Amplitudes go as the root of intensities, as long as the sample is thin.
        self.strength = np.sqrt(np.clip(found["intensity"].values.astype(float), 0, None))
        self.positions = np.flatnonzero(found["n_peaks"].values > 0)
        if not len(self.positions):
            raise DataError("no pattern has any peak", where=str(source.peaks), fix="label or detect some")

    def pattern(self, position: int) -> NDArray[np.float32]:
        """Pattern (qy, qx) of a position, its bad pixels filled."""
        y, x = self._scan[position]
        made = np.asarray(self._patterns[int(y), int(x)].values, np.float32)
        return made if self._fill is None else self._fill(made[None])[0]

    def sample(self, number: int) -> Sample:
        position = int(self.positions[number])
        rows = slice(int(self._offsets[position]), int(self._offsets[position + 1]))
        points = self._points(self.places[rows], self.strength[rows])
        pattern = np.clip(self.pattern(position), 0, None)
        sample = {
            "pattern": pattern,
            "probe": self.probe,
            "label": _image(points, self.shape),
            "peaks": points,
            "on_zone": np.bool_(False),
        }
        check_sample(sample, f"{self.where}, scan_y {self._scan[position][0]}, scan_x {self._scan[position][1]}")
        return {**sample, "pattern": pattern / float(pattern.sum())}

    def _points(self, places: NDArray[np.float64], strength: NDArray[np.float64]) -> NDArray[np.float32]:
        """Peaks (m, 5) as in `LibrarySamples.sample`, all lit; the direct beam is put at q = 0 if it is absent."""
        away = np.hypot(*(places - self._centre).T)
        beam = np.zeros(len(places), bool)
        if away.min() < self._beam_px:
            beam[away.argmin()] = True
        else:
            places, strength = np.concatenate([places, [self._centre]]), np.append(strength, 0.0)
            beam = np.append(beam, True)
        top = max(float(strength[~beam].max(initial=0.0)), 1e-30)
        relative = np.where(beam, 1.0, strength / top)
        return np.column_stack([places, relative, beam, np.ones(len(places))]).astype(np.float32)


def _image(points: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.float32]:
    """Image (qy, qx) with a spot of its strength at every point, the highest of them 1."""
    y, x = (np.arange(side)[:, None] - points[:, axis] for axis, side in enumerate(shape))
    spots = [np.exp(-(along**2) / (2 * _LABEL_SIGMA_PX**2)) for along in (y, x)]
    made: NDArray[np.float32] = ((spots[0] * points[:, 2]) @ spots[1].T).astype(np.float32)
    return made / made.max()
