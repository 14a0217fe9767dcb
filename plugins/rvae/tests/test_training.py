"""Training: the same from the same seed, stopped in time, resumed, on several processes."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from ronchi.api import DataError
from ronchi_rvae.checkpoint import Checkpoint, Progress
from ronchi_rvae.networks import FlatDecoder
from ronchi_rvae.trainable import Samples
from ronchi_rvae.training import Schedule, train
from ronchi_rvae.variational import Variational
from ronchi_torch.world import join_world

PIXELS = 20
LOG = logging.getLogger("test")


def images(n: int, seed: int = 0) -> Samples:
    """Two directions of variation, and noise of 0.3."""
    rng = np.random.default_rng(seed)
    axes = np.random.default_rng(9).normal(0, 1, (2, PIXELS))
    values = rng.normal(0, 1, (n, 2)) @ axes + rng.normal(0, 0.3, (n, PIXELS))
    return Samples(torch.from_numpy(values.astype(np.float32)), torch.empty(n, 0))


def new_model(hidden: int = 16) -> Variational:
    torch.manual_seed(0)
    return Variational(
        FlatDecoder(2, hidden, PIXELS),
        n_pixels=PIXELS,
        n_latent=2,
        n_classes=1,
        n_conditions=0,
        hidden=hidden,
        pose=None,
        family="gaussian",
        learn_noise=True,
    )


def schedule(epochs: int = 6, **changes: object) -> Schedule:
    return Schedule(**{"epochs": epochs, "batch": 32, "learning_rate": 3e-3, "patience": 100, **changes})


def trained(
    held_out: Samples | None = None,
    *,
    folder: Path | None = None,
    seed: int = 0,
    identity: str = "a",
    every_s: float = 1e9,
    tick: Callable[[int], None] = lambda done: None,
    fitted: Samples | None = None,
    **changes: object,
) -> tuple[Variational, Progress]:
    model = new_model()
    fitted = fitted or images(200)
    model.standardise(fitted.values)
    history = train(
        model,
        fitted,
        held_out or Samples(torch.empty(0, PIXELS), torch.empty(0, 0)),
        schedule(**changes),
        world=join_world("cpu"),
        generator=torch.Generator().manual_seed(seed),
        checkpoint=Checkpoint(folder, identity, every_s),
        tick=tick,
        log=LOG,
    )
    return model, history


def same(one: Variational, other: Variational) -> bool:
    others = other.state_dict()
    return all(torch.equal(value, others[name]) for name, value in one.state_dict().items())


def stop_after(epochs: int) -> Callable[[int], None]:
    def tick(done: int) -> None:
        if done == epochs:
            raise KeyboardInterrupt

    return tick


def test_the_bound_rises_and_the_noise_is_found():
    model, history = trained(epochs=60)
    assert history.curve[-1] > history.curve[0] + 5
    assert float(model.log_variance.detach().exp().sqrt()) == pytest.approx(0.3, rel=0.25)  # true: 0.3; seed 0


def test_same_seed_same_weights():
    assert same(trained()[0], trained()[0])
    assert not same(trained()[0], trained(seed=1)[0])


def test_an_interrupted_training_goes_on_as_if_nothing_had_been(tmp_path: Path):
    whole, history = trained(images(40, 5))
    with pytest.raises(KeyboardInterrupt):
        trained(images(40, 5), folder=tmp_path, tick=stop_after(3))
    assert list(tmp_path.iterdir())
    seen: list[int] = []
    resumed, again = trained(images(40, 5), folder=tmp_path, tick=seen.append)
    assert seen == [4, 5, 6]
    assert same(whole, resumed)
    assert (again.curve, again.held_out, again.best_epoch) == (history.curve, history.held_out, history.best_epoch)
    assert same(whole, trained(images(40, 5), folder=tmp_path, tick=seen.append)[0])
    assert seen == [4, 5, 6]  # one that was finished is not done again


def test_a_checkpoint_of_another_training_is_left_alone(tmp_path: Path):
    with pytest.raises(KeyboardInterrupt):
        trained(folder=tmp_path, tick=stop_after(3))
    seen: list[int] = []
    other, _ = trained(folder=tmp_path, identity="b", tick=seen.append)
    assert seen == [1, 2, 3, 4, 5, 6]
    assert same(other, trained()[0])


@pytest.mark.parametrize("content", [b"", b"no safetensors at all", b"\xff" * 200])
def test_a_damaged_checkpoint_is_left_alone(tmp_path: Path, caplog, content: bytes):
    (tmp_path / "training.safetensors").write_bytes(content)
    with caplog.at_level("WARNING"):
        model, _ = trained(folder=tmp_path)
    assert "starting from the beginning" in caplog.text
    assert same(model, trained()[0])


KILLED = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import test_training
def tick(done):
    if done >= 3:
        print("ready", flush=True)
        time.sleep(60)
test_training.trained(folder=Path(sys.argv[2]), every_s=0.0, tick=tick)
"""


def test_a_killed_training_goes_on(tmp_path: Path):
    command = [sys.executable, "-c", KILLED, str(Path(__file__).parent), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "ready"
        process.send_signal(signal.SIGKILL)
    seen: list[int] = []
    resumed, _ = trained(folder=tmp_path, tick=seen.append)
    assert seen == [4, 5, 6]
    assert same(resumed, trained()[0])


def test_training_stops_when_samples_held_out_are_fitted_no_better():
    few = images(12)  # they are soon learned by heart
    _, history = trained(images(100, 5), fitted=few, epochs=400, patience=5, batch=12, learning_rate=1e-2)
    assert history.epoch < 400
    assert history.epoch == history.best_epoch + 5
    assert history.held_out[history.best_epoch - 1] == max(history.held_out)
    assert history.curve[-1] > history.held_out[-1]


def test_the_best_weights_are_kept():
    few, held = images(12), images(100, 5)
    model, history = trained(held, fitted=few, epochs=400, patience=5, batch=12, learning_rate=1e-2)
    with torch.no_grad():
        found = float(-model.posterior(held.values, held.condition).nll.mean())
    assert found == pytest.approx(max(history.held_out), rel=1e-5)


def test_a_diverging_training_says_so():
    with pytest.raises(DataError, match="learning_rate"):
        trained(fitted=Samples(images(50).values * float("inf"), torch.empty(50, 0)))


def test_half_precision_learns_the_same():
    half, full = trained(epochs=30, half=True)[1], trained(epochs=30)[1]
    assert half.curve[-1] == pytest.approx(full.curve[-1], abs=0.05 * (full.curve[-1] - full.curve[0]))
    assert half.curve != full.curve


DISTRIBUTED = """
import os
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import torch
from safetensors.torch import save_file
import test_training
torch.set_num_threads(1)
for time in ("first", "second"):
    model, history = test_training.trained(test_training.images(33, 5), fitted=test_training.images(101))
    save_file(model.state_dict(), Path(sys.argv[2]) / f"{time}{os.environ['RANK']}.safetensors")
"""


@pytest.mark.slow
def test_two_processes_learn_what_one_does(tmp_path: Path):
    from safetensors.torch import load_file

    script = tmp_path / "run.py"
    script.write_text(DISTRIBUTED)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(script)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, str(Path(__file__).parent), str(tmp_path)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    one = trained(images(33, 5), fitted=images(101))[0].state_dict()
    made = [load_file(tmp_path / f"{time}{rank}.safetensors") for time in ("first", "second") for rank in (0, 1)]
    for name, value in one.items():
        assert all(torch.equal(other[name], made[0][name]) for other in made)
        torch.testing.assert_close(made[0][name], value, rtol=1e-3, atol=1e-4)  # sums in another order, 24 steps


def test_due_goes_by_the_clock(tmp_path: Path):
    assert not Checkpoint(None, "a", 0.0).due()
    often, seldom = Checkpoint(tmp_path, "a", 0.0), Checkpoint(tmp_path, "a", 60.0)
    time.sleep(0.01)
    assert often.due()
    assert not seldom.due()
