"""Posterior sampling: Markov chains for exp(-F(u)), and their diagnostics."""

from ipbox.bayes.diagnostics import autocorrelation, effective_sample_size, split_r_hat
from ipbox.bayes.posterior import Posterior, sample
from ipbox.bayes.samplers import MYULA, PCN, ULA, Sampler
from ipbox.keywords import answering_classes
from ipbox.moved import attributes

__all__ = ["MYULA", "PCN", "ULA", "Posterior", "Sampler", "autocorrelation", "effective_sample_size", "sample"]
__all__ += ["split_r_hat"]

answering_classes(globals())
__getattr__ = attributes(__name__)
