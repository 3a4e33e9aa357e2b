"""Linear operators A: the base class and its algebra, derivatives, the ray transform."""

from ipbox.operators.algebra import Adjoint, Composition, Identity, Scaled, Sum, VStack
from ipbox.operators.base import Operator, PyLopsOperator, as_operator
from ipbox.operators.derivatives import Gradient
from ipbox.operators.nonuniform import NonuniformFFT
from ipbox.operators.toeplitz import RayNormal
from ipbox.operators.tomography import RayTransform

__all__ = [
    "Adjoint",
    "Composition",
    "Gradient",
    "Identity",
    "NonuniformFFT",
    "Operator",
    "PyLopsOperator",
    "RayNormal",
    "RayTransform",
    "Scaled",
    "Sum",
    "VStack",
    "as_operator",
]
