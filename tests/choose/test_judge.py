"""Every rule for λ of Tikhonov's functional against dense algebra, on ten named problems and ten more."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import ipbox as ip
from ipbox.choose import RULES
from ipbox.choose.freedom import exact_tikhonov
from tests.choose.judge import NAMED, NEW, Judge, problem

QUICK = {"denoise", "inpaint", "mri", "super-resolution", *NEW}


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[] if n in QUICK else pytest.mark.slow) for n in (*NAMED, *NEW)]
)
def test_every_rule_finds_the_exact_weight_or_warns(name: str) -> None:
    """Within 5 % of the λ of the singular values; where the rule has none inside its range, that is said."""
    A, b, delta = problem(name)
    judge, wrong = Judge(A, b), {}
    for rule in sorted(RULES):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            choice = ip.tikhonov(A, b, rule, delta)[1].extra["choice"]
        said = any("no extremum inside the range" in str(w.message) for w in caught)
        # a criterion that rises by about 0.2 % on one side may be called flat or not
        allowed = [judge.exact(rule, delta, choice.curve["lam"], rise) for rise in (1.001, 1.002, 1.004)]
        right = any(said if exact is None else abs(choice.lam / exact - 1) <= 0.05 for exact in allowed)
        if said != choice.at_end or not right:
            wrong[rule] = choice.lam, allowed, said
    assert not wrong


def test_the_discrepancy_is_reached_where_the_noise_is_low() -> None:
    """Warm-started solves relative to A*b ended where they began for all small λ."""
    s = np.logspace(0, -3, 20)
    e = 1e-3 * np.random.default_rng(0).standard_normal(20)
    for share in (1.0, 0.1, 0.01):
        u, info = ip.tikhonov(np.diag(s), s + share * e, "discrepancy", share * float(np.linalg.norm(e)), tol=1e-3)
        residual = np.linalg.norm(s * u - (s + share * e)) / np.linalg.norm(share * e)
        assert residual == pytest.approx(1, abs=0.011) and info.extra["choice"].solves <= 20


def test_accuracy_follows_the_weight() -> None:
    """Whatever λ is, the curve of warm-started solves is that of the closed form."""
    s = np.logspace(0, -3, 20)
    b = s + 1e-3 * np.random.default_rng(0).standard_normal(20)
    lams = np.geomspace(1e-9, 1e-1, 17)
    curve = ip.tikhonov(np.diag(s), b, "l_curve", lams=lams)[1].extra["choice"].curve
    assert curve["residual"] == pytest.approx([np.linalg.norm(lam / (s**2 + lam) * b) for lam in lams], rel=2e-3)
    assert curve["R"] == pytest.approx([np.linalg.norm(s / (s**2 + lam) * b) for lam in lams], rel=2e-3)


def test_the_range_grows_to_where_the_minimum_is() -> None:
    s = np.logspace(0, -3, 20)
    b = s + 1e-3 * np.random.default_rng(0).standard_normal(20)
    near = ip.tikhonov(np.diag(s), b, "gcv")[1].extra["lam"]
    for factor in (1e-4, 1e4):
        choice = ip.tikhonov(np.diag(s), b, "gcv", lam0=factor * near)[1].extra["choice"]
        assert not choice.at_end and choice.lam == pytest.approx(near, rel=0.02)


def test_options_of_rules_can_be_given() -> None:
    A, b, _, info = ip.problem("denoise", size=16, noise=0.1)
    for call, kind in ((ip.tv, {}), (ip.wavelet, {"levels": 2}), (ip.tikhonov, {})):
        x, run = call(A, b, "discrepancy", info.noise_level, within=0.05, max_solves=30, inner_tol=1e-3, **kind)
        assert abs(np.linalg.norm(A.apply(x) - b) / info.noise_level - 1) < 0.06
        with pytest.raises(TypeError, match="^within is given and lam is 0.1; expected it with a rule"):
            call(A, b, 0.1, within=0.05, **kind)
        with pytest.raises(TypeError, match="^within is given and lam is 'sure'; expected options of this rule"):
            call(A, b, "sure", info.noise_level, within=0.05, **kind)
    with pytest.raises(TypeError, match="^max_solves is given and lam is 0.1"):
        ip.tgv(A, b, 0.1, max_solves=3)
    with pytest.raises(RuntimeError, match="expected a larger max_solves=2 or within=0.01"):
        ip.tikhonov(A, b, "discrepancy", info.noise_level, max_solves=2, lam0=1e9)


def test_plateaus_take_the_noise_of_the_probe_away() -> None:
    """In one dimension the degrees of freedom of TV are the number of plateaus (Tibshirani and Taylor 2012)."""
    rng = np.random.default_rng(0)
    b = np.repeat([0.0, 2.0, 1.0, 3.0], 50) + 0.3 * rng.standard_normal(200)
    options = dict(lams=[0.5, 1.0, 2.0], tol=1e-8, inner_tol=1e-8, niter=4000)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        curves = [ip.tv(None, b, "gcv", seed=seed, **options)[1].extra["choice"].curve for seed in (0, 1)]
    plateaus = [
        1 + np.sum(abs(np.diff(ip.tv(None, b, lam, tol=1e-8, niter=4000)[0])) > 1e-3) for lam in curves[0]["lam"]
    ]
    for curve in curves:  # one probe alone is off by √(2 df), 20 to 35 %
        assert curve["dof"] == pytest.approx(plateaus, rel=0.15)


@pytest.mark.parametrize("name", ["mri", "heat", "inpaint"])
def test_residual_and_freedom_of_small_problems_are_known_without_a_solve(name: str) -> None:
    A, b, _ = problem(name)
    judge, exact = Judge(A, b), exact_tikhonov(A, ip.L2(), tuple(A.dims), b)
    for lam in np.geomspace(1e-6, 1e3, 7):
        assert exact.residual(lam) == pytest.approx(judge.residual(lam), rel=1e-4, abs=1e-5 * float(np.linalg.norm(b)))
        assert exact(lam) == pytest.approx(judge.dof(lam), rel=1e-4)


def test_the_deepest_of_two_minima_is_found_far_from_the_guess() -> None:
    """A spectrum of three steps has a minimum of GCV between any two of them; guesses are near either, and beyond."""
    s = np.repeat([1.0, 1e-2, 1e-4], [10, 10, 20])
    A, b = ip.as_operator(np.diag(s)), np.repeat([1.0, 0.3, 0.1], [10, 10, 20])
    lams = np.geomspace(1e-9, 1e3, 4001)
    rest = lams[:, None] / (s**2 + lams[:, None])
    values = ((rest * b) ** 2).sum(1) / rest.sum(1) ** 2
    inside = values[1:-1]
    minima = lams[1:-1][(inside < values[:-2]) & (inside < values[2:])]
    assert minima == pytest.approx([1.3e-5, 0.032], rel=0.05) and values.argmin() == np.searchsorted(lams, minima[0])
    for lam0 in (1e-6, 0.03, 1e2):
        choice = ip.tikhonov(A, b, "gcv", lam0=lam0)[1].extra["choice"]
        assert choice.lam == pytest.approx(minima[0], rel=0.03) and choice.solves == 1
