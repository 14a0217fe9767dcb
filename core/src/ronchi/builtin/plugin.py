"""Hooks of ronchi's own algorithms, which register as any plugin's do."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from ronchi.api import AlgorithmSpec, Params, hookimpl
from ronchi.builtin.params_crops import BackProjectParams, CropsParams, ManifoldParams, ReconstructParams
from ronchi.builtin.params_disks import DisksParams
from ronchi.builtin.params_images import CalibrateImagesParams, OverviewParams, VirtualImageParams
from ronchi.builtin.params_io import NativeParams, NativeWriterParams, NpyParams, RawParams
from ronchi.builtin.params_motifs import MotifsParams
from ronchi.builtin.params_transforms import (
    BadPixelsParams,
    BinParams,
    CalibrateParams,
    CentreParams,
    CropParams,
    EllipseParams,
    ProbeParams,
    RotationParams,
)

__all__ = ["ronchi_readers", "ronchi_simulators", "ronchi_transforms", "ronchi_writers"]

_EVERY_SCHEMA = (
    "fourd/1|images/1|crops/1|peaks/1|lattice/1|strain/1|descriptors/1|atoms/1|maps/1|scores/1|decoded/1|model/1|"
    "library/1|dynamics/1"
)


@hookimpl
def ronchi_readers() -> list[AlgorithmSpec]:
    """Describe the readers."""
    return [
        AlgorithmSpec(
            name="native",
            summary="ronchi's own files, netCDF4 or Zarr, with their truth; patterns stay on disk.",
            params=NativeParams,
            factory="ronchi.builtin.native:NativeReader",
            inputs={},
            output=_EVERY_SCHEMA,
            sides={"*": "*"},
            capabilities=frozenset({"lazy"}),
        ),
        AlgorithmSpec(
            name="npy",
            summary="NumPy arrays, memory-mapped; calibrations are parameters.",
            params=NpyParams,
            factory="ronchi.builtin.npy:NpyReader",
            inputs={},
            output="fourd/1",
            capabilities=frozenset({"lazy"}),
        ),
        AlgorithmSpec(
            name="raw",
            summary="Raw frames one after the other, memory-mapped; shapes, type and calibrations are parameters.",
            params=RawParams,
            factory="ronchi.builtin.raw:RawReader",
            inputs={},
            output="fourd/1",
            capabilities=frozenset({"lazy"}),
        ),
    ]


@hookimpl
def ronchi_simulators() -> list[AlgorithmSpec]:
    """Describe the simulators."""
    return [
        AlgorithmSpec(
            name="disks",
            summary="A strained lattice of soft disks at exact positions, with truth: fast, for tests and trials.",
            params=DisksParams,
            factory="ronchi.builtin.disks:Disks",
            inputs={},
            output="fourd/1",
            sides={"truth": "strain/1", "truth_peaks": "peaks/1", "truth_maps": "maps/1"},
        ),
        AlgorithmSpec(
            name="motifs",
            summary="Crops around atoms of graphene, MoS2-like and other lattices, drawn from coordinates, with truth.",
            params=MotifsParams,
            factory="ronchi.builtin.motifs:Motifs",
            inputs={},
            output="crops/1",
            sides={"truth": "descriptors/1"},
        ),
    ]


def _of_patterns(
    name: str,
    summary: str,
    params: type[Params],
    factory: str,
    version: int = 1,
    *,
    more: Mapping[str, str] = MappingProxyType({}),
) -> AlgorithmSpec:
    return AlgorithmSpec(
        name=name,
        summary=summary,
        params=params,
        factory=f"ronchi.builtin.{factory}",
        version=version,
        inputs={"data": "fourd/1", **more},
        output="fourd/1",
        capabilities=frozenset({"lazy"}),
    )


@hookimpl
def ronchi_transforms() -> list[AlgorithmSpec]:
    """Describe the transforms."""
    return [
        _of_patterns("crop", "Keep a part of scan or patterns.", CropParams, "transforms_geometry:Crop"),
        _of_patterns("bin", "Add up neighbouring pixels or scan positions.", BinParams, "transforms_geometry:Bin", 4),
        _of_patterns(
            "bad-pixels", "Find hot and dead pixels; mark or fill them.", BadPixelsParams, "bad_pixels:BadPixels", 3
        ),
        _of_patterns(
            "centre", "Find the origin of every pattern, robustly fitted.", CentreParams, "centring:Centre", 3
        ),
        _of_patterns(
            "ellipse",
            "Measure or set the elliptical distortion.",
            EllipseParams,
            "ellipse:Ellipse",
            3,
            more={"peaks?": "peaks/1"},
        ),
        _of_patterns("rotation", "Set the angle between scan and patterns.", RotationParams, "calibration:Rotation"),
        _of_patterns(
            "probe", "Take the probe from vacuum, from the central disk, or from a file.", ProbeParams, "probe:Probe", 3
        ),
        AlgorithmSpec(
            name="overview",
            summary="Sum, bright field, dark field, centre of mass, mean and max pattern, in one pass.",
            params=OverviewParams,
            factory="ronchi.builtin.virtual:Overview",
            version=4,
            inputs={"data": "fourd/1"},
            output="maps/1",
        ),
        AlgorithmSpec(
            name="virtual-image",
            summary="Sum each pattern under a virtual detector: disk, annulus, point, rectangle or a mask.",
            params=VirtualImageParams,
            factory="ronchi.builtin.virtual:VirtualImage",
            version=4,
            inputs={"data": "fourd/1"},
            output="maps/1",
        ),
        AlgorithmSpec(
            name="crops",
            version=2,
            summary="Cut windows around atoms at sub-pixel positions, with the frame and atom that they come from.",
            params=CropsParams,
            factory="ronchi.builtin.crops:Crops",
            inputs={"data": "images/1", "atoms": "atoms/1"},
            output="crops/1",
            capabilities=frozenset({"lazy", "subpixel"}),
        ),
        AlgorithmSpec(
            name="back-project",
            summary="Put descriptors of crops back on their atoms.",
            params=BackProjectParams,
            factory="ronchi.builtin.decoding:BackProject",
            inputs={"data": "descriptors/1", "atoms": "atoms/1"},
            output="atoms/1",
        ),
        AlgorithmSpec(
            name="manifold",
            summary="Decode a grid over two components of a fitted learner's latent space.",
            params=ManifoldParams,
            factory="ronchi.builtin.decoding:Manifold",
            inputs={"model": "model/1", "data": "descriptors/1"},
            output="decoded/1",
        ),
        AlgorithmSpec(
            name="reconstruct",
            summary="What a fitted learner takes every sample to be, with its pose applied.",
            params=ReconstructParams,
            factory="ronchi.builtin.decoding:Reconstruct",
            inputs={"data": "fourd/1|images/1|crops/1", "model": "model/1"},
            output="fourd/1|images/1|crops/1",
            capabilities=frozenset({"lazy"}),
        ),
        _of_patterns("calibrate", "Set pixel sizes and beam.", CalibrateParams, "calibration:Calibrate", 4),
        AlgorithmSpec(
            name="calibrate-images",
            summary="Set the size of a pixel of images.",
            params=CalibrateImagesParams,
            factory="ronchi.builtin.calibration:CalibrateImages",
            inputs={"data": "images/1"},
            output="images/1",
            capabilities=frozenset({"lazy"}),
        ),
    ]


@hookimpl
def ronchi_writers() -> list[AlgorithmSpec]:
    """Describe the writer."""
    return [
        AlgorithmSpec(
            name="native",
            summary="ronchi's own files, netCDF4 or Zarr: any schema, with truth and other sides, block by block.",
            params=NativeWriterParams,
            factory="ronchi.builtin.writer:NativeWriter",
            inputs={"data": "*"},
            output="",
            sides={"*": "*"},
            suffixes=(".nc", ".zarr"),
            capabilities=frozenset({"lazy"}),
        )
    ]
