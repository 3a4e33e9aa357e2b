"""What the samplers by diffusion share: levels, checks, the ancestral step, and the quadratic problem of the data."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from ipbox import backend
from ipbox.backend import Array
from ipbox.bayes.diffusion.levels import check_levels
from ipbox.bayes.diffusion.score import Score
from ipbox.bayes.samplers import Sampler, normal_like
from ipbox.checks import as_dtype, check_type
from ipbox.functionals import L2, Zero
from ipbox.solvers import Parts, Problem, State, Verdict
from ipbox.solvers.core.fingerprint import of_array, random
from ipbox.solvers.krylov.conjugate_directions import Blocks, solve_definite
from ipbox.solvers.per_sample import norms

START, DATA, CORRECTOR, PERTURBED = 1, 2, 3, 16  # streams of random numbers beside that of the step itself
MOST = 200  # conjugate gradient steps


@dataclass(frozen=True)
class DiffusionSampler(Sampler):
    """Base of the samplers that go from noise N(x0, σ_0² I) down the levels σ_0 > ... > σ_{N-1} and to 0, in N steps.

    The score has the place of the prior.  The problem is the likelihood, ``ip.Problem(s**-2 * ip.L2(A, b), batch=n)``
    for Gaussian noise of deviation s and n samples; for the prior alone it is ``ip.Problem(ip.functionals.Zero(),
    dims=..., dtype=..., batch=n)``.

    Parameters
    ----------
    score : Score
    levels : tuple of float
        As of `geometric_levels`.
    seed : int

    Examples
    --------
    >>> from ipbox.bayes.diffusion import DAPS, DiffusionSampler
    >>> issubclass(DAPS, DiffusionSampler)
    True
    """

    score: Score
    levels: tuple[float, ...]
    seed: int = 0
    takes: ClassVar[tuple[str, ...]] = ("smooth",)
    dtypes: ClassVar[tuple[str, ...]] = ("float32", "float64")
    stationary: ClassVar[bool] = False
    needs_data: ClassVar[bool] = True
    ends: ClassVar[str] = "last_level"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_type(self.score, "score", Score, "a Score, such as ip.learned.as_score(net)")
        object.__setattr__(self, "levels", check_levels(self.levels))

    # ------------------------------------------------------------ the protocol

    def prepare(self, problem: Problem) -> Parts:
        score, who = self.score, type(self).__name__
        fits = self._fits(problem)
        if fits is not None:
            raise ValueError(f"the problem has {fits}; {who} expects {self._wanted()}")
        if problem.batch is None:
            raise ValueError(f"batch is None; {who} expects a number of samples, as Problem(..., batch=8)")
        if problem.dtype.kind == "c":
            raise TypeError(f"the problem has images of {problem.dtype}; {who} expects real ones")
        if score.dims not in (None, problem.dims):
            raise ValueError(f"score is of images {score.dims}; expected {problem.dims}, those of the problem")
        if score.dtype not in (None, problem.dtype):
            cast = as_dtype("b", problem.dtype, score.dtype, "a score")
            raise TypeError(f"score is of {score.dtype}, the problem of {problem.dtype}; expected one dtype{cast}")
        return super().prepare(problem)

    def _fits(self, problem: Problem) -> str | None:
        """What is in the problem that should not be there, or None."""
        terms = problem.terms
        if not self.needs_data:
            return None if all(isinstance(f, Zero) for f in terms) else terms[0].name
        if len(terms) != 1 or type(terms[0]) is not L2 or terms[0].A is None or terms[0].b is None:
            return " + ".join(f.name for f in terms)
        f: Any = terms[0]
        if f.weight <= 0:
            return f"the weight {f.weight:g}"
        return None if f.b.ndim == len(f.A.dimsd) else f"b of shape {f.b.shape} for several images"

    def _wanted(self) -> str:
        if self.needs_data:
            return "one term s**-2 * ip.L2(A, b), the likelihood of noise of deviation s"
        return "ip.functionals.Zero(), the prior being in the score"

    def init(self, p: Parts, x0: Array) -> State:
        s = State(x=x0)
        s.x += self.levels[0] * self.normal(s, START)
        return s

    def ended(self, s: State) -> bool:
        return s.k >= len(self.levels)

    def told(self, problem: Problem) -> dict[str, Any]:
        """D_σ of a random image, at the first level, the middle one and the last."""
        x = random(0, (1, *problem.dims), problem.dtype, problem.xp)
        levels = (self.levels[0], self.levels[len(self.levels) // 2], self.levels[-1])
        return {"score": [of_array(self.score.denoise(sigma * x, sigma), problem.dtype) for sigma in levels]}

    def level(self, s: State) -> tuple[float, float]:
        """σ, that of the image, and σ₊, that after the step."""
        after = s.k + 1
        return self.levels[s.k], self.levels[after] if after < len(self.levels) else 0.0

    def _theorem(self, p: Parts) -> Verdict:
        return Verdict(False, self.approximates)

    approximates: ClassVar[str] = ""  # in what the law of the samples differs from the posterior

    # ------------------------------------------------------------ what steps are made of

    def ancestral(self, s: State, d: Array, sigma: float, after: float) -> None:
        """x ← N(r x + (1 - r) D, r (σ² - σ₊²) I) with r = σ₊²/σ²: the law at σ₊ given x at σ, were x_0 = D."""
        r = (after / sigma) ** 2
        s.x *= r
        backend.axpy(1 - r, d, s.x)
        if after > 0:
            backend.axpy(after * math.sqrt(1 - r), self.normal(s), s.x)


def noise_deviation(p: Parts) -> float:
    """s, the standard deviation of the noise of each datum."""
    return p.problem.D.weight**-0.5


def data_proximal(
    p: Parts, z: Array, rho: float, y: Array | None = None, accuracy: float = 1e-3, most: int = MOST
) -> Array:
    """argmin_u ½‖Au - y‖² + ½ρ‖u - z‖² by conjugate gradients from z; y = b where it is not given.

    Where AA* is a multiple of the identity, as for masks of pixels and of frequencies, one iteration gives u: A*A + ρ
    then has one eigenvalue on the range of A*, where the residual lies.
    """
    f, u = p.problem.D, z.copy()
    r = f.A.apply(u)
    r -= f.b if y is None else y
    g = f.A.apply_adjoint(r)
    g *= -1
    Ad = p.xp.empty_like(r)

    def apply(d: Blocks, q: Blocks) -> None:
        f.A.apply_adjoint(f.A.apply(d[0], out=Ad), out=q[0])
        backend.axpy(rho, d[0], q[0])

    blocks = [p.xp.empty_like(u)], [p.xp.empty_like(u)]
    solve_definite(apply, [u], [g], *blocks, accuracy * norms(g, p), most, True)
    return u


def langevin_size(score: Array, snr: float) -> float:
    """ε = 2 snr² n/‖score‖², the square averaged over the samples: a corrector's noise is 1/snr times its drift.

    One size for all: with one of its own for each, ε(x) ∝ ‖∇log p(x)‖⁻², the chain would settle in p ‖∇log p‖².
    """
    square = float(backend.sum_squares(score, True).sum())
    return 2 * snr**2 * score.size / square if square > 0 else 0.0


def normal_data(p: Parts, seed: int, k: int, stream: int) -> Array:
    """Standard normal numbers in the shape of the data of all samples."""
    b = p.problem.D.b
    return normal_like(p.xp.empty((p.batch, *b.shape), dtype=b.dtype), seed, k, stream)
