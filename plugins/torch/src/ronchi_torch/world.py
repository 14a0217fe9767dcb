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

__all__ = ["World", "join_world"]


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
        ``"cuda"``, but this torch finds no GPU.
    """
    if device == "cuda" and not torch.cuda.is_available():
        what = f"torch {torch.__version__} finds no GPU"
        raise DataError(what, where="device", fix="device: cpu, or install torch for CUDA")
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return World(0, 1, torch.device(device))
    place = torch.device(device)
    if device == "cuda":
        place = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(place)
    if not distributed.is_initialized():
        distributed.init_process_group("nccl" if device == "cuda" else "gloo")
        atexit.register(distributed.destroy_process_group)
    return World(distributed.get_rank(), distributed.get_world_size(), place)
