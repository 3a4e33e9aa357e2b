"""Linear operators A: the base class and its algebra, derivatives, the ray transform."""

from ipbox.keywords import answering_classes
from ipbox.moved import attributes
from ipbox.operators.core.adapters import MatrixOperator, PyLopsOperator, as_operator
from ipbox.operators.core.algebra import Adjoint, Composition, Identity, Normal, Scaled, Sum, VStack
from ipbox.operators.core.base import Operator
from ipbox.operators.core.counting import counting
from ipbox.operators.core.user import FunctionOperator, operator
from ipbox.operators.fourier.nonuniform import NonuniformFFT
from ipbox.operators.fourier.transform import FourierTransform
from ipbox.operators.images.blur import Blur, GaussianBlur
from ipbox.operators.images.derivatives import FiniteDifference, Gradient, SymmetrisedGradient
from ipbox.operators.images.measurements import GaussianMeasurements
from ipbox.operators.images.sampling import Downsampling, Mask, Sampling
from ipbox.operators.images.varying_blur import VaryingBlur
from ipbox.operators.images.wavelets import Wavelet
from ipbox.operators.mri.cartesian import CartesianMRI
from ipbox.operators.mri.coils import CoilSensitivities
from ipbox.operators.mri.non_cartesian import NonCartesianMRI
from ipbox.operators.mri.normal import NonCartesianNormal
from ipbox.operators.tomography.cone.circular import ConeBeamTransform
from ipbox.operators.tomography.cone.parallel import ParallelVectorTransform
from ipbox.operators.tomography.cone.stack import SliceStack
from ipbox.operators.tomography.cone.vectors import ConeVectorTransform
from ipbox.operators.tomography.fan import FanBeamTransform
from ipbox.operators.tomography.joseph import JosephTransform
from ipbox.operators.tomography.pet import PET
from ipbox.operators.tomography.ray import RayTransform
from ipbox.operators.tomography.ray_normal import RayNormal

__all__ = ["Adjoint", "Composition", "FunctionOperator", "Identity", "MatrixOperator", "Normal", "Operator"]
__all__ += ["PyLopsOperator", "Scaled", "Sum", "VStack", "as_operator", "counting", "operator"]
__all__ += ["FourierTransform", "NonuniformFFT"]
__all__ += ["Blur", "Downsampling", "FiniteDifference", "GaussianBlur", "GaussianMeasurements", "Gradient", "Mask"]
__all__ += ["Sampling", "SymmetrisedGradient", "VaryingBlur", "Wavelet"]
__all__ += ["CartesianMRI", "CoilSensitivities", "NonCartesianMRI", "NonCartesianNormal"]
__all__ += ["ConeBeamTransform", "ConeVectorTransform", "FanBeamTransform", "JosephTransform", "PET", "RayNormal"]
__all__ += ["ParallelVectorTransform", "RayTransform", "SliceStack"]

answering_classes(globals())
__getattr__ = attributes(__name__)
