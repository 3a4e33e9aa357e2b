"""Posteriors that are known in closed form, and what samplers make of them."""

from ipbox.bayes.known.calibration import interval_coverage, mmse_gap, rank_uniformity, ranks, region_coverage
from ipbox.bayes.known.distances import gaussian_wasserstein, sliced_wasserstein, wasserstein
from ipbox.bayes.known.laws import Gaussian, GaussianMixture
from ipbox.bayes.known.score import MixtureScore
from ipbox.keywords import answering_classes

__all__ = ["Gaussian", "GaussianMixture", "MixtureScore", "gaussian_wasserstein", "interval_coverage", "mmse_gap"]
__all__ += ["rank_uniformity", "ranks", "region_coverage", "sliced_wasserstein", "wasserstein"]

answering_classes(globals())
