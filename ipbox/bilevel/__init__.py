"""Bilevel learning: parameters θ of a reconstruction û(θ) are learned from pairs of data and true images."""

from ipbox.bilevel.dfo.method import DFO, DFOResult, dfo
from ipbox.bilevel.learning import Learned, learn, load_theta
from ipbox.bilevel.methods.exchange import Exchanged, exchange_samples
from ipbox.bilevel.methods.hoag import HOAG
from ipbox.bilevel.methods.lbfgsb import LBFGSB
from ipbox.bilevel.methods.maid import MAID
from ipbox.bilevel.methods.search import GridSearch, ScalarSearch
from ipbox.bilevel.methods.unrolled import Unrolled, unrolled_gradient
from ipbox.bilevel.nonsmooth.analysis import AnalysisLower
from ipbox.bilevel.nonsmooth.newton import AnalysisProblem, SemismoothNewton
from ipbox.bilevel.piggyback.method import Piggyback
from ipbox.bilevel.problem.hypergradient import Hypergradient, hypergradient
from ipbox.bilevel.problem.lower import LowerLevel
from ipbox.bilevel.problem.oracle import LowerSolution, solve_lower
from ipbox.bilevel.problem.penalties import ConditionPenalty, L1Penalty, Penalty, SamplingPenalty
from ipbox.bilevel.problem.result import BilevelResult, Cost, work_to
from ipbox.bilevel.problem.upper import BilevelProblem, Evaluation, Evaluator
from ipbox.bilevel.stochastic.isgd import ISGD
from ipbox.bilevel.terms.base import ParametricTerm, Weight
from ipbox.bilevel.terms.experts import FieldsOfExperts
from ipbox.bilevel.terms.filters import dct_filters, gradient_filters
from ipbox.bilevel.terms.network import NetworkTerm
from ipbox.bilevel.terms.sampling import SamplingWeights
from ipbox.bilevel.terms.smoothed_tv import SmoothedTVRegulariser
from ipbox.bilevel.terms.tgv import SmoothedTGVRegulariser, tgv_denoising
from ipbox.bilevel.terms.torch_term import TorchTerm
from ipbox.keywords import answering_classes
from ipbox.moved import attributes

__all__ = ["Learned", "learn", "load_theta"]
__all__ += ["DFO", "DFOResult", "dfo"]
__all__ += ["Exchanged", "GridSearch", "HOAG", "ISGD", "LBFGSB", "MAID", "Piggyback", "ScalarSearch"]
__all__ += ["Unrolled"]
__all__ += ["exchange_samples", "unrolled_gradient"]
__all__ += ["AnalysisLower", "AnalysisProblem", "SemismoothNewton"]
__all__ += ["BilevelProblem", "BilevelResult", "ConditionPenalty", "Cost", "Evaluation", "Evaluator", "Hypergradient"]
__all__ += ["L1Penalty", "LowerLevel", "LowerSolution", "Penalty", "SamplingPenalty", "hypergradient", "solve_lower"]
__all__ += ["work_to"]
__all__ += ["FieldsOfExperts", "NetworkTerm", "ParametricTerm", "SamplingWeights", "SmoothedTGVRegulariser"]
__all__ += ["SmoothedTVRegulariser", "TorchTerm", "Weight", "dct_filters", "gradient_filters", "tgv_denoising"]

answering_classes(globals())
__getattr__ = attributes(__name__)
