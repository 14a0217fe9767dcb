"""Tiny algorithms of every kind; the fixture `toys` installs this file as a distribution."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path
from typing import Literal

from ronchi.api import AlgorithmSpec, Field, Params, hookimpl


class ReadParams(Params):
    path: str = Field(description="File.")
    scale: float = Field(1.0, gt=0, description="Factor.")


class NoParams(Params):
    pass


class SimParams(Params):
    n: int = Field(3, ge=1, description="Rows and columns.")


class DetectParams(Params):
    sigma_px: float = Field(2.0, gt=0, description="Blur.", json_schema_extra={"unit": "px"})
    mode: Literal["cross", "phase", "hybrid"] = Field("cross", description="Correlation.")
    sleep_s: float = Field(0.0, ge=0, description="Time wasted on a block.")
    noise: float = Field(0.0, ge=0, description="Random shift.")
    fault: str = Field("", description="What to break.")
    log: str = Field("", description="File that lists the blocks that were worked on.")


class Region(Params):
    scan_x: tuple[int, int] = Field((0, 1), description="Columns.")


class StrainParams(Params):
    reference: Region = Field(Region(), description="Unstrained region.")
    fault: bool = Field(False, description="Fail.")


class MapParams(Params):
    mask: Path | None = Field(None, description="File with numbers.")
    masks: tuple[Path, ...] = Field((), description="More of them.")
    named: str = Field("", description="One of those in the folder TOYS.")


def named_files(params):
    from ronchi.api import DataError

    if params.named == "nobody":
        raise DataError("no numbers are called 'nobody'", where="named", fix="names: one")
    return {"named": Path(os.environ["TOYS"]) / f"{params.named}.txt"} if params.named else {}


class Mapped:
    """A .npy file that is mapped only while it is read, so that its pages are not counted as memory."""

    def __init__(self, path):
        import numpy as np

        self.path = path
        stored = np.load(path, mmap_mode="r")
        self.shape, self.dtype, self.ndim = stored.shape, stored.dtype, stored.ndim

    def __getitem__(self, key):
        import numpy as np

        return np.array(np.load(self.path, mmap_mode="r")[key])


class Reader:
    def __init__(self, params):
        self.params = params

    def confidence(self, path):
        return 0.9 if path.suffix == ".npy" else 0.0

    def companions(self, path):
        return [file for file in [Path(path).parent / "valid.npy"] if file.exists()]

    def open(self, path):
        import dask.array as da
        import numpy as np
        import xarray as xr

        from ronchi.api import Result
        from ronchi.schema import fourd

        stored = Mapped(path)
        chunks = (1, max(2, 2**23 // (stored.shape[2] * stored.shape[3])), -1, -1)
        data = fourd.make(da.from_array(stored, chunks=chunks) * np.float32(self.params.scale))
        if (Path(path).parent / "valid.npy").exists():
            flags = np.load(Path(path).parent / "valid.npy")
            data["valid"] = (("scan_y", "scan_x"), flags.astype("i1"), {"units": "1", "long_name": "valid"})
        scan = ("scan_y", "scan_x")
        zero = np.zeros(stored.shape[:2])
        truth = xr.Dataset(
            {
                name: (scan, zero, {"units": units, "long_name": name})
                for name, units in (("e_xx", "1"), ("e_yy", "1"), ("e_xy", "1"), ("theta", "rad"))
            },
            {dim: data[dim].variable for dim in scan},
            {"ronchi_schema": "strain/1", "is_truth": 1},
        )
        return Result(data, {"truth": truth})


class OtherReader(Reader):
    def confidence(self, path):
        raise RuntimeError("asked too much")


class Simulator:
    def __init__(self, params):
        self.params = params

    def simulate(self, ctx):
        from ronchi.api import Result
        from ronchi.schema import fourd

        n = self.params.n
        return Result(fourd.make(ctx.rng.random((n, n, 8, 8), dtype="f4")), {})


class Halve:
    def __init__(self, params):
        pass

    def apply(self, *, data, ctx):
        attrs = data["intensity"].attrs
        return data.assign(intensity=(data["intensity"] / 2).assign_attrs(attrs))


class MeanMap:
    def __init__(self, params):
        self.params = params

    def apply(self, *, data, ctx):
        import numpy as np

        from ronchi.schema import maps
        from ronchi.schema.common import variable

        files = [
            *([self.params.mask] if self.params.mask else []),
            *self.params.masks,
            *named_files(self.params).values(),
        ]
        factor = np.prod([float(np.loadtxt(file)) for file in files])
        mean = data["intensity"].mean(("qy", "qx")).data * factor
        coords = {dim: data[dim].variable for dim in ("scan_y", "scan_x")}
        return maps.make({"mean": variable(("scan_y", "scan_x"), mean, "counts", "mean")}, coords)


class OddError(Exception):
    """One that cannot be made again from its message alone."""

    def __init__(self, *, code):
        super().__init__(f"code {code}")


class Brightest:
    def __init__(self, params):
        self.params = params

    def prepare(self, geometry, probe, ctx):
        if self.params.fault == "prepare":
            raise ValueError("cannot prepare")
        self.mean, self.rng, self.log = geometry.mean_pattern, ctx.rng, ctx.log

    def detect(self, frames):
        import numpy as np

        from ronchi.api import PeakBatch

        p = self.params
        if p.log:
            with Path(p.log).open("a") as file:
                file.write(f"{os.getpid()} {len(frames)}\n")
        if p.fault == "compile":
            logger = logging.getLogger("ronchi.compiled")
            logger.propagate = False
            logger.info("compiling for this machine")
        time.sleep(p.sleep_s)
        if p.fault in ("die", "leave"):
            os._exit(9 if p.fault == "die" else 0)
        if p.fault == "warn":
            self.log.info("a block of %d", len(frames))
            self.log.warning("blurred by %g px", p.sigma_px)
        if p.fault == "raise":
            raise ValueError("detector broke")
        if p.fault == "odd":
            raise OddError(code=7)
        n = len(frames)
        flat = (frames * np.float32(p.sigma_px) - self.mean).reshape(n, -1)
        counts = (1 + flat.argmin(1) % 3).astype("i4")
        order = (flat.argmax(1)[:, None] + np.arange(3)) % flat.shape[1]  # the brightest pixel and what follows it
        index = np.concatenate([order[i, :k] for i, k in enumerate(counts)])
        qy, qx = np.divmod(index, frames.shape[2])
        total = len(index)
        qy = qy + p.noise * self.rng.standard_normal(total)
        if p.fault == "contract":
            qy = qy[:-1]
        if p.fault == "objects":
            qy = qy.astype(object)
        one = np.ones(total, "f4")
        return PeakBatch(
            counts=counts,
            qy_px=qy,
            qx_px=qx.astype("f8"),
            intensity=one,
            score=one,
            var_yy=one,
            var_yx=0 * one,
            var_xx=one,
            flags=np.zeros(total, "u2"),
        )


class Moments:
    def __init__(self, params):
        pass

    def fit(self, x, ctx):
        self.scale = float(x.max())

    def transform(self, x):
        import numpy as np

        from ronchi.schema import descriptors

        dims = [d for d in x.dims if d in ("scan_y", "scan_x", "sample")]
        n = len(dims)
        flat = x.values.reshape(*x.shape[:n], -1) / self.scale
        z = np.stack([flat.mean(-1), flat.std(-1)], -1)
        return descriptors.make(z, dims=tuple(dims), coords={d: x[d].variable for d in dims if d in x.coords})


class Strain:
    def __init__(self, params):
        self.params = params

    def solve(self, peaks, ctx):
        import numpy as np

        from ronchi.schema import strain

        if self.params.fault:
            raise ZeroDivisionError("no lattice")
        shape = tuple(peaks.attrs["scan_shape"])
        value = peaks["n_peaks"].values.reshape(shape) * 0.01
        names = ("e_xx", "e_yy", "e_xy", "theta")
        return strain.make(
            dict.fromkeys(names, value),
            dict.fromkeys(names, value),
            residual=value,
            n_used=value,
            valid=np.ones(shape),
            residual_units="pixel",
            frame="detector",
            reference="none",
            coords={dim: peaks[dim].variable for dim in ("scan_y", "scan_x")},
        )


class Rms:
    def __init__(self, params):
        pass

    def score(self, result, truth, ctx):
        return {"e_xx": float(((result["e_xx"] - truth["e_xx"]) ** 2).mean()) ** 0.5}


def spec(name, params, cls, inputs, output, **more):
    return AlgorithmSpec(
        name=name, summary=f"Toy {name}.", params=params, factory=f"toydist:{cls}", inputs=inputs, output=output, **more
    )


@hookimpl
def ronchi_readers():
    sides = {"truth": "strain/1|peaks/1"}
    return [
        spec("toyread", ReadParams, "Reader", {}, "fourd/1|images/1", sides=sides),
        spec("otherread", ReadParams, "OtherReader", {}, "fourd/1", sides=sides),
    ]


@hookimpl
def ronchi_simulators():
    return [spec("toysim", SimParams, "Simulator", {}, "fourd/1")]


@hookimpl
def ronchi_transforms():
    return [
        spec("halve", NoParams, "Halve", {"data": "fourd/1"}, "fourd/1"),
        spec("meanmap", MapParams, "MeanMap", {"data": "fourd/1"}, "maps/1", files="toydist:named_files"),
    ]


@hookimpl
def ronchi_disk_detectors():
    return [
        spec(
            "brightest",
            DetectParams,
            "Brightest",
            {"data": "fourd/1", "probe?": "maps/1"},
            "peaks/1",
            columns={"score": ("1", "height of the pixel")},
            citation="Toy, J. Toys 1, 1 (2020)",
        )
    ]


@hookimpl
def ronchi_descriptor_learners():
    return [spec("moments", NoParams, "Moments", {"data": "fourd/1|descriptors/1"}, "descriptors/1")]


@hookimpl
def ronchi_strain_solvers():
    return [spec("toystrain", StrainParams, "Strain", {"peaks": "peaks/1"}, "strain/1")]


@hookimpl
def ronchi_metrics():
    return [spec("rms", NoParams, "Rms", {"result": "strain/1", "truth": "strain/1"}, "scores/1")]
