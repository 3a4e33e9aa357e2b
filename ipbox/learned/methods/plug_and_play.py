"""Plug-and-play reconstruction: a denoiser in the place of a proximal operator."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Unpack

import numpy as np

from ipbox.backend import Array, array_module, norm, sum_squares
from ipbox.checks import check_choice, check_positive
from ipbox.functionals import L2, Functional
from ipbox.functionals.core.composition import check_data
from ipbox.functionals.fidelities.l2 import standard_deviation
from ipbox.groups import Group
from ipbox.keywords import answering
from ipbox.learned.methods.balance import BalancedADMM, BalancedHQS
from ipbox.learned.methods.slicewise import denoiser_for
from ipbox.learned.methods.start import starting_image
from ipbox.learned.priors.denoiser import Denoiser
from ipbox.learned.priors.monitor import Convergence, LipschitzMonitor
from ipbox.learned.priors.signature import noise_argument, unwrapped
from ipbox.operators import Operator, as_operator
from ipbox.operators.core.adapters import image_operator
from ipbox.reconstruct.domain import ImageDomain, Stated
from ipbox.reconstruct.iterative.early_stopping import batch_of, compared, make_constraint
from ipbox.solvers import ADMM, FISTA, HQS, PDHG, ForwardBackward, Problem, Solution, Solver, solve, stopping
from ipbox.solvers.core.divergence import Diverged
from ipbox.solvers.core.solve import SolveOptions
from ipbox.solvers.core.stop_rule import StopRule

ACCURACY = {"hqs": 1e-3, "admm": 1e-2}  # of the conjugate gradients for u
BALANCED = {"hqs": BalancedHQS, "admm": BalancedADMM}
OF_THE_DENOISER: dict[str, Any] = dict(scale=None, channels=None, strength=1.0, dtype=None, takes_sigma=None)
OF_THE_DENOISER |= dict(
    equivariant=None, average=False, seed=0, orientations=None
)  # what a Denoiser that is given has already
METHODS = ("hqs", "forward_backward", "fista", "admm", "pdhg")
LAM = 0.23  # of Zhang et al. 2021
FIRST = 49 / 255  # where their noise levels begin, in units of the image's scale
STEPS = 8
TOO_LARGE = 10.0  # ‖Ax - b‖/‖b‖


@answering
def pnp(
    A: Any,
    b: Array,
    denoiser: Any,
    *,
    sigma: float | Sequence[float] | None = None,
    noise_level: float | None = None,
    method: str | None = None,
    lam: float | None = None,
    tau: float | None = None,
    rho: float | None = None,
    niter: int | None = None,
    tol: float = 1e-4,
    stop: StopRule | None = None,
    x0: Array | None = None,
    nonneg: bool = False,
    box: tuple[float, float] | None = None,
    scale: float | None = None,
    channels: str | None = None,
    strength: float = 1.0,
    dtype: str | None = None,
    takes_sigma: bool | None = None,
    equivariant: Group | None = None,
    average: bool = False,
    seed: int = 0,
    orientations: tuple[int, ...] | None = None,
    x_true: Array | None = None,
    shape: tuple[int, ...] | None = None,
    **options: Unpack[SolveOptions],
) -> tuple[Array, Solution]:
    """Plug-and-play: a method for min ½‖Au - b‖² + R(u) with a denoiser D_σ in the place of R's proximal operator.

    ====================  ====================================================================  ==================
    ``method``            iteration, E(u) = ½‖Au - b‖²                                          fixed points
    ====================  ====================================================================  ==================
    ``hqs``               u = argmin_v E(v) + ρ_k/2 ‖v - x‖²,  x ← D_σ_k(u)  (DPIR)             x = D(prox_{E/ρ} x)
    ``forward_backward``  x ← D_σ(x - τ∇E(x))                                                   x = D(x - τ∇E(x))
    ``fista``             the same with momentum                                                the same
    ``admm``              x = D_σ(u + y/ρ),  y ← y + ρ(u - x),  u = prox_{E/ρ}(x - y/ρ)         the same, τ = 1/ρ
    ``pdhg``              x ← D_σ(x - τA*y),  y ← prox_{sE*}(y + sA(2x⁺ - x))                   the same
    ====================  ====================================================================  ==================

    Parameters
    ----------
    A : Operator
        Or a PyLops or SciPy operator, or a matrix.
    shape : tuple of int, optional
        Of the image, where A does not tell it (a matrix, a flat operator, two functions): see `as_operator`.
    b : array
        Data of shape A.dimsd, or a batch of them.
    denoiser : torch.nn.Module, callable, Denoiser or Functional
        ``net(x, sigma)`` or ``net(x)``; a `Denoiser` brings its own noise level and layout; another functional is
        taken by its proximal operator.
    sigma : float or sequence, optional
        Noise level σ of the denoiser, in the units of the image; for ``"hqs"`` the last one, to which they fall from
        49/255 · ``scale`` by a constant factor, or all of them; where ``scale`` is not given, from 49/255 of the
        largest value of the first steepest-descent iterate.  By default s/‖A‖, s = noise_level/√m the standard
        deviation of the m data's noise; twice that where σ is fixed.
    noise_level : float, optional
        Expected norm of the noise.
    method : str, optional
        ``"hqs"`` by default, and ``"admm"`` where the network takes no noise level.
    lam : float, optional
        Weight of the prior, the same in ``"hqs"``, ``"admm"`` and ``"pdhg"``: ρ_k = lam s²/σ_k², 0.23 by default; ρ =
        lam ‖A‖² where the network takes no noise level and ``sigma``, that which it removes, is not given.
    tau : float, optional
        Step size of ``"forward_backward"`` (below 2/‖A‖²; 1/‖A‖² by default), ``"fista"`` (at most 1/‖A‖²) and
        ``"pdhg"`` (any; by default 1/ρ as for ``"admm"``).  The larger, the more weight the data have.
    rho : float, optional
        ρ of ``"admm"``, and the last one of ``"hqs"``, instead of that by ``lam``.  Where the network takes no noise
        level, and neither of ``rho``, ``lam`` and ``sigma`` is given, these two methods find ρ by the discrepancy
        principle: in the first 60 iterations it is moved to where ‖Ax - b‖ is the noise level.
    niter : int, optional
        Bound on the iterations; 8 for ``"hqs"`` whose noise levels fall, else 100.
    tol : float
        Stop where the relative fixed-point residual is at most this, checked every ten iterations (not for ``"hqs"``,
        unless all its noise levels are the same).
    stop : StopRule, optional
        Instead of that rule, e.g. ``ip.stop.discrepancy(noise_level)``; ``niter`` still holds.
    x0 : array, optional
        Start; by default an analytical reconstruction (tomography, MRI), else ten conjugate gradient steps.
    nonneg, box : bool, (lo, hi)
        Project what the denoiser gives.
    scale, channels, strength, dtype, takes_sigma
        As for `Denoiser`; without ``scale`` the denoiser sees images as they are: a network needs it where their values
        are not those that it was trained on.
    equivariant, average, seed
        As for `Denoiser`: with a group, such as ``ip.groups.Dihedral(4)``, an element that is drawn in each iteration
        turns what the denoiser is given, and its inverse what it gives; with ``average`` all elements do.  Where
        elements are drawn the iterates do not settle: expected ``niter``, and no rule on the residual.
    orientations : tuple of int, optional
        Of a volume (nz, ny, nx): the axes across which it is cut into the slices that the denoiser is given, whose mean
        is taken (`SlicewiseDenoiser`).  All three by default, (0,) for a stack of images; a network with convolutions
        in three dimensions is given the volume.
    x_true : array, optional
        The truth, where it is known: ``info.history["psnr"]`` and ``["nrmse"]`` have a value for each iterate.
    **options
        ``callbacks``, ``progress``, ``state`` of `solve`.

    Returns
    -------
    x : array
    info : Solution
        ``info.extra["sigma"]``: the noise level that the denoiser was given, the list of those of each iteration, or
        None where it takes none; ``info.extra["rho"]``: the last ρ of HQS and ADMM; ``info.extra["monitor"]``: a
        `Convergence`, with local Lipschitz constants of the denoiser and what they mean, in words.  There is no
        objective.

    Warns
    -----
    OutsideDomain
        where a denoiser of `pretrained` was given values or noise levels that it was not trained on.

    Raises
    ------
    ValueError, TypeError
        for a method that is not known, strengths that are missing or out of range, and as `Denoiser`.
    Diverged
        where the denoiser gives NaN, or the iteration grows without end; the error has the last good iterate.

    Notes
    -----
    Conjugate gradients find u for ``"hqs"`` and ``"admm"``, in about as many iterations as ‖A‖/√ρ says, times a
    factor: most of the time goes to the first steps of ``"hqs"``, whose ρ_k are small.  ``sigma`` as a short list that
    begins lower leaves those out; ``"forward_backward"`` applies A and A* once in each iteration.

    At a fixed point E(x) is whatever it is: a rule E(x) < δ may never stop.  The data and the prior are balanced by σ
    and by τ or 1/ρ.

    References
    ----------
    Venkatakrishnan, Bouman and Wohlberg, GlobalSIP 2013; Terris, Moreau, Pustelnik and Tachella, Equivariant
    plug-and-play image reconstruction, CVPR 2024; Zhang et al., Plug-and-play image restoration with deep
    denoiser prior, IEEE Trans. Pattern Anal. 44 (2021); Ryu et al., Plug-and-play methods provably converge with
    properly trained denoisers, ICML 2019.

    Examples
    --------
    >>> import ipbox as ip
    >>> from skimage.restoration import denoise_tv_chambolle
    >>> A, b, x_true, info = ip.problem("blur", size=64)
    >>> tv = lambda x, sigma: denoise_tv_chambolle(x, weight=sigma)
    >>> x, run = ip.pnp(A, b, tv, noise_level=info.noise_level)
    >>> ip.psnr(x, x_true) > ip.psnr(b, x_true) + 1
    True
    """
    is_image = not isinstance(denoiser, Functional) or isinstance(denoiser, Denoiser)
    A = image_operator(A, shape) if is_image else as_operator(A, shape)
    data, batch = L2(A, check_data(b)), batch_of(A, b)
    noise = None if noise_level is None else standard_deviation(noise_level, b, batch)
    given: dict[str, Any] = dict(scale=scale, channels=channels, strength=strength, dtype=dtype)
    given |= dict(box=limits_of(nonneg, box), equivariant=equivariant, average=average, seed=seed)
    given |= dict(orientations=orientations, takes_sigma=takes_sigma)
    check_positive(tol, "tol")
    blind = _is_blind(denoiser, takes_sigma)
    method = check_choice(("admm" if blind else "hqs") if method is None else method, "method", METHODS)
    first: Any
    solver: Any
    R: Any
    R, levels = _prior(denoiser, sigma, noise, A, method, niter, given, lambda: _size(A, b), blind)
    first = _rho(method, tau, rho, lam, noise, levels, A)
    if blind and method in BALANCED and rho is None and lam is None and sigma is None:
        solver = BALANCED[method](first / 4, accuracy=ACCURACY[method], noise_level=noise_level)
    else:
        solver = _solver(method, tau, first, levels)
    changing = len(set(levels)) > 1
    if changing:
        R = R.replaced(lam=solver.schedule[-1] * levels[-1] ** 2)  # so that σ_k = √(lam/ρ_k)
    if isinstance(R, Denoiser):
        R = R.replaced(monitor=LipschitzMonitor())
    rule = stopping.niter((len(levels) if changing else 100) if niter is None else niter)
    if stop is not None or not changing:
        rule = (stopping.residual(tol) if stop is None else stop) | rule
    if x0 is None and options.get("state") is None:
        x0 = starting_image(A, b, noise_level)
    info = solve(Problem(data + R, batch=batch), solver, x0=x0, stop=rule, **compared(options, x_true))
    check_size(info, data, batch, x0)
    if isinstance(solver, ADMM | HQS):
        info.extra["rho"] = float(info.state.rho)
    info.extra["sigma"] = R.monitor.sigma if isinstance(R, Denoiser) and R.monitor is not None else None
    info.extra["monitor"] = convergence(method, info, data, R)
    tell_ground(R, info.x, levels)
    return info.x, info


def _is_blind(denoiser: Any, takes_sigma: bool | None) -> bool:
    """Whether the denoiser is a network or a function that takes no noise level."""
    if isinstance(denoiser, Functional):
        return False
    return callable(denoiser) and noise_argument(denoiser, takes_sigma) is None


def _prior(
    denoiser: Any,
    sigma: Any,
    noise: float | None,
    A: Operator,
    method: str,
    niter: Any,
    given: dict[str, Any],
    size: Callable[[], float],
    blind: bool,
) -> tuple[Functional, list[float]]:
    """The denoiser as a functional, and its noise levels: of each iteration, or one, or none."""
    if not isinstance(denoiser, Functional):
        scale = given["scale"]
        levels = _levels(sigma, noise, A, size if scale is None else lambda: scale, method, niter, blind)
        given = given | {"scale": 1.0 if scale is None else scale, "takes_sigma": not blind}
        orientations, given = given["orientations"], {k: v for k, v in given.items() if k != "orientations"}
        D = denoiser_for(tuple(A.dims), orientations, denoiser, levels[-1] if levels and not blind else None, **given)
        return D, levels[-1:] if blind else levels
    if sigma is not None or any(given[k] != v for k, v in OF_THE_DENOISER.items()):
        raise ValueError(f"denoiser is {denoiser.name}, a functional; expected sigma, scale ... given to that")
    if not isinstance(denoiser, Denoiser):
        if given["box"] is not None:
            raise ValueError(
                f"denoiser is {denoiser.name}; expected a Denoiser, or what one is made of, for nonneg and box"
            )
        return denoiser, []
    box = denoiser.box if given["box"] is None else given["box"]
    return denoiser.replaced(box=box), [] if denoiser.sigma is None else [denoiser.sigma]


# ---------------------------------------------------------------- strengths


def _levels(
    sigma: Any, noise: float | None, A: Operator, size: Callable[[], float], method: str, niter: Any, blind: bool
) -> list[float]:
    """σ_1, ..., σ_K: given, or from 49/255 · size by a constant factor to σ_K; one where the method keeps it."""
    if np.ndim(sigma) and method == "hqs":
        levels = [check_positive(s, "sigma") for s in sigma]
        if not levels:
            raise ValueError("sigma is empty; expected at least one noise level")
        return levels
    if sigma is None and noise is None:
        if blind:
            return []
        raise ValueError("sigma and noise_level are both None; expected one of them, for the denoiser's strength")
    factor = 1.0 if method == "hqs" or blind else 2.0
    last = factor * (noise or 0.0) / (A.norm() or 1.0) if sigma is None else check_positive(sigma, "sigma")
    steps = (STEPS if niter is None else niter) if method == "hqs" and not blind else 1
    return [last] if not steps > 1 else np.geomspace(max(FIRST * size(), last), last, steps).tolist()


def _size(A: Operator, b: Array) -> float:
    """The largest |value| of the first steepest-descent iterate from 0, which noise does not tell: of a sample."""
    samples = b if batch_of(A, b) else b[None]
    back = [A.apply_adjoint(sample) for sample in samples]
    steps = [(norm(v) / (norm(A.apply(v)) or 1.0)) ** 2 for v in back]
    return max(t * float(array_module(v).abs(v).max()) for t, v in zip(steps, back, strict=True))


def _rho(
    method: str, tau: Any, rho: Any, lam: Any, noise: float | None, levels: list[float], A: Operator
) -> float | None:
    """ρ of the last iteration (1/τ for PDHG); None for methods without."""
    if rho is not None and method not in ("hqs", "admm"):
        raise ValueError(f"rho is {rho!r}, and {method} has none; expected tau")
    if tau is not None and method in ("hqs", "admm"):
        raise ValueError(f"tau is {tau!r}, and {method} has none; expected rho")
    if rho is not None or method in ("forward_backward", "fista"):
        return None if rho is None else check_positive(rho, "rho")
    if tau is not None:
        return 1 / check_positive(tau, "tau")
    if noise is not None and levels:
        return (LAM if lam is None else check_positive(lam, "lam")) * noise**2 / levels[-1] ** 2
    if method == "pdhg":
        return A.norm() ** 2 / 8  # its own step size
    if noise is not None:
        raise ValueError("rho is None, and the denoiser has no noise level that tells of it; expected rho")
    raise ValueError("rho and noise_level are both None; expected one of them, for the weight of the data")


def _solver(method: str, tau: float | None, rho: Any, levels: list[float]) -> Solver:
    if method == "forward_backward":
        return ForwardBackward(tau)
    if method == "fista":
        return FISTA(tau)
    if method == "pdhg":
        return PDHG(1 / rho)
    if method == "admm":
        return ADMM(rho, accuracy=ACCURACY["admm"])
    return HQS(schedule=tuple(rho * (levels[-1] / s) ** 2 for s in levels) or (rho,), accuracy=ACCURACY["hqs"])


def limits_of(nonneg: bool, box: tuple[float, float] | None) -> tuple[float, float] | None:
    """[lo, hi], with the checks of the variational methods."""
    constraint = make_constraint(nonneg, box)
    if constraint is None:
        return None
    return (0.0, math.inf) if nonneg or box is None else (float(box[0]), float(box[1]))


# ---------------------------------------------------------------- what has come out


def check_size(info: Solution, E: L2, batch: int | None, start: Array | None) -> None:
    """Refuse an image that explains the data worse than nothing would, by far: the iteration grows without end.

    Raises
    ------
    Diverged
    """
    size = np.asarray(sum_squares(E.b, batch is not None), dtype=np.float64)
    misfit = 2 * np.asarray(E.value(info.x, batch is not None), dtype=np.float64)
    if (misfit > TOO_LARGE**2 * size).any() and (size > 0).all():
        times = math.sqrt(float((misfit / size).max()))
        raise Diverged(
            f"{type(info.solver).__name__} diverged: after {info.niter} iterations ‖Ax - b‖ is {times:.3g} times ‖b‖; "
            "expected a denoiser that is not expansive and has no negative eigenvalues, for which strength=0.5 may do, "
            "or method='forward_backward'; the error's x is the start",
            start,
            0,
        )


def tell_ground(R: Functional, x: Array, levels: list[float]) -> None:
    """Warn where a shipped denoiser was given noise levels, or an image of values, that it was not trained on."""
    net = unwrapped(R.net.net) if isinstance(R, Denoiser) else None
    if isinstance(net, Stated) and isinstance(net.domain, ImageDomain):
        net.domain.warn(x / R.net.scale, max(levels) / R.net.scale if levels else None)


def convergence(method: str, info: Solution, E: L2, R: Functional) -> Convergence:
    """What the monitor of the denoiser has seen, and what follows for the method."""
    if not isinstance(R, Denoiser):
        verdict = info.solver.is_provably_convergent(Problem(E + R, batch=batch_of(E.A, E.b)))
        return Convergence(applies=bool(verdict), reason=verdict.reason)
    if R.is_random:
        return Convergence(reason="each iteration turns the denoiser at random, and theorems are for one that is fixed")
    s = info.state
    tau = 1 / s.rho if isinstance(info.solver, ADMM | HQS) else s.tau
    monitor: Any = R.monitor  # as `pnp` has given it
    return monitor.report(method, tau, E.L, E.mu, averaged=R.strength < 1)
