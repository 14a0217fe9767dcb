"""The catalog reads metadata alone, by two scanners that agree, and survives bad metadata."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ronchi.catalog import scan
from ronchi.kinds import KINDS
from ronchi.manager import get_manager

SCANNERS = pytest.mark.parametrize("fallback", [False, True], ids=["entrypoints", "stdlib"])


@SCANNERS
def test_finds_the_core_and_normalises_names(make_dist, fallback):
    site = make_dist("My_Detector", "[ronchi.disk_detectors]\nspotty = my_detector\n")
    (entry,) = scan([site], fallback=fallback).entries
    assert (entry.kind, entry.name, entry.dist, entry.version) == ("disk_detector", "spotty", "my-detector", "1.0")
    assert "native" in scan(fallback=fallback).names("reader")


def test_both_scanners_agree_on_this_environment():
    assert scan().entries == scan(fallback=True).entries


@SCANNERS
def test_two_dists_with_one_name_are_a_clash(make_dist, fallback):
    make_dist("one", "[ronchi.metrics]\nsame = one\n")
    site = make_dist("two", "[ronchi.metrics]\nsame = two\n")
    catalog = scan([site], fallback=fallback)
    assert catalog.clashes() == [("metric", "same", ["one", "two"])]
    assert [entry.dist for entry in catalog.find("metric", "two:same")] == ["two"]


@SCANNERS
def test_of_a_dist_that_is_there_twice_the_first_on_the_path_counts(make_dist, tmp_path, fallback):
    first = make_dist("one-detector", "[ronchi.metrics]\nuno = one\n", version="2.0")
    second = tmp_path / "second"
    shutil.copytree(first, second)
    old = second / "one_detector-2.0.dist-info"
    (old / "METADATA").write_text("Metadata-Version: 2.1\nName: One_Detector\nVersion: 1.0\n")
    old.rename(second / "one_detector-1.0.dist-info")
    catalog = scan([first, second], fallback=fallback)
    assert [entry.version for entry in catalog.entries] == ["2.0"]
    assert catalog.clashes() == []


def test_malformed_file_of_another_dist_is_a_problem_not_a_stop(make_dist):
    make_dist("broken", "this is not an ini file\n")
    site = make_dist("fine", "[ronchi.metrics]\nfine = fine\n")
    catalog = scan([site])
    assert catalog.names("metric") == ["fine"]
    assert "malformed" in catalog.problems[0].what
    assert catalog.problems[0].dist == "broken"


def test_malformed_value_is_a_problem(make_dist):
    site = make_dist("odd", "[ronchi.metrics]\nodd = not a module!\ngood = odd\n")
    catalog = scan([site])
    assert catalog.names("metric") == ["good"]
    (problem,) = catalog.problems
    assert problem.dist == "odd"
    assert "'not a module!' of 'odd'" in problem.what


def test_name_outside_the_rules_is_a_problem(make_dist):
    site = make_dist("shouting", "[ronchi.metrics]\nLOUD = shouting\n")
    catalog = scan([site])
    assert catalog.entries == ()
    assert "LOUD" in catalog.problems[0].what


def test_switches_hide_plugins(make_dist, monkeypatch):
    site = make_dist("one-detector", "[ronchi.metrics]\nuno = one\n")
    monkeypatch.setenv("RONCHI_DISABLE_PLUGINS", "other, one_detector")
    assert scan([site]).entries == ()
    monkeypatch.setenv("RONCHI_DISABLE_PLUGINS", "")
    assert scan([site]).entries
    monkeypatch.setenv("RONCHI_NO_PLUGINS", "1")
    assert scan([site]).entries == ()
    assert "native" in scan().names("reader")


@pytest.mark.parametrize("arguments", [["plugins"], ["plugins", "--json"], ["--help"], ["--version"], ["plugin"]])
def test_listing_imports_nothing_heavy(arguments):
    code = (
        "import sys; from ronchi.cli.main import main; main(sys.argv[1:]);"
        "heavy = {'numpy', 'xarray', 'pydantic', 'torch', 'numba', 'scipy', 'dask', 'matplotlib'} & set(sys.modules);"
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_readme_names_all_that_the_core_brings():
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    manager = get_manager()
    own = [name for kind in KINDS for name in manager.names(kind) if manager.dist(kind, name)[0] == "ronchi"]
    assert [name for name in own if f"`{name}`" not in readme] == []
