"""Score-based diffusion: a prior by its scores, and samplers of it and of its posteriors."""

from ipbox.bayes.diffusion.base import DiffusionSampler
from ipbox.bayes.diffusion.daps import DAPS
from ipbox.bayes.diffusion.diffpir import DiffPIR
from ipbox.bayes.diffusion.dps import DPS
from ipbox.bayes.diffusion.levels import geometric_levels
from ipbox.bayes.diffusion.prior import ProbabilityFlow, ReverseDiffusion
from ipbox.bayes.diffusion.projection import Projection
from ipbox.bayes.diffusion.sampling import DiffusionPosterior, diffusion, prior_samples
from ipbox.bayes.diffusion.score import Score
from ipbox.keywords import answering_classes

__all__ = ["DAPS", "DPS", "DiffPIR", "DiffusionSampler", "ProbabilityFlow", "Projection", "ReverseDiffusion", "Score"]
__all__ += ["DiffusionPosterior", "diffusion", "geometric_levels", "prior_samples"]

answering_classes(globals())
