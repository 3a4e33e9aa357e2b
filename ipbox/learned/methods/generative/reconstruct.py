"""`generative`: reconstruction with a generative model as the prior."""

from __future__ import annotations

from typing import Any, Unpack

from ipbox.backend import Array
from ipbox.checks import check_count, check_positive, check_seed
from ipbox.choose.dispatch import RULES, resolve
from ipbox.functionals import L2
from ipbox.functionals.core.composition import check_data
from ipbox.keywords import answering
from ipbox.learned.methods.generative.arguments import (
    NITER,
    check_data_fit,
    choose_method,
    default_weight,
    make_prior,
    make_solver,
)
from ipbox.learned.methods.generative.restarts import Restarts, in_second_phase, with_weights
from ipbox.learned.priors.generative.base import LatentPrior, start_vectors
from ipbox.operators.core.adapters import image_operator
from ipbox.reconstruct.iterative.early_stopping import batch_of, compared, make_constraint
from ipbox.solvers import Solution, solve, stopping
from ipbox.solvers.core.solve import SolveOptions
from ipbox.solvers.core.stop_rule import StopRule

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
    log_det_factor: float | str | None = None,
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
    rate: float = 0.1,
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
    log_det_factor : float or "marginal"
        κ >= 0 of ``"covariance"``: ½ for the mode of u and z together; by default ``"marginal"``: with u integrated
        out, for the mode of z by itself, which is less biased (see `CovariancePrior`).
    scale : float
        s, the unit of the model's images in that of u.
    method : str, optional
        ``"lbfgs"`` by default, ``"palm"`` for ``"sparse"`` and with bounds.  Of ``"inverse_gan"`` that of the second
        phase, for z and the weights as two blocks: ``"ipalm"``, by default, or ``"adam"``, as in the first phase.
    restarts : int
        Starts: z = 0 and ``restarts`` - 1 draws from N(0, I), the same ones for every sample.  All run as one batch;
        the one with the least objective is returned.
    z0 : array, optional
        Starts instead, (latent,) or (restarts, latent).
    x0 : array, optional
        Start of u for PALM; 0 by default.
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
        bit for bit.  They are of both phases of an inverse GAN: a state of the second goes on there, without the first.

    Returns
    -------
    x : array
    info : Solution
        ``info.extra``: ``"z"``, the latent vectors; ``"lam"``; ``"objectives"`` and ``"stops"`` of all restarts (by
        sample and restart); ``"restart"``, which one it is; ``"theorem"``, a `Verdict` on convergence.  Of an inverse
        GAN ``"first"``, the `Solution` of the first phase, to which objectives and restart belong; these are None where
        a state of the second phase went on.

    Raises
    ------
    ValueError, TypeError
        where the model's images or latent vectors do not fit, its covariance is singular, A takes complex images, λ is
        missing, or a method cannot do what is asked; where the decoder fails, or gives values that are not finite.
    Diverged
        where iterates are not finite.

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
    check_positive(rate, "rate"), check_count(weight_steps, "weight_steps")
    if noise_level is not None:
        check_positive(noise_level, "noise_level")
    first_method = "adam" if inverse else method
    rule = stopping.niter(NITER[first_method] if niter is None else check_count(niter, "niter"))
    if stop is not None or first_method != "adam":
        rule = (stopping.residual(check_positive(tol, "tol"), every=5) if stop is None else stop) | rule
    if x0 is not None and "palm" not in first_method:
        raise ValueError(f"x0 is given, and method {method!r} has the image of each z; expected z0, or 'palm'")
    if inverse and lam is not None:
        raise ValueError(f"lam is {lam!r}, and inverse_gan has no term to weigh; expected None")
    if lam is None:
        lam = 1.0 if inverse else default_weight(A, b, R, noise_level, batch)
    solver = dict(method=method, starts=starts, batch=batch, accuracy=accuracy, niter=niter, inverse=inverse)

    def pose(b: Array) -> Restarts:
        return Restarts(L2(A, b), constraint, batch, len(starts))

    def run(lam: float, b: Array = b) -> tuple[Array, Solution]:
        posed = pose(b)
        truth = None if x_true is None else posed.repeated(x_true)
        first = None if x0 is None else posed.repeated(x0)
        own = make_solver(R, lam, data=posed.data, like=b, **solver)
        info = solve(posed.problem, own, x0=first, stop=rule, **compared(options, truth))
        return posed.best(info, R, lam)

    if isinstance(lam, str) and lam in RULES:
        return resolve(lam, run, A, b, noise_level)
    lam = check_positive(lam, "lam", f"a positive number, or a rule: {', '.join(map(repr, RULES))}")
    if not inverse:
        return run(lam)
    late = in_second_phase(options.get("state"), R, b)
    first = run(lam)[1] if late is None else None
    second = {**options, "state": late}
    return with_weights(pose(b), first, R, method, rate, weight_steps, noise_level, stop, x_true, second)
