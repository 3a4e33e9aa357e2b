"""Reconstruction with generative priors: the image and the latent vector together."""

from ipbox.keywords import answering_classes
from ipbox.learned.methods.generative.adam import Adam
from ipbox.learned.methods.generative.palm import PALM
from ipbox.learned.methods.generative.projected import VariableProjection
from ipbox.learned.methods.generative.two_blocks import TwoBlockPALM

__all__ = ["PALM", "Adam", "TwoBlockPALM", "VariableProjection"]

answering_classes(globals())
