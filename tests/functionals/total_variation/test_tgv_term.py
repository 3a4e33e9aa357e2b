"""TGV as a dual term with a primal block of its own, against dense matrices and a plain primal-dual method."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import ipbox as ip
from ipbox.backend import dot, to_host
from tests.contracts.solvers.registry import operator

ALPHA1, ALPHA0 = 0.2, 0.4


def tgv(dims: tuple[int, ...]) -> ip.Functional:
    return ALPHA1 * ip.TGV(dims, ALPHA0 / ALPHA1)


def affine(dims: tuple[int, int]) -> np.ndarray:
    return np.add.outer(0.13 * np.arange(dims[0]), -0.07 * np.arange(dims[1]))


def noisy(dims: tuple[int, int], sigma: float = 0.1) -> np.ndarray:
    return affine(dims) + sigma * np.random.default_rng(3).standard_normal(dims)


def problem(b: np.ndarray, xp: ModuleType = np, dtype: str = "float64") -> ip.Problem:
    b = xp.asarray(b.astype(dtype))
    return ip.Problem(ip.L2(b=b) + tgv(b.shape))


def forward(u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """∇u - v and E v entry by entry: v_a where ∂_a u exists, backward differences where both entries of v_a do."""
    (n, m), g, e = u.shape, np.zeros((2,) + u.shape), np.zeros((3,) + u.shape)
    for i, j in np.ndindex(n, m):
        if i < n - 1:
            g[0, i, j] = u[i + 1, j] - u[i, j] - v[0, i, j]
            e[0, i, j] += v[0, i, j] - v[0, i - 1, j] if i > 0 else 0
            e[2, i, j] += (v[0, i, j] - v[0, i, j - 1]) / np.sqrt(2) if j > 0 else 0
        if j < m - 1:
            g[1, i, j] = u[i, j + 1] - u[i, j] - v[1, i, j]
            e[1, i, j] += v[1, i, j] - v[1, i, j - 1] if j > 0 else 0
            e[2, i, j] += (v[1, i, j] - v[1, i - 1, j]) / np.sqrt(2) if i > 0 else 0
    return g, e


def plain_chambolle_pock(b: np.ndarray, tau: float, niter: int) -> tuple[np.ndarray, np.ndarray]:
    """The algorithm with dense matrices, independent of the package: min ½‖u - b‖² + α1 ‖∇u - v‖ + α0 ‖E v‖."""
    n, dims = b.size, b.shape

    def rows(part: int) -> np.ndarray:
        blocks = (forward(e[:n].reshape(dims), e[n:].reshape((2,) + dims))[part].ravel() for e in np.eye(3 * n))
        return np.stack(list(blocks), axis=1)

    K1, K2 = rows(0), rows(1)
    sigma = 1 / (tau * 17)
    w, w_bar, p, q = np.zeros(3 * n), np.zeros(3 * n), np.zeros(2 * n), np.zeros(3 * n)
    for _ in range(niter):
        p, q = p + sigma * (K1 @ w_bar), q + sigma * (K2 @ w_bar)
        p = (p.reshape(2, n) / np.maximum(np.linalg.norm(p.reshape(2, n), axis=0) / ALPHA1, 1)).ravel()
        q = (q.reshape(3, n) / np.maximum(np.linalg.norm(q.reshape(3, n), axis=0) / ALPHA0, 1)).ravel()
        w_new = w - tau * (K1.T @ p + K2.T @ q)
        w_new[:n] = (w_new[:n] + tau * b.ravel()) / (1 + tau)
        w, w_bar = w_new, 2 * w_new - w
    return w[:n].reshape(dims), w[n:].reshape((2,) + dims)


@pytest.mark.parametrize("batch", [(), (3,)])
def test_adjoint(xp: ModuleType, batch: tuple[int, ...], rng: np.random.Generator) -> None:
    term = tgv((5, 7))
    u, v, y, out0, out1 = (
        xp.asarray(rng.standard_normal(batch + shape)) for shape in ((5, 7), (2, 5, 7), (5, 5, 7), (5, 7), (2, 5, 7))
    )
    forward = dot(term.forward([u, v]), y)
    term.adjoint(y, [out0, out1], False, None)
    assert np.isclose(forward, dot(u, out0) + dot(v, out1), rtol=1e-12)
    term.adjoint(y, [out0, out1], True, {})  # the image's part is added, the term's own is overwritten
    assert np.isclose(2 * dot(u, out0) / 2 + dot(v, out1), forward + dot(u, out0) / 2, rtol=1e-12)


def test_norm_is_a_bound(rng: np.random.Generator) -> None:
    term, u, v = tgv((6, 5)), rng.standard_normal((6, 5)), rng.standard_normal((2, 6, 5))
    for _ in range(300):
        y = term.forward([u, v])
        size = np.sqrt(np.sum(u**2) + np.sum(v**2))
        norm = np.linalg.norm(y) / size
        term.adjoint(y / np.linalg.norm(y), [u, v], False, None)
    assert 0.8 * term.term_norm() < norm <= term.term_norm()


def test_affine_images_are_free() -> None:
    u = affine((6, 8))
    v = np.stack([np.full((6, 8), 0.13), np.full((6, 8), -0.07)])
    assert tgv((6, 8)).term_value([u, v], False) < 1e-12


def test_agrees_with_a_plain_chambolle_pock(xp: ModuleType) -> None:
    """Step by step where the extrapolation is the same, and at the solution."""
    b = noisy((4, 5))
    tau = 0.2
    sol = ip.solve(problem(b, xp), ip.PDHG(tau=tau, sigma=1 / (tau * 17)), stop=ip.stop.niter(8))
    u, v = plain_chambolle_pock(b, tau, 8)
    assert np.allclose(to_host(sol.x), u, rtol=1e-12, atol=1e-13)
    assert np.allclose(to_host(sol.state.aux[0][0]), v, rtol=1e-12, atol=1e-13)


def test_reaches_the_solution_of_the_plain_one() -> None:
    b = noisy((7, 8))
    u, _ = plain_chambolle_pock(b, 0.3, 12000)
    x = ip.solve(problem(b), ip.PDHG(), stop=ip.stop.niter(6000)).x
    assert np.linalg.norm(x - u) <= 1e-4 * np.linalg.norm(u)


def test_denoises_an_affine_image_without_staircasing() -> None:
    """TV makes steps of the slope; TGV keeps it (second differences stay near 0) and is nearer to the truth."""
    dims = (20, 24)
    b, truth = noisy(dims), affine(dims)
    tgv = ip.solve(problem(b), ip.PDHG(), stop=ip.stop.niter(1500)).x
    best_tv = min(
        (ip.tv(None, b, lam, tol=1e-6)[0] for lam in (0.03, 0.06, 0.1, 0.15)), key=lambda x: np.linalg.norm(x - truth)
    )
    assert np.linalg.norm(tgv - truth) < 0.6 * np.linalg.norm(best_tv - truth)

    def bends(u: np.ndarray) -> float:
        return float(np.std(np.diff(u, n=2, axis=0)))

    assert bends(tgv) < 0.1 * bends(best_tv) and bends(tgv) < 0.01


def test_as_the_second_dual_term(rng: np.random.Generator) -> None:
    """½‖Au - b‖² is dual too and comes first: v must not be added up over the iterations.  With A orthogonal the
    problem is denoising of A*b."""
    dims = (5, 6)
    q, _ = np.linalg.qr(rng.standard_normal((30, 30)))
    b = noisy(dims)
    A = operator(q, np, np.float64, dims)
    composed = ip.Problem(ip.L2(A, A.apply(b)) + tgv(dims))
    sol = ip.solve(composed, ip.PDHG(balance=0.05), stop=ip.stop.niter(6000))
    assert sol.splitting == "dual: L2∘Matrix, 0.2·TGV"
    x = ip.solve(problem(b), ip.PDHG(), stop=ip.stop.niter(4000)).x
    assert np.linalg.norm(sol.x - x) <= 1e-3 * np.linalg.norm(x)


def test_state_resumes_with_its_extra_blocks(tmp_path: Path, xp: ModuleType) -> None:
    p = problem(noisy((4, 5)), xp, "float32")
    whole = ip.solve(p, ip.PDHG(), stop=ip.stop.niter(9))
    part = ip.solve(p, ip.PDHG(), stop=ip.stop.niter(4))
    part.state.save(tmp_path / "tgv.npz")
    resumed = ip.solve(p, ip.PDHG(), state=tmp_path / "tgv.npz", stop=ip.stop.niter(5))
    for a, c in ((resumed.x, whole.x), (resumed.state.aux[0][0], whole.state.aux[0][0])):
        assert a.dtype == np.float32 and to_host(a).tobytes() == to_host(c).tobytes()


def test_batch_equals_the_loop(xp: ModuleType) -> None:
    b = np.stack([noisy((4, 5)), 0 * affine((4, 5)), 3 * affine((4, 5))])
    rule = ip.stop.relative_change(2e-2) | ip.stop.niter(40)
    together = ip.Problem(ip.L2(b=xp.asarray(b)) + tgv((4, 5)), batch=3)
    solver = ip.PDHG(tau=0.2)  # the default is chosen by the data
    sol = ip.solve(together, solver, stop=rule)
    assert len(set(sol.extra["niter_per_sample"])) > 1
    for i in range(3):
        alone = ip.solve(problem(b[i], xp), solver, stop=rule)
        assert (sol.stop[i], sol.extra["niter_per_sample"][i]) == (alone.stop, alone.niter)
        assert np.allclose(to_host(sol.x[i]), to_host(alone.x), atol=1e-12)


def test_what_is_strongly_convex_in_u_alone_is_not_accelerated() -> None:
    """f does not depend on v: the theorem on O(1/k²) does not apply, and τ must not go to 0."""
    p = problem(noisy((4, 5)))
    sol = ip.solve(p, ip.PDHG(), stop=ip.stop.niter(5))
    assert sol.state.theta == 1.0 and sol.state.tau == ip.PDHG().step_sizes(ip.PDHG().prepare(p))[0]
    assert not ip.PDHG(accelerate=True).is_provably_convergent(p)


def test_gap_is_a_bound_and_certifies_the_image() -> None:
    """P(u, v) - D(y) of the scaled dual is at least P(u, v) - min P, and √(2 gap) at least the error."""
    b = noisy((7, 8))
    exact = ip.solve(problem(b), ip.PDHG(), stop=ip.stop.gap(1e-10) | ip.stop.niter(60_000))
    assert exact.stop == "gap"
    for niter in (1, 5, 20, 100, 500):
        sol = ip.solve(problem(b), ip.PDHG(), stop=ip.stop.niter(niter))
        parts = sol.solver.prepare(problem(b))
        primal, optimum = (s.solver.objective(parts, s.state) for s in (sol, exact))
        assert primal - optimum <= sol.solver.gap(parts, sol.state) * primal * (1 + 1e-9)
        assert np.linalg.norm(sol.x - exact.x) <= sol.certificate.bound + exact.certificate.bound


def test_history_evaluates_the_objective_at_the_terms_own_blocks() -> None:
    """`Problem.objective` knows u alone; the solver knows v, at which the value falls to the optimum's."""
    b = noisy((9, 7))
    history = [ip.callbacks.History(every=50)]
    solution = ip.solve(problem(b), ip.PDHG(), stop=ip.stop.niter(2000), callbacks=history)
    u, v = plain_chambolle_pock(b, 0.2, 4000)
    g, e = (np.sqrt((part**2).sum(0)).sum() for part in forward(u, v))
    optimum = 0.5 * np.sum((u - b) ** 2) + ALPHA1 * g + ALPHA0 * e
    assert solution.history[-1]["objective"] == pytest.approx(optimum, rel=1e-6)
