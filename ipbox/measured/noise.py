"""How much noise there is in line integrals: from the fields, from neighbouring views, from repeated projections."""

from __future__ import annotations

import math

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_count, counted
from ipbox.keywords import answering
from ipbox.measured.pixels import MAD
from ipbox.measured.readings import check_frames, check_integrals, check_readings

LEAST = 4  # frames, for a variance
BINS = 12  # of values, each with noise of its own
AROUND = 9  # readings, of means that tell where it changes
FLAT = 0.25  # share of the readings, those that change least, in which noise is looked for
OF_MEDIAN = 0.5 * math.pi  # its variance, relative to that of the mean


@answering
def noise_from_flats(T: Array, flats: Array, darks: Array | None = None) -> Array:
    r"""Standard deviations σ of line integrals -log T, from how much the flat and dark frames vary.

    Counts vary by :math:`g (I - D) + r^2`, with the gain g and the read noise r of the panel that the frames show
    (photon transfer), so that with the light L = F - D of n frames' median

    .. math:: σ^2 = \frac{g L T + r^2}{(L T)^2} + \frac{π}{2 n} \frac{g L + r^2}{L^2}, \qquad δ = \|σ\|

    Flicker of the whole beam between frames is left out; what the panel blurs after the noise is not seen.

    Parameters
    ----------
    T : array
        Transmission that `flat_field` made of these fields.
    flats, darks : array
        At least four frames of each (n, rows, columns) or (n, columns); without darks r is 0.

    Returns
    -------
    sigma : array
        σ of each reading, like T: its norm is the ``noise_level`` of λ and of stop rules, 1/σ² weights of
        `WeightedL2`.

    Raises
    ------
    TypeError, ValueError
        for fields of another size, fewer than four frames, frames that do not vary, or T that is not positive.

    References
    ----------
    Janesick, Photon Transfer, SPIE Press 2007.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> rng = np.random.default_rng(0)
    >>> counts, flats = rng.poisson(500.0, (200, 50)), rng.poisson(1000.0, (20, 50))
    >>> T, guard = ip.measured.flat_field(counts, flats)
    >>> sigma = ip.measured.noise_from_flats(T, flats)
    >>> bool(abs(sigma.mean() / ip.measured.minus_log(T).std() - 1) < 0.1)
    True
    """
    check_readings(T, "T")
    if T.dtype not in (np.float32, np.float64) or not bool((T > 0).all()):
        raise ValueError(
            f"T has dtype {T.dtype} and least entry {T.min()}; expected positive transmissions of flat_field"
        )
    told = _of_frames(T, flats, darks)
    if told is None:
        raise ValueError("flats do not vary more than darks; expected single frames with their noise, not averages")
    g, r2, light, lit = told
    xp, n = backend.array_module(T, light), len(flats)
    L = xp.where(lit, light, float(xp.median(light[lit])))
    variance = (g * L * T + r2) / (L * T) ** 2 + OF_MEDIAN / n * (g * L + r2) / L**2
    return xp.sqrt(variance).astype(T.dtype)


def told_by_flats(T: Array, flats: Array, darks: Array | None = None) -> bool:
    """Whether `noise_from_flats` can tell: the flats are no averages, which vary less than the darks or not at all."""
    return _of_frames(T, flats, darks) is not None


def _of_frames(T: Array, flats: Array, darks: Array | None) -> tuple[float, float, Array, Array] | None:
    """Variance per reading, that of the panel, the beam, and where it is; None where flats vary less than darks."""
    bright = _frames(flats, "flats", T)
    xp, n = backend.array_module(T, bright), len(bright)
    level = bright.reshape(n, -1).mean(axis=1)
    level = level.reshape(-1, *[1] * (bright.ndim - 1))
    spread, light = (bright * (level.mean() / level)).var(axis=0, ddof=1), xp.median(bright, axis=0)
    r2 = 0.0
    if darks is not None:
        below = _frames(darks, "darks", T)
        dark = below.var(axis=0, ddof=1)
        light, spread, r2 = light - xp.median(below, axis=0), spread - dark, float(xp.median(dark))
    lit = light > 0.1 * float(xp.median(light))
    if not bool(lit.any()) or float(light[lit].sum()) <= 0 or float(spread[lit].sum()) <= 0:
        return None
    ratio = spread[lit] / light[lit]
    inside = ratio <= float(xp.percentile(ratio, 99))  # a stray photon in a frame
    g = float(spread[lit][inside].sum() / light[lit][inside].sum()) / _kept(n)
    return g, r2, light, lit


def _kept(n: int) -> float:
    """Of the sum of χ² of n - 1 degrees, what is left without the largest hundredth."""
    from scipy.stats import chi2

    top = chi2.ppf(0.99, n - 1)
    return float(chi2.cdf(top, n + 1) / 0.99)


def _frames(frames: Array, name: str, T: Array) -> Array:
    frames = check_frames(frames, name, T.shape[1:])
    if len(frames) < LEAST:
        raise ValueError(f"{name} has {counted(len(frames), 'frame')}; expected at least {LEAST}, to see how they vary")
    return frames.astype(np.float64)


@answering
def noise_from_views(b: Array) -> float:
    r"""The expected norm of the noise in b, from second differences between neighbouring views.

    .. math:: σ = \mathrm{median}\, |b_{j-1} - 2 b_j + b_{j+1}| / (0.6745 \sqrt 6), \qquad δ = σ \sqrt m

    in each of twelve ranges of values, over the quarter of the readings in which b changes least.  Unlike
    `estimate_noise` it looks along the views only: noise that the panel or phase retrieval has blurred within a view is
    measured as well.

    Parameters
    ----------
    b : array
        Line integrals, (views, rows, columns) or (views, columns), the views in order and close enough for the object
        to change smoothly.

    Returns
    -------
    float
        δ, as ``noise_level`` takes it.

    Raises
    ------
    TypeError, ValueError
        for what is no array of line integrals, or fewer than eight views.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> A, b, x_true, info = ip.problem("ct", size=64, views=180, noise=0.02)
    >>> bool(abs(ip.measured.noise_from_views(b) / info.noise_level - 1) < 0.1)
    True
    """
    from scipy.ndimage import uniform_filter

    check_integrals(b, "b", views=8)
    y = backend.to_host(b).astype(np.float64)
    d = (y[:-2] - 2 * y[1:-1] + y[2:]) / math.sqrt(6.0)
    around = (AROUND,) * (y.ndim - 1)  # means along the panel: what is chosen by them is not chosen by its noise
    mean = uniform_filter(y, (AROUND, *around))
    change = uniform_filter(abs(np.gradient(mean, axis=0)), (AROUND, *around))[1:-1]
    mean, change, d = mean[1:-1].ravel(), change.ravel(), abs(d).ravel()
    bins = np.searchsorted(np.quantile(mean, np.linspace(0, 1, BINS + 1)[1:-1]), mean, side="right")
    total = 0.0
    for k in np.unique(bins):
        inside = bins == k
        quiet = change[inside] <= np.quantile(change[inside], FLAT)
        total += inside.sum() * (np.median(d[inside][quiet]) / MAD) ** 2
    return math.sqrt(total / d.size * y.size)


@answering
def noise_from_repeats(b: Array, again: Array, size: int | None = None) -> float:
    r"""The expected norm of the noise in data, from line integrals that were measured twice.

    .. math:: δ = \sqrt{\frac{m}{2 n} \sum_{j=1}^n (b_j - b'_j)^2}

    Parameters
    ----------
    b, again : array
        Line integrals of the same views, as those at the start and the end of a whole turn.
    size : int, optional
        m, how many data δ is of; by default as many as b has.

    Returns
    -------
    float
        δ, as ``noise_level`` takes it.  Drift and motion between the two count as noise.

    Raises
    ------
    TypeError, ValueError
        for arrays that are not line integrals of one shape, or a size that is not positive.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> rng = np.random.default_rng(0)
    >>> b, again = 1 + 0.1 * rng.standard_normal((2, 30, 40))
    >>> bool(abs(ip.measured.noise_from_repeats(b, again) / np.linalg.norm(b - 1) - 1) < 0.05)
    True
    """
    check_integrals(b)
    check_integrals(again, "again")
    if again.shape != b.shape:
        raise ValueError(f"again has shape {again.shape}; b has {b.shape}, expected the same")
    m = b.size if size is None else check_count(size, "size")
    return backend.norm(b - again) * math.sqrt(m / (2 * b.size))
