"""Reconstruction with generative priors: the image and the latent vector together."""
