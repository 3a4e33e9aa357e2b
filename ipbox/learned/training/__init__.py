"""Training: the loop, its losses and its checkpoints."""

from ipbox.keywords import answering_classes
from ipbox.learned.training import generative, losses
from ipbox.learned.training.fit import FitResult, fit

__all__ = ["FitResult", "fit", "generative", "losses"]

answering_classes(globals())
answering_classes(vars(losses))
answering_classes(vars(generative))
