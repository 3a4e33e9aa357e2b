"""Functionals: data fidelities D(Au, b) and regularisers R(u)."""

from ipbox.functionals.core.adapters import PyProximalFunctional, as_functional
from ipbox.functionals.core.base import Functional
from ipbox.functionals.core.composition import Composition, DualTerm
from ipbox.functionals.core.sum import Sum, Zero, terms_of
from ipbox.functionals.core.user import FunctionFunctional, functional
from ipbox.functionals.fidelities.kl import KL
from ipbox.functionals.fidelities.l2 import L2
from ipbox.functionals.fidelities.quadratic import Quadratic
from ipbox.functionals.fidelities.robust import Huber, L1Data
from ipbox.functionals.fidelities.transmission import PoissonTransmission
from ipbox.functionals.fidelities.weighted import WeightedL2
from ipbox.functionals.regularisers.group import GroupSparsity
from ipbox.functionals.regularisers.norms import L1, L21
from ipbox.functionals.regularisers.nuclear import NuclearNorm
from ipbox.functionals.regularisers.relative_difference import RelativeDifference
from ipbox.functionals.regularisers.smoothness import Tikhonov
from ipbox.functionals.regularisers.sparsity import WaveletL1
from ipbox.functionals.sets.affine import Affine
from ipbox.functionals.sets.balls import L2Ball, LinfBall
from ipbox.functionals.sets.boxes import Box, L1Box, L2Box, NonNegative
from ipbox.functionals.sets.simplex import L1Ball, Simplex
from ipbox.functionals.total_variation.directional import DirectionalTV
from ipbox.functionals.total_variation.infimal_convolution import InfConvTV
from ipbox.functionals.total_variation.smoothed import SmoothedTV
from ipbox.functionals.total_variation.tgv import TGV
from ipbox.functionals.total_variation.tv import TV
from ipbox.keywords import answering_classes
from ipbox.moved import attributes

__all__ = ["Composition", "DualTerm", "Functional", "PyProximalFunctional", "Sum", "Zero", "as_functional"]
__all__ += ["FunctionFunctional", "functional", "terms_of"]
__all__ += ["KL", "L2", "Huber", "L1Data", "PoissonTransmission", "Quadratic", "WeightedL2"]
__all__ += ["L1", "L21", "GroupSparsity", "NuclearNorm", "RelativeDifference", "Tikhonov", "WaveletL1"]
__all__ += ["Affine", "Box", "L1Ball", "L1Box", "L2Ball", "L2Box", "LinfBall", "NonNegative", "Simplex"]
__all__ += ["TGV", "TV", "DirectionalTV", "InfConvTV", "SmoothedTV"]

answering_classes(globals())
__getattr__ = attributes(__name__)
