"""Scores of noisy images, by Tweedie's formula from the mean of what is below the noise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_dims, check_positive, shown


class Score:
    r"""Base of the scores ∇ log p_σ, where p_σ is the law of x_0 + σn, x_0 of the prior's law and n ~ N(0, I).

    A subclass gives ``_denoise(x, sigma)``, which is

    .. math:: D_σ(x) = E[x_0 \mid x_0 + σn = x],

    and ``_vjp(x, sigma, v)``, which is :math:`J^* v` with J the derivative of D_σ at x.  By Tweedie's formula the score
    is :math:`∇\log p_σ(x) = (D_σ(x) - x)/σ^2`; and σ²J is the covariance of x_0 given x.

    Parameters
    ----------
    dims : tuple of int, optional
        Shape of one image; None where images of any shape are taken.
    dtype : str, optional
        ``"float32"`` or ``"float64"``; None where both are taken.
    sigma_range : (float, float), optional
        Least and largest σ that it is good for, such as those a network was trained for; samplers start and end there
        by default.

    Notes
    -----
    Arrays are NumPy's or CuPy's, of shape (samples,) + dims; each sample is treated by itself, and dtype and device are
    kept.  One noise level σ, in the units of the image, is that of all samples.

    References
    ----------
    Efron, Tweedie's formula and selection bias, J. Amer. Statist. Assoc. 106 (2011).
    Song et al., Score-based generative modeling through stochastic differential equations, ICLR 2021.

    Examples
    --------
    The score of N(0, I): D_σ(x) = x/(1 + σ²).

    >>> import numpy as np
    >>> from ipbox.bayes.diffusion import Score
    >>> class White(Score):
    ...     def _denoise(self, x, sigma):
    ...         return x / (1 + sigma**2)
    ...     def _vjp(self, x, sigma, v):
    ...         return v / (1 + sigma**2)
    >>> White().score(np.array([[5.0], [10.0]]), sigma=2.0)
    array([[-1.],
           [-2.]])
    """

    def __init__(
        self,
        dims: tuple[int, ...] | None = None,
        dtype: str | None = None,
        sigma_range: tuple[float, float] | None = None,
    ) -> None:
        self.dims = None if dims is None else check_dims(dims, "dims")
        self.dtype = None if dtype is None else np.dtype(dtype)
        if self.dtype not in (None, np.float32, np.float64):
            raise TypeError(f"dtype is {self.dtype}; expected float32 or float64")
        self.sigma_range = None if sigma_range is None else _range(sigma_range)

    # ------------------------------------------------------------ what a subclass gives

    def _denoise(self, x: Array, sigma: float) -> Array:
        raise NotImplementedError("abstract")

    def _vjp(self, x: Array, sigma: float, v: Array) -> Array:
        raise NotImplementedError("abstract")

    def _linearise(self, x: Array, sigma: float) -> tuple[Array, Callable[[Array], Array]]:
        """D_σ(x) and v ↦ J*v; networks override it, for which the two together cost less."""
        return self._denoise(x, sigma), lambda v: self._vjp(x, sigma, v)

    # ------------------------------------------------------------ what users call

    @property
    def name(self) -> str:
        return type(self).__name__

    def denoise(self, x: Array, sigma: float) -> Array:
        """D_σ(x), the mean of x_0 given x."""
        return self._given(self._denoise(self.check(x), check_positive(sigma, "sigma")), x)

    def score(self, x: Array, sigma: float) -> Array:
        """∇ log p_σ(x)."""
        return (self.denoise(x, sigma) - x) / sigma**2

    def vjp(self, x: Array, sigma: float, v: Array) -> Array:
        """J*v, J the derivative of D_σ at x."""
        if self.check(v, "v").shape != self.check(x).shape or v.dtype != x.dtype:
            raise ValueError(f"v has shape {v.shape} and dtype {v.dtype}; expected those of x, {x.shape} and {x.dtype}")
        return self._given(self._vjp(x, check_positive(sigma, "sigma"), v), x)

    def linearise(self, x: Array, sigma: float) -> tuple[Array, Callable[[Array], Array]]:
        """D_σ(x), and the function v ↦ J*v that goes with it."""
        d, vjp = self._linearise(self.check(x), check_positive(sigma, "sigma"))
        return self._given(d, x), lambda v: self._given(vjp(v), x)

    def __call__(self, x: Array, sigma: float) -> Array:
        """D_σ of one image: the score as a denoiser, for `ip.Denoiser` and `ip.pnp`."""
        return self.denoise(x[None], sigma)[0]

    def _given(self, d: Array, x: Array) -> Array:
        """What a subclass gives for x: of its shape and dtype, or an error."""
        backend.check_array(d, f"what {self.name} gives")
        if d.shape != x.shape or d.dtype != x.dtype:
            raise ValueError(
                f"what {self.name} gives has shape {d.shape} and dtype {d.dtype}; expected those of x, {x.shape} and "
                f"{x.dtype}"
            )
        return d

    def check(self, x: Array, name: str = "x") -> Array:
        """Samples of the score's shape and dtype, or an error."""
        backend.check_array(x, name)
        if x.dtype.kind != "f" or x.dtype != (self.dtype or backend.real_dtype(x.dtype)):
            raise TypeError(f"{name} has dtype {x.dtype}; {self.name} expects {self.dtype or 'float32 or float64'}")
        if x.ndim < 2 or (self.dims is not None and x.shape[1:] != self.dims):
            shape = "samples of images, (samples, ...)" if self.dims is None else f"(samples,) + {self.dims}"
            raise ValueError(f"{name} has shape {x.shape}; {self.name} expects {shape}")
        return x


def _range(given: Any) -> tuple[float, float]:
    """The least σ and the largest."""
    if not isinstance(given, tuple | list) or len(given) != 2:
        raise ValueError(f"sigma_range is {shown(given)}; expected two numbers, the least noise level and the largest")
    low, high = (check_positive(sigma, "sigma_range", "positive noise levels") for sigma in given)
    if not low < high:
        raise ValueError(f"sigma_range is {shown(given)}; expected the least noise level, then the largest")
    return low, high
