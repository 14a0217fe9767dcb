"""Files count by their content, wherever in the parameters they are and whatever they are called by."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ronchi.api import Field, Params
from ronchi.apply import apply
from ronchi.errors import ConfigError
from ronchi.pipeline.param_files import beside, files_in, without_files
from ronchi.pipeline.replay import replay
from ronchi.pipeline.run import run_pipeline

PIPELINE = """\
schema: ronchi.pipeline/1
name: maps
steps:
  load: {{reader: toyread, params: {{path: scan.npy}}}}
  mean: {{transform: meanmap, data: load, params: {{{params}}}}}
outputs:
  mean: {{from: mean, path: mean.nc}}
"""


class Inner(Params):
    table: Path = Field(Path("t.txt"), description="A file.")


class Outer(Params):
    one: Path | str = Field("name", description="A file or a name.")
    several: tuple[Path, ...] = Field((), description="Files.")
    inner: Inner = Field(Inner(), description="More.")
    known: dict[str, Path] = Field(default_factory=dict, description="Files by name.")


def test_paths_are_found_and_placed_wherever_they_are(tmp_path):
    params = Outer(one=Path("a"), several=("b", "/c"), known={"d": Path("e")})
    assert files_in(params) == {
        "one": Path("a"), "several.0": Path("b"), "several.1": Path("/c"), "inner.table": Path("t.txt"),
        "known.d": Path("e"),
    }  # fmt: skip
    placed = files_in(beside(params, tmp_path))
    assert placed["several.0"] == tmp_path / "b"
    assert placed["several.1"] == Path("/c")
    assert placed["inner.table"] == tmp_path / "t.txt"
    assert files_in(Outer()) == {"inner.table": Path("t.txt")}
    assert beside(Outer(one="name"), tmp_path).model_fields_set == {"one", "inner"}
    assert without_files(params) == without_files(beside(params, tmp_path))
    assert without_files(params) != without_files(Outer(one="a", several=("b",)))


@pytest.fixture
def go(toys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TOYS", str(tmp_path / "toys"))
    (tmp_path / "toys").mkdir()
    np.save(tmp_path / "scan.npy", np.ones((3, 4, 8, 8), "f4"))
    for name in ("a.txt", "b.txt", "toys/one.txt", "toys/two.txt"):
        (tmp_path / name).write_text("2")

    def run(params):
        (tmp_path / "p.yaml").write_text(PIPELINE.format(params=params))
        return run_pipeline(tmp_path / "p.yaml", manager=toys, progress=False)

    return run


@pytest.mark.parametrize(("params", "file"), [("masks: [a.txt, b.txt]", "b.txt"), ("named: one", "toys/one.txt")])
def test_a_changed_file_makes_the_step_anew(go, tmp_path, params, file):
    factor = 4 if "masks" in params else 2
    first = go(params)
    assert float(first["mean"]["mean"][0, 0]) == factor
    assert go(params).steps["mean"].status == "cached"
    (tmp_path / file).write_text("3")
    again = go(params)
    assert again.steps["mean"].status == "done"
    assert float(again["mean"]["mean"][0, 0]) == factor * 1.5


def test_what_a_name_stood_for_is_recorded_and_checked(go, toys, tmp_path):
    run = go("named: one")
    record = json.loads((run.out_dir / "provenance.json").read_text())
    assert record["inputs"]["mean.params.named"]["path"] == str(tmp_path / "toys" / "one.txt")
    assert replay(run.out_dir / "provenance.json", manager=toys, progress=False).equal
    (tmp_path / "toys" / "one.txt").write_text("3")
    with pytest.raises(ConfigError, match="has changed since the run"):
        replay(run.out_dir / "provenance.json", manager=toys, progress=False)


def test_files_of_the_same_content_are_the_same(go):
    go("named: one")
    assert go("named: two").steps["mean"].status == "cached"


@pytest.mark.parametrize("params", [{"named": "one"}, {"masks": ["a.txt", "b.txt"]}, {"mask": "a.txt"}, {}])
def test_random_numbers_are_the_same_without_a_pipeline(go, toys, monkeypatch, params):
    """Whatever its files are called by, and wherever they lie."""
    import toydist

    made, drawn = toydist.MeanMap.apply, []
    monkeypatch.setattr(
        toydist.MeanMap, "apply", lambda self, **m: drawn.append(m["ctx"].rng.random()) or made(self, **m)
    )
    monkeypatch.setattr("ronchi.manager.get_manager", lambda: toys)
    run = go(json.dumps(params)[1:-1])
    again = apply("transform", "meanmap", params, {"data": run["load"]}).data
    assert again["mean"].equals(run["mean"]["mean"])
    assert drawn[0] == drawn[1]


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ("masks: [a.txt, c.txt]", r"p.yaml:5:66: mean.params.masks.1: there is no file '.*c.txt'"),
        ("named: nobody", r"p.yaml:5:\d+: mean.params.named: no numbers are called 'nobody'\n  -> names: one"),
    ],
)
def test_absent_files_are_told_of_where_they_are_named(go, params, message):
    with pytest.raises(ConfigError, match=message):
        go(params)
