"""Problems: which term plays which role in which solver, and what is refused with which reason."""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ipbox as ip
from tests.contracts.solvers.registry import DIMS, operator

IMAGE = (6, 4)


def data(*shape: int, dtype: str = "float64") -> np.ndarray:
    return np.random.default_rng(1).standard_normal(shape).astype(dtype)


def matrix(rows: int = 5, dims: tuple[int, ...] = IMAGE, dtype: str = "float64") -> Any:
    return operator(data(rows, int(np.prod(dims))), np, dtype, dims)


def splitting(solver: ip.solvers.Solver, objective: Any, **options: Any) -> str:
    return solver.prepare(ip.Problem(objective, **options)).describe()


# ---------------------------------------------------------------- roles

ROLES = {
    "denoising": (lambda: ip.L2(b=data(*IMAGE)) + 0.1 * ip.TV(IMAGE), {
        ip.PDHG(): "prox: L2; dual: 0.1·TV",
        ip.FISTA(): "smooth: L2; prox: 0.1·TV",
    }),
    "denoising in a box": (lambda: ip.L2(b=data(*IMAGE)) + ip.Box(0, 1) + 0.1 * ip.TV(IMAGE), {
        ip.PDHG(): "prox: (L2 + Box); dual: 0.1·TV",
    }),
    "tomography": (lambda: ip.L2(matrix(), data(5)) + 0.1 * ip.TV(IMAGE) + ip.NonNegative(), {
        ip.PDHG(): "prox: NonNegative; dual: L2∘Matrix, 0.1·TV",
    }),
    "least squares": (lambda: 2 * ip.L2(matrix(), data(5)), {
        ip.GradientDescent(): "smooth: 2·L2(Matrix)",
        ip.CGLS(): "smooth: 2·L2(Matrix)",
        ip.ForwardBackward(): "smooth: 2·L2(Matrix)",
        ip.FISTA(): "smooth: 2·L2(Matrix)",
        ip.PDHG(): "dual: 2·L2∘Matrix",
    }),
    "two sparse terms": (lambda: ip.L2(matrix(), data(5)) + ip.L1() + 0.5 * ip.L1() @ ip.Gradient(IMAGE, "float64"), {
        ip.PDHG(): "prox: L1; dual: L2∘Matrix, 0.5·L1∘∇",
    }),
}  # fmt: skip


@pytest.mark.parametrize(
    ("objective", "solver", "text"),
    [(make, solver, text) for make, table in ROLES.values() for solver, text in table.items()],
)
def test_roles_by_what_a_term_offers(objective: Any, solver: ip.solvers.Solver, text: str) -> None:
    assert splitting(solver, objective()) == text
    assert ip.solve(ip.Problem(objective()), solver, stop=ip.stop.niter(1)).splitting == text


def test_roles_can_be_overridden() -> None:
    objective = ip.L2(b=data(*IMAGE)) + 0.1 * ip.TV(IMAGE) + ip.L1()
    assert splitting(ip.PDHG(), objective) == "prox: L2; dual: 0.1·TV, L1∘Id"
    assert splitting(ip.PDHG(), objective, roles={0: "dual"}) == "prox: L1; dual: L2∘Id, 0.1·TV"
    assert (
        splitting(ip.PDHG(), objective, roles={0: "dual", 1: "prox", 2: "dual"}) == "prox: 0.1·TV; dual: L2∘Id, L1∘Id"
    )
    assert splitting(ip.FISTA(), ip.L2(matrix(), data(5)) + ip.L2(b=data(*IMAGE)), roles={1: "prox"}) == (
        "smooth: L2(Matrix); prox: L2"
    )


def test_overridden_roles_have_the_same_solution() -> None:
    objective = ip.L2(b=data(*IMAGE)) + 0.1 * ip.TV(IMAGE)
    x = ip.solve(ip.Problem(objective), ip.PDHG(), stop=ip.stop.niter(3000)).x
    y = ip.solve(ip.Problem(objective, roles={0: "dual"}), ip.PDHG(balance=0.1), stop=ip.stop.niter(3000)).x
    z = ip.solve(ip.Problem(objective, roles={0: "smooth"}), ip.FISTA(), stop=ip.stop.niter(20)).x
    assert np.abs(x - y).max() < 1e-6 and np.abs(x - z).max() < 1e-6


DATA = ip.L2(matrix(), data(5))
DENOISING = ip.L2(b=data(*IMAGE)) + 0.1 * ip.TV(IMAGE)


@pytest.mark.parametrize(
    ("solver", "objective", "roles", "reason"),
    [
        (ip.GradientDescent(), DENOISING, {}, r"TV fits no role of GradientDescent \(smooth\): it has no gradient"),
        (ip.GradientDescent(), DATA + ip.Box(0, 1), {}, "Box fits no role.*no gradient"),
        (ip.CGLS(), DATA + ip.L1(), {}, r"L1 fits no role of CGLS: it expects terms L2\(A, b\)"),
        (ip.CGLS(), DATA - ip.L2(), {}, "CGLS.*positive weights"),
        (ip.FISTA(), DATA + ip.L1() + ip.TV(IMAGE), {}, "TV fits no role of FISTA.*no common prox with L1"),
        (ip.PDHG(), -ip.L2(b=data(*IMAGE)) + ip.TV(IMAGE), {}, "-1·L2 is not convex; PDHG expects convex terms"),
        (ip.PDHG(), DATA, {0: "prox"}, r"L2\(Matrix\) fits no role of PDHG \(prox\): it has no prox"),
        (ip.PDHG(), DATA, {0: "smooth"}, "roles has 0: 'smooth'; PDHG has only the roles"),
        (ip.FISTA(), ip.L2(b=data(*IMAGE)) - ip.L2(b=data(*IMAGE)), {1: "prox"}, "-1·L2.*convex"),
    ],
)  # fmt: skip
def test_refused_with_the_reason(solver: ip.solvers.Solver, objective: Any, roles: dict, reason: str) -> None:
    problem = ip.Problem(objective, roles=roles)
    with pytest.raises(ValueError, match=reason) as refusal:
        ip.solve(problem, solver, stop=ip.stop.niter(1))
    assert "\n" not in str(refusal.value)
    assert solver.is_provably_convergent(problem).reason == str(refusal.value)


@pytest.mark.parametrize("roles", [{5: "prox"}, {0: "primal"}, {"a": "prox"}])
def test_impossible_roles(roles: dict) -> None:
    with pytest.raises(ValueError, match="^roles has"):
        ip.Problem(ip.L2(b=data(*IMAGE)), roles=roles)


@pytest.mark.parametrize("value", [-0.5, 0.0, float("nan"), float("inf")])
def test_a_regulariser_with_an_impossible_weight(value: float) -> None:
    if value == 0:
        assert splitting(ip.PDHG(), ip.L2(b=data(*IMAGE)) + value * ip.TV(IMAGE)) == "prox: L2"
    else:
        with pytest.raises(ValueError, match="^weight"):
            ip.L2(b=data(*IMAGE)) + value * ip.TV(IMAGE)


# ---------------------------------------------------------------- merging


@given(
    b=st.floats(-3, 3).filter(lambda b: b == 0 or abs(b) > 1e-150),  # smaller data are refused
    w=st.floats(0.1, 5), lo=st.floats(-2, 0), hi=st.floats(0.1, 2), lo2=st.floats(-1, 0.05),
    x=st.floats(-4, 4), tau=st.floats(0.01, 10),
)  # fmt: skip
def test_merged_prox_minimises_the_sum(
    b: float, w: float, lo: float, hi: float, lo2: float, x: float, tau: float
) -> None:
    objective = w * ip.L2(b=np.full((2, 2), b)) + ip.Box(lo, hi) + ip.Box(lo2)
    parts = ip.Problem(objective).assign(("prox",))
    p = parts.prox.prox(np.full((2, 2), x), tau)
    exact = np.clip((x + tau * w * b) / (1 + tau * w), max(lo, lo2), hi)
    assert np.allclose(p, exact, rtol=1e-12, atol=1e-12)
    assert np.isclose(parts.prox.mu, w)
    u = np.full((2, 2), np.clip(x, max(lo, lo2), hi))
    assert np.isclose(parts.prox.value(u), ip.Problem(objective).objective(u))


def test_merging_keeps_order_and_bounds() -> None:
    for terms in ([ip.Box(0, 2), ip.Box(-1, 1)], [ip.Box(-1, 1), ip.NonNegative(), ip.Box(-3, 2)]):
        problem = ip.Problem(sum(terms[1:], terms[0]), dims=(2,), dtype="float64")
        box = problem.assign(("prox",)).prox
        assert (box.lo, box.hi) == (0, 1)


# ---------------------------------------------------------------- shape, dtype and library of the unknown


def test_shape_and_dtype_come_from_the_terms() -> None:
    problem = ip.Problem(ip.L2(matrix(dtype="float32"), data(5, dtype="float32")) + ip.L1())
    assert (problem.shape, problem.dtype, problem.xp) == (IMAGE, np.dtype("float32"), np)
    problem = ip.Problem(ip.L1(), dims=3, dtype="float64")
    assert (problem.shape, problem.dtype) == ((3,), np.dtype("float64"))
    problem = ip.Problem(ip.L1() @ ip.Gradient(IMAGE, "float32"))
    assert (problem.shape, problem.dtype) == (IMAGE, np.dtype("float32"))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ip.Problem(ip.L1(), dtype="float64"), "dims is not given"),
        (lambda: ip.Problem(ip.TV(IMAGE)), "dtype is not given"),
        (lambda: ip.Problem(ip.L2(b=data(6, 5)) + ip.TV(IMAGE)), r"\(6, 4\), \(6, 5\)"),
        (lambda: ip.Problem(ip.L2(matrix(), data(5)) + ip.TV((4, 6))), r"\(6, 4\) and \(4, 6\)"),
        (lambda: ip.Problem(ip.L2(matrix(), data(5)), dims=(4, 6)), r"\(4, 6\), \(6, 4\)"),
        (lambda: ip.Problem(ip.L2(b=data(*IMAGE)) + ip.L1() @ ip.Gradient(IMAGE)), "dtype.*float32, float64"),
        (lambda: ip.Problem(ip.L2(b=data(*IMAGE)), dtype="float32"), "dtype.*float32, float64"),
        (lambda: ip.Problem(ip.L2(b=data(*IMAGE)), batch=0), "batch"),
        (lambda: ip.Problem(ip.L2(b=data(2, *IMAGE)), batch=3), r"b has shape \(2, 6, 4\), and batch is 3"),
        (lambda: ip.Problem(ip.L2(matrix(), data(2, 5)), batch=3), r"b has shape \(2, 5\), and batch is 3"),
        (lambda: ip.Problem(ip.L2(matrix(), data(2, 5))), r"b has shape \(2, 5\), and batch is None"),
        (lambda: ip.Problem(ip.L2(b=data(7)), batch=7), r"b has shape \(7,\), and batch is 7"),
    ],
)  # fmt: skip
def test_terms_that_do_not_fit(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message) as refusal:
        make()
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: ip.Problem("L2"), TypeError, "f is str"),
        (lambda: ip.Problem(ip.L1(), dims=(2,), dtype="int64"), TypeError, "dtype is int64"),
        (lambda: ip.Problem(ip.L1(), dims=(2,), dtype="float32", xp="jax"), ValueError, "xp is 'jax'"),
        (lambda: ip.Problem(ip.L1(), dims=(2, -1), dtype="float32"), ValueError, "dims is"),
        (lambda: ip.L2(matrix(), data(6)), ValueError, r"b has shape \(6,\); Matrix gives \(5,\)"),
        (lambda: ip.L2(matrix(), data(5, dtype="float32")), TypeError, "b has dtype float32"),
        (lambda: ip.L2(matrix(), data(5) + 0j), TypeError, "b has dtype complex128"),
        (lambda: ip.L2(b=np.arange(5)), TypeError, "b has dtype int64"),
        (lambda: ip.L2(b=np.array([1.0, np.nan])), ValueError, "b has NaN"),
    ],
)
def test_bad_arguments(make: Any, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        make()


# ---------------------------------------------------------------- x0


def test_bad_x0(xp: ModuleType) -> None:
    problem = ip.Problem(ip.L2(b=xp.asarray(data(*DIMS, dtype="float32"))))
    good = xp.zeros(DIMS, dtype="float32")
    bad = {
        r"^x0 has shape \(3, 5\); expected \(3, 4\)": xp.zeros((3, 5), dtype="float32"),
        r"^x0 has shape \(12,\)": good.reshape(-1),
        "^x0 has dtype float64; expected float32": good.astype("float64"),
        "^x0 has dtype int32": good.astype("int32"),
        "^x0 has dtype complex64": good.astype("complex64"),
        "^x0 has NaN": good + float("nan"),
        "^x0 has NaN or inf": good - float("inf"),
    }
    for message, x0 in bad.items():
        with pytest.raises((ValueError, TypeError), match=message):
            ip.solve(problem, ip.PDHG(), x0=x0, stop=ip.stop.niter(1))
    with pytest.raises(TypeError, match="^x0 is list; expected a NumPy or CuPy array"):
        ip.solve(problem, ip.PDHG(), x0=[[0.0] * 4] * 3, stop=ip.stop.niter(1))
    sol = ip.solve(problem, ip.PDHG(), x0=good, stop=ip.stop.niter(1))
    with pytest.raises(ValueError, match="x0 and state"):
        ip.solve(problem, ip.PDHG(), x0=good, state=sol.state)


@pytest.mark.device
def test_host_x0_for_a_problem_on_the_device() -> None:
    import cupy

    problem = ip.Problem(ip.L2(b=cupy.ones(DIMS, dtype="float32")))
    with pytest.raises(TypeError, match="^x0 is an array of numpy; expected one of cupy"):
        ip.solve(problem, ip.PDHG(), x0=np.zeros(DIMS, "float32"), stop=ip.stop.niter(1))
    host = ip.Problem(ip.L2(b=np.ones(DIMS, "float32")))
    state = ip.solve(host, ip.PDHG(), stop=ip.stop.niter(1)).state
    with pytest.raises(TypeError, match="^state holds an image of numpy"):
        ip.solve(problem, ip.PDHG(), state=state, stop=ip.stop.niter(1))


@given(order=st.sampled_from(["C", "F"]), step=st.sampled_from([1, 2, -1]))
def test_x0_of_any_memory_layout(order: str, step: int) -> None:
    b = data(*IMAGE)
    x0 = np.asarray(data(12, 4), order=order)[::step][:6]
    problem = ip.Problem(ip.L2(b=b) + 0.1 * ip.TV(IMAGE))
    x, y = (ip.solve(problem, ip.PDHG(), x0=a, stop=ip.stop.niter(3)).x for a in (x0, x0.copy(order="C")))
    assert np.array_equal(x, y)


# ---------------------------------------------------------------- values


def test_objective_is_the_sum_of_the_terms(xp: ModuleType) -> None:
    b, x = data(*IMAGE), np.abs(data(*IMAGE))
    problem = ip.Problem(ip.L2(b=xp.asarray(b)) + 0.1 * ip.TV(IMAGE, isotropic=False) + ip.NonNegative())
    tv = np.abs(np.diff(x, axis=0)).sum() + np.abs(np.diff(x, axis=1)).sum()
    assert np.isclose(problem.objective(xp.asarray(x)), 0.5 * np.sum((x - b) ** 2) + 0.1 * tv)
    assert problem.objective(xp.asarray(-x)) == np.inf


def test_data_residual_needs_data() -> None:
    problem = ip.Problem(ip.L1(), dims=(3,), dtype="float64")
    with pytest.raises(ValueError, match="no data fidelity"):
        problem.residual_norm(np.ones(3))


def test_certificate_of_a_difference_claims_nothing() -> None:
    """½‖u - b‖² - ¼‖u - 2b‖² is strongly convex with ½, not with 1."""
    b = data(3)
    sol = ip.solve(ip.Problem(ip.L2(b=b) - 0.5 * ip.L2(b=2 * b)), ip.GradientDescent(), stop=ip.stop.niter(3))
    assert sol.certificate.bound is None


@pytest.mark.parametrize("batch", [None, 2])
@pytest.mark.parametrize(
    "solver", [ip.PDHG(), ip.ADMM(), ip.CondatVu(), ip.PD3O(), ip.LinearisedADMM()], ids=lambda s: type(s).__name__
)
def test_solutions_are_inside_of_their_box(solver: ip.solvers.Solver, batch: int | None) -> None:
    """Where another term has the prox, iterates fulfil the constraint only in the limit; the state goes on as it is."""
    b = data(*([] if batch is None else [batch]), *IMAGE)
    objective = ip.L2(b=b) + 0.3 * ip.WaveletL1(IMAGE, "haar", 1) + ip.Box(-0.2, math.inf) + ip.Box(-math.inf, 0.3)
    problem = ip.Problem(objective, batch=batch)
    first = ip.solve(problem, solver, stop=ip.stop.niter(3))
    assert first.x.min() >= -0.2 and first.x.max() <= 0.3
    both = ip.solve(problem, solver, state=first.state, stop=ip.stop.niter(4))
    assert np.array_equal(both.x, ip.solve(problem, solver, stop=ip.stop.niter(7)).x)
