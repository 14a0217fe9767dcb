"""The probe: from vacuum, from the central disk, from a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from pydantic import ValidationError

from ronchi.api import Context
from ronchi.builtin.beam import direct_beam
from ronchi.builtin.disks import disk_scan
from ronchi.builtin.native import open_native
from ronchi.builtin.params_transforms import ProbeParams
from ronchi.builtin.probe import Probe, cut_disk, edge_radius
from ronchi.errors import CalibrationError, DataError, ReadError
from ronchi.schema import fourd
from ronchi.writing import write

CTX = Context(rng=np.random.default_rng(0))


def take(data: xr.Dataset, **params: Any) -> xr.Dataset:
    return Probe(ProbeParams.model_validate(params)).apply(data=data, ctx=CTX)


def scan(**changes: Any) -> xr.Dataset:
    return disk_scan(np.random.default_rng(0), **{"scan_shape": (4, 8), "dose_e": 1e5, **changes}).data


def likeness(a: xr.DataArray, b: xr.DataArray) -> float:
    """Normalised correlation."""
    x, y = (v.values.astype(float) for v in (a, b))
    return float((x * y).sum() / np.sqrt((x**2).sum() * (y**2).sum()))


def test_vacuum_region_is_averaged() -> None:
    data = scan()
    vacuum = scan(central_fraction=1.0, background_fraction=0, intensity_spread=0)
    data["intensity"][:, :2] = vacuum["intensity"][:, :2]
    result = take(data.drop_vars("probe"), method="vacuum", scan_x=(0, 2))
    # 8 patterns of 1e5 e over 80 px: 1 % a pixel.
    assert likeness(result["probe"], data["probe"]) > 0.9995
    np.testing.assert_allclose(result["probe"].sum(), data["probe"].sum(), rtol=0.01)
    assert "centre_q" not in result["probe"].attrs, "calibrate and centre would make it stale"
    assert "8 patterns" in result["probe"].attrs["source"]


@pytest.mark.parametrize("known_radius", [True, False])
@pytest.mark.parametrize("shape", [(96, 96), (91, 100)])
def test_central_disk_looks_like_the_probe(known_radius: bool, shape: tuple[int, int]) -> None:
    data = scan(pattern_shape=shape, background_fraction=0.1, centre_px=(46.4, 47.7))
    given = data.drop_vars("probe")
    if not known_radius:
        del given.attrs["semiangle_mrad"]
    result = take(given)
    assert likeness(result["probe"], data["probe"]) > 0.998
    assert float(result["probe"].values[0, 0]) == 0
    assert fourd.disk_radius_px(result.drop_attrs(deep=False).assign_attrs(ronchi_schema="fourd/1")) == pytest.approx(
        5, rel=0.04
    )


def test_bad_pixels_do_not_show() -> None:
    data = scan()
    data["intensity"][..., 48, 48] = 60000
    bad = np.zeros((96, 96))
    bad[48, 48] = 1
    marked = data.assign(bad_pixel=(("qy", "qx"), bad.astype("i1"), {"units": "1", "long_name": "bad"}))
    assert likeness(take(marked)["probe"], data["probe"]) > 0.998


@pytest.mark.parametrize("params", [{}, {"method": "vacuum", "scan_x": (0, 4)}])
def test_positions_that_are_not_valid_are_left_out(params: dict[str, Any]) -> None:
    data = scan()
    valid = np.ones((4, 8), bool)
    valid[0] = False
    values = data["intensity"].values.astype("f4")
    values[0] = np.nan
    marks = (("scan_y", "scan_x"), valid.astype("i1"), {"units": "1", "long_name": "recorded"})
    broken = data.assign(valid=marks, intensity=(data["intensity"].dims, values, data["intensity"].attrs))
    expected = take(data.isel(scan_y=slice(1, None)).drop_vars("probe"), **params)["probe"]
    found = take(broken.drop_vars("probe"), **params)["probe"]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert found.attrs["source"] == expected.attrs["source"]


def test_files_of_both_kinds(tmp_path: Path) -> None:
    data = scan()
    np.save(tmp_path / "probe.npy", data["probe"].values)
    path = write(data.isel(scan_y=[0], scan_x=[0]), tmp_path / "vacuum.nc")
    for name in ("probe.npy", str(path)):
        result = take(data.drop_vars("probe"), method="file", path=str(tmp_path / name))
        np.testing.assert_array_equal(result["probe"], data["probe"])
    with pytest.raises(DataError, match="shape"):
        take(data.isel(qy=slice(0, 50)).drop_vars("probe"), method="file", path=str(path))
    bare = write(data.drop_vars("probe"), tmp_path / "bare.nc")
    with pytest.raises(ReadError, match="no variable 'probe'"):
        take(data, method="file", path=str(bare))
    with pytest.raises(ReadError, match="npy"):
        take(data, method="file", path=str(tmp_path / "absent.npy"))


def test_the_shared_stack_gives_its_own_probe(shared_data: Path) -> None:
    with open_native(shared_data / "sim" / "sige_onzone.nc").data as data:
        found = take(data.drop_vars("probe"))["probe"]
        # Dynamical contrast inside the disk remains: the shape is right, the filling is not flat.
        assert likeness(found, data["probe"]) > 0.97


def test_radius_where_the_edge_is() -> None:
    data = scan(radius_px=7.3, noise=False, background_fraction=0)
    pattern = data["probe"].values.astype(float)
    centre = direct_beam(pattern, 7.0)
    assert centre == pytest.approx((48, 48), abs=0.01)
    assert edge_radius(pattern, centre) == pytest.approx(7.3, abs=0.25)
    probe, radius = cut_disk(pattern + 3.0, None)
    assert radius == pytest.approx(7.3, abs=0.3)
    np.testing.assert_allclose(probe, pattern, atol=0.01 * pattern.max())


def test_what_cannot_be_a_probe() -> None:
    flat = fourd.make(np.ones((1, 2, 32, 32)))
    with pytest.raises(CalibrationError, match="no disk stands out"):
        take(flat)
    with pytest.raises(CalibrationError, match="empty"):
        take(fourd.make(np.zeros((1, 2, 32, 32))), method="vacuum", scan_x=(0, 1))
    with pytest.raises(DataError, match="holds nothing"):
        take(flat, method="vacuum", scan_x=(5, 9))
    for params in ({"method": "vacuum"}, {"method": "file"}):
        with pytest.raises(ValidationError):
            ProbeParams.model_validate(params)


@pytest.mark.parametrize("clipped", [False, True])
def test_a_halo_is_no_probe_unless_its_radius_is_known(clipped: bool) -> None:
    """Spots of a parallel beam, whose halo falls off by 1/e in 6 px: where it is half as high there is no rim."""
    y, x = np.mgrid[-48:48, -48:48]
    halo = 400 * np.exp(-np.hypot(y, x) / 6)
    data = fourd.make(np.broadcast_to(np.minimum(halo, 255) if clipped else halo, (2, 2, 96, 96)).astype(np.uint16))
    with pytest.raises(CalibrationError, match=r"a halo and no disk(?s:.*)`radius_px`"):
        take(data)
    assert float(take(data, radius_px=3)["probe"].max()) > 0


@pytest.mark.parametrize("name", ["sige_onzone", "sige_tilt", "graphene4d"])
def test_the_direct_beam_is_found_where_diffracted_disks_are_brighter(shared_data: Path, name: str) -> None:
    with open_native(shared_data / "sim" / f"{name}.nc").data as data:
        mean = data["intensity"].mean(("scan_y", "scan_x")).values
        found = direct_beam(mean, fourd.disk_radius_px(data) or 0)
        # Dynamical contrast pulls the centre of mass by a fraction of the radius of 2 px.
        assert found == pytest.approx(fourd.centre_px(data), abs=0.3)
