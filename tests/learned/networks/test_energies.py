"""Networks that are regularisers: gradients, convexity and moduli, Lipschitz constants, norms of filters, bad input."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from ipbox import bilevel
from ipbox.bilevel import NetworkTerm, TorchTerm
from ipbox.learned.bridge.arrays import from_torch
from ipbox.learned.networks import ConvexRidge, FieldsOfExperts, InputConvex, LipschitzCritic, WeaklyConvexRidge
from ipbox.learned.networks.energy import Energy, leaky, positive, raw_of
from ipbox.learned.networks.experts import splines
from ipbox.learned.networks.experts.filter_bank import FilterBank, correlation_norm, extend, fold
from ipbox.learned.networks.experts.splines import evaluate, tables_of
from ipbox.learned.weights.modules import load_weights, save_weights

ENERGIES = {
    "ConvexRidge": lambda: ConvexRidge(widths=(2, 4), kernel=3, knots=9, span=0.3),
    "WeaklyConvexRidge": lambda: WeaklyConvexRidge(widths=(2, 4), kernel=3, knots=9, span=0.3),
    "InputConvex": lambda: InputConvex(width=3, layers=3, kernel=3, filters=2, eps=0.3, nu=0.1),
    "FieldsOfExperts": lambda: FieldsOfExperts(filters=4, size=3),
    "modulus": lambda: LipschitzCritic(widths=(3, 4), strides=(1, 2), kernel=3, eps=0.3, modulus=0.7),
    "LipschitzCritic": lambda: LipschitzCritic(widths=(3, 4), strides=(1, 2), kernel=3, eps=0.3),
}


def build(name: str, spread: float = 0.3, seed: int = 0) -> torch.nn.Module:
    """In float64, its parameters moved at random: what is proved holds for all of them."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        R = ENERGIES[name]().double()
        with torch.no_grad():
            for p in R.parameters():
                p += spread * torch.randn_like(p)
    return R.requires_grad_(False)


def images(n: int, shape: tuple[int, int] = (7, 6), scale: float = 1.0, seed: int = 1) -> torch.Tensor:
    return scale * torch.randn(n, 1, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def hessian(R: torch.nn.Module, u: torch.Tensor) -> torch.Tensor:
    n = u.numel()
    return torch.autograd.functional.hessian(lambda v: R(v.reshape(u.shape)).sum(), u.reshape(-1)).reshape(n, n)


@pytest.fixture(params=ENERGIES)
def name(request):
    return request.param


@pytest.mark.parametrize("shape", [(1, 5, 6), (3, 1, 1), (2, 2, 7)])
def test_a_number_for_each_image_of_any_size(name, shape):
    R = build(name)
    u = images(shape[0], shape[1:])
    values = R(u)
    assert values.shape == shape[:1] and values.dtype == u.dtype
    torch.testing.assert_close(values, torch.cat([R(ui[None]) for ui in u]))


def test_gradient_against_differences(name):
    R, u, h = build(name), images(3, scale=0.3), 1e-6
    values, gradient = R.value_gradient(u)
    torch.testing.assert_close(values, R(u).detach())
    torch.testing.assert_close(gradient, R.gradient(u))
    d = images(3, seed=2)
    slope = (R(u + h * d) - R(u - h * d)) / (2 * h)
    torch.testing.assert_close((gradient * d).sum((1, 2, 3)), slope.detach(), rtol=1e-6, atol=1e-7)


def test_the_closed_gradient_is_that_of_automatic_differentiation(name):
    R, u = build(name), images(2, scale=0.5).requires_grad_()
    (g,) = torch.autograd.grad(R(u).sum(), u, create_graph=True)
    torch.testing.assert_close(R.gradient(u), g.detach(), rtol=1e-12, atol=1e-13)
    single = build(name).float()
    torch.testing.assert_close(single.gradient(u.detach().float()).double(), g.detach(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("part", [1, 4 * 8 * 6 * 8, 10**6])
def test_parts_of_images_give_the_gradient_of_the_whole(part, monkeypatch):
    R, u = build("ConvexRidge"), images(3)
    values, gradient = R.value_gradient(u)
    monkeypatch.setattr("ipbox.learned.networks.ridge.PART", part)
    again, parts = R.value_gradient(u)
    torch.testing.assert_close(again, values, rtol=1e-12, atol=0.0)
    torch.testing.assert_close(parts, gradient, rtol=1e-10, atol=1e-13)
    torch.testing.assert_close(R.gradient(u), parts)


def test_derivatives_by_the_parameters_against_differences(name):
    """∂_θ <∇R(u), q>, as bilevel learning needs it, through the filters and their normalisation too."""
    R = build(name, 0.1)
    term = TorchTerm(R, (5, 6), L=1.0)
    theta, rng = term.initial(), np.random.default_rng(3)
    u, q = rng.standard_normal((2, 1, 5, 6))
    direction, h = rng.standard_normal(theta.size), 1e-6
    up, down = (term.functional(theta + s * h * direction).grad(u) for s in (1, -1))
    expected = ((up - down) * q).sum() / (2 * h)
    assert term.mixed(theta, u, q)[0] @ direction == pytest.approx(expected, rel=1e-5, abs=1e-7)
    np.testing.assert_allclose(term.mixed_apply(theta, u, direction), (up - down) / (2 * h), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_constants_hold_along_random_segments_and_for_hessians(name, seed):
    R = build(name, spread=1.0 if "Ridge" in name else 0.3, seed=seed)
    L, rho, mu = R.lipschitz, R.weak_convexity, R.strong_convexity
    assert R.convex == (rho == 0.0) and L < float("inf")
    for scale in (0.05, 0.5, 5.0):
        u, v = images(2, scale=scale, seed=seed)[:, None]
        du, dg = u - v, R.gradient(u) - R.gradient(v)
        square = float(du.square().sum())
        assert float(dg.norm()) <= L * square**0.5 * (1 + 1e-12)
        assert float((dg * du).sum()) >= (mu - rho) * square - 1e-12 * L * square
        t = torch.linspace(0, 1, 21, dtype=torch.float64)[:, None, None, None]
        along = R(u + t * (v - u)).detach()
        second = along[:-2] - 2 * along[1:-1] + along[2:]
        assert float(second.min()) >= (mu - rho) * square / 400 - 1e-13 * (1 + float(along.abs().max()))
        eigenvalues = torch.linalg.eigvalsh(hessian(R, u))
        assert -rho + mu - 1e-9 * L <= float(eigenvalues[0]) and float(eigenvalues[-1]) <= L * (1 + 1e-9)


def test_fields_of_experts_are_those_of_bilevel_learning():
    """The same θ gives the same function, by other code; its bound of L is at most that of any filters."""
    rng, u = np.random.default_rng(0), np.random.default_rng(1).standard_normal((2, 9, 8))
    for size, filters in ((3, 8), (5, 7)):
        own = NetworkTerm(FieldsOfExperts(filters, size), (9, 8))
        known = bilevel.FieldsOfExperts((9, 8), filters, size)
        np.testing.assert_allclose(own.initial(), known.initial(), atol=1e-6)
        for spread in (0.0, 0.3):
            theta = known.initial() + spread * rng.standard_normal(len(known.names))
            f, g = own.functional(theta), known.functional(theta)
            np.testing.assert_allclose(f.value(u), g.value(u), rtol=1e-12)
            np.testing.assert_allclose(f.grad(u), g.grad(u), rtol=1e-9, atol=1e-12)
            np.testing.assert_allclose(own.mixed(theta, u, u), known.mixed(theta, u, u), rtol=1e-8, atol=1e-11)
            assert f.L == pytest.approx(g.L, rel=0.5 if spread else 1e-6) and f.is_convex


def test_the_critic_of_a_modulus_is_the_critic_times_a_number():
    R = build("modulus")
    plain = LipschitzCritic(**{key: value for key, value in R.config.items() if key != "modulus"}).double()
    plain.load_state_dict(R.state_dict())
    u = images(3)
    torch.testing.assert_close(R(u), plain(u) * (0.7 / plain.weak_convexity), rtol=1e-12, atol=0.0)
    assert R.weak_convexity == R.lipschitz == 0.7
    with torch.no_grad():
        R.last.zero_()
    assert not R(u).any() and not R.gradient(u).any()


def test_the_weakly_convex_modulus_is_at_most_one_and_reached():
    """All slopes of the profiles at -1 near 0: the Hessian at 0 is -WᵀW, of norm nearly 1."""
    R = build("WeaklyConvexRidge", 0.0)
    with torch.no_grad():
        R.raw[:, 0] = -40.0
        R.raw[:, 1:] = 3.0
    assert 0.9 < R.weak_convexity <= 1.0
    least = float(torch.linalg.eigvalsh(hessian(R, torch.zeros(1, 1, 12, 11, dtype=torch.float64)))[0])
    assert -R.weak_convexity <= least < -0.8


@pytest.mark.parametrize("seed", range(3))
def test_weakly_convex_profiles_end_without_falling(seed):
    R = build("WeaklyConvexRidge", 3.0, seed)
    assert float(R.slopes().min()) >= -1 and float(R.slopes().sum(1).min()) >= -1e-12
    far = R.profile(torch.tensor([1e3], dtype=torch.float64))
    assert float(far.min()) >= -1e-9


def test_profiles_are_odd_with_linear_pieces():
    R = build("ConvexRidge", 0.5)
    t = torch.linspace(-0.5, 0.5, 41, dtype=torch.float64)
    p = R.profile(t)
    torch.testing.assert_close(p, -p.flip(1))
    assert p.shape == (4, 41) and float(p.diff(dim=1).min()) >= 0
    u = torch.full((1, 1, 1, 1), 0.7, dtype=torch.float64)  # one pixel, reflected to a constant: filters see nothing
    assert float(R(u).abs()) < 1e-12 and float(R.gradient(u).abs().max()) < 1e-12


# ---------------------------------------------------------------- filters


@pytest.mark.parametrize("shape", [(3, 2), (9, 8), (1, 17)])
def test_norm_of_the_bank_for_every_size(shape):
    for seed in range(3):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            bank = FilterBank((3, 4), 3).double().requires_grad_(False)
        basis = torch.eye(shape[0] * shape[1], dtype=torch.float64).reshape(-1, 1, *shape)
        W = bank(basis).flatten(1)
        assert float(torch.linalg.matrix_norm(W, 2)) <= 1.0
        a = torch.rand(4, dtype=torch.float64)
        weighted = W.reshape(len(basis), 8, -1) * torch.cat([a, a]).sqrt()[:, None]
        norm = float(torch.linalg.matrix_norm(weighted.flatten(1), 2)) ** 2
        assert norm <= float(bank.squared_norm(a))
    assert float(bank(torch.ones(1, 1, 8, 9, dtype=torch.float64)).abs().max()) < 1e-12


def test_the_bound_of_the_bank_is_tight():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        bank = FilterBank((4,), 3).double().requires_grad_(False)
    v = images(1, (40, 40))
    for _ in range(60):
        v = bank.adjoint(bank(v), bank.filters())
        v /= v.norm()
    assert float(bank(v).norm()) > 0.95


def test_correlation_norm_lies_above_fine_frequencies():
    w = images(5, (5, 5))
    a = torch.arange(1.0, 6.0, dtype=torch.float64)
    fine = (torch.fft.fft2(w[:, 0], (700, 700)).abs().square() * a[:, None, None]).sum(0).max()
    assert float(fine) <= float(correlation_norm(w, a)) <= 1.02 * float(fine)


@pytest.mark.parametrize(("shape", "d"), [((5, 6), 2), ((2, 3), 4), ((1, 1), 3), ((4, 4), 0)])
def test_reflection_and_its_adjoint(shape, d):
    u = images(2, shape)
    v = extend(u, d)
    expected = np.pad(from_torch(u, xp="numpy"), ((0, 0), (0, 0), (d, d), (d, d)), mode="symmetric")
    np.testing.assert_array_equal(from_torch(v, xp="numpy"), expected)
    w = torch.randn_like(v)
    assert float((v * w).sum()) == pytest.approx(float((u * fold(w, d)).sum()), rel=1e-12, abs=1e-12)


def test_the_adjoint_of_the_bank_and_all_its_derivatives():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        bank = FilterBank((2,), 3).double()
    w, u = bank.filters().detach().requires_grad_(), images(1, (3, 4))
    t = torch.randn(1, 4, 3, 4, dtype=torch.float64)
    product, other = ((a * b).sum().item() for a, b in ((bank.correlate(u, w), t), (u, bank.adjoint(t, w))))
    assert product == pytest.approx(other, rel=1e-12)
    u, t = u.requires_grad_(), t.requires_grad_()
    for f, z in ((bank.correlate, u), (bank.adjoint, t)):
        assert torch.autograd.gradcheck(f, (z, w)) and torch.autograd.gradgradcheck(f, (z, w))


def test_filters_are_kept_until_a_parameter_changes():
    bank = FilterBank((2,), 3).requires_grad_(False)
    w = bank.filters()
    assert bank.filters() is w
    bank.parts[0][0, 0, 0, 0] += 1.0
    assert bank.filters() is not w and not torch.equal(bank.filters(), w)


# ---------------------------------------------------------------- splines


@pytest.mark.parametrize("order", [0, 1, 2])
def test_all_derivatives_of_splines(order):
    tables = tables_of(torch.rand(2, 3, dtype=torch.float64) - 0.5, 0.3).requires_grad_()
    t = images(1, (2, 6), seed=5).reshape(1, 2, 2, 3).requires_grad_()
    assert torch.autograd.gradcheck(lambda *a: evaluate(*a, 0.3, order), (t, tables))
    assert torch.autograd.gradgradcheck(lambda *a: evaluate(*a, 0.3, order), (t, tables))


def test_splines_of_the_kernels_are_those_of_array_functions(monkeypatch):
    tables, t, g = torch.randn(3, 2, 4, dtype=torch.float64), *torch.randn(2, 3, 2, 5, 4, dtype=torch.float64)
    kernel = [(evaluate(t, tables, 0.4, k), splines._sums(t, g, 0.4, k, 3)) for k in range(3)]
    monkeypatch.setattr(splines, "_on_host", lambda t: False)
    for k, (values, sums) in enumerate(kernel):
        torch.testing.assert_close(evaluate(t, tables, 0.4, k), values)
        torch.testing.assert_close(splines._sums(t, g, 0.4, k, 3), sums)


# ---------------------------------------------------------------- files and input


def test_weights_are_rebuilt(name, tmp_path):
    R, u = build(name).float(), images(2).float()
    save_weights(tmp_path / "R.safetensors", R, {})
    again = load_weights(tmp_path / "R.safetensors")
    assert type(again) is type(R) and torch.equal(again(u), R(u))
    for other in set(ENERGIES) - {name}:
        if {name, other} in ({"ConvexRidge", "WeaklyConvexRidge"}, {"LipschitzCritic", "modulus"}):
            continue  # of the same parameters
        with pytest.raises(ValueError, match="does not fit"):
            load_weights(tmp_path / "R.safetensors", build(other).float())


def test_smoothed_leaky_relu():
    t = torch.linspace(-1, 1, 401, dtype=torch.float64)
    y = leaky(t, 0.2, 0.1)
    slopes = y.diff() / t.diff()
    assert (
        float(slopes.min()) >= 0.2 - 1e-12 and float(slopes.max()) <= 1 + 1e-12 and float(slopes.diff().min()) > -1e-9
    )
    assert float((slopes.diff() / t.diff()[0]).max()) <= 8 * (1 + 1e-9)
    for value in (1e-6, 0.3, 20.0):
        assert float(positive(torch.tensor(raw_of(value), dtype=torch.float64))) == pytest.approx(value)


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: ConvexRidge(widths=(2, 3)), ValueError, r"^widths is \(2, 3\); expected"),
        (lambda: ConvexRidge(widths=()), ValueError, r"^widths is \(\)"),
        (lambda: ConvexRidge(widths=4), TypeError, r"^widths is (4|int); expected a sequence"),
        (lambda: LipschitzCritic(strides=1), TypeError, r"^strides is (1|int); expected a sequence"),
        (lambda: ConvexRidge(kernel=4), ValueError, "^kernel is 4; expected an odd"),
        (lambda: WeaklyConvexRidge(knots=10), ValueError, "^knots is 10; expected an odd"),
        (lambda: WeaklyConvexRidge(span=0.0), ValueError, "^span is 0"),
        (lambda: InputConvex(slope=1.0), ValueError, "^slope is 1.0; expected"),
        (lambda: InputConvex(mu=0.0), ValueError, "^nu and mu are 0.01 and 0; expected"),
        (lambda: LipschitzCritic(strides=(1,)), ValueError, r"^strides is \(1,\); expected"),
        (lambda: LipschitzCritic(eps=-1.0), ValueError, "^eps is -1"),
    ],
)
def test_bad_settings(make, error, match):
    with pytest.raises(error, match=match):
        make()


def test_bad_images(name):
    R = build(name)
    for bad, error in itertools.product((torch.zeros(5, 5), torch.zeros(1, 2, 5, 5)), (ValueError,)):
        for call in (R, R.gradient):
            with pytest.raises(error, match=r"^x has shape"):
                call(bad)


@pytest.mark.parametrize("name", ["ConvexRidge", "WeaklyConvexRidge"])
@pytest.mark.parametrize("raw", [-100.0, 100.0])
@pytest.mark.parametrize("log_alpha", [-100.0, 100.0])
def test_extreme_parameters_of_ridges_stay_finite_in_single_precision(name, raw, log_alpha):
    R = ENERGIES[name]()
    with torch.no_grad():
        R.raw.fill_(raw), R.log_alpha.fill_(log_alpha)
    value, gradient = R.value_gradient(images(2).float())
    assert torch.isfinite(value).all() and torch.isfinite(gradient).all() and np.isfinite(R.lipschitz)
    assert R.weak_convexity <= 1


@pytest.mark.parametrize("shape", [(1, 1), (1, 4), (3, 2)])
@pytest.mark.parametrize("name", ENERGIES)
def test_constants_hold_for_images_smaller_than_the_filters(name, shape):
    for spread in (1.0, 30.0):
        R, u = build(name, spread), images(1, shape)
        eigenvalues = torch.linalg.eigvalsh(hessian(R, u))
        least, rounding = R.strong_convexity - R.weak_convexity, 1e-12 * R.lipschitz
        assert eigenvalues[0] >= least - rounding and eigenvalues.abs().max() <= R.lipschitz + rounding


def test_an_energy_without_parameters_has_a_curvature():
    class HalfSquare(Energy):
        def forward(self, u):
            return 0.5 * u.square().sum((1, 2, 3))

    assert abs(HalfSquare().typical_curvature() - 1) < 1e-6
