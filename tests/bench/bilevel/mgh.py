"""The nonlinear least-squares problems of Moré, Garbow and Hillstrom, ACM Trans. Math. Software 7 (1981) 17-41.

Numbers are the paper's.  f = Σ_i r_i²; ``best`` is the smallest value known.  Needs nothing but NumPy, so that peers'
environments can use it too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class LeastSquares:
    """r: R^n -> R^m with its standard start."""

    name: str
    residuals: Callable[[np.ndarray], np.ndarray]
    start: np.ndarray
    best: float

    def value(self, x: np.ndarray) -> float:
        r = self.residuals(x)
        return float(r @ r)

    @property
    def target(self) -> float:
        """f* + 1e-5 (f(x0) - f*): reached, a problem counts as solved."""
        return self.best + 1e-5 * (self.value(self.start) - self.best)


def _numbers(text: str) -> np.ndarray:
    return np.array([float(word) for word in text.split()])


def rosenbrock(x):
    return np.concatenate([10 * (x[1::2] - x[::2] ** 2), 1 - x[::2]])


def freudenstein_roth(x):
    return np.array([-13 + x[0] + ((5 - x[1]) * x[1] - 2) * x[1], -29 + x[0] + ((x[1] + 1) * x[1] - 14) * x[1]])


def powell_badly_scaled(x):
    return np.array([1e4 * x[0] * x[1] - 1, np.exp(-x[0]) + np.exp(-x[1]) - 1.0001])


def brown_badly_scaled(x):
    return np.array([x[0] - 1e6, x[1] - 2e-6, x[0] * x[1] - 2])


def beale(x):
    return np.array([1.5, 2.25, 2.625]) - x[0] * (1 - x[1] ** np.arange(1, 4))


def jennrich_sampson(x):
    i = np.arange(1, 11)
    return 2 + 2 * i - (np.exp(i * x[0]) + np.exp(i * x[1]))


def helical_valley(x):
    angle = np.arctan2(x[1], x[0]) / (2 * np.pi)
    angle = angle + 1 if angle < -0.25 else angle  # the paper's branch: from -1/4 to 3/4
    return np.array([10 * (x[2] - 10 * angle), 10 * (np.hypot(x[0], x[1]) - 1), x[2]])


def bard(x):
    y = _numbers(".14 .18 .22 .25 .29 .32 .35 .39 .37 .58 .73 .96 1.34 2.10 4.39")
    u = np.arange(1.0, 16)
    v = 16 - u
    return y - (x[0] + u / (v * x[1] + np.minimum(u, v) * x[2]))


def gaussian(x):
    half = [0.0009, 0.0044, 0.0175, 0.0540, 0.1295, 0.2420, 0.3521]
    t = (8 - np.arange(1, 16)) / 2
    return x[0] * np.exp(-x[1] * (t - x[2]) ** 2 / 2) - np.array([*half, 0.3989, *half[::-1]])


def meyer(x):
    y = _numbers("34780 28610 23650 19630 16370 13720 11540 9744 8261 7030 6005 5147 4427 3820 3307 2872")
    return x[0] * np.exp(x[1] / (45 + 5 * np.arange(1, 17) + x[2])) - y


def gulf(x):
    t = np.arange(1, 100) / 100
    y = 25 + (-50 * np.log(t)) ** (2 / 3)
    return np.exp(-(np.abs(y - x[1]) ** x[2]) / x[0]) - t


def box_3d(x):
    t = 0.1 * np.arange(1, 11)
    return np.exp(-t * x[0]) - np.exp(-t * x[1]) - x[2] * (np.exp(-t) - np.exp(-10 * t))


def powell_singular(x):
    a, b, c, d = x[::4], x[1::4], x[2::4], x[3::4]
    return np.concatenate([a + 10 * b, 5**0.5 * (c - d), (b - 2 * c) ** 2, 10**0.5 * (a - d) ** 2])


def wood(x):
    a, b, c, d = x
    return np.array([10 * (b - a * a), 1 - a, 90**0.5 * (d - c * c), 1 - c, 10**0.5 * (b + d - 2), 10**-0.5 * (b - d)])


def kowalik_osborne(x):
    y = _numbers(".1957 .1947 .1735 .1600 .0844 .0627 .0456 .0342 .0323 .0235 .0246")
    u = _numbers("4 2 1 .5 .25 .167 .125 .1 .0833 .0714 .0625")
    return y - x[0] * (u * u + u * x[1]) / (u * u + u * x[2] + x[3])


def brown_dennis(x):
    t = np.arange(1, 21) / 5
    return (x[0] + t * x[1] - np.exp(t)) ** 2 + (x[2] + x[3] * np.sin(t) - np.cos(t)) ** 2


def osborne_1(x):
    y = _numbers(
        ".844 .908 .932 .936 .925 .908 .881 .850 .818 .784 .751 .718 .685 .658 .628 .603 .580 .558 .538 .522 .506 .490 "
        ".478 .467 .457 .448 .438 .431 .424 .420 .414 .411 .406"
    )
    t = 10.0 * np.arange(33)
    return y - (x[0] + x[1] * np.exp(-t * x[3]) + x[2] * np.exp(-t * x[4]))


def biggs_exp6(x):
    t = 0.1 * np.arange(1, 14)
    y = np.exp(-t) - 5 * np.exp(-10 * t) + 3 * np.exp(-4 * t)
    return x[2] * np.exp(-t * x[0]) - x[3] * np.exp(-t * x[1]) + x[5] * np.exp(-t * x[4]) - y


def osborne_2(x):
    y = _numbers(
        "1.366 1.191 1.112 1.013 .991 .885 .831 .847 .786 .725 .746 .679 .608 .655 .616 .606 .602 .626 .651 .724 .649 "
        ".649 .694 .644 .624 .661 .612 .558 .533 .495 .500 .423 .395 .375 .372 .391 .396 .405 .428 .429 .523 .562 .607 "
        ".653 .672 .708 .633 .668 .645 .632 .591 .559 .597 .625 .739 .710 .729 .720 .636 .581 .428 .292 .162 .098 .054"
    )
    t = np.arange(65) / 10
    peaks = sum(x[1 + k] * np.exp(-((t - x[8 + k]) ** 2) * x[5 + k]) for k in range(3))
    return y - (x[0] * np.exp(-t * x[4]) + peaks)


def watson(x):
    n = len(x)
    t = np.arange(1, 30)[:, None] / 29
    slope = (np.arange(1, n) * x[1:] * t ** np.arange(n - 1)).sum(axis=1)
    value = (x * t ** np.arange(n)).sum(axis=1)
    return np.concatenate([slope - value**2 - 1, [x[0], x[1] - x[0] ** 2 - 1]])


def penalty_1(x):
    return np.append(1e-5**0.5 * (x - 1), x @ x - 0.25)


def penalty_2(x):
    n, a = len(x), 1e-5**0.5
    e, i = np.exp(x / 10), np.arange(2, n + 1)
    y = np.exp(i / 10) + np.exp((i - 1) / 10)
    weighted = np.arange(n, 0, -1) @ x**2
    return np.concatenate([[x[0] - 0.2], a * (e[1:] + e[:-1] - y), a * (e[1:] - np.exp(-0.1)), [weighted - 1]])


def variably_dimensioned(x):
    weighted = np.arange(1, len(x) + 1) @ (x - 1)
    return np.concatenate([x - 1, [weighted, weighted**2]])


def trigonometric(x):
    return len(x) - np.cos(x).sum() + np.arange(1, len(x) + 1) * (1 - np.cos(x)) - np.sin(x)


def brown_almost_linear(x):
    return np.append(x[:-1] + x.sum() - (len(x) + 1), x.prod() - 1)


def discrete_boundary_value(x):
    h = 1 / (len(x) + 1)
    t, padded = h * np.arange(1, len(x) + 1), np.pad(x, 1)
    return 2 * x - padded[:-2] - padded[2:] + h * h * (x + t + 1) ** 3 / 2


def discrete_integral(x):
    h = 1 / (len(x) + 1)
    t = h * np.arange(1, len(x) + 1)
    cubed = (x + t + 1) ** 3
    below, above = np.cumsum(t * cubed), np.cumsum(((1 - t) * cubed)[::-1])[::-1] - (1 - t) * cubed
    return x + h / 2 * ((1 - t) * below + t * above)


def broyden_tridiagonal(x):
    padded = np.pad(x, 1)
    return (3 - 2 * x) * x - padded[:-2] - 2 * padded[2:] + 1


def broyden_banded(x):
    n, g = len(x), x * (1 + x)
    near = np.array([g[max(0, i - 5) : min(n, i + 2)].sum() - g[i] for i in range(n)])
    return x * (2 + 5 * x * x) + 1 - near


def linear_full_rank(x, m=20):
    return np.append(x, np.zeros(m - len(x))) - 2 / m * x.sum() - 1


def linear_rank_1(x, m=20):
    return np.arange(1, m + 1) * (np.arange(1, len(x) + 1) @ x) - 1


def linear_rank_1_zeros(x, m=20):
    weights = np.arange(m) * (np.arange(m) < m - 1)
    return weights * (np.arange(2, len(x)) @ x[1:-1]) - 1


def chebyquad(x):
    n, y = len(x), 2 * x - 1
    rows, before, now = [], np.ones(n), y
    for i in range(1, n + 1):
        rows.append(now.mean() + (1 / (i * i - 1) if i % 2 == 0 else 0.0))
        before, now = now, 2 * y * now - before
    return np.array(rows)


def _grid(n):
    t = np.arange(1, n + 1) / (n + 1)
    return t * (t - 1)


def problems() -> list[LeastSquares]:
    """All of them, in the paper's order and with its starts, n from 2 to 12."""
    m = 20
    table = [
        (rosenbrock, [-1.2, 1.0], 0.0),
        (freudenstein_roth, [0.5, -2.0], 0.0),
        (powell_badly_scaled, [0.0, 1.0], 0.0),
        (brown_badly_scaled, [1.0, 1.0], 0.0),
        (beale, [1.0, 1.0], 0.0),
        (jennrich_sampson, [0.3, 0.4], 124.36218),
        (helical_valley, [-1.0, 0.0, 0.0], 0.0),
        (bard, [1.0, 1.0, 1.0], 8.2148773e-3),
        (gaussian, [0.4, 1.0, 0.0], 1.1279328e-8),
        (meyer, [0.02, 4000.0, 250.0], 87.945855),
        (gulf, [5.0, 2.5, 0.15], 0.0),
        (box_3d, [0.0, 10.0, 20.0], 0.0),
        (powell_singular, [3.0, -1.0, 0.0, 1.0], 0.0),
        (wood, [-3.0, -1.0, -3.0, -1.0], 0.0),
        (kowalik_osborne, [0.25, 0.39, 0.415, 0.39], 3.0750561e-4),
        (brown_dennis, [25.0, 5.0, -5.0, -1.0], 85822.2016),
        (osborne_1, [0.5, 1.5, -1.0, 0.01, 0.02], 5.4648947e-5),
        (biggs_exp6, [1.0, 2.0, 1.0, 1.0, 1.0, 1.0], 0.0),
        (osborne_2, [1.3, 0.65, 0.65, 0.7, 0.6, 3.0, 5.0, 7.0, 2.0, 4.5, 5.5], 4.0137736e-2),
        (watson, np.zeros(6), 2.2876701e-3),
        (watson, np.zeros(9), 1.3997601e-6),
        (watson, np.zeros(12), 4.7223811e-10),
        (rosenbrock, [-1.2, 1.0] * 5, 0.0),
        (powell_singular, [3.0, -1.0, 0.0, 1.0] * 3, 0.0),
        (penalty_1, np.arange(1.0, 5), 2.2499775e-5),
        (penalty_1, np.arange(1.0, 11), 7.0876515e-5),
        (penalty_2, np.full(4, 0.5), 9.3762907e-6),
        (penalty_2, np.full(10, 0.5), 2.9366054e-4),
        (variably_dimensioned, 1 - np.arange(1, 11) / 10, 0.0),
        (trigonometric, np.full(10, 0.1), 0.0),
        (brown_almost_linear, np.full(10, 0.5), 0.0),
        (discrete_boundary_value, _grid(10), 0.0),
        (discrete_integral, _grid(10), 0.0),
        (broyden_tridiagonal, np.full(10, -1.0), 0.0),
        (broyden_banded, np.full(10, -1.0), 0.0),
        (linear_full_rank, np.ones(10), float(m - 10)),
        (linear_rank_1, np.ones(10), m * (m - 1) / (2 * (2 * m + 1))),
        (linear_rank_1_zeros, np.ones(10), (m * m + 3 * m - 6) / (2 * (2 * m - 3))),
        (chebyquad, np.arange(1, 8) / 8, 0.0),
        (chebyquad, np.arange(1, 9) / 9, 3.5168737e-3),
    ]
    return [LeastSquares(f"{f.__name__} {len(x)}", f, np.array(x, dtype=np.float64), best) for f, x, best in table]
