"""The TV weight from the noise."""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import ipbox as ip
from ipbox.choose import RULES, TV_FACTOR, balancing, discrepancy, gcv, tv_weight


def problem(n: int = 32, views: int = 20, h: float = 1.0, dtype: str = "float64") -> tuple[ip.RayTransform, np.ndarray]:
    A = ip.RayTransform((n, n), np.arange(views) * (math.pi / views), pixel_size=h, dtype=dtype)
    return A, np.ones(A.dimsd, dtype=dtype)


@pytest.mark.parametrize("rule", sorted(RULES))
@pytest.mark.parametrize("level", [-1.0, math.nan, math.inf, "low", np.array([1.0])])
def test_every_rule_refuses_what_is_no_noise_level(rule: str, level: object) -> None:
    with pytest.raises(TypeError if level == "low" else ValueError, match="^noise_level is"):
        ip.tv(None, np.eye(4), rule, level)


def test_balancing_takes_the_divergence_of_low_counts_itself() -> None:
    """γ λ R = D at the chosen λ, for the Kullback-Leibler divergence without any scaling."""
    b = np.random.default_rng(0).poisson(1.0, 400).astype(float)
    D = ip.KL(None, b)

    def mean(lam: float) -> tuple[np.ndarray, None]:
        return (b + lam * b.mean()) / (1 + lam) + 1e-9, None

    with pytest.warns(RuntimeWarning, match="^balancing has no extremum inside the range"):
        choice = balancing(
            mean, None, b, lambda u: float(((u - b.mean()) ** 2).sum()), D=D, lams=np.logspace(-3, 3, 60)
        )
    values = [1.5 * math.log(D.value(u) + lam * ((u - b.mean()) ** 2).sum()) - math.log(lam)
              for lam in choice.curve["lam"] for u in [mean(lam)[0]]]  # fmt: skip
    np.testing.assert_allclose(choice.curve["balance"], values, rtol=1e-12)


@pytest.mark.parametrize("lam0", [0.1, 1.0, 10.0])
def test_discrepancy_of_counts_does_not_take_its_first_guess(lam0: float) -> None:
    """The deviance of many counts hardly changes with λ: all guesses are within 1 % of the target."""
    rng = np.random.default_rng(0)
    b = rng.poisson(100 + 2.0 * rng.standard_normal(4000)).astype(float)
    D, target = ip.KL(None, b), math.sqrt(4000)
    noisy = b + 60 * rng.standard_normal(4000) / 10  # a fit whose deviance is nearly that of the mean

    def blend(lam: float) -> tuple[np.ndarray, None]:
        return b.mean() + 0.01 * (noisy - b.mean()) / (1 + lam), None

    def excess(t: float) -> float:
        x = blend(math.exp(t))[0]
        return math.sqrt(4000 * D.value(x) / D.expected_value(x)) / reached - 1

    x = blend(0.7)[0]
    reached = math.sqrt(4000 * D.value(x) / D.expected_value(x))
    choice = discrepancy(blend, None, b, reached, lam0=lam0, D=D)
    assert abs(reached / target - 1) < 0.1 and abs(excess(math.log(lam0))) < 0.01
    assert choice.lam == pytest.approx(0.7, rel=0.05)


def test_rules_on_data_without_information() -> None:
    """Refused in words of their own, without a division by zero on the way."""
    zeros = np.zeros((8, 8))
    with pytest.raises(ValueError, match=r"^D \+ λR is 0 for every weight"):
        ip.tv(None, zeros, "balancing")
    with pytest.raises(ValueError, match="^the L-curve is a point or a line"):
        ip.tv(None, zeros, "l_curve")
    with pytest.raises(ValueError, match="does not rise above 0"):
        ip.tv(None, zeros, "discrepancy", fidelity="kl")


@pytest.mark.parametrize(
    ("error", "message", "call"),
    [
        (ValueError, "^max_solves is 0", lambda b: discrepancy(lambda lam: (b, None), None, b, 1.0, max_solves=0)),
        (ValueError, "^reconstruct returned an image", lambda b: discrepancy(lambda lam: (b[0], 0), None, b, 1.0)),
        (ValueError, "^lams is 'all'", lambda b: gcv(lambda lam, b=b: (b, None), None, b, lams="all")),
        (ValueError, "^max_dof is 'all'", lambda b: gcv(lambda lam, b=b: (b, None), None, b, max_dof="all")),
    ],
)  # fmt: skip
def test_bad_options_of_rules(error: type[Exception], message: str, call: Any) -> None:
    with pytest.raises(error, match=message):
        call(np.eye(4))


def test_denoising_weight_is_the_standard_deviation() -> None:
    """For A = I the noise in the gradient is the noise itself: λ = c σ."""
    A, b = ip.Identity((200, 200), "float64"), np.ones((200, 200))
    assert tv_weight(A, b, 0.1 * 200, factor=1.0) == pytest.approx(0.1, rel=0.02)


def test_scales_as_its_units() -> None:
    """Proportional to the noise and to c, and with the pixel size h as A*n: h for the ray transform."""
    A, b = problem()
    lam = tv_weight(A, b, 2.0)
    assert lam > 0 and type(lam) is float
    assert tv_weight(A, b, 6.0) == pytest.approx(3 * lam, rel=1e-12)
    assert tv_weight(A, b, 2.0, factor=2 * TV_FACTOR) == pytest.approx(2 * lam, rel=1e-12)
    assert tv_weight(problem(h=2.5)[0], b, 2.0) == pytest.approx(2.5 * lam, rel=1e-9)


def test_four_times_the_views_at_one_noise_per_datum_double_it() -> None:
    A, b = problem(64, 30)
    B, c = problem(64, 120)
    few, many = (tv_weight(op, data, 0.1 * math.sqrt(data.size)) for op, data in ((A, b), (B, c)))
    assert many == pytest.approx(2 * few, rel=0.05)


def test_same_on_float32_and_for_any_batch() -> None:
    A, b = problem()
    A32, b32 = problem(dtype="float32")
    lam = tv_weight(A, b, 2.0)
    assert tv_weight(A32, b32, 2.0) == pytest.approx(lam, rel=0.05)  # another draw of the noise
    assert tv_weight(A, np.stack([b, b]), 2.0) == lam


def test_on_any_device(xp: ModuleType) -> None:
    A, b = problem(dtype="float32")
    lam = tv_weight(A, xp.asarray(b), 2.0)
    assert lam == pytest.approx(tv_weight(A, b, 2.0), rel=0.1)  # each library draws its own noise


def test_values_of_the_data_play_no_part() -> None:
    A, b = problem()
    before = b.copy()
    assert tv_weight(A, b, 2.0) == tv_weight(A, 3 * b, 2.0) and np.array_equal(b, before)


@pytest.mark.parametrize(("name", "value"), [("noise_level", 0.0), ("noise_level", math.nan), ("factor", -1.0)])
def test_bad_arguments(name: str, value: float) -> None:
    A, b = problem()
    with pytest.raises(ValueError, match=f"{name} is .*; expected a positive number"):
        tv_weight(A, b, **({"noise_level": 1.0} | {name: value}))


def test_data_that_do_not_fit() -> None:
    A, b = problem()
    with pytest.raises(ValueError, match="b has shape"):
        tv_weight(A, b[1:], 1.0)


@pytest.mark.parametrize("seed", [3, 4, 13])
def test_gcv_of_very_noisy_data_grows_its_range_to_the_minimum(seed: int) -> None:
    """The guess without a noise level takes 2 % for it; here it is 30 %, and λ five decades above the guess."""
    n = np.arange(24)
    K = np.exp(-0.125 * np.subtract.outer(n, n) ** 2)
    clean = K @ (np.sin(n / 4) + 1)
    b = clean + 0.3 * abs(clean).mean() * np.random.default_rng(seed).standard_normal(24)
    U, s, _ = np.linalg.svd(K)
    lams = np.logspace(-6, 4, 4001)
    left = lams[:, None] / (s**2 + lams[:, None])
    best = lams[(((left * (U.T @ b)) ** 2).sum(1) / left.sum(1) ** 2).argmin()]
    assert ip.tikhonov(K, b, "gcv")[1].extra["lam"] == pytest.approx(best, rel=0.05)


@pytest.mark.filterwarnings("ignore:.*no extremum inside the range:RuntimeWarning")
@pytest.mark.parametrize("rule", ["gcv", "weighted_gcv", "sure", "l_curve", "quasi_optimality", "balancing"])
def test_a_grid_of_ones_own_is_the_one_that_is_tried(rule: str) -> None:
    A, b, _, info = ip.problem("phillips", size=32)
    lams = [0.003, 3.0, 0.1, 0.03, 0.3, 0.01, 1.0]
    found = ip.tikhonov(A, b, rule, info.noise_level, lams=lams)[1].extra
    np.testing.assert_allclose(found["choice"].curve["lam"], sorted(lams))
    assert 0.003 <= found["lam"] <= 3.0
