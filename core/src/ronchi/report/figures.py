"""Figures of a report: small ones inside the file, the same at 300 dpi beside it."""

from __future__ import annotations

import contextlib
import io
import logging
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import matplotlib

from ronchi.pipeline.cache import write_atomically
from ronchi.report import elements

__all__ = ["Album", "plain_style", "png_bytes"]

SCREEN_DPI = 120
PRINT_DPI = 300

_log = logging.getLogger("ronchi.report")


@contextlib.contextmanager
def plain_style() -> Iterator[None]:
    """Use the defaults of matplotlib: a report must not depend on the user's matplotlibrc."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        yield


def png_bytes(figure: Any, dpi: int, description: str = "") -> bytes:
    """Render a figure; the same figure gives the same bytes."""
    buffer = io.BytesIO()
    metadata = {"Software": None, "Description": description or None}
    figure.savefig(buffer, format="png", dpi=dpi, metadata=metadata, facecolor="white")
    return buffer.getvalue()


class Album:
    """Draws the figures of one report and keeps them in a folder too.

    Parameters
    ----------
    folder : pathlib.Path
        For the PNG files at 300 dpi; made when the first one comes.
    description : str
        Goes into the metadata of each file: which configuration it belongs to.
    """

    def __init__(self, folder: Path, description: str = "") -> None:
        self.folder = folder
        self.description = description
        self.paths: list[Path] = []

    def add(self, name: str, draw: Callable[[], Any], alt: str, caption: str) -> str:
        """Draw a figure and return it as HTML; if that fails, a message instead: the rest still counts.

        Parameters
        ----------
        name : str
            Of the file, without extension.
        draw : callable
            Returns a matplotlib Figure.
        alt : str
            What there is to see, for those who cannot.
        caption : str
        """
        try:
            with plain_style():
                figure = draw()
                # Laid out once for both: the sizes are in inches. The second pass sees the colour bars' labels.
                figure.draw_without_rendering()
                figure.draw_without_rendering()
                figure.set_layout_engine("none")
                small = png_bytes(figure, SCREEN_DPI, self.description)
                large = png_bytes(figure, PRINT_DPI, self.description)
        except Exception as error:  # noqa: BLE001 - one figure must not cost the report
            _log.exception("figure %s", name)
            return elements.messages([f"The figure “{name}” could not be drawn: {error}"], "error")
        path = self.folder / f"{re.sub(r'[^A-Za-z0-9_.-]', '_', name)}.png"
        self.folder.mkdir(parents=True, exist_ok=True)
        write_atomically(path, large)
        self.paths.append(path)
        return elements.figure(small, alt, caption)
