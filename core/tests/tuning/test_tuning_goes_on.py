"""A search that was stopped goes on: as if it had not been stopped, and never into the folder of another."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ronchi.cli.main import main
from ronchi.errors import OutputError
from ronchi.manager import Manager
from ronchi.tuning.config import load_tuning
from ronchi.tuning.record import Trial
from ronchi.tuning.search import run_tuning

CODE = """
from pathlib import Path
from ronchi.api import AlgorithmSpec, DataError, Params, hookimpl


class P(Params):
    pass


class T(Params):
    library: Path = Path("lib.zarr")
    rate: float = 1.0
    width: list[int] = [1]
    looks: int = 9
    keeps: str = "every"
    tells_steps: bool = True
    fails: bool = False


class Trainer:
    watch = staticmethod(lambda figures: None)

    def __init__(self, params):
        self.params = params

    def train(self, folder, ctx, create):
        p, kept = self.params, folder / "checkpoint"
        if p.fails:
            raise DataError("the loss is inf")
        step = int(kept.read_text()) if kept.exists() else 0
        with open(folder.parent.parent / "begun", "a") as file:
            file.write(f"{folder.name}:{step} ")
        while step < p.looks:
            step += 1
            figures = {"loss": (p.rate - 0.1) ** 2 + sum(p.width) / 99 + 1 / step}
            self.watch(figures | {"step": step} if p.tells_steps else figures)
            if p.keeps == "every" or (p.keeps == "third" and step % 3 == 0):
                kept.write_text(str(step))
            # Stops the whole search after so many looks.
            fuse = Path("fuse")
            if fuse.exists():
                left = int(fuse.read_text()) - 1
                fuse.write_text(str(left)) if left else fuse.unlink()
                if not left:
                    raise KeyboardInterrupt
        return {}


@hookimpl
def ronchi_disk_detectors():
    for name in ("learner", "other"):
        yield AlgorithmSpec(name=name, summary="Learns.", params=P, factory="toy_resumed:P",
                            trainer="toy_resumed:Trainer", training=T, inputs={"data": "fourd/1"}, output="peaks/1")
"""
CONFIG: dict[str, Any] = {
    "schema": "ronchi.tuning/1",
    "name": "toy",
    "seed": 4,
    "trials": 13,  # more than the ten with which Optuna's sampler begins at random
    "search": {"rate": {"low": 0.001, "high": 1.0, "log": True}, "width": [[1], [3], [1, 1]]},
}
Search = Callable[..., list[Trial]]


@pytest.fixture
def search(make_dist, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Search:  # type: ignore[no-untyped-def]
    """Runs a search; ``stop`` is the number of looks after which it is interrupted."""
    site = make_dist("ronchi-toy", "[ronchi.disk_detectors]\nlearner = toy_resumed\nother = toy_resumed\n")
    (site / "toy_resumed.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    found = Manager()
    for module in ("search", "trial"):
        monkeypatch.setattr(f"ronchi.tuning.{module}.get_manager", lambda: found)
    monkeypatch.setattr("ronchi.manager.get_manager", lambda: found)

    def run(out: str, *, stop: int = 0, algorithm: str = "learner", told: Any = None, **changes: Any) -> list[Trial]:
        if stop:
            Path("fuse").write_text(str(stop))
        config = load_tuning(algorithm, {**CONFIG, **changes}, manager=found)
        return run_tuning(config, tmp_path / out, told=told or (lambda trial: None))

    return run


def _table(out: str) -> list[dict[str, Any]]:
    table: list[dict[str, Any]] = json.loads((Path(out) / "tuning.json").read_text())
    return table


@pytest.mark.parametrize(
    ("keeps", "tells_steps"),
    [("every", True), ("every", False), ("third", True), ("nothing", True), ("nothing", False)],
)
@pytest.mark.parametrize("stop", [2, 14, 31])
def test_it_ends_as_one_that_was_not_stopped(search: Search, keeps: str, tells_steps: bool, stop: int) -> None:
    params = {"keeps": keeps, "tells_steps": tells_steps}
    whole = search("whole", params=params)
    assert {trial.stopped for trial in whole} == {True, False}
    with pytest.raises(KeyboardInterrupt):
        search("stopped", params=params, stop=stop)
    assert search("stopped", params=params) == whole
    assert (Path("stopped") / "best.yaml").read_text() == (Path("whole") / "best.yaml").read_text()


def test_what_was_learned_stays_and_is_not_learned_again(search: Search) -> None:
    with pytest.raises(KeyboardInterrupt):
        search("out", stop=14)
    before = _table("out")
    assert before
    assert all(math.isfinite(row["loss"]) for row in before)
    told: list[Trial] = []
    search("out", told=told.append)
    after = {row["number"]: row for row in _table("out")}
    assert [after[row["number"]] for row in before] == before
    assert sorted(trial.number for trial in told) == list(range(len(before), 13))
    begun = (Path("out") / "begun").read_text().split()
    numbers = [int(each.partition(":")[0]) for each in begun]
    again = len(before)  # the one that was interrupted
    assert sorted(numbers) == sorted([*range(13), again])
    assert not begun[again + 1].endswith(":0"), "it goes on from its checkpoint"


def test_a_search_that_ended_trains_no_more_unless_more_is_asked_for(search: Search) -> None:
    whole = search("whole", trials=6)
    assert search("short", trials=4) == search("short", trials=4)
    assert (Path("short") / "begun").read_text().count(":") == 4
    assert search("short", trials=6) == whole


def test_trainings_that_failed_are_not_repeated(search: Search) -> None:
    space = {"fails": [True, False]}
    first = search("out", search=space, trials=6)
    assert {trial.error for trial in first} == {"", "the loss is inf"}
    assert [trial.params for trial in search("out", search=space, trials=6)] == [trial.params for trial in first]


def test_what_was_stopped_between_its_last_look_and_the_table_needs_no_training(search: Search) -> None:
    def stop(trial: Trial) -> None:
        raise KeyboardInterrupt

    whole = search("whole")
    with pytest.raises(KeyboardInterrupt):
        search("out", told=stop)
    (Path("out") / "tuning.json").unlink()
    assert search("out") == whole


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"seed": 5}, "differs in seed"),
        ({"grace": 2}, "differs in grace"),
        ({"algorithm": "other"}, "differs in algorithm"),
        (
            {"search": {**CONFIG["search"], "rate": {"low": 0.001, "high": 2.0, "log": True}}},
            r"differs in search\.rate\.high",
        ),
        ({"search": {"rate": CONFIG["search"]["rate"]}}, r"differs in search\.width"),
        ({"search": {**CONFIG["search"], "width": [[1], [1, 1], [3]]}}, r"differs in search\.width"),
        ({"params": {"looks": 3, "library": "elsewhere.zarr"}}, r"differs in params\.library, params\.looks"),
    ],
)
def test_the_folder_of_another_search_is_refused(search: Search, changes: dict[str, Any], match: str) -> None:
    with pytest.raises(KeyboardInterrupt):
        search("out", stop=14)
    before = _table("out")
    with pytest.raises(OutputError, match=rf"another search, which {match}\n.*another folder with -o"):
        search("out", **changes)
    assert _table("out") == before


def test_the_same_file_elsewhere_names_other_data(search: Search, tmp_path: Path) -> None:
    search("out", trials=2)
    (tmp_path / "elsewhere").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path / "elsewhere")
        with pytest.raises(OutputError, match=r"differs in params\.library"):
            search("out", trials=2)


def test_a_folder_in_which_nothing_was_learned_yet_may_be_used_for_anything(search: Search) -> None:
    with pytest.raises(KeyboardInterrupt):
        search("out", stop=2, params={"keeps": "nothing"})
    assert [trial.looks for trial in search("out", seed=5, trials=1)] == [9]


def test_half_a_file_of_a_killed_training_is_nothing_to_go_on_from(search: Search) -> None:
    with pytest.raises(KeyboardInterrupt):
        search("out", stop=2, params={"keeps": "nothing"})
    for name in (".checkpoint.partial", ".lock"):
        (Path("out") / "trainings" / "0" / name).touch()
    assert [trial.looks for trial in search("out", seed=5, trials=1)] == [9]


def test_two_searches_do_not_write_to_one_folder(search: Search, monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[str] = []

    @contextlib.contextmanager
    def lock(out: Path, tell: object) -> Iterator[None]:
        held.append(out.name)
        yield
        held.append("")

    monkeypatch.setattr("ronchi.tuning.search.sole_writer", lock)
    search("out", trials=1, told=lambda trial: held.append("told"))
    assert held == ["out", "told", ""]


@pytest.mark.parametrize("harm", ["no search", "no table", "half a table"])
def test_a_folder_that_cannot_be_understood_is_refused(search: Search, harm: str) -> None:
    search("out", trials=2)
    if harm == "no search":
        (Path("out") / "search.json").unlink()
        with pytest.raises(OutputError, match=r"holds trainings, and no search\.json that says of what"):
            search("out", trials=2)
        return
    table = Path("out") / "tuning.json"
    table.write_text(table.read_text()[:50] if harm == "half a table" else '[{"loss": 1.0}]')
    with pytest.raises(OutputError, match=r"tuning\.json: the record of the search cannot be understood"):
        search("out", trials=2)


def test_the_command_goes_on(search: Search, capsys: pytest.CaptureFixture[str]) -> None:
    Path("toy.yaml").write_text(json.dumps({**CONFIG, "trials": 3}))
    Path("fuse").write_text("12")
    assert main(["tune", "learner", "toy.yaml", "-o", "out"]) == 130
    first = capsys.readouterr().out
    assert main(["tune", "learner", "toy.yaml", "-o", "out"]) == 0
    second = capsys.readouterr().out
    assert first.count("loss ") + second.count("loss ") == 3
    assert "nan" not in first + second
