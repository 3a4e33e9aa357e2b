"""Variational reconstruction: min_u D(Au, b) + λ R(u)."""

from __future__ import annotations

import os
from typing import Any, Unpack

from ipbox.backend import Array
from ipbox.checks import check_flag, check_type
from ipbox.functionals import L2, TV, Functional, Sum, WaveletL1
from ipbox.functionals.core.composition import check_data
from ipbox.functionals.fidelities.l2 import Fidelity
from ipbox.keywords import answering
from ipbox.operators import Gradient, as_operator
from ipbox.operators.core.adapters import image_operator, operator_or_none
from ipbox.reconstruct.iterative.early_stopping import make_constraint
from ipbox.reconstruct.variational.minimise import RunOptions, VariationalFamily, VariationalOptions, make_fidelity
from ipbox.solvers import CGLS, Solution, Solver

COLOURS = (3, 4)  # channels that an image's last axis may have


@answering
def tikhonov(
    A: Any,
    b: Array,
    lam: float | str,
    noise_level: float | None = None,
    *,
    gradient: bool = False,
    axes: tuple[int, ...] | None = None,
    tol: float = 1e-4,
    niter: int = 10_000,
    x0: Array | None = None,
    shape: tuple[int, ...] | None = None,
    **options: Unpack[RunOptions],
) -> tuple[Array, Solution]:
    """Tikhonov regularisation min_u ½‖Au - b‖² + λ/2 ‖u‖², or λ/2 ‖∇u‖² with ``gradient``.

    Parameters
    ----------
    A : Operator
    shape : tuple of int, optional
        Of the image, where A does not tell it (a matrix, a flat operator, two functions): see `as_operator`.
    b : array
        Data of shape A.dimsd.
    lam : float or str
        λ > 0, or the name of a rule that chooses it (`ipbox.choose`): ``"discrepancy"``, ``"l_curve"``, ``"gcv"``,
        ``"weighted_gcv"``, ``"sure"``, ``"quasi_optimality"`` or ``"balancing"``.
    noise_level : float, optional
        Expected norm of the noise, for the rules; with a number for λ it is not used.
    gradient : bool
        Penalise the gradient instead of the image.
    axes : tuple of int, optional
        With ``gradient``, those of the image along which it is taken, as in `tv`.
    tol : float
        Relative norm of the normal equations' residual at which conjugate gradients stop; the error of the image,
        which is bounded where the image itself is penalised, must be below 0.3 √tol too.
    niter : int
        Bound on the iterations; a warning says where it ended the run.
    x0 : array, optional
    x_true : array, optional
        The truth, where it is known: ``info.history["psnr"]`` and ``["nrmse"]``, the relative error, have a value for
        each iterate; with a rule for λ, so has its curve for each λ.
    **options
        ``callbacks``, ``progress``, ``state`` of `solve`; with a rule for λ those of the rule in `ipbox.choose`,
        such as ``lams``, the weights to try.

    Returns
    -------
    x : array
    info : Solution
        ``info.certificate`` bounds ‖x - x*‖ where the image itself is penalised; ``info.extra["choice"]`` is the
        `Choice` where a rule chose λ, ``info.extra["lam"]`` λ.

    Raises
    ------
    ValueError, TypeError
        for λ <= 0, or data that do not fit A.

    References
    ----------
    Engl, Hanke and Neubauer, Regularization of Inverse Problems, 1996, chapter 5.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> ip.tikhonov(np.eye(2), np.array([1.0, 2.0]), 1.0)[0]
    array([0.5, 1. ])
    """
    A = as_operator(A, shape)
    if not check_flag(gradient, "gradient") and axes is not None:
        raise ValueError(f"axes is {axes} and gradient is False; expected it with gradient=True, which couples pixels")
    R = L2(Gradient(tuple(image_operator(A).dims), A.dtype_in, axes=axes)) if gradient else L2()
    return VariationalFamily(L2(A, b), R, None, CGLS(), tol, niter, x0, options).choose(lam, noise_level)


@answering
def tv(
    A: Any,
    b: Array,
    lam: float | str,
    noise_level: float | None = None,
    *,
    isotropic: bool = True,
    axes: tuple[int, ...] | None = None,
    shape: tuple[int, ...] | None = None,
    **options: Unpack[VariationalOptions],
) -> tuple[Array, Solution]:
    """Total variation: min_u D(Au, b) + λ TV(u), D = ½‖Au - b‖², optionally with u >= 0 or lo <= u <= hi.

    Parameters
    ----------
    A : Operator or None
        None denoises.
    shape : tuple of int, optional
        Of the image, where A does not tell it (a matrix, a flat operator, two functions): see `as_operator`.
    b : array
        Data of shape A.dimsd.
    lam : float or str
        λ > 0, or the name of a rule that chooses it (`ipbox.choose`): ``"discrepancy"``, ``"l_curve"``, ``"gcv"``,
        ``"weighted_gcv"``, ``"sure"``, ``"quasi_optimality"`` or ``"balancing"``.
    noise_level : float, optional
        Expected norm of the noise, for the rules; with a number for λ it is not used.
    fidelity : str or Fidelity
        ``"l2"``, ``"l1"`` (impulse noise), ``"kl"`` (counts; with the operator's background), or D itself, made of the
        same A and b.
    nonneg : bool
        Constrain u >= 0, exactly, as ``box`` does.
    box : (lo, hi), optional
        Constrain lo <= u <= hi.
    isotropic : bool
    axes : tuple of int, optional
        Those of the image that R couples, e.g. (-2, -1) for a stack of slices, slice by slice, or (0, 1) for an image
        whose channels come last; all of them by default, so that a volume is one in 3-D.  With an operator, a leading
        batch axis of ``b`` is none of the image's, and its samples are never coupled.
    tol : float
        Relative duality gap at which to stop where it is finite (denoising, or a bounded box); elsewhere fixed-point
        residual, relative and per unit of step.  The image must also have settled to about 0.3 √tol.
    niter : int
        Bound on the iterations; a warning says where it ended the run.
    x0 : array, optional
    memory : float, optional
        Bytes that it may take beside the data; by default those that are free.  A scan's volume that does not fit is
        solved in blocks of slices: see below.
    scratch : path, optional
        Folder on a disk for the files of a volume in blocks; by default that for temporary files.
    x_true : array, optional
        The truth, where it is known: ``info.history["psnr"]`` and ``["nrmse"]``, the relative error, have a value for
        each iterate; with a rule for λ, so has its curve for each λ.
    **options
        ``callbacks``, ``progress``, ``state`` of `solve`; with a rule for λ those of the rule in `ipbox.choose`,
        such as ``lams``, the weights to try.

    Returns
    -------
    x : array
    info : Solution
        ``info.extra["choice"]`` is the `Choice` where a rule chose λ, ``info.extra["lam"]`` λ.

    Notes
    -----
    Pixels that no coil of an MRI operator sees are 0 (`support` of A), as `sense` leaves them: the data do not know
    them, and the regulariser alone would fill them.

    From line integrals the first image is that of `fbp` or `fdk`, where A has one.  Volumes of 2²² voxels (161³) or
    more are solved in ten volumes of memory beside the data, by over-relaxed primal-dual steps that end in one pass
    over them; below, by steps whose sizes adapt too, in more than twice as much.  With ``progress=True`` it says what
    it needs before it starts.

    Where ten volumes do not fit, those of a scan (`ConeBeamTransform`, transforms by vectors, `SliceStack`) are files
    of ``scratch``, and it works through them in blocks of slices: the iterates are the same, bit for bit.  In memory
    are then six sets of data and three blocks; what else the process has of the files there, the system gives away
    where it is short.  The files have no names and are gone with ``x`` and ``info``, or with the process.

    Raises
    ------
    ValueError, TypeError
        for λ <= 0, a rule that cannot be served (an infeasible noise level, a batch), ``nonneg`` together with
        ``box``, or data that do not fit A.
    MemoryError, NotSaved
        for a volume that needs more memory than ``memory``, or than is free where it has 2²² voxels or more, and more
        than there is in blocks; where the disk is too small for these.

    References
    ----------
    Rudin, Osher and Fatemi, Physica D 60 (1992); Sidky, Jørgensen and Pan, Phys. Med. Biol. 57 (2012).

    Examples
    --------
    >>> import ipbox as ip
    >>> A, b, x_true, info = ip.problem("ct", image="shepp-logan", size=64, views=30)
    >>> x, info = ip.tv(A, b, lam=0.05, nonneg=True)
    >>> float(x.min()) >= 0
    True
    """
    A = operator_or_none(A, shape)
    return variational(A, b, TV(image_dims(A, b, axes), isotropic, axes=axes), lam, noise_level, **options)


@answering
def variational(
    A: Any,
    b: Array,
    R: Functional,
    lam: float | str,
    noise_level: float | None = None,
    *,
    fidelity: str | Fidelity = "l2",
    nonneg: bool = False,
    box: tuple[float, float] | None = None,
    solver: Solver | None = None,
    tol: float = 1e-4,
    niter: int = 10_000,
    x0: Array | None = None,
    shape: tuple[int, ...] | None = None,
    memory: float | None = None,
    scratch: str | os.PathLike[str] | None = None,
    **options: Unpack[RunOptions],
) -> tuple[Array, Solution]:
    """Variational reconstruction with any regulariser: min_u D(Au, b) + λ R(u), optionally constrained.

    Parameters
    ----------
    A : Operator or None
        None denoises.
    shape : tuple of int, optional
        Of the image, where A does not tell it (a matrix, a flat operator, two functions): see `as_operator`.
    b : array
        Data of shape A.dimsd.
    R : Functional
        Regulariser, e.g. ``ip.TV(A.dims)``, ``ip.WaveletL1(A.dims)`` or ``ip.L1() @ K``; not a sum.
    lam : float or str
        λ > 0, or the name of a rule that chooses it (`ipbox.choose`): ``"discrepancy"``, ``"l_curve"``, ``"gcv"``,
        ``"weighted_gcv"``, ``"sure"``, ``"quasi_optimality"`` or ``"balancing"``.
    noise_level : float, optional
        Expected norm of the noise, for the rules; with a number for λ it is not used.
    fidelity : str or Fidelity
        ``"l2"``, ``"l1"``, ``"kl"``, or D itself, made of the same A and b.
    nonneg : bool
        Constrain u >= 0, exactly, as ``box`` does.
    box : (lo, hi), optional
        Constrain lo <= u <= hi.
    solver : Solver, optional
        By default `CGLS` where all is quadratic, `FISTA` where D is smooth (with a Lipschitz constant not far above
        its curvature) and R has a cheap prox, `PDHG` for batches and where it is accelerated, else `AdaptivePDHG`.
    tol : float
        Relative duality gap at which to stop where it is finite; elsewhere fixed-point residual, relative and per unit
        of step.  The image must also have settled to about 0.3 √tol.
    niter : int
        Bound on the iterations of each solve; a warning says where it ended the run.
    x0 : array, optional
    memory : float, optional
        Bytes that it may take beside the data; by default those that are free.  TV of a scan that does not
        fit is solved in blocks of slices, as `tv` says.
    scratch : path, optional
        Folder on a disk for the files of a volume in blocks; by default that for temporary files.
    x_true : array, optional
        The truth, where it is known: ``info.history["psnr"]`` and ``["nrmse"]``, the relative error, have a value for
        each iterate; with a rule for λ, so has its curve for each λ.
    **options
        ``callbacks``, ``progress``, ``state`` of `solve`; with a rule for λ those of the rule in `ipbox.choose`,
        such as ``lams``, the weights to try; callbacks then see every inner solve, and the bar is over them.

    Returns
    -------
    x : array
    info : Solution
        ``info.extra["choice"]`` is the `Choice` where a rule chose λ, ``info.extra["lam"]`` λ.

    Notes
    -----
    Pixels that no coil of an MRI operator sees are 0, as in `tv`.

    Raises
    ------
    ValueError, TypeError
        for λ <= 0, a rule that cannot be served, terms that fit no solver, or data that do not fit A.
    MemoryError, NotSaved
        as `tv`.

    References
    ----------
    Scherzer, Grasmair, Grossauer, Haltmeier and Lenzen, Variational Methods in Imaging, 2009.

    Examples
    --------
    >>> import ipbox as ip
    >>> A, b, x_true, info = ip.problem("inpaint", size=64)
    >>> x, run = ip.variational(A, b, ip.WaveletL1(A.dims), "discrepancy", info.noise_level)
    >>> bool(abs(run.extra["choice"].curve["residual"] / info.noise_level - 1).min() < 0.01)
    True
    """
    if not isinstance(R, Functional) or isinstance(R, Sum):
        raise TypeError(
            f"R is {type(R).__name__}; expected one functional, such as ip.TV(A.dims), or "
            "ip.LearnedRegulariser(network)"
        )
    check_type(solver, "solver", Solver | None, "a configured solver, such as ip.PDHG()")
    constraint = make_constraint(nonneg, box)
    A = operator_or_none(A, shape)
    D = make_fidelity(fidelity, A, b)
    family = VariationalFamily(D, R, constraint, solver, tol, niter, x0, options, memory, scratch)
    return family.choose(lam, noise_level)


@answering
def wavelet(
    A: Any,
    b: Array,
    lam: float | str,
    noise_level: float | None = None,
    *,
    wavelet: str = "db4",
    levels: int | None = None,
    axes: tuple[int, ...] | None = None,
    shape: tuple[int, ...] | None = None,
    **options: Unpack[VariationalOptions],
) -> tuple[Array, Solution]:
    """Sparse wavelet coefficients: min_u ½‖Au - b‖² + λ ‖Wu‖₁, W orthogonal, without the coarsest approximation.

    Analysis and synthesis form are one and the same for an orthogonal W.  Pixels that no coil of an MRI operator sees
    are 0, as in `tv`.

    Parameters
    ----------
    A : Operator or None
        None denoises.
    shape : tuple of int, optional
        Of the image, where A does not tell it (a matrix, a flat operator, two functions): see `as_operator`.
    b : array
        Data of shape A.dimsd.
    lam : float or str
        λ > 0, or the name of a rule that chooses it (`ipbox.choose`): ``"discrepancy"``, ``"l_curve"``, ``"gcv"``,
        ``"weighted_gcv"``, ``"sure"``, ``"quasi_optimality"`` or ``"balancing"``.
    noise_level : float, optional
        Expected norm of the noise, for the rules; with a number for λ it is not used.
    wavelet : str
        As in `Wavelet`.
    levels : int, optional
        As `Wavelet` by default.
    axes : tuple of int, optional
        Those along which the image is transformed, as in `tv`.
    nonneg, box, tol, niter, x0, x_true, **options
        As in `variational`.

    Returns
    -------
    x : array
    info : Solution
        ``info.extra["choice"]`` is the `Choice` where a rule chose λ, ``info.extra["lam"]`` λ.

    Raises
    ------
    ValueError, TypeError
        as `variational` and `Wavelet`.

    References
    ----------
    Daubechies, Defrise and De Mol, Comm. Pure Appl. Math. 57 (2004); Beck and Teboulle, SIAM J. Imaging Sci. 2 (2009).

    Examples
    --------
    >>> import ipbox as ip
    >>> A, b, x_true, info = ip.problem("denoise", size=64)
    >>> x, run = ip.wavelet(A, b, "sure", info.noise_level)
    >>> ip.psnr(x, x_true) > ip.psnr(b, x_true) + 2
    True
    """
    A = operator_or_none(A, shape)
    return variational(A, b, WaveletL1(image_dims(A, b, axes), wavelet, levels, axes=axes), lam, noise_level, **options)


def image_dims(A: Any, b: Array, axes: Any = None) -> tuple[int, ...]:
    """Shape of the image, without an operator that of the data; refused where it may be one of colours."""
    if A is not None:
        return tuple(image_operator(A).dims)
    shape = check_data(b).shape
    if axes is None and len(shape) == 3 and shape[-1] in COLOURS:
        raise ValueError(
            f"b has shape {shape}, which may be an image of {shape[-1]} channels; expected axes=(0, 1) for each "
            "channel alone, or axes=(0, 1, 2) for a volume"
        )
    return shape
