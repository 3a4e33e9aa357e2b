"""Fields of Experts, with learned filters, weights and smoothing."""

from __future__ import annotations

import numbers

import numpy as np

from ipbox.backend import Array
from ipbox.bilevel.experts import Experts
from ipbox.bilevel.filters import dct_filters
from ipbox.bilevel.terms import ParametricTerm
from ipbox.functionals import Functional

LOG_WEIGHT, LOG_NU = -5.0, -3.5  # where learning starts
LARGEST = 100.0  # |logarithm|: beyond, exp of it or its squares would leave the range of double precision


class FieldsOfExperts(ParametricTerm):
    r"""R_θ(u) = e^{θ_0} Σ_k e^{θ_k} Σ_i √((c_k∗u)_i² + ν_k²), ν_k = e^{θ_{K+k}}, for real images; convex and smooth.

    (c∗u)_i = Σ_m c_m u_{i+m} over a window centred at pixel i, u reflected about its boundary (half a pixel outside).
    The filters c_k have mean zero, so that R does not change with a constant: θ has their coefficients by the
    orthonormal filters of the discrete cosine transform without the constant one.  θ = (θ_0, K log weights, K log
    smoothings, s² - 1 coefficients of c_1, ..., of c_K).

    Parameters
    ----------
    dims : tuple of int
        Shape of an image, at least s a side.
    filters : int
        K, the number of filters.
    size : int
        s, their pixels a side; odd.

    Notes
    -----
    ∇R(u) = Σ_k w_k C_kᵀ(t_k/√(t_k² + ν_k²)), t_k = c_k∗u, with Lipschitz constant ‖Σ_k (w_k/ν_k) C_kᵀC_k‖, of which
    L is a proved bound (see `ipbox.bilevel.transfer`).  As B depends on u through the product of both, it has no
    Lipschitz constant that holds everywhere.

    Raises
    ------
    ValueError
        for dims, numbers or sizes as above.

    References
    ----------
    Roth and Black, Fields of experts, Int. J. Comput. Vis. 82 (2009); Chen, Ranftl and Pock, Insights into analysis
    operator learning, IEEE Trans. Image Process. 23 (2014).

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

    def __init__(self, dims: tuple[int, int], filters: int = 48, size: int = 7) -> None:
        for name, value in (("filters", filters), ("size", size)):
            if not isinstance(value, numbers.Integral) or isinstance(value, bool) or value < 1:
                raise ValueError(f"{name} is {value!r}; expected a positive integer")
        if size < 3 or size % 2 == 0:
            raise ValueError(f"size is {size}; expected 3, 5, 7 or another odd number")
        self.dims = tuple(dims)
        if len(self.dims) != 2 or not all(isinstance(n, numbers.Integral) and n >= size for n in self.dims):
            raise ValueError(f"dims is {dims}; expected two integers of at least {size}, the size of the filters")
        self.K, self.size = int(filters), int(size)
        self._basis = dct_filters(size).reshape(-1, size * size)
        self._last: tuple[np.ndarray, Experts] | None = None
        self.names = (
            "log weight",
            *(f"log weight {k}" for k in range(self.K)),
            *(f"log nu {k}" for k in range(self.K)),
            *(f"filter {k} dct {j}" for k in range(self.K) for j in range(1, size * size)),
        )

    # ------------------------------------------------------------ θ

    def filters(self, theta: np.ndarray) -> np.ndarray:
        """c_k: float64, shape (K, s, s)."""
        return self._compose(theta[2 * self.K + 1 :])

    def weights(self, theta: np.ndarray) -> np.ndarray:
        """w_k = e^{θ_0 + θ_k}, shape (K,)."""
        return np.exp(theta[0] + theta[1 : self.K + 1])

    def nu(self, theta: np.ndarray) -> np.ndarray:
        """ν_k = e^{θ_{K+k}}, shape (K,)."""
        return np.exp(theta[self.K + 1 : 2 * self.K + 1])

    def initial(self, seed: int | None = None) -> np.ndarray:
        """Where to start learning: cosine filters of norm 1, by frequency, or random ones of about this norm.

        Raises
        ------
        ValueError
            for more cosine filters than there are.
        """
        taps = self.size**2 - 1
        if seed is None and self.K > taps:
            raise ValueError(f"filters is {self.K}; expected at most {taps} without a seed, the number of cosine filters")
        if seed is None:
            r, s = divmod(np.arange(1, taps + 1), self.size)
            c = np.eye(taps)[np.argsort(r**2 + s**2, kind="stable")[: self.K]]
        else:
            c = np.random.default_rng(seed).standard_normal((self.K, taps)) / taps**0.5
        return np.concatenate([[0.0], np.full(self.K, LOG_WEIGHT), np.full(self.K, LOG_NU), c.ravel()])

    def _compose(self, coefficients: np.ndarray) -> np.ndarray:
        return (coefficients.reshape(self.K, -1) @ self._basis).reshape(self.K, self.size, self.size)

    # ------------------------------------------------------------ f_θ and its mixed derivatives

    def functional(self, theta: np.ndarray) -> Functional:
        """R_θ.

        Raises
        ------
        ValueError
            where the logarithm of a weight or a smoothing is beyond ±100.
        """
        K = self.K
        logarithms = np.concatenate([theta[0] + theta[1 : K + 1], theta[K + 1 : 2 * K + 1]])
        if not np.abs(logarithms).max() <= LARGEST:
            raise ValueError(f"theta has a weight or smoothing of e^{logarithms[np.abs(logarithms).argmax()]:.4g}; "
                             f"expected logarithms between -{LARGEST:g} and {LARGEST:g}")
        if self._last is None or not np.array_equal(self._last[0], theta):  # its bounds take a few milliseconds
            f = Experts(self.dims, self.filters(theta), self.weights(theta), self.nu(theta))
            self._last = theta.copy(), f
        return self._last[1]

    def mixed(self, theta: np.ndarray, u: Array, q: Array) -> np.ndarray:
        by_w, by_nu, by_c = self.functional(theta).mixed(u, q)
        n = len(by_w)
        by_c = by_c.reshape(n, self.K, -1) @ self._basis.T
        return np.concatenate([by_w.sum(axis=1, keepdims=True), by_w, by_nu, by_c.reshape(n, -1)], axis=1)

    def mixed_apply(self, theta: np.ndarray, u: Array, dtheta: np.ndarray) -> Array:
        K = self.K
        dw, dnu = dtheta[0] + dtheta[1 : K + 1], dtheta[K + 1 : 2 * K + 1]
        return self.functional(theta).mixed_apply(u, dw, dnu, self._compose(dtheta[2 * K + 1 :]))
