"""Solvers: the protocol, the one loop, stop rules, callbacks, and the methods."""

from ipbox.solvers import callbacks, stopping
from ipbox.solvers.adaptive import AdaptivePDHG
from ipbox.solvers.admm import ADMM, HQS
from ipbox.solvers.bregman import Bregman, LinearisedBregman
from ipbox.solvers.condat_vu import PD3O, CondatVu
from ipbox.solvers.conjugate_gradient import CG, NonlinearCG
from ipbox.solvers.core import Certificate, Run, Solution, Solver, Verdict, iterate, solve
from ipbox.solvers.divergence import Diverged
from ipbox.solvers.em import MLEM, OSEM
from ipbox.solvers.fista import FISTA
from ipbox.solvers.hybrid import HybridLSQR
from ipbox.solvers.krylov import CGLS
from ipbox.solvers.linearised_admm import LinearisedADMM
from ipbox.solvers.lsqr import LSQR
from ipbox.solvers.preconditioned import PreconditionedPDHG
from ipbox.solvers.primal_dual import PDHG
from ipbox.solvers.problem import Parts, Problem
from ipbox.solvers.proximal import ForwardBackward, ProximalPoint
from ipbox.solvers.quasi_newton import LBFGS
from ipbox.solvers.row_action import SIRT, Cimmino, Kaczmarz
from ipbox.solvers.scale_space import InverseScaleSpace
from ipbox.solvers.smooth import ArmijoGradientDescent, BarzilaiBorwein, GradientDescent, Nesterov
from ipbox.solvers.splitting import DavisYin, DouglasRachford
from ipbox.solvers.state import State
from ipbox.solvers.stochastic import SPDHG
from ipbox.solvers.variance_reduction import SAGA, SVRG

__all__ = [
    "ADMM",
    "CG",
    "CGLS",
    "FISTA",
    "HQS",
    "LBFGS",
    "LSQR",
    "MLEM",
    "OSEM",
    "PD3O",
    "PDHG",
    "SAGA",
    "SIRT",
    "SPDHG",
    "SVRG",
    "AdaptivePDHG",
    "ArmijoGradientDescent",
    "BarzilaiBorwein",
    "Bregman",
    "Certificate",
    "Cimmino",
    "CondatVu",
    "DavisYin",
    "Diverged",
    "DouglasRachford",
    "ForwardBackward",
    "GradientDescent",
    "HybridLSQR",
    "InverseScaleSpace",
    "Kaczmarz",
    "LinearisedADMM",
    "LinearisedBregman",
    "Nesterov",
    "NonlinearCG",
    "Parts",
    "PreconditionedPDHG",
    "Problem",
    "ProximalPoint",
    "Run",
    "Solution",
    "Solver",
    "State",
    "Verdict",
    "callbacks",
    "iterate",
    "solve",
    "stopping",
]
