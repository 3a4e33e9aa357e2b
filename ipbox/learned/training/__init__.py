"""Training: the loop, its losses and its checkpoints."""

from ipbox.keywords import answering_classes
from ipbox.learned.training import losses
from ipbox.learned.training.fit import FitResult, fit

__all__ = ["FitResult", "fit", "losses"]

answering_classes(globals())
answering_classes(vars(losses))
