"""A training that was stopped goes on where it was: all that it needs for that, in one file.

The file is safetensors, whose header holds text: nothing in it can run code.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ronchi.api import DataError
from ronchi_torch.files import whole_file
from ronchi_torch.world import World

__all__ = ["Saved", "fingerprint", "moments_of", "read_checkpoint", "restore_moments", "resume", "write_checkpoint"]

_DIGEST = "tensors_sha256"


@dataclass(frozen=True)
class Saved:
    """What a checkpoint holds.

    Parameters
    ----------
    tensors : dict of str to dict of str to Tensor
        Name of a group, and in it names of tensors; a group without any is not there.
    told : dict of str to str
        Anything else, as text.
    """

    tensors: dict[str, dict[str, Tensor]]
    told: dict[str, str]

    def group(self, name: str) -> dict[str, Tensor]:
        """Tensors of a group; none if there is no such group."""
        return self.tensors.get(name, {})


def write_checkpoint(path: Path, tensors: Mapping[str, Mapping[str, Tensor]], told: Mapping[str, str]) -> None:
    """Write a file, whole or not at all.

    Parameters
    ----------
    tensors, told : mapping
        As `Saved` holds them; names of groups have no dots.

    Raises
    ------
    OutputError
        It cannot be written; an older file stays.
    """
    from safetensors.torch import save_file

    flat = {
        f"{group}.{name}": value.detach().cpu().contiguous()
        for group, members in tensors.items()
        for name, value in members.items()
    }
    with whole_file(path) as partial:
        save_file(flat, partial, {**told, _DIGEST: _digest(flat)})


def read_checkpoint(path: Path) -> Saved:
    """Read what `write_checkpoint` wrote.

    Raises
    ------
    DataError
        The file is damaged or cannot be read.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            told = dict(file.metadata() or {})
            flat = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    except (OSError, SafetensorError) as error:
        raise DataError(f"the checkpoint is damaged: {error}", where=str(path), fix="remove it") from error
    if told.pop(_DIGEST, None) != _digest(flat):
        what = "the checkpoint is damaged: its numbers are not those that were written"
        raise DataError(what, where=str(path), fix="remove it")
    tensors: dict[str, dict[str, Tensor]] = {}
    for full, value in flat.items():
        group, _, name = full.partition(".")
        tensors.setdefault(group, {})[name] = value
    return Saved(tensors, told)


def _digest(flat: Mapping[str, Tensor]) -> str:
    parts: list[memoryview | str] = []
    for name, value in sorted(flat.items()):
        parts += [name, str(value.dtype), str(tuple(value.shape)), value.reshape(-1).view(torch.uint8).numpy().data]
    return fingerprint(*parts)


def moments_of(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Running moments of Adam or one of its kind, whose state is tensors alone."""
    return {
        f"{number}.{name}": value
        for number, held in optimiser.state_dict()["state"].items()
        for name, value in held.items()
    }


def restore_moments(optimiser: torch.optim.Optimizer, moments: Mapping[str, Tensor]) -> None:
    """Give an optimiser of the same parameters the moments that `moments_of` took; its learning rates stay.

    Raises
    ------
    ValueError
        They are of other parameters.
    """
    shapes = [parameter.shape for group in optimiser.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for full, value in moments.items():
        number, _, name = full.partition(".")
        # torch does not look, and would stretch what can be stretched.
        if int(number) >= len(shapes) or (value.ndim and value.shape != shapes[int(number)]):
            raise ValueError(f"the moments are of other parameters: {full} has the shape {tuple(value.shape)}")
        state.setdefault(int(number), {})[name] = value
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})


def fingerprint(*parts: bytes | memoryview | str) -> str:
    """Hash of all that a training starts from."""
    made = hashlib.sha256()
    for part in parts:
        encoded = part.encode() if isinstance(part, str) else part
        made.update(len(encoded).to_bytes(8, "little"))
        made.update(encoded)
    return made.hexdigest()


def resume(path: Path, identity: str, take_up: Callable[[Saved], int], world: World) -> int:
    """Go on from the checkpoint of a training, if there is one.

    Parameters
    ----------
    identity : str
        What tells the training from others; `Saved.told` has it as ``identity``.
    take_up : callable
        Puts what was saved back in place, and gives the number of batches that are done.

    Returns
    -------
    int
        Batches that are done; 0 without a checkpoint.

    Raises
    ------
    DataError
        The file is damaged, or of another training or version; or processes that train together disagree about it.
    """
    step, other = 0, "remove it, or use another -o"
    if path.exists():
        saved = read_checkpoint(path)
        if saved.told.get("identity") != identity:
            what = "the checkpoint is of a training with other parameters, or of another version"
            raise DataError(what, where=str(path), fix=other)
        try:
            step = take_up(saved)
        except (KeyError, RuntimeError, ValueError) as error:
            what = f"the checkpoint is of another version of this plugin, or damaged: {error}"
            raise DataError(what, where=str(path), fix=other) from error
    if not world.agrees(step):
        what, fix = "not all processes have read the checkpoint", "an -o that all of them see"
        raise DataError(what, where=str(path), fix=fix)
    return step
