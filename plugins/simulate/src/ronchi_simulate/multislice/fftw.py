"""Plans of FFTW for the two passes of a transform, the same in every process.

FFTW finds its fast plans by timing them, and plans of two processes then differ, and with them the last bits of the
patterns. So the plans for common sizes have been found once, with patience, and lie beside this module as FFTW's
"wisdom" (``plugins/simulate/benchmarks/plan_transforms.py`` writes it). Where that says nothing (other sizes,
another FFTW or processor) FFTW guesses without a clock: transforms take up to twice as long there.
"""

from __future__ import annotations

import functools
import importlib.resources
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["WISDOM", "FftwPlanner", "Plan", "fftw_planner"]

WISDOM = "fftw-wisdom.txt"
"""Name of the file beside this module."""


class Plan(Protocol):
    """A transform of certain memory."""

    def execute(self) -> None:
        """Transform what the memory holds."""


class FftwPlanner:
    """Makes plans by FFTW.

    Parameters
    ----------
    may_time : bool
        Whether plans that the wisdom lacks are timed, which takes seconds to minutes and overwrites memory, and added.
    """

    def __init__(self, *, may_time: bool = False) -> None:
        self._patient = ("FFTW_PATIENT",) if may_time else ("FFTW_PATIENT", "FFTW_WISDOM_ONLY")

    def plan(
        self,
        direction: str,
        image: NDArray[np.complex64],
        spectrum: NDArray[np.complex64],
        between: NDArray[np.complex64],
        band: tuple[slice, slice],
    ) -> list[Plan]:
        """Plans to execute one after the other.

        Parameters
        ----------
        direction : str
            ``FFTW_FORWARD``, from the image to the spectrum, or ``FFTW_BACKWARD``.
        image : numpy.ndarray
            complex64 (ny, nx).
        spectrum : numpy.ndarray
            complex64 (nx, ny): transposed.
        between : numpy.ndarray
            As what the direction begins with, zero outside of the band: what is transformed along one axis.
        band : tuple of slice
            Rows of the spectrum that are transformed.
        """
        forward = direction == "FFTW_FORWARD"
        try:
            # The fast plans work in place: less memory has to pass the cache.
            passes = _passes(forward, image, spectrum, image if forward else spectrum, band)
            return self._planned(direction, passes, *self._patient)
        except RuntimeError:
            # Those that FFTW guesses take more than twice as long in place as out of place.
            return self._planned(direction, _passes(forward, image, spectrum, between, band), "FFTW_ESTIMATE")

    def _planned(
        self, direction: str, passes: list[tuple[NDArray[np.complex64], NDArray[np.complex64]]], *flags: str
    ) -> list[Plan]:
        import pyfftw

        def plan(source: NDArray[np.complex64], to: NDArray[np.complex64]) -> Plan:
            # On one thread: two took five times the time of one here, on images of 144 to 640 px, and round otherwise.
            made: Plan = pyfftw.FFTW(source, to, axes=(-1,), direction=direction, threads=1, flags=flags)
            return made

        return [plan(source, to) for source, to in passes]


def _passes(
    forward: bool,
    image: NDArray[np.complex64],
    spectrum: NDArray[np.complex64],
    between: NDArray[np.complex64],
    band: tuple[slice, slice],
) -> list[tuple[NDArray[np.complex64], NDArray[np.complex64]]]:
    if forward:
        return [(image, between), *((between.T[part], spectrum[part]) for part in band)]
    return [*((spectrum[part], between[part]) for part in band), (between.T, image)]


@functools.cache
def fftw_planner() -> FftwPlanner | None:
    """Return the planner, with its wisdom; None where pyFFTW is not installed."""
    try:
        import pyfftw
    except ImportError:
        return None
    wisdom = importlib.resources.files(__package__).joinpath(WISDOM)
    if wisdom.is_file():
        # Wisdom of another version is refused, and nothing is lost but speed.
        pyfftw.import_wisdom((b"", wisdom.read_bytes(), b""))
    return FftwPlanner()
