"""Linear operators A: the base class and its algebra, derivatives, the ray transform."""

from ipbox.operators.algebra import Adjoint, Composition, Identity, Scaled, Sum, VStack
from ipbox.operators.base import Operator, PyLopsOperator, as_operator
from ipbox.operators.blur import Blur, GaussianBlur
from ipbox.operators.counting import counting
from ipbox.operators.derivatives import FiniteDifference, Gradient, SymmetrisedGradient
from ipbox.operators.emission import PET
from ipbox.operators.fanbeam import FanBeamTransform
from ipbox.operators.fourier import FourierTransform
from ipbox.operators.lines import JosephTransform
from ipbox.operators.matrix import MatrixOperator
from ipbox.operators.measurements import GaussianMeasurements
from ipbox.operators.mri import CartesianMRI
from ipbox.operators.nonuniform import NonuniformFFT
from ipbox.operators.nonuniform_mri import NonCartesianMRI
from ipbox.operators.nonuniform_normal import NonCartesianNormal
from ipbox.operators.sampling import Downsampling, Mask, Sampling
from ipbox.operators.sensitivities import CoilSensitivities
from ipbox.operators.toeplitz import RayNormal
from ipbox.operators.tomography import RayTransform
from ipbox.operators.user import FunctionOperator, operator
from ipbox.operators.varying_blur import VaryingBlur
from ipbox.operators.wavelets import Wavelet

__all__ = [
    "Adjoint",
    "Blur",
    "CartesianMRI",
    "CoilSensitivities",
    "Composition",
    "Downsampling",
    "FanBeamTransform",
    "FiniteDifference",
    "FourierTransform",
    "FunctionOperator",
    "GaussianBlur",
    "GaussianMeasurements",
    "Gradient",
    "Identity",
    "JosephTransform",
    "Mask",
    "MatrixOperator",
    "NonCartesianMRI",
    "NonCartesianNormal",
    "NonuniformFFT",
    "Operator",
    "PET",
    "PyLopsOperator",
    "RayNormal",
    "RayTransform",
    "Sampling",
    "Scaled",
    "Sum",
    "SymmetrisedGradient",
    "VStack",
    "VaryingBlur",
    "Wavelet",
    "as_operator",
    "counting",
    "operator",
]
