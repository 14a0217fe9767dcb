"""Wheels of all distributions, installed as users install them, in environments that know no checkout."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import pytest

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = ROOT / "docs" / "examples" / "plugin-radial-gradient"
DISTS = [ROOT / "core", *sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml")), EXAMPLE]
BUILD = """
import os, sys
from hatchling.build import build_wheel
for dist in sys.argv[2:]:
    os.chdir(dist)
    print(build_wheel(sys.argv[1]))
"""

pytestmark = pytest.mark.slow


class Environment(Protocol):
    """What `fresh_environment` makes."""

    python: Path
    site: Path
    folder: Path

    def call(self, *command: str | Path, cwd: Path, ok: tuple[int, ...] = (0,)) -> str: ...
    def install(self, *wheels: Path) -> None: ...
    def ronchi(self, *arguments: str | Path, cwd: Path, ok: tuple[int, ...] = (0,)) -> str: ...


MakeEnvironment = Callable[..., Environment]


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Wheel of each distribution, built by its own build backend."""
    folder = tmp_path_factory.mktemp("wheels")
    build = [sys.executable, "-c", BUILD, str(folder), *map(str, DISTS)]
    built = subprocess.run(build, check=True, capture_output=True, text=True).stdout.split()
    return {dist.name: folder / name for dist, name in zip(DISTS, built, strict=True)}


@pytest.fixture(scope="module")
def everything(
    fresh_environment: MakeEnvironment, wheels: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Environment:
    """One environment with all wheels."""
    environment = fresh_environment(tmp_path_factory.mktemp("everything"))
    environment.install(*wheels.values())
    return environment


@pytest.mark.parametrize("dist", DISTS, ids=lambda path: path.name)
def test_a_wheel_holds_all_that_is_in_src(dist: Path, wheels: dict[str, Path]) -> None:
    """Data files, such as weights and templates, are the first to be forgotten."""
    files = {path.relative_to(dist / "src") for path in (dist / "src").rglob("*") if path.is_file()}
    caches = {path for path in files if any(part.startswith((".", "__pycache__")) for part in path.parts)}
    sources = {path.as_posix() for path in files - caches}
    assert sources
    with zipfile.ZipFile(wheels[dist.name]) as wheel:
        packed = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert sources <= packed
    assert any(name.endswith("/py.typed") for name in packed)
    assert not [name for name in packed if name.endswith((".pyc", ".nbi", ".nbc"))]


def test_all_that_is_advertised_can_be_made(everything: Environment, tmp_path: Path) -> None:
    """Every factory is imported, from the fresh environment and from nowhere else."""
    code = """
        import importlib, json, sys
        from ronchi.manager import get_manager
        from ronchi.kinds import KINDS
        manager = get_manager()
        made = []
        for entry in manager.catalog.entries:
            spec = manager.spec(entry.kind, f"{entry.dist}:{entry.name}")
            for factory in filter(None, (spec.factory, spec.trainer)):
                module, _, name = factory.partition(":")
                getattr(importlib.import_module(module), name)
            made.append(f"{entry.kind}/{entry.name}")
        files = [module.__file__ for name, module in sys.modules.items() if name.startswith("ronchi")]
        print(json.dumps([made, [file for file in files if file]]))
    """
    script = tmp_path / "make.py"
    script.write_text("\n".join(line[8:] for line in code.splitlines()))
    made, files = json.loads(everything.call(everything.python, script, cwd=tmp_path).splitlines()[-1])
    assert {"reader/native", "disk_detector/crosscorr", "disk_detector/radial-gradient", "strain_solver/lattice"} < set(
        made
    )
    assert len(files) > 100
    assert not [file for file in files if not Path(file).is_relative_to(everything.site)]


def test_the_doctor_finds_nothing_to_say(everything: Environment, tmp_path: Path) -> None:
    """Not from inside, where all plugins are imported and what they require is compared, nor from outside."""
    assert json.loads(everything.ronchi("doctor", "--json", cwd=tmp_path)) == []
    seen = everything.call(
        sys.executable, "-m", "ronchi", "doctor", "--path", everything.folder, cwd=tmp_path, ok=(0, 1)
    )
    # What is borrowed lies in a folder of its own, which is not looked into.
    told = re.findall(r"^(\w+): (\S+) \((\S+)\): (.*)$", seen, re.MULTILINE)
    assert not [what for _, _, _, what in told if "which is not installed" not in what or "needs ronchi" in what]


PIPELINE = """\
schema: ronchi.pipeline/1
name: rim
steps:
  scan:   {simulator: disks, params: {scan_shape: [2, 4], dose_e: 100000}}
  disks:  {disk_detector: radial-gradient, data: scan}
outputs: {peaks: {from: disks, path: peaks.nc}}
"""
BARE = """\
schema: ronchi.pipeline/1
name: bare
steps:
  scan:  {simulator: disks, params: {scan_shape: [2, 4]}}
  image: {transform: virtual-image, data: scan}
outputs: {image: {from: image, path: image.nc}}
"""
BENCHMARK = """\
schema: ronchi.benchmark/1
name: rims
steps:
  scan:   {simulator: disks, params: {scan_shape: [1, 3], dose_e: 100000}}
  find:   {disk_detector: [radial-gradient, {name: radial-gradient, as: wide, params: {width_px: 1.5}}], data: scan}
  found:  {metric: peak-f1, result: find, truth: scan.truth_peaks}
protocol: {repeats: 1}
compare: {slot: find, figures: [found.f1]}
"""


def test_a_benchmark_takes_it_by_its_name(everything: Environment, tmp_path: Path) -> None:
    """Only detectors that compile nothing: all caches of compiled code are cold here."""
    (tmp_path / "rims.yaml").write_text(BENCHMARK)
    shown = everything.ronchi("bench", "rims.yaml", "-o", "rims", cwd=tmp_path)
    values = {name: float(value) for name, value in re.findall(r"(\S+) +found\.f1 +(\d\S*)", shown)}
    assert set(values) == {"radial-gradient", "wide"}
    assert min(values.values()) > 0.9
    listed = everything.ronchi("info", "disk_detector/radial-gradient", cwd=tmp_path)
    assert "10.1063/1.4767655" in listed


def test_its_own_tests_pass_where_it_is_installed(everything: Environment, tmp_path: Path) -> None:
    """The contract of all detectors among them."""
    pytest_there = [everything.python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", EXAMPLE / "pyproject.toml"]
    shown = everything.call(*pytest_there, EXAMPLE / "tests", cwd=tmp_path)
    passed = re.search(r"(\d+) passed", shown)
    assert passed is not None
    assert int(passed.group(1)) >= 25, shown


SPEC = """
from ronchi.api import AlgorithmSpec, Params, hookimpl

@hookimpl
def ronchi_disk_detectors():
    return [AlgorithmSpec(name="radial-gradient", summary="Another.", params=Params, factory="nowhere:Nothing",
                          inputs={"data": "fourd/1"}, output="peaks/1", api=1)]
"""


def fake(site: Path, dist: str, name: str, code: str) -> None:
    """Install a distribution of one module by hand."""
    info = site / f"{dist}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {dist}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[ronchi.disk_detectors]\n{name} = {dist}\n")
    (site / f"{dist}.py").write_text(code)


def test_no_plugin_one_plugin_a_broken_one_and_two_of_one_name(
    fresh_environment: MakeEnvironment, wheels: dict[str, Path], tmp_path: Path
) -> None:
    """One environment, in which plugins arrive one after the other."""
    environment = fresh_environment(tmp_path / "few")
    (tmp_path / "rim.yaml").write_text(PIPELINE)

    def ronchi(*arguments: str, ok: int = 0) -> str:
        return environment.ronchi(*arguments, cwd=tmp_path, ok=(ok,))

    environment.install(wheels["core"])
    assert "no problem found" in ronchi("doctor")
    listed = ronchi("plugins")
    assert "native" in listed
    assert "disk_detector" not in listed
    assert "no disk_detector is called 'radial-gradient'" in ronchi("validate", "rim.yaml", ok=2)
    (tmp_path / "bare.yaml").write_text(BARE)
    ronchi("run", "bare.yaml", "-o", "bare", "--quiet")
    assert (tmp_path / "bare" / "image.nc").exists()

    environment.install(wheels[EXAMPLE.name])
    ronchi("run", "rim.yaml", "-o", "out", "--quiet")
    assert (tmp_path / "out" / "peaks.nc").exists()

    fake(environment.site, "brokendist", "broken", "raise RuntimeError('its library is missing')\n")
    ronchi("validate", "rim.yaml")
    assert "broken: brokendist (brokendist): RuntimeError: its library is missing" in ronchi("doctor", ok=1)

    fake(environment.site, "otherdist", "radial-gradient", SPEC)
    assert "otherdist:radial-gradient" in ronchi("validate", "rim.yaml", ok=2)
    assert "clash: otherdist, ronchi-radial-gradient" in ronchi("doctor", ok=1)
    named = PIPELINE.replace(": radial-gradient", ": 'ronchi-radial-gradient:radial-gradient'")
    (tmp_path / "rim.yaml").write_text(named)
    ronchi("run", "rim.yaml", "-o", "out", "--quiet")
