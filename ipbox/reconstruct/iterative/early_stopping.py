"""Iterative regularisation: iterations that are stopped early."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Unpack

import numpy as np

from ipbox.backend import Array
from ipbox.checks import check_flag, shown
from ipbox.functionals import KL, L2, Box, Functional
from ipbox.functionals.core.composition import check_data
from ipbox.functionals.fidelities.l2 import Fidelity
from ipbox.keywords import answering
from ipbox.operators import as_operator
from ipbox.reconstruct.iterative.iterates import asked_for
from ipbox.reconstruct.weights import weighted
from ipbox.solvers import CGLS, ForwardBackward, GradientDescent, Problem, Solution, Solver, callbacks, solve, stopping
from ipbox.solvers.core.solve import SolveOptions
from ipbox.warning import warn


class EarlyOptions(SolveOptions, total=False):
    """What methods that are stopped early take beside their own."""

    x0: Array | None
    stop: stopping.StopRule | None
    safety: float
    x_true: Array | None


@answering
def landweber(
    A: Any,
    b: Array,
    noise_level: float | None = None,
    *,
    niter: int | Sequence[int] = 1000,
    tau: float | None = None,
    nonneg: bool = False,
    box: tuple[float, float] | None = None,
    weights: Array | None = None,
    shape: tuple[int, ...] | None = None,
    **options: Unpack[EarlyOptions],
) -> tuple[Array, Solution]:
    """Landweber's iteration u ← P(u - τ A*(Au - b)), stopped by the discrepancy principle; P projects onto bounds.

    Parameters
    ----------
    A : Operator
    shape : tuple of int, optional
        Of the image, where A does not tell it (a matrix, a flat operator, two functions): see `as_operator`.
    b : array
        Data of shape A.dimsd.
    noise_level : float, optional
        Expected norm of the noise δ: stops at ‖Au - b‖ <= safety · δ.  Without it ``niter`` iterations are done.
    niter : int or sequence of int
        Bound on the iterations; of several numbers the largest, and the iterates with these numbers are kept.
    tau : float, optional
        0 < τ < 2/‖A‖²; 1/‖A‖² by default.
    nonneg : bool
        P projects onto u >= 0 (projected Landweber).
    box : (lo, hi), optional
        P projects onto lo <= u <= hi.
    weights : array, optional
        w >= 0 (or a mask) in the shape of the data, or one for each entry of their first axis (views): ½ Σ_i w_i (Au -
        b)_i² takes the place of ½‖Au - b‖², √w A that of A, and ``noise_level`` is that of √w b: of a mask, the norm of
        the noise on the readings that count.  Readings with w = 0 are not used.
    x0 : array, optional
        Start; zero by default.
    safety : float
        Factor on the noise level.
    x_true : array, optional
        The truth, where it is known: ``info.history["psnr"]`` and ``["nrmse"]``, the relative error, have a value for
        each iterate, and the best one is kept in ``info.extra["best"]``.
    **options
        ``callbacks``, ``progress``, ``state`` of `solve`.

    Returns
    -------
    x : array
    info : Solution
        ``info.stop`` names the rule that fired; with ``x_true``, ``info.extra["best"]`` has the ``x``, ``k`` and
        ``psnr`` of the best iterate; of several ``niter``, ``info.extra["iterates"]`` has the images, by their numbers.

    Raises
    ------
    ValueError, TypeError
        for data that do not fit A, a negative noise level, a step size beyond its bound, weights that are negative
        or have another shape, or ``nonneg`` with ``box``.

    References
    ----------
    Landweber, Amer. J. Math. 73 (1951); Engl, Hanke and Neubauer, Regularization of Inverse Problems, 1996, chapter 6;
    projected Eicke, Numer. Funct. Anal. Optim. 13 (1992).

    Examples
    --------
    >>> import ipbox as ip
    >>> A, b, x_true, info = ip.problem("ct", image="shepp-logan", size=64, views=60, noise=0.05)
    >>> x, run = ip.landweber(A, b, noise_level=info.noise_level, nonneg=True, x_true=x_true)
    >>> run.stop, float(x.min()) >= 0, len(run.history["nrmse"]) == run.niter + 1
    ('discrepancy', True, True)
    """
    constraint = make_constraint(nonneg, box)
    solver = GradientDescent(tau) if constraint is None else ForwardBackward(tau)
    data = L2(*weighted(as_operator(A, shape), b, weights))
    return stopped_early(data, solver, noise_level, niter, R=constraint, **options)


@answering
def cgls(
    A: Any,
    b: Array,
    noise_level: float | None = None,
    *,
    niter: int | Sequence[int] = 100,
    weights: Array | None = None,
    shape: tuple[int, ...] | None = None,
    **options: Unpack[EarlyOptions],
) -> tuple[Array, Solution]:
    """Conjugate gradients for min Σ_i w_i (Au - b)_i², w = 1 without ``weights``, stopped by the discrepancy principle.

    Parameters and returns are those of `landweber` but ``tau``, ``nonneg`` and ``box``; it needs far fewer iterations,
    so overshooting costs more.

    References
    ----------
    Hanke, Conjugate Gradient Type Methods for Ill-Posed Problems, 1995.

    Examples
    --------
    >>> import ipbox as ip
    >>> A, b, x_true, info = ip.problem("ct", image="shepp-logan", size=64, views=60, noise=0.05)
    >>> x, info = ip.cgls(A, b, noise_level=info.noise_level)
    >>> info.niter < 20
    True
    >>> x, info = ip.cgls(A, b, niter=[1, 5, 10])
    >>> list(info.extra["iterates"]), bool((info.extra["iterates"][10] == x).all())
    ([1, 5, 10], True)
    """
    return stopped_early(L2(*weighted(as_operator(A, shape), b, weights)), CGLS(), noise_level, niter, **options)


def stopped_early(
    data: Fidelity,
    solver: Solver,
    noise_level: Any,
    niter: int | Sequence[int],
    *,
    R: Functional | None = None,
    stop: stopping.StopRule | None = None,
    safety: float = 1.01,
    x_true: Array | None = None,
    **options: Any,
) -> tuple[Array, Solution]:
    """Minimise ``data`` + R until the discrepancy principle stops, keeping the best iterate where the truth is known.

    ``noise_level`` is a number, "poisson" for the discrepancy of counts, or None; ``stop`` is a further rule, and
    ``options`` are those of `solve`.
    """
    batch = batch_of(data.A, data.b)
    if batch is None and not isinstance(noise_level, str) and np.ndim(noise_level):  # as IR Tools has the third one
        raise ValueError(f"noise_level is {shown(noise_level)}; expected a number, or niter= for iterates to keep")
    most, keep = asked_for(niter, batch)
    rule = stopping.niter(most) if stop is None else stop | stopping.niter(most)
    if isinstance(data, KL) and isinstance(noise_level, str):
        if noise_level != "poisson":
            raise ValueError(f"noise_level is {noise_level!r}; expected a number or 'poisson'")
        rule = stopping.poisson_discrepancy(safety) | rule
    elif noise_level is not None:
        rule = stopping.discrepancy(noise_level, safety) | rule
    best = None if x_true is None else callbacks.Best(x_true)
    if best is not None:
        options = compared(options, x_true)
        options["callbacks"] = [best, *options["callbacks"]]
    if keep is not None:
        options["callbacks"] = [keep, *(options.get("callbacks") or ())]
    problem = Problem(data if R is None else data + R, batch=batch)
    info = solve(problem, solver, stop=rule, **options)
    if keep is not None:
        info.extra["iterates"] = keep.kept(info.state.loop)
    if best is not None:
        info.extra["best"] = {"x": best.x, "k": best.k, "psnr": best.value}
    if noise_level is not None:
        warn_of_niter(info, most)
    if not isinstance(noise_level, str) and options.get("x0") is None and options.get("state") is None:
        warn_of_nothing(info, noise_level)
    return info.x, info


def warn_of_nothing(info: Solution, noise_level: float | None) -> None:
    """Say where the first image, of zeros, fits the data already: a level of noise that is no norm, as a rule."""
    if noise_level is not None and info.niter == 0 and "discrepancy" in info.stop:
        warn(
            f"noise_level is {noise_level:.4g}, and the start fits the data as well: no iteration was done; "
            "expected the norm of the noise, less than that of the data",
            RuntimeWarning,
        )


def warn_of_niter(info: Solution, niter: int) -> None:
    """Say once where the bound on the iterations has ended a run, and not the rule that was asked for."""
    if "niter" in (info.stop if isinstance(info.stop, list) else [info.stop]):
        warn(
            f"{type(info.solver).__name__} was ended by niter={niter} before its stop rule was fulfilled; "
            "expected more iterations, or a looser rule",
            RuntimeWarning,
        )


def compared(options: Any, x_true: Array | None) -> Any:
    """The options of `solve`, with PSNR and relative error of each iterate in the history where the truth is known."""
    if x_true is None:
        return options
    return {**options, "callbacks": [callbacks.Metrics(x_true, every=1), *options.get("callbacks", ())]}


def make_constraint(nonneg: bool, box: tuple[float, float] | None) -> Functional | None:
    """u >= 0, or lo <= u <= hi, or nothing."""
    if nonneg and box is not None:
        raise ValueError("nonneg and box are both given; expected one of them")
    if box is not None and not (isinstance(box, tuple | list) and len(box) == 2):
        raise TypeError(f"box is {shown(box)}; expected (lo, hi)")
    if check_flag(nonneg, "nonneg"):
        return Box(0.0, math.inf)
    return None if box is None else Box(*box)


def batch_of(A: Any, b: Array) -> int | None:
    """Number of samples where ``b`` has a batch axis."""
    return b.shape[0] if check_data(b).ndim > len(A.dimsd) else None
