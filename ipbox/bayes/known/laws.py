"""Gaussian laws and their mixtures: density, samples, and the posterior under linear data, all in closed form."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_count, check_not_negative, check_numbers, check_positive, check_seed
from ipbox.operators import as_operator

LARGEST = 4096  # unknowns: a covariance is a matrix


class GaussianMixture:
    r"""The law Σ_k w_k N(m_k, C_k) of images.

    With noise of level σ added it is Σ_k w_k N(m_k, C_k + σ²I), whose score is known too: see `MixtureScore`.

    Parameters
    ----------
    weights : array, shape (K,)
        w_k > 0, of sum 1.
    means : array, shape (K,) + dims
        float64; NumPy or CuPy, as all else that is given.
    covariances : array, shape (K, n, n) or (n, n)
        n = the product of dims, pixels in C order; one matrix is that of all components.  Symmetric positive definite.

    Attributes
    ----------
    dims : tuple of int
    mean : array, shape dims
        Σ_k w_k m_k.
    covariance : array, shape (n, n)
        Σ_k w_k (C_k + (m_k - m)(m_k - m)ᵀ).
    eigenvalues, eigenvectors : array, shapes (K, 1, n) and (K, n, n)
        Of C_k, vectors in columns.

    Raises
    ------
    ValueError, TypeError
        for shapes that do not fit, weights that are no probabilities, or matrices that are no covariances.

    Notes
    -----
    Dense: each component costs an eigendecomposition of n³, once.

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.bayes import GaussianMixture
    >>> law = GaussianMixture([0.5, 0.5], np.array([[-1.0], [1.0]]), np.array([[0.25]]))
    >>> law.mean, law.covariance
    (array([0.]), array([[1.25]]))
    """

    def __init__(self, weights: Any, means: Array, covariances: Array) -> None:
        xp = backend.array_module(_double(means, "means"), _double(covariances, "covariances"))
        if means.ndim < 2 or 0 in means.shape:
            raise ValueError(f"means has shape {means.shape}; expected (components,) and the shape of an image")
        self.dims = tuple(means.shape[1:])
        count, n = len(means), math.prod(self.dims)
        if n > LARGEST:
            raise ValueError(f"means has images of {n} pixels; expected at most {LARGEST}, as covariances are dense")
        if covariances.shape not in ((n, n), (count, n, n)):
            fitting = f"{(count, n, n)} or {(n, n)} for means of shape {means.shape}"
            raise ValueError(f"covariances has shape {covariances.shape}; expected {fitting}")
        self.weights = _weights(weights, count)
        self.means, self.covariances = means, xp.broadcast_to(covariances, (count, n, n))
        self._m, self._log_w = means.reshape(count, 1, n), xp.log(xp.asarray(self.weights))
        values, vectors = _eigen(covariances.reshape(-1, n, n))
        self.eigenvalues = xp.broadcast_to(values[:, None], (count, 1, n))
        self.eigenvectors = xp.broadcast_to(vectors, (count, n, n))

    def __repr__(self) -> str:
        return f"{type(self).__name__}(dims={self.dims}, components={len(self.means)})"

    @property
    def mean(self) -> Array:
        return self._average(self.means)

    @property
    def covariance(self) -> Array:
        d = (self.means - self.mean).reshape(len(self.means), -1)
        return self._average(self.covariances + d[:, :, None] * d[:, None, :])

    def _average(self, values: Array) -> Array:
        """Σ_k w_k of values with the components first."""
        w = backend.array_module(values).asarray(self.weights)
        return (w.reshape((-1,) + (1,) * (values.ndim - 1)) * values).sum(axis=0)

    # ------------------------------------------------------------ density and samples

    def log_density(self, x: Array, sigma: float = 0.0) -> Array:
        """log p_σ(x) of samples x, (samples,) + dims, where noise of level σ was added; shape (samples,)."""
        log_p = self.at(self.check(x), check_not_negative(sigma, "sigma"))[0]
        return log_sum_exp(log_p)

    def sample(self, samples: int = 1, seed: int = 0) -> Array:
        """Independent samples, (samples,) + dims."""
        samples, rng = check_count(samples, "samples"), backend.generator(check_seed(seed), like=self.means)
        xp = backend.array_module(self.means)
        bounds = xp.asarray(np.cumsum(self.weights)[:-1])
        k = (rng.random(samples)[:, None] > bounds).sum(axis=1)
        z = rng.standard_normal((samples, self._m.shape[-1]))
        x = xp.empty_like(z)
        for j, (m, values, V) in enumerate(zip(self._m, self.eigenvalues, self.eigenvectors, strict=True)):
            x[k == j] = m + (z[k == j] * values**0.5) @ V.T
        return x.reshape((samples, *self.dims))

    def at(self, x: Array, sigma: float) -> tuple[Array, Array, Array]:
        """log(w_k p_k(x)), (K, samples); x - m_k in the basis of C_k's eigenvectors, and C_k + σ²I there."""
        c = (x.reshape(len(x), -1) - self._m) @ self.eigenvectors
        spread = self.eigenvalues + sigma**2
        xp = backend.array_module(x)
        log_p = -0.5 * (c**2 / spread + xp.log(2 * np.pi * spread)).sum(axis=-1)
        return log_p + self._log_w[:, None], c, spread

    def check(self, x: Array) -> Array:
        """Samples in double precision that fit, or an error."""
        backend.array_module(_double(x, "x"), self.means)
        if x.shape[1:] != self.dims or x.ndim != len(self.dims) + 1:
            raise ValueError(f"x has shape {x.shape}; expected (samples,) + {self.dims}")
        return x

    # ------------------------------------------------------------ the posterior

    def posterior(self, A: Any, b: Array, noise_level: float) -> GaussianMixture:
        r"""The law of u given b = Au + noise, for white Gaussian noise: a mixture again, of a `Gaussian` a Gaussian.

        .. math::
            K_k = C_k A^*(A C_k A^* + s^2 I)^{-1}, \quad m_k' = m_k + K_k(b - A m_k), \quad C_k' = (I - K_k A) C_k,
            \quad w_k' ∝ w_k N(b;\, A m_k,\, A C_k A^* + s^2 I)

        Parameters
        ----------
        A : Operator
            Real, from images of this law's shape.
        b : array
        noise_level : float
            Expected norm of the noise, s√m for m data of standard deviation s.

        Returns
        -------
        GaussianMixture or Gaussian

        Raises
        ------
        ValueError, TypeError
            where A, b and the law do not fit, or for a noise level that is not positive.

        Examples
        --------
        >>> import numpy as np, ipbox as ip
        >>> prior = ip.bayes.Gaussian(np.zeros(1), np.array([[4.0]]))
        >>> law = prior.posterior(np.array([[1.0]]), np.array([1.0]), noise_level=1.0)
        >>> law.mean, law.covariance
        (array([0.8]), array([[0.8]]))
        """
        A = as_operator(A, self.dims)
        xp = backend.array_module(_double(b, "b"), self.means)
        s = check_positive(noise_level, "noise_level") / math.sqrt(b.size)
        if tuple(A.dims) != self.dims or A.dtype_in != np.float64 or A.dtype_out != np.float64:
            raise ValueError(f"A takes {tuple(A.dims)} {A.dtype_in}; expected {self.dims} float64, real both ways")
        if b.shape != tuple(A.dimsd):
            raise ValueError(f"b has shape {b.shape}; expected {tuple(A.dimsd)}")
        n, m = math.prod(self.dims), b.size
        matrix = A.apply(xp.eye(n).reshape((n, *self.dims))).reshape(n, m).T
        r = b.reshape(1, m) - self._m[:, 0] @ matrix.T
        AC = matrix @ self.covariances
        S = AC @ matrix.T + s**2 * xp.eye(m)
        gain = xp.linalg.solve(S, AC).swapaxes(-1, -2)
        means = self._m[:, 0] + (gain @ r[..., None])[..., 0]
        I_KA = xp.eye(n) - gain @ matrix
        # Joseph's form: a sum of two squares, so symmetric and definite to rounding
        covariances = I_KA @ self.covariances @ I_KA.swapaxes(-1, -2) + s**2 * gain @ gain.swapaxes(-1, -2)
        L = xp.linalg.cholesky(S)
        white = xp.linalg.solve(L, r[..., None])[..., 0]
        diagonal = xp.diagonal(L, axis1=-2, axis2=-1)
        log_w = self._log_w - 0.5 * (white**2).sum(axis=-1) - xp.log(diagonal).sum(axis=-1)
        w = backend.to_host(xp.exp(log_w - log_w.max()))
        return self._like(w / w.sum(), means.reshape((-1, *self.dims)), covariances)

    def _like(self, weights: np.ndarray, means: Array, covariances: Array) -> GaussianMixture:
        there = weights > 0  # others have underflowed
        return GaussianMixture(weights[there], means[there], covariances[there])


class Gaussian(GaussianMixture):
    r"""The law N(m, C) of images: density, samples, posterior, and by `MixtureScore` its score, in closed form.

    Parameters
    ----------
    mean : array
        m, of the images' shape; float64.
    covariance : array, shape (n, n)
        C for n pixels in C order, symmetric positive definite.

    Raises
    ------
    ValueError, TypeError
        for shapes that do not fit, or a matrix that is no covariance.

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.bayes import Gaussian
    >>> law = Gaussian(np.zeros(2), np.array([[2.0, 1.0], [1.0, 2.0]]))
    >>> x = law.sample(50_000, seed=0)
    >>> np.cov(x.T).round(1)
    array([[2., 1.],
           [1., 2.]])
    >>> bool(abs(law.log_density(np.zeros((1, 2)))[0] + np.log(2 * np.pi * 3**0.5)) < 1e-12)
    True
    """

    def __init__(self, mean: Array, covariance: Array) -> None:
        _double(mean, "mean"), _double(covariance, "covariance")
        n = mean.size
        if mean.ndim == 0 or covariance.shape != (n, n):
            raise ValueError(
                f"mean has shape {mean.shape} and covariance {covariance.shape}; expected n pixels and (n, n)"
            )
        super().__init__([1.0], mean[None], covariance)

    def _like(self, weights: np.ndarray, means: Array, covariances: Array) -> Gaussian:
        return Gaussian(means[0], covariances[0])


def _double(x: Any, name: str) -> Array:
    if backend.check_array(x, name).dtype != np.float64:
        raise TypeError(f"{name} has dtype {x.dtype}; expected float64: {name}.astype('float64')")
    if not bool(backend.array_module(x).isfinite(x).all()):
        raise ValueError(f"{name} is not finite; expected finite numbers")
    return x


def _weights(weights: Any, count: int) -> np.ndarray:
    expected = f"a number for each of {count} means"
    w = check_numbers(backend.to_host(weights) if backend.is_array(weights) else weights, "weights", expected)
    if w.shape != (count,):
        raise ValueError(f"weights has shape {w.shape}; expected {expected}")
    if not (w > 0).all() or not abs(w.sum() - 1) < 1e-8:
        raise ValueError(f"weights has the sum {w.sum():g} and the smallest {w.min():g}; expected numbers > 0 of sum 1")
    return w


def _eigen(C: Array) -> tuple[Array, Array]:
    """Eigenvalues (K, n) and eigenvectors of covariances."""
    xp = backend.array_module(C)
    skew = float(abs(C - C.swapaxes(-1, -2)).max())
    if skew > 1e-10 * float(abs(C).max()):
        raise ValueError(f"covariances differ from their transpose by up to {skew:.2g}; expected symmetric matrices")
    values, vectors = xp.linalg.eigh(C)
    least, most = float(values.min()), float(values.max())
    if not least > C.shape[-1] * float(np.finfo(np.float64).eps) * most:
        raise ValueError(f"covariances have an eigenvalue {least:.2g}, the largest being {most:.2g}; expected all > 0")
    return values, vectors


def log_sum_exp(log_p: Array) -> Array:
    """log Σ_k exp(log_p_k) over the first axis."""
    xp = backend.array_module(log_p)
    top = log_p.max(axis=0)
    return top + xp.log(xp.exp(log_p - top).sum(axis=0))
