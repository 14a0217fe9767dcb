"""Files that a step reads beside its data: found from the pipeline's folder, and part of the step's identity."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ronchi.errors import ConfigError
from ronchi.pipeline.run import check_pipeline, run_pipeline
from ronchi.result import RunResult
from ronchi.schema import fourd
from ronchi.writing import write

PIPELINE = """\
schema: ronchi.pipeline/1
name: files
steps:
  load: {reader: native, params: {path: scan.nc}}
  image: {transform: virtual-image, data: load, params: {mode: mask, path: masks/mask.npy}}
  probe: {transform: probe, data: load, params: {method: file, path: masks/probe.npy}}
  bright: {transform: virtual-image, data: probe, params: {radius: 2}}
outputs:
  image: {from: image, path: image.nc}
  bright: {from: bright, path: bright.nc}
"""


@pytest.fixture
def pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pipeline in a folder that is not the current one."""
    folder, elsewhere = tmp_path / "work", tmp_path / "elsewhere"
    (folder / "masks").mkdir(parents=True)
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    write(fourd.make(np.arange(2 * 2 * 8 * 8, dtype="u2").reshape(2, 2, 8, 8)), folder / "scan.nc")
    np.save(folder / "masks" / "mask.npy", np.eye(8))
    np.save(folder / "masks" / "probe.npy", np.ones((8, 8)))
    (folder / "files.yaml").write_text(PIPELINE)
    return folder / "files.yaml"


def run(pipeline: Path) -> tuple[RunResult, dict[str, str]]:
    result = run_pipeline(pipeline, progress=False)
    assert result.ok
    return result, {name: step.status for name, step in result.steps.items()}


def test_paths_are_relative_to_the_pipeline_file(pipeline: Path) -> None:
    plan = check_pipeline(pipeline)
    assert plan.steps["image"].files == {"path": pipeline.parent / "masks" / "mask.npy"}
    assert plan.steps["probe"].files == {"path": pipeline.parent / "masks" / "probe.npy"}
    result, _ = run(pipeline)
    assert float(result["image"]["virtual"][0, 0]) == sum(9 * k for k in range(8))


def test_changing_the_mask_file_reruns_the_step(pipeline: Path) -> None:
    first, _ = run(pipeline)
    np.save(pipeline.parent / "masks" / "mask.npy", np.eye(8) * 2)
    second, statuses = run(pipeline)
    assert (statuses["image"], statuses["bright"]) == ("done", "cached")
    assert second.steps["image"].reason == "the content of an input file changed"
    np.testing.assert_array_equal(second["image"]["virtual"], 2 * first["image"]["virtual"])


def test_changing_the_probe_file_reruns_what_uses_the_probe(pipeline: Path) -> None:
    run(pipeline)
    np.save(pipeline.parent / "masks" / "probe.npy", np.eye(8))
    second, statuses = run(pipeline)
    assert (statuses["image"], statuses["bright"]) == ("cached", "done")
    np.testing.assert_array_equal(second["probe"]["probe"], np.eye(8))


def test_an_absent_file_is_found_out_before_the_run(pipeline: Path) -> None:
    (pipeline.parent / "masks" / "mask.npy").unlink()
    with pytest.raises(ConfigError, match=r"there is no file .*mask\.npy"):
        check_pipeline(pipeline)
