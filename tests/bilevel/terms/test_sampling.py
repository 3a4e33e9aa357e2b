"""Sampling weights as a term of a lower level: derivatives, constants, the fused solves, learning with them."""

import itertools

import numpy as np
import pytest

import ipbox as ip
from ipbox.bilevel import LowerLevel, SamplingPenalty, SamplingWeights, SmoothedTVRegulariser, Weight, solve_lower
from ipbox.bilevel.terms.fourier_fidelity import FourierL2, IsometricL2
from ipbox.functionals import WeightedL2
from ipbox.problems.measuring.coils import simulate_sensitivities

WAYS = ("ratio", "linear", "square")
SHAPES = [((7,), None), ((8,), -1), ((4, 5), None), ((4, 6), -1), ((5, 4), -2)]


def noise(rng, shape):
    return rng.standard_normal(shape) + 1j * rng.standard_normal(shape)


def term(dims, axis, way="linear", n=3, seed=0, F=None):
    """A term with data, θ inside its domain, and images."""
    rng = np.random.default_rng(seed)
    F = ip.FourierTransform(dims, dtype="complex128") if F is None else F
    t = SamplingWeights(F, way, axis).with_data(noise(rng, (n, *F.dimsd)))
    theta = rng.uniform(0.1, 0.8, len(t.names))
    real = F.dtype_in.kind == "f"
    u, q = (rng.standard_normal((n, *F.dims)) if real else noise(rng, (n, *F.dims)) for _ in range(2))
    return t, theta, u, q


def inner(x, y):
    return float((x.conj() * y).real.sum())


def matrix(f, dims):
    """The real matrix of a Hessian that is linear over complex images, from its columns."""
    size = int(np.prod(dims))
    eye = np.eye(size).reshape((size, *dims)).astype(complex)
    return f.hessian_apply(eye, eye).reshape(size, size).T


# ---------------------------------------------------------------- the functional


@pytest.mark.parametrize(("dims", "axis"), SHAPES)
@pytest.mark.parametrize("way", WAYS)
def test_value_and_gradient_are_those_of_weighted_least_squares(dims, axis, way):
    t, theta, u, _ = term(dims, axis, way)
    s = {"ratio": theta / (1 - theta), "linear": theta, "square": theta**2}[way]
    if axis is not None:
        s = s.reshape([-1 if k - len(dims) == axis else 1 for k in range(len(dims))]) * np.ones(dims)
    s = s.reshape(dims)
    axes = tuple(range(1, 1 + len(dims)))
    Fu = np.fft.fftshift(np.fft.fftn(np.fft.ifftshift(u, axes), axes=axes, norm="ortho"), axes)
    r = Fu - t.b
    f = t.functional(theta)
    np.testing.assert_allclose(t.weights(theta), s, rtol=1e-15)
    np.testing.assert_allclose(f.value(u, batch=True), 0.5 * (s * abs(r) ** 2).reshape(3, -1).sum(axis=1), rtol=1e-12)
    g = np.fft.fftshift(np.fft.ifftn(np.fft.ifftshift(s * r, axes), axes=axes, norm="ortho"), axes)
    np.testing.assert_allclose(f.grad(u), g, atol=1e-13)
    value, grad = f.value_grad(u, batch=True)
    np.testing.assert_allclose(value, f.value(u, batch=True))
    np.testing.assert_array_equal(grad, f.grad(u))


@pytest.mark.parametrize(("dims", "axis"), SHAPES)
def test_constants_are_the_extreme_eigenvalues(dims, axis):
    t, theta, _, _ = term(dims, axis)
    f = t.functional(theta)
    eigenvalues = np.linalg.eigvalsh(matrix(f, dims))
    assert isinstance(f, FourierL2)
    assert f.mu == pytest.approx(eigenvalues[0], rel=1e-12)
    assert f.L == pytest.approx(eigenvalues[-1], rel=1e-12)
    assert f.hessian_lipschitz == 0


def test_real_images_keep_the_constants_as_bounds():
    F = ip.FourierTransform((6,), dtype="complex128", real_image=True)
    t, theta, u, q = term((6,), None, F=F)
    f = t.functional(theta)
    H = np.stack([f.hessian_apply(e, e) for e in np.eye(6)])
    assert isinstance(f, IsometricL2)
    assert f.mu <= np.linalg.eigvalsh(H)[0] + 1e-14
    assert f.L >= np.linalg.eigvalsh(H)[-1] - 1e-14
    assert u.dtype == q.dtype == f.grad(u).dtype == np.float64


def test_other_operators_know_no_strong_convexity():
    S = simulate_sensitivities(3, (4, 4), dtype="complex128")
    A = ip.CartesianMRI(np.ones((4, 4), bool), S, dtype="complex128")
    points, lines = SamplingWeights(A, "linear"), SamplingWeights(A, "linear", axis=-1)
    assert (len(points.names), len(lines.names)) == (16, 4)  # all coils share the weights
    t, theta, u, q = term((4, 4), -1, F=A)
    f = t.functional(theta)
    assert type(f) is WeightedL2
    assert f.mu == 0
    assert t.weights(theta).shape == (3, 4, 4)
    assert t.mixed(theta, u, q).shape == (3, 4)


def test_names_count_frequencies_from_the_middle():
    F = ip.FourierTransform((2, 3), dtype="complex64")
    assert SamplingWeights(F).names[:3] == ("weight (-1, -1)", "weight (-1, 0)", "weight (-1, 1)")
    assert SamplingWeights(F, axis=-1).names == ("weight -1", "weight 0", "weight 1")
    assert SamplingWeights(F, axis=-2).names == ("weight -1", "weight 0")


def test_precision_is_kept():
    rng = np.random.default_rng(0)
    F = ip.FourierTransform((8, 8), dtype="complex64")
    u = noise(rng, (2, 8, 8)).astype(np.complex64)
    t = SamplingWeights(F, axis=-1).with_data(F.apply(u))
    theta = np.linspace(0, 0.9, 8)
    assert t.functional(theta).grad(u).dtype == t.mixed_apply(theta, u, theta).dtype == np.complex64
    assert t.mixed(theta, u, u).dtype == np.float64


# ---------------------------------------------------------------- derivatives


@pytest.mark.parametrize(("dims", "axis"), SHAPES)
@pytest.mark.parametrize("way", WAYS)
def test_mixed_derivatives(dims, axis, way):
    """B*q and B dθ are adjoint, sample by sample, and the derivative of the gradient."""
    t, theta, u, q = term(dims, axis, way)
    d = np.random.default_rng(1).standard_normal(len(theta))
    B = t.mixed_apply(theta, u, d)
    np.testing.assert_allclose(t.mixed(theta, u, q) @ d, [inner(a, b) for a, b in zip(B, q, strict=True)], rtol=1e-10)
    h = 1e-5
    step = (t.functional(theta + h * d).grad(u) - t.functional(theta - h * d).grad(u)) / (2 * h)
    # central differences err by h²/6 of the third derivative: s''' is 0 for two of the ways, 6/(1 - θ)⁴ for the ratio
    third = 6 / (1 - theta.max() - h * abs(d).max()) ** 4 * abs(d).max() ** 3 if way == "ratio" else 0.0
    r = np.linalg.norm(t.A.apply(u) - t.b)
    assert np.linalg.norm(B - step) <= (h**2 / 6 * third + 1e-10) * r


@pytest.mark.parametrize("way", WAYS)
def test_lipschitz_constant_of_the_mixed_derivative(way):
    t, theta, u, v = term((8,), None, way, n=1)
    B = np.stack([(t.mixed_apply(theta, u, e) - t.mixed_apply(theta, v, e)).ravel() for e in np.eye(8)], axis=1)
    real = np.concatenate([B.real, B.imag])
    assert np.linalg.norm(real, 2) <= t.mixed_lipschitz(theta) * np.linalg.norm(u - v)
    # attained where the difference has one frequency, that of the largest slope
    k = int(np.argmax(t.slopes(theta)))
    w = u + t.A.apply_adjoint(np.eye(8, dtype=complex)[None, k])
    change = t.mixed_apply(theta, w, np.eye(8)[k]) - t.mixed_apply(theta, u, np.eye(8)[k])
    assert np.linalg.norm(change) == pytest.approx(t.mixed_lipschitz(theta))


def test_parts_of_the_samples():
    t, theta, u, q = term((4, 6), -1)
    index = np.array([2, 0])
    part = t.take(index)
    np.testing.assert_array_equal(part.mixed(theta, u[index], q[index]), t.mixed(theta, u, q)[index])
    f = t.functional(theta)
    np.testing.assert_allclose(f.take(index).grad(u[index]), f.grad(u)[index], atol=1e-14)
    assert SamplingWeights(t.A).take(index).b is None


def test_data_are_not_copied():
    F = ip.FourierTransform((8,), dtype="complex128")
    b = np.ones((2, 8), complex)
    lower = LowerLevel(F, b, 0.1 * ip.Tikhonov((8,), order=0), fidelity=SamplingWeights(F))
    assert lower.b is b
    assert lower.terms[0].b is b
    other = np.zeros((3, 8), complex)
    assert lower.with_data(other).terms[0].b is other


# ---------------------------------------------------------------- the lower level


def signals(n=4, N=24, seed=0, dtype="complex128"):
    rng = np.random.default_rng(seed)
    F = ip.FourierTransform((N,), dtype=dtype)
    truths = np.zeros((n, N))
    for x in truths:
        i = rng.integers(2, N // 2)
        x[i : i + N // 3] = 1
    b = F.apply(truths.astype(dtype)) + 0.05 * noise(rng, (n, N)).astype(dtype)
    return F, truths, b


def lower_level(F, b, *terms, way="ratio"):
    d = tuple(F.dims)
    terms = terms or (1e-2 * ip.SmoothedTV(d, eps=1e-2) + 1e-3 * ip.Tikhonov(d, order=0),)
    return LowerLevel(F, b, *terms, fidelity=SamplingWeights(F, way))


def regularisers(N):
    d = (N,)
    both = 1e-2 * ip.SmoothedTV(d, eps=1e-2) + 1e-2 * ip.Tikhonov(d, order=0)
    zero = SmoothedTVRegulariser(d, learn=("alpha",), xi=1e-2, nu=1e-2, boundary="zero")
    square = 1e-2 * ip.Tikhonov(d, order=0)
    return {
        "functionals": ((both,), []),
        "weight": ((Weight(ip.SmoothedTV(d, eps=1e-2)), square), [-2.0]),
        "regulariser": ((zero,), [-2.0]),
        "square": ((square,), []),
    }


@pytest.mark.parametrize("name", ["functionals", "weight", "regulariser", "square"])
@pytest.mark.parametrize(("method", "N"), list(itertools.product([ip.Nesterov, ip.GradientDescent], [22, 24])))
def test_fused_solves_agree_with_the_solvers(name, method, N, monkeypatch):
    """To the two certificates; N = 22 leaves a remainder of the four columns."""
    F, _, b = signals(N=N)
    terms, rest = regularisers(N)[name]
    lower = lower_level(F, b, *terms)
    theta = np.append(np.random.default_rng(0).uniform(0.05, 0.8, N), rest)
    fused = solve_lower(lower, theta, 1e-7, method=method())
    assert lower.terms[0].signal_loop(lower.at(theta), *lower.constants(theta), "fista") is not None
    monkeypatch.setattr(SamplingWeights, "signal_loop", lambda *_: None)
    generic = solve_lower(lower, theta, 1e-7, method=method())
    assert (fused.certificate <= 1e-7).all()
    distance = np.linalg.norm(fused.u - generic.u, axis=1)
    assert (distance <= fused.certificate + generic.certificate).all()
    gradient = np.linalg.norm(lower.at(theta).grad(fused.u), axis=1)
    mu, L = lower.constants(theta)
    assert (gradient <= L * fused.certificate).all()
    # the solvers' two gradients more are those at the start and at the end; the work is that of the iterations
    assert abs(fused.iterations - generic.iterations).max() <= 0.1 * generic.iterations.max() + 2
    assert fused.cost.applications == 2 * fused.cost.gradients + lower.n  # and F*Sb once


def test_fused_twins_agree_and_fixed_iterations_are_exact():
    from ipbox.kernels.smoothed_tv import sampled_cpu as sampled_signals_cpu
    from ipbox.kernels.smoothed_tv.sampled import sampled_loop

    F, _, b = signals()
    lower = lower_level(F, b)
    theta = np.full(24, 0.5)
    found = solve_lower(lower, theta, iterations=37)
    assert (found.iterations == 37).all()
    f = lower.at(theta).terms[0]
    column = np.fft.ifft(f.multiplier)
    settings = {"alpha": 1e-2, "nu": 1e-2, "xi": 1e-3, "boundary": "neumann", "constants": lower.constants(theta)}
    kernel, results = sampled_signals_cpu.sampled_signals, []
    for twin in (kernel.parallel, kernel.serial):
        u = np.zeros_like(b)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(type(kernel), "run", lambda _, size, *args, twin=twin: twin(*args))
            sampled_loop(f.backprojected, u, column, np.full(4, 1e-3), 37, fixed=True, **settings)
        results.append(u)
    np.testing.assert_array_equal(*results)
    np.testing.assert_array_equal(results[0], found.u)


def test_accuracy_beyond_rounding_ends_with_what_was_reached():
    F, _, b = signals()
    found = solve_lower(lower_level(F, b), np.full(24, 0.5), 1e-18)
    assert (found.certificate > 1e-18).all()
    assert (found.certificate < 1e-9).all()


def test_single_precision_signals():
    F, _, b = signals(dtype="complex64")
    found = solve_lower(lower_level(F, b), np.full(24, 0.5), 1e-3)
    F2, _, b2 = signals()
    exact = solve_lower(lower_level(F2, b2), np.full(24, 0.5), 1e-9)
    assert found.u.dtype == np.complex64
    data = np.linalg.norm(b - b2, axis=1) / lower_level(F2, b2).constants(np.full(24, 0.5))[0]  # of rounded data
    assert (np.linalg.norm(found.u - exact.u, axis=1) <= found.certificate + data + 1e-9).all()


def test_nan_is_an_error():
    F, _, b = signals()
    lower, theta, start = lower_level(F, b), np.full(24, 0.5), np.zeros_like(b)
    start[1, 3] = np.nan
    with pytest.raises(FloatingPointError, match="sample 1"):
        solve_lower(lower, theta, 1e-3, start=start)
    b[1, 3] = np.nan
    with pytest.raises(ValueError, match="b has NaN"):
        solve_lower(lower, theta, 1e-3)


def test_without_weights_the_lower_level_is_refused():
    F, _, b = signals()
    lower = lower_level(F, b, 1e-2 * ip.SmoothedTV((24,), eps=1e-2), way="linear")
    theta = np.ones(24)
    theta[3] = 0.0
    with pytest.raises(ValueError, match="μ = 0"):
        solve_lower(lower, theta, 1e-3)


# ---------------------------------------------------------------- on a device


@pytest.mark.parametrize(("dims", "axis"), [((8,), None), ((6, 8), -1)])
def test_device_arrays_stay_there(dims, axis, xp):
    t, theta, u, q = term(dims, axis, "ratio")
    there = SamplingWeights(t.A, "ratio", axis).with_data(xp.asarray(t.b))
    v, w = xp.asarray(u), xp.asarray(q)
    f, g = t.functional(theta), there.functional(theta)
    assert isinstance(g.grad(v), xp.ndarray)
    np.testing.assert_allclose(ip.backend.to_host(g.grad(v)), f.grad(u), atol=1e-13)
    np.testing.assert_allclose(ip.backend.to_host(g.hessian_apply(v, w)), f.hessian_apply(u, q), atol=1e-13)
    np.testing.assert_allclose(g.value(v, batch=True), f.value(u, batch=True))
    np.testing.assert_allclose(there.mixed(theta, v, w), t.mixed(theta, u, q), atol=1e-12)
    B = there.mixed_apply(theta, v, theta)
    np.testing.assert_allclose(ip.backend.to_host(B), t.mixed_apply(theta, u, theta), atol=1e-12)
    d = dims
    lower = LowerLevel(
        t.A, xp.asarray(t.b), 0.1 * ip.Tikhonov(d, order=0), fidelity=SamplingWeights(t.A, "ratio", axis)
    )
    found = solve_lower(lower, theta, 1e-6)
    assert isinstance(found.u, xp.ndarray)
    assert (found.certificate <= 1e-6).all()


# ---------------------------------------------------------------- bad input


def test_bad_arguments():
    F = ip.FourierTransform((8,), dtype="complex128")
    with pytest.raises(ValueError, match="parametrisation is 'log'"):
        SamplingWeights(F, "log")
    for axis in (0, -2, 1.0, True):
        with pytest.raises(ValueError, match="axis is"):
            SamplingWeights(F, axis=axis)
    with pytest.raises(TypeError, match="expected complex data"):
        SamplingWeights(ip.Gradient((4, 4), "float64"))
    with pytest.raises(ValueError, match="beta is -1"):
        SamplingPenalty(-1)
    with pytest.raises(ValueError, match="gamma is -1"):
        SamplingPenalty(1, -1)


def test_bad_data():
    F = ip.FourierTransform((8,), dtype="complex128")
    reg = 0.1 * ip.Tikhonov((8,), order=0)
    with pytest.raises(TypeError, match="b has dtype float64"):
        LowerLevel(F, np.ones((2, 8)), reg, fidelity=SamplingWeights(F))
    with pytest.raises(ValueError, match="b has shape"):
        LowerLevel(F, np.ones((2, 7), complex), reg, fidelity=SamplingWeights(F))
    with pytest.raises(ValueError, match="has no data"):
        SamplingWeights(F).functional(np.full(8, 0.5))
    with pytest.raises(ValueError, match="another operator"):
        LowerLevel(F, np.ones((2, 8), complex), reg, fidelity=SamplingWeights(ip.FourierTransform((8,), "complex128")))


@pytest.mark.parametrize(
    ("way", "value"), [("ratio", 1.0), ("ratio", 1.5), ("ratio", -0.1), ("linear", -1e-9), ("square", -1.0)]
)
def test_theta_outside_its_domain(way, value):
    t, theta, u, _ = term((8,), None, way)
    theta[2] = value
    calls = (t.functional, t.weights, t.slopes, lambda p: t.mixed(p, u, u), lambda p: t.mixed_apply(p, u, p))
    for call in calls:
        with pytest.raises(ValueError, match=f"theta has {value:g} for weight -2; '{way}' expects 0 <= theta"):
            call(theta)


def test_theta_of_another_length():
    t, theta, u, _ = term((8,), None)
    for call in (t.functional, lambda p: t.mixed(p, u, u)):
        with pytest.raises(ValueError, match=r"theta has shape \(7,\); expected \(8,\)"):
            call(theta[1:])
    with pytest.raises(ValueError, match=r"dtheta has shape \(7,\)"):
        t.mixed_apply(theta, u, theta[1:])
