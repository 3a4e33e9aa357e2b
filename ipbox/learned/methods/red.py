"""Reconstruction by RED, regularisation by denoising."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Unpack

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_choice, check_positive
from ipbox.functionals import L2, Box, Functional
from ipbox.functionals.core.composition import check_data
from ipbox.keywords import answering
from ipbox.learned.methods.plug_and_play import check_size, convergence, limits_of, tell_ground
from ipbox.learned.methods.slicewise import SlicewiseDenoiser, denoiser_for
from ipbox.learned.methods.start import starting_image
from ipbox.learned.priors.denoiser import Denoiser
from ipbox.learned.priors.monitor import LipschitzMonitor
from ipbox.learned.priors.red import GRADIENTS, RED
from ipbox.operators.core.adapters import image_operator
from ipbox.reconstruct.iterative.early_stopping import batch_of, compared
from ipbox.solvers import ADMM, HQS, ForwardBackward, Parts, Problem, Solution, State, solve, stopping
from ipbox.solvers.core.protocol import Solver
from ipbox.solvers.core.solve import SolveOptions
from ipbox.solvers.core.stop_rule import StopRule

METHODS = ("fixed_point", "steepest_descent", "admm")


@answering
def red(
    A: Any,
    b: Array,
    denoiser: Any,
    lam: float,
    sigma: float | None = None,
    *,
    method: str = "fixed_point",
    gradient: str = "residual",
    L: float = 1.0,
    tau: float | None = None,
    rho: float | None = None,
    niter: int = 200,
    tol: float = 1e-4,
    stop: StopRule | None = None,
    x0: Array | None = None,
    nonneg: bool = False,
    box: tuple[float, float] | None = None,
    scale: float = 1.0,
    channels: str | None = None,
    dtype: str | None = None,
    takes_sigma: bool | None = None,
    orientations: tuple[int, ...] | None = None,
    x_true: Array | None = None,
    shape: tuple[int, ...] | None = None,
    **options: Unpack[SolveOptions],
) -> tuple[Array, Solution]:
    """RED: solve A*(Au - b) + λ (u - D_σ(u)) = 0, as if from min ½‖Au - b‖² + λ/2 <u, u - D_σ(u)>.

    ====================  ==========================================================================
    ``method``            iteration
    ====================  ==========================================================================
    ``fixed_point``       (A*A + λ Id) u⁺ = A*b + λ D_σ(u)
    ``steepest_descent``  u ← u - τ (A*(Au - b) + λ ∇R(u)), ∇R as ``gradient`` says
    ``admm``              one pass v ← (λ D_σ(v) + ρ (u + y/ρ))/(λ + ρ) of R's prox in each iteration
    ====================  ==========================================================================

    Parameters
    ----------
    A : Operator
        Or a PyLops or SciPy operator, or a matrix.
    shape : tuple of int, optional
        Of the image, where A does not tell it (a matrix, a flat operator, two functions): see `as_operator`.
    b : array
        Data of shape A.dimsd, or a batch of them.
    denoiser : torch.nn.Module, callable or Denoiser
        As for `pnp`.
    lam : float
        Weight λ > 0 of the prior.
    sigma : float, optional
        Noise level of the denoiser, in the units of the image.
    method : str
    gradient : {"residual", "autograd", "energy"}
        As for `RED`; the last two are for ``"steepest_descent"``, and have an objective.
    L : float
        Lipschitz constant of ∇R, assumed: 1 where D is firmly non-expansive, 2 where it is non-expansive.
    tau : float, optional
        Step size of ``"steepest_descent"``, below 2/(‖A‖² + λL); by default half of that.
    rho : float, optional
        Of ``"admm"``; λ by default.
    niter : int
        Bound on the iterations.
    tol : float
        Stop where the relative residual of the equation is at most this; with ADMM where the image changes by less.
    stop : StopRule, optional
        Instead of that rule, e.g. ``ip.stop.discrepancy(noise_level)``; ``niter`` still holds.
    x0 : array, optional
        Start, as for `pnp`.
    nonneg, box : bool, (lo, hi)
        Constraint, for ``"steepest_descent"``, which projects in each step.
    scale, channels, dtype, takes_sigma
        As for `Denoiser`.
    orientations : tuple of int, optional
        As for `pnp`.
    x_true : array, optional
        The truth, where it is known: ``info.history["psnr"]`` and ``["nrmse"]`` have a value for each iterate.
    **options
        ``callbacks``, ``progress``, ``state`` of `solve`.

    Returns
    -------
    x : array
    info : Solution
        ``info.extra["sigma"]`` and ``info.extra["monitor"]`` as for `pnp`, and so are warnings.

    Raises
    ------
    ValueError, TypeError
        for λ <= 0, a method that is not known or cannot use what is given, and as `RED`.
    Diverged
        where the denoiser gives NaN, or the iteration grows without end; the error has the last good iterate.

    References
    ----------
    Romano, Elad and Milanfar, The little engine that could: regularization by denoising, SIAM J. Imaging Sci. 10
    (2017).

    Examples
    --------
    >>> import ipbox as ip
    >>> from skimage.restoration import denoise_tv_chambolle
    >>> A, b, x_true, info = ip.problem("blur", size=64)
    >>> x, run = ip.red(A, b, lambda x: denoise_tv_chambolle(x, weight=0.05), lam=0.02)
    >>> ip.psnr(x, x_true) > ip.psnr(b, x_true) + 1
    True
    """
    A = image_operator(A, shape)
    data, batch, lam = L2(A, check_data(b)), batch_of(A, b), check_positive(lam, "lam")
    limits = limits_of(nonneg, box)
    _check(method, gradient, limits, tau, rho)
    monitor = LipschitzMonitor()
    if isinstance(denoiser, Denoiser):
        if (sigma, scale, channels, dtype, takes_sigma, orientations) != (None, 1.0, None, None, None, None):
            raise ValueError(f"denoiser is {denoiser.name}; expected sigma, scale, channels and dtype given to that")
        D = denoiser.replaced(monitor=monitor)
    elif isinstance(denoiser, Functional):
        raise TypeError(f"denoiser is {denoiser.name}, a functional; expected a denoiser, as net or Denoiser(net)")
    else:
        given = dict(scale=scale, channels=channels, dtype=dtype, takes_sigma=takes_sigma)
        D = denoiser_for(tuple(A.dims), orientations, denoiser, sigma, **given, monitor=monitor)
    if isinstance(D, SlicewiseDenoiser) and gradient != "residual":
        raise ValueError(f"gradient is {gradient!r}, and {D.name} denoises slices; expected 'residual'")
    R = RED(D, gradient=gradient, L=L)
    solver: Solver
    if method == "steepest_descent":
        objective, solver = data + lam * R, ForwardBackward(tau)
        objective = objective if limits is None else objective + Box(*limits)
    elif method == "admm":
        objective, solver = data + lam * R, ADMM(lam if rho is None else rho, accuracy=1e-2)
    else:
        objective, solver = data + D, REDFixedPoint(schedule=(lam,), accuracy=1e-3)
    rule = stopping.relative_change(tol) if method == "admm" else stopping.residual(tol)
    rule = (rule if stop is None else stop) | stopping.niter(niter)
    if x0 is None and options.get("state") is None:
        x0 = starting_image(A, b)
    info = solve(Problem(objective, batch=batch), solver, x0=x0, stop=rule, **compared(options, x_true))
    check_size(info, data, batch, x0)
    info.extra["sigma"] = D.sigma
    info.extra["monitor"] = convergence("red", info, data, D)
    tell_ground(D, info.x, [] if D.sigma is None else [D.sigma])
    return info.x, info


def _check(method: str, gradient: str, limits: Any, tau: Any, rho: Any) -> None:
    check_choice(method, "method", METHODS), check_choice(gradient, "gradient", GRADIENTS)
    if method != "steepest_descent":
        for name, value, free in (
            ("gradient", gradient, "residual"),
            ("nonneg or box", limits, None),
            ("tau", tau, None),
        ):
            if value != free:
                raise ValueError(f"{name} is {value!r}, which {method} cannot use; expected method='steepest_descent'")
    if method != "admm" and rho is not None:
        raise ValueError(f"rho is {rho!r}, which {method} cannot use; expected method='admm'")


@dataclass(frozen=True)
class REDFixedPoint(HQS):
    """u⁺ = argmin_v E(v) + λ/2 ‖v - D(u)‖², λ = ρ: half-quadratic splitting whose image is u instead of D(u)."""

    def step(self, p: Parts, s: State) -> None:
        super().step(p, s)
        s.x[...] = s.u

    def residual(self, p: Parts, s: State) -> Any:
        """‖∇E(u) + λ(u - D(u))‖ relative to λ‖u‖."""
        r = p.smooth.grad(s.u) + s.rho * (s.u - p.prox.prox(s.u, 1 / s.rho))
        size, r = (np.sqrt(backend.sum_squares(a, p.batch is not None)) for a in (s.u, r))
        return r / np.maximum(s.rho * size, np.finfo(np.float32).tiny)


FixedPoint = REDFixedPoint  # its name of old
