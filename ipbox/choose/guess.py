"""A first guess of λ from the noise."""

from __future__ import annotations

import math
from typing import Any

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_positive
from ipbox.functionals import KL, L2, TGV, TV, Functional
from ipbox.functionals.core.composition import check_data
from ipbox.functionals.fidelities.l2 import Fidelity, check_fits
from ipbox.keywords import answering
from ipbox.operators import Identity, as_operator
from ipbox.solvers import CGLS, Problem, solve, stopping

# Fitted on slices of the training patient by tutorials/tools/fit_tv_weight.py: 0.2 dB below each problem's best
# weight in the mean, and 0.7 dB in the worst of 24 (sizes 128 and 256, 30 and 120 views, noise 0.3 to 3 %).
TV_FACTOR = 0.66
COUNTS_FACTOR = 0.5  # c for counts, between what suits PET scans and blurred photographs (tests/choose/test_guess.py)
FAINT = 1e-3  # of the mean counts: lines that hardly see the image have less


@answering
def tv_weight(
    A: Any,
    b: Array,
    noise_level: float,
    factor: float = TV_FACTOR,
    seed: int = 0,
    *,
    shape: tuple[int, ...] | None = None,
) -> float:
    r"""A first guess of λ in ½‖Au - b‖² + λ TV(u), from the noise alone.

    .. math:: λ = c \, \|A^* n\| / \sqrt{N}, \quad n_i \sim N(0, σ^2), \quad σ = δ/\sqrt{m}

    is c times the root mean square of what white noise n of the data's level δ leaves in the gradient A*(Au - b) of
    the data term, N pixels and m data.  Both have the units of b²/u, so one c serves all sizes, numbers of views and
    noise levels, and images of any units.

    Parameters
    ----------
    A : Operator
    shape : tuple of int, optional
        Of the image, where A does not tell it (a matrix, a flat operator, two functions): see `as_operator`.
    b : array
        Data of shape A.dimsd; only its number of entries and its device are used.
    noise_level : float
        Expected norm of the noise, δ > 0; for simulated data with a model error, hypot(noise_level, model_error).
    factor : float
        c; the default maximises the PSNR over CT slices of a patient who is in no test.
    seed : int
        Seed of n.

    Returns
    -------
    float
        λ, for `ipbox.tv`.

    Raises
    ------
    ValueError, TypeError
        for data that do not fit A, or a noise level or factor that is not positive.

    Examples
    --------
    >>> import ipbox as ip
    >>> from ipbox.choose import tv_weight
    >>> A, b, x_true, info = ip.problem("ct", image="shepp-logan", size=64, views=30, noise=0.02)
    >>> x, run = ip.tv(A, b, tv_weight(A, b, info.noise_level), nonneg=True, niter=200)
    >>> ip.psnr(x, x_true) > ip.psnr(ip.fbp(A, b, "hann")[0], x_true) + 3
    True
    """
    A = as_operator(A, shape)
    check_fits(A, check_data(b))
    factor, noise_level = check_positive(factor, "factor"), check_positive(noise_level, "noise_level")
    noise = backend.generator(seed, like=b).standard_normal(A.dimsd, dtype=backend.real_dtype(A.dtype_out))
    noise = noise.astype(A.dtype_out, copy=False)
    rms = backend.norm(A.apply_adjoint(noise)) / math.sqrt(math.prod(A.dims))
    return factor * noise_level / math.sqrt(math.prod(A.dimsd)) * rms


@answering
def first_weight(D: Fidelity, R: Functional, noise_level: float | None = None) -> float:
    r"""Where a search for λ in D(Au, b) + λ R(u) can start: only its order of magnitude matters.

    For TV or TGV and ½‖Au - b‖² it is `tv_weight`.  For a Kullback-Leibler divergence and a penalty that grows with u
    as a norm does, it is the noise of the counts in the gradient A*(1 - b/m),

    .. math:: λ = c \, \|A^* ν\| / \sqrt{N}, \quad ν_i \sim N(0, 1/m_i), \quad m = A \bar u + r,

    for the constant image ū that has the counts b - r.  Otherwise it is δ²/(2 R(u)), at which D and λR are balanced,
    for u of conjugate gradients stopped by the discrepancy principle.  Without a noise level δ is 2 % of ‖b‖; of
    another D than L2, δ² is the number of data.

    In other units of u, those of c u, it is the same weight, λ/c for a norm.

    Examples
    --------
    >>> import ipbox as ip
    >>> from ipbox.choose import first_weight
    >>> A, b, x_true, info = ip.problem("pet", size=32, views=24, counts=1e5)
    >>> lam = first_weight(ip.KL(A, b), ip.TV(A.dims))
    >>> x, run = ip.tv(A, b, lam, fidelity="kl", nonneg=True, niter=200, tol=1e-3)
    >>> ip.psnr(x, x_true) > ip.psnr(ip.fbp(A, b, "hann")[0], x_true)
    True
    """
    quadratic = isinstance(D, L2)
    delta = noise_level
    if delta is None:
        delta = 0.02 * backend.norm(D.b) if quadratic else math.sqrt(D.b.size)
    if delta <= 0 or not bool(D.b.any()):  # no noise, or data that are zero
        return 1e-3
    A = Identity(D.b.shape, D.b.dtype) if D.A is None else D.A
    if quadratic and isinstance(R, TV | TGV):
        return tv_weight(A, D.b, delta) or 1e-3
    if isinstance(D, KL) and _degree(R, level_of(D) * _rough(A, D.b)) < 1.5:
        return _noise_of_counts(D, A) or 1e-3
    if D.A is None:
        u = D.b
    else:  # conjugate gradients for ½‖Au - b‖²: smooth, and near enough
        b, noise = D.b, delta if quadratic else 0.1 * backend.norm(D.b)
        if isinstance(D, KL):
            b, noise = b - D.background, math.sqrt(backend.reduce_sum(b))
        u = solve(Problem(L2(D.A, b)), CGLS(), stop=stopping.discrepancy(noise) | stopping.niter(20)).x
        u = u.clip(0) if isinstance(D, KL) else u
    value = float(R.value(u))
    return delta**2 / (2 * value) if math.isfinite(value) and value > 0 else delta**2


def level_of(D: KL) -> float:
    """The value of the constant image with the counts b - r; 1 where there is none."""
    ones = backend.array_module(D.b).ones_like(D.b)
    signal = D.b - D.background
    if D.mask is not None:
        ones, signal = ones * D.mask, signal * D.mask
    seen, total = ones if D.A is None else D.A.apply_adjoint(ones), backend.reduce_sum(signal)
    whole = backend.reduce_sum(seen)
    return total / whole if total > 0 and whole > 0 else 1.0


def _rough(A: Any, b: Array) -> Array:
    """A positive image without structure, of mean 1."""
    return backend.generator(0, like=b).random(tuple(A.dims), dtype=backend.real_dtype(A.dtype_in)) + 0.5


def _degree(R: Functional, u: Array) -> float:
    """How R grows: log2 of R(2u)/R(u), 1 for a norm and 2 for its square; NaN where it is 0 or infinite."""
    one, two = float(R.value(u)), float(R.value(2 * u))
    return math.log2(two / one) if 0 < one < math.inf and 0 < two < math.inf else math.nan


def _noise_of_counts(D: KL, A: Any) -> float:
    """c times the root mean square of what the noise of the counts b leaves in the gradient of D."""
    xp, shape = backend.array_module(D.b), tuple(A.dimsd)
    flat = xp.full(tuple(A.dims), level_of(D), dtype=A.dtype_in)
    m = A.apply(flat) + D.background
    m = m.reshape((-1, *shape)).mean(axis=0)  # of a batch's backgrounds
    noise = backend.generator(0, like=D.b).standard_normal(shape, dtype=D.b.dtype)
    noise /= xp.sqrt(xp.maximum(m, FAINT * float(m.mean())))
    if D.mask is not None:
        noise *= D.mask.reshape((-1, *shape))[0]
    return COUNTS_FACTOR * backend.norm(A.apply_adjoint(noise)) / math.sqrt(math.prod(A.dims))
