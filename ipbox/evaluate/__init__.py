"""Tests of reconstruction maps Φ: b ↦ u beyond their error on clean data.

>>> import numpy as np, ipbox as ip
>>> ip.evaluate.worst_perturbation(np.diag([3.0, 1.0]), np.ones(2), norm=0.1).gain > 2.99
True
"""

from ipbox.evaluate.conformal import Calibrated, Coverage, calibrate
from ipbox.evaluate.differentiable import Differentiable, Variational, as_differentiable
from ipbox.evaluate.disjoint import check_disjoint, fingerprint
from ipbox.evaluate.equivariance import EquivarianceError, equivariance_error
from ipbox.evaluate.generative import (
    LogLikelihood,
    RangeError,
    covariance_columns,
    interpolation,
    log_likelihood,
    range_error,
    samples,
)
from ipbox.evaluate.generator_report import GeneratorReport, evaluate_generator
from ipbox.evaluate.stability import (
    Perturbation,
    StabilityTable,
    more_samples,
    recovered_contrast,
    stability_table,
    worst_image_perturbation,
    worst_perturbation,
)
from ipbox.evaluate.transport import EarthMover, earth_mover
from ipbox.evaluate.views import turned_views
from ipbox.keywords import answering_classes
from ipbox.moved import attributes
from ipbox.reconstruct.domain import (
    Domain,
    DomainCheck,
    DomainStatistics,
    OutsideDomain,
    check_domain,
    domain_statistics,
)

__all__ = ["Differentiable", "Perturbation", "StabilityTable", "Variational", "as_differentiable", "more_samples"]
__all__ += ["recovered_contrast", "stability_table", "worst_image_perturbation", "worst_perturbation"]
__all__ += ["Domain", "DomainCheck", "DomainStatistics", "OutsideDomain", "check_domain", "domain_statistics"]
__all__ += ["Calibrated", "Coverage", "calibrate", "check_disjoint", "fingerprint"]
__all__ += ["EquivarianceError", "equivariance_error", "turned_views"]
__all__ += ["GeneratorReport", "LogLikelihood", "RangeError", "covariance_columns", "evaluate_generator"]
__all__ += ["EarthMover", "earth_mover", "interpolation", "log_likelihood", "range_error", "samples"]

answering_classes(globals())
__getattr__ = attributes(__name__)
