"""The verbs of a notebook: the steps of a pipeline as functions of xarray objects.

Names, parameters and checks are those of the YAML; each result remembers how it was made
(`ronchi.to_yaml`). Data that are lazy stay lazy where the result has their size.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ronchi.api import Result
from ronchi.apply import apply
from ronchi.errors import ConfigError
from ronchi.file_verbs import convert, read, read_result, write
from ronchi.history import to_yaml

if TYPE_CHECKING:
    import xarray as xr

    from ronchi.result import RunResult

__all__ = [
    "algorithms",
    "apply",
    "bench",
    "com",
    "convert",
    "detect",
    "dpc",
    "encode",
    "learn",
    "mean_pattern",
    "overview",
    "read",
    "read_result",
    "run",
    "score",
    "simulate",
    "strain",
    "to_yaml",
    "transform",
    "virtual_image",
    "write",
]


def algorithms(kind: str | None = None) -> list[str]:
    """Names of the installed algorithms of a kind, or ``kind/name`` of all."""
    from ronchi.kinds import KINDS
    from ronchi.manager import get_manager

    if kind is not None and kind not in KINDS:
        raise ConfigError(f"unknown kind {kind!r}", fix=f"one of: {', '.join(KINDS)}")
    if kind is not None:
        return get_manager().names(kind)
    return [f"{each}/{name}" for each in KINDS for name in get_manager().names(each)]


def transform(data: xr.Dataset, name: str, **params: Any) -> xr.Dataset:
    """Apply a transform by name, e.g. ``transform(data, "bin", detector=2)``."""
    return apply("transform", name, params, {"data": data}).data


def overview(data: xr.Dataset, **params: Any) -> xr.Dataset:
    """Sum, bright- and dark-field images, centre of mass and mean and max pattern, in one pass (``maps/1``)."""
    return transform(data, "overview", **params)


def mean_pattern(data: xr.Dataset) -> xr.DataArray:
    """Mean pattern (qy, qx), in one pass over the data."""
    from ronchi.builtin.reduce import reduce_scan

    return reduce_scan(data, sum_image=False, mean_pattern=True)["mean_pattern"]


def virtual_image(data: xr.Dataset, mode: str = "disk", **params: Any) -> xr.Dataset:
    """Sum the patterns under a virtual detector (``maps/1``); see ``ronchi info transform/virtual-image``."""
    return transform(data, "virtual-image", mode=mode, **params)


def com(data: xr.Dataset, **params: Any) -> xr.Dataset:
    """Centre of mass of every pattern (``descriptors/1``); needs ``ronchi-com``."""
    return encode(data, "com", **params)


def dpc(data: xr.Dataset, **params: Any) -> xr.Dataset:
    """Field, phase, divergence and curl from centres of mass (``descriptors/1``); needs ``ronchi-com``."""
    return transform(data, "dpc", **params)


def detect(
    data: xr.Dataset, name: str = "crosscorr", *, workers: int = 1, device: str = "cpu", **params: Any
) -> xr.Dataset:
    """Find the Bragg disks of every pattern (``peaks/1``).

    Parameters
    ----------
    data : xarray.Dataset
        ``fourd/1``
    name : str
        Detector, e.g. ``"crosscorr"``.
    workers : int
        Processes to use; the result does not depend on it.
    device : str
        ``"cpu"`` or ``"cuda"``, for detectors that can.
    **params
        Parameters of the detector; ``ronchi info disk_detector/NAME`` lists them.
    """
    return apply("disk_detector", name, params, {"data": data}, workers=workers, device=device).data


def strain(peaks: xr.Dataset, name: str = "lattice", *, side: str | None = None, **params: Any) -> xr.Dataset:
    """Fit lattices and give the strain (``strain/1``), or with ``side="lattice"`` the fit itself.

    Parameters
    ----------
    peaks : xarray.Dataset
        ``peaks/1``
    name : str
        Strain solver.
    **params
        Parameters of the solver, e.g. ``reference={"scan_x": [300, 380]}``.
    """
    result = apply("strain_solver", name, params, {"peaks": peaks})
    return result.data if side is None else result.sides[side]


def encode(data: xr.Dataset, name: str, *, model: xr.Dataset | str | Path | None = None, **params: Any) -> xr.Dataset:
    """Encode all samples with a descriptor learner (``descriptors/1``), fitted to them or before.

    Parameters
    ----------
    data : xarray.Dataset
        ``fourd/1``, ``images/1``, ``crops/1`` or ``descriptors/1``, as the learner takes.
    name : str
        Learner, e.g. ``"gmm"``.
    model : xarray.Dataset or path, optional
        A fitted model: the side ``model`` of `learn`, or a file with one. It is applied, and nothing is fitted.
    **params
        Parameters of the learner; with a model, those that it was fitted with.

    Raises
    ------
    DataError
        The model is of another learner, of other parameters, or of samples of another size.
    """
    fitted = {} if model is None else {"model": _model(model)}
    return apply("descriptor_learner", name, params, {"data": data, **fitted}).data


def learn(data: xr.Dataset, name: str, *, device: str = "cpu", **params: Any) -> Result:
    """Fit a descriptor learner and keep all that it gives.

    Parameters
    ----------
    data : xarray.Dataset
    name : str
        Learner, e.g. ``"gmm"``.
    device : str
        ``"cpu"`` or ``"cuda"``, for learners that can.
    **params
        Parameters of the learner; ``ronchi info descriptor_learner/NAME`` lists them.

    Returns
    -------
    Result
        ``data``: ``descriptors/1`` of all samples; ``sides``: the fitted ``model``, and mean images and grids over
        the latent space where the learner has them.
    """
    return apply("descriptor_learner", name, params, {"data": data}, device=device)


def _model(source: xr.Dataset | str | Path) -> xr.Dataset:
    """A model at hand, or the one in a file of its own or beside descriptors."""
    import xarray as xr

    from ronchi.schema import model, schema_of

    if isinstance(source, xr.Dataset):
        return source
    result = read_result(source, "native")
    if schema_of(result.data) == model.NAME:
        return result.data
    if "model" not in result.sides:
        raise ConfigError(
            f"there is no fitted model in {str(source)!r}", fix="write one with the side `model` of a fit"
        )
    return result.sides["model"]


def simulate(name: str, *, seed: int = 0, device: str = "cpu", progress: bool | None = None, **params: Any) -> Result:
    """Make data with truth.

    Parameters
    ----------
    name : str
        Simulator, e.g. ``"disks"``; ``ronchi simulate`` lists them.
    seed : int
        The same seed, parameters and version give the same data.
    device : str
        ``"cpu"`` or ``"cuda"``, for simulators that can.
    progress : bool, optional
        Show progress; on a terminal by default.
    **params
        Parameters of the simulator; ``ronchi info simulator/NAME`` lists them.

    Returns
    -------
    Result
        ``data``, and in ``sides`` the truth where it does not come with the data.
    """
    return apply("simulator", name, params, {}, seed=seed, device=device, progress=progress)


def score(result: xr.Dataset, truth: xr.Dataset, name: str, **params: Any) -> dict[str, float]:
    """Figures of a metric, by name."""
    figures = apply("metric", name, params, {"result": result, "truth": truth}).data
    return {str(key): float(value) for key, value in figures.data_vars.items()}


def run(
    pipeline: str | Path | Mapping[str, Any], out: str | Path | None = None, *, check: bool = True, **options: Any
) -> RunResult:
    """Run a pipeline file or mapping; what an earlier run has finished is not done again.

    Parameters
    ----------
    pipeline : path or mapping
    out : path, optional
        Folder of the outputs; ``./<name>-out`` by default.
    check : bool
        Raise if a step fails; the steps beside it are finished, and kept, before. With ``check=False``
        the failure is in the result.
    **options
        ``overrides``, ``executor``, ``force``, ``dry_run``, ``progress``: see
        `ronchi.pipeline.run.run_pipeline`.

    Returns
    -------
    RunResult
        ``run["step"]`` and ``run["step.side"]`` are the data; ``.ok`` says whether all steps are done;
        ``.steps`` has a `StepResult` each, with status, time and error; ``.scores()`` the figures of
        metrics; ``.outputs`` the files written, by name; ``.warnings`` what should be read with them.

    Raises
    ------
    ConfigError
        The pipeline is not valid, or does not suit its files; nothing was computed.
    RunError
        A step failed.
    OutputError
    """
    from ronchi.errors import RunError
    from ronchi.pipeline.run import run_pipeline

    result = run_pipeline(pipeline, out=out, **options)
    failed = [step for step in result.steps.values() if step.status == "failed"]
    if check and failed:
        what = "; ".join(f"the step {step.step!r} failed: {step.error}" for step in failed)
        raise RunError(what, where=str(result.out_dir), fix="log.txt there says more; `check=False` gives the result")
    return result


def bench(
    benchmark: str | Path | Mapping[str, Any],
    out: str | Path | None = None,
    *,
    skip_missing: bool = False,
    retry: bool = False,
    peers: bool = False,
) -> xr.Dataset:
    """Run a benchmark file or mapping, and write its tables and report; what an earlier one has finished is kept.

    Parameters
    ----------
    benchmark : path or mapping
    out : path, optional
        Folder of the results; ``./<name>-bench`` by default.
    skip_missing : bool
        Algorithms that are not installed become rows, instead of an error.
    retry : bool
        Run again what did not finish.
    peers : bool
        First make the environments of other programs, with pip.

    Returns
    -------
    xarray.Dataset
        As in ``results.nc``: figures and ``status`` over ``cell``, one for each combination and repeat; what varies as
        coordinates. A combination that fails is a row that says so.

    Raises
    ------
    ConfigError
        The benchmark is not valid; nothing was run.
    OutputError
    """
    from ronchi.benchmark.dataset import to_dataset
    from ronchi.benchmark.files import write_files
    from ronchi.benchmark.run import run_bench

    result = run_bench(benchmark, out=out, skip_missing=skip_missing, retry=retry, peers=peers)
    write_files(result)
    return to_dataset(result)
