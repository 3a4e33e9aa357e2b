"""Fields of Experts: the functional and its derivatives, by images and by parameters, and the bounds of both."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest
from scipy.signal import correlate2d

import ipbox as ip
from ipbox.bilevel import FieldsOfExperts, LowerLevel, solve_lower
from ipbox.bilevel.terms.filters import filter_matrix
from ipbox.functionals.regularisers import experts as module
from ipbox.functionals.regularisers.filter_bounds import correlation_bound, smooth_bound
from ipbox.problems.truths import datasets
from tests.contracts.support import assert_close, draw, host

CASES = [((7, 9), 4, 3, 0.0), ((9, 8), 3, 5, 0.8), ((7, 7), 2, 7, 0.0), ((11, 9), 4, 3, 0.5)]  # dims, K, s, ρ


def random_theta(term: FieldsOfExperts, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    theta = term.initial(seed)
    logarithms = rng.uniform(-1, 0.5, (len(term._groups), term.K)) / term._units
    theta[: 1 + logarithms.size] = np.concatenate([[0.1], logarithms.ravel()])
    return theta


def images(dims: tuple[int, int], seed: int, dtype: str = "float64", xp: ModuleType = np) -> Any:
    return draw(np.random.default_rng(seed), (3, *dims), dtype, xp)


def everything(term: FieldsOfExperts, theta: np.ndarray, u: Any, v: Any) -> list[Any]:
    f, d = term.functional(theta), random_theta(term, 5)
    values = f.value(u, batch=True), f.grad(u), f.hessian_apply(u, v)
    return [*values, term.mixed(theta, u, v), term.mixed_apply(theta, u, d)]


@pytest.mark.parametrize(("dims", "K", "size", "rho"), CASES)
def test_value_and_gradient_are_those_of_plain_correlations(
    dims: tuple[int, int], K: int, size: int, rho: float
) -> None:
    term, u, m = FieldsOfExperts(dims, K, size, rho), images(dims, 0), size // 2
    f = term.functional(random_theta(term))
    v, eta = (np.zeros(K), np.ones(K)) if rho == 0 else (f.v, f.eta)
    inside = np.pad(np.ones((dims[0] - 2 * m, dims[1] - 2 * m)), m)
    value, gradient = np.zeros(3), np.zeros_like(u)
    for k, c in enumerate(f.filters):
        for i in range(3):
            t = correlate2d(np.pad(u[i], m, mode="symmetric"), c, mode="valid")
            s, sigma = np.sqrt(t**2 + f.nu[k] ** 2), np.sqrt(t**2 + eta[k] ** 2)
            value[i] += (f.weights[k] * s - v[k] * inside * sigma).sum()
            influence = f.weights[k] * t / s - v[k] * inside * t / sigma
            gradient[i] += (filter_matrix(c, dims).T @ influence.ravel()).reshape(dims)
    np.testing.assert_allclose(f.value(u, batch=True), value, rtol=1e-13)
    np.testing.assert_allclose(f.grad(u), gradient, rtol=1e-11, atol=1e-12)
    assert f.value(u) == pytest.approx(value.sum(), rel=1e-13)


@pytest.mark.parametrize(("dims", "K", "size", "rho"), CASES)
def test_derivatives(dims: tuple[int, int], K: int, size: int, rho: float) -> None:
    """Central differences with step 1e-5; the Hessian is symmetric, B and its adjoint belong together."""
    term, u, v, q = FieldsOfExperts(dims, K, size, rho), images(dims, 0), images(dims, 1), images(dims, 2)
    theta, h = random_theta(term), 1e-5
    f, d = term.functional(theta), random_theta(term, 3)
    slope = (f.value(u + h * v, batch=True) - f.value(u - h * v, batch=True)) / (2 * h)
    np.testing.assert_allclose((f.grad(u) * v).sum(axis=(1, 2)), slope, rtol=1e-8, atol=1e-8)
    Hv = f.hessian_apply(u, v)
    np.testing.assert_allclose(Hv, (f.grad(u + h * v) - f.grad(u - h * v)) / (2 * h), rtol=1e-7, atol=1e-7)
    inner = (Hv * q).sum(axis=(1, 2))
    np.testing.assert_allclose(inner, (f.hessian_apply(u, q) * v).sum(axis=(1, 2)), rtol=1e-11, atol=1e-11)
    ends = [term.functional(theta + s * h * d).grad(u) for s in (1, -1)]
    Bd = term.mixed_apply(theta, u, d)
    np.testing.assert_allclose(Bd, (ends[0] - ends[1]) / (2 * h), rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(term.mixed(theta, u, q) @ d, (Bd * q).sum(axis=(1, 2)), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_dtype_and_device_gives_the_same(dtype: str, xp: ModuleType) -> None:
    term = FieldsOfExperts((9, 8), 3, 5)
    theta = random_theta(term)
    u, v = images((9, 8), 0, dtype, xp), images((9, 8), 1, dtype, xp)
    exact = everything(term, theta, host(u).astype("float64"), host(v).astype("float64"))
    for one, other in zip(everything(term, theta, u, v), exact, strict=True):
        if isinstance(one, np.ndarray) and one.dtype == np.float64:
            tolerance = 2e-5 if dtype == "float32" else 1e-11
            np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)
        else:
            assert type(one) is type(u) and one.dtype == u.dtype
            assert_close(one, xp.asarray(other.astype(dtype)), factor=512)


def test_images_in_many_parts_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    term, u, v = FieldsOfExperts((9, 8), 3, 5), images((9, 8), 0), images((9, 8), 1)
    theta = random_theta(term)
    whole = everything(term, theta, u, v)
    monkeypatch.setattr(module, "CACHE", 2 * 25 * 8 * 8)  # two rows of windows
    for one, other in zip(whole, everything(term, theta, u, v), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)


def test_kernels_give_the_same_in_parallel(monkeypatch: pytest.MonkeyPatch) -> None:
    from ipbox.kernels.core import compile as compiling

    term, u, v = FieldsOfExperts((40, 40), 8, 5), images((40, 40), 0), images((40, 40), 1)
    theta = random_theta(term)
    serial = everything(term, theta, u, v)
    monkeypatch.setattr(compiling, "PARALLEL_SIZE", 1)
    for one, other in zip(serial, everything(term, theta, u, v), strict=True):
        np.testing.assert_array_equal(one, other)


# ---------------------------------------------------------------- bounds


def dense(f: Any, u: np.ndarray) -> np.ndarray:
    n = u.size
    return np.stack([f.hessian_apply(u, e.reshape(1, *f.dims)).ravel() for e in np.eye(n)])


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("K", "size"), [(1, 3), (3, 3), (2, 5), (8, 5)])
def test_L_bounds_the_largest_eigenvalue(K: int, size: int, seed: int) -> None:
    term = FieldsOfExperts((10, 11), K, size)
    theta = random_theta(term, seed)
    f = term.functional(theta)
    top = np.linalg.eigvalsh(dense(f, np.zeros((1, 10, 11))))
    assert top[0] > -1e-12
    assert top[-1] <= f.L <= 4 * correlation_bound(f.filters, f.weights / f.nu, symmetric=False) * (1 + 1e-12)


def test_L_is_sharp_for_filters_that_are_even_or_odd() -> None:
    term = FieldsOfExperts((24, 24), 8, 3)
    f = term.functional(term.initial())
    top = np.linalg.eigvalsh(dense(f, np.zeros((1, 24, 24))))[-1]
    assert top <= f.L <= 1.02 * top


def test_the_hessian_changes_no_faster_than_its_lipschitz_constant() -> None:
    """At responses about ν/2, where third derivatives are largest; one filter, and the corner in particular."""
    term = FieldsOfExperts((8, 8), 1, 3)
    theta, rng, reached = random_theta(term), np.random.default_rng(0), 0.0
    f = term.functional(theta)
    for _ in range(100):
        u, w = (term.nu(theta)[0] * rng.standard_normal((1, 8, 8)) * s for s in (0.5, 0.05))
        change = np.linalg.norm(dense(f, u + w) - dense(f, u), 2) / np.linalg.norm(w)
        reached = max(reached, change / f.hessian_lipschitz)
    assert 0.02 < reached <= 1


@pytest.mark.parametrize("rho", [0.0, 0.6])
def test_the_hessian_times_q_changes_no_faster_than_its_variation(rho: float) -> None:
    term, rng, reached = FieldsOfExperts((8, 9), 3, 3, rho), np.random.default_rng(0), 0.0
    f = term.functional(random_theta(term))
    for _ in range(100):
        u, w, q = (s * rng.standard_normal((2, 8, 9)) for s in (0.3, 0.03, 1.0))
        change = np.linalg.norm((f.hessian_apply(u + w, q) - f.hessian_apply(u, q)).reshape(2, -1), axis=1)
        bound = f.hessian_variation(q) * np.linalg.norm(w.reshape(2, -1), axis=1)
        reached = max(reached, (change / bound).max())
        assert (f.hessian_variation(q) <= f.hessian_lipschitz * np.linalg.norm(q.reshape(2, -1), axis=1)).all()
    assert 0.02 < reached <= 1


def test_correlation_bound_holds_between_the_frequencies() -> None:
    c = np.random.default_rng(0).standard_normal((4, 7, 7))
    power = (np.abs(np.fft.rfft2(c, (2000, 2000))) ** 2).sum(axis=0).max()
    assert power <= correlation_bound(c, np.ones(4), symmetric=False) <= 1.02 * power


def test_the_regulariser_is_convex_and_blind_to_constants() -> None:
    term = FieldsOfExperts((9, 8), 3, 5)
    f, u, v = term.functional(random_theta(term)), images((9, 8), 0), images((9, 8), 1)
    ends = f.value(u, batch=True) + f.value(v, batch=True)
    assert (2 * f.value((u + v) / 2, batch=True) <= ends).all()
    np.testing.assert_allclose(f.value(u + 7.0), f.value(u), rtol=1e-12)
    np.testing.assert_allclose(f.grad(u).sum(axis=(1, 2)), 0, atol=1e-12)


# ---------------------------------------------------------------- as a lower level


def test_the_shipped_experts_denoise_another_patient() -> None:
    """At least 1 dB above total variation on average over the bench's images; here one of them, by 9 dB at least."""
    u = datasets.load("mr_brain")["brain2"][12, 80:144, 90:154] / 1500.0
    b = u + 0.1 * np.random.default_rng(0).standard_normal(u.shape)
    term = FieldsOfExperts((64, 64), weak_convexity=0.8)
    found = solve_lower(LowerLevel(None, b[None], term), datasets.load("foe_48")["theta"], accuracy=1e-2)
    assert ip.psnr(found.u[0], u, peak=1.0) > ip.psnr(b, u, peak=1.0) + 9


def test_denoising_solves_the_optimality_condition() -> None:
    term, b = FieldsOfExperts((16, 12), 8, 3), images((16, 12), 0)
    theta = random_theta(term)
    found = solve_lower(LowerLevel(None, b, term), theta, accuracy=1e-9)
    residual = found.u - b + term.functional(theta).grad(found.u)
    assert (np.linalg.norm(residual.reshape(3, -1), axis=1) <= 1.01e-9).all()
    assert (found.certificate <= 1e-9).all()


def test_the_functional_serves_any_operator() -> None:
    """Deblurring by it with a solver of the package: the optimality condition holds."""
    A = ip.operators.Blur((16, 16), np.full((3, 3), 1 / 9), dtype="float64")
    term = FieldsOfExperts((16, 16), 8, 3)
    R, b = term.functional(term.initial()) + 1e-2 * ip.Tikhonov((16, 16), order=0), images((16, 16), 0)[0]
    u = ip.solve(ip.Problem(ip.L2(A, b) + R), ip.Nesterov(), stop=ip.stop.residual(1e-10, every=10)).x
    np.testing.assert_allclose(A.apply_adjoint(A.apply(u) - b) + R.grad(u), 0, atol=1e-8)


@pytest.mark.parametrize("seed", range(4))
def test_weakly_convex_experts_leave_denoising_strongly_convex(seed: int) -> None:
    """For any θ, also where α is large; the convex part has small weights, so that the other shows."""
    term, rng = FieldsOfExperts((9, 10), 3, 3, weak_convexity=0.7), np.random.default_rng(seed)
    theta = random_theta(term, seed) + np.where(np.char.startswith(term.names, "log alpha"), 2.0 * seed, 0.0)
    theta[0] = -4.0
    R = term.functional(theta)
    assert -0.7 <= R.mu < 0 and not R.is_convex
    Phi = LowerLevel(None, images((9, 10), 0), term).at(theta)
    assert Phi.is_convex and Phi.mu == pytest.approx(1 + R.mu)
    least = []
    for scale in (0.1, 0.3, 1.0, 3.0):
        spectrum = np.linalg.eigvalsh(dense(R, scale * rng.standard_normal((1, 9, 10))))
        assert R.mu <= spectrum[0] and spectrum[-1] <= R.L
        least.append(spectrum[0])
    assert min(least) < 0


def test_smooth_bound_and_its_derivatives() -> None:
    rng = np.random.default_rng(0)
    c, a, dc, d, h = rng.standard_normal((5, 7, 7)), rng.random(5), rng.standard_normal((5, 7, 7)), rng.random(5), 1e-6
    bound, by_log_a, by_filters = smooth_bound(c, a)
    exact = correlation_bound(c, a, symmetric=False)
    assert 0.99 * exact <= bound <= 1.25 * exact
    ends = [smooth_bound(c + s * h * dc, a * np.exp(s * h * d))[0] for s in (1, -1)]
    slope = by_log_a @ d + (by_filters * dc).sum()
    assert slope == pytest.approx((ends[0] - ends[1]) / (2 * h), rel=1e-7)
    assert smooth_bound(0 * c, a)[0] == 0


def test_initial_filters() -> None:
    term = FieldsOfExperts((9, 9), 5, 3)
    c = term.filters(term.initial())
    np.testing.assert_allclose(np.einsum("kij,lij->kl", c, c), np.eye(5), atol=1e-14)
    np.testing.assert_allclose(c.sum(axis=(1, 2)), 0, atol=1e-14)
    np.testing.assert_array_equal(term.initial(3), term.initial(3))
    assert (term.initial(3) != term.initial(4)).any()
    assert len(term.names) == len(term.initial()) == 1 + 2 * 5 + 5 * 8


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dims": (9, 9, 9)}, "dims is"),
        ({"dims": (6, 9)}, "two integers of at least 7"),
        ({"dims": (9.5, 9)}, "dims is"),
        ({"filters": 0}, "filters is 0"),
        ({"filters": 2.0}, "filters is 2.0"),
        ({"size": 4}, "odd"),
        ({"size": 1}, "odd"),
        ({"size": True}, "size is True"),
        ({"weak_convexity": 1.0}, "weak_convexity is 1.0"),
        ({"weak_convexity": -0.1}, "weak_convexity is -0.1"),
    ],
)
def test_bad_input(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FieldsOfExperts(**({"dims": (9, 9)} | arguments))


def test_bad_theta_and_images() -> None:
    term = FieldsOfExperts((9, 9), 2, 3)
    theta = term.initial()
    theta[3] = 200.0
    with pytest.raises(ValueError, match="theta has a weight or smoothing of e"):
        term.functional(theta)
    with pytest.raises(ValueError, match="theta has shape"):
        LowerLevel(None, images((9, 9), 0), term).at(np.zeros(3))
    with pytest.raises(ValueError, match="at most 8 without a seed"):
        FieldsOfExperts((9, 9), 9, 3).initial()
    f = term.functional(term.initial())
    for call in (f.value, f.grad):
        with pytest.raises(TypeError, match="expects a real image"):
            call(np.ones((9, 9), complex))
