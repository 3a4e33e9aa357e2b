"""Functionals from networks."""

from ipbox.keywords import answering_classes
from ipbox.learned.priors.denoiser import Denoiser
from ipbox.learned.priors.functional import TorchFunctional
from ipbox.learned.priors.monitor import Convergence, LipschitzMonitor
from ipbox.learned.priors.nett import NETT
from ipbox.learned.priors.red import RED, REDCheck
from ipbox.learned.priors.regulariser import LearnedRegulariser
from ipbox.learned.priors.score import NetworkScore, as_score

__all__ = ["NETT", "RED", "Convergence", "Denoiser", "LearnedRegulariser", "LipschitzMonitor", "REDCheck"]
__all__ += ["NetworkScore", "TorchFunctional", "as_score"]

answering_classes(globals())
