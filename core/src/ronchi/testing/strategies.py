"""Strategies of hypothesis (needs the package): numbers and data sets from which the core's conventions can be tested.

Arrays are (y, x), non-square, and small.
"""

from __future__ import annotations

import numpy as np
import xarray as xr
from hypothesis import strategies as st

from ronchi.schema import fourd
from ronchi.schema.strain import COMPONENTS
from ronchi.testing import data as examples

__all__ = ["disk_scans", "pattern_shapes", "patterns", "peaks_of_strain", "strains"]


def pattern_shapes(smallest: int = 8, largest: int = 40) -> st.SearchStrategy[tuple[int, int]]:
    """Rows and columns of a pattern, odd and even, never square."""
    side = st.integers(smallest, largest)
    return st.tuples(side, side).filter(lambda shape: shape[0] != shape[1])


@st.composite
def patterns(draw: st.DrawFn, dtype: str = "uint16", most: int = 60_000) -> xr.Dataset:
    """``fourd/1`` of counts up to ``most``, on scans of at most 3 x 3, frames of zeros and of ``most`` among them."""
    scan = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    shape = draw(pattern_shapes(3, 12))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    counts = rng.integers(0, draw(st.integers(1, most)), (*scan, *shape), endpoint=True)
    counts.reshape(-1, *shape)[draw(st.integers(0, scan[0] * scan[1] - 1))] = draw(st.sampled_from([0, most]))
    return fourd.make(counts.astype(dtype))


def strains(largest: float = 0.03) -> st.SearchStrategy[dict[str, float]]:
    """The components of strain [1] and theta [rad], each within plus and minus ``largest``."""
    return st.fixed_dictionaries(dict.fromkeys(COMPONENTS, st.floats(-largest, largest)))


@st.composite
def peaks_of_strain(draw: st.DrawFn, largest: float = 0.03) -> tuple[xr.Dataset, dict[str, float]]:
    """``peaks/1`` of `ronchi.testing.data.lattice_peaks`, and the strain of its columns 6 and 7."""
    strain = draw(strains(largest))
    return examples.lattice_peaks(*(strain[name] for name in COMPONENTS)), strain


@st.composite
def disk_scans(draw: st.DrawFn) -> tuple[xr.Dataset, xr.Dataset]:
    """``fourd/1`` of one or two patterns with disks, and the ``peaks/1`` truth."""
    shape = draw(pattern_shapes(48, 80))
    angle, length = draw(st.floats(0, np.pi)), draw(st.floats(13.0, 18.0))
    g1 = (length * np.sin(angle), length * np.cos(angle))
    g2 = (1.1 * length * np.cos(angle), -1.1 * length * np.sin(angle))
    seed = draw(st.integers(0, 2**32 - 1))
    made = examples.disk_patterns(seed, scan_shape=(1, 2), pattern_shape=shape, g1_px=g1, g2_px=g2)
    return made.data, made.sides["truth_peaks"]
