"""Fitted states on disk: what comes back, and what an older or foreign one says."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ronchi.api import DataError
from ronchi_rvae.store import load_state, save_state


def test_a_state_comes_back(tmp_path: Path) -> None:
    templates = (np.arange(6) * (1 + 2j)).reshape(2, 3).astype(np.complex64)
    save_state(tmp_path, {"scale": 2.5}, {"templates": templates, "weights": np.ones(2)})
    numbers, arrays = load_state(tmp_path)
    assert numbers == {"scale": 2.5}
    np.testing.assert_array_equal(arrays["templates"], templates)
    assert arrays.pop("probe", None) is None


def test_what_an_older_state_does_not_hold_is_named(tmp_path: Path) -> None:
    save_state(tmp_path, {"scale": 2.5}, {"weights": np.ones(2)})
    numbers, arrays = load_state(tmp_path)
    for held, name in ((numbers, "curves"), (arrays, "handed")):
        with pytest.raises(DataError, match=f"no {name!r}: another version"):
            held[name]


def test_a_folder_without_a_state_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no fitted state"):
        load_state(tmp_path)
    save_state(tmp_path, {}, {"weights": np.ones(2)})
    (tmp_path / "state.json").write_text(json.dumps({"complex": []}))
    assert load_state(tmp_path)[0] == {}
