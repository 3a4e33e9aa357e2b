"""Generative models: from latent vectors z ~ N(0, I) to images."""

from ipbox.keywords import answering_classes
from ipbox.learned.networks.generative.adversarial import WGAN
from ipbox.learned.networks.generative.autoencoders import VAE, Autoencoder
from ipbox.learned.networks.generative.base import Generative, Generator
from ipbox.learned.networks.generative.cholesky import StructuredPrecision
from ipbox.learned.networks.generative.covariance import CovarianceVAE

__all__ = ["VAE", "WGAN", "Autoencoder", "CovarianceVAE", "Generative", "Generator", "StructuredPrecision"]

answering_classes(globals())
