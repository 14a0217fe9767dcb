"""Figures of a report: inside the file, and where they are asked for at 300 dpi beside it."""

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
_MARK_BYTES = 4096
"""From the beginning of a PNG file, within which its description lies."""

_log = logging.getLogger("ronchi.report")


@contextlib.contextmanager
def plain_style() -> Iterator[None]:
    """Use the defaults of matplotlib: a report must not depend on the user's matplotlibrc."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        # No axes has ticks at its top; to look for them takes a fifth of the time.
        matplotlib.rcParams["axes.titley"] = 1.0
        yield


def png_bytes(figure: Any, dpi: int, description: str = "") -> bytes:
    """Render a figure; the same figure gives the same bytes."""
    buffer = io.BytesIO()
    metadata = {"Software": None, "Description": description or None}
    figure.savefig(buffer, format="png", dpi=dpi, metadata=metadata, facecolor="white")
    return buffer.getvalue()


class Album:
    """Draws the figures of one report.

    Those of a page of the same name are removed from the folder: nobody could tell them from those of this one. Other
    files there stay, and figures of other pages.

    Parameters
    ----------
    page : pathlib.Path
        The report. The PNG files at 300 dpi lie in ``figures`` beside it, which is made when the first one comes.
    about : str
        Name and configuration of the run; goes into the metadata of each file.
    keep : bool
        Write the files; else there are only the figures inside the report.
    prefix : str
        Of the names of the files, where other pages have figures of the same names.
    """

    def __init__(self, page: Path, about: str = "", *, keep: bool = False, prefix: str = "") -> None:
        self.folder, self.keep, self.prefix = page.parent / "figures", keep, prefix
        # In letters that the metadata of a PNG file have as they are.
        mark = f"ronchi report {page.name!a} of "
        self.description = f"{mark}{about}"
        self.paths: list[Path] = []
        for path in self.folder.glob("*.png"):
            if _is_marked(path, mark):
                path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            # Only if nothing else is in it.
            self.folder.rmdir()

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
        large = b""
        try:
            with plain_style():
                figure = draw()
                # The first layout sets the sizes of the colour bars, and so the ticks that the second finds room for.
                figure.get_layout_engine().execute(figure)
                small = png_bytes(figure, SCREEN_DPI, self.description)
                if self.keep:
                    # Laid out once for both: the sizes are in inches.
                    figure.set_layout_engine("none")
                    large = png_bytes(figure, PRINT_DPI, self.description)
        except Exception as error:  # noqa: BLE001 - one figure must not cost the report
            _log.exception("figure %s", name)
            return elements.messages([f"The figure “{name}” could not be drawn: {error}"], "error")
        if large:
            path = self.folder / f"{re.sub(r'[^A-Za-z0-9_.-]', '_', self.prefix + name)}.png"
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                write_atomically(path, large)
            except OSError as error:
                what = f"{self.folder.name}/{path.name} could not be written: {error.strerror or error}"
                _log.error("%s", what)
                return elements.figure(small, alt, caption) + elements.messages([what], "error")
            self.paths.append(path)
        return elements.figure(small, alt, caption)


def _is_marked(path: Path, mark: str) -> bool:
    try:
        with path.open("rb") as file:
            return mark.encode() in file.read(_MARK_BYTES)
    except OSError:
        # A folder of such a name, or somebody else's file.
        return False
