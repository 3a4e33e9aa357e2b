"""Functionals from networks."""

from ipbox.keywords import answering_classes
from ipbox.learned.priors.denoiser import Denoiser
from ipbox.learned.priors.functional import TorchFunctional
from ipbox.learned.priors.monitor import Convergence, LipschitzMonitor
from ipbox.learned.priors.red import RED, REDCheck

__all__ = ["RED", "Convergence", "Denoiser", "LipschitzMonitor", "REDCheck", "TorchFunctional"]

answering_classes(globals())
