"""Regularisers that measure how far an image is from what a generative model makes."""

from ipbox.keywords import answering_classes
from ipbox.learned.priors.generative.covariance import CovariancePrior
from ipbox.learned.priors.generative.deviations import SoftRange, SparseDeviations
from ipbox.learned.priors.generative.hard import RangePrior
from ipbox.learned.priors.generative.precision import PrecisionL2
from ipbox.learned.priors.generative.regulariser import GenerativeRegulariser

__all__ = ["CovariancePrior", "GenerativeRegulariser", "PrecisionL2", "RangePrior", "SoftRange", "SparseDeviations"]

answering_classes(globals())
