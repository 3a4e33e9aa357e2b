"""Functionals: data fidelities D(Au, b) and regularisers R(u)."""

from ipbox.functionals.adapters import PyProximalFunctional, as_functional
from ipbox.functionals.base import Functional, Sum, Zero, terms_of
from ipbox.functionals.composition import Composition, DualTerm
from ipbox.functionals.constraints import Box, L2Box, NonNegative
from ipbox.functionals.fidelity import L2
from ipbox.functionals.norms import L1, L21
from ipbox.functionals.tv import TV

__all__ = [
    "L1",
    "L2",
    "L21",
    "TV",
    "Box",
    "Composition",
    "DualTerm",
    "Functional",
    "L2Box",
    "NonNegative",
    "PyProximalFunctional",
    "Sum",
    "Zero",
    "as_functional",
    "terms_of",
]
