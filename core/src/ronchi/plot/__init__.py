"""Pictures of the data and of the results: axes or a figure in, the same out.

A verb for one image takes ``ax`` and returns it; a verb for several takes ``figure``, which
may be a subfigure, and returns it. Without one they make their own, outside pyplot's state.
"""

from __future__ import annotations

from ronchi.plot.atoms import atom_frames, atom_rings, track_summary
from ronchi.plot.com import com_maps, vector_field
from ronchi.plot.decoded import crop_gallery, decoded_images, manifold_grid
from ronchi.plot.descriptors import angle_map, atom_maps, class_map, latent_histograms, training_curves
from ronchi.plot.dynamics import (
    angles_in_time,
    dwell_curves,
    fractions_in_time,
    latents_in_time,
    rings_in_time,
    transition_matrix,
)
from ronchi.plot.film import Film, film
from ronchi.plot.gallery import mark_positions, mosaic, spread_positions
from ronchi.plot.images import pattern, scan_image, scan_images
from ronchi.plot.library import library_samples, spread_samples
from ronchi.plot.peaks import preview, vector_histogram, vector_map
from ronchi.plot.profiles import strain_profiles
from ronchi.plot.scalebar import add_scale_bar, nice_length
from ronchi.plot.strain import reference_mask, strain_histograms, strain_maps, strain_quality

__all__ = [
    "Film",
    "add_scale_bar",
    "angle_map",
    "angles_in_time",
    "atom_frames",
    "atom_maps",
    "atom_rings",
    "class_map",
    "com_maps",
    "crop_gallery",
    "decoded_images",
    "dwell_curves",
    "film",
    "fractions_in_time",
    "latent_histograms",
    "latents_in_time",
    "library_samples",
    "manifold_grid",
    "mark_positions",
    "mosaic",
    "nice_length",
    "pattern",
    "preview",
    "reference_mask",
    "rings_in_time",
    "scan_image",
    "scan_images",
    "spread_positions",
    "spread_samples",
    "strain_histograms",
    "strain_maps",
    "strain_profiles",
    "strain_quality",
    "track_summary",
    "training_curves",
    "transition_matrix",
    "vector_field",
    "vector_histogram",
    "vector_map",
]


def __dir__() -> list[str]:
    return __all__
