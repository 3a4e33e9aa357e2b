"""Whether data are like those that a learned map was trained for."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_positive
from ipbox.operators import as_operator
from ipbox.reconstruct.direct.analytic import analytic

LEAST = 0.05  # spread of a feature: below, what few samples happen to agree in
FOREGROUND = 0.1  # of the largest value: what counts as filled


@dataclass(frozen=True)
class DomainStatistics:
    """Means and standard deviations of the features of samples that were held out from training.

    ``mean`` and ``std`` have one number for each of ``FEATURES``; JSON can hold `as_dict`.
    """

    mean: dict[str, float]
    std: dict[str, float]
    samples: int

    def as_dict(self) -> dict[str, Any]:
        return {"mean": self.mean, "std": self.std, "samples": self.samples}


@dataclass(frozen=True)
class DomainCheck:
    """What `check_domain` finds.

    Attributes
    ----------
    inside : bool
        Whether ``score`` is within the limit.
    score : float
        The largest of ``deviations``.
    deviations : dict
        |feature - mean|/std of every feature.
    consistency : float
        ‖AΦ(b) - b‖/‖b‖.
    reason : str
        In words.
    """

    inside: bool
    score: float
    deviations: dict[str, float]
    consistency: float
    reason: str


def domain_statistics(phi: Callable[[Array], Array], problems: Iterable[tuple]) -> DomainStatistics:
    """The statistics of ``problems``, (A, b, ...) each, which Φ was not trained on.

    Examples
    --------
    >>> import ipbox as ip
    >>> from ipbox.evaluate import check_domain, domain_statistics
    >>> held_out = [ip.problem("ct", size=32, views=16, noise=0.01, slice=k, seed=k) for k in range(20, 40, 4)]
    >>> A, b, *_ = ip.problem("ct", size=32, views=16, noise=0.01, slice=30, seed=7)
    >>> phi = lambda b: ip.fbp(A, b)[0]
    >>> known = domain_statistics(phi, held_out)
    >>> check_domain(phi, A, b, known).inside, check_domain(phi, A, 10 * b, known).inside
    (True, False)
    """
    rows = [_features(phi, as_operator(A), b)[0] for A, b, *_ in problems]
    if len(rows) < 3:
        raise ValueError(f"problems has {len(rows)}; expected at least 3, of which a spread can be told")
    values = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    std = {name: max(float(v.std(ddof=1)), LEAST) for name, v in values.items()}
    return DomainStatistics({name: float(v.mean()) for name, v in values.items()}, std, len(rows))


def check_domain(
    phi: Callable[[Array], Array],
    A: Any,
    b: Array,
    training: DomainStatistics,
    limit: float = 5.0,
    *,
    shape: tuple[int, ...] | None = None,
) -> DomainCheck:
    r"""Whether Φ is on its ground at b: features of b, of A†b and of AΦ(b) - b against those of held-out samples.

    Features, as natural logarithms: ``noise``, of a reading, relative to ‖b‖, by second differences along the last
    axis; ``scale``, the 99th percentile of |A†b|; ``fill``, the share of pixels above a tenth of that; ``edge``, the
    mean of |A†b| in the outer eighth of the image relative to that of all (what leaves the field); ``roughness``,
    ‖∇A†b‖₁/‖A†b‖₁; ``consistency``, ‖AΦ(b) - b‖/‖b‖.

    Parameters
    ----------
    phi : callable
        b ↦ image; of a `LearnedMap`, ``lambda b: net.reconstruct(b)[0]``.
    A : Operator
        One with an analytical reconstruction A†.
    shape : tuple of int, optional
        Of the image, where A does not tell it (a matrix, a flat operator, two functions): see `as_operator`.
    b : array
        Data of one sample.
    training : DomainStatistics
        Of samples that were held out from training: `domain_statistics`.
    limit : float
        Most standard deviations.

    Returns
    -------
    DomainCheck

    Raises
    ------
    ValueError
        for data that vanish.

    Notes
    -----
    What is inside can still be wrong: a score tells of distance from the training data, not of the error.
    """
    check_positive(limit, "limit")
    found, consistency = _features(phi, as_operator(A, shape), b)
    deviations = {name: abs(value - training.mean[name]) / training.std[name] for name, value in found.items()}
    worst = max(deviations, key=deviations.get)
    score, ratio = deviations[worst], math.exp(found[worst] - training.mean[worst])
    inside = score <= limit
    reason = f"{worst} is {ratio:.3g} times that of training, {score:.1f} standard deviations away"
    return DomainCheck(inside, score, deviations, consistency, reason if not inside else f"inside: at most {reason}")


def _features(phi: Callable[[Array], Array], A: Any, b: Array) -> tuple[dict[str, float], float]:
    """The features, and ‖AΦ(b) - b‖/‖b‖."""
    size = backend.norm(b)
    if not size > 0:
        raise ValueError("b vanishes; expected data of an object")
    r, z = backend.to_host(A.apply(phi(b)) - b), np.abs(backend.to_host(analytic(A, b)[0]))
    readings = np.abs(np.diff(backend.to_host(b), n=2, axis=-1))
    noise = 1.4826 * float(np.median(readings)) / math.sqrt(6) / (size / math.sqrt(b.size))
    scale, margin = float(np.percentile(z, 99)), [max(n // 8, 1) for n in z.shape]
    inner = z[tuple(slice(m, -m) for m in margin)]
    outer = (z.sum() - inner.sum()) / (z.size - inner.size)
    slopes = sum(float(np.abs(np.diff(z, axis=k)).sum()) for k in range(z.ndim))
    consistency = float(np.linalg.norm(r)) / size
    features = {
        "noise": noise,
        "scale": scale,
        "fill": float((z > FOREGROUND * scale).mean()),
        "edge": float(outer / z.mean()),
        "roughness": slopes / float(z.sum()),
        "consistency": consistency,
    }
    return {name: math.log(max(value, 1e-300)) for name, value in features.items()}, consistency
