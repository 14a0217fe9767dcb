"""Training: stops and goes on without a trace, learns, and never sees what it is judged by."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from ronchi.api import Context, DataError
from ronchi.manager import get_manager
from ronchi_atomnet.movies import FINER, IdealFrame, ideal_frames
from ronchi_atomnet.patches import draw_patch, odds
from ronchi_atomnet.train_params import LooksParams, TrainParams
from ronchi_atomnet.training import Trainer
from ronchi_atomnet.weights import load_weights
from ronchi_torch.checkpoint import read_checkpoint, write_checkpoint

TINY = TrainParams(
    movies=1, held_out_movies=1, frames=1, frame_px=144, patch_px=32, batch=2, steps=4, widths=(4, 6, 8),
    validate_every=2, validation_batches=1, warm_up=1,
)  # fmt: skip
CLEAN = LooksParams(
    scale=(0.99, 1.01), coarser=1, shear=0, line_jitter_px=0, blur_px=0, smoothing_px=0, contamination=0,
    dark=(0.01, 0.02), dose=(1e5, 1e6), camera_noise=0, gamma=(0.99, 1.01),
)  # fmt: skip


def context(progress=lambda done, total: None) -> Context:
    return Context(rng=np.random.default_rng(5), progress=progress)


@pytest.fixture(scope="module")
def movies(tmp_path_factory):
    folder = tmp_path_factory.mktemp("movies")
    return ideal_frames(TINY, folder, get_manager().create, 3, 1, logging.getLogger())


def lone_atom(at=(72.0, 72.0)) -> IdealFrame:
    y, x = np.mgrid[:144, :144]
    image = np.exp(-((y - at[0]) ** 2 + (x - at[1]) ** 2) / (2 * 2.5**2)).astype(np.float32)
    return IdealFrame(image, np.array([at]), np.array([1]))


def test_a_patch_has_its_atoms_where_it_shows_them():
    p = TINY.model_copy(update={"looks": CLEAN, "frame_px": 144})
    seen = 0
    for seed in range(40):
        patch = draw_patch([lone_atom()], p, np.random.default_rng(seed))
        for point in patch.points[((patch.points > 3) & (patch.points < 28)).all(1)]:
            bright = np.unravel_index(patch.image.argmax(), patch.image.shape)
            assert np.abs(point - bright).max() < 1
            wanted = odds(patch, p)
            likely = np.unravel_index(wanted[2].argmax(), patch.image.shape)
            assert np.abs(point - likely).max() <= 0.5
            assert wanted.sum(0) == pytest.approx(np.ones((32, 32)), abs=1e-5)
            seen += 1
    assert seen > 10


def test_patches_are_turned_by_any_angle_and_flipped():
    frame = lone_atom()
    pair = IdealFrame(frame.image, np.array([[72.0, 72.0], [72.0, 90.0], [80.0, 72.0]]), np.array([0, 0, 0]))
    p = TINY.model_copy(update={"looks": CLEAN})
    angles, handed = [], []
    for seed in range(200):
        points = draw_patch([pair], p, np.random.default_rng(seed)).points
        if len(points) == 3:
            a, b = points[1] - points[0], points[2] - points[0]
            angles.append(np.arctan2(*a))
            handed.append(np.sign(a[0] * b[1] - a[1] * b[0]))
            assert np.hypot(*a) == pytest.approx(18 * FINER, rel=0.02)
    assert np.histogram(angles, 4, (-np.pi, np.pi))[0].min() > 0
    assert set(handed) == {-1, 1}


def test_patches_depend_on_their_seed_alone(movies):
    first, again, other = (draw_patch(movies, TINY, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(first.image, again.image)
    assert not np.array_equal(first.image, other.image)
    assert np.isfinite(first.image).all()


def test_movies_are_kept_and_are_ideal(movies, tmp_path):
    (frame,) = movies
    assert frame.image.shape == (144, 144)
    assert frame.image.max() > 0.8  # in maxima of carbon, tails taken off
    inside = frame.points[((frame.points > 5) & (frame.points < 138)).all(1)]
    whole = np.rint(inside).astype(int)
    assert (frame.image[whole[:, 0], whole[:, 1]] > 0.5).mean() > 0.95

    def refuse(kind, name, params):
        raise AssertionError("simulated again")

    ideal_frames(TINY, tmp_path, get_manager().create, 3, 1, logging.getLogger())
    ideal_frames(TINY, tmp_path, refuse, 3, 1, logging.getLogger())


def test_processes_that_write_the_same_movie_do_not_disturb_each_other(tmp_path, monkeypatch):
    create, written = get_manager().create, np.savez

    def beside(file, **held):
        monkeypatch.setattr(np, "savez", written)
        with monkeypatch.context() as other:
            other.setattr("os.getpid", lambda: 1)
            ideal_frames(TINY, tmp_path, create, 3, 1, logging.getLogger())
        written(file, **held)

    monkeypatch.setattr(np, "savez", beside)
    (frame,) = ideal_frames(TINY, tmp_path, create, 3, 1, logging.getLogger())
    assert len(frame.points) > 10
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("size", [0, 1000])
def test_a_damaged_movie_is_named(tmp_path, size):
    create = get_manager().create
    ideal_frames(TINY, tmp_path, create, 3, 1, logging.getLogger())
    (path,) = tmp_path.glob("*.npz")
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(DataError, match=r"npz: the movie is damaged: .*\n.*remove it"):
        ideal_frames(TINY, tmp_path, create, 3, 1, logging.getLogger())


def test_species_without_a_name_are_refused(tmp_path):
    p = TINY.model_copy(update={"classes": ("carbon",)})
    with pytest.raises(DataError, match="2 species, of which 1 have names"):
        ideal_frames(p, tmp_path, get_manager().create, 3, 1, logging.getLogger())


def test_a_training_that_was_stopped_goes_on_as_if_it_had_not_been(tmp_path):
    create = get_manager().create
    whole = Trainer(TINY).train(tmp_path / "whole", context(), create)

    def stop(done, total):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Trainer(TINY).train(tmp_path / "parts", context(stop), create)
    parts = Trainer(TINY).train(tmp_path / "parts", context(), create)
    files = [(tmp_path / name / "weights.safetensors") for name in ("whole", "parts")]
    a, b = (load_weights(file).network.state_dict() for file in files)
    assert all(np.array_equal(a[name].numpy(), b[name].numpy()) for name in a)
    assert parts["curve"] == whole["curve"]
    assert len(whole["curve"]) == 2
    assert load_weights(files[0]).card["threshold"] == whole["curve"][-1]["threshold"]
    with pytest.raises(DataError, match="other parameters"):
        Trainer(TINY.model_copy(update={"learning_rate": 1e-4})).train(tmp_path / "parts", context(), create)


def test_a_request_to_another_process_stops_this_one_after_the_same_step(tmp_path, monkeypatch):
    asked = []

    def anyone(world, flag):
        asked.append(flag)
        return len(asked) == 2

    monkeypatch.setattr("ronchi_torch.world.World.anyone", anyone)
    with pytest.raises(SystemExit):
        Trainer(TINY).train(tmp_path, context(), get_manager().create)
    assert asked == [False, False]
    Trainer(TINY).train(tmp_path, context(), get_manager().create)
    # It went on from the second step, which was saved.
    assert len(asked) == TINY.steps


def test_processes_that_do_not_see_one_folder_are_told(tmp_path, monkeypatch):
    create = get_manager().create
    Trainer(TINY).train(tmp_path, context(), create)
    monkeypatch.setattr("ronchi_torch.world.World.agrees", lambda world, step: step != TINY.steps)
    with pytest.raises(DataError, match="not all processes have read the checkpoint"):
        Trainer(TINY).train(tmp_path, context(), create)


def test_a_checkpoint_that_lacks_something_is_refused(tmp_path):
    create = get_manager().create
    Trainer(TINY).train(tmp_path, context(), create)
    path = tmp_path / "checkpoint.safetensors"
    saved = read_checkpoint(path)
    write_checkpoint(path, {**saved.tensors, "averaged": {}}, saved.told)
    with pytest.raises(DataError, match="of another version of this plugin, or damaged"):
        Trainer(TINY).train(tmp_path, context(), create)


def test_a_network_learns_where_atoms_are(tmp_path):
    p = TINY.model_copy(
        update={"looks": CLEAN, "steps": 40, "validate_every": 20, "patch_px": 48, "batch": 4, "frame_px": 160,
                "widths": (8, 16), "learning_rate": 1e-2, "average": 0.9}
    )  # fmt: skip
    first, last = Trainer(p).train(tmp_path, context(), get_manager().create)["curve"]
    # Without knowledge the cross-entropy is the logarithm of 3; with the mean odds alone it stays above 0.6.
    assert first["learned_loss"] > 0.5
    assert last["learned_loss"] < 0.4
