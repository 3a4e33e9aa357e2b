"""Whether data are like those that a learned map was trained for."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_positive, shown
from ipbox.choose.noise_level import estimate_noise
from ipbox.keywords import answering
from ipbox.operators import as_operator
from ipbox.reconstruct.direct.analytic import analytic
from ipbox.warning import warn

LEAST = 0.05  # spread of a feature: below, what few samples happen to agree in
FOREGROUND = 0.1  # of the largest value: what counts as filled
LIMIT = 5.0  # standard deviations
GAP = 1.1  # largest ratio of angles between views, and of accelerations


class OutsideDomain(UserWarning):
    """A network is used on data that are not like those it was trained on.

    Examples
    --------
    >>> import warnings
    >>> from ipbox.evaluate import OutsideDomain
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore", OutsideDomain)      # where it is known, and meant
    >>> issubclass(OutsideDomain, UserWarning)
    True
    """


@runtime_checkable
class Scan(Protocol):
    """An operator that knows its angles in radians and the width of its pixels."""

    angles: Any
    pixel_size: float | tuple[float, float]


@runtime_checkable
class Sampled(Protocol):
    """An operator that knows which points of k-space it measures, not zero in the mask."""

    mask: Any


@dataclass(frozen=True)
class DomainStatistics:
    """Means and standard deviations of the features of samples that were held out from training.

    ``mean`` and ``std`` have one number for each of ``FEATURES``; JSON can hold `as_dict`.

    Examples
    --------
    >>> import ipbox as ip
    >>> held_out = [ip.problem("ct", size=32, views=16, noise=0.01, slice=k, seed=k) for k in range(20, 40, 4)]
    >>> phi = lambda b: ip.fbp(held_out[0][0], b)[0]
    >>> known = ip.evaluate.domain_statistics(phi, held_out)
    >>> known.samples, sorted(known.mean)
    (5, ['consistency', 'edge', 'fill', 'noise', 'roughness', 'scale'])
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
    off : tuple of str
        What is beyond the limit: names of features, and of the geometry where a `Domain` has one.

    Examples
    --------
    >>> import ipbox as ip
    >>> held_out = [ip.problem("ct", size=32, views=16, noise=0.01, slice=k, seed=k) for k in range(20, 40, 4)]
    >>> A, b, *_ = held_out[0]
    >>> phi = lambda b: ip.fbp(A, b)[0]
    >>> found = ip.evaluate.check_domain(phi, A, 10 * b, ip.evaluate.domain_statistics(phi, held_out[1:]))
    >>> found.inside, found.off
    (False, ('scale',))
    """

    inside: bool
    score: float
    deviations: dict[str, float]
    consistency: float
    reason: str
    off: tuple[str, ...] = ()


@answering
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
    given = list(problems)
    if not all(isinstance(row, tuple | list) and len(row) > 1 for row in given):
        raise ValueError(f"problems is {shown(given)}; expected tuples (A, b, ...), as ip.problem gives them")
    rows = [_features(as_operator(A), b, phi(b))[0] for A, b, *_ in given]
    if len(rows) < 3:
        raise ValueError(f"problems has {len(rows)}; expected at least 3, of which a spread can be told")
    values = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    std = {name: max(float(v.std(ddof=1)), LEAST) for name, v in values.items()}
    return DomainStatistics({name: float(v.mean()) for name, v in values.items()}, std, len(rows))


@answering
def check_domain(
    phi: Callable[[Array], Array],
    A: Any,
    b: Array,
    training: DomainStatistics,
    limit: float = LIMIT,
    *,
    shape: tuple[int, ...] | None = None,
) -> DomainCheck:
    r"""Whether Φ is on its ground at b: features of b, of A†b and of AΦ(b) - b against those of held-out samples.

    Features, as natural logarithms: ``noise``, of a reading, relative to ‖b‖, by second differences along the last
    axis (of complex data by `estimate_noise`); ``scale``, the 99th percentile of |A†b|; ``fill``, the share of pixels
    above a tenth of that; ``edge``, the mean of |A†b| in the outer eighth of the image relative to that of all (what
    leaves the field); ``roughness``, ‖∇A†b‖₁/‖A†b‖₁; ``consistency``, ‖AΦ(b) - b‖/‖b‖.

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

    Examples
    --------
    >>> import ipbox as ip
    >>> held_out = [ip.problem("ct", size=32, views=16, noise=0.01, slice=k, seed=k) for k in range(20, 40, 4)]
    >>> A, b, *_ = ip.problem("ct", size=32, views=16, noise=0.01, slice=30, seed=7)
    >>> phi = lambda b: ip.fbp(A, b)[0]
    >>> ip.evaluate.check_domain(phi, A, b, ip.evaluate.domain_statistics(phi, held_out)).inside
    True
    """
    check_positive(limit, "limit")
    A = as_operator(A, shape)
    return _judged(A, b, phi(b), training, limit)


@dataclass(frozen=True)
class Domain:
    """Where a map from the data of a scan to images is at home; an attribute of networks that `pretrained` gives.

    What the geometry has not is None: MRI no pixels' width and views, CT no coils and acceleration.

    Attributes
    ----------
    name : str
        Of the network.
    words : str
        In words: what it was trained on.
    statistics : DomainStatistics
        Of samples that were held out from training.
    dims : tuple of int
        Pixels of the image.
    pixel_size : (float, float), optional
        Least and largest width of a pixel in training, zooms of the images included, in mm.
    gap : float, optional
        Angle between views, in radians.
    coils : (int, int), optional
        Fewest and most coils in training.
    acceleration : float, optional
        Points of k-space over those measured.
    told : set of str
        What has been warned of: each only once.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> A = ip.problem("mri", size=64, coils=4, acceleration=4)[0]
    >>> net = ip.learned.pretrained("unrolled_mri", A)
    >>> type(net.domain).__name__, net.domain.dims
    ('Domain', (256, 256))
    """

    name: str
    words: str
    statistics: DomainStatistics
    dims: tuple[int, ...]
    pixel_size: tuple[float, float] | None = None
    gap: float | None = None
    coils: tuple[int, int] | None = None
    acceleration: float | None = None
    told: set[str] = field(default_factory=set, repr=False, compare=False)

    def check(self, A: Any, b: Array, x: Array) -> DomainCheck:
        """As `check_domain` for x = Φ(b), and whether the geometry of A is that of training."""
        if not backend.norm(b) > 0:
            return DomainCheck(False, math.inf, {}, math.nan, "the data vanish", ("data",))
        found, far = _judged(A, b, x, self.statistics, LIMIT), self._geometry(A)
        if not far:
            return found
        reasons = [*far.values(), *([] if found.inside else [found.reason])]
        return replace(found, inside=False, reason="; ".join(reasons), off=(*far, *found.off))

    def warn(self, A: Any, b: Array, x: Array) -> DomainCheck:
        """The `check`, and an `OutsideDomain` warning of what has not been warned of before."""
        found = self.check(A, b, x)
        tell(self, found.off, found.reason)
        return found

    def _geometry(self, A: Any) -> dict[str, str]:
        """What is off, in words."""
        far = {}
        if tuple(A.dims) != self.dims:
            far["image shape"] = f"images have {tuple(A.dims)} pixels, {self.dims} in training"
        if isinstance(A, Scan) and self.gap is not None and self.pixel_size is not None:
            widths, (least, most) = np.ravel(A.pixel_size), self.pixel_size
            if not ((least <= widths) & (widths <= most)).all():
                h = " and ".join(f"{width:.3g}" for width in widths)
                far["pixel size"] = f"pixels are {h} mm wide, {least:.3g} to {most:.3g} mm in training"
            angles = np.sort(np.asarray(backend.to_host(A.angles), dtype=float) % math.pi)
            gap = float(np.diff(angles, append=angles[0] + math.pi).max())
            if not self.gap / GAP <= gap <= self.gap * GAP:
                degrees = [math.degrees(v) for v in (gap, self.gap)]
                far["views"] = "views are up to {:.3g} degrees apart, {:.3g} in training".format(*degrees)
        if isinstance(A, Sampled) and self.acceleration is not None and self.coils is not None:
            fewest, most = self.coils
            of: Any = A
            coils = of.dimsd[0] if len(of.dimsd) > len(of.dims) else 1
            if not fewest <= coils <= most:
                far["coils"] = f"coils are {coils}, {fewest} to {most} in training"
            acceleration = A.mask.size / np.count_nonzero(backend.to_host(A.mask))
            if not self.acceleration / GAP <= acceleration <= self.acceleration * GAP:
                far["acceleration"] = f"the acceleration is {acceleration:.3g}, {self.acceleration:.3g} in training"
        return far


@dataclass(frozen=True)
class ImageDomain:
    """Where a denoiser is at home; an attribute of networks that `pretrained` gives.

    Attributes
    ----------
    name, words : str
    sigma : float
        Largest noise level in training, in the images' unit.
    scale : (float, float)
        Least and largest 99th percentile of |image| in training.
    told : set of str
        As of `Domain`.
    """

    name: str
    words: str
    sigma: float
    scale: tuple[float, float]
    told: set[str] = field(default_factory=set, repr=False, compare=False)

    def warn(self, image: Array, sigma: float | None) -> tuple[str, ...]:
        """What is off of an image and a noise level, both in the network's unit; warned of once."""
        far, (least, most) = {}, self.scale
        size = float(np.percentile(np.abs(backend.to_host(image)), 99))
        if not least <= size <= most:
            far["scale"] = f"the image's values reach {size:.3g}, {least:.3g} to {most:.3g} in training (the argument "
            far["scale"] += "scale divides them)"
        if sigma is not None and sigma > self.sigma * (1 + 1e-6):
            far["noise"] = f"the noise level is {sigma:.3g}, at most {self.sigma:.3g} in training"
        tell(self, tuple(far), "; ".join(far.values()))
        return tuple(far)


@runtime_checkable
class Stated(Protocol):
    """A network that states its domain."""

    domain: Any


def tell(domain: Domain | ImageDomain, off: tuple[str, ...], reason: str) -> None:
    """Warn where something is off that has not been warned of before."""
    if not set(off) <= domain.told:
        domain.told.update(off)
        warn(
            f"{domain.name} is off the ground it was trained on: {reason}; expected {domain.words}, where total "
            "variation is a safer choice otherwise (set the network's domain to None to have this unchecked)",
            OutsideDomain,
        )


def _judged(A: Any, b: Array, x: Array, training: DomainStatistics, limit: float) -> DomainCheck:
    found, consistency = _features(A, b, x)
    deviations = {name: abs(value - training.mean[name]) / training.std[name] for name, value in found.items()}

    def words(name: str) -> str:
        ratio = math.exp(found[name] - training.mean[name])
        return f"{name} is {ratio:.3g} times that of training, {deviations[name]:.1f} standard deviations away"

    worst = max(deviations, key=deviations.__getitem__)
    off = tuple(sorted((name for name, d in deviations.items() if d > limit), key=deviations.__getitem__, reverse=True))
    reason = "; ".join(map(words, off)) if off else f"inside: at most {words(worst)}"
    return DomainCheck(not off, deviations[worst], deviations, consistency, reason, off)


def _features(A: Any, b: Array, x: Array) -> tuple[dict[str, float], float]:
    """The features, and ‖Ax - b‖/‖b‖, for x = Φ(b)."""
    size = backend.norm(b)
    if not size > 0:
        raise ValueError("b vanishes; expected data of an object")
    r, z = backend.to_host(A.apply(x) - b), np.abs(backend.to_host(analytic(A, b)[0]))
    scale, margin = float(np.percentile(z, 99)), [max(n // 8, 1) for n in z.shape]
    inner = z[tuple(slice(m, -m) for m in margin)]
    outer = (z.sum() - inner.sum()) / (z.size - inner.size)
    slopes = sum(float(np.abs(np.diff(z, axis=k)).sum()) for k in range(z.ndim))
    consistency = float(np.linalg.norm(r)) / size
    features = {
        "noise": _noise(A, b, size),
        "scale": scale,
        "fill": float((z > FOREGROUND * scale).mean()),
        "edge": float(outer / z.mean()),
        "roughness": slopes / float(z.sum()),
        "consistency": consistency,
    }
    return {name: math.log(max(value, 1e-300)) for name, value in features.items()}, consistency


def _noise(A: Any, b: Array, size: float) -> float:
    """Noise of a reading relative to the data: of k-space, with its gaps, by `estimate_noise`."""
    if b.dtype.kind == "c":
        return estimate_noise(b, A) / size
    readings = np.abs(np.diff(backend.to_host(b), n=2, axis=-1))
    return 1.4826 * float(np.median(readings)) / math.sqrt(6) / (size / math.sqrt(b.size))
