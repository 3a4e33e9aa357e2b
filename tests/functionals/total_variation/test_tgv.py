"""TGV against CVXPY and closed forms; scaling, certificates, warm starts, batches; reconstruction with it."""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ipbox as ip
from ipbox.choose.guess import first_weight
from ipbox.functionals.total_variation import tgv_geometry
from tests.contracts.solvers.registry import operator
from tests.contracts.support import draw, host

# ---------------------------------------------------------------- the same model for CVXPY


def along(matrix: np.ndarray, a: int, dims: tuple[int, ...]) -> np.ndarray:
    """``matrix`` acting along axis a of flattened images."""
    return np.kron(np.kron(np.eye(math.prod(dims[:a])), matrix), np.eye(math.prod(dims[a + 1 :])))


def model(u: Any, dims: tuple[int, ...], beta: float, spacing: tuple[float, ...] | None = None) -> Any:
    """min_v ‖∇u - v‖ + β ‖E v‖ with Kronecker products; v_a and its differences only where both ends are."""
    c, h = len(dims), spacing or (1.0,) * len(dims)
    inside, forward, backward = [], [], []
    for a, n in enumerate(dims):
        mask = np.diag([1.0] * (n - 1) + [0.0])
        inside.append(along(mask, a, dims))
        forward.append(along(mask @ (np.eye(n, k=1) - np.eye(n)) / h[a], a, dims))
        backward.append(along(np.diag([0.0] + [1.0] * (n - 1)) @ (np.eye(n) - np.eye(n, k=-1)) / h[a], a, dims))
    v = [inside[a] @ cp.Variable(math.prod(dims)) for a in range(c)]
    p = [forward[a] @ u - v[a] for a in range(c)]

    def jacobian(a: int, b: int) -> Any:
        return inside[a] @ backward[b] @ v[a]

    q = [jacobian(a, a) for a in range(c)]
    q += [(jacobian(a, b) + jacobian(b, a)) / math.sqrt(2) for a in range(c) for b in range(a + 1, c)]
    return cp.sum(cp.norm(cp.vstack(p), 2, axis=0)) + beta * cp.sum(cp.norm(cp.vstack(q), 2, axis=0))


def minimum(objective: Any) -> float:
    problem = cp.Problem(cp.Minimize(objective))
    problem.solve(solver=cp.CLARABEL, tol_gap_abs=1e-9, tol_gap_rel=1e-9, tol_feas=1e-9)
    return problem.value


IMAGES = {
    "2-D": ((5, 6), 1.5, None),
    "row": ((1, 7), 0.7, None),
    "voxel sizes": ((4, 5), 0.8, (0.5, 2.0)),
    "3-D": ((2, 3, 3), 2.0, None),
    "3-D, voxel sizes": ((3, 2, 3), 1.0, (1.0, 0.5, 2.0)),
}


def image(dims: tuple[int, ...], seed: int = 4) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(dims).cumsum(axis=-1)


@pytest.mark.parametrize("name", IMAGES)
def test_value_and_prox_against_cvxpy(name: str) -> None:
    dims, beta, spacing = IMAGES[name]
    b, R = image(dims), ip.TGV(dims, beta, spacing, accuracy=1e-6, value_accuracy=5e-6, niter=100_000)
    assert R.value(b) == pytest.approx(minimum(model(b.ravel(), dims, beta, spacing)), rel=1e-5)
    u, work = cp.Variable(b.size), {}
    minimum(0.5 * cp.sum_squares(u - b.ravel()) + 0.3 * model(u, dims, beta, spacing))
    p = (0.3 * R).prox(b, 1.0, work=work)
    assert np.linalg.norm(p.ravel() - u.value) <= work["bound"][0] + 1e-6 * np.linalg.norm(b)


# ---------------------------------------------------------------- what TGV is


def affine(dims: tuple[int, ...]) -> np.ndarray:
    return sum((0.3 - 0.2 * a) * x for a, x in enumerate(np.indices(dims).astype(float)))


@pytest.mark.parametrize("dims", [(9, 7), (4, 5, 3)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_affine_images_cost_nothing_and_stay(dims: tuple[int, ...], dtype: str) -> None:
    u = affine(dims).astype(dtype)
    R = ip.TGV(dims, spacing=(0.5, 2.0, 1.5)[: len(dims)])
    assert R.value(u) <= 1e-5 * ip.TV(dims).value(u)
    p = (0.2 * R).prox(u, 1.0)
    assert p.dtype == dtype and np.linalg.norm(p - u) <= 2e-3 * np.linalg.norm(u)


def test_a_jump_costs_as_in_tv() -> None:
    """α1 times its height and length, where the way round through v is dear."""
    u = np.zeros((6, 8))
    u[:, 4:] = 2.0
    assert ip.TGV(u.shape, beta=20.0).value(u) == pytest.approx(12.0, rel=1e-4)


@settings(max_examples=8, deadline=None)
@given(st.tuples(st.integers(1, 4), st.integers(2, 4)), st.floats(0.3, 3.0), st.floats(0.2, 4.0), st.integers(0, 2**16))
def test_scaling(dims: tuple[int, int], beta: float, h: float, seed: int) -> None:
    """TGV_{sh}(u; sβ) = TGV_h(u; β)/s, TGV(-3u) = 3 TGV(u), and the axes are alike."""
    u, spacing = image(dims, seed), (0.7, 1.6)
    exact = {"value_accuracy": 1e-5}
    value = ip.TGV(dims, beta, spacing, **exact).value(u)
    scaled = ip.TGV(dims, h * beta, (0.7 * h, 1.6 * h), **exact)
    assert scaled.value(u) == pytest.approx(value / h, rel=1e-4)
    assert ip.TGV(dims, beta, spacing, **exact).value(-3 * u + 5) == pytest.approx(3 * value, rel=1e-4)
    assert ip.TGV(dims[::-1], beta, spacing[::-1], **exact).value(u.T.copy()) == pytest.approx(value, rel=1e-4)


def test_bounds_and_growth_in_beta() -> None:
    """It grows with β, by at most as much as β, and stays below TV (v = 0)."""
    u = image((6, 7))
    betas = (0.2, 0.5, 1.0, 3.0, 30.0)
    values = [ip.TGV(u.shape, beta, value_accuracy=5e-6).value(u) for beta in betas]
    for (small, low), (large, high) in zip(
        zip(betas, values, strict=True), list(zip(betas, values, strict=True))[1:], strict=False
    ):
        assert low <= high * (1 + 1e-5) and high <= low * large / small * (1 + 1e-5)
    assert values[-1] <= ip.TV(u.shape).value(u) * (1 + 1e-12)


# ---------------------------------------------------------------- certificates


def test_the_bound_of_a_coarse_prox_is_one() -> None:
    b = image((8, 9))
    exact = (0.4 * ip.TGV(b.shape, accuracy=1e-7, niter=100_000)).prox(b, 1.0)
    for accuracy in (0.3, 0.1, 0.03, 0.01, 1e-3):
        work: dict[str, Any] = {}
        p = (0.4 * ip.TGV(b.shape, accuracy=accuracy)).prox(b, 1.0, work=work)
        assert np.linalg.norm(p - exact) <= work["bound"][0] <= accuracy * np.linalg.norm(b)


def denoising(b: Any, weight: float = 0.4, beta: float = 2.0) -> ip.Problem:
    return ip.Problem(ip.L2(b=b) + weight * ip.TGV(b.shape, beta))


def test_gap_of_pdhg_bounds_the_objective_from_below() -> None:
    """(1 - gap) P(u, v) <= min P, in float32 too, against a long run in float64."""
    b = image((8, 9))
    best = ip.solve(denoising(b), ip.PDHG(), stop=ip.stop.gap(1e-9) | ip.stop.niter(100_000))
    assert best.stop == "gap"
    optimum = best.solver.objective(best.solver.prepare(denoising(b)), best.state)
    for dtype in (np.float32, np.float64):
        problem = denoising(b.astype(dtype))
        for niter in (1, 10, 100, 1000):
            sol = ip.solve(problem, ip.PDHG(), stop=ip.stop.niter(niter))
            parts = sol.solver.prepare(problem)
            value, gap = sol.solver.objective(parts, sol.state), sol.solver.gap(parts, sol.state)
            assert optimum <= value * (1 + 1e-6) and (1 - gap) * value <= optimum * (1 + 1e-6)
            assert np.linalg.norm(sol.x - best.x) <= sol.certificate.bound + best.certificate.bound


@pytest.mark.parametrize("name", ["2-D", "3-D, voxel sizes"])
def test_pdhg_and_prox_agree(name: str) -> None:
    dims, beta, spacing = IMAGES[name]
    b = image(dims)
    R = 0.3 * ip.TGV(dims, beta, spacing, accuracy=1e-3)
    stop = ip.stop.gap(1e-3, every=25) | ip.stop.niter(4000)
    sol, work = ip.solve(ip.Problem(ip.L2(b=b) + R), ip.PDHG(), stop=stop), {}
    assert sol.stop == "gap"
    p = R.prox(b, 1.0, work=work)
    assert np.linalg.norm(sol.x - p) <= sol.certificate.bound + work["bound"][0]


def test_prox_that_stops_early_says_so() -> None:
    with pytest.warns(RuntimeWarning, match=r"^TGV.prox stopped after niter=30 with a certified error of"):
        ip.TGV((8, 9), accuracy=1e-8, niter=30).prox(image((8, 9)), 1.0)
    with pytest.warns(RuntimeWarning, match=r"^TGV.value stopped after niter=1 "):
        ip.TGV((8, 9), niter=1).value(image((8, 9)))


# ---------------------------------------------------------------- batches, warm starts, memory


def test_batch_with_a_step_for_each_sample(xp: ModuleType) -> None:
    b = np.stack([image((3, 2)), affine((3, 2)), 10 * image((3, 2), 5)])
    accuracy = 1e-3 if xp is np else 0.2  # Python threads may simulate those of a GPU
    R, t = ip.TGV((3, 2), accuracy=accuracy), np.array([0.1, 1.0, 3.0])
    work: dict[str, Any] = {}
    p = R.prox(xp.asarray(b), t, work=work)
    for i in range(3):
        alone = R.prox(xp.asarray(b[i]), float(t[i]))
        np.testing.assert_allclose(host(p[i]), host(alone), rtol=0, atol=1e-10)
        assert work["bound"][i] <= accuracy * np.linalg.norm(b[i])


def test_warm_start_saves_iterations(monkeypatch: pytest.MonkeyPatch) -> None:
    count, step = [0], tgv_geometry.kernels.tgv_dual_step

    def counted(*args: Any, **kwargs: Any) -> None:
        count[0] += 1
        step(*args, **kwargs)

    monkeypatch.setattr(tgv_geometry.kernels, "tgv_dual_step", counted)
    b = image((12, 10))
    R, work, steps = ip.TGV(b.shape, accuracy=3e-3), {}, []
    for x, t in ((b, 0.5), (b, 0.5), (b * 1.001, 0.52)):
        count[0] = 0
        R.prox(x, t, work=work)
        steps.append(count[0])
    assert steps[1] == 0 and steps[2] < 0.7 * steps[0]


def test_memory_of_a_denoising_state() -> None:
    b = image((16, 20)).astype(np.float32)
    sol = ip.solve(denoising(b), ip.PDHG(), stop=ip.stop.gap(1e-2) | ip.stop.niter(30))
    assert sol.state.nbytes <= 16 * b.nbytes


# ---------------------------------------------------------------- reconstruction


def test_tgv_reconstructs_by_a_rule_and_a_number(rng: np.random.Generator) -> None:
    dims = (24, 20)
    truth = affine(dims) / 4 + (np.indices(dims)[0] > 12)
    b = truth + 0.1 * rng.standard_normal(dims)
    level = float(np.linalg.norm(b - truth))
    x, info = ip.tgv(None, b, "discrepancy", level, tol=1e-3)
    assert np.linalg.norm(x - b) == pytest.approx(level, rel=0.02)
    assert np.linalg.norm(x - truth) < 0.7 * np.linalg.norm(ip.tv(None, b, "discrepancy", level)[0] - truth)
    lam = info.extra["lam"]
    same, _ = ip.tgv(None, b, lam, tol=1e-6, niter=5000)
    assert np.linalg.norm(same - x) <= 0.03 * np.linalg.norm(x)
    assert 0.2 < first_weight(ip.L2(b=b), ip.TGV(dims), level) / lam < 5


def test_tgv_with_an_operator_constraint_and_fidelity(rng: np.random.Generator) -> None:
    """At the optimum no feasible direction leads down: checked against CVXPY."""
    dims = (4, 4)
    matrix, b = rng.standard_normal((10, 16)), rng.standard_normal(10)
    A = operator(matrix, np, np.float64, dims)
    x, info = ip.tgv(A, b, 0.5, beta=1.5, nonneg=True, tol=1e-7, niter=20_000)
    u = cp.Variable(16)
    problem = cp.Problem(cp.Minimize(0.5 * cp.sum_squares(matrix @ u - b) + 0.5 * model(u, dims, 1.5)), [u >= 0])
    problem.solve(solver=cp.CLARABEL)
    assert x.min() >= 0 and np.linalg.norm(x.ravel() - u.value) <= 1e-3 * np.linalg.norm(u.value)


# ---------------------------------------------------------------- bad input

BAD = {
    "axes": (lambda: ip.TGV((5,)), ValueError, r"^dims is \(5,\); TGV expects two or three axes"),
    "four axes": (lambda: ip.TGV((2, 2, 2, 2)), ValueError, "^dims is"),
    "dims": (lambda: ip.TGV((5, 0)), ValueError, "^dims"),
    "beta": (lambda: ip.TGV((5, 4), beta=0.0), ValueError, "^beta is 0.0; expected a positive number"),
    "beta NaN": (lambda: ip.TGV((5, 4), beta=math.nan), ValueError, "^beta is nan"),
    "beta text": (lambda: ip.TGV((5, 4), beta="2"), ValueError, "^beta is '2'"),
    "accuracy": (lambda: ip.TGV((5, 4), accuracy=-1e-3), ValueError, "^accuracy is -0.001"),
    "value_accuracy": (lambda: ip.TGV((5, 4), value_accuracy=0.0), ValueError, "^value_accuracy is 0.0"),
    "niter": (lambda: ip.TGV((5, 4), niter=0), ValueError, "^niter is 0"),
    "spacing": (lambda: ip.TGV((5, 4), spacing=(1.0, -1.0)), ValueError, r"^spacing is \(1.0, -1.0\)"),
    "spacings": (lambda: ip.TGV((5, 4), spacing=(1.0, 1.0, 1.0)), ValueError, "^spacing"),
    "shape": (lambda: ip.TGV((5, 4)).value(np.zeros((4, 4))), ValueError, "^x has shape"),
    "lam": (lambda: ip.tgv(None, np.zeros((5, 4)), -1.0), ValueError, "^lam"),
    "beta of tgv": (lambda: ip.tgv(None, np.zeros((5, 4)), 1.0, beta=-1.0), ValueError, "^beta is -1.0"),
    "both": (lambda: ip.tgv(None, np.zeros((5, 4)), 1.0, nonneg=True, box=(0, 1)), ValueError, "^nonneg and box"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_does_not_fit_is_refused_in_one_line(case: str) -> None:
    call, error, message = BAD[case]
    with pytest.raises(error, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_input_is_not_modified(xp: ModuleType, rng: np.random.Generator) -> None:
    x = draw(rng, (3, 2), "float32", xp)
    before = host(x).copy()
    ip.TGV((3, 2), accuracy=0.2).prox(x, 0.5)
    assert host(x).tobytes() == before.tobytes()


@pytest.mark.parametrize("phase", [1j, np.exp(0.7j)])
def test_of_a_complex_image_the_phase_does_not_count(phase: complex) -> None:
    """A real image times a phase: the same value, prox and solution of the primal-dual method, times the phase."""
    rng = np.random.default_rng(8)
    b = np.add.outer(np.linspace(0, 1, 9), np.linspace(0, 0.5, 7)) + 0.1 * rng.standard_normal((9, 7))
    f = ip.TGV(b.shape)
    assert f.value(b * phase) == pytest.approx(f.value(b), rel=1e-9)
    np.testing.assert_allclose(f.prox(b * phase, 0.3), f.prox(b, 0.3) * phase, atol=1e-10)
    found, real = (ip.tgv(None, data, 0.2, tol=1e-6)[0] for data in (b * phase, b))
    np.testing.assert_allclose(found, real * phase, atol=1e-9)


def test_moduli_couple_the_parts_of_a_complex_image() -> None:
    """One edge in both parts costs less than an edge in each, and single precision is kept."""
    u = np.where(np.arange(12) < 6, 0.0, 1.0) * np.ones((10, 1))
    f = ip.TGV(u.shape)
    assert f.value(u + 1j * u) == pytest.approx(math.sqrt(2) * f.value(u), rel=1e-3)
    ramp = np.add.outer(np.arange(6.0), 2j * np.arange(5.0))
    assert ip.TGV((6, 5)).value(ramp) < 1e-6  # affine in both parts
    assert f.prox((u + 1j * u).astype("complex64"), 0.1).dtype == np.complex64


def test_a_signal_is_an_image_of_one_row() -> None:
    """A kink from slope -1 to 1 costs β · 2 there, an affine piece nothing; the refusal of (n,) says so."""
    u = np.abs(np.arange(24.0) - 11)
    for beta in (0.25, 0.5):
        assert ip.TGV((1, 24), beta).value(u[None]) == pytest.approx(2 * beta, rel=1e-3)
    assert ip.tgv(np.eye(24), u, 0.1, shape=(1, 24))[0].shape == (1, 24)
    with pytest.raises(ValueError, match=r"dims is \(24,\); TGV expects two or three axes: shape=\(1, 24\) for a sig"):
        ip.tgv(np.eye(24), u, 0.1, shape=(24,))
