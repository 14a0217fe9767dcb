"""Fitting mixtures: steps, moves, symmetries, and the whole search."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from ronchi.builtin.motif_library import motif_atoms
from ronchi.builtin.motifs import draw_atoms
from ronchi_rvae.disc import DiscBasis
from ronchi_rvae.em import Mixture, breaks_symmetry, expectation, iterate, maximisation
from ronchi_rvae.moves import merge_alike, noise_edge, scatter, split
from ronchi_rvae.poses import SCAN_ALL
from ronchi_rvae.posterior import best_poses, common_fold, wrapped
from ronchi_rvae.search import Search, fit_mixture
from ronchi_rvae.shifts import ShiftGrid
from ronchi_rvae.symmetry import correlation, symmetrised, to_one_frame, turn

SIGMA = 0.289


@pytest.fixture(scope="module")
def basis() -> DiscBasis:
    return DiscBasis((25, 25), (12.0, 12.0), 12.0, 2.0, ShiftGrid(0.5))


def templates_of(basis, draw, *names, **options):
    return basis.describe(np.stack([draw(name, **options) for name in names]))[:, 4]


def mixture_of(templates, variance=0.01, fold=None):
    k = len(templates)
    return Mixture(templates, np.full(k, 1 / k), variance, SIGMA, np.ones(k, np.int64) if fold is None else fold)


def test_templates_come_back_from_their_images(basis, draw, crops):
    made = crops(0, n_samples=600, noise_sigma=0.3)
    described = basis.describe(made.data["intensity"].values)
    names = ("pristine", "missing-neighbour", "silicon", "stone-wales")
    true = templates_of(basis, draw, *names)
    start = mixture_of(true, 0.09)
    after = maximisation(basis, described, start, expectation(basis, described, start, start=SCAN_ALL))
    assert after.share == pytest.approx(0.25, abs=0.01)
    assert np.sqrt(after.variance) == pytest.approx(0.3, rel=0.08)
    for k in range(4):
        # 150 images leave 0.3 / sqrt(150) in each number; the shift's error blurs a little more.
        assert np.abs(after.templates[k] - true[k]).std() < 0.04


def test_likelihood_rises(basis, crops):
    described = basis.describe(crops(0, n_samples=600, noise_sigma=0.3).data["intensity"].values)
    mixture = mixture_of(described[:3, 4], 0.3)
    found = expectation(basis, described, mixture)
    reached = []
    for _ in range(6):
        mixture = maximisation(basis, described, mixture, found)
        found = expectation(basis, described, mixture, angle=found.angle, shift_px=found.shift_px)
        reached.append(found.log_likelihood.mean())
    assert (np.diff(reached) > -0.05).all()
    assert reached[-1] > reached[0] + 0.5


def test_held_symmetry(basis, crops):
    described = basis.describe(crops(0, n_samples=600, noise_sigma=0.3).data["intensity"].values)
    fold = np.array([3, 0, 1])
    mixture, _ = iterate(basis, described, mixture_of(described[:3, 4], 0.3, fold), 2)
    broken = breaks_symmetry(basis.order, fold)
    assert (mixture.templates[broken] == 0).all()
    assert (np.abs(mixture.templates[2]) > 0).all()
    assert broken[0].sum() == (basis.order % 3 != 0).sum()
    assert broken[1].sum() == (basis.order > 0).sum()


def test_noise_edge():
    rng = np.random.default_rng(0)
    edges = [
        np.linalg.eigvalsh(np.cov(rng.normal(0, 2, (n, 150)), rowvar=False))[-1] / noise_edge(4.0, 150, n)
        for n in (300, 1000, 3000)
    ]
    assert edges == pytest.approx([1, 1, 1], abs=0.05)


def test_only_structure_scatters(basis, draw, crops):
    described = basis.describe(crops(0, n_samples=600, noise_sigma=0.3).data["intensity"].values)
    names = ("pristine", "missing-neighbour", "silicon", "stone-wales")
    whole = mixture_of(templates_of(basis, draw, *names), 0.09)
    found = expectation(basis, described, whole, start=SCAN_ALL)
    assert max(scatter(basis, described, whole, found, k).excess for k in range(4)) < 1.15
    lacking = mixture_of(whole.templates[[0, 2, 3]], 0.09)
    found = expectation(basis, described, lacking, start=SCAN_ALL)
    along = scatter(basis, described, lacking, found, 0)
    assert along.excess > 2 > along.clearly
    assert np.linalg.norm(along.direction) == pytest.approx(1, abs=1e-4)
    more, angle, shift_px = split(lacking, found, 0, along)
    assert more.size == 4
    assert more.share.sum() == pytest.approx(1)
    assert angle.shape == (600, 4)
    assert shift_px.shape == (600, 4, 2)
    middle = (more.templates[0] + more.templates[3]) / 2
    assert np.allclose(middle, lacking.templates[0], atol=1e-5)


def test_turned_copies_are_merged(basis, draw):
    one, other = templates_of(basis, draw, "f-glyph", "stone-wales")
    mixture = mixture_of(np.stack([one, other, turn(basis, one, 2.0)]), 0.01)
    merged = merge_alike(basis, mixture, 1000)
    assert merged.size == 2
    assert np.abs(merged.templates[0] - one).max() < 1e-3 * np.abs(one).max()
    assert merged.share == pytest.approx([2 / 3, 1 / 3])
    assert merge_alike(basis, mixture, 1000, at_least=1).size == 1


@pytest.mark.parametrize("angle", [-2.5, 0.4, 3.0])
def test_correlation_finds_the_turn(basis, draw, angle):
    one = templates_of(basis, draw, "f-glyph")[0]
    found, distance = correlation(basis, turn(basis, one, angle), one)
    assert np.angle(np.exp(1j * (found - angle))) == pytest.approx(0, abs=1e-3)
    assert distance < 1e-4 * (np.abs(one) ** 2).sum()


def test_one_frame(basis, draw):
    clean, lacking = templates_of(basis, draw, "pristine", "missing-neighbour")
    mixture = to_one_frame(basis, mixture_of(np.stack([clean, turn(basis, lacking, 1.0)])))
    turned, _ = correlation(basis, mixture.templates[1], lacking)
    assert np.angle(np.exp(3j * turned)) == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize(
    ("name", "fold"),
    [("f-glyph", 1), ("missing-neighbour", 1), ("silicon-4c", 2), ("pristine", 3), ("silicon", 3), ("square", 4)],
)
@pytest.mark.parametrize("shift", [(0.0, 0.0), (0.2, -0.15)])
def test_symmetry_is_found_off_the_centre_too(basis, draw, name, fold, shift):
    template = templates_of(basis, draw, name, angle=0.5, shift=shift)
    template = template + np.random.default_rng(0).normal(0, 0.005, template.shape)
    held = symmetrised(basis, mixture_of(template.astype(np.complex64), 0.25), 10_000)
    assert held.fold.tolist() == [fold]
    if fold > 1:
        centred = templates_of(basis, draw, name, angle=0.5)
        assert np.abs(held.templates - centred).max() < 0.06 * np.abs(centred).max()


def test_a_ring_has_no_angle(basis):
    y, x = np.mgrid[:25, :25] - 12
    ring = np.exp(-((np.hypot(y, x) - 5) ** 2) / 4).astype(np.float32)
    mixture = symmetrised(basis, mixture_of(basis.describe(ring[None])[:, 4], 0.01), 100)
    assert mixture.fold.tolist() == [0]
    found = expectation(basis, basis.describe(ring[None]), mixture, start=SCAN_ALL)
    pose = best_poses(basis, mixture, found)
    assert np.isnan(pose.angle[0])
    assert pose.resultant[0] == 0
    assert common_fold(mixture) == 1


def test_an_open_angle_is_closed_by_another_class(basis, draw):
    """Taken for pristine, a site with a lost neighbour still has the angle that the other template gives."""
    clean, lacking = templates_of(basis, draw, "pristine", "missing-neighbour")
    fold = np.array([3, 1])
    mixture = symmetrised(basis, mixture_of(np.stack([clean, lacking]), 0.25), 10_000)
    assert mixture.fold.tolist() == fold.tolist()
    angles = np.deg2rad([5.0, 125.0, 245.0])
    # Half of the atom is left, so that both classes are in doubt.
    images = np.stack([0.6 * draw("pristine", angle=a) + 0.4 * draw("missing-neighbour", angle=a) for a in angles])
    found = expectation(basis, basis.describe(images), mixture, start=SCAN_ALL)
    pose = best_poses(basis, mixture, found)
    assert (pose.label == 0).all()
    assert np.angle(np.exp(1j * (pose.angle - angles))) == pytest.approx(0, abs=0.02)


def test_wrapping():
    mixture = mixture_of(np.zeros((2, 3), np.complex64), fold=np.array([6, 3]))
    assert common_fold(mixture) == 3
    assert wrapped(np.array([-0.1, 2.2]), mixture) == pytest.approx([2 * np.pi / 3 - 0.1, 2.2 - 2 * np.pi / 3])


@pytest.fixture(scope="module")
def searched(basis, crops):
    described = basis.describe(crops(3, n_samples=1600).data["intensity"].values)
    return fit_mixture(basis, described, np.random.default_rng(0), Search(None, 8))


def test_search_finds_the_classes(basis, crops, searched):
    assert searched.size == 4
    assert searched.share == pytest.approx(0.25, abs=0.03)
    held_out = crops(4, n_samples=800)
    found = expectation(basis, basis.describe(held_out.data["intensity"].values), searched, start=SCAN_ALL)
    pose = best_poses(basis, searched, found)
    truth = held_out.sides["truth"]
    # True templates reach 0.970 on 10,000 crops (+-0.01 on 800).
    assert adjusted_rand_score(truth["label"].values, pose.label) > 0.94
    for label, fold, least in ((0, 3, 0.998), (1, 1, 0.97), (2, 3, 0.998), (3, 1, 0.999)):
        rows = truth["label"].values == label
        turned = np.exp(1j * fold * (pose.angle - truth["angle"].values))[rows]
        assert abs(turned.mean()) > least, label


@pytest.mark.parametrize("level", [0.0, 1.0, 1000.0])
def test_a_background_that_comes_and_goes_changes_nothing(basis, crops, level):
    """Neither classes nor the noise, angles or symmetries: every image has a level of its own, also a large one."""
    made = crops(8, n_samples=900, motifs=("pristine", "missing-neighbour"), noise_sigma=0.3)
    truth = made.sides["truth"]
    levels = level * np.random.default_rng(0).uniform(-1, 1, 900).astype(np.float32)
    described = basis.describe(made.data["intensity"].values + levels[:, None, None])
    mixture = fit_mixture(basis, described, np.random.default_rng(0), Search(None, 8))
    assert sorted(mixture.fold) == [1, 3]
    assert np.sqrt(mixture.variance) == pytest.approx(0.3, abs=0.005)
    pose = best_poses(basis, mixture, expectation(basis, described, mixture, start=SCAN_ALL))
    assert adjusted_rand_score(truth["label"].values, pose.label) > 0.97
    rows = truth["label"].values == 0
    assert abs(np.exp(3j * (pose.angle - truth["angle"].values))[rows].mean()) > 0.99


@pytest.mark.parametrize(
    ("background", "stabilised"),
    [(0.2, True), (0.6, True), (4.0, True), (20.0, True), (0.2, False), (4.0, False), (20.0, False)],
)
def test_noise_that_differs_from_pixel_to_pixel_makes_no_classes(basis, crops, background, stabilised):
    """Counts: bright atoms are noisier than what lies between, and Anscombe's transform mends that at many counts."""
    ideal = crops(0, n_samples=900, motifs=("f-glyph",), noise="none").data["intensity"].values.clip(0)
    counts = np.random.default_rng(1).poisson(5 * background * (ideal + 0.2)).astype(np.float32)
    seen = 2 * np.sqrt(counts + 0.375) if stabilised else counts
    mixture = fit_mixture(basis, basis.describe(seen / seen.std()), np.random.default_rng(0), Search(None, 8, 4))
    assert mixture.size == 1


@pytest.mark.parametrize("noise", [0.3, 0.1, 0.0])
def test_a_quiet_vacuum_is_one_class(basis, crops, noise):
    """Beside structure with other noise: what scatters less than the mean of all is not split to make up for it."""
    structure = crops(0, n_samples=900, noise_sigma=0.3, motifs=("f-glyph",)).data["intensity"].values
    vacuum = np.random.default_rng(1).normal(0, noise, (300, 25, 25)).astype(np.float32)
    described = basis.describe(np.concatenate([structure, vacuum]))
    mixture = fit_mixture(basis, described, np.random.default_rng(0), Search(None, 8, 4))
    assert np.sort(mixture.share) == pytest.approx([0.25, 0.75], abs=0.01)


def turned_neighbours(n, out_px, noise, rng):
    """Pristine graphene of which one neighbour is moved outwards, at angles (n,), with noise."""
    atoms = motif_atoms("pristine", 35 / 4.5)
    first = np.flatnonzero((np.hypot(atoms[:, 0], atoms[:, 1]) > 0.5) & (np.hypot(atoms[:, 0], atoms[:, 1]) < 1.5))[0]
    atoms[first, :2] *= 1 + out_px / (4.5 * np.hypot(*atoms[first, :2]))
    angle, shift = rng.uniform(0, 2 * np.pi, n), rng.uniform(-0.3, 0.3, (n, 2))
    c, s = np.cos(angle)[:, None], np.sin(angle)[:, None]
    y, x = 4.5 * atoms[:, 0], 4.5 * atoms[:, 1]
    places = np.stack([s * x + c * y, c * x - s * y], -1) + shift[:, None]
    images = draw_atoms(places, atoms[:, 2], 1.3, (25, 25))
    return images + rng.normal(0, noise, images.shape), angle


def test_a_neighbour_out_of_place_breaks_the_symmetry(basis):
    """By 0.6 px of a bond of 4.5 px: one of three angles is the right one, and it is found."""
    images, angle = turned_neighbours(1500, 0.6, 0.1, np.random.default_rng(0))
    described = basis.describe(images)
    mixture = fit_mixture(basis, described, np.random.default_rng(0), Search(1, 8, 5))
    assert mixture.fold.tolist() == [1]
    pose = best_poses(basis, mixture, expectation(basis, described, mixture, start=SCAN_ALL))
    assert abs(np.exp(1j * (pose.angle - angle)).mean()) > 0.99


@pytest.mark.parametrize(("n", "noise"), [(400, 0.1), (400, 1.0), (1600, 1.0), (3200, 0.6)])
def test_noise_alone_breaks_no_symmetry(basis, n, noise):
    """Each image takes the angle that suits its noise, and the template grows lopsided with the root of 1 / n."""
    images, _ = turned_neighbours(n, 0.0, noise, np.random.default_rng(1))
    mixture = fit_mixture(basis, basis.describe(images), np.random.default_rng(0), Search(1, 8, 5))
    assert mixture.fold.tolist() == [3]


def test_a_site_that_is_found_about_three_centres_is_one_class(basis):
    """Half pristine, half with a neighbour out of place: its three directions are one class, about one centre."""
    rng = np.random.default_rng(0)
    pristine, moved = (turned_neighbours(800, out_px, 0.1, rng)[0] for out_px in (0.0, 0.6))
    described = basis.describe(np.concatenate([pristine, moved]))
    mixture = fit_mixture(basis, described, np.random.default_rng(0), Search(None, 8, 5))
    assert sorted(mixture.fold) == [1, 3]
    label = best_poses(basis, mixture, expectation(basis, described, mixture, start=SCAN_ALL)).label
    assert adjusted_rand_score(np.arange(1600) >= 800, label) > 0.95


@pytest.mark.slow
def test_classes_are_found_in_noise_as_strong_as_an_atom(basis, crops):
    """Two classes that differ by one atom of 5.3 noise levels squared: what tells them apart is spread over images."""
    made = crops(9, n_samples=10_000, noise_sigma=1.0)
    described = basis.describe(made.data["intensity"].values)
    mixture = fit_mixture(basis, described, np.random.default_rng(0), Search(None, 8))
    assert mixture.size == 4
    assert mixture.share == pytest.approx(0.25, abs=0.05)


def test_search_heeds_the_number_asked_for(basis, crops):
    described = basis.describe(crops(3, n_samples=1600).data["intensity"].values)[:250]
    for asked in (1, 3):
        assert fit_mixture(basis, described, np.random.default_rng(0), Search(asked, 8, 3)).size == asked


def test_search_can_be_stopped(basis, crops):
    described = basis.describe(crops(3, n_samples=1600).data["intensity"].values)[:300]

    def tick():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_mixture(basis, described, np.random.default_rng(0), Search(None, 8, 3, tick))


@pytest.mark.slow
def test_rare_classes_are_found(basis, crops):
    """Three defects of about 5 % each beside a pristine lattice.

    At 3.4 % of 6700 the largest eigenvalue that a missing neighbour makes, in three directions since the angle is open,
    is that of noise.
    """
    made = crops(0, n_samples=24000)
    truth = made.sides["truth"]
    label = truth["label"].values
    kept = (label == 0) | (np.random.default_rng(0).random(len(label)) < 0.06)
    described = basis.describe(made.data["intensity"].values[kept])
    mixture = fit_mixture(basis, described, np.random.default_rng(0), Search(None, 8))
    share = np.bincount(label[kept]) / kept.sum()
    assert np.sort(mixture.share) == pytest.approx(np.sort(share), abs=0.005)
    assert sorted(mixture.fold) == [1, 1, 3, 3]
    pose = best_poses(basis, mixture, expectation(basis, described, mixture, start=SCAN_ALL))
    assert adjusted_rand_score(label[kept], pose.label) > 0.9
    lacking = label[kept] == 1
    # True templates reach the same: an angle is lost with an error of 1 in 1000.
    assert abs(np.exp(1j * (pose.angle - truth["angle"].values[kept]))[lacking].mean()) > 0.98
