"""A batch through the chain: one draw a sample, nothing edited, counts that are counts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from ronchi.api import DataError
from ronchi_simulate.augment.chain import augment_batch
from ronchi_simulate.params.augment import EFFECTS, AugmentParams

N = 96


def disk(radius: float, at: tuple[float, float] = (48, 48), size: int = N) -> np.ndarray:
    y, x = np.indices((size, size))
    return 1 / (1 + np.exp((np.hypot(y - at[0], x - at[1]) - radius) / 0.6))


def batch(n: int = 3) -> dict[str, torch.Tensor]:
    """Patterns of five disks, their probe, a label and the positions."""
    at = np.array([[48, 48], [30.2, 52.6], [65.8, 43.4], [52.6, 65.8], [43.4, 30.2]])
    pattern = sum(disk(5, tuple(p)) * w for p, w in zip(at, (1, 0.4, 0.3, 0.2, 0.1), strict=True))
    label = sum(np.exp(-((np.indices((N, N)) - p[:, None, None]) ** 2).sum(0) / 2) for p in at)
    made = {"pattern": pattern / pattern.sum(), "probe": disk(5) / disk(5).sum(), "label": label, "peaks": at}
    return {name: torch.tensor(np.stack([value] * n), dtype=torch.float32) for name, value in made.items()}


def one(name: str, n: int = 3, **changes: Any) -> dict[str, Any]:
    """Only one effect."""
    return augment_batch(batch(n), range(n), AugmentParams(effects=(name,), **changes))


def test_without_effects_nothing_changes() -> None:
    given = batch()
    made = augment_batch(given, [1, 2, 3], AugmentParams(effects=()))
    for name, value in given.items():
        assert torch.equal(made[name], value), name
    assert not made["bad_pixel"].any()
    assert made["dose_e"].isnan().all()


def test_nothing_that_was_given_is_edited() -> None:
    given = batch()
    kept = {name: value.clone() for name, value in given.items()}
    augment_batch(given, [1, 2, 3], AugmentParams(stop_probability=1, gap_probability=1))
    for name, value in given.items():
        assert torch.equal(value, kept[name]), name


def test_a_sample_does_not_depend_on_its_batch() -> None:
    p = AugmentParams(stop_probability=0.5, gap_probability=0.5)
    seeds = [5, 2**62 + 3, 7, 0]
    whole = augment_batch(batch(4), seeds, p)
    for i, seed in enumerate(seeds):
        alone = augment_batch(batch(1), [seed], p)
        for name, value in alone.items():
            # FFTs of other batch sizes may round otherwise, and a count near a threshold with them.
            assert torch.allclose(value[0].double(), whole[name][i].double(), rtol=1e-5, atol=1e-3, equal_nan=True), (
                name
            )
    assert not torch.equal(whole["pattern"][0], whole["pattern"][2])
    again = augment_batch(batch(4), seeds, p)
    assert all(torch.equal(again[name].nan_to_num(), value.nan_to_num()) for name, value in whole.items())


@pytest.mark.parametrize("name", EFFECTS)
def test_leaving_one_effect_out_changes_no_draw_of_the_others(name: str) -> None:
    from dataclasses import fields

    from ronchi_simulate.augment.draws import draw, draw_jitter

    p = AugmentParams(gap_probability=1, stop_probability=1)
    less = AugmentParams(gap_probability=1, stop_probability=1, effects=tuple(e for e in EFFECTS if e != name))
    a, b = draw(p, [3, 4]), draw(less, [3, 4])
    changed = {f.name for f in fields(a) if not np.array_equal(getattr(a, f.name), getattr(b, f.name))}
    mine = {
        "ellipse": {"matrix"}, "scale": {"matrix"}, "shift": {"shift_px"}, "jitter": set(),
        "plasmon": {"plasmon_weight"}, "rings": {"ring_weight"}, "mtf": {"mtf_sigma_px"}, "dose": {"dose_e"},
        "gap": {"gap_width_px"}, "stop": {"stop_radius"}, "hot": {"hot_fraction"}, "dead": {"dead_fraction"},
        "probe": {"probe_scale", "probe_blur_px"},
    }  # fmt: skip
    assert changed == mine[name]
    assert draw_jitter(p, [3]).all()
    assert np.array_equal(draw_jitter(less, [3]), draw_jitter(p, [3])) == (name != "jitter")


def test_numpy_is_taken_also_read_only_and_in_another_byte_order() -> None:
    arrays = {name: value.numpy().astype(">f8") for name, value in batch(2).items()}
    for value in arrays.values():
        value.flags.writeable = False
    arrays["peaks"] = arrays["peaks"].astype(float)
    made = augment_batch(arrays, [1, 2], AugmentParams())
    assert torch.equal(made["pattern"], augment_batch(batch(2), [1, 2], AugmentParams())["pattern"])


def test_counts_are_poisson_at_the_dose_and_noise_comes_last() -> None:
    n = 400
    p = AugmentParams(effects=("dose", "shift", "mtf"), dose_e=(3e4, 3e4), shift_px=0, mtf_sigma_px=(0.6, 0.6))
    made = augment_batch(batch(n), range(n), p)["pattern"]
    assert torch.equal(made, made.round())
    mean, variance = made.mean(0), made.var(0)
    assert float(made.sum((1, 2)).mean()) == pytest.approx(3e4, rel=2e-3)  # 5 sigma: 8.7 / 400**0.5 / 300
    bright = mean > 5
    # The variance of 400 draws is known to 7 % a pixel; the mean ratio over hundreds of pixels to 0.4 %.
    assert float((variance / mean)[bright].mean()) == pytest.approx(1, abs=0.015)
    # Noise that was resampled would be correlated between neighbours.
    residual = ((made - mean) / mean.clamp(min=1e-3).sqrt())[:, 40:56, 40:56]
    correlation = float((residual[:, :, 1:] * residual[:, :, :-1]).mean())
    assert abs(correlation) < 0.02  # 400 * 240 pairs: 0.003


def test_the_dose_is_log_uniform() -> None:
    dose = np.log10(one("dose", n=300)["dose_e"].numpy())
    # Uniform from 2 to 7: mean 4.5, standard deviation 1.44; 300 draws, seeds 0 to 299.
    assert dose.mean() == pytest.approx(4.5, abs=0.25)
    assert dose.std() == pytest.approx(1.443, abs=0.15)


def test_label_and_peaks_follow_the_pattern() -> None:
    n = 6
    made = augment_batch(batch(n), range(n), AugmentParams(effects=("ellipse", "scale", "shift", "jitter")))
    y, x = np.indices((N, N))
    for i in range(n):
        for row, column in made["peaks"][i].numpy():
            near = np.hypot(y - row, x - column) < 4.5
            label = made["label"][i].numpy() * near
            # Narrow maxima of sigma 1 in a window that cuts 4.5 sigma off.
            assert (label * y).sum() / label.sum() == pytest.approx(row, abs=0.03)
            assert (label * x).sum() / label.sum() == pytest.approx(column, abs=0.03)
        assert float(made["pattern"][i].sum()) == pytest.approx(1, abs=3e-3)
        row, column = made["peaks"][i][0].tolist()
        near = np.hypot(y - row, x - column) < 9
        central = made["pattern"][i].numpy() * near
        assert (central * y).sum() / central.sum() == pytest.approx(row, abs=0.05)


def test_background_keeps_the_electrons_and_surrounds_the_shifted_beam() -> None:
    changes = {"plasmon_weight": (0.2, 0.2), "shift_px": 9.0}
    p = AugmentParams(effects=("plasmon", "shift"), **changes)
    plain = augment_batch(batch(), range(3), AugmentParams(effects=("shift",), **changes))
    made = augment_batch(batch(), range(3), p)
    halo = (made["pattern"] - 0.8 * plain["pattern"]).double()
    for i in range(3):
        assert float(halo[i].sum()) == pytest.approx(0.2, rel=1e-4)
        assert float(halo[i].min()) > 0  # it reaches to the borders
        row, column = made["peaks"][i][0].tolist()
        y, x = np.indices((N, N))
        near = np.hypot(y - row, x - column) < 12
        weights = halo[i].numpy() * near
        assert (weights * y).sum() / weights.sum() == pytest.approx(row, abs=0.15)


def test_rings_have_their_radius_width_and_weight() -> None:
    q = 0.0217
    made = one(
        "rings", n_rings=1, ring_weight=(0.3, 0.3), ring_radius_inv_angstrom=(20 * q, 20 * q),
        ring_width_inv_angstrom=(2 * q, 2 * q),
    )  # fmt: skip
    ring = made["pattern"][0].numpy() - 0.7 * batch()["pattern"][0].numpy()
    assert ring.sum() == pytest.approx(0.3, rel=1e-3)
    y, x = np.indices((N, N))
    radius = np.hypot(y - 48, x - 48)
    # Weighted with r dr the mean radius of a Gaussian profile is R + s^2 / R.
    assert (ring * radius).sum() / ring.sum() == pytest.approx(20.2, abs=0.02)


def test_point_spread_has_its_width_and_keeps_the_counts() -> None:
    from ronchi_simulate.augment.detector import blur

    image = torch.zeros(2, 31, 32)
    image[:, 15, 16] = 1
    made = blur(image, torch.tensor([0.0, 0.8], dtype=torch.float64)).double().numpy()
    assert np.array_equal(made[0], image[0].numpy())
    y, x = np.indices((31, 32))
    assert made[1].sum() == pytest.approx(1, abs=1e-5)
    assert ((y - 15) ** 2 * made[1]).sum() == pytest.approx(0.64, rel=0.01)
    assert ((x - 16) ** 2 * made[1]).sum() == pytest.approx(0.64, rel=0.01)
    flat = blur(torch.ones(1, 20, 20), torch.tensor([1.0]))
    assert torch.allclose(flat, torch.ones(1, 20, 20), atol=1e-6)


def test_shadows_hold_nothing_and_are_told() -> None:
    p = AugmentParams(gap_probability=1, stop_probability=1, gap_width_px=(3, 3), effects=("gap", "stop", "dose"))
    made = augment_batch(batch(), range(3), p)
    for pattern, bad in zip(made["pattern"], made["bad_pixel"], strict=True):
        assert not pattern[bad].any()
        assert int((bad.sum(1) == N).sum()) == 3
        assert int((bad.sum(0) == N).sum()) == 3
        assert bad[48, 48]


def test_hot_and_dead_pixels_are_few_told_and_leave_the_others_alone() -> None:
    p = AugmentParams(effects=("hot", "dead", "dose"), hot_fraction=(2e-3, 2e-3), dead_fraction=(1e-3, 1e-3))
    made = augment_batch(batch(), range(3), p)
    expected = augment_batch(batch(), range(3), AugmentParams(effects=("hot", "dead"), **{
        name: getattr(p, name) for name in ("hot_fraction", "dead_fraction")}))  # fmt: skip
    for i in range(3):
        bad = made["bad_pixel"][i]
        assert 24 <= int(bad.sum()) <= round(3e-3 * N * N)  # places may coincide
        assert torch.equal(expected["pattern"][i][~bad], batch()["pattern"][i][~bad])
        hot = bad & (expected["pattern"][i] > 0)
        ratio = expected["pattern"][i][hot] / expected["pattern"][i][~bad].max()
        assert float(ratio.min()) >= 0.2 * (1 - 1e-5)
        assert float(ratio.max()) <= 5 * (1 + 1e-5)
        assert not made["pattern"][i][bad & ~hot].any()


def test_the_probe_is_seen_by_the_same_instrument_and_mismatched() -> None:
    radius = lambda image: np.sqrt(float((image > 0.5 * image.max()).sum()) / np.pi)  # noqa: E731
    made = one("probe", probe_scale=(1.2, 1.2), probe_blur_px=(0, 0))
    assert radius(made["probe"][0]) == pytest.approx(1.2 * radius(batch()["probe"][0]), rel=0.05)
    assert torch.equal(made["pattern"], batch()["pattern"])
    shifted = one("shift", shift_px=6)
    assert torch.equal(shifted["probe"], batch()["probe"])
    scaled = one("scale", scale=(1.2, 1.2))
    assert radius(scaled["probe"][0]) == pytest.approx(radius(made["probe"][0]), rel=1e-6)


def test_what_does_not_fit_is_refused() -> None:
    given = batch()
    with pytest.raises(DataError, match="probe"):
        augment_batch({"pattern": given["pattern"]}, [1, 2, 3], AugmentParams())
    with pytest.raises(DataError, match="seeds"):
        augment_batch(given, [1, 2], AugmentParams())
    with pytest.raises(DataError, match="label"):
        augment_batch({**given, "label": given["label"][:, 1:]}, [1, 2, 3], AugmentParams())
    assert set(augment_batch({"pattern": given["pattern"]}, [1, 2, 3], AugmentParams(effects=("dose",)))) == {
        "pattern", "bad_pixel", "dose_e"}  # fmt: skip


@pytest.mark.parametrize("value", [-1.0, np.nan])
def test_patterns_that_cannot_be_mean_counts_are_refused(value: float) -> None:
    pattern = np.ones((2, 16, 16), np.float32)
    pattern[1, 3, 3] = value
    with pytest.raises(DataError, match="negative or missing values"):
        augment_batch({"pattern": pattern}, [1, 2], AugmentParams(effects=("dose",)))
    augment_batch({"pattern": pattern}, [1, 2], AugmentParams(effects=("shift",)))


def test_backgrounds_that_take_more_electrons_than_there_are_are_refused() -> None:
    all_of_them = {"plasmon_weight": (0.1, 0.4), "ring_weight": (0.1, 0.3), "n_rings": 2}
    with pytest.raises(ValidationError, match="together take up to 1 of the electrons"):
        AugmentParams(**all_of_them)
    AugmentParams(**all_of_them, effects=("rings", "dose"))
    with pytest.raises(ValidationError, match="ends before it begins"):
        AugmentParams(gap_width_px=(5, 1))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_expectations_agree_on_a_gpu() -> None:
    p = AugmentParams(effects=tuple(e for e in EFFECTS if e != "dose"), gap_probability=1, stop_probability=1)
    here = augment_batch(batch(), range(3), p)
    there = augment_batch({name: value.cuda() for name, value in batch().items()}, range(3), p)
    for name, value in here.items():
        assert torch.allclose(value.double(), there[name].cpu().double(), rtol=1e-4, atol=1e-6, equal_nan=True), name
