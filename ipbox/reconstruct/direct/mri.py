"""MRI without iterations, and SENSE."""

from __future__ import annotations

import time
from typing import Any, Unpack

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_not_negative
from ipbox.functionals import L2
from ipbox.functionals.core.composition import check_data
from ipbox.functionals.fidelities.l2 import check_fits
from ipbox.keywords import answering
from ipbox.operators import CartesianMRI, NonCartesianMRI, as_operator
from ipbox.operators.mri.coils import inverse_sum_of_squares, root_of_squares
from ipbox.reconstruct.direct.info import AnalyticInfo, reported
from ipbox.reconstruct.iterative.early_stopping import batch_of, stopped_early
from ipbox.reconstruct.iterative.held_out import HeldOut, held_out_iterations
from ipbox.reconstruct.variational.methods import tikhonov
from ipbox.reconstruct.variational.minimise import RunOptions
from ipbox.solvers import CGLS, Solution, stopping


@answering
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


@answering
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
    x = root_of_squares(xp.moveaxis(images, axis, 0)) if with_coils else xp.abs(images)
    return reported(x, "root_sum_of_squares", start)


@answering
def sense(
    A: Any,
    b: Array,
    noise_level: float | None = None,
    *,
    lam: float | str | None = None,
    covariance: Array | None = None,
    niter: int = 50,
    tol: float = 1e-3,
    x0: Array | None = None,
    **options: Unpack[RunOptions],
) -> tuple[Array, Solution]:
    r"""SENSE: least squares with the coils' sensitivities, by conjugate gradients, regularised.

    .. math:: \min_u \tfrac12 \sum_c \|W F S_c u - b_c\|^2 + \tfrac{λ}{2} \|u\|^2

    Parameters
    ----------
    A : Operator
        `CartesianMRI` or `NonCartesianMRI` with sensitivities; any other operator is taken as well.
    b : array
        Data of shape A.dimsd, or a batch of them.
    noise_level : float, optional
        Expected norm of the noise δ: stops at ‖Au - b‖ <= 1.01 δ (discrepancy principle), or is what a rule for λ
        needs.
    lam : float or str, optional
        λ > 0, or the name of a rule that chooses it as in `tikhonov`.  By default λ = 0 and stopping early
        regularises: by ``noise_level``, and without one by cross-validation, after as many iterations as predict a
        random tenth of the data best that were held out.  0: iterate to ``tol``, also where noise is amplified.
    covariance : array, (coils, coils), optional
        Of the coils' noise, as measured without an object: data and maps are whitened first (`prewhiten`), and
        ``noise_level`` and λ are those of whitened data.
    niter : int
        Bound on the iterations.
    tol : float
        Relative norm of the normal equations' residual at which to stop; radial and spiral data are less well
        conditioned, and profit from a smaller one where there is little noise.
    x0 : array, optional
        Start; zero by default, and then pixels where every map is zero stay zero.
    x_true : array, optional
        The truth, where it is known: as in `landweber`.
    **options
        ``callbacks``, ``progress``, ``state`` of `solve`; with ``state``, nothing is held out.

    Returns
    -------
    x : array
    info : Solution
        ``info.stop`` is ``"HeldOut"`` and ``info.extra["held_out"]`` has the relative errors by iteration where
        cross-validation stopped.

    Raises
    ------
    ValueError, TypeError
        for λ < 0, a number λ > 0 together with a noise level, data that do not fit A, or a covariance that is not
        Hermitian and positive definite.

    References
    ----------
    Pruessmann et al., Advances in sensitivity encoding with arbitrary k-space trajectories, Magn. Reson. Med. 46
    (2001); Qu et al., Convergence behavior of iterative SENSE reconstruction with non-Cartesian trajectories, Magn.
    Reson. Med. 54 (2005).

    Examples
    --------
    >>> import ipbox as ip
    >>> A, b, x_true, info = ip.problem("mri", size=64, coils=4, noise=0.0)
    >>> x, info = ip.sense(A, b)
    >>> bool(ip.psnr(abs(x), abs(x_true)) > ip.psnr(abs(ip.zero_filled(A, b)[0]), abs(x_true)))
    True
    """
    A = as_operator(A)
    if covariance is not None:
        A, b = prewhiten(A, b, covariance)
    if not isinstance(lam, str | None):
        lam = check_not_negative(lam, "lam")
        if lam > 0 and noise_level is not None:
            raise ValueError(f"lam is {lam} and noise_level is {noise_level}; expected one of them")
    if lam:
        return tikhonov(A, b, lam, noise_level, tol=tol, niter=niter, x0=x0, **options)
    stop, best = stopping.residual(tol, every=1), None
    errors: list[float] = []
    if lam is None and noise_level is None and options.get("state") is None:
        check_fits(A, check_data(b))
        coils = isinstance(A, CartesianMRI | NonCartesianMRI) and A.sensitivities is not None
        limit = stopping.niter(niter) if batch_of(A, b) else stop | stopping.niter(niter)
        best, errors = held_out_iterations(A, b, CGLS(), limit, coils, x0)
    x, info = stopped_early(L2(A, b), CGLS(), noise_level, niter if best is None else best, stop=stop, x0=x0, **options)
    if best is not None:
        info.stop, info.extra["held_out"] = HeldOut.__name__, errors
    return x, info


@answering
def prewhiten(A: CartesianMRI | NonCartesianMRI, b: Array, covariance: Array) -> tuple[Any, Array]:
    r"""Data and operator of virtual coils whose noise is white, of variance 1, and independent.

    .. math:: b \leftarrow L^{-1} b, \quad S \leftarrow L^{-1} S, \qquad Ψ = L L^*

    Parameters
    ----------
    A : CartesianMRI or NonCartesianMRI
        With sensitivities.
    b : array
        Data of shape A.dimsd, or a batch of them.
    covariance : array, (coils, coils)
        Ψ = E n n*, Hermitian and positive definite: of a scan without an object, ``np.cov``.

    Returns
    -------
    A : operator of the same kind
    b : array
        The norm of its noise is √m for m measured values (complex: E|n|² = 1).

    Raises
    ------
    ValueError, TypeError
        for a covariance of another shape or not Hermitian and positive definite, or another operator.

    References
    ----------
    Pruessmann et al., Advances in sensitivity encoding with arbitrary k-space trajectories, Magn. Reson. Med. 46
    (2001), appendix.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> A, b, x_true, info = ip.problem("mri", size=64, coils=4)
    >>> white, c = ip.prewhiten(A, b, np.diag([1.0, 4.0, 1.0, 1.0]))
    >>> bool(np.allclose(c[1], 0.5 * b[1])), bool(np.allclose(white.apply(x_true)[1], 0.5 * A.apply(x_true)[1]))
    (True, True)
    """
    _check(A, b, "prewhiten")
    if A.sensitivities is None:
        raise ValueError("A has no sensitivities; prewhiten expects an operator of several coils")
    P, coils = np.asarray(backend.to_host(covariance)), A.dimsd[0]
    if P.shape != (coils, coils) or P.dtype.kind not in "iufc":
        raise ValueError(f"covariance has shape {P.shape} and dtype {P.dtype}; expected numbers, ({coils}, {coils})")
    hermitian = np.isfinite(P).all() and abs(P - P.conj().T).max() <= 1e-5 * abs(P).max()
    if not (hermitian and (values := np.linalg.eigvalsh(P))[0] > 1e-12 * values[-1]):
        raise ValueError("covariance is not Hermitian and positive definite; expected that of the coils' noise")
    whiten = np.linalg.inv(np.linalg.cholesky(P)).astype(A.dtype_out)
    axis, xp = b.ndim - len(A.dimsd), backend.array_module(b)
    c = xp.moveaxis(xp.tensordot(xp.asarray(whiten), b, axes=(1, axis)), 0, axis)
    return A.with_sensitivities(np.tensordot(whiten, A.sensitivities, axes=1)), xp.ascontiguousarray(c)


def _check(A: Any, b: Array, method: str) -> None:
    if not isinstance(A, CartesianMRI | NonCartesianMRI):
        raise TypeError(f"A is {type(A).__name__}; {method} expects a CartesianMRI or NonCartesianMRI")
    check_fits(A, check_data(b))
