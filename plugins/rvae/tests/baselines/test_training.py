"""Whole frames are held out, and a stopped fit goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ronchi.api import Context


def test_whole_frames_are_held_out(few, monkeypatch: pytest.MonkeyPatch, fitted):
    from ronchi_rvae import pixels

    seen: dict[str, Any] = {}

    def spy(groups, share, rng):
        seen["groups"] = groups
        return original(groups, share, rng)

    original = pixels.hold_out
    monkeypatch.setattr(pixels, "hold_out", spy)
    x = few.assign_coords(valid=("sample", np.arange(60) % 2 == 0))
    fitted("vae", x)
    np.testing.assert_array_equal(seen["groups"], few["frame"].values[::2])


def test_a_stopped_fit_goes_on_where_it_was(name: str, few, tmp_path: Path, make, fitted):
    whole = fitted(name, few, epochs=4)
    calls: list[int] = []

    def stop(done: int, total: int) -> None:
        if total == 4 and done == 2:
            raise KeyboardInterrupt

    def count(done: int, total: int) -> None:
        if total == 4:
            calls.append(done)

    with pytest.raises(KeyboardInterrupt):
        make(name, epochs=4).fit(few, Context(rng=np.random.default_rng(0), progress=stop, scratch=tmp_path))
    again = make(name, epochs=4)
    again.fit(few, Context(rng=np.random.default_rng(0), progress=count, scratch=tmp_path))
    assert calls == [3, 4, 4]
    assert again.transform(few).identical(whole.transform(few))
    # Other parameters, data or another seed start anew.
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with pytest.raises(KeyboardInterrupt):
        make(name, epochs=4).fit(few, Context(rng=np.random.default_rng(0), progress=stop, scratch=elsewhere))
    other = make(name, epochs=4)
    other.fit(few, Context(rng=np.random.default_rng(1), scratch=elsewhere))
    assert other.transform(few).identical(fitted(name, few, seed=1, epochs=4).transform(few))
