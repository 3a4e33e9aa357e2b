"""A generative model with a covariance for each latent vector."""

from __future__ import annotations

import copy
import math
from typing import Any, Protocol, runtime_checkable

import torch

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_not_negative
from ipbox.learned.bridge.arrays import from_torch
from ipbox.learned.networks.generative.cholesky import l_apply, log_det, lt_apply
from ipbox.learned.priors.generative.base import LatentPrior, Maps
from ipbox.learned.priors.generative.precision import PrecisionL2

__all__ = ["CovarianceModel", "CovariancePrior"]


@runtime_checkable
class CovarianceModel(Protocol):
    """A generative model with ``decode_precision(z)``: d and w of Σ(z)⁻¹ = LLᵀ, as in `StructuredPrecision`."""

    def decode_precision(self, z: torch.Tensor) -> Any:
        """(N, 1) + dims and (N, F) + dims."""
        ...


class CovariancePrior(LatentPrior):
    r"""R(u) = inf_z κ log det Σ(z) + ½ ‖u/s - G(z)‖²_{Σ(z)⁻¹} + ½‖z‖², Σ(z)⁻¹ = L(z)L(z)ᵀ.

    With κ = ½ that is, up to a constant, inf_z -log p(u, z) of u | z ~ N(G(z), Σ(z)), z ~ N(0, I): then, weighted by
    the variance of white noise, ½‖Au - b‖² + λR(u) has its minimum at a mode of the posterior.

    Parameters
    ----------
    model : torch.nn.Module
        With ``latent``, ``dims``, ``decode`` and ``decode_precision``, such as `CovarianceVAE`.
    scale : float
        As for `LatentPrior`.
    log_det_factor : float or "marginal"
        κ >= 0; Duff et al. print 1.  ``"marginal"``: ½ log det(Id + Σ(z)A*A/σ²) instead, as it comes of integrating u
        out of the density, so that z is at a mode of its own; by the diagonal, ½ Σ_p log((LLᵀ)_pp + ρ) - Σ_p d_p with
        ρ the mean of the diagonal of A*A/σ², which is an upper bound where that is constant.

    Notes
    -----
    The joint mode has a bias towards z whose Σ(z) is small: all that the data leave open lies at its own mode, and the
    reward for a small Σ(z) stays.  ``"marginal"`` counts what is measured, to the noise, only.

    References
    ----------
    Duff, Simpson, Ehrhardt and Campbell, VAEs with structured image covariance applied to compressed sensing MRI, Phys.
    Med. Biol. 68 (2023).

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.learned.networks.generative import CovarianceVAE
    >>> from ipbox.learned.priors.generative import CovariancePrior
    >>> R = CovariancePrior(CovarianceVAE(latent=3, dims=(8, 8), widths=(4, 8), head=(4, 4), structure="3x3"))
    >>> R.at(np.zeros(3, "float32"))
    PrecisionL2: ½‖Lᵀ(u - m)‖², u: (8, 8)
    """

    formula = "inf_z κ log det Σ(z) + ½‖u - G(z)‖² in Σ(z)⁻¹ + ½‖z‖²"

    def __init__(self, model: Any, scale: float = 1.0, log_det_factor: float | str = 0.5) -> None:
        super().__init__(model, scale, 1.0)
        if not isinstance(model, CovarianceModel):
            raise TypeError(f"model is {type(model).__name__}; expected one with decode_precision, as CovarianceVAE")
        if log_det_factor != "marginal":
            what = "a number that is not negative, or 'marginal'"
            log_det_factor = check_not_negative(log_det_factor, "log_det_factor", what)
        self.log_det_factor = log_det_factor
        self.data_precision = 0.0  # ρ

    @property
    def marginal(self) -> bool:
        """Whether u is integrated out."""
        return self.log_det_factor == "marginal"

    def informed(self, data_precision: float) -> CovariancePrior:
        """The same with ρ, of ``"marginal"``."""
        other = copy.copy(self)
        other.data_precision = check_not_negative(data_precision, "data_precision")
        return other

    def maps(self, t: torch.Tensor) -> Maps:
        d, w = self._called(self.model.decode_precision, t, "decode_precision")
        d, w = self._checked(d, t, "decode_precision"), self._checked(w, t, "decode_precision", None)
        finite = d.isfinite().flatten(1).all(dim=1)
        if not bool(finite.all()):
            self._singular(d, finite, "values that are not finite")
        return [*super().maps(t), d, w]

    def check_start(self, maps: Maps) -> None:
        d = maps[1]
        finite = ((2 * d).exp() + (-2 * d).exp()).isfinite().flatten(1).all(dim=1)
        if not bool(finite.all()):
            self._singular(d, finite, f"exp(2d) or exp(-2d) out of the range of {d.dtype}")

    @staticmethod
    def _singular(d: torch.Tensor, finite: torch.Tensor, what: str) -> None:
        k = int(finite.logical_not().nonzero()[0, 0])
        low, high = float(d[k].min()), float(d[k].max())
        raise ValueError(
            f"the covariance of sample {k} is singular: model.decode_precision gave a log_diagonal d from {low:g} to "
            f"{high:g}, with {what}; expected finite ones of moderate size"
        )

    def energies(self, v: torch.Tensor, t: torch.Tensor, maps: Maps) -> torch.Tensor:
        mean, d, w = maps
        square = 0.5 * lt_apply(v - mean, d, w).square().sum(dim=(1, 2, 3), dtype=torch.float64)
        return square + self._log_det(d, w) + self.latent_energy(t)

    def _log_det(self, d: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        """κ log det Σ, or what takes its place, (N,) float64."""
        if not self.marginal:
            return self.log_det_factor * log_det(d.double())
        diagonal = l_apply(torch.ones_like(d), 2 * d, w.square())
        terms = 0.5 * torch.log(diagonal + self.scale**2 * self.data_precision) - d
        return terms.sum(dim=(1, 2, 3), dtype=torch.float64)

    def functional(self, maps: Maps, like: Array, batch: bool = True) -> PrecisionL2:
        mean, d, w = (m.detach() for m in maps)
        xp = backend.array_module(like)
        given = [self.array(self.scale * mean, like), self.array(d - math.log(self.scale), like)]
        given.append(from_torch((w / self.scale).contiguous(), xp=xp))
        return PrecisionL2(*(given if batch else [a[0] for a in given]))
