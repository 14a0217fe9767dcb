"""Parameters of the learners ``pca``, ``nmf``, ``ica``, ``kmeans`` and ``gmm``."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator

from ronchi.api import Field, Params

__all__ = ["GmmParams", "IcaParams", "KmeansParams", "NmfParams", "PcaParams"]


class _InMemory(Params):
    memory_mb: float = Field(
        1000.0,
        gt=0,
        description="Data up to this size as float32 are fitted in memory; of larger ones a random part, or all block "
        "by block where the method can.",
        json_schema_extra={"unit": "MB"},
    )


class PcaParams(_InMemory):
    """Principal components."""

    n_components: int = Field(8, ge=1, description="Number of components; not more than there are pixels.")
    whiten: bool = Field(False, description="Scale the scores to unit variance.")


class IcaParams(_InMemory):
    """Independent components, of the principal ones."""

    n_components: int = Field(4, ge=1, description="Number of components.")
    max_iter: int = Field(500, ge=1, description="Most iterations.")
    tolerance: float = Field(
        1e-4, gt=0, description="Change of the unmixing at which the iteration ends.", json_schema_extra={"unit": "1"}
    )


class NmfParams(_InMemory):
    """Non-negative factors."""

    n_components: int = Field(4, ge=1, description="Number of components.")
    loss: Literal["frobenius", "kullback-leibler"] = Field(
        "frobenius", description="frobenius: white noise; kullback-leibler: counts (Poisson)."
    )
    clip: bool = Field(False, description="Set negative values to 0, instead of refusing them.")
    max_iter: int = Field(400, ge=1, description="Most iterations.")


class KmeansParams(_InMemory):
    """Clusters around means."""

    n_classes: int = Field(4, ge=1, description="Number of clusters.")
    n_init: int = Field(10, ge=1, description="Random starts, of which the best is kept.")
    max_iter: int = Field(300, ge=1, description="Most iterations.")


class GmmParams(_InMemory):
    """A mixture of Gaussians."""

    n_classes: int | Literal["bic"] = Field(
        "bic", description="Number of classes; bic: the one of 1 to `max_classes` with the least BIC."
    )
    max_classes: int = Field(8, ge=1, description="Most classes that BIC may choose.")
    covariance: Literal["full", "diag", "tied", "spherical"] = Field(
        "full", description="Shape of a class: any, along the axes, the same for all, or round."
    )
    features: Literal["scores", "pixels"] = Field(
        "scores", description="Mix Gaussians over principal scores, or over the pixels themselves."
    )
    n_scores: int = Field(8, ge=1, description="Principal components that are kept for `scores`, at most.")
    n_init: int = Field(3, ge=1, description="Random starts, of which the best is kept.")
    max_iter: int = Field(300, ge=1, description="Most iterations of expectation and maximisation.")
    regularisation: float = Field(
        1e-6, ge=0, description="Added to variances, as a fraction of the mean variance of the features."
    )

    @model_validator(mode="after")
    def _is_a_number(self) -> Self:
        if self.n_classes != "bic" and self.n_classes < 1:
            raise ValueError(f"n_classes {self.n_classes} must be at least 1")
        return self
