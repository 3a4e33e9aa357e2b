"""Solvers: the protocol, the one loop, stop rules, callbacks, and the methods."""

from ipbox.solvers import callbacks, stopping
from ipbox.solvers.core import Certificate, Run, Solution, Solver, Verdict, iterate, solve
from ipbox.solvers.divergence import Diverged
from ipbox.solvers.krylov import CGLS
from ipbox.solvers.primal_dual import PDHG
from ipbox.solvers.problem import Parts, Problem
from ipbox.solvers.proximal import FISTA, ForwardBackward
from ipbox.solvers.smooth import GradientDescent
from ipbox.solvers.state import State

__all__ = [
    "CGLS",
    "FISTA",
    "PDHG",
    "Certificate",
    "Diverged",
    "ForwardBackward",
    "GradientDescent",
    "Parts",
    "Problem",
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
