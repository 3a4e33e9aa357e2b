"""Functionals: data fidelities D(Au, b) and regularisers R(u)."""

from ipbox.functionals.adapters import PyProximalFunctional, as_functional
from ipbox.functionals.affine import Affine
from ipbox.functionals.balls import L2Ball, LinfBall
from ipbox.functionals.base import Functional
from ipbox.functionals.composition import Composition, DualTerm
from ipbox.functionals.constraints import Box, L2Box, NonNegative
from ipbox.functionals.directional_tv import DirectionalTV
from ipbox.functionals.fidelity import L2
from ipbox.functionals.group import GroupSparsity
from ipbox.functionals.infconv_tv import InfConvTV
from ipbox.functionals.kl import KL
from ipbox.functionals.norms import L1, L21
from ipbox.functionals.nuclear import NuclearNorm
from ipbox.functionals.pointwise import WeightedL2
from ipbox.functionals.quadratic import Quadratic
from ipbox.functionals.robust import Huber, L1Data
from ipbox.functionals.simplex import L1Ball, Simplex
from ipbox.functionals.smoothed_tv import SmoothedTV
from ipbox.functionals.smoothness import Tikhonov
from ipbox.functionals.sparsity import WaveletL1
from ipbox.functionals.sum import Sum, Zero, terms_of
from ipbox.functionals.tgv import TGV
from ipbox.functionals.transmission import PoissonTransmission
from ipbox.functionals.tv import TV

__all__ = [
    "KL",
    "L1",
    "L2",
    "L21",
    "TGV",
    "TV",
    "Affine",
    "Box",
    "Composition",
    "DirectionalTV",
    "DualTerm",
    "Functional",
    "GroupSparsity",
    "Huber",
    "InfConvTV",
    "L1Ball",
    "L1Data",
    "L2Ball",
    "L2Box",
    "LinfBall",
    "NonNegative",
    "NuclearNorm",
    "PoissonTransmission",
    "PyProximalFunctional",
    "Quadratic",
    "Simplex",
    "SmoothedTV",
    "Sum",
    "Tikhonov",
    "WaveletL1",
    "WeightedL2",
    "Zero",
    "as_functional",
    "terms_of",
]
