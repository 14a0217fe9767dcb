"""Training of the network on simulated movies: stoppable, resumable, judged by movies that it never learns from."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor, nn

from ronchi.api import Context, DataError
from ronchi.schema import atoms
from ronchi_atomnet.errors import error_weights, fits_from_odds, spread_of_odds
from ronchi_atomnet.gaussians import fit_gaussians
from ronchi_atomnet.movies import IdealFrame, ideal_frames
from ronchi_atomnet.patches import draw_patch, odds
from ronchi_atomnet.peaks import find_peaks
from ronchi_atomnet.train_params import TrainParams
from ronchi_atomnet.unet import UNet
from ronchi_atomnet.weights import FORMAT
from ronchi_torch.checkpoint import Saved, fingerprint, moments_of, restore_moments, resume, write_checkpoint
from ronchi_torch.files import whole_file
from ronchi_torch.steps import follow, rate, take_steps
from ronchi_torch.weights import write_weights
from ronchi_torch.world import join_world

__all__ = ["Trainer"]

_CHECKPOINT = "checkpoint.safetensors"
_THRESHOLDS = (0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6)
_AS_GOOD = 0.002
_TOLERANCE_ANGSTROM = 0.5
_GRAPHENE_PERIOD_ANGSTROM = 2.13
_GRAPHENE_SIGMA_ANGSTROM = 0.4
_ERRORS = ("error_by_odds", "error_by_fits")

Watch = Callable[[Mapping[str, float]], None]


class Trainer:
    """What ``ronchi train atomnet`` makes; see `TrainParams`.

    ``watch`` is called with the figures of every look at held-out movies, and may raise to stop the training.
    """

    watch: Watch = staticmethod(lambda figures: None)

    def __init__(self, params: TrainParams) -> None:
        self.params = params

    def train(self, folder: Path, ctx: Context, create: Callable[..., Any]) -> dict[str, Any]:
        """Train with the simulator of that name, and leave ``weights.safetensors`` and ``training.json``.

        Raises
        ------
        DataError
            The simulator gives no truth, the checkpoint is of another training, the loss is no number, or the batch
            cannot be shared by the processes.
        """
        return _Training(self.params, ctx, folder, create, self.watch).run()


class _Training:
    def __init__(self, p: TrainParams, ctx: Context, folder: Path, create: Callable[..., Any], watch: Watch) -> None:
        self.p, self.ctx, self.folder, self.watch = p, ctx, folder, watch
        self.world = join_world(ctx.device)
        if p.batch % self.world.size:
            what = f"a batch of {p.batch} cannot be shared evenly by {self.world.size} processes"
            raise DataError(what, where="batch", fix=f"a multiple of {self.world.size}")
        self.seeds = [int(seed) for seed in ctx.rng.integers(2**31, size=4)]
        kept = folder / "movies"
        self.learned = ideal_frames(p, kept, create, self.seeds[0], p.movies, ctx.log)
        self.held_out = ideal_frames(p, kept, create, self.seeds[1], p.held_out_movies, ctx.log)
        self.metric = create(
            "metric",
            "atoms",
            {
                "tolerance": _TOLERANCE_ANGSTROM,
                "tolerance_unit": "angstrom",
                "pixel_angstrom": p.pixel_angstrom,
                "border_px": 4.0,
            },
        )
        torch.manual_seed(self.seeds[2])
        network = UNet(p.widths, 1 + len(p.classes)).to(self.world.device, memory_format=torch.channels_last)
        self.network: nn.Module = network
        self.wrapped = self.world.wrap(network)
        self.averaged = copy.deepcopy(network)
        self.optimiser = torch.optim.AdamW(network.parameters(), p.learning_rate, weight_decay=p.weight_decay)
        self.step, self.seconds = 0, 0.0
        self.curve: list[dict[str, float]] = []
        self.losses: list[float] = []

    def run(self) -> dict[str, Any]:
        p = self.p
        self.step = resume(self.folder / _CHECKPOINT, self._identity(), self._take_up, self.world)
        if self.step and self.world.rank == 0:
            self.ctx.log.info("going on after batch %d", self.step)
        take_steps(self, p.steps, p.checkpoint_s, self.ctx, anyone=self.world.anyone)
        self.save()
        return self._card()

    def advance(self) -> None:
        """Learn from the next batch; see `take_steps`."""
        p = self.p
        self.losses.append(self._learn())
        looked = (self.step + 1) % p.validate_every == 0 or self.step + 1 == p.steps
        if looked:
            self._validate()
        self.step += 1
        if looked:
            self.watch(self.curve[-1])

    def _learn(self) -> float:
        p = self.p
        for group in self.optimiser.param_groups:
            group["lr"] = p.learning_rate * rate(self.step, p.warm_up, p.steps)
        images, wanted, _ = self._batch(self.learned, [self.seeds[2], self.step], self.world.share(p.batch))
        self.wrapped.train()
        self.optimiser.zero_grad(set_to_none=True)
        loss = _loss(self.wrapped(images), wanted)
        loss.backward()
        value = self.world.total(loss.detach().clone()) / self.world.size
        if not math.isfinite(value):
            raise DataError(f"the loss is {value} in batch {self.step}", where="training", fix="lower `learning_rate`")
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimiser.step()
        self.world.average(b for b in self.network.buffers() if b.dtype.is_floating_point)
        follow(self.averaged, self.network, self.step, p.average)
        return value

    def _batch(self, frames: list[IdealFrame], seed: list[int], share: slice) -> tuple[Tensor, Tensor, list[Any]]:
        p = self.p
        numbers = range(p.batch)[share]
        patches = [draw_patch(frames, p, np.random.default_rng([*seed, number])) for number in numbers]
        images = torch.from_numpy(np.stack([patch.image for patch in patches])[:, None])
        wanted = torch.from_numpy(np.stack([odds(patch, p) for patch in patches]))
        images = images.to(self.world.device, memory_format=torch.channels_last)
        return images, wanted.to(self.world.device), patches

    def _validate(self) -> None:
        """Judge the averaged weights on patches of held-out movies, the same ones at every look."""
        p = self.p
        found: dict[float, list[Any]] = {threshold: [] for threshold in _THRESHOLDS}
        losses: list[float] = []
        true: list[Any] = []
        seen: list[Any] = []
        self.averaged.eval()
        for number in range(p.validation_batches):
            images, wanted, patches = self._batch(self.held_out, [self.seeds[3], number], slice(None))
            with torch.inference_mode():
                said = self.averaged(images)
                losses.append(float(_loss(said, wanted)))
                chances = torch.softmax(said, 1).cpu().numpy()
            for patch, chance in zip(patches, chances, strict=True):
                frame = len(seen)
                seen.append(patch.image)
                true.append(_rows(frame, patch.points, np.ones(len(patch.points)), patch.species))
                for threshold, rows in found.items():
                    rows.append(_rows(frame, *find_peaks(chance, threshold)))
        truth = _table(true, p)
        figures = {threshold: self.metric.score(_table(rows, p), truth, self.ctx) for threshold, rows in found.items()}
        # Of thresholds that are as good, the lowest finds most in images that are worse than these.
        highest = max(each["f1"] for each in figures.values())
        best = min(threshold for threshold in _THRESHOLDS if figures[threshold]["f1"] >= highest - _AS_GOOD)
        by_odds, by_fits = error_weights(*_errors(seen, found[best], true, p))
        row = {
            "step": float(self.step + 1),
            "learned_loss": sum(self.losses) / len(self.losses),
            "loss": float(np.mean(losses)),
            "threshold": best,
            **dict(zip(_ERRORS, (by_odds, by_fits), strict=True)),
        } | {
            name: float(figures[best][name])
            for name in ("precision", "recall", "f1", "rms_angstrom", "species_accuracy", "species_balanced")
        }
        self.losses.clear()
        self.curve.append(row)
        self.ctx.log.info("  ".join(f"{name} {value:.4g}" for name, value in row.items()))

    def _card(self) -> dict[str, Any]:
        p = self.p
        return {
            "format": FORMAT,
            "settings": UNet(p.widths, 1 + len(p.classes)).settings,
            "classes": list(p.classes),
            "pixel_angstrom": p.pixel_angstrom,
            "period_px": _GRAPHENE_PERIOD_ANGSTROM / p.pixel_angstrom,
            "target_sigma_px": p.target_sigma_px,
            "threshold": self.curve[-1]["threshold"] if self.curve else 0.4,
            "error_weights": [self.curve[-1][name] for name in _ERRORS] if self.curve else [0.0, 1.0],
            "training": p.model_dump(mode="json", exclude={"checkpoint_s"}),
            "seeds": self.seeds,
            "frames": [len(self.learned), len(self.held_out)],
            "versions": {name: version(name) for name in ("ronchi-atomnet", "torch")},
            "device": self.world.device.type,
            "processes": self.world.size,
            "step": self.step,
            "seconds": round(self.seconds),
            "curve": [{name: value if math.isfinite(value) else None for name, value in r.items()} for r in self.curve],
        }

    def save(self) -> None:
        """Write checkpoint and weights, in the first process alone."""
        if self.world.rank != 0:
            return
        card = self._card()
        tensors = {
            "network": self.network.state_dict(),
            "averaged": self.averaged.state_dict(),
            "adam": moments_of(self.optimiser),
        }
        told = {"identity": self._identity(), "card": json.dumps({**card, "losses": self.losses})}
        write_checkpoint(self.folder / _CHECKPOINT, tensors, told)
        # Weights of an unfinished training serve as well: an average that is judged at every look.
        digest = write_weights(self.folder / "weights.safetensors", self.averaged, card)
        with whole_file(self.folder / "training.json") as partial:
            told = json.dumps({**card, "sha256": digest}, indent=1, allow_nan=False)
            partial.write_text(told + "\n", encoding="utf-8")

    def _identity(self) -> str:
        # How long it runs and how it is watched may change on the way.
        free = {"steps", "validate_every", "validation_batches", "checkpoint_s"}
        return fingerprint(str(FORMAT), self.p.model_dump_json(exclude=free), json.dumps(self.seeds))

    def _take_up(self, saved: Saved) -> int:
        self.network.load_state_dict(saved.group("network"))
        self.averaged.load_state_dict(saved.group("averaged"))
        restore_moments(self.optimiser, saved.group("adam"))
        card = json.loads(saved.told["card"])
        self.seconds, self.losses = float(card["seconds"]), list(card["losses"])
        self.curve = [{name: math.nan if v is None else v for name, v in row.items()} for row in card["curve"]]
        return int(card["step"])


def _loss(said: Tensor, wanted: Tensor) -> Tensor:
    """Cross-entropy with odds that are no whole numbers."""
    return -(wanted * torch.log_softmax(said, 1)).sum(1).mean()


def _rows(frame: int, points: Any, score: Any, species: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
    """(n, 5) frame, y, x, score, species."""
    return np.column_stack([np.full(len(points), frame), points, score, species])


def _errors(images: list[Any], found: list[Any], true: list[Any], p: TrainParams) -> tuple[Any, Any, Any]:
    """Squared errors of found coordinates and the two signs of them, of atoms well inside: see `error_weights`."""
    furthest = _TOLERANCE_ANGSTROM / p.pixel_angstrom
    made = [np.empty((3, 0, 2))]
    for image, mine, theirs in zip(images, found, true, strict=True):
        points, score = mine[:, 1:3], mine[:, 3]
        if not len(points) or not len(theirs):
            continue
        fit = fit_gaussians(image.astype(np.float64), points, _GRAPHENE_SIGMA_ANGSTROM / p.pixel_angstrom)
        apart, which = cKDTree(theirs[:, 1:3]).query(points)
        # What is further away is no match for the metric either: another atom, or none.
        inside = ((points > 4) & (points < np.array(image.shape) - 5)).all(1) & (apart < furthest)
        square = (points - theirs[which, 1:3]) ** 2
        spread = spread_of_odds(score, p.target_sigma_px)[:, None]
        signs = np.broadcast_arrays(square, spread, fits_from_odds(points, fit))
        made.append(np.stack(signs)[:, inside])
    squares, spreads, aparts = np.concatenate(made, 1).reshape(3, -1)
    return squares, spreads, aparts


def _table(rows: list[Any], p: TrainParams) -> Any:
    held = np.concatenate(rows)
    return atoms.make(
        frame=held[:, 0], y=held[:, 1], x=held[:, 2], score=held[:, 3], species=held[:, 4],
        step_angstrom=[p.pixel_angstrom] * 2, image_shape=[p.patch_px] * 2,
    )  # fmt: skip
