"""Writers by plugins: which one serves a file, what it may be given, and that a file is whole or not there."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from ronchi.atomic import all_or_nothing
from ronchi.catalog import scan
from ronchi.cli.main import main
from ronchi.errors import ConfigError, OutputError, PluginError, ReadError, SchemaError
from ronchi.manager import Manager
from ronchi.pipeline.run import check_pipeline, run_pipeline
from ronchi.schema import fourd, peaks
from ronchi.writing import choose_writer, write, write_with

CODE = """
    from ronchi.api import AlgorithmSpec, Field, OutputError, Params, ReadError, hookimpl

    class TextParams(Params):
        digits: int = Field(3, ge=1, description="Digits.")
        fault: str = Field("", description="What to break.")

    class Text:
        def __init__(self, params):
            self.params = params

        def write(self, data, sides, path, *, progress):
            first = f"{float(data['qy'][0]):.{self.params.digits}f}"
            path.write_text(f"{path.suffix} {self.params.digits} {sorted(sides)} {first}")
            progress(1, 1)
            if self.params.fault == "os":
                raise OSError(28, "No space left on device")
            if self.params.fault == "bug":
                raise ValueError("a bug")
            if self.params.fault == "format":
                raise OutputError("this format cannot hold it", where=str(path))

    @hookimpl
    def ronchi_writers():
        def spec(name, *suffixes):
            return AlgorithmSpec(
                name=name, summary="Text.", params=TextParams, factory="DIST:Text", output="", suffixes=suffixes,
                inputs={"data": "fourd/1|peaks/1"}, sides={"truth": "strain/1"},
            )
        return [spec("text", ".text", ".deep.text"), spec("prose", ".text.prose", ".prose")]

    class Picky:
        def __init__(self, params):
            pass

        def confidence(self, path):
            if path.suffix == ".picky":
                raise ReadError("the file ends in the middle of frame 3", where=str(path), fix="copy it again")
            if path.suffix == ".bug":
                raise ZeroDivisionError("zero")
            return 0.0

        def open(self, path):
            raise NotImplementedError

    class PickyParams(Params):
        path: str = Field(description="File.")

    @hookimpl
    def ronchi_readers():
        return [AlgorithmSpec(name="picky", summary="Raises.", params=PickyParams, factory="DIST:Picky",
                              inputs={}, output="fourd/1")]
"""
ENTRY_POINTS = """
[ronchi.readers]
picky = DIST
[ronchi.writers]
text = DIST
prose = DIST
"""


@pytest.fixture
def manager(make_dist: Callable[..., Path]) -> Manager:
    """Knows core's algorithms and the toy writers."""
    site = make_dist("textdist", ENTRY_POINTS.replace("DIST", "textdist"), CODE.replace("DIST", "textdist"))
    core = [entry for entry in scan().entries if entry.dist == "ronchi"]
    catalog = scan([site])
    return Manager(type(catalog)(tuple(sorted([*core, *catalog.entries])), catalog.problems))


@pytest.fixture
def data() -> xr.Dataset:
    return fourd.make(np.ones((2, 3, 4, 4), "u2"))


@pytest.mark.parametrize(
    ("name", "writer", "suffix"),
    [
        ("a.nc", "native", ".nc"),
        ("a.ZARR", "native", ".zarr"),
        ("a.text", "text", ".text"),
        ("a.deep.text", "text", ".deep.text"),
        ("a.prose", "prose", ".prose"),
        ("a.text.prose", "prose", ".text.prose"),
    ],
)
def test_the_suffix_chooses(manager: Manager, name: str, writer: str, suffix: str) -> None:
    chosen = choose_writer(name, manager)
    assert (chosen.spec.name, chosen.suffix) == (writer, suffix)


def test_no_plugin_is_imported_where_ronchis_own_writer_serves(manager: Manager) -> None:
    choose_writer("a.nc", manager)
    assert "textdist" not in sys.modules


def test_two_claims_on_one_suffix_are_named(make_dist: Callable[..., Path], manager: Manager) -> None:
    site = make_dist(
        "twin", "[ronchi.writers]\nessay = twin\n", CODE.replace("DIST", "twin").replace('"prose"', '"essay"')
    )
    entries = (*manager.catalog.entries, *(entry for entry in scan([site]).entries if entry.dist == "twin"))
    both = Manager(type(manager.catalog)(entries, ()))
    with pytest.raises(OutputError, match=r"2 writers know files called '\.prose': (prose, essay|essay, prose)"):
        choose_writer("a.prose", both)
    assert choose_writer("a.prose", both, "essay").spec.name == "essay"


def test_names_suffixes_and_parameters_are_checked(manager: Manager) -> None:
    with pytest.raises(OutputError, match=r"unknown extension '\.txt'\n.*did you mean '\.text'.*\.nc, \.zarr"):
        choose_writer("a.txt", manager)
    with pytest.raises(OutputError, match=r"'native' writes \.nc, \.zarr, not '\.text'\n.*a\.nc"):
        choose_writer("a.text", manager, "native")
    with pytest.raises(PluginError, match="did you mean 'prose'"):
        choose_writer("a.prose", manager, "pros")
    with pytest.raises(ConfigError, match="did you mean 'digits'"):
        choose_writer("a.text", manager, params={"digit": 3})


def test_parameters_sides_and_progress_reach_the_writer(
    manager: Manager, data: xr.Dataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[tuple[int, int]] = []
    path = tmp_path / "a.deep.text"
    chosen = choose_writer(path, manager, params={"digits": 2})
    with caplog.at_level(logging.WARNING, "ronchi"):
        write_with(chosen, data, path, {"truth": data, "mask": data}, progress=lambda *at: seen.append(at))
    assert path.read_text() == ".text 2 ['truth'] -2.00"
    assert seen == [(1, 1)]
    assert [record.message for record in caplog.records] == [
        f"{path}: the side output 'mask' is left out, .deep.text files have no place for it"
    ]


def test_a_schema_that_the_writer_does_not_take(manager: Manager, data: xr.Dataset, tmp_path: Path) -> None:
    path = tmp_path / "a.text"
    images = data.assign_attrs(ronchi_schema="images/1")
    with pytest.raises(SchemaError, match=r"'text' takes fourd/1 or peaks/1, got images/1\n.*\.nc or \.zarr"):
        write_with(choose_writer(path, manager), images, path)


@pytest.mark.parametrize(
    ("fault", "error", "says"),
    [
        ("os", OutputError, "disk is full"),
        ("bug", ValueError, "a bug"),
        ("format", OutputError, r"/a\.text: .* cannot hold"),
    ],
)
def test_a_writer_that_fails_leaves_the_old_file(
    manager: Manager, data: xr.Dataset, tmp_path: Path, fault: str, error: type[Exception], says: str
) -> None:
    path = tmp_path / "a.text"
    path.write_text("old")
    with pytest.raises(error, match=says):
        write_with(choose_writer(path, manager, params={"fault": fault}), data, path)
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir() if file.is_file()] == ["a.text"]


def test_a_writer_s_own_exception_tells_whose_it_is(manager: Manager, data: xr.Dataset, tmp_path: Path) -> None:
    path = tmp_path / "a.text"
    with pytest.raises(ValueError, match="a bug") as caught:
        write_with(choose_writer(path, manager, params={"fault": "bug"}), data, path)
    (note,) = caught.value.__notes__
    assert "in the writer 'text' of " in note
    assert str(path) in note


def test_a_name_that_is_no_text_is_refused(manager: Manager, data: xr.Dataset, tmp_path: Path) -> None:
    """Bytes of another encoding: no reader would take it again, and netCDF failed with a bare UnicodeEncodeError."""
    path = tmp_path / "sc\udce9n.text"
    with pytest.raises(OutputError, match=r"no UTF-8: .*sc\?n\.text\n.*name that is text"):
        write_with(choose_writer(path, manager), data, path)
    assert not list(tmp_path.glob("sc*"))


def test_a_folder_takes_the_place_of_a_folder(tmp_path: Path) -> None:
    path = tmp_path / "a.store"
    for text in ("old", "new"):
        with all_or_nothing(path, ".store", 3) as temporary:
            assert temporary.suffix == ".store"
            temporary.mkdir()
            (temporary / "part").write_text(text)
    assert (path / "part").read_text() == "new"
    assert [found.name for found in tmp_path.iterdir()] == ["a.store"]


def test_two_that_are_written_at_once_do_not_meet(tmp_path: Path) -> None:
    with (
        all_or_nothing(tmp_path / "scan.001.nc", ".nc", 3) as first,
        all_or_nothing(tmp_path / "scan.002.nc", ".nc", 3) as second,
        all_or_nothing(tmp_path / "scan.002.nc", ".nc", 3) as third,
    ):
        assert len({first, second, third}) == 3
        for number, path in enumerate((first, second, third)):
            path.write_text(str(number))
    assert (tmp_path / "scan.001.nc").read_text() == "0"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scan.001.nc", "scan.002.nc"]


def test_what_a_killed_process_left_is_removed_and_what_a_living_one_writes_is_not(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; from ronchi.atomic import all_or_nothing\n"
        "with all_or_nothing(Path(sys.argv[1]), '.nc', 3) as path:\n"
        "    path.write_text('half'); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    target = tmp_path / "long [name] of a scan.nc"
    subprocess.run([sys.executable, "-c", code, str(target)], check=False)
    assert len(list(tmp_path.iterdir())) == 1
    with all_or_nothing(target, ".nc", 3) as path:
        path.write_text("whole")
        with all_or_nothing(target, ".nc", 3) as other:
            other.write_text("other")
        assert path.exists()
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(target.name, "whole")]


@pytest.mark.parametrize("name", ["a.nc", "a.zarr"])
def test_a_folder_of_something_else_is_not_removed(data: xr.Dataset, tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "notes.txt").write_text("years of work")
    with pytest.raises(OutputError, match=r"other things in it, such as 'notes.txt'\n.*move the folder away"):
        write(data, tmp_path / name)
    assert [file.name for file in tmp_path.rglob("*")] == [name, "notes.txt"]


def test_an_existing_file_may_be_protected(data: xr.Dataset, tmp_path: Path) -> None:
    write(data, tmp_path / "a.nc", overwrite=False)
    with pytest.raises(OutputError, match="in use"):
        write(data, tmp_path / "a.nc", overwrite=False)


def test_convert_takes_a_writer_and_its_parameters(
    data: xr.Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, target = write(data, tmp_path / "a.nc"), tmp_path / "b.nc"
    assert main(["convert", str(source), str(target), "--writer", "native", "--writer-param", "compress=false"]) == 0
    assert str(target) in capsys.readouterr().out
    assert main(["convert", str(source), str(target), "--overwrite", "--writer-param", "compres=false"]) == 2
    assert "did you mean 'compress'" in capsys.readouterr().err
    assert main(["convert", str(source), str(tmp_path / "b.foo")]) == 1
    assert "unknown extension '.foo'" in capsys.readouterr().err


# --- in a pipeline ----------------------------------------------------------------------------


def pipeline(**outputs: object) -> dict[str, object]:
    load = {"reader": "npy", "params": {"path": "scan.npy"}}
    return {"schema": "ronchi.pipeline/1", "name": "p", "steps": {"load": load}, "outputs": outputs}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    np.save(tmp_path / "scan.npy", np.ones((2, 3, 4, 4), "u2"))
    return tmp_path


def test_outputs_are_written_by_plugins(manager: Manager, folder: Path) -> None:
    out = {"from": "load", "path": "a.prose", "params": {"digits": 1}}
    run = run_pipeline(pipeline(text=out, own={"from": "load", "path": "a.nc"}), manager=manager, progress=False)
    assert run.ok
    assert (folder / "p-out" / "a.prose").read_text() == ".prose 1 [] -2.0"
    assert run.config["outputs"]["text"] == out
    assert run.versions["textdist"] == "1.0", "what wrote the output is on record"
    assert run.config["outputs"]["own"] == {"from": "load", "path": "a.nc"}


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ({"path": "a.foo"}, r"outputs\.x\.path: unknown extension '\.foo'"),
        ({"path": "a.nc", "writer": "prose"}, r"outputs\.x\.path: the writer 'prose' writes \.text\.prose, \.prose"),
        ({"path": "a.prose", "writer": "pros"}, r"outputs\.x\.writer: .*\n.*did you mean 'prose'"),
        ({"path": "a.prose", "params": {"digits": 0}}, r"outputs\.x\.params: digits: must be at least 1"),
    ],
)
def test_outputs_are_checked_before_anything_is_read(
    manager: Manager, folder: Path, output: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        check_pipeline(pipeline(x={"from": "load", **output}), manager=manager)


def test_the_schema_of_an_output_is_checked_before_anything_is_read(manager: Manager, folder: Path) -> None:
    config = pipeline(x={"from": "mean", "path": "a.text"})
    config["steps"]["mean"] = {"transform": "overview", "data": "load"}
    with pytest.raises(ConfigError, match=r"'mean' is maps/1, but the writer 'text' takes fourd/1 or peaks/1"):
        check_pipeline(config, manager=manager)


def test_a_writer_is_no_step(manager: Manager, folder: Path) -> None:
    config = pipeline()
    config["steps"]["save"] = {"writer": "prose", "data": "load"}
    with pytest.raises(ConfigError, match=r"save\.writer: a writer is no step, it serves an output\n.*outputs:"):
        check_pipeline(config, manager=manager)


# --- readers that have something to say about a file --------------------------------------------


def test_a_readers_own_word_about_a_file_is_heard(manager: Manager, folder: Path) -> None:
    from ronchi.pipeline.reader_choice import choose_reader

    (folder / "scan.picky").write_text("x")
    with pytest.raises(ReadError, match="ends in the middle of frame 3"):
        choose_reader(folder / "scan.picky", manager, [])
    (folder / "scan.bug").write_text("x")
    with pytest.raises(PluginError, match=r"no reader knows[\s\S]*'picky' was not asked.*ZeroDivisionError: zero"):
        choose_reader(folder / "scan.bug", manager, [])
    config = pipeline()
    config["steps"] = {"load": {"reader": "auto", "params": {"path": "scan.picky"}}}
    with pytest.raises(ConfigError, match=r"load\.reader: the file ends in the middle of frame 3\n.*copy it again"):
        check_pipeline(config, manager=manager)


def test_peaks_go_through_the_native_writer_too(tmp_path: Path) -> None:
    found = peaks.make(counts=[1, 2], qy=[0, 1, 2], qx=[0, 1, 2], scan_shape=(1, 2))
    xr.testing.assert_identical(
        xr.open_dataset(write(found, tmp_path / "p.nc")).load().drop_attrs(), found.drop_attrs()
    )
