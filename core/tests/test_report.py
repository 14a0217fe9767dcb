"""The report: complete, self-contained, safe to open, and honest about what is missing."""

from __future__ import annotations

import base64
import re
import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure

from ronchi.errors import OutputError
from ronchi.report import write_report
from ronchi.report.elements import citation, messages, table
from ronchi.report.figures import Album
from ronchi.report.provenance import config_hash
from ronchi.report.results import truth_of
from ronchi.report.summary import duration
from ronchi.result import RunResult, StepResult
from ronchi.schema import fourd, images, lattice, maps, peaks, scores, strain
from ronchi.schema.common import variable

SCAN = (2, 8)


class Page(HTMLParser):
    """What a browser would find in a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.text, self.tags = path.read_text(encoding="utf-8"), []
        self.words: list[str] = []
        self.feed(self.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]

    @property
    def said(self) -> str:
        return " ".join(" ".join(self.words).split())


def make_scan(calibrated: bool = True) -> xr.Dataset:
    y, x = np.mgrid[:16, :16] - 8
    disk = 200.0 * (np.hypot(y, x) < 2.5)
    counts = np.random.default_rng(4).poisson(disk, (*SCAN, 16, 16)).astype(np.uint16)
    if not calibrated:
        return fourd.make(counts)
    known = {"beam_energy_eV": 2e5, "semiangle_mrad": 2.5, "scan_rotation_deg": 0.0}
    return fourd.make(counts, scan_step=(5, 5), q_step=(0.04, 0.04), title="a <b>bold</b> crystal", **known)


def make_steps(scan: xr.Dataset) -> dict[str, StepResult]:
    n = SCAN[0] * SCAN[1]
    coords = {dim: scan[dim].variable for dim in ("scan_y", "scan_x")}
    found = peaks.make(
        counts=np.full(n, 1), qy=np.zeros(n), qx=np.zeros(n), scan_shape=SCAN, q_step=fourd.q_step(scan),
        q_origin_px=fourd.centre_px(scan), q_shape=(16, 16), q_units=fourd.q_units(scan), scan_coords=coords,
    )  # fmt: skip
    vector = np.ones((*SCAN, 1))
    fit = lattice.make(
        origin=vector * [0, 0], g1=vector * [0, 0.2], g2=vector * [0.2, 0], cov=np.zeros((*SCAN, 6, 6)),
        chi2=np.ones(SCAN), n_used=np.full(SCAN, 9), q_units=fourd.q_units(scan), coords=coords,
        reason=variable(
            ("scan_y", "scan_x"), np.r_[np.zeros(n - 1, np.uint8), 1].reshape(SCAN), "1", "why",
            flag_meanings="fitted too_few", flag_values=np.array([0, 1], np.uint8),
        ),
    )  # fmt: skip
    valid = np.ones(SCAN, bool)
    valid[-1, -1] = False
    values = {name: np.where(valid, 0.01, np.nan) for name in strain.COMPONENTS}
    errors = {name: np.where(valid, 0.001, np.nan) for name in strain.COMPONENTS}
    result = strain.make(
        values, errors, residual=np.where(valid, 0.1, np.nan), n_used=valid * 9, valid=valid,
        residual_units="1/angstrom", frame="scan", reference="the whole scan", coords=coords,
    )  # fmt: skip
    truth = result[list(strain.COMPONENTS)].fillna(0).assign_attrs(ronchi_schema="strain/1", is_truth=1)
    done = [
        StepResult(
            step="load", kind="reader", name="native", data=scan, sides={"truth": truth}, seconds=0.5, key="a" * 64
        ),
        StepResult(
            step="disks", kind="disk_detector", name="crosscorr", dist="ronchi-crosscorr", version="1.2", data=found,
            inputs={"data": "load"}, citation="A. Author & B. Author, doi:10.1000/xyz.1 (2020).", peak_rss_mb=123,
        ),
        StepResult(
            step="strain", kind="strain_solver", name="lattice", data=result, sides={"lattice": fit},
            inputs={"peaks": "disks"}, params={"reference": {"scan_x": [0, 10], "scan_y": None, "statistic": "median"}},
        ),
        StepResult(
            step="score", kind="metric", name="strain-rmse", data=scores.make({"rmse_e_xx": 0.00123}),
            inputs={"result": "strain", "truth": "load.truth"},
        ),
    ]  # fmt: skip
    for step in done:
        step.status = "done"
    return {step.step: step for step in done}


def make_result(scan: xr.Dataset, **more) -> RunResult:
    fields = {
        "name": "demo",
        "steps": make_steps(scan),
        "seconds": 75.0,
        "seed": 7,
        "versions": {"ronchi": "0.1.0"},
    } | more
    return RunResult(config={"name": "demo", "seed": 7}, out_dir=Path(), **fields)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    result = make_result(make_scan(), source="name: demo  # <script>alert(1)</script>\n", warnings=["mind the <gap>"])
    return write_report(result, tmp_path_factory.mktemp("report") / "report.html", figures=True)


@pytest.fixture
def page(written: Path) -> Iterator[Page]:
    return Page(written)


def test_all_sections_are_there_and_linked(page: Page) -> None:
    titles = re.findall(r'<h2 id="([^"]+)">([^<]+)</h2>', page.text)
    assert [title for _, title in titles] == [
        "Summary", "Data: load", "Disk detector: disks", "Strain solver: strain", "Steps", "Provenance",
    ]  # fmt: skip
    links = [a["href"] for a in page.all("a") if str(a["href"]).startswith("#")]
    assert links == [f"#{identifier}" for identifier, _ in titles]


def test_no_section_and_no_figure_failed(page: Page) -> None:
    assert 'class="error"' not in page.text
    assert len(page.all("img")) == 8


def test_what_the_reader_made_of_the_file_is_said(tmp_path: Path) -> None:
    """A scan in px whose file states a step, and one that is cut short, must not look like any other."""
    scan = make_scan(calibrated=False).assign_attrs(
        calibration_refused="scan step 3e9 nm (y): 3e+10 angstrom is outside 0.001 to 1e+05",
        notes="7 of 8 rows of the scan are complete; the rest is left out",
    )
    load = StepResult(step="load", kind="reader", name="x", data=scan, status="done")
    said = Page(write_report(make_result(scan, steps={"load": load}), tmp_path / "scan.html")).said
    assert "not believed: scan step 3e9 nm" in said
    assert "7 of 8 rows of the scan are complete" in said
    load.data = images.make(np.ones((4, 4)), notes="the file does not say whether these are <images>")
    said = Page(write_report(make_result(scan, steps={"load": load}), tmp_path / "image.html")).said
    assert "does not say whether these are <images>" in said


def test_file_needs_nothing_else(page: Page) -> None:
    assert not page.all("script")
    assert not page.all("link")
    assert "@import" not in page.text
    assert "url(" not in page.text
    for attrs in page.all("img"):
        assert str(attrs["src"]).startswith("data:image/png;base64,")
    outward = [str(attrs["href"]) for attrs in page.all("a") if not str(attrs["href"]).startswith("#")]
    assert outward == ["https://doi.org/10.1000/xyz.1"]


def test_images_are_png_with_words_for_those_who_cannot_see(page: Page) -> None:
    for attrs in page.all("img"):
        assert len(str(attrs["alt"])) > 10
        assert base64.b64decode(str(attrs["src"]).partition(",")[2]).startswith(b"\x89PNG")
    assert len(page.all("figcaption")) == len(page.all("img"))


def test_text_is_escaped(page: Page) -> None:
    assert "<b>bold" not in page.text
    assert "a <b>bold</b> crystal" in page.said
    assert "alert(1)</script>" not in page.text
    assert "mind the <gap>" in page.said


def test_numbers_that_matter_are_named(page: Page) -> None:
    for expected in (
        "1 min 15 s", "123 MB", "2 × 8", "93.8 %", "rmse_e_xx 0.00123", "result = strain, truth = load.truth",
        "15 of 16 positions fitted", "fitted 15 too few 1", "5 Å", "0.04 Å⁻¹", "camera length — not given", "200 keV",
        "Seed 7", "ronchi-crosscorr 1.2", "statistic: median",
    ):  # fmt: skip
        assert expected in page.said, expected


def test_footer_carries_the_hash_of_the_configuration(page: Page, written: Path) -> None:
    digest = config_hash(make_result(make_scan()))
    assert re.fullmatch("[0-9a-f]{64}", digest)
    assert digest in page.text.partition("<footer>")[2]
    assert config_hash(RunResult(name="demo", config={"seed": 8}, out_dir=Path())) != digest


def test_figures_lie_beside_it_at_300_dpi(written: Path) -> None:
    from PIL import Image

    files = sorted((written.parent / "figures").glob("*.png"))
    assert [file.stem for file in files] == [
        "disks-patterns", "disks-positions", "disks-vectors", "load-overview", "strain-histograms", "strain-maps",
        "strain-profiles", "strain-quality",
    ]  # fmt: skip
    for file in files:
        with Image.open(file) as image:
            assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)
            assert "sha256" in image.info["Description"]
    assert not list(written.parent.glob(".*"))  # no temporary files are left


def test_figures_lie_beside_it_only_if_wanted_and_never_those_of_an_earlier_run(written: Path, tmp_path: Path) -> None:
    shutil.copytree(written.parent / "figures", tmp_path / "figures")
    (tmp_path / "figures" / "mine.png").write_bytes(b"not from here")
    result = make_result(make_scan(), steps={})
    write_report(result, tmp_path / "other.html")
    assert (tmp_path / "figures" / "load-overview.png").exists(), "it is another page's"
    write_report(result, tmp_path / "report.html")
    assert [file.name for file in (tmp_path / "figures").iterdir()] == ["mine.png"]
    (tmp_path / "figures" / "mine.png").unlink()
    write_report(result, tmp_path / "report.html")
    assert not (tmp_path / "figures").exists()


def test_warnings_come_first_when_nothing_is_calibrated(tmp_path: Path) -> None:
    scan = make_scan(calibrated=False)
    page = Page(write_report(make_result(scan, steps={"load": make_steps(scan)["load"]}), tmp_path / "r.html"))
    assert page.text.index('class="warning"') < page.text.index('class="key"')
    assert "the scan is not calibrated" in page.said
    assert "scattering vectors are in px" in page.said
    assert "rotation between scan and detector is not known" in page.said
    assert "qx 16 points 1 px not calibrated: relative" in page.said
    assert "Å" not in page.said
    assert " nm" not in page.said
    assert "give beam energy and semiangle" in page.said  # no radius of the disk: no bright field is invented


def test_peaks_of_a_file_say_what_is_not_in_it(tmp_path: Path) -> None:
    source, n = "not in the file: taken from the points, which lie around zero", SCAN[0] * SCAN[1]
    read = peaks.make(
        counts=np.full(n, 1), qy=np.zeros(n), qx=np.linspace(-1, 1, n), scan_shape=SCAN, q_step=(0.011, 0.011),
        q_origin_px=(8, 8), q_shape=(17, 17), q_units="1/angstrom",
    )  # fmt: skip
    guessed = read.assign_attrs(q_units_source=source, q_step_source="not in the file: for plots only")
    result = make_result(make_scan(), steps={})
    result.steps["load"] = StepResult(step="load", kind="reader", name="any", data=guessed, status="done")
    page = Page(write_report(result, tmp_path / "r.html"))
    for words in (
        "load: the scan is not calibrated; all lengths on it are in px.",
        f"load: the unit of the scattering vectors is {source}.",
        "scan_y 2 points 1 px not calibrated: relative",
        f"qx — Å⁻¹: {source}",
        "beam energy — not given",
    ):
        assert words in page.said
    result.steps["load"].data = read.assign_attrs(beam_energy_eV=2e5)
    page = Page(write_report(result, tmp_path / "r.html"))
    assert "qx 0.011 Å⁻¹ calibrated" in page.said
    assert "beam energy 200 keV given" in page.said


def test_failed_run_has_a_report(tmp_path: Path) -> None:
    result = make_result(make_scan())
    for name, status, error in (("disks", "failed", "it <broke>"), ("strain", "skipped", "it needs 'disks'")):
        step = result.steps[name]
        step.status, step.error, step.data, step.sides = status, error, None, {}
    page = Page(write_report(result, tmp_path / "r.html"))
    assert "Run incomplete: 2 of 4 steps." in page.said
    assert "Step “disks” failed: it <broke>" in page.said
    assert "Step “strain” skipped" in page.said
    assert "Data: load" in page.said


def test_run_without_any_data_has_a_report(tmp_path: Path) -> None:
    step = StepResult(step="load", kind="reader", name="native", status="failed", error="no such file")
    page = Page(write_report(make_result(make_scan(), steps={"load": step}, name="a<i>b"), tmp_path / "r.html"))
    assert "<i>" not in page.text
    assert "no such file" in page.said
    assert not page.all("img")


def test_patterns_that_cannot_be_read_any_more_cost_their_pictures_only(tmp_path: Path) -> None:
    result = make_result(make_scan())
    broken = result.steps["load"].data
    assert broken is not None
    unreadable = broken["intensity"].astype(float) * np.nan
    result.steps["load"].data = broken.assign(intensity=broken["intensity"].copy(data=unreadable.values))
    del result.steps["strain"], result.steps["score"]
    page = Page(write_report(result, tmp_path / "r.html", figures=True))
    assert "The patterns could not be looked at" in page.said
    assert "5 Å" in page.said
    assert [file.name for file in (tmp_path / "figures").iterdir()] == ["disks-vectors.png"]


def test_figure_that_cannot_be_drawn_leaves_a_message(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def draw() -> None:
        raise ValueError("no <data>")

    html = Album(tmp_path / "r.html").add("broken", draw, "alt", "caption")
    assert "could not be drawn: no &lt;data&gt;" in html
    assert "ValueError" in caplog.text
    assert not (tmp_path / "figures").exists()


def test_folders_and_files_of_others_among_the_figures_cost_nothing(tmp_path: Path) -> None:
    kept = tmp_path / "figures" / "map.png"
    kept.mkdir(parents=True)

    def draw() -> Figure:
        figure = Figure(figsize=(1, 1), layout="constrained")
        figure.add_subplot()
        return figure

    album = Album(tmp_path / "r.html", keep=True)
    html = album.add("map", draw, "alt", "caption")
    assert "figures/map.png could not be written: Is a directory" in html
    assert "<img" in html
    album.add("other", draw, "alt", "caption")
    assert album.paths == [tmp_path / "figures" / "other.png"]
    assert kept.is_dir()


def test_maps_descriptors_and_centres_of_mass_are_drawn(tmp_path: Path) -> None:
    scan = make_scan()
    coords = {dim: scan[dim].variable for dim in ("scan_y", "scan_x")}
    over_scan = {
        name: variable(("scan_y", "scan_x"), np.random.default_rng(1).normal(size=SCAN), "1/angstrom", name)
        for name in ("com_y", "com_x", "spread")
    }
    steps = {
        "load": make_steps(scan)["load"],
        "com": StepResult(
            step="com", kind="transform", name="com", data=maps.make(over_scan, coords), inputs={"data": "load"}
        ),
        "learn": StepResult(
            step="learn", kind="descriptor_learner", name="rvae", inputs={"data": "load"},
            data=_descriptors(coords),
        ),
    }  # fmt: skip
    page = Page(write_report(make_result(scan, steps=steps), tmp_path / "r.html", figures=True))
    stems = {file.stem for file in (tmp_path / "figures").glob("*.png")}
    assert stems == {"load-overview", "com-com", "com-maps", "learn-histograms", "learn-maps"}
    assert 'class="error"' not in page.text
    assert "Maps over the scan: z0, z1, angle" in page.said


def _descriptors(coords: dict[str, xr.Variable]) -> xr.Dataset:
    from ronchi.schema import descriptors

    z = np.random.default_rng(2).normal(size=(*SCAN, 2))
    return descriptors.make(
        z, dims=("scan_y", "scan_x"), angle=np.arctan2(z[..., 0], z[..., 1]), n_fold=2, coords=coords
    )


def test_truth_is_the_one_of_the_score_else_any_on_the_same_scan() -> None:
    result = make_result(make_scan())
    step = result.steps["strain"]
    assert truth_of(result, step) is result.steps["load"].sides["truth"]
    del result.steps["score"]
    assert truth_of(result, step) is result.steps["load"].sides["truth"]
    result.steps["load"].sides = {"truth": result.steps["load"].sides["truth"].isel(scan_x=slice(3))}
    assert truth_of(result, step) is None


def test_look_does_not_depend_on_the_users_style(tmp_path: Path) -> None:
    scan = make_scan()
    result = make_result(scan, steps={"load": make_steps(scan)["load"]})
    plain = write_report(result, tmp_path / "a" / "r.html").read_bytes()
    with matplotlib.rc_context({"font.size": 30, "image.interpolation": "bicubic", "axes.facecolor": "red"}):
        assert write_report(result, tmp_path / "b" / "r.html").read_bytes() == plain  # and it is deterministic
        assert matplotlib.rcParams["font.size"] == 30  # the user's style is given back


def test_unwritable_folder_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="cannot be written"):
        write_report(make_result(make_scan(), steps={}), tmp_path / "file" / "r.html")


def test_elements_escape_what_they_are_given() -> None:
    assert "<i>" not in table(["<i>"], [("<i>", "<i>")], "<i>") + messages(["<i>"]) + citation("<i> doi:10.1/x")
    assert messages([]) == ""
    linked = citation("Munshi et al., npj Comput. Mater. 8, 254 (2022), https://doi.org/10.1038/s41524-022-00939-9.")
    assert '<a href="https://doi.org/10.1038/s41524-022-00939-9">' in linked
    assert linked.endswith("</a>.")


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.0312, "0.031 s"), (9.6, "9.6 s"), (59, "59 s"), (125, "2 min 5 s"), (3720, "1 h 2 min")]
)
def test_durations_are_short(seconds: float, words: str) -> None:
    assert duration(seconds) == words
