"""Autoencoders of other programs as descriptor learners: images out, latents in, conventions mapped to ronchi's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ronchi.api import Context, DataError
from ronchi.bad_pixels import BadPixelFill
from ronchi.blocks import SAMPLE_DIMS, iter_samples
from ronchi.schema import descriptors
from ronchi.schema.common import variable
from ronchi_peers.params import AtomaiParams, AutoencoderParams, PyrovedParams
from ronchi_peers.process import Peer
from ronchi_peers.program import PeerProgram

__all__ = ["Atomai", "PeerLearner", "Pyroved", "angle_and_shift"]

Floats = NDArray[np.float32]

_WEIGHTS, _STATE = "weights.npz", "state.json"


def angle_and_shift(latent: NDArray[Any], prior: float, size_px: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Pose of images in the image, from that of the coordinates on which the programs decode them.

    Both take the coordinates of a square from -1 to 1 along the rows and from 1 to -1 along the columns, turn them, and
    then move them. Content that lies at q is seen where the moved coordinates are q.

    Parameters
    ----------
    latent : (n, >= 3) float
        Angle, and two moves in units of their prior.
    prior : float
        Standard deviation of a move, in halves of the side.
    size_px : int

    Returns
    -------
    angle : (n,) float
        In rad, from x towards y.
    shift : (n, 2) float
        (y, x) in px.
    """
    moved = latent[:, 1:3] * prior
    c, s = np.cos(latent[:, 0]), np.sin(latent[:, 0])
    row = -(c * moved[:, 0] + s * moved[:, 1])
    column = c * moved[:, 1] - s * moved[:, 0]
    shift: NDArray[Any] = np.stack([row, column], 1) * (size_px - 1) / 2
    return -latent[:, 0], shift


class PeerLearner(PeerProgram):
    """What the autoencoders have in common.

    The fitted state is the program's weights, how images are scaled, and the mean of the moves: where in its frame the
    content lies is free, and taken off.
    """

    name: str
    params: AutoencoderParams

    def settings(self) -> dict[str, Any]:
        """What the child's `start` is told besides shape and seed."""
        names = ("n_components", "batch", "learning_rate", "translation_prior")
        return {name: getattr(self.params, name) for name in names}

    def fit(self, x: xr.DataArray, ctx: Context) -> None:
        """Train on images held in memory, for `epochs` or until `max_seconds` are over.

        Parameters
        ----------
        x : (*samples, size, size) DataArray

        Raises
        ------
        DataError
            The images are not square, are all equal, or the program failed.
        """
        images, good = _images(x, self.name)
        images = images[good]
        if len(images) > self.params.max_samples:
            images = images[np.sort(ctx.rng.choice(len(images), self.params.max_samples, replace=False))]
        if not len(images):
            raise DataError("no sample is valid", where=self.name)
        low, high = float(images.min()), float(images.max())
        if low == high:
            raise DataError("all images are equal and constant: there is nothing to learn", where=self.name)
        sigma = self.params.noise_sigma
        self._offset, self._scale = (0.0, sigma) if sigma else (low, high - low)
        told = {"shape": images.shape[1:], "seed": int(ctx.rng.integers(2**31)), **self.settings()}
        self._told = told
        self._peer = self.started(told, {}, ctx.n_threads)
        scaled = self._scaled(images)
        self.losses = self._train(scaled, ctx)
        _, self._weights = self._peer.ask({"verb": "weights"}, {})
        self._moves = self._latent(scaled)[:, 1:3].mean(0)

    def transform(self, x: xr.DataArray) -> xr.Dataset:
        """Encode a block that fits in memory.

        Returns
        -------
        xarray.Dataset
            ``descriptors/1`` with ``z``, ``angle`` and ``shift``; NaN for samples that cannot be used. ``loss`` holds
            what training has made of the program's own loss.

        Raises
        ------
        DataError
            The images have another size than those of the fit.
        """
        images, good = _images(x, self.name)
        size = self._told["shape"][0]
        if images.shape[1] != size:
            what = f"the model was fitted to images of {size} px a side, these have {images.shape[1]}"
            raise DataError(what, where=self.name, fix="cut them to the same size, or fit anew")
        latent = np.full((len(images), 3 + self.params.n_components), np.nan)
        if good.any():
            latent[good] = self._latent(self._scaled(images[good]))
        latent[:, 1:3] -= self._moves
        angle, shift = angle_and_shift(latent, self.params.translation_prior, size)
        dims = tuple(str(dim) for dim in x.dims[:-2])
        shape = x.shape[:-2]
        return descriptors.make(
            latent[:, 3:].astype(np.float32).reshape(*shape, -1),
            dims=dims,
            component=[f"{self.name}{i}" for i in range(self.params.n_components)],
            angle=np.angle(np.exp(1j * angle)).astype(np.float32).reshape(shape),
            coords={
                "axis": xr.Variable("axis", np.array(["y", "x"])),
                **{str(dim): coord.variable for dim, coord in x.coords.items() if dim in dims},
            },
            attrs={"learner": self.name},
            shift=variable((*dims, "axis"), shift.astype(np.float32).reshape(*shape, 2), "pixel", "shift"),
            loss=variable("epoch", np.array(self.losses, np.float32), "1", f"training loss of {self.name}"),
        )

    def save(self, folder: Path) -> None:
        """Write weights as npz, and the rest as JSON."""
        np.savez(folder / _WEIGHTS, **self._weights)
        state = {
            "told": self._told,
            "offset": self._offset,
            "scale": self._scale,
            "moves": self._moves.tolist(),
            "losses": self.losses,
        }
        (folder / _STATE).write_text(json.dumps(state), encoding="utf-8")

    def load(self, folder: Path) -> None:
        """Read what `save` wrote, and start the program with it.

        Raises
        ------
        DataError
            There is no environment, or the program does not take the weights.
        """
        state = json.loads((folder / _STATE).read_text(encoding="utf-8"))
        with np.load(folder / _WEIGHTS, allow_pickle=False) as stored:
            self._weights = dict(stored)
        self._told, self._offset, self._scale = state["told"], state["offset"], state["scale"]
        self._moves, self.losses = np.array(state["moves"]), state["losses"]
        self._peer = self.started(self._told, self._weights, 1)

    _peer: Peer

    def _train(self, scaled: Floats, ctx: Context) -> list[float]:
        losses: list[float] = []
        seconds, most = 0.0, self.params.max_seconds or np.inf
        while len(losses) < self.params.epochs and seconds < most:
            _, made = self._peer.ask({"verb": "train"}, {"images": scaled})
            losses.append(float(made["loss"]))
            seconds += float(made["seconds"])
            ctx.progress(len(losses), self.params.epochs)
        return losses

    def _scaled(self, images: Floats) -> Floats:
        return ((images - np.float32(self._offset)) / np.float32(self._scale)).astype(np.float32)

    def _latent(self, scaled: Floats) -> NDArray[np.float64]:
        _, found = self._peer.ask({"verb": "encode"}, {"images": scaled})
        return found["latent"].astype(np.float64)


class Atomai(PeerLearner):
    """`rVAE` of AtomAI."""

    name = "atomai"
    environment = "atomai"
    script = "atomai_rvae.py"
    params: AtomaiParams

    def settings(self) -> dict[str, Any]:
        """Arguments of `fit`."""
        return {**super().settings(), "rotation_prior": self.params.rotation_prior}


class Pyroved(PeerLearner):
    """`iVAE` of pyroVED."""

    name = "pyroved"
    environment = "pyroved"
    script = "pyroved_ivae.py"
    params: PyrovedParams

    def settings(self) -> dict[str, Any]:
        """Arguments of `iVAE` and of its trainer."""
        return {**super().settings(), "decoder_sigma": self.params.decoder_sigma}


def _images(x: xr.DataArray, where: str) -> tuple[Floats, NDArray[np.bool_]]:
    """(n, size, size) images in memory, bad pixels filled, and which of them are valid and finite."""
    features = [dim for dim in x.dims if dim not in SAMPLE_DIMS]
    if len(features) != 2 or x.shape[-2] != x.shape[-1]:
        shape = tuple(x.sizes[dim] for dim in features)
        raise DataError(f"samples have shape {shape}: expected square images", where=where, fix="use transform `crop`")
    images = np.empty((int(np.prod(x.shape[:-2])), *x.shape[-2:]), np.float32)
    for positions, block in iter_samples(x):
        images[positions] = block
    if "bad_pixel" in x.coords and (bad := x.coords["bad_pixel"].values.astype(bool)).any():
        # Neither of the programs knows bad pixels.
        images = BadPixelFill(bad)(images)
    good = np.isfinite(images).all((1, 2))
    if "valid" in x.coords:
        good &= x.coords["valid"].values.astype(bool).ravel()
    return images, good
