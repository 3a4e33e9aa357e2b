"""Functionals from networks."""

from ipbox.learned.priors.denoiser import Denoiser
from ipbox.learned.priors.monitor import Convergence, LipschitzMonitor
from ipbox.learned.priors.red import RED, REDCheck
from ipbox.learned.priors.torch_functional import TorchFunctional

__all__ = ["RED", "Convergence", "Denoiser", "LipschitzMonitor", "REDCheck", "TorchFunctional"]
