"""Functionals against independent code and exact solutions; TV's certificate; what is refused."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pyproximal
import pytest
import scipy.optimize
from skimage.restoration import denoise_tv_chambolle

import ipbox as ip
from ipbox import functionals
from ipbox.functionals import Functional, L2Box, Sum, as_functional

# ---------------------------------------------------------------- against PyProximal

B = np.random.default_rng(4).standard_normal((5, 7))
PEERS = {
    "L1": (0.7 * ip.L1(), pyproximal.L1(sigma=0.7), (5, 7)),
    "L2": (1.3 * ip.L2(b=B), pyproximal.L2(b=B.ravel(), sigma=1.3), (5, 7)),
    "L2 of u": (1.3 * ip.L2(), pyproximal.L2(sigma=1.3), (5, 7)),
    "L21": (0.7 * ip.L21(), pyproximal.L21(ndim=2, sigma=0.7), (2, 5, 7)),
    "box": (ip.Box(-0.2, 0.9), pyproximal.Box(-0.2, 0.9), (5, 7)),
}


@pytest.mark.parametrize("name", PEERS)
@pytest.mark.parametrize("tau", [0.1, 1.0, 3.0])
def test_agrees_with_pyproximal(name: str, tau: float, rng: np.random.Generator) -> None:
    f, peer, dims = PEERS[name]
    for _ in range(3):
        x = rng.standard_normal(dims)
        np.testing.assert_allclose(f.prox(x, tau).ravel(), peer.prox(x.ravel(), tau), rtol=1e-12, atol=1e-12)
        dual = peer.proxdual(x.ravel(), tau)
        np.testing.assert_allclose(f.prox_conj(x, tau).ravel(), dual, rtol=1e-12, atol=1e-12)
        if name != "box":
            assert f.value(x) == pytest.approx(float(peer(x.ravel())), rel=1e-12)
        if f.has_grad:
            np.testing.assert_allclose(f.grad(x).ravel(), peer.grad(x.ravel()), rtol=1e-12, atol=1e-12)


def test_ours_run_in_pyproximal_and_theirs_with_ours(rng: np.random.Generator) -> None:
    """min ½‖x - b‖² + 0.3 ‖x‖₁ has the soft threshold as its solution."""
    from pyproximal.optimization.primal import ProximalGradient

    b = rng.standard_normal(20)
    expected = ip.L1().prox(b, 0.3)
    x = ProximalGradient(ip.L2(b=b), 0.3 * ip.L1(), np.zeros(20), tau=0.5, niter=200)
    np.testing.assert_allclose(x, expected, atol=1e-7)  # PyProximal keeps tau in float32
    theirs = as_functional(pyproximal.L1(sigma=0.3))
    np.testing.assert_allclose(theirs.prox(b, 1.0), expected, atol=1e-7)


def test_a_foreign_prox_cannot_overwrite_its_input(rng: np.random.Generator) -> None:
    """PyProximal's L2 with a linear term works in place on what it is given."""
    x, q = rng.standard_normal(6), rng.standard_normal(6)
    f, before = as_functional(pyproximal.L2(q=q)), x.copy()
    np.testing.assert_allclose(f.prox(x, 0.5), (x - 0.5 * q) / 1.5)
    assert x.tobytes() == before.tobytes()


def test_foreign_values_and_gradients_mean_what_they_say() -> None:
    box = as_functional(pyproximal.Box(0, 1))
    assert (box.value(np.array([0.5])), box.value(np.array([1.5]))) == (0.0, math.inf)
    tv = as_functional(pyproximal.TV(dims=(3, 4)))  # its grad is the Moreau envelope's
    with pytest.raises(TypeError, match="pyproximal.TV has no gradient"):
        tv.grad(np.ones(12))
    assert tv.prox(np.ones((3, 4), np.float32), 1.0).dtype == np.float32  # PyProximal's own gives float64
    A = np.arange(12.0).reshape(4, 3)
    import pylops

    f = as_functional(pyproximal.L2(pylops.MatrixMult(A), np.ones(4), sigma=0.5))
    largest = 0.5 * np.linalg.norm(A, 2) ** 2
    assert largest <= f.L <= 1.05 * largest and (2 * f).L == 2 * f.L


# ---------------------------------------------------------------- formulas


def test_complex_soft_threshold() -> None:
    z = np.array([3 + 4j, 0.3j, 0j, -2])
    np.testing.assert_allclose(ip.L1().prox(z, 1.0), [0.8 * (3 + 4j), 0, 0, -1], atol=1e-15)
    np.testing.assert_allclose(ip.L1().prox_conj(z, 1.0), [(3 + 4j) / 5, 0.3j, 0, -1], atol=1e-15)


def test_indicators_at_the_edge() -> None:
    box = ip.Box(-1, 2)
    for x, value in (([-1, 2], 0.0), ([-1.0000001, 0], math.inf), ([math.nan], math.inf), ([math.inf], math.inf)):
        assert box.value(np.array(x, dtype=float)) == value
    assert math.isnan(box.prox(np.array([math.nan]), 1.0)[0])
    assert ip.NonNegative().value(np.array([0.0, -0.0])) == 0.0
    assert (3 * box).value(np.array([5.0])) == math.inf and (3 * box).prox(np.array([5.0]), 1.0) == 2.0
    merged = ip.Box(0, 5).merge(ip.Box(-1, 2))
    assert (merged.lo, merged.hi) == (0.0, 2.0) and merged.finite_conj and not ip.NonNegative().finite_conj


def test_conjugates_of_constraints() -> None:
    y = np.array([-1.0, 0.0, 2.0])
    assert ip.Box(-1, 3).conj(y) == 1.0 + 6.0
    assert ip.Box(0, 1).conj(y) == 2.0 and ip.NonNegative().conj(y) == math.inf
    assert ip.NonNegative().conj(np.array([-1.0, 0.0])) == 0.0 and ip.Box().conj(0 * y) == 0.0


def test_l2_with_box_is_merged_and_keeps_its_weight() -> None:
    b, x = np.array([2.0, -3.0, 0.5]), np.array([0.0, 1.0, 9.0])
    f = (2 * ip.L2(b=b)).merge(ip.Box(0, 1))
    assert isinstance(f, L2Box) and f.mu == 2.0 and (3 * f).mu == 6.0
    np.testing.assert_allclose(f.prox(x, 0.5), np.clip((x + b) / 2, 0, 1))
    y = np.array([1.0, -2.0, 0.7])
    grid = np.linspace(0, 1, 100_001)[:, None]
    brute = (grid * y - 3 * (grid - b) ** 2).max(axis=0).sum()
    assert (3 * f).conj(y) == pytest.approx(brute, abs=1e-8)
    z, x_bar = x.copy(), np.empty(3)
    (3 * f).descend(z, y, 0.3, 1.0, x_bar)
    np.testing.assert_allclose(z, (3 * f).prox(x - 0.3 * y, 0.3), rtol=1e-14)


def test_l2_holds_data_of_each_sample(rng: np.random.Generator) -> None:
    A, b = ip.RayTransform((6, 5), [0.1, 1.0], dtype="float64"), rng.standard_normal((3, 2, 8))
    f, x = 2 * ip.L2(A, b), rng.standard_normal((3, 6, 5))
    alone = [2 * ip.L2(A, bi) for bi in b]
    np.testing.assert_allclose(f.value(x, batch=True), [g.value(xi) for g, xi in zip(alone, x, strict=True)])
    part = f.take(np.array([2, 0]))
    np.testing.assert_array_equal(part.grad(x[[2, 0]])[0], alone[2].grad(x[2]))
    both = Sum([f, ip.L1()]).take(np.array([1]))
    assert both.value(x[1:2]) == pytest.approx(alone[1].value(x[1]) + ip.L1().value(x[1]))


def test_a_sum_under_an_operator_reads_its_input_once_for_each_term(rng: np.random.Generator) -> None:
    b, c, x = rng.standard_normal((3, 4, 5))
    f = (ip.L2(b=b) + 2 * ip.L2(b=c)) @ ip.Identity((4, 5), "float64")
    np.testing.assert_allclose(f.grad(x), (x - b) + 2 * (x - c), rtol=1e-13)


# ---------------------------------------------------------------- TV: exact solutions, the certificate


def gradient_matrix(dims: tuple[int, ...]) -> np.ndarray:
    n = math.prod(dims)
    D = ip.Gradient(dims, "float64").apply(np.eye(n).reshape((n, *dims)))
    return D.reshape(n, -1).T


def exact_anisotropic(z: np.ndarray, t: float) -> np.ndarray:
    """z - ∇*y with y from SciPy's bounded least squares: the dual of anisotropic TV denoising."""
    D = gradient_matrix(z.shape)
    D = D[np.abs(D).any(axis=1)]
    dual = scipy.optimize.lsq_linear(D.T, z.ravel(), bounds=(-t, t), method="bvls", tol=1e-15)
    return z - (D.T @ dual.x).reshape(z.shape)


def exact_isotropic(z: np.ndarray, t: float) -> np.ndarray:
    """The limit δ → 0 of the smooth problems with (|·|² + δ²)^½ in place of |·|, by SciPy's BFGS."""
    D, nd = gradient_matrix(z.shape), z.ndim
    u = z.ravel().copy()
    for delta in 10.0 ** -np.arange(1, 7):

        def smooth(v: np.ndarray, delta: float = delta) -> tuple[float, np.ndarray]:
            g = (D @ v).reshape(nd, -1)
            length = np.sqrt((g**2).sum(axis=0) + delta**2)
            r = v - z.ravel()
            return 0.5 * r @ r + t * length.sum(), r + t * (D.T @ (g / length).ravel())

        u = scipy.optimize.minimize(smooth, u, jac=True, method="BFGS", options={"gtol": 1e-10, "maxiter": 5000}).x
    return u.reshape(z.shape)


@pytest.mark.parametrize("dims", [(4, 5), (2, 3, 4)])
@pytest.mark.parametrize("t", [0.05, 0.3, 2.0])
def test_anisotropic_prox_is_exact_and_so_is_its_certificate(
    dims: tuple[int, ...], t: float, dtype: np.dtype, rng: np.random.Generator
) -> None:
    z = (rng.standard_normal(dims) + 3).astype(dtype)
    exact = exact_anisotropic(z.astype(np.float64), t)
    for accuracy in (1e-2, 1e-3) if dtype == np.float32 else (1e-2, 1e-4, 1e-6):
        work: dict = {}
        p = (2 * ip.TV(dims, isotropic=False, accuracy=accuracy)).prox(z, t / 2, work=work)
        error, size = np.linalg.norm(p - exact), np.linalg.norm(z)
        assert error <= work["bound"][0] <= accuracy * size


@pytest.mark.parametrize("t", [0.05, 0.3, 2.0])
def test_isotropic_prox_is_exact_and_so_is_its_certificate(t: float, dtype: np.dtype, rng: np.random.Generator) -> None:
    z = (rng.standard_normal((4, 5)) + 3).astype(dtype)
    exact = exact_isotropic(z.astype(np.float64), t)
    for accuracy in (1e-2, 1e-3) if dtype == np.float32 else (1e-2, 1e-4):
        work: dict = {}
        p = ip.TV((4, 5), accuracy=accuracy).prox(z, t, work=work)
        error, size = np.linalg.norm(p - exact), np.linalg.norm(z)
        assert error <= work["bound"][0] + 1e-5 * size and work["bound"][0] <= accuracy * size


def test_bound_holds_down_to_rounding(rng: np.random.Generator) -> None:
    """Accuracies that float32 cannot reach: the bound says so instead of claiming them."""
    for dims in ((6, 5), (24, 31)):
        for t in (0.05, 0.5, 5.0):
            z = (rng.standard_normal(dims) + 3).astype(np.float32)
            for isotropic in (True, False):
                reference = ip.TV(dims, isotropic, accuracy=1e-6, niter=20_000).prox(z.astype(np.float64), t)
                work: dict = {}
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", RuntimeWarning)
                    p = ip.TV(dims, isotropic, accuracy=1e-7, niter=500).prox(z, t, work=work)
                size = np.linalg.norm(z)
                assert np.linalg.norm(p - reference) <= work["bound"][0] + 1e-6 * size


def test_tv_prox_against_scikit_image(rng: np.random.Generator) -> None:
    z = np.kron(rng.random((4, 5)), np.ones((8, 7))) + 0.1 * rng.standard_normal((32, 35))
    ours = ip.TV(z.shape, accuracy=1e-5).prox(z, 0.15)
    theirs = denoise_tv_chambolle(z, weight=0.15, eps=1e-12, max_num_iter=5000)
    assert np.linalg.norm(ours - theirs) <= 1e-3 * np.linalg.norm(z)
    f = ip.L2(b=z) + 0.15 * ip.TV(z.shape)
    assert f.value(ours) <= f.value(theirs) * (1 + 1e-7)


def test_default_accuracy_is_reached_without_warning(dtype: np.dtype, rng: np.random.Generator) -> None:
    z = rng.standard_normal((40, 33)).astype(dtype)
    for t in (0.02, 0.2):
        for isotropic in (True, False):
            work: dict = {}
            ip.TV(z.shape, isotropic).prox(z, t, work=work)
            assert work["bound"][0] <= (1e-4 if dtype == np.float32 else 1e-6) * np.linalg.norm(z)


def test_tv_prox_says_when_it_stops_short(rng: np.random.Generator) -> None:
    z, work = rng.standard_normal((20, 20)), {}
    with pytest.warns(RuntimeWarning, match=r"TV.prox stopped after niter=10 with a certified error of"):
        p = ip.TV((20, 20), niter=10).prox(z, 0.5, work=work)
    exact = ip.TV((20, 20), accuracy=1e-6, niter=50_000).prox(z, 0.5)
    assert 1e-6 * np.linalg.norm(z) < np.linalg.norm(p - exact) <= work["bound"][0] * (1 + 1e-3)


def test_tv_prox_of_nothing_and_of_nan() -> None:
    tv = ip.TV((4, 5))
    assert not tv.prox(np.zeros((4, 5)), 1.0).any()
    np.testing.assert_allclose(tv.prox(np.full((4, 5), 2.0), 1.0), 2.0)
    assert np.isnan(tv.prox(np.full((4, 5), math.nan), 1.0)).all()


def test_a_large_weight_leaves_the_mean(rng: np.random.Generator) -> None:
    z = rng.standard_normal((6, 7))
    np.testing.assert_allclose(ip.TV((6, 7)).prox(z, 100.0), z.mean(), atol=1e-5)


def test_warm_start_is_used(rng: np.random.Generator, monkeypatch) -> None:
    steps = []
    original = ip.kernels.tv_dual_step
    monkeypatch.setattr(ip.kernels, "tv_dual_step", lambda *a, **k: (steps.append(1), original(*a, **k)))
    z, work = rng.standard_normal((20, 20)), {}
    tv = ip.TV((20, 20), accuracy=1e-4)
    tv.prox(z, 0.3, work=work)
    cold = len(steps)
    tv.prox(z + 1e-4 * rng.standard_normal(z.shape), 0.3, work=work)
    assert 0 < cold and len(steps) - cold < cold / 2


def test_tv_values() -> None:
    u = np.zeros((3, 4))
    u[1, 1] = 1.0
    assert ip.TV((3, 4)).value(u) == pytest.approx(2 + math.sqrt(2)) and ip.TV((3, 4), isotropic=False).value(u) == 4.0
    assert ip.TV((3, 4)).term_norm() == pytest.approx(np.linalg.norm(gradient_matrix((3, 4)), 2), rel=1e-12)


# ---------------------------------------------------------------- what is refused

RAY = ip.RayTransform((5, 7), [0.0, 1.0])
DATA = np.ones(RAY.dimsd, np.float32)
BAD = {
    "NaN in b": (lambda: ip.L2(RAY, DATA * np.float32(math.nan)), ValueError, "^b has NaN"),
    "infinite b": (lambda: ip.L2(b=np.array([1.0, math.inf])), ValueError, "^b has NaN or inf"),
    "integer b": (lambda: ip.L2(b=np.arange(3)), TypeError, "^b has dtype int64"),
    "half b": (lambda: ip.L2(b=np.ones(3, np.float16)), TypeError, "^b has dtype float16"),
    "list b": (lambda: ip.L2(b=[1.0]), TypeError, "^b is list"),
    "complex b": (lambda: ip.L2(RAY, DATA.astype(np.complex64)), TypeError, "^b has dtype complex64; .* gives float32"),
    "precision of b": (lambda: ip.L2(RAY, DATA.astype(float)), TypeError, "^b has dtype float64; .* gives float32"),
    "shape of b": (lambda: ip.L2(RAY, DATA.T.copy()), ValueError, "^b has shape"),
    "shape of x": (lambda: ip.L2(b=np.ones(4)).value(np.ones(5)), ValueError, r"^x has shape \(5,\)"),
    "x for A": (lambda: ip.L2(RAY, DATA).value(np.ones((7, 5), np.float32)), ValueError, "^x has shape"),
    "A": (lambda: ip.L2("A", DATA), TypeError, "^A is str"),
    "prox of A": (lambda: ip.L2(RAY, DATA).prox(np.ones((5, 7), np.float32), 1.0), TypeError, "has no prox; use it"),
    "bounds": (lambda: ip.Box(1, 0), ValueError, "^lo is 1 and hi is 0"),
    "NaN bound": (lambda: ip.Box(math.nan, 1), ValueError, "^lo is nan"),
    "complex in a box": (lambda: ip.Box(0, 1).prox(np.ones(2) + 1j, 1.0), TypeError, "^x has dtype complex128; Box"),
    "complex conjugate": (lambda: ip.Box(0, 1).conj(np.ones(2) + 1j), TypeError, "^x has dtype complex128; Box"),
    "TV of four axes": (lambda: ip.TV((2, 2, 2, 2)), ValueError, "^dims is"),
    "TV accuracy": (lambda: ip.TV((5, 5), accuracy=0.0), ValueError, "^accuracy is 0"),
    "TV shape": (lambda: ip.TV((5, 4)).value(np.ones((4, 5))), ValueError, "^x has shape .* TV expects"),
    "L21 axes": (lambda: ip.L21(4), ValueError, "^ndim is 4"),
    "L21 of an image": (lambda: ip.L21().value(np.ones((3, 4))), ValueError, "^x has shape"),
    "negative TV": (lambda: -0.1 * ip.TV((3, 3)), ValueError, "^weight -0.1 of TV is negative"),
    "subtracted box": (lambda: ip.L1() - ip.Box(0, 1), ValueError, "^weight -1 of Box"),
    "steps per sample": (lambda: ip.L1().prox(np.ones(3), [1.0, -1.0, 1.0]), ValueError, "^tau has shape"),
    "sum of shapes": (lambda: ip.TV((3, 3)) + ip.TV((3, 4)), ValueError, "^the sum's terms act on"),
    "no functional": (lambda: as_functional(3), TypeError, "^f is int"),
    "composition": (lambda: ip.L1() @ "K", TypeError, "^A is str"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_in_one_line(case: str) -> None:
    call, error, message = BAD[case]
    with pytest.raises(error, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_functionals_are_immutable_under_algebra() -> None:
    f = ip.TV((3, 4))
    g = 2 * f + ip.L1()
    assert f.weight == 1.0 and isinstance(g, Sum) and [t.weight for t in g.terms] == [2.0, 1.0]
    assert len((g + g).terms) == 4 and all(isinstance(t, Functional) for t in functionals.terms_of(f))


def test_sum_of_a_list() -> None:
    f = sum([ip.L1(), 2 * ip.L1()])
    assert f.value(np.array([1.0, -2.0])) == 9.0
