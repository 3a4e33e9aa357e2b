"""The rules for λ against closed forms."""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from scipy.optimize import brentq, minimize_scalar

import ipbox as ip
from ipbox.backend import to_host
from ipbox.choose import RULES, balancing, discrepancy, gcv, l_curve, quasi_optimality, resolve, sure, weighted_gcv
from ipbox.choose.corner import curvature, distance
from ipbox.choose.discrepancy import _Search
from ipbox.choose.grid import interior_minimum, minimum, weights
from tests.contracts.solvers.registry import operator

M, N, SIGMA = 60, 40, 0.02


class Dense:
    """A small ill-posed problem with known singular values, and Tikhonov's solution in closed form."""

    def __init__(self, xp: ModuleType = np, seed: int = 3) -> None:
        rng = np.random.default_rng(seed)
        U = np.linalg.qr(rng.standard_normal((M, N)))[0]
        V = np.linalg.qr(rng.standard_normal((N, N)))[0]
        self.s = 0.75 ** np.arange(N)
        self.matrix = (U * self.s) @ V.T
        self.u = V @ (0.85 ** np.arange(N) * rng.choice([-1.0, 1.0], N))
        noise = SIGMA * rng.standard_normal(M)
        self.data = self.matrix @ self.u + noise
        self.c = U.T @ self.data
        self.outside = float(self.data @ self.data - self.c @ self.c)  # what no u can fit
        self.delta = SIGMA * math.sqrt(M)
        self.A, self.b = ip.as_operator(self.matrix), xp.asarray(self.data)
        self.V = V

    def residual(self, lam: float) -> float:
        return math.sqrt(float(np.sum((lam / (self.s**2 + lam) * self.c) ** 2)) + self.outside)

    def norm(self, lam: float) -> float:
        return float(np.linalg.norm(self.s / (self.s**2 + lam) * self.c))

    def dof(self, lam: float) -> float:
        return float(np.sum(self.s**2 / (self.s**2 + lam)))

    def solve(self, lam: float, b: Any = None) -> tuple[Any, None]:
        G = self.matrix.T @ self.matrix + lam * np.eye(N)
        return np.linalg.solve(G, self.matrix.T @ (self.data if b is None else b)), None


@pytest.fixture(scope="module")
def dense() -> Dense:
    return Dense()


# ---------------------------------------------------------------- discrepancy


@pytest.mark.parametrize("lam0", [1e-8, 1e-2, 1e4])
def test_discrepancy_finds_the_root_of_the_secular_equation(dense: Dense, lam0: float) -> None:
    exact = math.exp(brentq(lambda t: dense.residual(math.exp(t)) - dense.delta, -25, 10))
    choice = discrepancy(dense.solve, dense.A, dense.b, dense.delta, lam0=lam0, within=1e-4)
    assert choice.solves <= 12
    assert dense.residual(choice.lam) == pytest.approx(dense.delta, rel=1e-4)
    assert choice.lam == pytest.approx(exact, rel=1e-2)
    assert np.linalg.norm(dense.matrix @ choice.x - dense.data) == pytest.approx(dense.delta, rel=1e-4)


def test_discrepancy_of_tikhonov_by_conjugate_gradients(dense: Dense, xp: ModuleType) -> None:
    d = Dense(xp)
    A = operator(d.matrix, xp, np.float64, (N,))
    x, info = ip.tikhonov(A, d.b, "discrepancy", d.delta, tol=1e-8)
    choice = info.extra["choice"]
    assert info.extra["lam"] == choice.lam and choice.solves <= 12 and choice.x is x
    assert dense.residual(choice.lam) == pytest.approx(d.delta, rel=0.01)
    assert np.linalg.norm(d.matrix @ to_host(x) - d.data) == pytest.approx(d.delta, rel=0.01)


def test_the_curve_is_monotone_and_ascending(dense: Dense) -> None:
    curve = discrepancy(dense.solve, dense.A, dense.b, dense.delta, lam0=1e3, x_true=dense.u).curve
    assert (np.diff(curve["lam"]) > 0).all() and (np.diff(curve["residual"]) > 0).all()
    assert len(curve["psnr"]) == len(curve["lam"])


def test_safety_multiplies_the_target(dense: Dense) -> None:
    choice = discrepancy(dense.solve, dense.A, dense.b, dense.delta, safety=1.3)
    assert choice.target == 1.3 * dense.delta
    assert dense.residual(choice.lam) == pytest.approx(choice.target, rel=0.01)


def test_infeasible_targets_are_refused_with_the_range(dense: Dense) -> None:
    low, high = math.sqrt(dense.outside), float(np.linalg.norm(dense.data))
    with pytest.raises(ValueError, match=rf"not attainable: it does not fall below {low:.3g}\d* as λ goes to 0"):
        discrepancy(dense.solve, dense.A, dense.b, 0.5 * low)
    with pytest.raises(
        ValueError, match=rf"not attainable: it does not rise above {math.floor(1000 * high) / 1000:.3f}\d* as λ grows"
    ):
        discrepancy(dense.solve, dense.A, dense.b, 2 * high)


def test_infeasible_target_of_tv() -> None:
    """TV leaves a constant: the residual is at most that of the mean."""
    b = np.random.default_rng(0).standard_normal((6, 6)) + 5
    with pytest.raises(ValueError, match="does not rise above"):
        ip.tv(None, b, "discrepancy", 1.2 * float(np.linalg.norm(b - b.mean())))


def test_too_few_solves_are_reported(dense: Dense) -> None:
    with pytest.raises(RuntimeError, match="^2 solves brought"):
        discrepancy(dense.solve, dense.A, dense.b, dense.delta, lam0=1e6, max_solves=2)


def test_poisson_discrepancy() -> None:
    """2 KL is the number of data, for counts that are not small."""
    rng = np.random.default_rng(0)
    u = np.kron(rng.uniform(20, 200, (4, 4)), np.ones((8, 8)))
    b = rng.poisson(u).astype(float)
    x, info = ip.tv(ip.Identity(u.shape, "float64"), b, "discrepancy", fidelity="kl", nonneg=True)
    assert info.extra["choice"].target == 32.0
    assert 2 * ip.KL(None, b).value(x) == pytest.approx(b.size, rel=0.02)
    assert ip.psnr(x, u) > ip.psnr(b, u) + 4


@pytest.mark.parametrize("contrast", [2.0, pytest.param(10.0, marks=pytest.mark.slow)])
def test_discrepancy_of_counts_finds_the_weight_to_5_percent(contrast: float) -> None:
    """Where the deviance hardly changes with λ a tolerance of 1 % would take the first guess, several times too large.

    Solves of their own, to 1e-5, have the root of D(u_λ)/E D(u_λ) = 1 between λ/1.05 and 1.05 λ.
    """
    rng = np.random.default_rng(0)
    b = rng.poisson(np.kron(50 + contrast * rng.uniform(-1, 1, (4, 4)), np.ones((6, 6)))).astype(float)
    D = ip.KL(None, b)

    def excess(lam: float) -> float:
        x, _ = ip.tv(None, b, lam, fidelity="kl", nonneg=True, tol=1e-5, niter=20000)
        return D.value(x) / D.expected_value(x) - 1

    _, info = ip.tv(None, b, "discrepancy", fidelity="kl", nonneg=True)
    lam = info.extra["lam"]
    assert excess(lam / 1.05) < 0 < excess(1.05 * lam)


def test_the_search_never_leaves_its_bracket() -> None:
    search, t = _Search(), 0.0
    for _ in range(40):
        f = math.atan(5 * (t - 7.3)) + 0.3  # steep and flat
        ends = dict(search.ends)
        t_new = search.next(t, f)
        assert t_new is not None
        if len(ends) == 2:
            assert ends[False][0] <= t <= ends[True][0]
        t = t_new
    assert math.atan(5 * (t - 7.3)) + 0.3 == pytest.approx(0, abs=1e-6)


# ---------------------------------------------------------------- GCV and SURE


def exact_minimum(function: Any, lams: np.ndarray) -> float:
    k = int(np.argmin([function(lam) for lam in lams]))
    bounds = (math.log(lams[k - 1]), math.log(lams[k + 1]))
    return math.exp(minimize_scalar(lambda t: function(math.exp(t)), bounds=bounds, method="bounded").x)


@pytest.mark.parametrize("omega", [1.0, 1.4])
def test_gcv_finds_the_minimum_of_the_closed_form(dense: Dense, omega: float) -> None:
    lams = np.geomspace(1e-6, 1.0, 31)
    exact = exact_minimum(lambda lam: dense.residual(lam) ** 2 / (M - omega * dense.dof(lam)) ** 2, lams)
    found = []
    for seed in range(20):  # the mean over probes, whose trace is unbiased
        choice = weighted_gcv(dense.solve, dense.A, dense.b, omega=omega, linear=True, lams=lams, seed=seed)
        found.append(choice.curve["dof"])
    dof = np.mean(found, axis=0)
    assert dof == pytest.approx([dense.dof(lam) for lam in lams], abs=3.0)  # 4 deviations: √(2 df/20) each
    values = np.array([dense.residual(lam) ** 2 for lam in lams]) / (M - omega * dof) ** 2
    assert math.log(minimum(lams, values)[0]) == pytest.approx(math.log(exact), abs=1.0)


def test_exact_trace_gives_the_exact_minimum(dense: Dense, monkeypatch: pytest.MonkeyPatch) -> None:
    from ipbox.choose.influence import Probe

    monkeypatch.setattr(Probe, "dof", lambda self, lam: dense.dof(lam))
    lams = np.geomspace(1e-6, 1.0, 61)
    exact = exact_minimum(lambda lam: dense.residual(lam) ** 2 / (M - dense.dof(lam)) ** 2, lams)
    choice = gcv(dense.solve, dense.A, dense.b, lams=lams)
    assert choice.lam == pytest.approx(exact, rel=0.02) and not choice.at_end


def test_differences_and_linear_solves_agree(dense: Dense) -> None:
    options = dict(lams=np.geomspace(1e-5, 1.0, 7), seed=5)
    linear = gcv(dense.solve, dense.A, dense.b, linear=True, probes=1, **options)
    nonlinear = gcv(dense.solve, dense.A, dense.b, **options)
    assert nonlinear.curve["dof"] == pytest.approx(linear.curve["dof"], rel=1e-6)


def soft(b: Any, lam: float) -> Any:
    return np.sign(b) * np.maximum(abs(b) - lam, 0)


def test_sure_is_unbiased_for_soft_thresholding() -> None:
    """df is the number of entries above λ; SURE's mean over draws of the noise is the mean risk."""
    u = np.where(np.arange(400) < 40, 4.0, 0.0)
    lams = np.array([0.5, 1.0, 2.0, 3.0])
    estimates, risks = [], []
    for seed in range(60):
        b = u + np.random.default_rng(1000 + seed).standard_normal(400)
        choice = sure(lambda lam, b=b: (soft(b, lam), None), None, b, 20.0, lams=lams, seed=seed)
        assert choice.curve["dof"] == pytest.approx([(abs(b) > lam).sum() for lam in lams], abs=5 * math.sqrt(2 * 400))
        estimates.append(choice.curve["sure"])
        risks.append([np.sum((soft(b, lam) - u) ** 2) for lam in lams])
    difference = np.array(estimates) - np.array(risks)
    error = difference.std(axis=0) / math.sqrt(len(difference))
    assert (abs(difference.mean(axis=0)) < 4 * error).all()


@pytest.mark.filterwarnings("ignore:.* has no extremum inside the range")
def test_sure_in_the_data_domain_is_unbiased_for_the_predicted_risk() -> None:
    d, lams, differences = Dense(), np.geomspace(1e-4, 1.0, 4), []
    for seed in range(100):
        b = d.matrix @ d.u + SIGMA * np.random.default_rng(500 + seed).standard_normal(M)
        choice = sure(lambda lam, b=b: d.solve(lam, b), d.A, b, d.delta, linear=True, lams=lams, seed=seed)
        risk = [np.sum((d.matrix @ (d.solve(lam, b)[0] - d.u)) ** 2) for lam in lams]
        differences.append(choice.curve["sure"] - risk)
    error = np.std(differences, axis=0) / math.sqrt(len(differences))
    assert (abs(np.mean(differences, axis=0)) < 4 * error).all()


@pytest.mark.filterwarnings("ignore:.* has no extremum inside the range")
def test_complex_data_and_masks_are_counted() -> None:
    """A mask leaves half of the data out; re and im count each: df -> 2 m/2 as λ -> 0."""
    A = ip.problem("inpaint", size=64, mask=np.arange(4096).reshape(64, 64) % 2 == 0)[0]
    A = ip.Mask(A.mask, dtype="complex128")
    rng = np.random.default_rng(1)
    b = A.apply((rng.standard_normal((64, 64)) + 1j * rng.standard_normal((64, 64))).astype("complex128"))
    choice = gcv(lambda lam, b=b: (b / (1 + lam), None), A, b, linear=True, lams=[1e-9, 1e-8, 1.0], max_dof=2)
    assert choice.curve["dof"][0] == pytest.approx(4096, abs=5 * math.sqrt(2 * 4096))


# ---------------------------------------------------------------- L-curve, quasi-optimality, balancing


def test_l_curve_corner_is_that_of_the_closed_form(dense: Dense) -> None:
    lams = np.geomspace(1e-6, 1e1, 41)
    fine = np.log(np.geomspace(1e-6, 1e1, 4001))
    rho, eta = (np.log([f(math.exp(t)) for t in fine]) for f in (dense.residual, dense.norm))
    d1, e1 = np.gradient(rho, fine), np.gradient(eta, fine)
    kappa = (d1 * np.gradient(e1, fine) - np.gradient(d1, fine) * e1) / (d1**2 + e1**2) ** 1.5
    exact = math.exp(fine[10 + np.argmax(kappa[10:-10])])
    choice = l_curve(dense.solve, dense.A, dense.b, np.linalg.norm, corner="curvature", lams=lams)
    assert abs(math.log(choice.lam / exact)) <= math.log(lams[1] / lams[0])
    error = [np.linalg.norm(dense.solve(lam)[0] - dense.u) for lam in lams]
    assert np.linalg.norm(choice.x - dense.u) < 2 * min(error)


def test_curvature_of_a_circle() -> None:
    t = np.linspace(0, 1.5, 60)
    assert curvature(t, 2 * np.cos(t), 2 * np.sin(t))[5:-5] == pytest.approx(0.5, rel=2e-3)


def test_the_point_furthest_from_the_chord_is_the_corner_of_an_exact_l_or_the_shoulder() -> None:
    t = np.linspace(-3, 3, 13)
    rho, eta = np.maximum(0.5 * t, 0), -np.minimum(t, 0)  # R falls first, then the residual rises; the corner is t = 0
    assert np.nanargmax(distance(t, rho, eta)) == 6
    rho, eta = np.minimum(0.5 * t, 0), -np.maximum(t, 0)  # the residual rises first, then R falls
    assert np.nanargmax(distance(t, rho, eta)) == 6
    long = np.linspace(-6, 3, 19)  # with an arm where the residual is proportional to λ, which does not count
    rho = np.where(long < -3, long + 3, np.maximum(0.5 * long, 0))
    far = distance(long, rho, -np.clip(long, -3, 0))
    assert np.isnan(far[:6]).all() and long[np.nanargmax(far)] == 0


def test_quasi_optimality_of_a_diagonal_problem(dense: Dense) -> None:
    lams = np.geomspace(1e-6, 1e1, 29)
    x = np.array([dense.solve(lam)[0] for lam in lams])
    change = np.linalg.norm(np.diff(x, axis=0), axis=1)
    choice = quasi_optimality(dense.solve, dense.A, dense.b, lams=lams)
    assert choice.curve["change"][:-1] == pytest.approx(change, rel=1e-9)
    assert math.log(choice.lam) == pytest.approx(math.log(interior_minimum(lams[:-1], change)[0]), abs=1e-9)
    error = [np.linalg.norm(dense.solve(lam)[0] - dense.u) for lam in lams]
    assert np.linalg.norm(choice.x - dense.u) < 2 * min(error)


def test_balancing_is_where_data_term_and_regulariser_balance(dense: Dense) -> None:
    gamma = 4.0
    choice = balancing(
        dense.solve, dense.A, dense.b, lambda u: 0.5 * float(u @ u), gamma=gamma, lams=np.geomspace(1e-6, 1e1, 71)
    )
    assert not choice.at_end
    D, R = 0.5 * dense.residual(choice.lam) ** 2, 0.5 * dense.norm(choice.lam) ** 2
    assert gamma * choice.lam * R == pytest.approx(D, rel=0.02)


def test_parabola() -> None:
    t = np.linspace(-3, 3, 7)
    assert minimum(np.exp(t), (t - 0.4) ** 2) == (pytest.approx(math.exp(0.4)), False)
    assert minimum(np.exp(t), t) == (pytest.approx(math.exp(-3)), True)
    assert interior_minimum(np.exp(t), np.array([0.0, 3, 2, 1, 4, 5, 6]))[0] == pytest.approx(math.exp(-0.25))


# ---------------------------------------------------------------- every rule in the reconstruct functions


@pytest.mark.filterwarnings("ignore:.* has no extremum inside the range")
@pytest.mark.parametrize("rule", sorted(RULES))
def test_every_rule_in_tv_and_its_picture(rule: str, tmp_path: Any) -> None:
    A, b, x_true, info = ip.problem("inpaint", size=32, noise=0.05)
    x, run = ip.tv(A, b, rule, info.noise_level, niter=60)
    choice = run.extra["choice"]
    assert choice.rule == rule and x.dtype == b.dtype and run.extra["lam"] == choice.lam
    choice.plot(tmp_path / "curve.png")
    assert (tmp_path / "curve.png").stat().st_size > 5000
    lost = rule == "quasi_optimality" and choice.at_end  # it finds nothing here, and says so
    assert lost or ip.psnr(x, x_true) > 15


@pytest.mark.filterwarnings("ignore:.* has no extremum inside the range")
@pytest.mark.parametrize("rule", sorted(RULES))
def test_every_rule_with_wavelets_on_both_libraries(rule: str, xp: ModuleType) -> None:
    A, b, _, info = ip.problem("inpaint", size=16, noise=0.05)
    x, run = ip.wavelet(A, xp.asarray(b), rule, info.noise_level, levels=2, niter=20)
    on_host, host_run = ip.wavelet(A, b, rule, info.noise_level, levels=2, niter=20)
    assert type(x) is type(xp.asarray(b)) and x.dtype == b.dtype
    if rule not in ("gcv", "sure", "weighted_gcv"):  # each library draws its own noise
        assert run.extra["lam"] == pytest.approx(host_run.extra["lam"], rel=0.02)
        assert np.linalg.norm(to_host(x) - on_host) < 0.02 * np.linalg.norm(on_host)


def test_complex_images() -> None:
    A, b, x_true, info = ip.problem("mri", size=32, noise=0.05)
    for rule, niter in (("discrepancy", 300), ("sure", 50)):
        x, run = ip.tv(A, b, rule, info.noise_level, niter=niter)
        assert x.dtype == np.complex64 and np.isfinite(run.extra["lam"])


def test_variational_picks_its_solver() -> None:
    A, b, _, info = ip.problem("inpaint", size=32)
    names = {}
    for R in (ip.L2(), ip.WaveletL1(A.dims), ip.TV(A.dims)):
        names[type(R).__name__] = type(ip.variational(A, b, R, 0.01, niter=5)[1].solver).__name__
    assert names == {"L2": "CGLS", "WaveletL1": "FISTA", "TV": "AdaptivePDHG"}
    same = ip.variational(A, b, ip.TV(A.dims), 0.01, niter=50)[0]
    assert np.array_equal(same, ip.tv(A, b, 0.01, niter=50)[0])


def test_resolve_with_a_number_is_one_solve() -> None:
    calls = []
    x, _ = resolve(2.0, lambda lam: (calls.append(lam) or np.ones(1), None), None, np.ones(1))
    assert calls == [2.0] and x[0] == 1


# ---------------------------------------------------------------- bad input


B = np.ones((8, 8))
GOOD = lambda lam, b=B: (b / (1 + lam), None)  # noqa: E731


@pytest.mark.parametrize(
    ("error", "message", "call"),
    [
        (TypeError, "^reconstruct is str", lambda: discrepancy("tv", None, B, 1.0)),
        (TypeError, "^reconstruct returned ndarray", lambda: discrepancy(lambda lam: B, None, B, 1.0)),
        (ValueError, "^noise_level is None", lambda: discrepancy(GOOD, None, B)),
        (ValueError, "^noise_level is -1", lambda: discrepancy(GOOD, None, B, -1.0)),
        (ValueError, "^noise_level is None", lambda: sure(GOOD, None, B)),
        (ValueError, "^lam0 is 0", lambda: discrepancy(GOOD, None, B, 1.0, lam0=0)),
        (ValueError, "^safety is nan", lambda: discrepancy(GOOD, None, B, 1.0, safety=math.nan)),
        (ValueError, "^lams is", lambda: gcv(GOOD, None, B, lams=[1.0, 2.0])),
        (ValueError, "^lams is", lambda: gcv(GOOD, None, B, lams=[1.0, -2.0, 3.0])),
        (TypeError, "has no parameter b", lambda: gcv(lambda lam: (B, None), None, B)),
        (TypeError, "^R is None", lambda: l_curve(GOOD, None, B)),
        (TypeError, "^R is int", lambda: l_curve(GOOD, None, B, 3)),
        (TypeError, "^R is None", lambda: balancing(GOOD, None, B)),
        (ValueError, "^corner is 'sharp'", lambda: l_curve(GOOD, None, B, np.sum, corner="sharp")),
        (ValueError, "^gamma is 0", lambda: balancing(GOOD, None, B, np.sum, gamma=0)),
        (ValueError, "^omega is -1", lambda: weighted_gcv(GOOD, None, B, omega=-1.0)),
        (TypeError, "no keyword 'omega'", lambda: gcv(GOOD, None, B, omega=1.0)),
        (ValueError, "^lam is 'best'; expected a positive number, or a rule", lambda: ip.tv(None, B, "best")),
        (ValueError, "^noise_level is None", lambda: ip.tv(None, B, "discrepancy")),
        (ValueError, "^fidelity is 'l3'", lambda: ip.tv(None, B, 1.0, fidelity="l3")),
        (ValueError, "of another A or b", lambda: ip.tv(None, B, 1.0, fidelity=ip.KL(None, B.copy()))),
        (ValueError, "gcv expects L2", lambda: ip.tv(None, B, "gcv", fidelity="kl")),
        (ValueError, "^state is given and lam is a rule", lambda: ip.tv(None, B, "sure", 1.0, state=object())),
        (TypeError, "^R is float", lambda: ip.variational(None, B, 1.0, 1.0)),
        (TypeError, "^solver is str", lambda: ip.variational(None, B, ip.L2(), 1.0, solver="cg")),
    ],
)  # fmt: skip
def test_bad_input(error: type[Exception], message: str, call: Any) -> None:
    with pytest.raises(error, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_batches_are_refused() -> None:
    A = ip.Identity((16, 16), "float64")
    with pytest.raises(ValueError, match="with a batch axis; a rule for λ takes one set of data"):
        ip.tv(A, np.ones((3, 16, 16)), "discrepancy", 1.0)


def test_the_grid() -> None:
    grid = weights(None, 2.0)
    assert grid[0] == pytest.approx(2 * 10**1.5) and grid[-1] == pytest.approx(2 * 10**-2.5)
    assert (np.diff(grid) < 0).all() and weights([1.0, 3.0, 2.0], 1.0).tolist() == [3.0, 2.0, 1.0]
