"""Tables of a report: scores of strain by component, and the frame of a field."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr

from ronchi.cli.run import summarise
from ronchi.report.frame import frame_rows, frame_table
from ronchi.report.scores import strain_scores
from ronchi.report.summary import steps_section, summary_section
from ronchi.result import RunResult, StepResult
from ronchi.schema import scores

FIGURES = {"coverage": 1.0, "n": 60.0} | {
    f"{key}_{name}": value
    for name in ("e_xx", "e_yy", "e_xy", "theta")
    for key, value in (("bias", 1.234e-4), ("rms", 5e-4), ("mad", 4e-4), ("z", 1.2468))
}


def scored() -> RunResult:
    strain = StepResult(step="strain", kind="strain_solver", name="lattice", status="done")
    score = StepResult(
        step="score", kind="metric", name="strain-rmse", data=scores.make(FIGURES), status="done",
        inputs={"result": "strain", "truth": "load.truth"},
    )  # fmt: skip
    return RunResult(name="demo", config={"outputs": {}}, out_dir=Path("out"), steps={"strain": strain, "score": score})


def test_scores_of_strain_are_one_table_in_the_units_of_the_maps() -> None:
    run = scored()
    html = strain_scores(run, run.steps["strain"])
    assert html.count("<table>") == 1
    assert '<th scope="row">ε_xx [%]</th><td>+0.0123</td><td>0.05</td><td>0.04</td><td>1.25</td>' in html
    assert '<th scope="row">θ [°]</th><td>+0.00707</td><td>0.0286</td><td>0.0229</td><td>1.25</td>' in html
    assert "coverage 1, n 60" in html
    assert "1 if the error bars are right" in html
    summary = summary_section(run).body
    assert "bias_e_xx" not in summary, "not twice"
    assert "strains as fractions, theta in rad" in summary, "rms_theta of the summary is not that of the table"
    assert strain_scores(run, run.steps["score"]) == ""


def test_frame_of_a_field_says_how_sure_it_is() -> None:
    attrs = {"rotation_deg": 20.1, "rotation_sd_deg": 0.09, "rotation_source": "fit", "sign_resolved": 0, "flipped": 0}
    said = dict(frame_rows(xr.Dataset(attrs=attrs)))
    assert said["rotation from detector to scan"] == "20.10 ± 0.09°"
    assert said["it is"].startswith("fitted")
    assert said["sign of the field"].startswith("not known: the field may be turned by 180°")
    for source, words in (("atoms", "assumed: the sample is atoms"), ("given", "given with the rotation")):
        known = xr.Dataset(attrs={**attrs, "sign_resolved": 1, "sign_source": source})
        assert dict(frame_rows(known))["sign of the field"].startswith(words)
    given = xr.Dataset(attrs={**attrs, "rotation_source": "given", "rotation_sd_deg": np.nan, "sign_resolved": 1})
    assert dict(frame_rows(given))["rotation from detector to scan"] == "20.10°"
    assert frame_table(xr.Dataset()) == ""


def test_a_reused_step_is_shown_with_what_it_took() -> None:
    run = scored()
    step = run.steps["strain"]
    step.status, step.cached, step.made_seconds, step.made_peak_rss_mb = "cached", True, 2.1, 321.0
    body = steps_section(run, started=0.0).body
    assert "cached, took 2.1 s" in body
    assert "<td>321</td>" in body
    assert '<th scope="row">report</th>' in body


def test_the_command_line_ends_with_the_warnings_and_rounds_figures(capsys) -> None:
    run = scored()
    run.warnings = ["mind the gap", "and the step"]
    run.outputs = {"report": Path("out/report.html")}
    assert summarise(run) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "score: bias_e_xx = 0.000123" in lines
    assert "score: n = 60" in lines
    assert lines[-3:] == ["2 warnings, see report.html", "  mind the gap", "  and the step"]
