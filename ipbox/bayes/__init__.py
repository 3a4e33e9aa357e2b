"""Posterior sampling: Markov chains for exp(-F(u)), their diagnostics, and posteriors that are known."""

from ipbox.bayes.diagnostics import autocorrelation, effective_sample_size, split_r_hat
from ipbox.bayes.known import (
    Gaussian,
    GaussianMixture,
    KnownProblem,
    MixtureScore,
    NegativeLogDensity,
    SamplerBenchmark,
    SamplerRow,
    benchmark,
    gaussian_wasserstein,
    interval_coverage,
    known_problem,
    mmse_gap,
    rank_uniformity,
    ranks,
    region_coverage,
    sliced_wasserstein,
    wasserstein,
)
from ipbox.bayes.posterior import Posterior, sample
from ipbox.bayes.samplers import MYULA, PCN, ULA, Sampler
from ipbox.keywords import answering_classes
from ipbox.moved import attributes

__all__ = ["MYULA", "PCN", "ULA", "Posterior", "Sampler", "autocorrelation", "effective_sample_size", "sample"]
__all__ += ["split_r_hat"]
__all__ += ["Gaussian", "GaussianMixture", "MixtureScore", "gaussian_wasserstein", "interval_coverage", "mmse_gap"]
__all__ += ["NegativeLogDensity", "rank_uniformity", "ranks", "region_coverage", "sliced_wasserstein", "wasserstein"]
__all__ += ["KnownProblem", "SamplerBenchmark", "SamplerRow", "benchmark", "known_problem"]

answering_classes(globals())
__getattr__ = attributes(__name__)
