"""The arguments of `generative`: which prior, method, starts and weight are meant."""

from __future__ import annotations

from typing import Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_choice, check_positive
from ipbox.functionals import Functional
from ipbox.learned.methods.generative.adam import Adam
from ipbox.learned.methods.generative.palm import PALM
from ipbox.learned.methods.generative.projected import VariableProjection
from ipbox.learned.methods.generative.reduced import mean_diagonal
from ipbox.learned.methods.generative.weights import _LatentBall
from ipbox.learned.priors.generative import CovariancePrior, RangePrior, SoftRange, SparseDeviations
from ipbox.learned.priors.generative.base import LatentPrior
from ipbox.learned.priors.network import evaluation
from ipbox.operators import CartesianMRI, Operator
from ipbox.solvers import LBFGS, ArmijoGradientDescent, Solver

PRIORS = ("covariance", "range", "soft", "sparse", "inverse_gan")
METHODS = ("lbfgs", "gradient", "adam", "palm", "ipalm")
NITER = {"lbfgs": 100, "gradient": 300, "adam": 300, "palm": 500, "ipalm": 500}
INERTIA = 0.5


def make_prior(
    model: Any, prior: Any, scale: float, mu: float | None, log_det_factor: float | str | None
) -> LatentPrior:
    """The prior of a name, or the one that is given."""
    if log_det_factor is not None and prior != "covariance":
        told = prior.name if isinstance(prior, LatentPrior) else repr(prior)
        raise ValueError(f"log_det_factor is {log_det_factor!r}, and prior is {told}; expected it with 'covariance'")
    if isinstance(prior, LatentPrior):
        if model is not None and model is not prior.model:
            raise ValueError(f"prior is {prior.name}, which has its model; expected model=None")
        if scale != 1 or mu is not None:
            given = f"mu is {mu!r}" if mu is not None else f"scale is {scale!r}"
            raise ValueError(f"{given}, and prior is {prior.name}, which has its own; expected it without")
        return prior
    check_choice(prior, "prior", PRIORS, ", or a prior of ipbox.learned.priors.generative")
    if prior == "covariance":
        if mu is not None:
            raise ValueError(f"mu is {mu!r}, and the covariance prior has none; expected lam or log_det_factor")
        return CovariancePrior(model, scale, "marginal" if log_det_factor is None else log_det_factor)
    if prior == "inverse_gan":
        if mu is not None:
            raise ValueError(f"mu is {mu!r}, and inverse_gan has no term in z; expected None")
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
    usual = "palm" if R.sparse or constraint is not None else "lbfgs"
    method = check_choice(("ipalm" if inverse else usual) if method is None else method, "method", METHODS)
    if inverse and method not in ("ipalm", "adam"):
        raise ValueError(f"method is {method!r}; expected 'ipalm' or 'adam' for inverse_gan, whose z has a bound")
    if inverse and constraint is not None:
        raise ValueError("nonneg or box is given, and inverse_gan holds u in the range of G; expected it without")
    if (R.sparse or constraint is not None) and "palm" not in method:
        what = R.name if R.sparse else "nonneg or box"
        raise ValueError(f"method is {method!r}; expected 'palm' or 'ipalm' with {what}")
    return method


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
    data: Functional,
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
    if isinstance(R, CovariancePrior) and R.marginal:
        image = backend.array_module(like).zeros(R.dims, dtype=backend.real_dtype(like.dtype))
        R = R.informed(mean_diagonal(data, image) / lam)
    common = dict(prior=R, lam=lam, z0=z0, mark=mark_of(R, like))
    if "palm" in method and not inverse:
        return PALM(inertia=INERTIA if method == "ipalm" else 0.0, **common)
    inner = {"lbfgs": LBFGS, "gradient": ArmijoGradientDescent}.get(method, Adam)()
    if method == "adam" or inverse:
        inner = Adam(steps=NITER["adam"] if niter is None else niter)
    ball = _LatentBall(R.latent) if inverse else None
    return VariableProjection(inner=inner, accuracy=check_positive(accuracy, "accuracy"), constraint=ball, **common)


def mark_of(R: LatentPrior, like: Array) -> tuple[float, ...]:
    """A few numbers of what the decoder makes: a state of another one is not to be gone on from."""
    z = np.random.default_rng(1).standard_normal((1, R.latent)).astype(backend.real_dtype(like.dtype))
    with evaluation(R.model, gradient=False):
        maps = R.maps(R.enter(backend.array_module(like).asarray(z)))
        R.check_start(maps)
        mark = tuple(float(m.double().square().mean().sqrt()) if m.numel() else 0.0 for m in maps)
    if not np.isfinite(mark[0]):
        raise ValueError(f"{R.name} makes images that are not finite, at a z of N(0, I); expected finite ones")
    return mark
