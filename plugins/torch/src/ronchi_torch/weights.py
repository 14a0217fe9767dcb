"""Weights on disk: a safetensors file whose header holds a card, which says what network they belong to."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ronchi.api import DataError
from ronchi_torch.files import whole_file

__all__ = ["CardedWeights", "read_weights", "write_weights"]

_KEY = "ronchi"


@dataclass(frozen=True)
class CardedWeights:
    """Tensors by name, what their card says, and the sha256 of their file."""

    tensors: dict[str, Tensor]
    card: dict[str, Any]
    sha256: str

    def into(self, network: nn.Module, where: str) -> None:
        """Give a network these weights.

        Raises
        ------
        DataError
            They are of another network.
        """
        try:
            network.load_state_dict(self.tensors)
        except RuntimeError as error:
            # The first line says that there are errors, and the next what the first of them is.
            told = (str(error).splitlines()[1:] or [str(error)])[0].strip()
            what = f"the weights do not fit the network that their card names: {told}"
            raise DataError(what, where=where, fix="train again") from error


def write_weights(path: Path, network: nn.Module, card: Mapping[str, Any]) -> str:
    """Write the weights of a network with a card that JSON can hold, whole or not at all; returns the file's sha256.

    Raises
    ------
    OutputError
        It cannot be written; an older file stays.
    """
    from safetensors.torch import save

    tensors = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    content = save(tensors, {_KEY: json.dumps(dict(card))})
    with whole_file(path) as partial:
        partial.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def read_weights(path: Path, sha256: str | None = None) -> CardedWeights:
    """Read what `write_weights` wrote.

    Parameters
    ----------
    sha256 : str, optional
        That the file must have.

    Raises
    ------
    DataError
        The file cannot be read, was changed, or holds no weights with a card.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        content = path.read_bytes()
    except OSError as error:
        what = f"the weights cannot be read: {error}"
        raise DataError(what, where=str(path), fix="give a .safetensors file") from error
    digest = hashlib.sha256(content).hexdigest()
    if sha256 is not None and digest != sha256:
        raise DataError(
            "the weights are not those that were published: their sha256 differs",
            where=str(path),
            fix="install the package again, or give the path of the file if the change is yours",
        )
    try:
        tensors = load(content)
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        card = json.loads(header["__metadata__"][_KEY])
    except (SafetensorError, KeyError, ValueError) as error:
        what = f"not a file of weights: {'it has no card' if isinstance(error, KeyError) else error}"
        raise DataError(what, where=str(path), fix="give one that was trained here") from error
    if not isinstance(card, dict):
        raise DataError("the card of the weights is none", where=str(path), fix="give one that was trained here")
    return CardedWeights(tensors, card, digest)
