"""Mistakes of readers, metrics and learners that only their own contracts look for."""

from __future__ import annotations

from pathlib import Path

import pytest

from ronchi.scaffold import write_plugin
from ronchi.testing import Outcome

READER = "src/ronchi_toy/reader.py"
METRIC = "src/ronchi_toy/metric.py"
LEARNER = "src/ronchi_toy/learner.py"


@pytest.fixture
def outcome_of(tmp_path: Path, on_path, contract_of):
    """One check of a new plugin in which a line was changed."""

    def run(kind: str, file: str, old: str, new: str, check: str) -> Outcome:
        root = write_plugin("toy", kind, tmp_path)
        code = (root / file).read_text()
        assert old in code
        (root / file).write_text(code.replace(old, new))
        on_path(root / "src")
        contract = contract_of("ronchi_toy.plugin", kind, "toy", write_example=write_toy)
        (found,) = (each for each in contract.checks() if each.name == check)
        return contract().perform(found)

    return run


def write_toy(self, folder: Path) -> Path:
    (folder / "example.toy").write_bytes(b"RONCHI-TOY 2 3 7 5\n" + bytes(420))
    return folder / "example.toy"


@pytest.mark.parametrize(
    ("old", "new", "check", "words"),
    [
        ("except OSError:\n            return 0.0", "except ValueError:\n            return 0.0",
         "confidence_never_raises", "confidence() of a missing file raised FileNotFoundError"),
        ("return 1.0 if file.read(len(MAGIC)) == MAGIC else 0.0", "return 0.9",
         "foreign_files_are_left_to_others", "confidence() of an empty file is 0.9"),
        ("da.from_array(stored, chunks=(1, *shape[1:]))", "np.array(stored)",
         "patterns_stay_in_the_file", "reads the patterns at once, though the spec claims `lazy`"),
        ('path.open("rb") as file:\n                head',
         'path.open("ab+") as file:\n                file.write(b"0"); file.seek(0)\n                head',
         "files_are_left_as_they_are", "reading changes or adds example.toy"),
        ("if path.stat().st_size <", "if -path.stat().st_size >",
         "cut_files_are_refused_or_read_as_far_as_they_go", "first 50% alone it raised ValueError: mmap length"),
        ("where=str(path), fix=\"check the path\"", "where='file', fix=\"check the path\"",
         "bad_files_are_refused", "the error about a missing file does not name it"),
    ],
)  # fmt: skip
def test_mistakes_of_readers_are_told(outcome_of, old: str, new: str, check: str, words: str) -> None:
    outcome = outcome_of("reader", READER, old, new, check)
    assert outcome.status == "failed"
    assert words in outcome.message, outcome.message


@pytest.mark.parametrize(
    ("old", "new", "check", "words"),
    [
        ('(folder / _STATE).write_text(json.dumps(state), encoding="utf-8")',
         "import pickle; (folder / 'state.pkl').write_bytes(pickle.dumps(state))",
         "saved_state_encodes_the_same", "save() writes a pickle, state.pkl"),
        ('state["centre"]), np.array(state["spread"])', 'state["centre"]), np.ones(2)',
         "saved_state_encodes_the_same", "after save() and load() samples are encoded differently"),
        ("z = self._raw(x)\n", "z = self._raw(x); z = z - z.mean()\n",
         "samples_do_not_depend_on_each_other", "blocks of 1 samples are encoded differently"),
        ('if "bad_pixel" in x.coords:', "if False:",
         "bad_pixels_do_not_count", "a pixel that is marked as bad changes the result"),
        ("z = z[np.isfinite(z).all(1)]", "pass",
         "samples_that_are_not_valid_do_not_count", "`valid` excludes changes the descriptors of others"),
    ],
)  # fmt: skip
def test_mistakes_of_learners_are_told(outcome_of, old: str, new: str, check: str, words: str) -> None:
    outcome = outcome_of("descriptor_learner", LEARNER, old, new, check)
    assert outcome.status == "failed"
    assert words in outcome.message, outcome.message


def test_a_metric_that_one_position_without_a_fit_spoils_is_told(outcome_of) -> None:
    kept = "error = error[np.isfinite(error)]"
    outcome = outcome_of("metric", METRIC, kept, "pass", "figures_are_named_numbers")
    assert outcome.status == "failed"
    assert "nan" in outcome.message
    assert "NaN where nothing was fitted" in outcome.message
