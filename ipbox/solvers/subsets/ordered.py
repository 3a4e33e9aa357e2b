"""What methods of ordered and random subsets share: the split problem, the order of subsets, random choices."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ipbox.functionals import Sum, Zero
from ipbox.functionals.fidelities.l2 import Fidelity
from ipbox.solvers.core.protocol import Parts, Problem, Solver, State
from ipbox.solvers.per_sample import relative_change


@dataclass
class SplitParts(Parts):
    """A problem whose data fidelity is the sum of ``blocks``, one for each subset of the data."""

    blocks: list[Any] = field(default_factory=list)


def split(problem: Problem, n: int, takes: tuple[str, ...], who: str) -> SplitParts:
    """The data fidelity in ``n`` subsets, and the roles of the other terms.

    Raises
    ------
    ValueError, TypeError
        where a term is not convex, or there is no data fidelity with an operator that has subsets.
    """
    for f in problem.terms:
        if not f.is_convex:
            raise ValueError(f"{f.name} is not convex; {who} expects convex terms")
    D = problem.fidelity
    if not isinstance(D, Fidelity) or D.A is None:
        raise ValueError(f"the objective has no data fidelity with an operator; {who} expects one, as L2(A, b)")
    place = next(i for i, f in enumerate(problem.terms) if f is D)
    if place in problem.roles:
        raise ValueError(f"roles has {place}: {problem.roles[place]!r}; {who} takes the data fidelity in subsets")
    rest = [f for f in problem.terms if f is not D] or [Zero()]
    roles = {i - (i > place): role for i, role in problem.roles.items()}
    others = Problem(Sum(rest), problem.batch, problem.dims, problem.dtype, problem.xp.__name__, roles)
    p = others.assign(takes, who)
    labels = {
        "subsets": [f"{n} of {D.name}"],
        **{role: [v for v in p.labels[role] if v != "Zero"] for role in p.labels},
    }
    if n > 1 and not D.A.has_subsets:
        raise ValueError(f"{D.A.name} has no subsets; {who} expects an operator with a method subsets(n)")
    if n > 1 and n > D.A.dimsd[0]:
        raise ValueError(f"{who} is to take {n} subsets; expected at most one for each of the {D.A.dimsd[0]} views")
    return SplitParts(problem, p.smooth, p.prox, p.dual, labels, D.subsets(n) if n > 1 else [D])


def access_order(n: int) -> list[int]:
    """The order of n subsets in which each lies as far as can be from those before it: bit reversal for n = 2^m.

    k = d_1 + p_1 (d_2 + p_2 (d_3 + ...)) with the prime factors p_i of n becomes the place of
    d_1 n/p_1 + d_2 n/(p_1 p_2) + ...

    References
    ----------
    Herman and Meyer, Algebraic reconstruction techniques can be made computationally efficient, IEEE Trans. Med.
    Imaging 12 (1993).
    """
    order = []
    for k in range(n):
        place, rest, step = 0, k, n
        for p in _prime_factors(n):
            rest, digit = divmod(rest, p)
            step //= p
            place += digit * step
        order.append(place)
    return order


def _prime_factors(n: int) -> list[int]:
    factors, p = [], 2
    while n > 1:
        while n % p == 0:
            factors.append(p)
            n //= p
        p += 1
    return factors


# ---------------------------------------------------------------- random choices: functions of the seed and the step


def random_number(seed: int, k: int) -> float:
    """The uniform random number of step k: nothing but k has to be kept for a run to be resumed bit for bit."""
    return float(np.random.Generator(np.random.Philox(key=seed, counter=k)).random())


def random_index(seed: int, k: int, probabilities: list[float]) -> int:
    """The index drawn at step k."""
    u, total = random_number(seed, k) * math.fsum(probabilities), 0.0
    for i, p in enumerate(probabilities):
        total += p
        if u < total:
            return i
    return max(i for i, p in enumerate(probabilities) if p > 0)  # u and the sum differ by rounding


def random_order(seed: int, k: int, n: int) -> list[int]:
    """The permutation of n subsets drawn at step k."""
    return np.random.Generator(np.random.Philox(key=seed, counter=k)).permutation(n).tolist()


# ---------------------------------------------------------------- buffers and residuals


def key(dims: tuple[int, ...]) -> str:
    """Subsets of one shape share a buffer."""
    return f"{tuple(dims)}"


def change_in_a_step(solver: Solver, p: SplitParts, s: State, *written: str) -> Any:
    """‖u⁺ - u‖ relative to the larger of ‖u‖ and ‖u⁺‖, for one more step, which writes these fields."""
    new = State(**{**vars(s), **{name: copy.deepcopy(vars(s)[name]) for name in written}})
    solver.step(p, new)
    return relative_change(s.x, new.x, p)
