"""Weights that come with the plugin, and those of files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ronchi.api import DataError
from ronchi_atomnet.registry import locate
from ronchi_atomnet.unet import UNet
from ronchi_torch.weights import read_weights

__all__ = ["FORMAT", "Learned", "load_weights"]

FORMAT = 2
"""Raised when networks change so that older weights give other results."""
_NEEDED = ("classes", "pixel_angstrom", "period_px", "target_sigma_px", "threshold", "error_weights", "settings")


@dataclass(frozen=True)
class Learned:
    """A network with its weights, and what its card says.

    Parameters
    ----------
    network : UNet
        Ready to be used.
    card : mapping
        ``classes``, names of the species; ``pixel_angstrom`` of the images that it learned from; ``period_px``, the
        distance of the lattice planes in them; ``target_sigma_px`` of the odds that it learned; ``threshold`` that
        suited held-out images and ``error_weights`` of the positions in them; and its training.
    sha256 : str
        Of the file.
    """

    network: UNet
    card: Mapping[str, Any]
    sha256: str


def load_weights(which: str | Path) -> Learned:
    """Load weights by the name of those in the package, or from a file.

    Raises
    ------
    DataError
        There are none of that name; the file is damaged, was changed, or is of another version.
    """
    path, sha256 = locate(which)
    read = read_weights(path, sha256)
    if read.card.get("format") != FORMAT or any(name not in read.card for name in _NEEDED):
        raise DataError(
            f"these are no weights of format {FORMAT} for atoms",
            where=str(path),
            fix="install the version of ronchi-atomnet that they were trained with, or train again",
        )
    try:
        # A new network draws weights, which are thrown away: the random numbers that all share stay as they were.
        with torch.random.fork_rng(devices=[]):
            network = UNet(tuple(read.card["settings"]["widths"]), int(read.card["settings"]["classes"]))
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"the card names no network: {error}", where=str(path), fix="train again") from error
    read.into(network, str(path))
    return Learned(network.eval(), read.card, read.sha256)
