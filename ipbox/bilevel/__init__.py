"""Bilevel learning: parameters θ of a reconstruction û(θ) are learned from pairs of data and true images."""

from ipbox.bilevel.cost import Cost
from ipbox.bilevel.lower import LowerLevel
from ipbox.bilevel.oracle import LowerSolution, solve_lower
from ipbox.bilevel.penalties import ConditionPenalty, L1Penalty, Penalty
from ipbox.bilevel.problem import BilevelProblem, Evaluation, Evaluator
from ipbox.bilevel.terms import ParametricTerm, Weight

__all__ = [
    "BilevelProblem",
    "ConditionPenalty",
    "Cost",
    "Evaluation",
    "Evaluator",
    "L1Penalty",
    "LowerLevel",
    "LowerSolution",
    "ParametricTerm",
    "Penalty",
    "Weight",
    "solve_lower",
]
