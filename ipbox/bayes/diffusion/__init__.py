"""Score-based diffusion: a prior by its scores, and samplers of its posteriors."""

from ipbox.bayes.diffusion.levels import geometric_levels
from ipbox.bayes.diffusion.score import Score
from ipbox.keywords import answering_classes

__all__ = ["Score", "geometric_levels"]

answering_classes(globals())
