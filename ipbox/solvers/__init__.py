"""Solvers: the protocol, the one loop, stop rules, callbacks, and the methods."""

from ipbox.keywords import answering_classes
from ipbox.moved import attributes
from ipbox.solvers.core import callbacks, stopping
from ipbox.solvers.core.divergence import Diverged
from ipbox.solvers.core.loop import iterate
from ipbox.solvers.core.problem import Parts, Problem
from ipbox.solvers.core.protocol import Certificate, Solver, Verdict
from ipbox.solvers.core.run import Run, Solution
from ipbox.solvers.core.solve import solve
from ipbox.solvers.core.state import State
from ipbox.solvers.gradient.conjugate import NonlinearCG
from ipbox.solvers.gradient.descent import GradientDescent, Nesterov
from ipbox.solvers.gradient.lbfgs import LBFGS
from ipbox.solvers.gradient.searching import ArmijoGradientDescent, BarzilaiBorwein
from ipbox.solvers.krylov.cg import CG
from ipbox.solvers.krylov.cgls import CGLS
from ipbox.solvers.krylov.hybrid import HybridLSQR
from ipbox.solvers.krylov.lsqr import LSQR
from ipbox.solvers.primal_dual.adaptive import AdaptivePDHG
from ipbox.solvers.primal_dual.condat_vu import PD3O, CondatVu
from ipbox.solvers.primal_dual.pdhg import PDHG
from ipbox.solvers.primal_dual.preconditioned import PreconditionedPDHG
from ipbox.solvers.primal_dual.spdhg import SPDHG
from ipbox.solvers.proximal.bregman import Bregman, LinearisedBregman
from ipbox.solvers.proximal.fista import FISTA
from ipbox.solvers.proximal.forward_backward import ForwardBackward, ProximalPoint
from ipbox.solvers.proximal.non_monotone import NonMonotoneAPG
from ipbox.solvers.proximal.scale_space import InverseScaleSpace
from ipbox.solvers.proximal.two_proxes import DavisYin, DouglasRachford
from ipbox.solvers.splitting.admm import ADMM, HQS
from ipbox.solvers.splitting.linearised_admm import LinearisedADMM
from ipbox.solvers.subsets.bsrem import BSREM
from ipbox.solvers.subsets.em import MLEM, OSEM
from ipbox.solvers.subsets.row_action import SIRT, Cimmino, Kaczmarz
from ipbox.solvers.subsets.variance_reduction import SAGA, SVRG

__all__ = ["callbacks", "stopping"]
__all__ += ["Certificate", "Diverged", "Parts", "Problem", "Run", "Solution", "Solver", "State", "Verdict", "iterate"]
__all__ += ["solve"]
__all__ += ["LBFGS", "ArmijoGradientDescent", "BarzilaiBorwein", "GradientDescent", "Nesterov", "NonlinearCG"]
__all__ += ["CG", "CGLS", "LSQR", "HybridLSQR"]
__all__ += ["PD3O", "PDHG", "SPDHG", "AdaptivePDHG", "CondatVu", "PreconditionedPDHG"]
__all__ += ["FISTA", "Bregman", "DavisYin", "DouglasRachford", "ForwardBackward", "InverseScaleSpace"]
__all__ += ["LinearisedBregman", "NonMonotoneAPG", "ProximalPoint"]
__all__ += ["ADMM", "HQS", "LinearisedADMM"]
__all__ += ["BSREM", "MLEM", "OSEM", "SAGA", "SIRT", "SVRG", "Cimmino", "Kaczmarz"]

answering_classes(globals())
__getattr__ = attributes(__name__)
