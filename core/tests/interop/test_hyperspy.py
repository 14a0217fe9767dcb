"""HyperSpy itself: signals of the right class, lazy where the data are, and the way back."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ronchi.errors import SchemaError
from ronchi.interop import from_hyperspy, to_hyperspy
from ronchi.schema import fourd

if importlib.util.find_spec("hyperspy") is None:
    pytest.skip('HyperSpy is not installed: pip install "ronchi[hyperspy]" to run these tests', allow_module_level=True)

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")


def _samples():
    spec = importlib.util.spec_from_file_location("samples", Path(__file__).with_name("samples.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


samples = _samples()


@pytest.fixture(scope="module")
def hs():
    import hyperspy.api

    return hyperspy.api


@pytest.mark.parametrize(
    ("ds", "kind", "text"),
    [
        (samples.patterns(), "Signal2D", "(5, 3|12, 16)"),
        (samples.patterns(lazy=True), "LazySignal2D", "(5, 3|12, 16)"),
        (samples.patterns(calibrated=False), "Signal2D", "(5, 3|12, 16)"),
        (samples.frames(), "Signal2D", "(4|8, 6)"),
        (samples.found_peaks(), "BaseSignal", "(5, 3|ragged)"),
        (samples.some_strain(), "Signal2D", "(11|5, 3)"),
    ],
    ids=["patterns", "lazy", "pixels", "images", "peaks", "strain"],
)
def test_there_and_back(hs, ds, kind, text):
    signal = to_hyperspy(ds)
    assert type(signal).__name__ == kind
    assert text in str(signal)
    back = from_hyperspy(signal)
    for name, var in ds.variables.items():
        np.testing.assert_allclose(back[name].values, var.values, rtol=1e-12, atol=1e-12, err_msg=name)
        assert back[name].attrs["units"] == var.attrs["units"], name
    if kind.startswith("Lazy"):
        assert back["intensity"].chunks is not None
    for name in ("beam_energy_eV", "semiangle_mrad", "camera_length_m", "scan_rotation_deg"):
        assert back.attrs.get(name) == (pytest.approx(ds.attrs[name], rel=1e-12) if name in ds.attrs else None)


def test_hyperspy_agrees_on_positions_and_values(hs):
    """Its index is (x, y), its coordinates are calibrated: both point at the same pixel as ours."""
    ds = samples.patterns()
    signal = to_hyperspy(ds)
    one = signal.inav[4, 1].isig[3, 10]
    assert one.data.item() == ds["intensity"].values[1, 4, 10, 3]
    by_value = signal.inav[20.0, 4.0].isig[float(ds["qx"][3]), float(ds["qy"][10])]
    assert by_value.data.item() == ds["intensity"].values[1, 4, 10, 3]
    assert signal.metadata.Acquisition_instrument.TEM.beam_energy == 200


def test_signals_of_hyperspy_itself_become_scans(hs):
    signal = hs.signals.Signal2D(np.arange(2 * 3 * 6 * 8).reshape(2, 3, 6, 8))
    for axis, name, scale, units in zip(
        signal.axes_manager._axes,
        ("y", "x", "ky", "kx"),
        (2.0, 2.0, 0.5, 0.5),
        ("nm", "nm", "1/nm", "1/nm"),
        strict=True,
    ):
        axis.name, axis.scale, axis.units = name, scale, units
    ds = from_hyperspy(signal)
    assert fourd.q_step(ds) == pytest.approx((0.05, 0.05))
    assert float(ds["scan_y"][1]) == 20.0
    one = from_hyperspy(signal.inav[0])
    assert (one.sizes["scan_y"], one.sizes["scan_x"]) == (1, 2)


def test_a_part_of_a_signal_loses_what_belonged_to_the_whole(hs):
    part = from_hyperspy(to_hyperspy(samples.patterns()).isig[2:8])
    assert fourd.centre_px(part) == pytest.approx((7.5, 4.25))
    assert "probe" not in part
    assert "valid" in part


def test_peaks_that_hyperspy_found(hs):
    frames = np.zeros((2, 3, 32, 32))
    for index in np.ndindex(2, 3):
        frames[index][8 + index[0], 20 + index[1]] = 100
    signal = hs.signals.Signal2D(frames)
    for axis, offset in zip(signal.axes_manager._axes[2:], (-16.0, -16.0), strict=True):
        axis.offset = offset
    found = from_hyperspy(signal.find_peaks(method="local_max", interactive=False, show_progressbar=False))
    assert found["n_peaks"].values.tolist() == [1] * 6
    assert found["qy"].values.tolist() == [8, 8, 8, 9, 9, 9]
    assert found["qx"].values.tolist() == [20, 21, 22] * 2


def test_what_is_no_signal_is_refused():
    with pytest.raises(SchemaError, match="no HyperSpy signal"):
        from_hyperspy(np.zeros((2, 2)))


def test_nothing_of_a_peer_is_imported_before_its_use():
    code = """
        import sys
        import ronchi.interop
        peers = {"hyperspy", "pyxem", "libertem", "py4DSTEM", "rsciio"}
        assert not peers & set(sys.modules), peers & set(sys.modules)
    """
    import textwrap

    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True, timeout=60)


def test_a_peer_that_is_absent_is_asked_for(monkeypatch):
    monkeypatch.setitem(sys.modules, "hyperspy.api", None)
    from ronchi.errors import PluginError

    with pytest.raises(PluginError, match=r'hyperspy .*\n.*pip install "ronchi\[hyperspy\]"'):
        to_hyperspy(samples.patterns())
