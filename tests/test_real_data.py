"""Real measurements, from the file to the number that a textbook or the eye can check.

The files are found in the folder ``real`` of the shared data; without it these tests are skipped, and say so.
"""

from __future__ import annotations

import itertools
import time
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

import ronchi
from ronchi.schema import peaks

PARTICLE = """
schema: ronchi.pipeline/1
name: particle
steps:
  load: {{reader: py4dstem, params: {{path: {path}}}}}
  strain: {{strain_solver: lattice, peaks: load}}
outputs:
  strain: {{from: strain, path: strain.nc}}
  report: {{path: report.html}}
"""
SILVER_ANGSTROM = 4.0862


@pytest.fixture
def real_data(shared_data: Path) -> Path:
    folder = shared_data / "real"
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}: set RONCHI_SHARED_DATA to run this test")
    return folder


@pytest.mark.alone
@pytest.mark.slow
def test_the_peaks_of_a_particle_become_a_strain_map(real_data, tmp_path, capsys):
    """80 x 58 positions on one particle of a cathode oxide, vacuum around it; peaks found by py4DSTEM 0.13."""
    path = real_data / "py4dstem" / "braggdisks_cali.h5"
    (tmp_path / "particle.yaml").write_text(PARTICLE.format(path=path))
    ronchi.read(path)  # imports
    began = time.perf_counter()
    found = ronchi.read(path)
    read_s = time.perf_counter() - began
    assert found.sizes["peak"] == 121_390
    assert found["qx"].attrs["units"] == "1/angstrom"
    assert read_s < 2

    run = ronchi.run(tmp_path / "particle.yaml", out=tmp_path / "out")
    began = time.perf_counter()
    strain = ronchi.strain(found)
    solve_s = time.perf_counter() - began
    valid = strain["valid"].values == 1
    with capsys.disabled():
        print(
            f"\n4640 positions, 121390 peaks: read in {read_s * 1e3:.0f} ms, strain in {solve_s * 1e3:.0f} ms = "
            f"{solve_s / valid.size * 1e6:.0f} us a position; {valid.sum()} fitted"
        )
    np.testing.assert_array_equal(run["strain"]["e_xx"], strain["e_xx"])
    assert "Maps of the strain components" in (tmp_path / "out" / "report.html").read_text()

    counts = found["n_peaks"].values.reshape(80, 58)
    assert not valid[counts < 5].any(), "vacuum shows the direct beam and noise"
    assert valid[counts >= 20].mean() > 0.98
    blobs, _ = ndimage.label(valid)
    assert np.bincount(blobs[valid]).max() > 0.99 * valid.sum(), "one particle, not scattered fits"
    inside = ndimage.binary_erosion(valid, iterations=3)
    for name in ("e_xx", "e_yy", "e_xy", "theta"):
        values = strain[name].values
        assert np.isnan(values[~valid]).all()
        # Away from the rim, at most what peaks that are known to 0.02 1/angstrom allow.
        assert 1.4826 * np.median(np.abs(values[inside])) < 0.006

    lattice = ronchi.strain(found, side="lattice")
    shells = [np.hypot(*(n * lattice.attrs[f"basis_{g}"])) for g, n in (("g1", 2), ("g2", 4))]
    # The strongest reflections: 440 and 444 of a spinel of 8.24 angstrom.
    np.testing.assert_allclose(shells, [np.sqrt(32) / 8.24, np.sqrt(48) / 8.24], rtol=0.01)


def test_the_rings_of_silver_lie_at_their_radii(real_data):
    """Sums of five grains of a polycrystal on a calibrated camera; f.c.c. allows 111, 200, 220, 311."""
    found = ronchi.detect(
        ronchi.read(real_data / "nordtem" / "SPED_Ag_labels_sum_signal.hspy"), "crosscorr", probe_radius_px=1.5
    )
    edges = peaks.offsets(found)
    radii = []
    for start, stop in itertools.pairwise(edges):
        qy, qx = found["qy"].values[start:stop], found["qx"].values[start:stop]
        beam = np.argmax(found["intensity"].values[start:stop])
        radii.append(np.hypot(qy - qy[beam], qx - qx[beam]))
    radius = np.concatenate(radii)
    for indices, least in (((1, 1, 1), 15), ((2, 0, 0), 8), ((2, 2, 0), 8), ((3, 1, 1), 15)):
        expected = np.linalg.norm(indices) / SILVER_ANGSTROM
        near = radius[np.abs(radius / expected - 1) < 0.03]
        assert len(near) >= least, indices
        assert np.median(near) == pytest.approx(expected, rel=0.01), indices
    inner = radius[(radius > 0.1) & (radius < 0.6)]
    allowed = np.array([np.sqrt(3), 2.0]) / SILVER_ANGSTROM
    assert (np.abs(inner[:, None] / allowed - 1).min(axis=1) < 0.03).all(), "nothing inside that silver does not have"
