"""`generative`: reconstruction with a generative model as the prior."""

from __future__ import annotations

from typing import Any, Unpack

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_choice, check_count, check_positive, check_seed
from ipbox.choose.dispatch import RULES, resolve
from ipbox.functionals import L2
from ipbox.functionals.core.composition import check_data
from ipbox.keywords import answering
from ipbox.learned.methods.generative.adam import _Adam
from ipbox.learned.methods.generative.palm import _PALM
from ipbox.learned.methods.generative.projected import _Projected
from ipbox.learned.methods.generative.weights import WithWeights, _LatentBall
from ipbox.learned.priors.generative import CovariancePrior, RangePrior, SoftRange, SparseDeviations
from ipbox.learned.priors.generative.base import LatentPrior
from ipbox.learned.priors.network import evaluation
from ipbox.operators import CartesianMRI, Operator
from ipbox.operators.core.adapters import image_operator
from ipbox.reconstruct.iterative.early_stopping import batch_of, compared, make_constraint
from ipbox.solvers import LBFGS, ArmijoGradientDescent, Problem, Solution, Solver, solve, stopping
from ipbox.solvers.core.solve import SolveOptions
from ipbox.solvers.core.stop_rule import StopRule

PRIORS = ("covariance", "range", "soft", "sparse", "inverse_gan")
METHODS = ("lbfgs", "gradient", "adam", "palm", "ipalm")
NITER = {"lbfgs": 100, "gradient": 300, "adam": 300, "palm": 500, "ipalm": 500}
INERTIA = 0.5
SECOND = 300  # steps for the weights of an inverse GAN


@answering
def generative(
    A: Any,
    b: Array,
    model: Any,
    *,
    prior: str | LatentPrior = "covariance",
    lam: float | str | None = None,
    noise_level: float | None = None,
    mu: float | None = None,
    log_det_factor: float = 0.5,
    scale: float = 1.0,
    method: str | None = None,
    restarts: int = 4,
    z0: Array | None = None,
    x0: Array | None = None,
    niter: int | None = None,
    tol: float = 1e-3,
    stop: StopRule | None = None,
    nonneg: bool = False,
    box: tuple[float, float] | None = None,
    rate: float = 0.02,
    weight_steps: int = SECOND,
    accuracy: float = 1e-3,
    seed: int = 0,
    x_true: Array | None = None,
    shape: tuple[int, ...] | None = None,
    **options: Unpack[SolveOptions],
) -> tuple[Array, Solution]:
    r"""Reconstruction with a generative model G: min_u ½‖Au - b‖² + λR(u), R(u) = inf_z F(u/s, z) + S(z).

    =================  ==============================================================================================
    ``prior``          R(u)
    =================  ==============================================================================================
    ``"covariance"``   inf_z κ log det Σ(z) + ½‖u/s - G(z)‖² in Σ(z)⁻¹ + ½‖z‖²            (Duff et al. 2023)
    ``"range"``        inf { μ/2 ‖z‖² : u = s G(z) }                                      (Bora et al. 2017)
    ``"soft"``         inf_z ½‖u/s - G(z)‖² + μ/2 ‖z‖²                                    (Duff et al. 2024)
    ``"sparse"``       inf_z ‖u/s - G(z)‖₁ + μ/2 ‖z‖²                                     (Dhar et al. 2018)
    ``"inverse_gan"``  none: u = s G_θ(z), first ‖z‖ <= √d and θ as trained, then both    (Narnhofer et al. 2019)
    =================  ==============================================================================================

    ===============  ==============================================================================  ============
    ``method``       iteration                                                                       converges
    ===============  ==============================================================================  ============
    ``"lbfgs"``      L-BFGS for φ(z) = min_u, u by conjugate gradients in the learned precision      not proved
    ``"gradient"``   gradient steps for φ with Armijo's rule: the objective never rises              critical point
    ``"adam"``       Adam for φ                                                                       not proved
    ``"palm"``       proximal steps in z and in u by turns, with backtracking; it never rises        critical point
    ``"ipalm"``      the same with inertia                                                           not proved
    ===============  ==============================================================================  ============

    Parameters
    ----------
    A : Operator
        Of real images of the model's size; data may be complex.  Or a PyLops or SciPy operator, or a matrix.
    b : array
        Data of shape A.dimsd, or a batch of them.
    model : torch.nn.Module
        With ``latent``, ``dims`` and ``decode``, and ``decode_precision`` for ``"covariance"``; in the dtype and on the
        device of the image.
    prior : str or LatentPrior
        One of `ipbox.learned.priors.generative` brings its own model, s, μ and κ: ``model`` is then None.
    lam : float or str, optional
        λ; by default σ², the variance of the noise of each real number, from ``noise_level``: where R is a negative
        log-density (``"covariance"``, ``"range"``) the minimum is then a mode of the posterior.  Or a rule, such as
        ``"discrepancy"``.
    noise_level : float, optional
        Expected norm of the noise, of each sample.
    mu : float, optional
        μ >= 0 of ``"range"``, ``"soft"`` and ``"sparse"``; 1 by default.
    log_det_factor : float
        κ >= 0 of ``"covariance"``.
    scale : float
        s, the unit of the model's images in that of u.
    method : str, optional
        ``"lbfgs"`` by default, ``"palm"`` for ``"sparse"`` and with bounds, ``"adam"`` for ``"inverse_gan"``.
    restarts : int
        Starts: z = 0 and ``restarts`` - 1 draws from N(0, I), the same ones for every sample.  All run as one batch;
        the one with the least objective is returned.
    z0 : array, optional
        Starts instead, (latent,) or (restarts, latent).
    x0 : array, optional
        Start of u for PALM; s G(z) by default.
    niter : int, optional
        Bound on the iterations; 100, and 300 for ``"gradient"`` and ``"adam"``, 500 for PALM.
    tol : float
        Stop where the residual is at most this: the gradient of φ relative to that at the start, the relative change
        of z and u for PALM.  Not for ``"adam"``.
    stop : StopRule, optional
        Instead of that; ``niter`` still holds.
    nonneg, box : bool, (lo, hi)
        Bounds on u, for PALM with ``"soft"`` and ``"covariance"``.
    rate, weight_steps : float, int
        Of ``"inverse_gan"``: unit of the change of weights, and steps of the second phase, which ends earlier at the
        discrepancy where ``noise_level`` is given.
    accuracy : float
        Of the conjugate gradients for u: residual relative to the right-hand side.
    seed : int
        Of the starts.
    x_true : array, optional
        The truth, where it is known: ``info.history["psnr"]`` and ``["nrmse"]`` have a value for each iterate, and
        each restart.  It has no part in which one is returned.
    shape : tuple of int, optional
        Of the image, where A does not tell it: see `as_operator`.
    **options
        ``callbacks``, ``progress``, ``state`` of `solve`, which see the restarts as samples of a batch; a state goes on
        bit for bit.

    Returns
    -------
    x : array
    info : Solution
        ``info.extra``: ``"z"``, the latent vectors; ``"lam"``; ``"objectives"`` and ``"stops"`` of all restarts (by
        sample and restart); ``"restart"``, which one it is; ``"theorem"``, a `Verdict` on convergence.

    Raises
    ------
    ValueError, TypeError
        where the model's images or latent vectors do not fit, its covariance is singular, A takes complex images, λ is
        missing, or a method cannot do what is asked.
    Diverged
        where the decoder gives values that are not finite.

    References
    ----------
    Bora, Jalal, Price and Dimakis, ICML (2017); Dhar, Grover and Ermon, ICML (2018); Narnhofer, Hammernik, Knoll and
    Pock, Inverse GANs for accelerated MRI reconstruction, Proc. SPIE 11138 (2019); Duff, Campbell and Ehrhardt, J.
    Math. Imaging Vis. 66 (2024); Duff, Simpson, Ehrhardt and Campbell, Phys. Med. Biol. 68 (2023).

    Examples
    --------
    >>> import numpy as np, torch, ipbox as ip
    >>> from ipbox.learned.networks.generative import Generator
    >>> _ = torch.manual_seed(0)
    >>> net = torch.nn.Sequential(torch.nn.Linear(3, 64), torch.nn.Unflatten(1, (1, 8, 8)))
    >>> model = Generator(net, latent=3, dims=(8, 8))
    >>> x_true = model.decode(torch.ones(1, 3))[0, 0].detach().numpy()
    >>> A = ip.CartesianMRI(np.eye(8, dtype=bool), dtype="complex64", real_image=True)     # 8 of 64 points
    >>> x, info = ip.generative(A, A.apply(x_true), model, prior="range", lam=1e-6)
    >>> ip.psnr(x, x_true) > 40, info.extra["z"].round(2).tolist()
    (True, [1.0, 1.0, 1.0])
    """
    A = image_operator(A, shape)
    inverse = prior == "inverse_gan"
    R = make_prior(model, prior, scale, mu, log_det_factor)
    check_data_fit(A, check_data(b), R)
    constraint, batch = make_constraint(nonneg, box), batch_of(A, b)
    method = choose_method(R, method, constraint, inverse)
    starts = start_vectors(R, check_count(restarts, "restarts"), z0, check_seed(seed), b)
    rule = stopping.niter(NITER[method] if niter is None else check_count(niter, "niter"))
    if stop is not None or method != "adam":
        rule = (stopping.residual(check_positive(tol, "tol"), every=5) if stop is None else stop) | rule
    if lam is None:
        lam = 1.0 if inverse else default_weight(A, b, R, noise_level, batch)
    solver = dict(method=method, starts=starts, batch=batch, accuracy=accuracy, niter=niter, inverse=inverse)
    posed = Restarts(L2(A, b), constraint, batch, len(starts))

    def run(lam: float) -> tuple[Array, Solution]:
        truth = None if x_true is None else posed.repeated(x_true)
        first = None if x0 is None else posed.repeated(x0)
        own = make_solver(R, lam, like=b, **solver)
        info = solve(posed.problem, own, x0=first, stop=rule, **compared(options, truth))
        return posed.best(info, R, lam)

    if isinstance(lam, str) and lam in RULES:
        return resolve(lam, run, A, b, noise_level)
    x, info = run(check_positive(lam, "lam", f"a positive number, or a rule: {', '.join(map(repr, RULES))}"))
    if not inverse:
        return x, info
    return with_weights(posed, info, R, rate, check_count(weight_steps, "weight_steps"), noise_level, stop, x_true)


# ---------------------------------------------------------------- arguments


def make_prior(model: Any, prior: Any, scale: float, mu: float | None, log_det_factor: float) -> LatentPrior:
    """The prior of a name, or the one that is given."""
    if isinstance(prior, LatentPrior):
        if model is not None and model is not prior.model:
            raise ValueError(f"prior is {prior.name}, which has its model; expected model=None")
        return prior
    check_choice(prior, "prior", PRIORS, ", or a prior of ipbox.learned.priors.generative")
    if prior == "covariance":
        if mu is not None:
            raise ValueError(f"mu is {mu!r}, and the covariance prior has none; expected lam or log_det_factor")
        return CovariancePrior(model, scale, log_det_factor)
    if prior == "inverse_gan":
        return RangePrior(model, scale, 0.0)
    of = {"range": RangePrior, "soft": SoftRange, "sparse": SparseDeviations}[prior]
    return of(model, scale, 1.0 if mu is None else mu)


def check_data_fit(A: Operator, b: Array, R: LatentPrior) -> None:
    """Refuse an operator on images that are not the model's."""
    if tuple(A.dims) != R.dims:
        raise ValueError(f"model makes images of {R.dims} and A takes {tuple(A.dims)}; expected the same")
    if A.dtype_in.kind == "c":
        raise TypeError("A takes complex images and the model makes real ones; expected A with real_image=True")


def choose_method(R: LatentPrior, method: str | None, constraint: Any, inverse: bool) -> str:
    """The method by its name, or the usual one; refused where it cannot do what is asked."""
    usual = "adam" if inverse else "palm" if R.sparse or constraint is not None else "lbfgs"
    method = check_choice(usual if method is None else method, "method", METHODS)
    if inverse and method != "adam":
        raise ValueError(f"method is {method!r}; expected 'adam' for inverse_gan, whose z has a bound")
    if (R.sparse or constraint is not None) and "palm" not in method:
        what = R.name if R.sparse else "nonneg or box"
        raise ValueError(f"method is {method!r}; expected 'palm' or 'ipalm' with {what}")
    return method


def start_vectors(R: LatentPrior, restarts: int, z0: Any, seed: int, like: Array) -> Array:
    """(restarts, latent): 0 and draws of N(0, I), the same in every library; or those given."""
    if z0 is None:
        z = np.random.default_rng(seed).standard_normal((restarts, R.latent))
        z[0] = 0
        return backend.array_module(like).asarray(z)
    backend.array_module(backend.check_array(z0, "z0"), like)
    z = z0.reshape(-1, z0.shape[-1]) if z0.ndim in (1, 2) else z0
    if z.ndim != 2 or z.shape[1] != R.latent or not bool((abs(z) < np.inf).all()):
        raise ValueError(f"z0 has shape {z0.shape}; expected finite numbers (restarts, {R.latent}), the latent size")
    return z


def default_weight(A: Operator, b: Array, R: LatentPrior, noise_level: Any, batch: int | None) -> float:
    """σ², the variance of each real number of the data that is measured."""
    if not isinstance(R, CovariancePrior | RangePrior) or noise_level is None:
        told = "" if noise_level is None else f", and {type(R).__name__} is no log-density in known units"
        raise ValueError(f"lam is None{told}; expected lam=..., or for 'covariance' and 'range' noise_level=...")
    level = check_positive(noise_level, "noise_level", "a positive number, the norm of the noise of a sample")
    count = b.size // (batch or 1)
    if isinstance(A, CartesianMRI):
        count = count // A.mask.size * int((A.mask > 0).sum())
    return level**2 / (count * (2 if b.dtype.kind == "c" else 1))


def make_solver(
    R: LatentPrior,
    lam: float,
    *,
    like: Array,
    method: str,
    starts: Array,
    batch: int | None,
    accuracy: float,
    niter: int | None,
    inverse: bool,
) -> Solver:
    """The solver of a method, for all samples and restarts as one batch."""
    z = backend.array_module(like).tile(starts, (batch or 1, 1))
    z0 = z if batch is not None or len(z) > 1 else z[0]
    common = dict(prior=R, lam=lam, z0=z0, mark=mark_of(R, like))
    if "palm" in method:
        return _PALM(inertia=INERTIA if method == "ipalm" else 0.0, **common)
    inner = {"lbfgs": LBFGS, "gradient": ArmijoGradientDescent, "adam": _Adam}[method]()
    if method == "adam":
        inner = _Adam(steps=NITER["adam"] if niter is None else niter)
    ball = _LatentBall(R.latent) if inverse else None
    return _Projected(inner=inner, accuracy=check_positive(accuracy, "accuracy"), constraint=ball, **common)


def mark_of(R: LatentPrior, like: Array) -> tuple[float, ...]:
    """A few numbers of what the decoder makes: a state of another one is not to be gone on from."""
    z = np.random.default_rng(1).standard_normal((1, R.latent)).astype(backend.real_dtype(like.dtype))
    with evaluation(R.model, gradient=False):
        maps = R.maps(R.enter(backend.array_module(like).asarray(z)))
        return tuple(float(m.double().square().mean().sqrt()) if m.numel() else 0.0 for m in maps)


# ---------------------------------------------------------------- restarts


class Restarts:
    """K starts for each sample as one batch of K times as many samples: those of a sample stand together."""

    def __init__(self, data: L2, constraint: Any, batch: int | None, K: int) -> None:
        self.batch, self.K = batch, K
        self.single = batch is None and K == 1
        self.data = data if batch is None else data.take(np.repeat(np.arange(batch), K))
        objective = self.data if constraint is None else self.data + constraint
        self.problem = Problem(objective, batch=None if self.single else (batch or 1) * K)

    def repeated(self, x: Array) -> Array:
        """An image, or one for each sample, for each restart."""
        backend.check_array(x, "x0 or x_true")
        if self.single:
            return x
        xp = backend.array_module(x)
        return xp.ascontiguousarray(xp.repeat(x if self.batch is not None else x[None], self.K, axis=0))

    def best(self, info: Solution, R: LatentPrior, lam: float) -> tuple[Array, Solution]:
        """The restart with the least objective, of each sample."""
        s, B, K = info.state, self.batch or 1, self.K
        parts = info.solver.prepare(self.problem)
        f = np.reshape(info.solver.objective(parts, s), (B, K))
        k = np.argmin(np.where(np.isnan(f), np.inf, f), axis=1)
        z = s.latent["x"] if isinstance(info.solver, _Projected) else s.z
        stops = np.reshape(np.array(info.stop, dtype=object), (B, K))
        index = np.arange(B) * K + k
        info.extra |= {"lam": lam, "z": z.reshape(B * K, -1)[index].copy(), "theorem": info.solver._theorem(parts)}
        info.extra |= {"objectives": f, "stops": stops.tolist(), "restart": k}
        info.x = info.x.reshape(B * K, *R.dims)[index]
        info.stop = [str(stop) for stop in stops[np.arange(B), k]]
        if self.batch is None:
            info.x, info.stop = info.x[0], info.stop[0]
            for name in ("z", "objectives", "stops", "restart"):
                info.extra[name] = info.extra[name][0]
        return info.x, info


def with_weights(
    posed: Restarts,
    first: Solution,
    R: LatentPrior,
    rate: float,
    steps: int,
    noise_level: Any,
    stop: StopRule | None,
    x_true: Array | None,
) -> tuple[Array, Solution]:
    """The second phase of an inverse GAN, from the best z of the first: z and weights, until the discrepancy."""
    data, batch = posed.data if posed.batch is None else posed.data.take(np.arange(posed.batch) * posed.K), posed.batch
    both = WithWeights(R.model, rate)
    xp, z = backend.array_module(first.x), first.extra["z"]
    y0 = xp.zeros((*z.shape[:-1], both.latent), dtype=z.dtype)
    y0[..., : R.latent] = z
    inner = _Adam(steps=steps)
    solver = _Projected(inner=inner, prior=R.of(both), lam=1.0, z0=y0, constraint=_LatentBall(R.latent))
    rule = stopping.niter(steps) if stop is None else stop | stopping.niter(steps)
    if noise_level is not None:
        rule = stopping.discrepancy(noise_level) | rule
    info = solve(Problem(data, batch=batch), solver, stop=rule, **compared({}, x_true))
    info.extra |= {name: first.extra[name] for name in ("z", "objectives", "stops", "restart")}
    info.extra |= {"first": first, "theorem": solver._theorem(solver.prepare(Problem(data, batch=batch)))}
    return info.x, info
