"""Minus the logarithm of a density that is known, as a term of objectives: a prior for samplers and for solvers."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.bayes.known.laws import GaussianMixture, log_sum_exp
from ipbox.checks import check_type
from ipbox.functionals import Functional
from ipbox.functionals.core.base import REAL_DTYPES, Work


class NegativeLogDensity(Functional):
    r"""-log p(u) of a Gaussian or of a mixture: with `L2` over the variance of the noise, that of the posterior.

    .. math:: \nabla(-\log p)(u) = \sum_k r_k(u)\, C_k^{-1}(u - m_k)

    with the probabilities r_k(u) that u came from component k.

    Parameters
    ----------
    law : GaussianMixture
        A `Gaussian` has a prox, m + C(C + τI)⁻¹(u - m), and is strongly convex.  Of a mixture whose components share
        one covariance C the gradient is Lipschitz, with 1/λ_min(C) or ¼ max ‖C⁻¹(m_i - m_j)‖²; of others L is inf.

    Notes
    -----
    Computed in double precision.

    Raises
    ------
    TypeError
        for another law.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> prior = ip.bayes.NegativeLogDensity(ip.bayes.Gaussian(np.zeros(2), 4 * np.eye(2)))
    >>> prior.grad(np.array([4.0, 8.0])), prior.prox(np.array([4.0, 8.0]), 4.0)
    (array([1., 2.]), array([2., 4.]))
    """

    _L: float
    _mu: float
    _form = "-log p({u})"
    dtypes: ClassVar[tuple[str, ...]] = REAL_DTYPES
    has_grad = True

    def __init__(self, law: GaussianMixture) -> None:
        self.law = check_type(law, "law", GaussianMixture, "a Gaussian or a GaussianMixture")
        self.is_gaussian = self.has_prox = len(law.means) == 1
        super().__init__(law.dims)
        self._m = law.means.reshape(len(law.means), 1, -1)
        least, most = float(law.eigenvalues.min()), float(law.eigenvalues.max())
        self._mu, self._L = (1 / most, 1 / least) if self.is_gaussian else self._bounds(1 / most, 1 / least)

    def _bounds(self, low: float, high: float) -> tuple[float, float]:
        """Of the Hessian of a mixture: with one covariance, C⁻¹ less a variance of the C⁻¹m_k (Popoviciu)."""
        if bool((self.law.covariances != self.law.covariances[:1]).any()):
            return -math.inf, math.inf
        V, values = self.law.eigenvectors[0], self.law.eigenvalues[0]
        s = self._m[:, 0] @ V / values
        variance = float(((s[:, None] - s) ** 2).sum(axis=-1).max()) / 4
        return low - variance, max(high, variance - low)

    @property
    def is_convex(self) -> bool:
        return self.is_gaussian and super().is_convex

    def _value(self, x: Array, batch: bool) -> Any:
        values = -log_sum_exp(self.law.at(self._samples(x), 0.0)[0])
        return backend.to_host(values) if batch else float(values.sum())

    def _grad(self, x: Array, out: Array, work: Work) -> None:
        xp = backend.array_module(x)
        log_p, c, spread = self.law.at(self._samples(x), 0.0)
        r = xp.exp(log_p - log_p.max(axis=0))
        r /= r.sum(axis=0)
        g = (c / spread) @ self.law.eigenvectors.swapaxes(-1, -2)
        out[...] = (r[..., None] * g).sum(axis=0).reshape(x.shape)

    def _prox(self, x: Array, t: Any, out: Array, work: Work) -> None:
        if not self.is_gaussian:
            raise TypeError(f"{self.name} of a mixture has no prox; only that of a Gaussian is known")
        z = self._samples(x)
        step = backend.array_module(x).asarray(t, dtype=np.float64).reshape(-1, 1)
        V, values = self.law.eigenvectors[0], self.law.eigenvalues[0]
        c = (z.reshape(len(z), -1) - self._m[0]) @ V
        out[...] = (self._m[0] + (c * (values / (values + step))) @ V.T).reshape(x.shape)

    def _samples(self, x: Array) -> Array:
        """Double precision, with one axis of samples."""
        return x.reshape((-1, *self.law.dims)).astype(np.float64)
