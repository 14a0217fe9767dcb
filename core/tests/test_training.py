"""Training from a file: what is checked before, what a trainer is given, and going on."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from ronchi.cli.main import main
from ronchi.errors import ConfigError, OutputError
from ronchi.manager import Manager
from ronchi.pipeline.outputs import sole_writer
from ronchi.training import load_training, run_training, trainable

CODE = '''
from pathlib import Path
from ronchi.api import AlgorithmSpec, Field, Params, hookimpl


class P(Params):
    pass


class Inner(Params):
    """What is inside."""

    kind: str = "small"


class Run(Params):
    of: int


class T(Params):
    library: Path = Field(description="What is learned from.")
    steps: int = Field(3, ge=1, description="Steps.")
    inner: Inner = Field(Inner(), description="What is inside.")
    runs: tuple[Run, ...] = ()
    more: dict[str, int] = Field(default_factory=dict, description="More.")


class Trainer:
    def __init__(self, params):
        self.params = params

    def train(self, folder, ctx, create):
        count = folder / "count"
        done = int(count.read_text()) if count.exists() else 0
        while done < self.params.steps:
            done += 1
            count.write_text(str(done))
            ctx.log.info("step %d", done)
            if done == 2:
                ctx.log.warning("spoilt data are left out")
            ctx.progress(done, self.params.steps)
        return {"done": done, "augment": type(create("transform", "bin", {"detector": 2})).__name__,
                "library": str(self.params.library), "first": int(ctx.rng.integers(1000))}


@hookimpl
def ronchi_disk_detectors():
    yield AlgorithmSpec(name="learner", summary="Learns.", params=P, factory="toy_learner:P",
                        trainer="toy_learner:Trainer", training=T, inputs={"data": "fourd/1"}, output="peaks/1")
'''
TEXT = """\
schema: ronchi.training/1
name: toy
seed: 4
params:
  library: lib.zarr
  steps: 2
"""


@pytest.fixture
def manager(make_dist, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Manager:  # type: ignore[no-untyped-def]
    site = make_dist("ronchi-toy", "[ronchi.disk_detectors]\nlearner = toy_learner\n")
    (site / "toy_learner.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    return Manager()


def _config(text: str = TEXT) -> Path:
    path = Path("toy.yaml")
    path.write_text(text)
    return path


def test_the_parameters_of_a_training_are_listed(
    manager: Manager, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("ronchi.manager.get_manager", lambda: manager)
    assert main(["info", "disk_detector/learner"]) == 0
    listed = capsys.readouterr().out.partition("parameters of `ronchi train learner FILE`:\n")[2]
    assert listed.startswith("  library: string = required\n      What is learned from.\n")
    assert "  steps: integer (>= 1) = 3\n      Steps.\n" in listed
    assert '  inner.kind: string = "small"' in listed
    assert "  inner: {kind} = as below\n      What is inside.\n" in listed, "the text of the model is that of the field"
    assert "  runs: [{of}, …] = []\n" in listed
    assert "  runs[].of: integer = required\n" in listed
    assert "  more: object = {}\n" in listed, "not null, which is refused"
    assert main(["train", "learner"]) == 2
    assert "`ronchi info learner` lists what may be in it" in capsys.readouterr().err


def test_a_trainer_gets_its_parameters_seed_and_other_algorithms(manager: Manager, tmp_path: Path) -> None:
    config = load_training("learner", _config(), manager=manager)
    made = run_training(config, tmp_path / "out", manager=manager, progress=False)
    again = run_training(config, tmp_path / "other", manager=manager, progress=False)
    assert made == again
    assert made["done"] == 2
    assert made["library"] == str(tmp_path / "lib.zarr")
    assert made["augment"] == "Bin"


def test_the_same_folder_goes_on(manager: Manager, tmp_path: Path) -> None:
    run_training(
        load_training("learner", _config(), manager=manager), tmp_path / "out", manager=manager, progress=False
    )
    longer = load_training("learner", _config(), overrides=["steps=5", "inner.kind=large"], manager=manager)
    assert longer.params.model_dump()["inner"] == {"kind": "large"}
    assert run_training(longer, tmp_path / "out", manager=manager, progress=False)["done"] == 5


@pytest.mark.parametrize("progress", [True, False])
def test_two_trainings_do_not_write_to_one_folder(
    manager: Manager, tmp_path: Path, capsys: pytest.CaptureFixture[str], progress: bool
) -> None:
    """One that waits says so, even where no progress is wanted: it may wait for hours."""
    config, out = load_training("learner", _config(), manager=manager), tmp_path / "out"
    out.mkdir()
    more = {"manager": manager, "progress": progress}
    other = threading.Thread(target=run_training, args=(config, out), kwargs=more)
    with sole_writer(out, print):
        other.start()
        while other.is_alive() and "waiting" not in (seen := capsys.readouterr().err):
            time.sleep(0.01)
        assert "waiting for another run, which writes to out" in seen
        assert not (out / "count").exists()
    other.join()
    assert (out / "count").read_text() == "2"


@pytest.mark.parametrize("progress", [True, False])
def test_warnings_of_a_trainer_are_shown_without_progress_too(
    manager: Manager, tmp_path: Path, capsys: pytest.CaptureFixture[str], progress: bool
) -> None:
    config = load_training("learner", _config(), manager=manager)
    run_training(config, tmp_path / "out", manager=manager, progress=progress)
    said = capsys.readouterr().err
    assert said.count("spoilt data are left out") == 1
    assert ("step 1" in said) == progress


def test_several_processes_do_not_wait(manager: Manager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first one alone asks for the folder, and the others give up on it after some minutes."""
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    config, out = load_training("learner", _config(), manager=manager), tmp_path / "out"
    out.mkdir()
    with sole_writer(out, print), pytest.raises(OutputError, match="another training writes to this folder"):
        run_training(config, out, manager=manager, progress=False)
    assert run_training(config, out, manager=manager, progress=False)["done"] == 2


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (TEXT.replace("steps: 2", "stepz: 2"), "toy.yaml:6:3: params.stepz: unknown key"),
        (TEXT.replace("steps: 2", "steps: 0"), "toy.yaml:6:10"),
        (TEXT.replace("  library: lib.zarr\n", ""), "params.library: is missing"),
        (TEXT.replace("name: toy", "nam: toy"), "did you mean 'name'"),
        (TEXT.replace("training/1", "training/9"), "toy.yaml:1:9"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(manager: Manager, text: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_training("learner", _config(text), manager=manager)
    assert told in str(caught.value)


def test_what_cannot_be_trained_is_told(manager: Manager) -> None:
    assert "learner" in trainable(manager)
    with pytest.raises(ConfigError, match="did you mean 'learner'"):
        load_training("lerner", _config(), manager=manager)


def test_the_command_lists_what_can_be_trained(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train"]) == 0
    assert main(["train", "nothing-of-this-name", "x.yaml"]) == 2
    assert "nothing called 'nothing-of-this-name'" in capsys.readouterr().err
