"""Functionals from networks."""

from ipbox.keywords import answering_classes
from ipbox.learned.priors.denoiser import Denoiser
from ipbox.learned.priors.functional import TorchFunctional
from ipbox.learned.priors.monitor import Convergence, LipschitzMonitor
from ipbox.learned.priors.nett import NETT
from ipbox.learned.priors.red import RED, REDCheck
from ipbox.learned.priors.regulariser import LearnedRegulariser

__all__ = ["NETT", "RED", "Convergence", "Denoiser", "LearnedRegulariser", "LipschitzMonitor", "REDCheck"]
__all__ += ["TorchFunctional"]

answering_classes(globals())
