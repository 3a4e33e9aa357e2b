"""MRI without iterations, and SENSE."""

from __future__ import annotations

import time
from typing import Any

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_not_negative
from ipbox.functionals import L2
from ipbox.functionals.core.composition import check_data
from ipbox.functionals.fidelities.l2 import check_fits
from ipbox.operators import CartesianMRI, NonCartesianMRI, as_operator
from ipbox.operators.mri.coils import inverse_sum_of_squares, sum_of_squares
from ipbox.reconstruct.direct.info import AnalyticInfo, reported
from ipbox.reconstruct.iterative.early_stopping import stopped_early
from ipbox.reconstruct.variational.methods import tikhonov
from ipbox.solvers import CGLS, Solution, stopping


def zero_filled(A: Any, b: Array) -> tuple[Array, AnalyticInfo]:
    r"""Zero-filled reconstruction: what is not measured is taken as zero.

    .. math:: u = A^* b, \quad\text{with coils}\quad u = \frac{\sum_c \overline{S_c} F^* W b_c}{\sum_c |S_c|^2}

    Parameters
    ----------
    A : CartesianMRI or NonCartesianMRI
    b : array
        Data of shape A.dimsd, or a batch of them.

    Returns
    -------
    x : array
        Image of shape A.dims in A's model dtype; zero where every map is.
    info : AnalyticInfo

    Notes
    -----
    For a trajectory, whose density is not uniform, `gridding` weights the data first.

    Raises
    ------
    TypeError, ValueError
        where A is no MRI operator, or ``b`` does not fit A or is not finite.

    Examples
    --------
    >>> import ipbox as ip
    >>> A, b, x_true, info = ip.problem("mri", size=64, coils=4)
    >>> x, info = ip.zero_filled(A, b)
    >>> x.shape
    (64, 64)
    """
    start = time.perf_counter()
    _check(A, b, "zero_filled")
    x = A.apply_adjoint(b)
    if A.sensitivities is not None:
        x *= backend.to_device(inverse_sum_of_squares(A.sensitivities), backend.array_module(b))
    return reported(x, "zero_filled", start)


def root_sum_of_squares(A: Any, b: Array) -> tuple[Array, AnalyticInfo]:
    r"""The magnitude image of several coils without their sensitivities.

    .. math:: u = \sqrt{\sum_c |F^* W b_c|^2}

    It is the truth times √(Σ_c |S_c|²), where k-space is fully sampled.

    Parameters
    ----------
    A : CartesianMRI or NonCartesianMRI
        Maps that it may have are not used.
    b : array
        Data of shape A.dimsd, or a batch of them; where A has no maps, a leading axis are the coils.

    Returns
    -------
    x : array
        Real image of shape A.dims.
    info : AnalyticInfo

    Raises
    ------
    TypeError, ValueError
        where A is no MRI operator, or ``b`` does not fit A or is not finite.

    References
    ----------
    Roemer et al., The NMR phased array, Magn. Reson. Med. 16 (1990).

    Examples
    --------
    >>> import ipbox as ip
    >>> A, b, x_true, info = ip.problem("mri", size=64, coils=4)
    >>> x, info = ip.root_sum_of_squares(A, b)
    >>> x.dtype, float(x.min()) >= 0
    (dtype('float32'), True)
    """
    start = time.perf_counter()
    _check(A, b, "root_sum_of_squares")
    images = A.coil_images(b)
    with_coils = A.sensitivities is not None or b.ndim > len(A.dimsd)
    axis = images.ndim - len(A.dims) - 1
    xp = backend.array_module(b)
    x = xp.sqrt(sum_of_squares(xp.moveaxis(images, axis, 0))) if with_coils else xp.abs(images)
    return reported(x, "root_sum_of_squares", start)


def sense(
    A: Any,
    b: Array,
    noise_level: float | None = None,
    *,
    lam: float = 0.0,
    niter: int = 50,
    tol: float = 1e-3,
    x0: Array | None = None,
    **options: Any,
) -> tuple[Array, Solution]:
    r"""SENSE: least squares with the coils' sensitivities, by conjugate gradients.

    .. math:: \min_u \tfrac12 \sum_c \|W F S_c u - b_c\|^2 + \tfrac{λ}{2} \|u\|^2

    Parameters
    ----------
    A : Operator
        `CartesianMRI` or `NonCartesianMRI` with sensitivities; any other operator is taken as well.
    b : array
        Data of shape A.dimsd, or a batch of them.
    noise_level : float, optional
        Expected norm of the noise δ, for λ = 0: stops at ‖Au - b‖ <= 1.01 δ too (discrepancy principle).
    lam : float
        λ >= 0; with 0, stopping early regularises.
    niter : int
        Bound on the iterations.
    tol : float
        Relative norm of the normal equations' residual at which to stop; radial and spiral data are less well
        conditioned, and profit from a smaller one where there is little noise.
    x0 : array, optional
        Start; zero by default, and then pixels where every map is zero stay zero.
    **options
        ``callbacks``, ``progress``, ``state`` of `solve`.

    Returns
    -------
    x : array
    info : Solution

    Raises
    ------
    ValueError, TypeError
        for λ < 0, λ > 0 together with a noise level, or data that do not fit A.

    References
    ----------
    Pruessmann et al., Advances in sensitivity encoding with arbitrary k-space trajectories, Magn. Reson. Med. 46
    (2001).

    Examples
    --------
    >>> import ipbox as ip
    >>> A, b, x_true, info = ip.problem("mri", size=64, coils=4, noise=0.0)
    >>> x, info = ip.sense(A, b)
    >>> bool(ip.psnr(abs(x), abs(x_true)) > ip.psnr(abs(ip.zero_filled(A, b)[0]), abs(x_true)))
    True
    """
    lam = check_not_negative(lam, "lam")
    if lam > 0 and noise_level is not None:
        raise ValueError(f"lam is {lam} and noise_level is {noise_level}; expected one of them")
    if lam > 0:
        return tikhonov(A, b, lam, tol=tol, niter=niter, x0=x0, **options)
    stop = stopping.residual(tol, every=1)
    return stopped_early(L2(as_operator(A), b), CGLS(), noise_level, niter, stop=stop, x0=x0, **options)


def _check(A: Any, b: Array, method: str) -> None:
    if not isinstance(A, CartesianMRI | NonCartesianMRI):
        raise TypeError(f"A is {type(A).__name__}; {method} expects a CartesianMRI or NonCartesianMRI")
    check_fits(A, check_data(b))
