"""Each wrong plugin is caught, with a message that says what is wrong and where."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from ronchi.errors import PluginError
from ronchi.scaffold import write_plugin
from ronchi.testing import Report

from .wrong_plugins import DETECTOR as DETECTOR_CODE
from .wrong_plugins import DETECTORS, PLUGIN, RIGHT, SOLVER


@pytest.fixture
def report_of(tmp_path: Path, on_path, contract_of):
    """What the kit says of a detector with something done wrong; one check only if it is named."""

    def run(name: str, check: str = "", **attributes) -> Report:
        parts = {**RIGHT, **DETECTORS[name]}
        module = f"wrong_{name.replace('-', '_')}"
        plugin = PLUGIN.format(
            head=parts.pop("head"),
            kind="disk_detector",
            name=name,
            module=module,
            **{part: parts.pop(part) for part in ("inputs", "output", "more")},
        )
        on_path(tmp_path)
        (tmp_path / f"{module}.py").write_text(plugin)
        (tmp_path / f"{module}_code.py").write_text(DETECTOR_CODE.format(**parts))
        importlib.invalidate_caches()
        # Worker processes take seconds to start, and are tested where all installed algorithms are.
        contract = contract_of(module, "disk_detector", name, check_processes_give_the_same_result=None, **attributes)
        outcomes = [contract().perform(each) for each in contract.checks() if check in ("", each.name)]
        return Report(name, tuple(outcomes))

    return run


def failures(report: Report) -> dict[str, str]:
    return {outcome.check.name: outcome.message for outcome in report.of("failed")}


def test_the_right_one_passes_all_checks(report_of) -> None:
    report = report_of("right")
    assert report.ok, str(report)
    assert len(report.of("passed")) >= 18


@pytest.mark.parametrize(
    ("name", "check", "words"),
    [
        ("mutates-input", "input_is_unchanged", ("writes into its input", "wrong_mutates_input_code.py:", "copy what")),
        ("global-rng", "global_random_numbers_are_left_alone", ("numpy.random", "ctx.rng", "wrong_global_rng_code")),
        ("seeds-global-rng", "global_random_numbers_are_left_alone", ("numpy.random", "wrong_seeds_global_rng_code")),
        ("order-dependence", "frames_do_not_depend_on_each_other", ("disks", "wrong_order_dependence_code")),
        ("wrong-axis-order", "disks_are_found_where_they_are", ("x and y are exchanged", "`qy_px` is the row")),
        ("object-dtype", "arrays_fit_together", ("'qx_px' is object", "expected", "wrong_object_dtype_code")),
        ("whole-pixels", "arrays_fit_together", ("'qy_px' is int64", "NDArray[np.float64]", "-> convert it")),
        ("brightest-first", "disks_are_found_where_they_are", ("other frames than their own", "first frame, then")),
        ("no-variance", "arrays_fit_together", ("a variance is not positive", "or 1 where there is none")),
        ("imports-torch-at-load", "plugin_imports_nothing_heavy", ("torch", "wrong_imports_torch_at_load.py:3")),
        ("exits", "result_follows_its_schema", ("SystemExit: no licence", "wrong_exits_code.py:", "in detect")),
        ("writes-to-cwd", "nothing_is_written_beside", ("debug.npy", "ctx.scratch")),
        ("block-threshold", "frames_do_not_depend_on_each_other", ("100 times as bright", "its threshold")),
        ("forgets-empty-end", "arrays_fit_together", ("shape (11,)", "(12,)", "minlength=len(frames)")),
        ("forgets-empty-end", "frames_without_disks_have_none", ("11 entries for 12 patterns", "ronchi.api")),
        ("half-a-pixel", "disks_are_found_where_they_are", ("+0.5", "in y and", "on average", "half a pixel")),
        ("out-of-the-frame", "arrays_fit_together", ("the frame has 72 there", "half a pixel", "kept inside")),
        ("prints", "nothing_is_printed", ("'frames: 12'", "ctx.log")),
        ("draws-progress", "nothing_is_printed", ("a progress bar", "ctx.progress")),
        (
            "no-probe",
            "methods_take_what_they_are_given",
            ("it does not take 'probe'", "def prepare(self, geometry, probe"),
        ),
        ("one-more", "methods_take_what_they_are_given", ("nobody gives it 'dose'", "wrong_one_more_code.py:")),
        ("odd-schema", "spec_announces_what_its_kind_has", ("no schema 'peak/1'", "did you mean 'peaks/1'?")),
        ("output-of-another-kind", "spec_announces_what_its_kind_has", ("'strain/1'", 'output="peaks/1"')),
        ("odd-input", "spec_announces_what_its_kind_has", ("no 'data'", 'inputs={"data": "fourd/1"}')),
        ("one-more-input", "spec_announces_what_its_kind_has", ("'mask', which no disk_detector is given",)),
        ("input-of-another-kind", "spec_announces_what_its_kind_has", ("'data' is 'images/1'", "'fourd/1'")),
        ("misspelt-capability", "capabilities_are_not_misspelt", ("'sub-pixel'", "did you mean 'subpixel'?")),
    ],
)
def test_each_fault_is_caught_by_the_check_made_for_it(
    report_of, name: str, check: str, words: tuple[str, ...]
) -> None:
    message = failures(report_of(name, check))[check]
    assert all(word in message for word in words), message
    assert "->" in message


def test_a_variance_of_0_is_told_once_and_without_warnings_of_the_kit(report_of) -> None:
    assert not failures(report_of("no-variance", "disks_are_found_where_they_are"))


def test_words_that_nobody_knows_are_free(report_of) -> None:
    assert report_of("free-capability", "capabilities_are_not_misspelt").ok


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("no-probe", "methods_take_what_they_are_given"),
        ("raises-at-import", "plugin_loads_and_yields_what_it_advertises"),
    ],
)
def test_what_makes_all_others_fail_is_told_alone(report_of, name: str, cause: str) -> None:
    report = report_of(name)
    assert list(failures(report)) == [cause]
    left = report.of("not run")
    assert len(left) >= 15
    assert left[-1].check.name == "enough_checks_ran"
    assert left[0].message == f"`{cause}` failed"
    assert f"{len(left)} not run" in report.summary
    assert not report.ok


def test_one_that_hangs_is_stopped_at_its_line(report_of) -> None:
    message = failures(report_of("hangs", "result_follows_its_schema", time_limit_s=1.0))["result_follows_its_schema"]
    assert "it hangs: not done after 1 s" in message
    assert "wrong_hangs_code.py:" in message
    assert "in detect" in message


def test_one_that_hangs_in_a_library_is_stopped_at_the_authors_line(report_of) -> None:
    message = failures(report_of("hangs-in-numpy", "result_follows_its_schema", time_limit_s=1.0))[
        "result_follows_its_schema"
    ]
    assert "wrong_hangs_in_numpy_code.py:" in message


def test_disks_that_are_missed_are_told_from_disks_at_wrong_places(report_of) -> None:
    message = failures(report_of("misses-weak-disks", "disks_are_found_where_they_are"))[
        "disks_are_found_where_they_are"
    ]
    assert "lower the threshold" in message
    assert "`qy_px`" not in message


def test_one_that_raises_at_import_is_refused_by_the_manager_and_told_by_the_kit(report_of, contract_of) -> None:
    message = failures(report_of("raises-at-import", "plugin_loads_and_yields_what_it_advertises"))
    (text,) = message.values()
    assert "RuntimeError: no licence server" in text
    assert "ronchi doctor" in text
    assert "inputs" not in text, "what cannot be loaded has not refused anything"
    manager = contract_of("wrong_raises_at_import", "disk_detector", "raises-at-import").manager
    with pytest.raises(PluginError, match=r"wrong_raises_at_import.*\n?.*no licence server"):
        manager.spec("disk_detector", "raises-at-import")
    assert manager.spec("simulator", "disks").name == "disks"


@pytest.mark.parametrize(
    ("after", "words"),
    [
        ('strain["e_xy"].values[:] *= -1', "the shear has the wrong sign"),
        ('strain["theta"].values[:] *= -1', "theta has the wrong sign"),
        (
            'strain["e_xx"], strain["e_yy"] = strain["e_yy"].copy(), strain["e_xx"].copy()',
            "x and y are exchanged, theta is not turned",
        ),
        ('strain["theta"].values[:] = np.rad2deg(strain["theta"].values)', "theta is in degrees"),
    ],
)
def test_wrong_signs_and_axes_of_strain_are_named(tmp_path: Path, on_path, contract_of, after: str, words: str) -> None:
    on_path(write_plugin("toy-solver", "strain_solver", tmp_path) / "src")
    on_path(tmp_path)
    plugin = PLUGIN.format(
        head="",
        kind="strain_solver",
        name="wrong",
        module="wrong_solver",
        inputs='{"peaks": "peaks/1"}',
        output="strain/1",
        more="",
    ).replace("    threshold: float = Field(0.01,", "    min_peaks: int = Field(6,")
    (tmp_path / "wrong_solver.py").write_text(plugin)
    (tmp_path / "wrong_solver_code.py").write_text(SOLVER.format(after=after))
    importlib.invalidate_caches()
    contract = contract_of("wrong_solver", "strain_solver", "wrong")
    (check,) = (each for each in contract.checks() if each.name == "strain_has_the_right_sign_and_axes")
    message = contract().perform(check).message
    assert words in message, message
    assert "found (true): e_xx" in message
