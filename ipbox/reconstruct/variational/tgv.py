"""Reconstruction with total generalised variation."""

from __future__ import annotations

from typing import Any, Unpack

from ipbox.backend import Array
from ipbox.functionals import TGV
from ipbox.keywords import answering
from ipbox.operators.core.adapters import operator_or_none
from ipbox.reconstruct.variational.methods import image_dims, variational
from ipbox.reconstruct.variational.minimise import VariationalOptions
from ipbox.solvers import Solution


@answering
def tgv(  # type: ignore[misc]  # an option of others is an argument here
    A: Any,
    b: Array,
    lam: float | str,
    noise_level: float | None = None,
    *,
    beta: float = 2.0,
    axes: tuple[int, ...] | None = None,
    niter: int = 10_000,
    shape: tuple[int, ...] | None = None,
    **options: Unpack[VariationalOptions],
) -> tuple[Array, Solution]:
    """Total generalised variation: min_u D(Au, b) + λ TGV(u), D = ½‖Au - b‖², optionally with u >= 0 or lo <= u <= hi.

    Edges stay sharp as with `tv`, and ramps stay ramps instead of becoming stairs.

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
    beta : float
        β > 0 of `TGV`, in pixels: α1 = λ, α0 = λβ.  For large β it is TV up to affine images, for small β the second
        differences alone count.
    axes : tuple of int, optional
        Those of the image that TGV couples, as in `tv`.
    fidelity : str or Fidelity
        ``"l2"``, ``"l1"`` (impulse noise), ``"kl"`` (counts; with the operator's background), or D itself, made of the
        same A and b.
    nonneg : bool
        Constrain u >= 0, exactly, as ``box`` does.
    box : (lo, hi), optional
        Constrain lo <= u <= hi.
    tol : float
        Relative duality gap at which to stop where it is finite (denoising, or a bounded box); elsewhere fixed-point
        residual, relative and per unit of step.  The image must also have settled to about 0.3 √tol.
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
        ``info.state.aux[0][0]`` is v, the slope of the affine pieces; ``info.extra["choice"]`` is the `Choice` where a
        rule chose λ, ``info.extra["lam"]`` λ.

    Notes
    -----
    A volume needs about 80 times its memory, beside the data: slopes, their differences and the dual variables are 13
    volumes, of which the steps keep several.

    Raises
    ------
    ValueError, TypeError
        for λ <= 0 or β <= 0, a rule that cannot be served (an infeasible noise level, a batch), ``nonneg`` together
        with ``box``, or data that do not fit A.

    References
    ----------
    Bredies, Kunisch and Pock, SIAM J. Imaging Sci. 3 (2010); Knoll, Bredies, Pock and Stollberger, Magn. Reson. Med. 65
    (2011).

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> ramp = np.add.outer(np.linspace(0, 1, 24), np.linspace(0, 0.5, 20))
    >>> b = ramp + 0.1 * np.random.default_rng(0).standard_normal(ramp.shape)
    >>> errors = [np.linalg.norm(f(None, b, lam=0.2)[0] - ramp) for f in (ip.tgv, ip.tv)]
    >>> bool(errors[0] < 0.6 * errors[1])
    True
    """
    A = operator_or_none(A, shape)
    dims = image_dims(A, b, axes)
    if A is None and axes is None and len(dims) not in (2, 3):
        raise ValueError(f"b has shape {dims}; expected an image of two or three axes, or axes=(-2, -1)")
    return variational(A, b, TGV(dims, beta, axes=axes), lam, noise_level, niter=niter, **options)
