"""``ds.ronchi``: there without a call, light to import, and nothing but what the functions do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import ronchi
from ronchi.errors import SchemaError
from ronchi.schema import descriptors, fourd, peaks


def test_it_validates_writes_and_tells_the_schema(tmp_path: Path) -> None:
    ds = fourd.make(np.ones((2, 3, 8, 8), "u2"))
    assert ds.ronchi.schema == "fourd/1"
    assert ds.ronchi.validate() is ds
    assert ronchi.read(ds.ronchi.write(tmp_path / "a.nc", compress=False)).sizes == ds.sizes
    with pytest.raises(SchemaError, match="missing"):
        ds.drop_vars("intensity").ronchi.validate()


def test_it_draws_what_has_one_picture() -> None:
    patterns = fourd.make(np.random.default_rng(0).poisson(3, (2, 3, 8, 8)).astype("u2"))
    found = peaks.make(counts=[1, 2], qy=[0, 1, 2], qx=[0, 1, 2], scan_shape=(1, 2), q_shape=(8, 8))
    assert patterns.ronchi.plot().figure is not None
    assert found.ronchi.plot().figure is not None
    assert ronchi.virtual_image(patterns, "disk", radius=2.0).ronchi.plot() is not None
    with pytest.raises(SchemaError, match="no one picture of descriptors/1"):
        descriptors.make(np.zeros((4, 2)), dims=("sample",)).ronchi.plot()


def test_it_says_what_it_can() -> None:
    assert repr(fourd.make(np.ones((1, 1, 4, 4))).ronchi).startswith("<ronchi: a data set of schema fourd/1; plot, ")


def test_it_gives_peers_what_interop_gives_them() -> None:
    pytest.importorskip("hyperspy", reason='HyperSpy is not installed: pip install "ronchi[hyperspy]" to run this test')
    ds = fourd.make(np.ones((2, 3, 8, 8), "u2"))
    assert ds.ronchi.to_hyperspy().data.shape == (2, 3, 8, 8)


@pytest.mark.parametrize(
    "code",
    [
        "import xarray, ronchi; xarray.Dataset().ronchi",
        "import ronchi, xarray; ronchi.schema; xarray.Dataset().ronchi",
        "import ronchi, sys; ronchi.RonchiError; assert not {'xarray', 'numpy'} & set(sys.modules)",
    ],
)
def test_it_is_registered_and_costs_nothing_before(code: str) -> None:
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
