"""Posteriors that are known in closed form, and what samplers make of them."""

from ipbox.bayes.known.benchmark import SamplerBenchmark, SamplerRow, benchmark
from ipbox.bayes.known.calibration import interval_coverage, mmse_gap, rank_uniformity, ranks, region_coverage
from ipbox.bayes.known.distances import gaussian_wasserstein, sliced_wasserstein, wasserstein
from ipbox.bayes.known.laws import Gaussian, GaussianMixture
from ipbox.bayes.known.prior import NegativeLogDensity
from ipbox.bayes.known.problems import KnownProblem, known_problem
from ipbox.bayes.known.score import MixtureScore
from ipbox.keywords import answering_classes

__all__ = ["Gaussian", "GaussianMixture", "MixtureScore", "gaussian_wasserstein", "interval_coverage", "mmse_gap"]
__all__ += ["NegativeLogDensity", "rank_uniformity", "ranks", "region_coverage", "sliced_wasserstein", "wasserstein"]
__all__ += ["KnownProblem", "SamplerBenchmark", "SamplerRow", "benchmark", "known_problem"]

answering_classes(globals())
