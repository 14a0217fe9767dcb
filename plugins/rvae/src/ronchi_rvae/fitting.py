"""One call that trains a model of a learner: on the device lent, with what is held out, from a checkpoint if any."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ronchi.api import Context
from ronchi_rvae.checkpoint import Checkpoint
from ronchi_rvae.trainable import Samples, Trainable
from ronchi_rvae.training import Schedule, train
from ronchi_torch.checkpoint import fingerprint
from ronchi_torch.threads import thread_limit
from ronchi_torch.world import join_world

__all__ = ["fitted_curves"]


def fitted_curves(
    model: Trainable,
    values: Tensor,
    condition: Tensor,
    held: NDArray[np.bool_],
    schedule: Schedule,
    ctx: Context,
    *,
    seed: int,
    identity: str,
    renew: Callable[[Tensor], Tensor] | None = None,
) -> dict[str, list[float]]:
    """Train a model, which is left on the CPU, ready to encode.

    Parameters
    ----------
    values : (n, numbers) Tensor
    condition : (n, conditions) Tensor
    held : (n,) bool
        Samples that are held out.
    seed : int
    identity : str
        What tells this learner and its parameters from others: a checkpoint of another training is not read.
    renew : callable, optional
        Gives the values of all samples anew, from what they are so far.

    Returns
    -------
    dict of str to list of float
        Mean bound of an image in every epoch, in nats.
    """
    world = join_world(ctx.device)
    out = torch.from_numpy(held)

    def renewed(fitted: Tensor, held_out: Tensor) -> tuple[Tensor, Tensor]:
        assert renew is not None
        whole = torch.empty_like(values)
        whole[~out], whole[out] = fitted.cpu(), held_out.cpu()
        whole = renew(whole)
        return whole[~out], whole[out]

    with thread_limit(1 if model.one_thread else ctx.n_threads):
        history = train(
            model.to(world.device),
            Samples(values[~out], condition[~out]),
            Samples(values[out], condition[out]),
            schedule,
            world=world,
            generator=torch.Generator().manual_seed(seed),
            checkpoint=Checkpoint(
                ctx.scratch,
                fingerprint(identity, str(seed), held.tobytes(), values.numpy().tobytes(), condition.numpy().tobytes()),
            ),
            tick=lambda done: ctx.progress(done, schedule.epochs),
            log=ctx.log,
            renew=None if renew is None else renewed,
        )
    ctx.progress(schedule.epochs, schedule.epochs)
    model.to("cpu").eval()
    curves = {"bound": history.curve}
    return {**curves, "bound_held_out": history.held_out} if history.held_out else curves
