"""The gradient of a bilevel objective by the implicit function theorem, with a bound on its error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ipbox.backend import Array
from ipbox.bilevel.problem.adjoint import AdjointSolution, solve_adjoint_samples
from ipbox.bilevel.problem.error_constants import ErrorConstants
from ipbox.bilevel.problem.oracle import LowerSolution
from ipbox.bilevel.problem.result import Cost
from ipbox.bilevel.problem.samples import check_each, norms
from ipbox.bilevel.problem.upper import Evaluation, Evaluator
from ipbox.checks import check_positive
from ipbox.keywords import answering


@dataclass
class Hypergradient:
    """z ≈ ∇f(θ), with ‖z - ∇f(θ)‖ <= ``bound`` where ``bound_kind`` is "certified".

    Where it is "estimated", a constant in the bound is an estimate, so that it may be too small.  ``f`` and
    ``f_bound`` are the objective and the bound of its error; ``u``, ``q`` the reconstructions and the solutions of the
    adjoint equation, with ``residual`` (n,); ``evaluation`` is that of f; ``cost`` what the hypergradient took.  Where
    ranks share the samples ``u``, ``q`` and ``residual`` are of a rank's own.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> from ipbox.bilevel import BilevelProblem, LowerLevel, Weight, hypergradient
    >>> lower = LowerLevel(None, np.array([[0.1, -0.1, 1.1, 0.9]]), Weight(ip.SmoothedTV((4,), eps=0.1)))
    >>> problem = BilevelProblem(np.array([[0.0, 0.0, 1.0, 1.0]]), lower)
    >>> found = hypergradient(problem.evaluator(), np.array([-1.5]), accuracy=1e-8)
    >>> found.bound_kind, bool(found.bound < 1e-5)
    ('certified', True)
    """

    z: np.ndarray
    bound: float
    bound_kind: str
    f: float
    f_bound: float
    u: Array
    q: Array
    residual: np.ndarray
    evaluation: Evaluation
    cost: Cost

    @property
    def lower(self) -> LowerSolution:
        return self.evaluation.lower


@answering
def hypergradient(
    evaluator: Evaluator,
    theta: np.ndarray,
    accuracy: float,
    residual_tol: float | None = None,
    start: Array | None = None,
    evaluation: Evaluation | None = None,
    constants: ErrorConstants | None = None,
) -> Hypergradient:
    r"""∇f(θ) = -Σ B_i*q_i + ∇J(θ) with A_i q_i = ∇g_i(û_i), A = ∂²_uΦ, B = ∂_θ∂_uΦ, g the fit of the upper level.

    Parameters
    ----------
    evaluator : Evaluator
        Its warm starts are used, and the work is added to its cost.
    theta : array, shape (p,)
    accuracy : float
        ε > 0: ‖u_i - û_i(θ)‖ <= ε.
    residual_tol : float, optional
        δ > 0: ‖A_i q_i - ∇g_i(u_i)‖ <= δ; by default L_g ε, L_g the Lipschitz constant of ∇g.
    start : array, optional
        Warm start of q.
    evaluation : Evaluation, optional
        That of the same θ, which is taken where it is as accurate as asked for.
    constants : ErrorConstants, optional
        Estimates from earlier hypergradients.

    Returns
    -------
    Hypergradient

    Notes
    -----
    With ε_i and δ_i as reached, the error is at most (Theorem 2.1 of the reference, with what is known of q_i in place
    of a bound of it)

    .. math:: ω = \sum_i ‖B_i‖ e_i + L_B ε_i (‖q_i‖ + e_i), \quad
              e_i = \frac{δ_i}{μ} + \frac{ε_i}{μ} \Bigl(L_g + T_i + L_A \frac{δ_i}{μ}\Bigr),

    e_i the error of q_i, L_A and L_B the Lipschitz constants of A and B in u, T_i <= L_A ‖q_i‖ that of A q_i.  Where a
    term of the lower level does not know its constants they are estimated from random perturbations, and so is ‖B‖ for
    more than 32 parameters, by the power method; the bound is then called "estimated".  ∇J and rounding are not part of
    it.

    Raises
    ------
    ValueError, TypeError
        where an argument is of no use, or a penalty has no gradient.
    FloatingPointError
        where the lower level or its derivatives give NaN.

    References
    ----------
    Salehi, Mukherjee, Roberts and Ehrhardt, SIAM J. Math. Data Sci. (2025), arXiv 2308.10098; Ehrhardt and Roberts,
    IMA J. Appl. Math. 89 (2024).

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> from ipbox.bilevel import BilevelProblem, LowerLevel, Weight, hypergradient
    >>> lower = LowerLevel(None, np.array([[0.1, -0.1, 1.1, 0.9]]), Weight(ip.SmoothedTV((4,), eps=0.1)))
    >>> problem = BilevelProblem(np.array([[0.0, 0.0, 1.0, 1.0]]), lower)
    >>> g = hypergradient(problem.evaluator(), np.array([-1.5]), accuracy=1e-8)
    >>> g.z.round(5), g.bound < 1e-5, g.bound_kind
    (array([-0.03335]), True, 'certified')
    """
    share = evaluator.share
    problem, lower, theta = share.problem, share.problem.lower, share.problem.lower.check(theta)
    before = evaluator.cost + Cost()
    z, evaluation, found = implicit_gradient(evaluator, theta, accuracy, residual_tol, start, evaluation)
    u, eps, L_g = evaluation.lower.u, share.part(evaluation.lower.certificate), 2 * problem.residual_lipschitz**2
    q, delta, Aq = found.q, found.residual, problem.fit_gradient(u) - found.r

    constants = ErrorConstants() if constants is None else constants
    mu, _ = lower.constants(theta)
    L_A, T, L_B, proved, cost = constants.lipschitz(share, theta, u, q, Aq, eps)
    size = norms(q)
    e = delta / mu + eps / mu * (L_g + T + L_A * delta / mu)
    through_B, proved_B = constants.through_mixed(share, theta, u, e)
    (through_L_B,), cost = share.total(L_B * eps * (size + e), cost=cost)
    bound, evaluator.cost = through_B + float(through_L_B), evaluator.cost + cost
    kind = "certified" if proved_B and proved else "estimated"
    cost = Cost(*(a - b for a, b in zip(vars(evaluator.cost).values(), vars(before).values(), strict=True)))
    return Hypergradient(z, bound, kind, evaluation.f, evaluation.bound, u, q, delta, evaluation, cost)


def implicit_gradient(
    evaluator: Evaluator,
    theta: np.ndarray,
    accuracy: float,
    residual_tol: float | None = None,
    start: Array | None = None,
    evaluation: Evaluation | None = None,
) -> tuple[np.ndarray, Evaluation, AdjointSolution]:
    """z alone, with the evaluation at θ and the solution of the adjoint equation: a `hypergradient` without its bound.

    Raises
    ------
    ValueError, FloatingPointError
        As `hypergradient`.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> from ipbox.bilevel import BilevelProblem, LowerLevel, Weight
    >>> lower = LowerLevel(None, np.array([[0.1, -0.1, 1.1, 0.9]]), Weight(ip.SmoothedTV((4,), eps=0.1)))
    >>> problem = BilevelProblem(np.array([[0.0, 0.0, 1.0, 1.0]]), lower)
    >>> implicit_gradient(problem.evaluator(), np.array([-1.5]), accuracy=1e-8)[0].round(5)
    array([-0.03335])
    """
    share = evaluator.share
    problem, lower = share.problem, share.problem.lower
    lipschitz = problem.residual_lipschitz
    check_positive(accuracy, "accuracy")
    if evaluation is None or not (evaluation.lower.certificate <= accuracy).all():
        evaluation = evaluator.evaluate(theta, lipschitz * accuracy)
    u = evaluation.lower.u
    if residual_tol is not None:
        check_each(residual_tol, "residual_tol", evaluator.problem.lower.n)
    tolerance = 2 * lipschitz**2 * accuracy if residual_tol is None else residual_tol
    found = solve_adjoint_samples(lower, theta, u, problem.fit_gradient(u), tolerance, start, evaluator.processes)
    through, found.cost = share.total(lower.mixed(theta, u, found.q), cost=found.cost)
    evaluator.cost += found.cost
    z = problem.penalty_gradient(theta) - through
    if not np.isfinite(z).all():
        raise FloatingPointError(f"the hypergradient has NaN or infinite entries at theta = {theta}")
    return z, evaluation, found
