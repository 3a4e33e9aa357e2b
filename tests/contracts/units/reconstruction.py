"""Every reconstruct function on small problems: how data, weights, levels and boxes change with the units."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import ipbox as ip
from ipbox.choose import RULES
from ipbox.operators import CartesianMRI, NonCartesianMRI
from ipbox.problems.measuring.coils import simulate_sensitivities
from ipbox.problems.measuring.trajectories import radial_trajectory
from tests.contracts.units.scales import Scales

DIMS = (6, 6)
TRUTH = np.kron(np.array([[1.0, 0.2, 0.0], [0.3, 2.0, 1.0], [0.0, 1.0, 0.5]]), np.ones((2, 2)))


@dataclass(frozen=True)
class Case:
    """``call``(scales) -> image; ``scaled``: A too; ``degree``: of the answer in the data; ``single``: float32 too."""

    name: str
    call: Callable[[Scales], Any]
    scaled: bool = True
    degree: int = 1
    slow: bool = False
    single: bool = True
    decides: bool = False  # by logarithms, which a power of two changes by a rounding
    accuracy: float = 1e-6  # of iterates whose data are rounded otherwise

    @property
    def function(self) -> str:
        return self.name.split()[0]

    def exact(self, dtype: str) -> float:
        """What a power of two may change: the sums of squares that are taken in double precision then."""
        return self.accuracy if self.decides else 2048 * float(np.finfo(dtype).eps)


@functools.cache
def matrix() -> tuple[np.ndarray, np.ndarray, float]:
    """A matrix with entries >= 0 and singular values from 1.7 to 0.1, data, and the norm of their noise."""
    rng = np.random.default_rng(0)
    m = np.vstack([0.3 * np.eye(36), rng.uniform(0, 0.05, (12, 36))]) + 0.2 * np.eye(48, 36, -1)
    e = 0.03 * rng.standard_normal(48)
    return m, m @ TRUTH.ravel() + e, float(np.linalg.norm(e))


def dense(call: Callable[..., Any]) -> Callable[[Scales], Any]:
    """``call``(A, b, δ, scales) on the matrix."""

    def run(u: Scales) -> Any:
        m, b, noise = matrix()
        return call(u.matrix(m, DIMS), u.data(b), noise * u.c, u)

    return run


def rows(f: Callable[..., Any], stopped: bool, niter: int, u: Scales) -> Any:
    """A method that takes rows of a matrix, to the noise or for so many iterations."""
    m, b, noise = matrix()
    A = u.matrix(m, DIMS).matrix
    return f(A, u.data(b), noise * u.c if stopped else None, niter=niter)[0].reshape(DIMS)


def with_operator(make: Callable[[str], tuple[Any, np.ndarray, float]], call: Callable[..., Any]) -> Any:
    """``call``(A, b, δ, scales) with an operator that has no unit of its own."""

    def run(u: Scales) -> Any:
        A, b, noise = make(u.dtype)
        return call(A, u.data(b), noise * u.c, u)

    return run


@functools.cache
def blurred(dtype: str) -> tuple[Any, np.ndarray, float]:
    A = ip.Blur((16, 16), np.outer([1, 2, 1], [1, 2, 1]) / 16, dtype=dtype)
    e = 0.02 * np.random.default_rng(1).standard_normal((16, 16))
    x = np.pad(np.kron(TRUTH, np.ones((2, 2))), 2)
    return A, ip.Blur((16, 16), np.outer([1, 2, 1], [1, 2, 1]) / 16, dtype="float64").apply(x) + e, 0.32


def _projected(transform: Any, dtype: str) -> tuple[Any, np.ndarray, float]:
    x, angles = np.pad(np.kron(TRUTH, np.ones((2, 2))), 3), np.linspace(0, np.pi, 20, endpoint=False)
    return transform(x.shape, angles, dtype=dtype), transform(x.shape, angles, dtype="float64").apply(x), 0.1


@functools.cache
def projected(dtype: str) -> tuple[Any, np.ndarray, float]:
    return _projected(ip.RayTransform, dtype)


@functools.cache
def positive(dtype: str) -> tuple[Any, np.ndarray, float]:
    return _projected(ip.JosephTransform, dtype)


@functools.cache
def coned(dtype: str) -> tuple[Any, np.ndarray, float]:
    beta = np.arange(9) * (2 * np.pi / 9)
    A = ip.ConeBeamTransform((3, *DIMS), beta, source_distance=15.0, detector_distance=5.0, dtype=dtype)
    return A, A.apply(np.stack([TRUTH] * 3).astype(dtype)), 0.0


@functools.cache
def coils() -> tuple[np.ndarray, np.ndarray]:
    n = 24
    y, x = (np.mgrid[:n, :n] - n // 2) / n
    u = np.exp(-((x - 0.1) ** 2 + y**2) / 0.03) + 0.5 * np.exp(-((x + 0.1) ** 2 + (y + 0.1) ** 2) / 0.01)
    return u * np.exp(0.5j * x), simulate_sensitivities(3, (n, n), dtype="complex128")


def _mri(kind: Any, dtype: str, *options: Any) -> tuple[Any, np.ndarray, float]:
    u, S = coils()
    wide = kind(*options, S, "complex128")
    rng = np.random.default_rng(2)
    b = wide.apply(u)
    b += (b != 0) * 0.02 * (rng.standard_normal(b.shape) + 1j * rng.standard_normal(b.shape))
    narrow = "complex64" if dtype == "float32" else "complex128"
    return kind(*options, S.astype(narrow), narrow), b, 0.9


@functools.cache
def cartesian(dtype: str) -> tuple[Any, np.ndarray, float]:
    return _mri(CartesianMRI, dtype, (np.arange(24) % 2 == 0)[:, None] & np.ones((24, 24), dtype=bool))


@functools.cache
def radial(dtype: str) -> tuple[Any, np.ndarray, float]:
    return _mri(NonCartesianMRI, dtype, (24, 24), radial_trajectory(20, 48, (24, 24)))


def sensitivities(u: Scales) -> Any:
    k = ip.FourierTransform((24, 24), "complex128").apply(coils()[1] * coils()[0])
    return ip.estimate_sensitivities(u.data(k), 12)


def whitened(A: Any, b: Any, noise: float, u: Scales) -> Any:
    """Data of unit variance: none of the data's unit is left, but in the maps, whose squares leave single precision."""
    return ip.prewhiten(A, b, (np.eye(3) + 0.3) * u.c**2)[1]


DATA = {  # D of degree 2 or 1, R of degree 1 or 2: see Scales.weight
    "": lambda u: {"lam": u.weight(0.05)},
    "nonneg": lambda u: {"lam": u.weight(0.05), "nonneg": True},
    "box": lambda u: {"lam": u.weight(0.05), "box": (0.1 * u.image, 1.2 * u.image)},
    "l1": lambda u: {"lam": u.weight(0.2, of_data=1), "fidelity": "l1"},
}


def _variational() -> list[Case]:
    functions = {
        "tv": ip.tv,
        "tgv": ip.tgv,
        "wavelet": functools.partial(ip.wavelet, levels=1),
        "variational": lambda A, b, lam, **k: ip.variational(A, b, ip.L1(), lam, **k),
    }
    made = []
    for name, f in functions.items():
        for kind, options in DATA.items():
            call = dense(lambda A, b, noise, u, f=f, options=options: f(A, b, niter=5000, **options(u))[0])
            accuracy = 1e-2 if kind == "l1" else 1e-3  # a stop that comes ten iterations earlier or later
            made.append(Case(f"{name} {kind}", call, slow=name == "tgv" or kind == "l1", accuracy=accuracy))
        if name in ("tv", "wavelet"):
            call = dense(lambda A, b, noise, u, f=f: f(A, b.clip(0), u.weight(0.05, of_data=1), fidelity="kl")[0])
            made.append(Case(f"{name} kl", call, slow=True, accuracy=1e-2))
    for rule in RULES:
        call = dense(lambda A, b, noise, u, rule=rule: ip.tikhonov(A, b, rule, noise)[0])
        made.append(Case(f"tikhonov {rule}", call, decides=True, accuracy=2e-2, slow=rule != "discrepancy"))
        for name in ("tv", "wavelet"):
            f = functions[name]
            call = dense(lambda A, b, noise, u, rule=rule, f=f: f(A, b, rule, noise)[0])
            made.append(Case(f"{name} {rule}", call, decides=True, accuracy=2e-2, slow=True))
    made.append(Case("tikhonov", dense(lambda A, b, noise, u: ip.tikhonov(A, b, u.weight(0.01, 2))[0])))
    return made


def _iterative() -> list[Case]:
    functions = {"landweber": ip.landweber, "cgls": ip.cgls, "lsqr": ip.lsqr, "sirt": ip.sirt}
    functions |= {"bregman": ip.bregman, "linearised_bregman": ip.linearised_bregman}
    made = []
    for name, f in functions.items():
        made.append(Case(name, dense(lambda A, b, noise, u, f=f: f(A, b, niter=4)[0]), accuracy=1e-4))
        made.append(Case(f"{name} discrepancy", dense(lambda A, b, noise, u, f=f: f(A, b, noise)[0]), accuracy=1e-2))
    for f, niter in ((ip.cimmino, 500), (ip.kaczmarz, 50)):
        made.append(Case(f.__name__, functools.partial(rows, f, False, 5), accuracy=1e-4))
        made.append(Case(f"{f.__name__} discrepancy", functools.partial(rows, f, True, niter), accuracy=1e-2))
    for f in (ip.bregman, ip.linearised_bregman):
        for R in ("l1", "wavelet"):
            run = dense(lambda A, b, noise, u, f=f, R=R: f(A, b, noise, regulariser=R)[0])
            made.append(Case(f"{f.__name__} {R}", run, accuracy=1e-2))
    for lam in ("gcv", "discrepancy"):
        run = dense(lambda A, b, noise, u, lam=lam: ip.hybrid_lsqr(A, b, lam, noise)[0])
        made.append(Case(f"hybrid_lsqr {lam}", run, decides=True, accuracy=1e-3))
    counts = dense(lambda A, b, noise, u: ip.mlem(A, b.clip(0), niter=20, background=0.1 * u.c)[0])
    made.append(Case("mlem", counts, accuracy=1e-4))
    subsets = with_operator(
        positive, lambda A, b, noise, u: ip.osem(A, b.clip(0) + 0.1 * u.c, 4, niter=3, background=0.1 * u.c)[0]
    )
    made.append(Case("osem", subsets, scaled=False, accuracy=1e-4))
    penalised = dense(
        lambda A, b, noise, u: ip.bsrem(A, b.clip(0), 0.05 * u.s, subsets=1, background=0.1 * u.c, tol=1e-4)[0]
    )
    made.append(Case("bsrem", penalised, accuracy=1e-3))
    return made


def _direct() -> list[Case]:
    def plain(name: str, make: Any, call: Any, **options: Any) -> Case:
        return Case(name, with_operator(make, call), scaled=False, **options)

    return [
        Case("pseudo_inverse svd", dense(lambda A, b, noise, u: ip.pseudo_inverse(A, b, "svd")[0]), accuracy=1e-4),
        Case("pseudo_inverse cgls", dense(lambda A, b, noise, u: ip.pseudo_inverse(A, b, "cgls")[0]), accuracy=1e-4),
        Case("tsvd", dense(lambda A, b, noise, u: ip.tsvd(A, b, 12)[0]), accuracy=1e-4),
        Case("tsvd discrepancy", dense(lambda A, b, noise, u: ip.tsvd(A, b, "discrepancy", noise)[0]), accuracy=1e-4),
        Case("tsvd gcv", dense(lambda A, b, noise, u: ip.tsvd(A, b, "gcv")[0]), accuracy=1e-4),
        Case("picard", dense(lambda A, b, noise, u: ip.picard(A, b, noise).ratios), accuracy=1e-4),
        Case("analytic", dense(lambda A, b, noise, u: ip.analytic(A, b, noise)[0]), accuracy=1e-4),
        plain("analytic tomography", projected, lambda A, b, noise, u: ip.analytic(A, b, noise)[0]),
        plain("fbp", projected, lambda A, b, noise, u: ip.fbp(A, b)[0]),
        plain("fdk", coned, lambda A, b, noise, u: ip.fdk(A, b)[0]),
        plain("wiener noise", blurred, lambda A, b, noise, u: ip.wiener(A, b, noise)[0], decides=True, accuracy=1e-2),
        plain("wiener ratio", blurred, lambda A, b, noise, u: ip.wiener(A, b, noise_to_signal=0.01)[0]),
        plain("truncated_inverse", blurred, lambda A, b, noise, u: ip.truncated_inverse(A, b, noise)[0]),
        plain("zero_filled", cartesian, lambda A, b, noise, u: ip.zero_filled(A, b)[0]),
        plain("root_sum_of_squares", cartesian, lambda A, b, noise, u: ip.root_sum_of_squares(A, b)[0]),
        plain("sense", cartesian, lambda A, b, noise, u: ip.sense(A, b)[0], accuracy=1e-3),
        plain("sense discrepancy", cartesian, lambda A, b, noise, u: ip.sense(A, b, noise)[0], accuracy=1e-3),
        plain("gridding", radial, lambda A, b, noise, u: ip.gridding(A, b)[0]),
        plain("gridded_kspace", radial, lambda A, b, noise, u: ip.reconstruct.gridded_kspace(A, b)),
        plain("prewhiten", cartesian, whitened, degree=0, single=False),
        Case("estimate_sensitivities", sensitivities, scaled=False, degree=0, accuracy=1e-3),
    ]


CASES = _variational() + _iterative() + _direct()
