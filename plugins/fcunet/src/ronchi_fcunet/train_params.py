"""Parameters of a training: ``ronchi train fcunet CONFIG.yaml``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import model_validator

from ronchi.api import Field, Params
from ronchi_fcunet.params import Weights

__all__ = ["Labelled", "NetworkParams", "TrainParams"]


_Channels = tuple[Annotated[int, Field(ge=1)], ...]


class NetworkParams(Params):
    """Which network is trained."""

    kind: Literal["compact", "unet", "spectral-unet", "fcunet"] = Field("compact", description="Network.")
    widths: _Channels = Field((24, 48, 96, 128), min_length=1, description="compact: channels at strides 2, 4, 8, 16.")
    blocks: int = Field(2, ge=1, description="compact: residual blocks of a level; the coarsest has one.")
    attention: int = Field(2, ge=0, description="compact: layers of attention at the coarsest level.")
    completion: _Channels = Field(
        (24, 48, 64),
        description="compact: channels of the second look at strides 2, 4, 8; [] for the first look alone.",
    )
    filters: int = Field(32, ge=1, description="Other networks: channels of the first level.")
    depth: int = Field(4, ge=1, description="Other networks: convolutions of a block.")
    dropout: float = Field(0.3, ge=0, lt=1, description="Other networks: share of the values dropped in training.")
    levels: int = Field(6, ge=1, description="Other networks: most poolings.")
    activation: Literal["relu", "tanh"] = Field("relu", description="Other networks: what follows a convolution.")


class Labelled(Params):
    """Patterns of one's own whose disks are known."""

    data: Path = Field(description="Patterns, `fourd/1`, with their probe or the calibration that gives its radius.")
    peaks: Path = Field(description="Their disks, `peaks/1`.")
    split: Literal["train", "validation"] = Field("train", description="Whether they are learned from, or judged by.")


class TrainParams(Params):
    """Train a network on a diffraction library; the seed of the file decides weights, batches and augmentation."""

    library: Path | Annotated[tuple[Path, ...], Field(min_length=1)] | None = Field(
        None, description="Store made by `ronchi simulate library`, or several of them, whose samples are mixed."
    )
    labelled: tuple[Labelled, ...] = Field((), description="Patterns of one's own instead of a library.")
    network: NetworkParams = Field(NetworkParams(), description="Which network is trained.")
    augment: str = Field("augment", description="Transform that makes patterns look recorded.")
    augment_params: dict[str, Any] = Field(default_factory=dict, description="Its parameters.")
    start_from: Weights | None = Field(
        None, description="Weights to begin with, a name or a file, instead of fresh ones of `network`: fine-tuning."
    )
    keep_of_start: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Share of the weights of `start_from` in those that are left at the end: the mean of both is often "
        "better than either, and forgets less (Wortsman et al., ICML 2022, arXiv:2203.05482).",
    )
    window_px: int | None = Field(
        None,
        ge=32,
        description="Side of the middle of the patterns that is learned from; absent: all of them. A quarter of the "
        "area takes a quarter of the time, for a first training that `start_from` goes on from.",
        json_schema_extra={"unit": "px"},
    )
    crystal_free: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Share of the samples whose crystal is left out: noise and halos are learned to be no disks.",
    )
    steps: int = Field(20000, ge=1, description="Batches to learn from.")
    batch: int = Field(16, ge=2, description="Patterns in a batch; several processes share it.")
    learning_rate: float = Field(1e-3, gt=0, description="Largest step of AdamW.")
    warm_up: int = Field(200, ge=0, description="Batches until the step is largest; it then falls along a cosine.")
    weight_decay: float = Field(0.01, ge=0, description="Of AdamW.")
    average: float = Field(0.999, ge=0, lt=1, description="Of the weights that are kept: a moving average over steps.")
    validate_every: int = Field(500, ge=1, description="Batches between two looks at held-out prototypes.")
    validation_batches: int = Field(16, ge=1, description="Held-out batches, the same ones at every look.")
    patience: int | None = Field(
        None,
        ge=1,
        description="Looks without a lower loss after which the training ends, with the weights of the lowest; absent: "
        "all steps, and the last weights.",
    )
    checkpoint_s: float = Field(
        120.0, gt=0, description="Seconds between checkpoints.", json_schema_extra={"unit": "s"}
    )
    workers: int = Field(1, ge=0, description="Processes that load and augment.")
    half: bool = Field(False, description="Products in bfloat16, faster where the processor has it.")
    compile: bool = Field(
        False,
        description="Fuse the network's operations with torch.compile, which needs a C++ compiler on a CPU: the first "
        "batch takes minutes, every later one of the compact detector a quarter less.",
    )

    @model_validator(mode="after")
    def _has_its_sources(self) -> Self:
        if (self.library is None) == (not self.labelled):
            raise ValueError("needs either `library` or `labelled`")
        if self.keep_of_start and self.start_from is None:
            raise ValueError("`keep_of_start` needs `start_from`")
        return self
