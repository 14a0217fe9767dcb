"""Models whose operations torch's compiler has fused."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from ronchi.api import DataError

__all__ = ["compiled"]

_COMPILER = ("torch._dynamo", "torch._inductor")


def compiled(model: nn.Module) -> Callable[..., Any]:
    """What a model does, compiled for the shapes that it meets first and, where others follow, for any.

    Parameters
    ----------
    model : nn.Module
        Its weights stay its own, and so does its mode: each of them is compiled when it is first met, in minutes.

    Raises
    ------
    DataError
        At the first call: this machine cannot compile.
    """
    # Of complex numbers, which are left as they are.
    warnings.filterwarnings("ignore", "Torchinductor does not support code generation for complex")
    fused = torch.compile(model)

    def call(*given: Any) -> Any:
        try:
            return fused(*given)
        except RuntimeError as error:
            if not type(error).__module__.startswith(_COMPILER):
                raise
            said = str(error).splitlines()[0]
            fix = "a C++ compiler (on a GPU, triton), or `compile: false`"
            raise DataError(f"torch cannot compile the network: {said}", where="compile", fix=fix) from error

    return call
