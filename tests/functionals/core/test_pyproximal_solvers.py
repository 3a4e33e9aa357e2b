"""Our functionals in PyProximal 0.13's solvers, flat and in single precision, against dense algebra and our own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pylops
import pytest
from pyproximal.optimization import primal, primaldual

import ipbox as ip

LAM = 2.0
DTYPES = pytest.mark.parametrize("dtype", ["float32", "float64"])


def ridge(dtype: str) -> tuple[Any, np.ndarray, np.ndarray, float]:
    """A, flat b, the minimiser of ½‖Au - b‖² + λ/2 ‖u‖² by dense algebra, and ‖A‖."""
    A = ip.RayTransform((8, 8), np.linspace(0, np.pi, 14, endpoint=False), dtype=dtype)
    M = np.stack([A.apply(e.reshape(8, 8)).ravel() for e in np.eye(64, dtype=dtype)], axis=1).astype("float64")
    b = M @ np.random.default_rng(0).normal(size=64)
    return A, b.astype(dtype), np.linalg.solve(M.T @ M + LAM * np.eye(64), M.T @ b), float(np.linalg.norm(M, 2))


@DTYPES
@pytest.mark.parametrize("name", ["gradient", "fista", "anderson", "dual", "adaptive", "admml2"])
def test_ridge(name: str, dtype: str) -> None:
    A, b, exact, size = ridge(dtype)
    f, g, D = ip.L2(A, b.reshape(A.dimsd)), LAM * ip.L2(), ip.L2(b=b)
    x0, tau = np.zeros(64, dtype), 1 / size**2
    steps = {"tau": 0.5 / size, "mu": 1 / size, "niter": 400}
    x = {
        "gradient": lambda: primal.ProximalGradient(f, g, x0, tau=tau, niter=400),
        "fista": lambda: primal.ProximalGradient(f, g, x0, tau=tau, niter=200, acceleration="fista"),
        "anderson": lambda: primal.AndersonProximalGradient(f, g, x0, tau=tau, niter=100),
        "dual": lambda: primaldual.PrimalDual(g, D, A, x0, **steps),
        "adaptive": lambda: primaldual.AdaptivePrimalDual(g, D, A, x0, **steps)[0],
        "admml2": lambda: primal.ADMML2(g, A, b, pylops.Identity(64, dtype=dtype), x0, tau=0.3, niter=200, iter_lim=50)[
            0
        ],
    }[name]()
    assert x.shape == (64,) and np.allclose(x, exact, atol=1e-4 * np.abs(exact).max())


@DTYPES
@pytest.mark.parametrize("name", ["admml2", "dual"])
def test_l21_of_a_flat_gradient(name: str, dtype: str) -> None:
    """PyProximal hands over (components · pixels,): total variation, as our solver has it."""
    A, b, _, size = ridge(dtype)
    K, x0 = ip.Gradient((8, 8), dtype=dtype), np.zeros(64, dtype)
    data, lam = ip.L2(A, b.reshape(A.dimsd)), 0.5
    best = ip.solve(ip.Problem(data + lam * ip.TV((8, 8))), ip.PDHG(), stop=ip.stop.niter(1500)).x
    objective = data + lam * ip.TV((8, 8))
    if name == "admml2":
        x, _ = primal.ADMML2(lam * ip.L21(), A, b, K, x0, tau=0.1, niter=80, iter_lim=15)
    else:
        K = ip.VStack([A, K])
        stacked = pylops.VStack([A, ip.Gradient((8, 8), dtype=dtype)])
        g = _Pair(ip.L2(b=b), lam * ip.L21(), len(b))
        x = primaldual.PrimalDual(ip.Zero(), g, stacked, x0, tau=0.9 / (size + 3), mu=0.9 / (size + 3), niter=800)
    assert objective.value(x.reshape(8, 8)) <= (1 + 1e-2) * objective.value(best)


def _Pair(f: Any, g: Any, n: int) -> Any:
    """f of the first n entries, g of the others."""
    import pyproximal

    class Pair(pyproximal.ProxOperator):
        def __call__(self, x: np.ndarray) -> float:
            return f(x[:n]) + g(x[n:])

        def prox(self, x: np.ndarray, tau: float) -> np.ndarray:
            return np.concatenate([f.prox(x[:n], tau), g.prox(x[n:], tau)])

        def proxdual(self, x: np.ndarray, tau: float) -> np.ndarray:
            return np.concatenate([f.proxdual(x[:n], tau), g.proxdual(x[n:], tau)])

    return Pair(None, False)


def test_flat_l21_is_that_of_the_field() -> None:
    u = np.random.default_rng(0).normal(size=(2, 5, 7))
    f = 0.3 * ip.L21()
    assert np.isclose(f.value(u.ravel()), f.value(u))
    assert np.allclose(f.prox(u.ravel(), 0.7).reshape(u.shape), f.prox(u, 0.7))
    assert np.allclose(f.proxdual(u.ravel(), 0.7).reshape(u.shape), f.proxdual(u, 0.7))
    with pytest.raises(ValueError, match="expects 2 components of equal size, flattened"):
        f.value(np.ones(7))


@pytest.mark.parametrize("samples", [1, 2])
def test_one_step_size_in_an_array(samples: int) -> None:
    """Anderson's is an array of one entry; of a batch it is that of its one sample."""
    x = np.arange(6.0).reshape(samples, -1)
    assert np.array_equal(ip.L1().prox(x, np.array([0.5])), ip.L1().prox(x, 0.5))
