"""Commands that tell what there is: `plugins`, `info`, `schema`, `doctor`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Run = Callable[..., tuple[int, str, str]]


def test_plugins(ronchi: Run, read_json: Callable[..., Any]) -> None:
    code, out, _ = ronchi("plugins", "metric")
    assert code == 0
    assert "strain-rmse" in out
    assert "transform" not in out
    listed = read_json("plugins")["algorithms"]
    assert ("transform", "crop") in {(entry["kind"], entry["name"]) for entry in listed}
    assert ronchi("plugins", "metrics")[0] == 2


def test_plugins_of_a_kind_say_what_they_do(ronchi: Run) -> None:
    assert "Keep a part of scan or patterns." in ronchi("plugins", "transform")[1]
    assert "Keep a part" not in ronchi("plugins")[1]


def test_info(ronchi: Run, read_json: Callable[..., Any]) -> None:
    code, out, _ = ronchi("info", "transform/calibrate")
    assert code == 0
    assert "beam_energy_eV: number (>= 1000, < 5e+06) | null = null [eV]" in out
    assert ronchi("info", "calibrate")[1] == out, "a name that is unique needs no kind"
    assert "beam_energy_eV" in read_json("info", "calibrate")["properties"]
    code, _, err = ronchi("info", "calibrat")
    assert code == 2
    assert "ronchi plugins" in err


def test_info_shows_an_example_and_the_shape_of_arrays(ronchi: Run) -> None:
    out = ronchi("info", "crop")[1]
    assert "  crop: {transform: crop, data: STEP}\n" in out
    assert "scan_x: [number | null, number | null] | null" in out
    assert "load: {reader: npy, params: {path: FILE}}" in ronchi("info", "npy")[1]
    assert "`ronchi plugins reader`" in ronchi("info", "reader")[2]
    assert "did you mean 'calibrate'?" in ronchi("info", "calibrat")[2]
    assert "reader/native or writer/native" in ronchi("info", "native")[2]
    assert "unknown kind 'detector'\n  -> did you mean 'disk_detector'?" in ronchi("info", "detector/crosscorr")[2]


def test_schema(ronchi: Run) -> None:
    assert [line.split()[0] for line in ronchi("schema")[1].splitlines()][:6] == [
        "pipeline", "benchmark", "training", "tuning", "fourd/1", "peaks/1"
    ]  # fmt: skip
    assert "counts : (pos,) int" in ronchi("schema", "peaks/1")[1]
    assert ronchi("schema", "peak/1")[0] == 2
    benchmark = json.loads(ronchi("schema", "benchmark")[1])
    assert {"protocol", "compare", "about"} < set(benchmark["properties"])
    described = json.loads(ronchi("schema", "pipeline")[1])
    assert set(described["properties"]) == {"schema", "name", "seed", "plugins", "run", "steps", "outputs"}


def test_doctor(ronchi: Run, read_json: Callable[..., Any], make_dist: Callable[..., Path]) -> None:
    assert ronchi("doctor")[0] == 0
    assert read_json("doctor") == []
    site = make_dist("sick", "[ronchi.metrics]\nsick = sick\n", "raise RuntimeError('no licence')\n")
    code, out, _ = ronchi("doctor")
    assert code == 1
    assert "no licence" in out
    code, out, _ = ronchi("doctor", "sick", "--json")
    assert code == 1
    assert [problem["dist"] for problem in json.loads(out)] == ["sick"]
    assert ronchi("doctor", "--path", str(site))[0] == 0, "another environment is looked at, not imported"
    make_dist("ronchi-mute", "[console_scripts]\nmute = mute:main\n")
    code, out, _ = ronchi("doctor", "ronchi-mute")
    assert code == 1
    assert "registers no algorithm" in out
