"""Source of deliberately wrong plugins: each is a right one with one thing done wrong."""

from __future__ import annotations

PLUGIN = """
from ronchi.api import AlgorithmSpec, Field, Params, hookimpl
{head}

class WrongParams(Params):
    threshold: float = Field(0.01, description="Least contrast of a disk.")

@hookimpl
def ronchi_{kind}s():
    yield AlgorithmSpec(
        name="{name}", summary="It is wrong in one way.", params=WrongParams, factory="{module}_code:Wrong",
        inputs={inputs}, output="{output}", {more}
    )
"""

DETECTOR = """
import random
import time
from pathlib import Path

import numpy as np
from ronchi.api import PeakBatch
from scipy.ndimage import gaussian_filter, maximum_filter


class Wrong:
    def __init__(self, params):
        self.params = params

    def prepare(self, {arguments}):
        self.bad = geometry.bad_pixel
        self.seen = 0

    def detect(self, frames):
        {before}
        tables = [self.one(frame) for frame in frames]
        y, x, n = np.concatenate(tables).T if tables else np.zeros((3, 0))
        one = np.ones(len(y), np.float32)
        counts = np.array([len(table) for table in tables], np.int32)
        {after}
        return PeakBatch(counts=counts, qy_px=y, qx_px=x, intensity=n.astype(np.float32), score=one,
                         var_yy=one, var_yx=0 * one, var_xx=one, flags=np.zeros(len(y), np.uint16))

    def one(self, frame):
        frame = {frame}
        background = float(np.median(frame))
        if self.bad is not None:
            frame[self.bad] = background
        smooth = gaussian_filter(frame, 2.0) - background
        {threshold}
        found = np.argwhere((maximum_filter(smooth, 9) == smooth) & (smooth > least))
        y, x = np.zeros(len(found)), np.zeros(len(found))
        for i, (row, column) in enumerate(found):
            rows, columns = slice(max(0, row - 5), row + 6), slice(max(0, column - 5), column + 6)
            window = np.maximum(frame[rows, columns] - background, 0)
            y[i] = rows.start + window.sum(1) @ np.arange(window.shape[0]) / window.sum()
            x[i] = columns.start + window.sum(0) @ np.arange(window.shape[1]) / window.sum()
        return np.stack([y, x, smooth[tuple(found.T)]], 1)
"""

SOLVER = """
import numpy as np
from ronchi_toy_solver.solver import ToySolver


class Wrong(ToySolver):
    def solve(self, peaks, ctx):
        strain = super().solve(peaks, ctx)
        {after}
        return strain
"""

RIGHT = {
    "before": "pass",
    "after": "pass",
    "frame": "frame.astype(np.float64)",
    "threshold": "least = max(self.params.threshold * smooth.max(), 0.01 * background + 1e-6)",
    "head": "",
    "arguments": "geometry, probe, ctx",
    "inputs": '{"data": "fourd/1"}',
    "output": "peaks/1",
    "more": "",
}

DETECTORS = {
    "right": {},
    "mutates-input": {"before": "frames -= frames.min()"},
    "global-rng": {"before": "self.seed = np.random.randint(1000)"},
    "seeds-global-rng": {"before": "np.random.seed(0); self.seed = np.random.randint(1000)"},
    "order-dependence": {
        "threshold": "self.seen = max(self.seen, smooth.max()); least = max(0.2 * self.seen, 0.01 * background + 1e-6)"
    },
    "wrong-axis-order": {"after": "y, x = x, y"},
    "object-dtype": {"after": "x = x.astype(object)"},
    "whole-pixels": {"after": "y = y.round().astype(int)"},
    "brightest-first": {"after": "order = np.argsort(-n); y, x, n = y[order], x[order], n[order]"},
    "no-variance": {"after": "one = 0 * one"},
    "imports-torch-at-load": {"head": "import torch"},
    "writes-to-cwd": {"before": "Path('debug.npy').write_bytes(frames.tobytes())"},
    "exits": {"before": "raise SystemExit('no licence')"},
    "hangs": {"before": "while True: self.seen += 1"},
    "hangs-in-numpy": {"before": "while np.isfinite(frames.sum() + frames.mean()): np.median(frames)"},
    "misses-weak-disks": {"threshold": "least = max(0.3 * smooth.max(), 0.01 * background + 1e-6)"},
    "block-threshold": {
        "before": "self.seen = max(gaussian_filter(np.asarray(f, float), 2.0).max() - np.median(f) for f in frames)",
        "threshold": "least = max(self.params.threshold * self.seen, 0.01 * background + 1e-6)",
    },
    "forgets-empty-end": {
        "after": "counts = np.bincount(np.repeat(np.arange(len(tables)), counts), minlength=0).astype(np.int32)"
    },
    "half-a-pixel": {"after": "y = np.clip(y + 0.5, 0, frames.shape[1] - 1)"},
    "out-of-the-frame": {"after": "y = np.where(y > frames.shape[1] - 8, frames.shape[1] + 0.3, y)"},
    "prints": {"before": "print('frames:', len(frames))"},
    "draws-progress": {"before": "import sys; sys.stderr.write('50 %' + chr(13))"},
    "no-probe": {"arguments": "geometry, ctx"},
    "one-more": {"arguments": "geometry, probe, ctx, dose"},
    "odd-schema": {"output": "peak/1"},
    "output-of-another-kind": {"output": "strain/1"},
    "odd-input": {"inputs": '{"scan": "fourd/1"}'},
    "one-more-input": {"inputs": '{"data": "fourd/1", "mask": "maps/1"}'},
    "input-of-another-kind": {"inputs": '{"data": "images/1"}'},
    "misspelt-capability": {"more": 'capabilities=frozenset({"deterministic", "sub-pixel"}),'},
    "free-capability": {"more": 'capabilities=frozenset({"dose-aware", "subpixel"}),'},
    "raises-at-import": {"head": "raise RuntimeError('no licence server')"},
}
