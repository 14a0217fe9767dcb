"""The network's surroundings: tiles, peaks, scales and weights."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from ronchi.api import CalibrationError, Context, DataError
from ronchi.schema import images
from ronchi_atomnet import registry
from ronchi_atomnet.finder import Atomnet
from ronchi_atomnet.params import AtomnetParams
from ronchi_atomnet.peaks import find_peaks
from ronchi_atomnet.scaling import normalise, resample
from ronchi_atomnet.tiles import by_tiles
from ronchi_atomnet.unet import UNet
from ronchi_atomnet.weights import load_weights
from ronchi_torch.weights import write_weights

CTX = Context(rng=np.random.default_rng(0))
CARD = {
    "format": 2, "classes": ["carbon", "silicon"], "pixel_angstrom": 0.25, "period_px": 8.52, "threshold": 0.4,
    "target_sigma_px": 1.1, "error_weights": [0.2, 0.3],
}  # fmt: skip


@pytest.fixture(scope="module")
def network() -> UNet:
    torch.manual_seed(0)
    made = UNet((4, 6, 8), 3).eval()
    for layer in made.modules():  # random norms, so that nothing is 0 by chance
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.running_mean.uniform_(-0.1, 0.1)
            layer.running_var.uniform_(0.5, 1.5)
    return made


@pytest.fixture
def file(network, tmp_path):
    write_weights(tmp_path / "w.safetensors", network, {**CARD, "settings": network.settings})
    return tmp_path / "w.safetensors"


def apply(network):
    def said(tile):
        with torch.inference_mode():
            return torch.softmax(network(torch.from_numpy(tile)[None, None]), 1)[0].numpy()

    return said


def test_pixels_see_as_far_as_the_network_says_and_no_further(network):
    open_network = UNet((4, 6, 8), 3).eval()
    for parameter in open_network.parameters():  # every way through it is open
        parameter.data.abs_().clamp_(min=0.01)
    image = torch.zeros(1, 1, 112, 112)
    seen = np.zeros((112, 112), bool)
    with torch.inference_mode():
        before = open_network(image)
        for at in ((52, 52), (53, 53), (54, 54), (55, 55)):  # all places relative to the strides
            other = image.clone()
            other[0, 0, at[0], at[1]] = 1e6
            changed = (open_network(other) != before).any(1)[0].numpy()
            seen |= np.roll(changed, (54 - at[0], 54 - at[1]), (0, 1))
    assert int(np.abs(np.argwhere(seen) - 54).max()) == network.reach_px


@pytest.mark.parametrize("shape", [(200, 301), (128, 128), (77, 400)])
def test_tiles_say_what_the_whole_says(network, shape):
    image = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    whole = by_tiles(image, apply(network), 4096, network.reach_px, network.stride)
    calls = []

    def counted(tile):
        calls.append(tile.shape)
        return apply(network)(tile)

    tiled = by_tiles(image, counted, 160, network.reach_px, network.stride)
    assert tiled.shape == whole.shape == (3, *shape)
    assert len(calls) > 1 or max(shape) <= 160
    assert max(max(each) for each in calls) <= 160
    # Convolutions of another size add up in another order.
    assert np.abs(tiled - whole).max() < 1e-5


def test_tiles_that_a_deep_network_needs_larger_are_no_larger_than_that():
    """Asked for 128, it needs two overlaps of 120: not the whole image, for which there may be no memory."""
    calls = []

    def counted(tile):
        calls.append(tile.shape)
        return np.ones((2, *tile.shape), np.float32)

    made = by_tiles(np.zeros((1000, 600), np.float32), counted, 128, 51, 8)
    assert max(max(each) for each in calls) <= 256
    assert made == pytest.approx(np.ones((2, 1000, 600)))


@pytest.mark.parametrize("shape", [(3, 3), (5, 64), (33, 47)])
def test_any_size_is_taken(network, shape):
    image = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    odds = by_tiles(image, apply(network), 512, network.reach_px, network.stride)
    assert odds.shape == (3, *shape)
    assert odds.sum(0) == pytest.approx(np.ones(shape), abs=1e-5)


def odds_of(points, species, sigma, shape=(40, 50)):
    y, x = np.ogrid[: shape[0], : shape[1]]
    made = np.zeros((3, *shape), np.float32)
    for (row, column), which in zip(points, species, strict=True):
        spot = np.exp(-((y - row) ** 2 + (x - column) ** 2) / (2 * sigma**2))
        made[1 + which] = np.maximum(made[1 + which], spot)
    total = made.sum(0)
    made /= np.maximum(total, 1)
    made[0] = 1 - np.minimum(total, 1)
    return made


def test_peaks_are_found_between_pixels_with_their_species():
    rng = np.random.default_rng(2)
    true = np.stack(np.meshgrid(np.arange(6, 36, 7.0), np.arange(6, 46, 7.0), indexing="ij"), -1).reshape(-1, 2)
    true += rng.uniform(-0.5, 0.5, true.shape)
    species = rng.integers(0, 2, len(true))
    points, score, found = find_peaks(odds_of(true, species, 1.4), 0.4)
    nearest = np.sqrt(((points[:, None] - true) ** 2).sum(-1)).argmin(1)
    assert len(points) == len(true)
    assert np.abs(points - true[nearest]).max() < 0.06
    assert np.array_equal(found, species[nearest])
    assert ((score > 0.4) & (score <= 1)).all()


@pytest.mark.parametrize("apart", [1.5, 2.0, 3.0])
def test_atoms_whose_odds_touch_stay_two(apart):
    """A threshold leaves one blob of both, already where 0.4 lies below the saddle."""
    sigma = 2.0
    true = np.array([[20.0, 20.0], [20.0, 20.0 + apart * sigma]])
    points, _, _ = find_peaks(odds_of(true, [0, 0], sigma), 0.4)
    assert len(points) == 2
    assert np.abs(points[points[:, 1].argsort()] - true).max() < 0.5


def test_a_plateau_of_nothing_has_no_peaks():
    odds = np.zeros((3, 20, 20), np.float32)
    odds[0] = 1
    assert len(find_peaks(odds, 0.3)[0]) == 0


@pytest.mark.parametrize("factor", [0.4, 0.8, 1.0, 1.7])
def test_resampled_frames_keep_places(draw, factor):
    true = np.array([[21.3, 30.7]])
    made = resample(draw(true, (60, 70), 4.0), factor) - 20
    y, x = (np.arange(n) for n in made.shape)
    centre = np.array([(made.sum(1) * y).sum(), (made.sum(0) * x).sum()]) / made.sum()
    assert centre / factor == pytest.approx(true[0], abs=0.05)


def test_normalised_frames_do_not_depend_on_brightness():
    frame = np.random.default_rng(3).gamma(2, 5, (50, 60))
    frame[3, 3] = 1e6  # a hot pixel must not rescale the others
    plain = normalise(frame)
    assert plain == pytest.approx(normalise(0.01 * frame + 7), abs=1e-3 * float(plain.max()))
    assert np.median(np.abs(plain)) < 2
    assert 1 < np.delete(plain.ravel(), 3 * 60 + 3).std() < 1.5


def test_a_few_atoms_on_black_are_normalised_too(draw):
    frame = draw(np.array([[20.0, 20.0], [30.0, 50.0]]), (60, 70), background=0.0)
    frame[frame < 1] = 0
    plain = normalise(frame)
    assert plain.std() == pytest.approx(1, rel=1e-5)
    assert plain == pytest.approx(normalise(1e6 * frame), abs=1e-4)


def test_weights_are_checked(network, file, tmp_path, monkeypatch):
    loaded = load_weights(file)
    assert loaded.card["classes"] == ["carbon", "silicon"]
    same = zip(loaded.network.state_dict().values(), network.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in same)
    with pytest.raises(DataError, match="no weights are called"):
        load_weights("gold")
    with pytest.raises(DataError, match="cannot be read"):
        load_weights(tmp_path / "none.safetensors")
    other = tmp_path / "other.safetensors"
    write_weights(other, network, {**CARD, "format": 99, "settings": network.settings})
    with pytest.raises(DataError, match="format 2"):
        load_weights(other)
    write_weights(other, network, {**CARD, "settings": {"widths": [4, 6, 9], "classes": 3}})
    with pytest.raises(DataError, match="do not fit"):
        load_weights(other)
    index = {"mine": {"file": "w.safetensors", "sha256": loaded.sha256, "summary": "of a test"}}
    (tmp_path / "weights.json").write_text(json.dumps(index))
    monkeypatch.setattr(registry, "SHIPPED_FOLDER", tmp_path)
    assert load_weights("mine").sha256 == loaded.sha256
    file.write_bytes(file.read_bytes()[:-1] + b"\x00")
    with pytest.raises(DataError, match="sha256"):
        load_weights("mine")


@pytest.mark.parametrize("step", [0.001, 12.0])
def test_pixels_that_can_show_no_atoms_are_refused_before_memory_is_taken(file, step):
    noise = np.random.default_rng(4).normal(size=(1, 64, 64))
    with pytest.raises(CalibrationError, match="angstrom a pixel"):
        Atomnet(AtomnetParams(weights=file)).find(images.make(noise, step=(step, step)), CTX)


def test_images_without_scale_and_lattice_ask_for_one(file):
    noise = np.random.default_rng(4).normal(size=(1, 64, 64))
    with pytest.raises(CalibrationError, match="give `scale`"):
        Atomnet(AtomnetParams(weights=file)).find(images.make(noise), Context(rng=np.random.default_rng(0)))


@pytest.mark.parametrize("image", [np.full((1, 30, 40), 7.0), np.full((2, 30, 40), np.nan)])
def test_images_of_nothing_have_no_atoms(file, image):
    found = Atomnet(AtomnetParams(weights=file)).find(images.make(image), Context(rng=np.random.default_rng(0)))
    assert found.sizes["atom"] == 0
    assert found.attrs["species_meanings"] == "carbon silicon"
