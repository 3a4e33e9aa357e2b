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
    """Where a search for λ in D(Au, b) + λ R(u) can start: only its order of magnitude matters.

    For TV or TGV and ½‖Au - b‖² it is `tv_weight`, for them and a Kullback-Leibler divergence the same with noise over
    √b.  Otherwise it is δ²/(2 R(u)), at which D and λR are balanced, for u of conjugate gradients stopped by the
    discrepancy principle.  Without a noise level δ is 2 % of ‖b‖; of another D than L2, δ² is the number of data.
    """
    quadratic = isinstance(D, L2)
    delta = noise_level
    if delta is None:
        delta = 0.02 * backend.norm(D.b) if quadratic else math.sqrt(D.b.size)
    if delta <= 0:  # no noise, or data that are zero
        return 1e-3
    if quadratic and isinstance(R, TV | TGV):
        A = Identity(D.b.shape, D.b.dtype) if D.A is None else D.A
        return tv_weight(A, D.b, delta) or 1e-3
    if isinstance(D, KL) and isinstance(R, TV | TGV) and D.A is not None:  # its gradient is A*(1 - b/m): noise over √b
        noise = backend.generator(0, like=D.b).standard_normal(D.A.dimsd, dtype=D.b.dtype)
        noise /= backend.array_module(noise).sqrt(D.b.clip(1.0))
        return TV_FACTOR * backend.norm(D.A.apply_adjoint(noise)) / math.sqrt(math.prod(D.A.dims)) or 1e-3
    if D.A is None:
        u = D.b
    else:  # conjugate gradients for ½‖Au - b‖²: smooth, and near enough
        stop = stopping.discrepancy(delta if quadratic else 0.1 * backend.norm(D.b)) | stopping.niter(20)
        u = solve(Problem(L2(D.A, D.b)), CGLS(), stop=stop).x
    value = float(R.value(u))
    return delta**2 / (2 * value) if math.isfinite(value) and value > 0 else delta**2
