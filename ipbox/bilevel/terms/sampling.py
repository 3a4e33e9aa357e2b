"""Learning which frequencies to sample: a least-squares fidelity with a weight for each frequency, or each line."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.bilevel.terms.base import ParametricTerm
from ipbox.bilevel.terms.fourier_fidelity import FourierL2, IsometricL2, signal_loop
from ipbox.checks import check_choice
from ipbox.functionals import Functional, WeightedL2
from ipbox.functionals.fidelities.l2 import check_fits
from ipbox.operators import FourierTransform, as_operator

# s(θ), s'(θ), the least θ beyond those allowed, and where to start
PARAMETRISATIONS: dict[str, tuple[Callable, Callable, float, float]] = {
    "ratio": (lambda t: t / (1 - t), lambda t: 1 / (1 - t) ** 2, 1.0, 0.5),
    "linear": (lambda t: t.copy(), lambda t: np.ones_like(t), math.inf, 1.0),
    "square": (lambda t: t * t, lambda t: 2 * t, math.inf, 1.0),
}


class SamplingWeights(ParametricTerm):
    r"""½‖Fu - b‖²_S = ½ Σ_k s_k |(Fu)_k - b_k|², S = diag(s(θ)): a weight for every frequency, or every line.

    Where s_k = 0 the frequency is not sampled.  The data are those of the `LowerLevel`, which is made with the same F.

    Parameters
    ----------
    F : Operator
        With complex data, such as `FourierTransform` or `CartesianMRI`.
    parametrisation : {"ratio", "linear", "square"}
        s = θ/(1 - θ) for 0 <= θ < 1, s = θ or s = θ² for θ >= 0.
    axis : int, optional
        Axis of the data with a θ for each index, constant along the other axes: -1 for Cartesian lines as in
        `ipbox.problems.measuring.kspace_masks`.  By default a θ for every frequency (the same for all coils).

    Notes
    -----
    L = max s ‖F‖²; μ = min s where F is a `FourierTransform`, which keeps norms, and 0 otherwise.  For images
    that are complex, F*SF then transforms along ``axis`` only.

    Raises
    ------
    ValueError, TypeError
        for another parametrisation, an axis that the data do not have, or data that are real; θ outside its domain
        when it is used.

    References
    ----------
    Ehrhardt and Roberts, J. Math. Imaging Vis. 63 (2021), section 4.5 (ratio); Sherry et al., Learning the sampling
    pattern for MRI, IEEE Trans. Med. Imaging 39 (2020) (square).

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> from ipbox.bilevel import LowerLevel, SamplingWeights
    >>> F = ip.FourierTransform((4,), dtype="complex128")
    >>> b = F.apply(np.ones((1, 4), complex))
    >>> lower = LowerLevel(F, b, 0.1 * ip.Tikhonov((4,), order=0), fidelity=SamplingWeights(F))
    >>> lower.names
    ('weight -2', 'weight -1', 'weight 0', 'weight 1')
    >>> lower.constants(np.array([0.5, 0.0, 0.75, 0.5]))     # μ = min s + 0.1, L = max s + 0.1
    (0.1, 3.1)
    """

    def __init__(self, F: Any, parametrisation: str = "ratio", axis: int | None = None) -> None:
        self.parametrisation = check_choice(parametrisation, "parametrisation", PARAMETRISATIONS)
        self.A, self.axis = as_operator(F), axis
        data, dims = tuple(self.A.dimsd), tuple(self.A.dims)
        if np.dtype(self.A.dtype_out).kind != "c":
            raise TypeError(f"F is {self.A.name}, whose data are {self.A.dtype_out}; expected complex data")
        if axis is not None and (isinstance(axis, bool) or not isinstance(axis, int) or not -len(data) <= axis < 0):
            raise ValueError(f"axis is {axis!r}; expected None, or from {-len(data)} to -1 for data of shape {data}")
        coils = data[1:] == dims and len(data) == len(dims) + 1
        # θ has this shape in the data, but for axes that it does not depend on
        self.shape = ((1,) if coils else ()) + (dims if coils else data)
        if axis is not None:
            self.shape = tuple(n if k - len(data) == axis else 1 for k, n in enumerate(data))
        grid = [n for n in self.shape if n > 1] or [1]
        middle = [n // 2 for n in grid]
        places = (tuple(i - c for i, c in zip(k, middle, strict=True)) for k in np.ndindex(*grid))
        self.names = tuple(f"weight {k[0] if len(k) == 1 else k}" for k in places)
        self.b: Array | None = None

    def with_data(self, b: Array) -> SamplingWeights:
        check_fits(self.A, b)
        term = copy.copy(self)
        term.b = b
        return term

    def take(self, index: np.ndarray) -> SamplingWeights:
        return self if self.b is None else self.with_data(self.b[index])

    def initial(self) -> np.ndarray:
        return np.full(len(self.names), PARAMETRISATIONS[self.parametrisation][3])

    # ------------------------------------------------------------ weights

    def weights(self, theta: np.ndarray) -> np.ndarray:
        """s(θ), float64, in the shape of one image's data.

        Raises
        ------
        ValueError
            for θ of another length or outside the domain of the parametrisation.
        """
        s = PARAMETRISATIONS[self.parametrisation][0](self._check(theta)).reshape(self.shape)
        return np.ascontiguousarray(np.broadcast_to(s, tuple(self.A.dimsd)))

    def slopes(self, theta: np.ndarray) -> np.ndarray:
        """s'(θ), as θ."""
        return PARAMETRISATIONS[self.parametrisation][1](self._check(theta))

    def _check(self, theta: np.ndarray) -> np.ndarray:
        theta = np.asarray(theta, dtype=np.float64)
        if theta.shape != (len(self.names),):
            raise ValueError(f"theta has shape {theta.shape}; expected ({len(self.names)},), one for each weight")
        end = PARAMETRISATIONS[self.parametrisation][2]
        bad = np.flatnonzero(~((theta >= 0) & (theta < end)))
        if len(bad):
            raise ValueError(
                f"theta has {theta[bad[0]]:g} for {self.names[bad[0]]}; {self.parametrisation!r} expects 0 <= theta"
                + (f" < {end:g}" if end < math.inf else " < ∞")
            )
        return theta

    # ------------------------------------------------------------ the functional

    def functional(self, theta: np.ndarray) -> Functional:
        s, b = self.weights(theta), self._data()
        s = backend.to_device(s.astype(backend.real_dtype(b.dtype)), backend.array_module(b))
        if not isinstance(self.A, FourierTransform):
            return WeightedL2(self.A, b, s)
        if np.dtype(self.A.dtype_in).kind != "c":
            return IsometricL2(self.A, b, s)
        return FourierL2(self.A, b, s, tuple(range(-len(self.shape), 0)) if self.axis is None else (self.axis,))

    def signal_loop(self, f: Functional, mu: float, L: float, method: str) -> Callable[..., Any] | None:
        """The fused solve of the lower level Φ = f, in place on u, for signals on the host; None otherwise."""
        return signal_loop(f, mu, L, method)

    def _data(self) -> Array:
        if self.b is None:
            raise ValueError("SamplingWeights has no data; expected as the fidelity of a LowerLevel, which has them")
        return self.b

    # ------------------------------------------------------------ derivatives by θ

    def mixed(self, theta: np.ndarray, u: Array, q: Array) -> np.ndarray:
        """s'_k Re<(Fu - b)_k, (Fq)_k>, summed over the frequencies that share θ_k."""
        r = self.A.apply(u)
        r -= self._data()
        products = (r.conj() * self.A.apply(q)).real.astype(np.float64)
        axes = tuple(k + 1 for k, n in enumerate(self.shape) if n == 1)
        sums = backend.to_host(products.sum(axis=axes) if axes else products)
        return sums.reshape(len(u), len(self.names)) * self.slopes(theta)

    def mixed_apply(self, theta: np.ndarray, u: Array, dtheta: np.ndarray) -> Array:
        """F*(s' dθ (Fu - b))."""
        r = self.A.apply(u)
        r -= self._data()
        ds = (self.slopes(theta) * self._step(dtheta)).reshape(self.shape)
        r *= backend.to_device(ds.astype(backend.real_dtype(r.dtype)), backend.array_module(r))
        return self.A.apply_adjoint(r)

    def _step(self, dtheta: np.ndarray) -> np.ndarray:
        dtheta = np.asarray(dtheta, dtype=np.float64)
        if dtheta.shape != (len(self.names),):
            raise ValueError(f"dtheta has shape {dtheta.shape}; expected ({len(self.names)},)")
        return dtheta

    def mixed_lipschitz(self, theta: np.ndarray) -> float:
        """max |s'| ‖F‖²: the change of B with u is F* diag(s' F(u - v))."""
        return float(np.abs(self.slopes(theta)).max()) * self.A.norm() ** 2
