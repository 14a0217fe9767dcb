"""Parameters of the other programs, by their own names where they have one; lengths in probe radii."""

from __future__ import annotations

from typing import Any, Literal

from ronchi.api import Field, Params
from ronchi_peers.environments import environment

__all__ = [
    "AtomaiParams",
    "AutoencoderParams",
    "BlobfinderParams",
    "DetectorParams",
    "PeerParams",
    "Py4dstemParams",
    "PyrovedParams",
    "PyxemParams",
]

_R: dict[str, Any] = {"unit": "r"}
_PX: dict[str, Any] = {"unit": "px"}


class PeerParams(Params):
    """What all of them have."""

    version: str = Field("", description="Version that it must have.")


class DetectorParams(PeerParams):
    """What the disk detectors have."""

    probe_radius_px: float | None = Field(
        None, gt=0.5, description="Radius of the disks; measured on the probe if absent.", json_schema_extra=_PX
    )


class Py4dstemParams(DetectorParams):
    """`find_Bragg_disks` of py4DSTEM; its defaults, but lengths that suit the disks."""

    version: str = Field(environment("py4dstem").version, description="Version of py4DSTEM that it must have.")
    kernel: Literal["sigmoid", "flat"] = Field(
        "sigmoid", description="sigmoid: probe in a trench, as in its tutorials; flat: the probe itself."
    )
    kernel_radii: tuple[float, float] = Field(
        (1.0, 2.2), description="Inner and outer radius of the sigmoid kernel's trench.", json_schema_extra=_R
    )
    corr_power: float = Field(1.0, ge=0, le=1, description="1: cross-correlation, 0: phase correlation.")
    sigma_cc_px: float = Field(2.0, ge=0, description="Smoothing of the correlation.", json_schema_extra=_PX)
    subpixel: Literal["multicorr", "poly", "pixel"] = Field("multicorr", description="Refinement.")
    upsample_factor: int = Field(16, ge=2, description="Of multicorr.")
    min_relative: float = Field(0.005, ge=0, lt=1, description="minRelativeIntensity: to the brightest disk.")
    min_spacing: float = Field(2.4, ge=0, description="minPeakSpacing.", json_schema_extra=_R)
    edge: float = Field(1.0, ge=0, description="edgeBoundary.", json_schema_extra=_R)
    max_peaks: int = Field(70, ge=1, description="maxNumPeaks.")


class BlobfinderParams(DetectorParams):
    """LiberTEM-blobfinder: peaks found on the mean pattern, then in each pattern around them."""

    version: str = Field(environment("libertem").version, description="Version of blobfinder that it must have.")
    pattern: Literal["background-subtraction", "radial-gradient", "radial-gradient-background-subtraction"] = Field(
        "radial-gradient",
        description="Match pattern; the last one is half a pixel off in version 0.6.1.",
    )
    search: float = Field(2.0, gt=1, description="Half side of the window around a peak.", json_schema_extra=_R)
    num_peaks: int = Field(25, ge=1, description="Peaks to be found on the mean pattern.")
    upsample: int = Field(0, ge=0, description="Factor of the refinement by an upsampled transform; 0 for none.")
    min_elevation: float = Field(0.0, ge=0, description="Peaks that stand out less are left out.")


class PyxemParams(DetectorParams):
    """`template_match_disk` of pyxem, local maxima, and `subpixel_refine`."""

    version: str = Field(environment("pyxem").version, description="Version of pyxem that it must have.")
    threshold: float = Field(0.7, description="threshold_abs: least value of the normalised correlation.")
    min_distance: float = Field(2.0, gt=0, description="min_distance of local maxima.", json_schema_extra=_R)
    edge: float = Field(1.0, ge=0, description="exclude_border.", json_schema_extra=_R)
    refine: Literal["center-of-mass", "cross-correlation", "none"] = Field(
        "center-of-mass", description="Method of subpixel_refine; none: whole pixels."
    )
    upsample_factor: int = Field(2, ge=2, description="Of cross-correlation; time grows with its square.")


class AutoencoderParams(PeerParams):
    """What the autoencoders have; defaults are the settings that did best on crops of atoms."""

    n_components: int = Field(2, ge=1, description="Descriptors, besides the angle and two shifts.")
    epochs: int = Field(30, ge=1, description="Passes over the samples.")
    max_seconds: float | None = Field(
        None,
        gt=0,
        description="Begin no epoch after so long, of the processor; equal runs then differ.",
        json_schema_extra={"unit": "s"},
    )
    batch: int = Field(10, ge=1, description="Samples a step.")
    learning_rate: float = Field(1e-3, gt=0, description="Step of Adam.")
    translation_prior: float = Field(
        0.03, gt=0, description="Standard deviation of shifts, in halves of the image's side."
    )
    noise_sigma: float | None = Field(
        None,
        gt=0,
        description="Standard deviation of the noise in the data's units, which they are divided by, so that a squared "
        "error is a likelihood; by default they are scaled from 0 to 1, as in the programs' tutorials.",
    )
    max_samples: int = Field(20000, ge=1, description="At most so many samples, drawn at random, are fitted.")


class AtomaiParams(AutoencoderParams):
    """rVAE of AtomAI with translations and the loss `mse`."""

    version: str = Field(environment("atomai").version, description="Version of AtomAI that it must have.")
    rotation_prior: float = Field(
        0.1, gt=0, description="Standard deviation of the angle in its prior.", json_schema_extra={"unit": "rad"}
    )


class PyrovedParams(AutoencoderParams):
    """iVAE of pyroVED, invariant to rotation and translation, with Gaussian noise."""

    version: str = Field(environment("pyroved").version, description="Version of pyroVED that it must have.")
    decoder_sigma: float = Field(
        0.5, gt=0, description="decoder_sig: noise that it assumes, in units of `noise_sigma`."
    )
