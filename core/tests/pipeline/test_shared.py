"""The distributions that a plugin shares with others count among what its results depend on."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from ronchi.pipeline import camera
from ronchi.pipeline.shared import _NUMERICS, _READING, known_parts, numerics_digest, shared_parts


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A plugin that needs a library that needs another one."""
    needs = {
        "ronchi_aa": ["ronchi>=0.1,<0.2", "numpy>=1", "ronchi-bb<3,>=2", 'ronchi-no; extra == "more"'],
        "ronchi_bb": ["ronchi-cc"],
        "ronchi_cc": [],
    }
    for number, (name, required) in enumerate(needs.items()):
        info = tmp_path / f"{name}-{number}.0.dist-info"
        info.mkdir()
        lines = "".join(f"Requires-Dist: {requirement}\n" for requirement in required)
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name.replace('_', '-')}\nVersion: {number}.0\n{lines}"
        )
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(f"number = {number}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    known_parts.cache_clear()
    return tmp_path


def test_versions_and_code_of_what_is_shared_are_seen(installed: Path) -> None:
    parts = shared_parts("ronchi-aa")
    assert {name: part["version"] for name, part in parts.items()} == {"ronchi-bb": "1.0", "ronchi-cc": "2.0"}
    before = parts["ronchi-cc"]["code"]
    (installed / "ronchi_cc" / "__init__.py").write_text("number = 7\n")
    known_parts.cache_clear()
    after = shared_parts("ronchi-aa")
    assert after["ronchi-cc"]["code"] != before
    assert after["ronchi-bb"] == parts["ronchi-bb"]


def test_what_shares_nothing_and_what_is_no_distribution_have_no_parts(installed: Path) -> None:
    assert shared_parts("ronchi-cc") == {}
    assert shared_parts("a plugin of this process alone") == {}


# What these give are no numbers, or a change of theirs is told by the key's format.
NO_NUMBERS = ("api", "chunking", "compiled", "errors", "file_faults", "history", "pipeline.executors", "schema")


def test_what_makes_numbers_for_plugins_is_known_with_all_that_it_is_made_of() -> None:
    core = Path(str(camera.__file__)).parents[1]
    files = [core / f"{name.replace('.', '/')}.py" for name in _NUMERICS]
    files += (core / "interop").glob("*.py")
    plugins = [file for file in (core.parents[2] / "plugins").glob("*/src/**/*.py") if "scaffold" not in file.parts]
    assert plugins
    for file in [*files, *plugins]:
        for imported in re.findall(r"^from ronchi\.([\w.]+) import", file.read_text(encoding="utf-8"), re.MULTILINE):
            listed = tuple(f"{name}." for name in (*_NUMERICS, *_READING, *NO_NUMBERS))
            assert f"{imported}.".startswith(listed), f"{file.name} takes numbers from ronchi.{imported}"


def test_numerics_of_the_core_are_told_by_their_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digest, reading = numerics_digest("disk_detector"), numerics_digest("reader")
    numerics_digest.cache_clear()
    assert numerics_digest("disk_detector") == digest
    other = tmp_path / "camera.py"
    other.write_text(Path(str(camera.__file__)).read_text() + "# of another release")
    monkeypatch.setattr(camera.__spec__, "origin", str(other))
    numerics_digest.cache_clear()
    assert numerics_digest("disk_detector") != digest
    assert numerics_digest("reader") == reading, "no reader estimates the noise of a camera"
    monkeypatch.setattr(f"{shared_parts.__module__}._READING", ("optics",))
    numerics_digest.cache_clear()
    assert numerics_digest("reader") != reading
    monkeypatch.undo()
    numerics_digest.cache_clear()
