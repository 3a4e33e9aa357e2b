"""Choosing the regularisation weight λ: by the noise level, or from the data alone."""

from ipbox.choose.corner import l_curve
from ipbox.choose.discrepancy import discrepancy
from ipbox.choose.dispatch import RULES, check_lam, resolve
from ipbox.choose.guess import TV_FACTOR, first_weight, tv_weight
from ipbox.choose.influence import gcv, sure, weighted_gcv
from ipbox.choose.noise_level import estimate_noise
from ipbox.choose.result import Choice
from ipbox.choose.stability import balancing, quasi_optimality
from ipbox.choose.training import Fitted, fit_parameters
from ipbox.keywords import answering_classes
from ipbox.moved import attributes

__all__ = [
    "RULES",
    "TV_FACTOR",
    "Choice",
    "Fitted",
    "balancing",
    "check_lam",
    "discrepancy",
    "estimate_noise",
    "first_weight",
    "fit_parameters",
    "gcv",
    "l_curve",
    "quasi_optimality",
    "resolve",
    "sure",
    "tv_weight",
    "weighted_gcv",
]

answering_classes(globals())
__getattr__ = attributes(__name__)
