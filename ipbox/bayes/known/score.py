"""The score of a Gaussian mixture, exactly: what a network would have to learn."""

from __future__ import annotations

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.bayes.diffusion.score import Score
from ipbox.bayes.known.laws import GaussianMixture
from ipbox.checks import check_type


class MixtureScore(Score):
    r"""The score of Σ_k w_k N(m_k, C_k), a `Gaussian` among them, at every noise level.

    With the probabilities r_k(x) that x came from component k, and G_k = C_k(C_k + σ²I)⁻¹,

    .. math::
        D_σ(x) = \sum_k r_k D_k, \quad D_k = m_k + G_k(x - m_k), \quad
        J = \sum_k r_k \bigl(G_k + D_k (s_k - s)^T\bigr),

    where :math:`s_k = -(C_k + σ^2 I)^{-1}(x - m_k)` and :math:`s = \sum_k r_k s_k`.

    Parameters
    ----------
    law : GaussianMixture

    Notes
    -----
    Computed in double precision, and given in that of x.  Good at every noise level; by default diffusions go from ten
    times √(tr C), C the covariance of the mixture, to a hundredth of the least deviation of a component.

    Raises
    ------
    TypeError
        for another law.

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.bayes import Gaussian, MixtureScore
    >>> MixtureScore(Gaussian(np.zeros(2), np.diag([1.0, 3.0]))).denoise(np.array([[2.0, 4.0]]), sigma=1.0)
    array([[1., 3.]])
    """

    def __init__(self, law: GaussianMixture) -> None:
        self.law = check_type(law, "law", GaussianMixture, "a Gaussian or a GaussianMixture")
        self._m = law.means.reshape(len(law.means), 1, -1)
        wide = float(np.trace(backend.to_host(law.covariance))) ** 0.5  # of all pixels together
        super().__init__(law.dims, sigma_range=(1e-2 * float(law.eigenvalues.min()) ** 0.5, 10 * wide))

    def _denoise(self, x: Array, sigma: float) -> Array:
        r, c, spread = self._parts(x, sigma)
        return self._back((r[..., None] * self._components(c, spread, sigma)).sum(axis=0), x)

    def _vjp(self, x: Array, sigma: float, v: Array) -> Array:
        # J is a covariance over σ², so J* v = J v: the derivative along v, which needs fewer products
        law = self.law
        r, c, spread = self._parts(x, sigma)
        flat = v.reshape(len(v), -1).astype(np.float64)
        s = -(c / spread) @ law.eigenvectors.swapaxes(-1, -2)
        centred = s - (r[..., None] * s).sum(axis=0)
        D = self._components(c, spread, sigma)
        Gv = (flat @ law.eigenvectors * (law.eigenvalues / spread)) @ law.eigenvectors.swapaxes(-1, -2)
        change = Gv + (centred * flat).sum(axis=-1)[..., None] * D
        return self._back((r[..., None] * change).sum(axis=0), v)

    def _parts(self, x: Array, sigma: float) -> tuple[Array, Array, Array]:
        """r_k, and what `GaussianMixture.at` gives beside the densities."""
        log_p, c, spread = self.law.at(x.astype(np.float64), sigma)
        r = backend.array_module(x).exp(log_p - log_p.max(axis=0))
        return r / r.sum(axis=0), c, spread

    def _components(self, c: Array, spread: Array, sigma: float) -> Array:
        """D_k, (K, samples, n)."""
        return self._m + (c * (self.law.eigenvalues / spread)) @ self.law.eigenvectors.swapaxes(-1, -2)

    @staticmethod
    def _back(flat: Array, like: Array) -> Array:
        return flat.reshape(like.shape).astype(like.dtype)
