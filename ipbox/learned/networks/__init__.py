"""Networks from images to images, and from images to numbers: regularisers."""

from ipbox.keywords import answering_classes
from ipbox.learned.networks.convex import InputConvex
from ipbox.learned.networks.critic import LipschitzCritic
from ipbox.learned.networks.denoisers import DnCNN, DRUNet, UNet
from ipbox.learned.networks.experts.fields import FieldsOfExperts
from ipbox.learned.networks.gradient_step import GradientStep
from ipbox.learned.networks.non_expansive import NonExpansive
from ipbox.learned.networks.ridge import ConvexRidge, WeaklyConvexRidge

__all__ = ["ConvexRidge", "DRUNet", "DnCNN", "FieldsOfExperts", "GradientStep", "InputConvex", "LipschitzCritic"]
__all__ += ["NonExpansive", "UNet", "WeaklyConvexRidge"]

answering_classes(globals())
