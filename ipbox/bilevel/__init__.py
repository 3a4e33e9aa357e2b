"""Bilevel learning: parameters θ of a reconstruction û(θ) are learned from pairs of data and true images."""

from ipbox.bilevel.analysis import AnalysisLower
from ipbox.bilevel.cost import Cost
from ipbox.bilevel.dfo import DFO, DFOResult, dfo
from ipbox.bilevel.exchange import Exchanged, exchange_samples
from ipbox.bilevel.filters import dct_filters, gradient_filters
from ipbox.bilevel.foe import FieldsOfExperts
from ipbox.bilevel.hoag import HOAG
from ipbox.bilevel.hypergradient import Hypergradient, hypergradient
from ipbox.bilevel.lbfgsb import LBFGSB
from ipbox.bilevel.learning import Learned, learn
from ipbox.bilevel.lower import LowerLevel
from ipbox.bilevel.maid import MAID
from ipbox.bilevel.newton import AnalysisProblem, SemismoothNewton
from ipbox.bilevel.oracle import LowerSolution, solve_lower
from ipbox.bilevel.penalties import ConditionPenalty, L1Penalty, Penalty, SamplingPenalty
from ipbox.bilevel.problem import BilevelProblem, Evaluation, Evaluator
from ipbox.bilevel.result import BilevelResult, work_to
from ipbox.bilevel.sampling import SamplingWeights
from ipbox.bilevel.search import GridSearch, ScalarSearch
from ipbox.bilevel.smoothed_tv import SmoothedTVRegulariser
from ipbox.bilevel.terms import ParametricTerm, Weight
from ipbox.bilevel.tgv import SmoothedTGVRegulariser, tgv_denoising
from ipbox.bilevel.torch_term import TorchTerm
from ipbox.bilevel.unrolled import Unrolled, unrolled_gradient

__all__ = [
    "AnalysisLower",
    "AnalysisProblem",
    "BilevelProblem",
    "BilevelResult",
    "ConditionPenalty",
    "Cost",
    "DFO",
    "DFOResult",
    "Evaluation",
    "Evaluator",
    "Exchanged",
    "FieldsOfExperts",
    "GridSearch",
    "HOAG",
    "Hypergradient",
    "L1Penalty",
    "LBFGSB",
    "Learned",
    "LowerLevel",
    "LowerSolution",
    "MAID",
    "ParametricTerm",
    "Penalty",
    "SamplingPenalty",
    "SamplingWeights",
    "ScalarSearch",
    "SemismoothNewton",
    "SmoothedTGVRegulariser",
    "SmoothedTVRegulariser",
    "TorchTerm",
    "Unrolled",
    "Weight",
    "dct_filters",
    "dfo",
    "exchange_samples",
    "gradient_filters",
    "hypergradient",
    "learn",
    "solve_lower",
    "tgv_denoising",
    "unrolled_gradient",
    "work_to",
]
