"""Functionals from functions of the user's: against the ones that they stand for, in every kind of solver."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest

import ipbox as ip
from tests.contracts.support import host

A = np.random.default_rng(0).standard_normal((12, 6))
TRUTH = np.array([1.5, 0.0, -1.0, 0.0, 2.0, 0.0])
B = A @ TRUTH + 0.1 * np.random.default_rng(1).standard_normal(12)


def l1(xp: ModuleType = np, **options: Any) -> Any:
    return ip.functional(
        lambda x: abs(x).sum(), prox=lambda x, tau: xp.sign(x) * xp.maximum(abs(x) - tau, 0), name="mine", **options
    )


def ridge(**options: Any) -> Any:
    return ip.functional(lambda x: 0.5 * (x * x).sum(), grad=lambda x: x, **options)


SOLVERS = [ip.FISTA(), ip.ForwardBackward(), ip.FISTA(backtracking=True), ip.PDHG(), ip.AdaptivePDHG(), ip.ADMM()]
SOLVERS += [ip.CondatVu(), ip.DouglasRachford()]


@pytest.mark.parametrize("solver", SOLVERS, ids=repr)
def test_a_prox_in_every_kind_of_solver(solver: Any, xp: ModuleType) -> None:
    data = ip.L2(xp.asarray(A), xp.asarray(B))
    if isinstance(solver, ip.DouglasRachford):
        data = ip.L2(b=xp.asarray(B[:6]))
    stop = ip.stop.niter(400)
    own, theirs = (ip.solve(ip.Problem(data + 0.5 * f), solver, stop=stop) for f in (l1(xp), ip.L1()))
    np.testing.assert_allclose(host(own.x), host(theirs.x), atol=1e-5)
    assert (
        own.certificate.kind
        == "none: 0.5·mine is foreign: that its prox or gradient is exact, and it convex, is " + ("not proved")
    )


SMOOTH = [ip.GradientDescent(), ip.Nesterov(), ip.LBFGS(), ip.ArmijoGradientDescent(), ip.NonlinearCG(), ip.FISTA()]


@pytest.mark.parametrize("solver", SMOOTH, ids=repr)
def test_a_gradient_in_every_kind_of_solver(solver: Any) -> None:
    L = None if isinstance(solver, ip.LBFGS | ip.ArmijoGradientDescent | ip.NonlinearCG) else 1.0
    sol = ip.solve(ip.Problem(ip.L2(A, B) + 0.5 * ridge(L=L)), solver, stop=ip.stop.niter(800))
    np.testing.assert_allclose(sol.x, np.linalg.solve(A.T @ A + 0.5 * np.eye(6), A.T @ B), atol=1e-6)


def test_role_follows_from_what_is_given() -> None:
    both = ip.functional(lambda x: 0.5 * (x * x).sum(), prox=lambda x, t: x / (1 + t), grad=lambda x: x, L=1.0)
    roles = {
        f: ip.Problem(ip.L2(A, B) + f).assign(("smooth", "prox", "dual")).describe() for f in (l1(), ridge(), both)
    }
    assert [text.replace("L2(M)", "D") for text in roles.values()] == [
        "smooth: D; prox: mine",
        "smooth: D, f",
        "smooth: D, f",
    ]


def test_in_variational_functions_and_after_an_operator() -> None:
    rng = np.random.default_rng(3)
    b = np.cumsum(rng.standard_normal(20))
    D = ip.Gradient((20,), "float64")
    own, _ = ip.variational(None, b, l1() @ D, 0.7, tol=1e-8)
    np.testing.assert_allclose(own, ip.tv(None, b, 0.7, tol=1e-8)[0], atol=1e-4)
    x, info = ip.variational(A, B, l1(), "discrepancy", 0.4)
    assert np.isclose(np.linalg.norm(A @ x - B), 0.4, rtol=0.02)


def test_a_batch_is_taken_sample_by_sample(xp: ModuleType) -> None:
    b = np.random.default_rng(2).standard_normal((3, 5))
    ball = ip.functional(
        lambda x: 0.0 if float((x * x).sum()) <= 1 + 1e-9 else float("inf"),
        prox=lambda x, tau: x / max(1.0, float((x * x).sum()) ** 0.5),
        dims=(5,),
    )
    problem = ip.Problem(ip.L2(b=xp.asarray(b)) + ball, batch=3)
    sol = ip.solve(problem, ip.FISTA(), stop=ip.stop.niter(20))
    np.testing.assert_allclose(host(sol.x), b / np.maximum(1, np.linalg.norm(b, axis=1))[:, None], atol=1e-9)
    with pytest.raises(
        ValueError, match=r"mine stands in a batch without dims; expected functional\(\.\.\., dims=\.\.\.\)"
    ):
        ip.Problem(ip.L2(b=b) + l1(), batch=3)


def test_what_a_function_does_to_its_argument_stays_with_it() -> None:
    def spoil(x: Any, tau: float) -> Any:
        x /= 1 + tau
        return x

    x = np.ones(4)
    assert ip.functional(prox=spoil).prox(x, 1.0)[0] == 0.5 and (x == 1).all()


def test_check_passes_what_is_right(xp: ModuleType) -> None:
    x = xp.asarray(np.random.default_rng(5).standard_normal((4, 5)))
    l1(xp).check(x)
    (3 * l1(xp)).check(x, tau=0.1)
    ridge().check(x)
    ip.functional(prox=lambda x, tau: 0.5 * x).check(x)  # implicit
    ip.functional(lambda x: 0.0 if (x >= 0).all() else float("inf"), prox=lambda x, tau: xp.maximum(x, 0)).check(x)


@pytest.mark.parametrize(
    ("f", "message"),
    [
        (
            ip.functional(lambda x: abs(x).sum(), prox=lambda x, t: np.sign(x) * np.maximum(abs(x) - 2 * t, 0)),
            "prox of f",
        ),
        (ip.functional(lambda x: abs(x).sum(), prox=lambda x, t: x - t), "prox of f is not that of value"),
        (ip.functional(lambda x: 0.0 if (x >= 0).all() else np.inf, prox=lambda x, t: x), "prox of f is not that"),
        (ip.functional(lambda x: (x * x).sum(), grad=lambda x: x), "grad of f is not that of value"),
        (ip.functional(prox=lambda x, t: 2 * x), "prox of f is of no convex functional"),
        (2 * ip.functional(lambda x: (x * x).sum(), grad=lambda x: x), "grad of 2·f"),
    ],
)
def test_check_finds_what_is_wrong(f: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        f.check(np.array([0.4, -1.0, 2.0]))


X = np.ones(3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ip.functional(lambda x: 0.0), "prox and grad are None; expected one of them"),
        (lambda: ip.functional(3.0), "value is float; expected a function"),
        (lambda: ip.functional(prox="soft"), "prox is str; expected a function"),
        (lambda: ip.functional(prox=lambda x, t: x, L=1.0), "L is 1.0 and grad is None"),
        (lambda: ip.functional(grad=lambda x: x, L=-1.0), "L is -1.0; expected zero or a positive number"),
        (lambda: ip.functional(prox=lambda x, t: x, dims=(0,)), "dims is"),
        (lambda: ip.functional(prox=lambda x, t: x).value(X), "f has no value; expected value=... in ip.functional"),
        (lambda: ip.functional(prox=lambda x, t: x).grad(X), "f has no grad; expected grad=... in ip.functional"),
        (lambda: ridge().prox(X, 1.0), "f has no prox; expected prox=... in ip.functional"),
        (lambda: ip.functional(lambda x: x, prox=lambda x, t: x).value(X), "value of f gave ndarray; expected a real"),
        (lambda: ip.functional(prox=lambda x, t: x[:2]).prox(X, 1.0), r"prox of f gave shape \(2,\) for \(3,\)"),
        (lambda: ip.functional(prox=lambda x, t: 0).prox(X, 1.0), "prox of f gave int; expected an array like x"),
        (lambda: ip.functional(grad=lambda x: x.astype("float32")).grad(X), "grad of f gave float32 for float64"),
        (lambda: solve(ip.GradientDescent(), l1()), "mine fits no role of GradientDescent .smooth.: no grad was given"),
        (lambda: solve(ip.ProximalPoint(), ridge()), "f fits no role of ProximalPoint"),
        (lambda: solve(ip.GradientDescent(), ridge()), "f has no Lipschitz constant that is known; expected L=... in"),
        (
            lambda: solve(ip.FISTA(backtracking=True), ip.functional(prox=lambda x, t: x)),
            "backtracking is True; a prob",
        ),
    ],
)
def test_what_is_of_no_use_is_refused(call: Any, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        call()


def solve(solver: Any, f: Any) -> Any:
    term = f if isinstance(solver, ip.ProximalPoint) else ip.L2(A, B) + f
    return ip.solve(ip.Problem(term, dims=(6,), dtype="float64"), solver, stop=ip.stop.niter(3))


# ---------------------------------------------------------------- what users type


@pytest.mark.parametrize(
    "functions, match",
    [
        (dict(prox=lambda x: x / 2), r"^prox is a function of \(x\); expected prox\(x, tau\), the v that minimises"),
        (dict(grad=lambda x, y: x), r"^grad is a function of \(x, y\); expected grad\(x\)"),
        (dict(value=lambda: 0.0, grad=lambda x: x), r"^value is a function of \(\); expected value\(x\)"),
    ],
)
def test_functions_of_other_arguments_are_refused_at_once(functions: dict, match: str) -> None:
    with pytest.raises(TypeError, match=match):
        ip.functional(**functions)


def test_functions_that_do_not_tell_or_take_more() -> None:
    ip.functional(np.linalg.norm, prox=lambda x, tau, mode="soft": x, grad=np.abs)
    ip.functional(grad=lambda *args: args[0])


def test_a_gradient_without_its_constant_is_minimised_with_searched_steps(rng: np.random.Generator) -> None:
    """Σ u⁴/4 has no Lipschitz constant: A*(Au - b) + λu³ = 0 at the end."""
    M, b = rng.standard_normal((9, 6)), rng.standard_normal(9)
    f = ip.functional(lambda u: float(np.sum(u**4)) / 4, grad=lambda u: u**3)
    x, run = ip.variational(M, b, f, 0.5, tol=1e-9, niter=20000)
    slope = M.T @ (M @ x - b) + 0.5 * x**3
    assert np.linalg.norm(slope) < 1e-6 * np.linalg.norm(M.T @ b)
    inside, _ = ip.variational(M, b, f, 0.5, nonneg=True, tol=1e-9, niter=20000)
    slope = M.T @ (M @ inside - b) + 0.5 * inside**3
    assert inside.min() >= 0 and np.abs(np.minimum(inside, slope)).max() < 1e-5
