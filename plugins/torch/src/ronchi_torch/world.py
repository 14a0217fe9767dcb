"""Several processes that train one model, as torch's own launcher ``torchrun`` starts them.

Every process runs the same program on the same data with the same seed, and takes its share of every batch.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, distributed, nn

from ronchi.api import DataError

__all__ = ["World", "found_device", "join_world"]


@dataclass(frozen=True)
class World:
    """The processes of a training.

    Parameters
    ----------
    rank, size : int
        Number of this process, and of all.
    device : torch.device
    """

    rank: int
    size: int
    device: torch.device

    def share(self, n: int) -> slice:
        """Rows out of ``n`` that this process takes."""
        return slice(self.rank, n, self.size)

    def wrap(self, model: nn.Module, *, all_used: bool = True) -> nn.Module:
        """Model whose gradients are the mean over all processes.

        Parameters
        ----------
        all_used : bool
            False if some weights may have no gradient in a step: they are then looked for, which takes time.
        """
        if self.size == 1:
            return model
        ids = [self.device] if self.device.type == "cuda" else None
        return nn.parallel.DistributedDataParallel(
            model, device_ids=ids, find_unused_parameters=not all_used, broadcast_buffers=False
        )

    def average(self, values: Iterable[Tensor]) -> None:
        """Replace values by their means over all processes."""
        held = list(values)
        if self.size == 1 or not held:
            return
        flat = torch.cat([value.detach().reshape(-1) for value in held])
        distributed.all_reduce(flat)
        with torch.no_grad():
            for value, mean in zip(held, torch.split(flat / self.size, [v.numel() for v in held]), strict=True):
                value.copy_(mean.reshape(value.shape))

    def total(self, value: Tensor) -> float:
        """Sum over all processes."""
        if self.size > 1:
            distributed.all_reduce(value)
        return float(value)

    def anyone(self, flag: bool) -> bool:
        """Whether this is so in any process."""
        return self.total(torch.tensor(float(flag), device=self.device)) > 0 if self.size > 1 else flag

    def agrees(self, number: int) -> bool:
        """Whether all processes have this number."""
        most = torch.tensor([number, -number], device=self.device)
        if self.size > 1:
            distributed.all_reduce(most, distributed.ReduceOp.MAX)
        return most.tolist() == [number, -number]


def found_device(device: str) -> torch.device:
    """Device ``"cpu"`` or ``"cuda"``.

    Raises
    ------
    DataError
        ``"cuda"``, but this torch finds no GPU: the system may have one, and torch be made without CUDA.
    """
    if device == "cuda" and not torch.cuda.is_available():
        what = f"torch {torch.__version__} finds no GPU"
        raise DataError(what, where="device", fix="device: cpu, or install torch for CUDA")
    return torch.device(device)


def join_world(device: str) -> World:
    """Join the processes that ``torchrun`` has started, if it has: it sets ``WORLD_SIZE``.

    They stay joined until the program ends: its store of addresses serves for one time only.

    Parameters
    ----------
    device : str
        ``"cpu"`` or ``"cuda"``; with several processes each has a GPU of its own.

    Raises
    ------
    DataError
        ``"cuda"``, but this torch finds no GPU, or fewer than there are processes.
    """
    place = found_device(device)
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return World(0, 1, place)
    if device == "cuda":
        own, there = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
        if own >= there:
            what, fix = f"no GPU is left for process {own + 1} of this machine", f"torchrun --nproc-per-node={there} …"
            raise DataError(what, where="device", fix=fix)
        place = torch.device("cuda", own)
        torch.cuda.set_device(place)
    if not distributed.is_initialized():
        distributed.init_process_group("nccl" if device == "cuda" else "gloo")
        atexit.register(distributed.destroy_process_group)
    return World(distributed.get_rank(), distributed.get_world_size(), place)
