"""Intervals around a reconstruction that hold the truth as often as they say: split conformal calibration."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ipbox import backend, plot, summary
from ipbox.backend import Array
from ipbox.checks import check_between, check_choice, check_type
from ipbox.evaluate.differentiable import as_function
from ipbox.evaluate.disjoint import check_disjoint
from ipbox.keywords import answering

Pair = tuple[Array, Array]


@dataclass(frozen=True)
class Coverage:
    """What intervals held of images that they were tested on.

    Attributes
    ----------
    shares : numpy.ndarray
        Of each image, the share of pixels inside their interval.
    widths : numpy.ndarray
        Mean width of the intervals of each image.
    mean, width : float
        Means of both.
    error : float
        Standard error of ``mean``, over images: pixels of one image are not independent.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> u = np.random.default_rng(0).standard_normal((40, 8, 8))
    >>> pairs = [(v + 0.1, v) for v in u]
    >>> found = ip.evaluate.calibrate(lambda b: b, pairs[:20], alpha=0.1).coverage(pairs[20:])
    >>> found.mean, round(found.width, 3)
    (1.0, 0.2)
    """

    shares: np.ndarray = field(repr=False)
    widths: np.ndarray = field(repr=False)
    mean: float
    width: float
    error: float

    __repr__ = summary.of_fields


@dataclass(frozen=True)
class Calibrated:
    """Intervals Φ(b) ± q s(b), as `calibrate` makes them.

    Attributes
    ----------
    alpha : float
        Share of the pixels that may lie outside.
    method : str
    q : float or numpy.ndarray
        In units of s, where a deviation was given: one number, or one for each pixel.
    truths : list of array
        The images that the intervals were calibrated by, which none may be tested on.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> u = np.random.default_rng(0).standard_normal((40, 8, 8))
    >>> intervals = ip.evaluate.calibrate(lambda b: b, [(v + 0.1, v) for v in u], alpha=0.1)
    >>> low, high = intervals.interval(u[0])
    >>> bool((low < high).all())
    True
    """

    phi: Callable[[Array], Array] = field(repr=False)
    deviation: Callable[[Array], Array] | None = field(repr=False)
    alpha: float
    method: str
    q: float | np.ndarray
    truths: list[Array] = field(repr=False)

    __repr__ = summary.of_fields

    def interval(self, b: Array) -> tuple[Array, Array]:
        """The lower and the upper ends for data b, in the dtype and the library of Φ(b)."""
        x = self.phi(b)
        half = self._half(x, b)
        return x - half, x + half

    def width(self, b: Array) -> Array:
        """2q s(b), at each pixel."""
        return 2 * self._half(self.phi(b), b)

    def _half(self, x: Array, b: Array) -> Array:
        xp = backend.array_module(x)
        q = xp.asarray(self.q, dtype=x.dtype)
        if q.ndim and q.shape != x.shape:
            raise ValueError(f"the image has shape {x.shape}; the intervals were calibrated on {q.shape}")
        s = xp.ones_like(x) if self.deviation is None else _deviation(self.deviation, b, x)
        return q * s

    def coverage(self, pairs: Iterable[Pair]) -> Coverage:
        """How many pixels of other images lie inside.

        Raises
        ------
        ValueError
            where an image is one of those that calibrated, flipped or turned or not.
        """
        pairs = _pairs(pairs, 1, "pairs to test on")
        check_disjoint(self.truths, [u for _, u in pairs])
        shares, widths = [], []
        for b, u in pairs:
            x = _image(self.phi, b, u)
            half = self._half(x, b)
            shares.append(float((abs(u - x) <= half).mean()))
            widths.append(2 * float(half.mean()))
        error = float(np.std(shares, ddof=1) / math.sqrt(len(shares))) if len(shares) > 1 else math.nan
        return Coverage(np.array(shares), np.array(widths), float(np.mean(shares)), float(np.mean(widths)), error)

    def show(self, b: Array, u: Array | None = None, path: str | os.PathLike[str] | None = None, unit: str = "") -> Any:
        """Φ(b), both ends and the width for data b; with the truth u also which pixels lie outside."""
        x, (low, high), width = self.phi(b), self.interval(b), self.width(b)
        images, titles = [x, low, high, width], ["reconstruction", "lower end", "upper end", "width"]
        if u is not None:
            if _real(u).shape != x.shape:
                raise ValueError(f"u has shape {u.shape}; expected that of the image of phi, {x.shape}")
            outside = (u < low) | (u > high)
            images.append(x.min() + outside * (x.max() - x.min()))  # black and white on the scale of the images
            titles.append(f"outside, white: {100 * float(outside.mean()):.1f} %")
        shown = [backend.to_host(image) for image in images]
        vmin, vmax = float(shown[0].min()), float(shown[0].max())
        return plot.show(*(np.clip(v, vmin, vmax) for v in shown), titles=titles, path=path, unit=unit)


@answering
def calibrate(
    phi: Any,
    pairs: Iterable[Pair],
    alpha: float = 0.1,
    *,
    deviation: Callable[[Array], Array] | None = None,
    method: str = "risk",
) -> Calibrated:
    r"""Intervals around any reconstruction map Φ, wide enough by what Φ missed of images that are known.

    From the scores e_i = |u_i - Φ(b_i)|/s(b_i) of n pairs, at each pixel:

    ``"risk"`` : conformal risk control with one number q for all pixels, the least with

    .. math:: \frac{n}{n+1} \hat R(q) + \frac{1}{n+1} \le α, \qquad \hat R(q) = \text{the share of scores above } q.

    ``"pixel"`` : at each pixel j the k-th smallest of its n scores, with k = ⌈(1 - α)(n + 1)⌉, or one less at so many
    pixels (drawn beforehand) that the mean of k/(n + 1) is 1 - α.

    Parameters
    ----------
    phi : callable
        b ↦ x; or a torch module or an operator, as `worst_perturbation` takes them.
    pairs : iterable of (b, u)
        Data and true images of one shape, that Φ has not learned from: of other patients, or other slices.
    alpha : float
        In (0, 1).
    deviation : callable, optional
        b ↦ s > 0, of the image's shape: where errors are expected to be large, such as the deviation of posterior
        samples; 1 by default.
    method : {"risk", "pixel"}

    Returns
    -------
    Calibrated

    Raises
    ------
    ValueError, TypeError
        for fewer than 1/α - 1 pairs, images that do not fit, or deviations that are not positive.

    Notes
    -----
    Guaranteed, for every Φ and s and without a model of the images, where the n pairs and the new one are exchangeable
    (as independent ones from one population are; slices of other patients are not, unless patients are alike):

    - ``"risk"``: the *expected* share of pixels outside is at most α; and at least α - 2/(n + 1), so few pairs make
      intervals wide;
    - ``"pixel"``: each pixel is inside with probability k/(n + 1) at least, which with scores that have no ties is
      1 - α on average over pixels: no margin for few pairs, but widths that vary as order statistics do.

    Expected over the calibration and the new image together: of a single image, or of one region, more may lie outside.
    Between patients ``"pixel"`` is the first to fail, since it asks for errors that are alike at each place
    (``docs/measured.md`` has both, on chest CT).

    References
    ----------
    Angelopoulos and Bates, Conformal prediction: a gentle introduction, Found. Trends Mach. Learn. 16 (2023).
    Angelopoulos, Bates, Fisch, Lei and Schuster, Conformal risk control, ICLR (2024).
    Narnhofer, Habring, Holler and Pock, Posterior-variance-based error quantification for inverse problems in imaging,
    SIAM J. Imaging Sci. 17 (2024), arXiv 2212.12499.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> rng = np.random.default_rng(0)
    >>> u = rng.standard_normal((80, 16, 16))
    >>> pairs = [(v + 0.5 * rng.standard_normal(v.shape), v) for v in u]
    >>> intervals = ip.evaluate.calibrate(lambda b: 0.8 * b, pairs[:40], alpha=0.1)
    >>> found = intervals.coverage(pairs[40:])
    >>> 0.9 <= found.mean <= 0.95
    True
    """
    phi, alpha = as_function(phi, "phi"), check_between(alpha, "alpha", 0, 1)
    check_type(deviation, "deviation", Callable | None, "a function of the data")
    check_choice(method, "method", ("risk", "pixel"))
    pairs = _pairs(pairs, math.ceil(1 / alpha - 1 - 1e-9), f"pairs, for alpha {alpha:g}")
    shape, scores = pairs[0][1].shape, []
    for b, u in pairs:
        if u.shape != shape:
            raise ValueError(f"pairs has images of shapes {shape} and {u.shape}; expected one shape")
        x = _image(phi, b, u)
        e = abs(u - x) if deviation is None else abs(u - x) / _deviation(deviation, b, x)
        scores.append(backend.to_host(e).astype(np.float64))
    q = _risk(np.stack(scores), alpha) if method == "risk" else _per_pixel(np.stack(scores), alpha)
    return Calibrated(phi, deviation, alpha, method, q, [u.copy() for _, u in pairs])


def _risk(scores: np.ndarray, alpha: float) -> float:
    """The least q above which there are at most P(α(n + 1) - 1) of the n·P scores."""
    n, pixels = len(scores), scores[0].size
    above = math.floor(pixels * (alpha * (n + 1) - 1) + 1e-6)
    ordered = np.sort(scores, axis=None)
    return float(ordered[ordered.size - 1 - min(above, ordered.size - 1)])


def _per_pixel(scores: np.ndarray, alpha: float) -> np.ndarray:
    """The k-th smallest of each pixel's scores, k one of the two integers about (1 - α)(n + 1)."""
    n, shape = len(scores), scores[0].shape
    ordered = np.sort(scores.reshape(n, -1), axis=0)
    k, rest = divmod((1 - alpha) * (n + 1) - 1e-9, 1)
    upper = np.random.default_rng(0).permutation(ordered.shape[1]) < math.ceil(rest * ordered.shape[1])
    order = np.clip(int(k) - 1 + upper, 0, n - 1)
    return ordered[order, np.arange(ordered.shape[1])].reshape(shape)


def _pairs(pairs: Iterable[Pair], least: int, what: str) -> list[Pair]:
    if not np.iterable(pairs):
        raise TypeError(f"pairs is {type(pairs).__name__}; expected a sequence of (b, u), data and the true image")
    pairs = [tuple(pair) if np.iterable(pair) else (pair,) for pair in pairs]
    if any(len(pair) != 2 for pair in pairs):
        raise ValueError("pairs has an entry that is no pair; expected (b, u), data and the true image")
    if len(pairs) < least:
        raise ValueError(f"pairs has {len(pairs)}; expected at least {least} {what}")
    for b, u in pairs:
        backend.array_module(backend.check_array(b, "b"), _real(u))
    return pairs


def _image(phi: Callable[[Array], Array], b: Array, u: Array) -> Array:
    x = phi(b)
    if x.shape != u.shape or x.dtype.kind != "f":
        raise ValueError(f"the image of phi has shape {x.shape} {x.dtype}; expected a real one of u's shape, {u.shape}")
    if not bool(backend.array_module(x).isfinite(x).all()):
        raise ValueError("the image of phi has NaN or infinite entries; expected finite numbers")
    return x


def _real(u: Array) -> Array:
    """A true image, or an error."""
    if backend.check_array(u, "u").dtype.kind != "f":
        raise TypeError(f"u has dtype {u.dtype}; expected real images")
    if not u.size or not bool(backend.array_module(u).isfinite(u).all()):
        raise ValueError(f"u has shape {u.shape} and NaN or infinite entries, or none; expected finite images")
    return u


def _deviation(deviation: Callable[[Array], Array], b: Array, x: Array) -> Array:
    s = backend.check_array(deviation(b), "what deviation gives")
    if s.shape != x.shape:
        raise ValueError(f"what deviation gives has shape {s.shape}; expected that of the image, {x.shape}")
    if not bool(((s > 0) & (s < math.inf)).all()):
        ends = f"from {float(s.min()):g} to {float(s.max()):g}"
        raise ValueError(f"what deviation gives is {ends}; expected finite numbers > 0")
    return s.astype(x.dtype, copy=False)
