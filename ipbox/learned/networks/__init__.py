"""Networks from images to images."""

from ipbox.keywords import answering_classes
from ipbox.learned.networks.denoisers import DnCNN, DRUNet, UNet
from ipbox.learned.networks.gradient_step import GradientStep
from ipbox.learned.networks.non_expansive import NonExpansive

__all__ = ["DRUNet", "DnCNN", "GradientStep", "NonExpansive", "UNet"]

answering_classes(globals())
