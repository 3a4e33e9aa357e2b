"""Fields of Experts, with learned filters, weights and smoothing."""

from __future__ import annotations

import numbers

import numpy as np

from ipbox.backend import Array
from ipbox.bilevel.terms.base import ParametricTerm
from ipbox.bilevel.terms.filters import dct_filters
from ipbox.checks import check_between, check_count
from ipbox.functionals import Functional
from ipbox.functionals.regularisers.experts import Experts
from ipbox.functionals.regularisers.filter_bounds import smooth_bound

# Where learning starts, and units of θ in which objectives of denoising curve about alike: weights matter most.
START = {"log weight": -5.0, "log nu": -5.0, "log alpha": -4.5, "log eta": -1.5}
UNITS = {"log weight": 1.0, "log nu": 8.0, "log alpha": 5.0, "log eta": 8.0}
LARGEST = 100.0  # |logarithm|: beyond, exp of it or its squares would leave the range of double precision


class FieldsOfExperts(ParametricTerm):
    r"""R_θ(u) = Σ_k w_k Σ_i √((c_k∗u)_i² + ν_k²), w_k = e^{θ_0 + θ_k}, for real images; smooth and convex.

    (c∗u)_i = Σ_m c_m u_{i+m} over a window centred at pixel i, u reflected about its boundary (half a pixel outside).
    The filters c_k have mean zero, so that R does not change with a constant: θ has their coefficients by the
    orthonormal filters of the discrete cosine transform without the constant one.

    With ``weak_convexity`` ρ > 0 the experts are √(t² + ν²) less v_k √(t² + η_k²), which lets large edges cost less:
    R is ρ-weakly convex for every θ, and denoising by it (1 - ρ)-strongly convex.  The second sum has those i only
    whose windows lie in the image.

    Parameters
    ----------
    dims : tuple of int
        Shape of an image, at least s a side.
    filters : int
        K, the number of filters.
    size : int
        s, their pixels a side; odd.
    weak_convexity : float
        0 <= ρ < 1; 0 for convex experts.

    Notes
    -----
    θ = (θ_0, K log weights, K log ν_k, for ρ > 0 also K log α_k and K log η_k, s² - 1 coefficients of c_1, ..., of
    c_K).  The logarithms of ν_k and η_k are divided by 8 and those of α_k by 5, since objectives depend on them less
    than on the others.

    ∇R(u) = Σ_k w_k C_kᵀ(t_k/√(t_k² + ν_k²)), t_k = c_k∗u, has the Lipschitz constant ‖Σ_k (w_k/ν_k) C_kᵀC_k‖, of which
    L is a proved bound (see `ipbox.functionals.regularisers.filter_bounds`).  The second part of the experts has
    v_k/η_k = α_k ρ/(ρ + β), β >= ‖Σ_k α_k C_kᵀC_k‖ a bound that depends smoothly on θ; so ‖Σ_k (v_k/η_k) C_kᵀC_k‖ < ρ.
    As ∂_θ∇R depends on u through the product of both, it has no Lipschitz constant that holds everywhere.

    Raises
    ------
    ValueError
        for dims, numbers or sizes that are not as above.

    References
    ----------
    Roth and Black, Fields of experts, Int. J. Comput. Vis. 82 (2009); Chen, Ranftl and Pock, Insights into analysis
    operator learning, IEEE Trans. Image Process. 23 (2014); Goujon, Neumayer and Unser, Learning weakly convex
    regularizers for convergent image-reconstruction algorithms, SIAM J. Imaging Sci. 17 (2024).

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.bilevel import FieldsOfExperts, LowerLevel, solve_lower
    >>> b = np.random.default_rng(0).standard_normal((1, 16, 16))
    >>> term = FieldsOfExperts((16, 16), filters=8, size=3)
    >>> len(term.names), term.filters(term.initial()).shape
    (81, (8, 3, 3))
    >>> u = solve_lower(LowerLevel(None, b, term), term.initial(), accuracy=1e-3).u
    >>> bool(abs(u.mean() - b.mean()) < 1e-4), bool(u.std() < b.std())
    (True, True)
    """

    def __init__(self, dims: tuple[int, int], filters: int = 48, size: int = 7, weak_convexity: float = 0.0) -> None:
        check_count(filters, "filters")
        check_count(size, "size")
        if size < 3 or size % 2 == 0:
            raise ValueError(f"size is {size}; expected 3, 5, 7 or another odd number")
        self.dims = tuple(dims)
        if len(self.dims) != 2 or not all(isinstance(n, numbers.Integral) and n >= size for n in self.dims):
            raise ValueError(f"dims is {dims}; expected two integers of at least {size}, the size of the filters")
        self.K, self.size = int(filters), int(size)
        self.rho = check_between(weak_convexity, "weak_convexity", 0, 1, "[)")
        self._basis = dct_filters(size).reshape(-1, size * size)
        self._last: tuple[np.ndarray, Experts] | None = None
        self._groups = tuple(START) if self.rho else ("log weight", "log nu")
        self._units = np.array([[UNITS[name]] for name in self._groups])
        self.names = (
            "log weight",
            *(f"{name} {k}, in {UNITS[name]:g}" for name in self._groups for k in range(self.K)),
            *(f"filter {k} dct {j}" for k in range(self.K) for j in range(1, size * size)),
        )

    # ------------------------------------------------------------ θ

    def filters(self, theta: np.ndarray) -> np.ndarray:
        """c_k: float64, shape (K, s, s)."""
        return self._split(theta)[1]

    def weights(self, theta: np.ndarray) -> np.ndarray:
        """w_k, shape (K,)."""
        return np.exp(self._split(theta)[0][0])

    def nu(self, theta: np.ndarray) -> np.ndarray:
        """ν_k, shape (K,)."""
        return np.exp(self._split(theta)[0][1])

    def initial(self, seed: int | None = None) -> np.ndarray:
        """Where to start learning: cosine filters of norm 1, by frequency, or random ones of about this norm.

        Raises
        ------
        ValueError
            for more cosine filters than there are.
        """
        taps = self.size**2 - 1
        if seed is None and self.K > taps:
            raise ValueError(
                f"filters is {self.K}; expected at most {taps} without a seed, the number of cosine filters"
            )
        if seed is None:
            r, s = divmod(np.arange(1, taps + 1), self.size)
            c = np.eye(taps)[np.argsort(r**2 + s**2, kind="stable")[: self.K]]
        else:
            c = np.random.default_rng(seed).standard_normal((self.K, taps)) / taps**0.5
        return np.concatenate(
            [[0.0], *(np.full(self.K, START[name] / UNITS[name]) for name in self._groups), c.ravel()]
        )

    def _split(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The logarithms, one row for each of w, ν, α and η, and the filters; also of a change of θ."""
        end = 1 + len(self._groups) * self.K
        logarithms = theta[1:end].reshape(-1, self.K) * self._units
        logarithms[0] += theta[0]
        coefficients = theta[end:].reshape(self.K, -1)
        return logarithms, (coefficients @ self._basis).reshape(self.K, self.size, self.size)

    # ------------------------------------------------------------ f_θ and its mixed derivatives

    def functional(self, theta: np.ndarray) -> Functional:
        """R_θ.

        Raises
        ------
        ValueError
            where the logarithm of a parameter is beyond ±100.
        """
        if self._last is not None and np.array_equal(self._last[0], theta):  # its bounds take a few milliseconds
            return self._last[1]
        logarithms, c = self._split(theta)
        if not np.abs(logarithms).max() <= LARGEST:
            worst = logarithms.ravel()[np.abs(logarithms).argmax()]
            raise ValueError(
                f"theta has a weight or smoothing of e^{worst:.4g}; expected e^-{LARGEST:g} to e^{LARGEST:g}"
            )
        w, nu, *bend = np.exp(logarithms)
        if bend:
            alpha, eta = bend
            beta = smooth_bound(c, alpha)[0]
            f = Experts(self.dims, c, w, nu, alpha * eta * self.rho / (self.rho + beta), eta)
        else:
            f = Experts(self.dims, c, w, nu)
        self._last = theta.copy(), f
        return f

    def mixed(self, theta: np.ndarray, u: Array, q: Array) -> np.ndarray:
        by_p, by_c = self.functional(theta).mixed(u, q)  # by log w, log ν, log v, log η
        n = len(by_p)
        if self.rho:  # log v = log α + log η - log(ρ + β(α, c)) + log ρ
            along, by_alpha, by_filters = self._slope(theta)
            total = by_p[:, 2].sum(axis=1)
            by_p[:, 3] += by_p[:, 2]
            by_p[:, 2] += along * total[:, None] * by_alpha
            by_c += along * total[:, None, None, None] * by_filters
        by_p = by_p[:, : len(self._groups)] * self._units
        by_c = by_c.reshape(n, self.K, -1) @ self._basis.T
        return np.concatenate([by_p[:, 0].sum(axis=1, keepdims=True), by_p.reshape(n, -1), by_c.reshape(n, -1)], axis=1)

    def mixed_apply(self, theta: np.ndarray, u: Array, dtheta: np.ndarray) -> Array:
        d, dc = self._split(dtheta)
        dp = np.zeros((4, self.K))
        dp[: len(d)] = d
        if self.rho:
            along, by_alpha, by_filters = self._slope(theta)
            dp[2] += d[3] + along * (by_alpha @ d[2] + (by_filters * dc).sum())
        return self.functional(theta).mixed_apply(u, dp, dc)

    def _slope(self, theta: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """-1/(ρ + β), and the derivatives of β by log α and by the filters."""
        logarithms, c = self._split(theta)
        beta, by_alpha, by_filters = smooth_bound(c, np.exp(logarithms[2]))
        return -1 / (self.rho + beta), by_alpha, by_filters
