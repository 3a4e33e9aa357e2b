"""PyProximal's operators in our hands: no memory from solve to solve, and values of what their prox minimises."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pylops
import pyproximal
import pytest

import ipbox as ip
from ipbox.functionals import as_functional

N = 12
RNG = np.random.default_rng(0)
A, B, G = RNG.standard_normal((9, N)), RNG.standard_normal(9), RNG.standard_normal(N)
WEIGHTS = np.array([0.3, 0.7, 1.0])


def least_squares(**options: Any) -> pyproximal.L2:
    """Of an operator without a matrix, so that its prox iterates."""
    K = pylops.FunctionOperator(lambda x: A @ x, lambda y: A.T @ y, 9, N, dtype=np.float64)
    return pyproximal.L2(K, B, sigma=0.7, **options)


# ---------------------------------------------------------------- values and proxes belong together


def excess(value: Callable[[Any], float], p: np.ndarray, x: np.ndarray, t: float) -> float:
    """How much lower than at p the function f + ‖· - x‖²/2t is, at the lowest of 700 points near and far."""
    rng = np.random.default_rng(1)

    def total(u: np.ndarray) -> float:
        return float(value(u.copy())) + float(np.linalg.norm(u - x)) ** 2 / (2 * t)

    points = [x, 0 * x]
    for size in 10.0 ** np.arange(-5, 1):
        for _ in range(50):
            d = rng.standard_normal(N) + (1j * rng.standard_normal(N) if np.iscomplexobj(x) else 0)
            points += [p + size * d, p + size * d * (np.arange(N) == rng.integers(N))]
    for i in range(N):
        for v in (0, x[i], 0.9 * p[i], 1.1 * p[i], (p[i] + x[i]) / 2):
            points.append(np.where(np.arange(N) == i, v, p))
    return total(p) - min(total(u) for u in points)


MENDED = {  # one after the other: PyProximal 0.13's, whether for complex images only, and step sizes
    "Huber": (lambda: pyproximal.Huber(0.6), False),
    "complex nuclear norm": (lambda: pyproximal.Nuclear((3, 4), 0.7), True),
    "weighted nuclear norm": (lambda: pyproximal.Nuclear((4, 3), WEIGHTS), True),
    "penalty of singular values": (lambda: pyproximal.SingularValuePenalty((3, 4), pyproximal.Log(0.7)), True),
    "relaxed Mumford-Shah": (lambda: pyproximal.RelaxedMumfordShah(0.7, 0.5), False),
    "a multiple of Huber": (lambda: 2.0 * pyproximal.Huber(0.6), False),
    "Huber of differences from g": (lambda: pyproximal.Huber(0.6).precomposition(1.0, G), False),
}


@pytest.mark.parametrize("name", MENDED)
@pytest.mark.parametrize("t", [0.3, 1.7])
def test_prox_minimises_what_value_says(name: str, t: float) -> None:
    make, is_complex = MENDED[name]
    x = 1.5 * np.random.default_rng(1).standard_normal(N)
    x = x + 1j * np.random.default_rng(2).standard_normal(N) if is_complex else x
    own, f = make(), as_functional(make())
    assert excess(own, own.prox(x.copy(), t), x, t) > 1e-3  # PyProximal's own: else there is nothing to mend
    assert excess(f.value, f.prox(x, t), x, t) < 1e-12


def test_nuclear_norm_is_that_of_the_singular_values() -> None:
    """Also of a matrix of low rank, where the root of XᵀX's eigenvalues is off by √ε."""
    X = np.outer(RNG.standard_normal(4), RNG.standard_normal(3))
    f = as_functional(pyproximal.Nuclear((4, 3), 2.0))
    assert f.value(X.ravel()) == pytest.approx(2 * np.linalg.norm(X, "nuc"), rel=1e-14)
    assert as_functional(pyproximal.Nuclear((4, 3), WEIGHTS)).value(X.ravel()) == pytest.approx(
        0.3 * np.linalg.norm(X, 2), rel=1e-14
    )


REFUSED = {
    "L0": lambda: pyproximal.L0(0.7),
    "Log1": lambda: pyproximal.Log1(0.7, 0.3),
    "_AdjointOperator": lambda: pyproximal.L1(0.7).H,
    "_ChainOperator": lambda: pyproximal.L1(0.7).chain(pyproximal.L2()),
    "_PostcompositionOperator": lambda: 2.0 * pyproximal.L0(0.7),
    "VStack": lambda: pyproximal.VStack([pyproximal.L0(0.7), pyproximal.L1()], nn=[5, 7]),
}


@pytest.mark.parametrize("name", REFUSED)
def test_no_value_where_it_is_not_that_of_the_prox(name: str) -> None:
    own, f = REFUSED[name](), as_functional(REFUSED[name]())
    x = 1.5 * np.random.default_rng(1).standard_normal(N)
    assert max(excess(own, own.prox(x.copy(), t), x, t) for t in (0.3, 1.7)) > 1e-2
    assert not f.explicit and np.array_equal(f.prox(x, 0.3), own.prox(x.copy(), 0.3))
    with pytest.raises(TypeError, match=f"pyproximal.{name} has no value that belongs to its prox: "):
        f.value(x)
    run = ip.solve(ip.Problem(ip.L2(b=x) + f), ip.FISTA(), stop=ip.stop.niter(3))
    assert run.certificate.bound is None and "foreign" in run.certificate.kind


@pytest.mark.parametrize(
    ("op", "reason"),
    [
        (pyproximal.L1(lambda count: 1 / count if count else 1.0), "its sigma changes with the number of calls"),
        (pyproximal.Nuclear((4, 3), WEIGHTS[::-1]), "its weights decrease"),
        (pyproximal.Simplex(N, 2.0), "its prox misses the simplex by more than its value allows"),
    ],
)
def test_no_value_and_why(op: Any, reason: str) -> None:
    with pytest.raises(TypeError, match=reason):
        as_functional(op).value(np.ones(N))


@pytest.mark.parametrize(
    "op",
    [pyproximal.Box(-0.5, 0.5), pyproximal.SCAD(0.7), pyproximal.ETP(0.7), pyproximal.Sum([pyproximal.Box(0, 1)] * 2)],
)
def test_complex_images_are_refused_where_only_real_ones_are_meant(op: Any) -> None:
    f = as_functional(op)
    for call in (f.value, lambda z: f.prox(z, 1.0)):
        with pytest.raises(TypeError, match="x has dtype complex128; .* expects a real image"):
            call(np.ones(N) + 1j)


@pytest.mark.parametrize("op", [pyproximal.QuadraticEnvelopeCard(0.7), pyproximal.QuadraticEnvelopeCardIndicator(3)])
def test_envelopes_have_a_prox_for_small_steps(op: Any) -> None:
    f, x = as_functional(op), 1.5 * np.random.default_rng(1).standard_normal(N)
    assert excess(f.value, f.prox(x, 0.3), x, 0.3) < 1e-12
    assert excess(op, op.prox(x.copy(), 1.7), x, 1.7) > 1e-2
    with pytest.raises(ValueError, match=f"step size of pyproximal.{type(op).__name__} is 1.7; expected less than 1"):
        f.prox(x, 1.7)


def test_convolution_with_more_samples_than_the_image_has_no_prox() -> None:
    x = 1.5 * np.random.default_rng(1).standard_normal(N)
    longer = pyproximal.L2Convolve(G[:3], np.convolve(G[:3], G), nfft=N + 2)
    assert excess(longer, longer.prox(x.copy(), 0.3).real, x, 0.3) > 1e-3
    with pytest.raises(ValueError, match="pyproximal.L2Convolve has nfft=14 and x 12 samples; expected the same"):
        as_functional(longer).prox(x, 0.3)
    f = as_functional(pyproximal.L2Convolve(G[:3], G, nfft=N))
    assert excess(f.value, f.prox(x, 0.3), x, 0.3) < 1e-12


def test_least_squares_whose_operator_has_no_data() -> None:
    """PyProximal then leaves the operator out, of its constant L too."""
    f = as_functional(pyproximal.L2(pylops.MatrixMult(1e-3 * A), sigma=0.7))
    assert f.L == 0.7 and np.allclose(f.grad(G), 0.7 * G)
    assert not as_functional(pyproximal.L2(q=G, qgrad=False)).has_grad  # its gradient is that without q


# ---------------------------------------------------------------- no memory from solve to solve


def problem(f: Any, b: np.ndarray = G) -> ip.Problem:
    """½‖x - b‖² + f(x), f by its prox."""
    return ip.Problem(ip.L2(b=b) + f, roles={0: "smooth", 1: "prox"})


COUNTED = {
    "lsqr": lambda: least_squares(),
    "cg": lambda: least_squares(solver="cg"),
    "cgls": lambda: least_squares(solver="cgls"),
    "more and more iterations": lambda: least_squares(niter=lambda count: 1 + count),
    "threshold by the number of calls": lambda: pyproximal.L1(lambda count: 1 / (1 + count)),
    "in a sum": lambda: pyproximal.Sum([pyproximal.L1(lambda count: 1 / (1 + count)), pyproximal.Box(-0.5, 0.5)]),
}


@pytest.mark.parametrize("name", COUNTED)
def test_two_solves_are_the_same_and_a_resumed_one_goes_on(name: str, tmp_path: Path) -> None:
    theirs = COUNTED[name]()
    f = as_functional(theirs)
    first = ip.solve(problem(f), ip.FISTA(), stop=ip.stop.niter(9)).x
    f.prox(np.ones(N), 1.0)
    theirs.prox(np.ones(N), 1.0)
    assert np.array_equal(ip.solve(problem(f), ip.FISTA(), stop=ip.stop.niter(9)).x, first)
    ip.solve(problem(f), ip.FISTA(), stop=ip.stop.niter(4)).state.save(tmp_path / "state.npz")
    state = tmp_path / "state.npz"
    assert np.array_equal(ip.solve(problem(f), ip.FISTA(), state=state, stop=ip.stop.niter(5)).x, first)


@pytest.mark.parametrize("name", COUNTED)
def test_samples_of_a_batch_have_memories_of_their_own(name: str) -> None:
    """The middle one of the three starts at its solution, and so ends long before the others."""
    f, stop = as_functional(COUNTED[name](), dims=(N,)), ip.stop.relative_change(1e-9) | ip.stop.niter(40)
    b = np.stack([G, 0 * G, 5 * G[::-1]])
    one = [ip.solve(problem(f, c), ip.FISTA(), stop=stop).x for c in b]
    batch = ip.Problem(ip.L2(b=b) + f, batch=3, roles={0: "smooth", 1: "prox"})
    assert np.allclose(ip.solve(batch, ip.FISTA(), stop=stop).x, one, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("solver", ["legacy", "cg", "cgls"])
def test_prox_by_iteration_has_no_floor(solver: str) -> None:
    """PyProximal's own end at tolerances: 1e-6 of lsqr's, and an absolute 1e-4 of cg's and cgls'."""
    exact = np.linalg.solve(0.7 * A.T @ A + np.eye(N), 0.7 * A.T @ B + G)
    x = ip.solve(problem(as_functional(least_squares(solver=solver))), ip.FISTA(), stop=ip.stop.niter(150)).x
    assert np.linalg.norm(x - exact) < 1e-11 * np.linalg.norm(exact)
    small = 1e-6 * B  # of which an absolute tolerance makes 0
    K = pylops.FunctionOperator(lambda x: A @ x, lambda y: A.T @ y, 9, N, dtype=np.float64)
    p = as_functional(pyproximal.L2(K, small, solver=solver, niter=40)).prox(np.zeros(N), 1.0)
    exact = np.linalg.solve(A.T @ A + np.eye(N), A.T @ small)
    assert np.linalg.norm(p - exact) < 1e-9 * np.linalg.norm(exact)


def test_a_factorisation_is_made_once_for_a_step_size() -> None:
    f = as_functional(pyproximal.L2(pylops.MatrixMult(A), B, densesolver="factorize"))
    first = f.prox(G, 0.3)
    factors = f.op.cl[0]
    assert np.array_equal(f.prox(G, 0.3), first) and f.op.cl[0] is factors
    assert np.allclose(f.prox(G, 0.5), np.linalg.solve(np.eye(N) + 0.5 * A.T @ A, G + 0.5 * A.T @ B))


def test_what_the_user_has_is_left_as_it_is() -> None:
    theirs = pyproximal.Sum([pyproximal.Huber(0.6), pyproximal.L0(lambda c: 0.1 * c), least_squares()], niter=9)
    as_functional(theirs).prox(G, 1.0)
    huber, l0, l2 = theirs.ops
    assert type(huber) is pyproximal.Huber and l0.count == 0 and l2.x0 is None and l2.kwargs_solver == {}


def test_a_subclass_of_the_user_is_called_as_it_is() -> None:
    """Whatever it holds, also what cannot be copied."""

    class Mine(pyproximal.ProxOperator):
        def __init__(self) -> None:
            super().__init__(None, False)
            self.held, self.inner = (i for i in range(3)), pyproximal.L1()

        def __call__(self, x: np.ndarray) -> float:
            return self.inner(x)

        def prox(self, x: np.ndarray, tau: float) -> np.ndarray:
            return self.inner.prox(x, tau)

    f = as_functional(Mine())
    assert f.value(G) == np.abs(G).sum() and np.array_equal(f.prox(G, 0.3), ip.L1().prox(G, 0.3))
    assert math.isinf(f.L) and not f.has_grad
