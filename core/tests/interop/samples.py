"""One small data set of each schema, with every pixel, axis and calibration different."""

from __future__ import annotations

import numpy as np
import xarray as xr

from ronchi.schema import fourd, images, peaks, strain
from ronchi.schema.common import variable

SCAN = {
    "scan_y": variable("scan_y", np.arange(3) * 4.0 + 1, "angstrom", "scan position, y"),
    "scan_x": variable("scan_x", np.arange(5) * 5.0 + 2, "angstrom", "scan position, x"),
}


def patterns(*, lazy: bool = False, calibrated: bool = True) -> xr.Dataset:
    """A scan of 3 x 5 patterns of 16 x 12 pixels."""
    values = np.arange(3 * 5 * 16 * 12, dtype="u2").reshape(3, 5, 16, 12)
    more = (
        {"scan_step": (4.0, 5.0), "q_step": (0.02, 0.03), "centre_px": (7.5, 6.25), "beam_energy_eV": 200e3,
         "semiangle_mrad": 1.5, "camera_length_m": 0.2, "scan_rotation_deg": -12.0}
        if calibrated else {}
    )  # fmt: skip
    made = fourd.make(
        values, probe=np.arange(192.0, dtype="f4").reshape(16, 12), bad_pixel=values[0, 0] % 7 == 0,
        valid=np.arange(15).reshape(3, 5) != 4, title="a scan", **more,
    )  # fmt: skip
    return made.chunk(scan_y=1) if lazy else made


def frames() -> xr.Dataset:
    """A movie of 4 frames of 6 x 8 pixels."""
    return images.make(np.arange(192.0, dtype="f4").reshape(4, 6, 8), step=(0.2, 0.3), beam_energy_eV=80e3)


def part_of_a_movie() -> xr.Dataset:
    """Three frames, of which the third comes late, cut from the middle of larger ones; in electrons."""
    movie = images.make(np.arange(480.0, dtype="f4").reshape(6, 8, 10), step=(0.2, 0.3), units="electrons")
    times = variable("frame", np.arange(6) * 0.25 + 3, "s", "time")
    return movie.assign_coords(time=times).isel(frame=[1, 2, 5], y=slice(2, 7), x=slice(3, 9))


def found_peaks(*, calibrated: bool = True) -> xr.Dataset:
    """No to three peaks a position, on a scan of 3 x 5."""
    rng = np.random.default_rng(5)
    counts = np.arange(15) % 4
    n = int(counts.sum())
    names = ("intensity", "score", "disk_counts", "var_yy", "var_yx", "var_xx")
    columns = {name: rng.random(n).astype("f4") for name in names}
    more = {"q_step": (0.02, 0.03), "q_origin_px": (7.5, 6.25), "q_units": "1/angstrom", "scan_coords": SCAN}
    return peaks.make(
        counts=counts, qy=rng.normal(0, 0.2, n), qx=rng.normal(0, 0.2, n), scan_shape=(3, 5),
        flags=np.arange(n) % 3, q_shape=(16, 12), attrs={"beam_energy_eV": 200e3}, **columns,
        **(more if calibrated else {"q_origin_px": (8.0, 6.0)}),
    )  # fmt: skip


def indexed_peaks() -> xr.Dataset:
    """The same with indices and a column of another plugin, and an intensity that is no count."""
    found = found_peaks()
    numbers = np.arange(found.sizes["peak"])
    found["intensity"].attrs.update(units="1", long_name="probability of a disk")
    return found.assign(
        h=variable("peak", (numbers % 5).astype("i2"), "1", "index along g1"),
        k=variable("peak", (numbers % 3).astype("i2"), "1", "index along g2"),
        energy=variable("peak", numbers * 0.5, "eV", "energy loss"),
    )


def some_strain() -> xr.Dataset:
    """Random maps on a scan of 3 x 5, one position unfit."""
    rng = np.random.default_rng(3)
    components = {name: rng.normal(0, 0.01, (3, 5)) for name in strain.COMPONENTS}
    errors = {name: np.full((3, 5), 1e-4) for name in strain.COMPONENTS}
    for values in (*components.values(), *errors.values()):
        values[1, 2] = np.nan
    return strain.make(
        components, errors, residual=rng.random((3, 5)), n_used=np.arange(15).reshape(3, 5),
        valid=np.isfinite(components["e_xx"]), residual_units="1/angstrom", frame="scan", reference="the substrate",
        coords=SCAN,
    )  # fmt: skip
