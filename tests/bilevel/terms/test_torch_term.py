"""Parametric terms from torch against the hand-written derivatives of smoothed TV, and in bilevel learning."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import scipy.optimize
import scipy.special
import torch

import ipbox as ip
from ipbox.bilevel import (
    DFO,
    HOAG,
    LBFGSB,
    BilevelProblem,
    ConditionPenalty,
    Evaluator,
    LowerLevel,
    SmoothedTVRegulariser,
    TorchTerm,
    hypergradient,
    learn,
    solve_lower,
)
from ipbox.bilevel.methods.unrolled import unrolled_gradient
from ipbox.bilevel.terms.torch_term import TorchEnergy
from tests.contracts.support import assert_close, draw, stays_on_device

DIMS, THETA = (6, 5), np.array([-0.3, -1.0, -0.7])


def smoothed_tv(u: torch.Tensor, theta: torch.Tensor) -> torch.Tensor:
    """α Σ √(|Du|² + ν²) + (ξ/2) ‖u‖², θ the log10 of α, ξ and ν."""
    alpha, xi, nu = 10**theta
    d = torch.zeros(2, *u.shape, dtype=u.dtype, device=u.device)
    d[0, ..., 1:] = u.diff(dim=-1)
    d[1, :, 1:] = u.diff(dim=-2)
    s = ((d * d.conj()).real.sum(0) + nu**2).sqrt()
    return alpha * s.sum((1, 2)) + 0.5 * xi * (u * u.conj()).real.sum((1, 2))


def term(**options) -> TorchTerm:
    options = {"mu": lambda theta: 10.0 ** theta[1]} | options
    return TorchTerm(smoothed_tv, DIMS, ("alpha", "xi", "nu"), **options)


class Experts(torch.nn.Module):
    """Σ_k softplus-like experts of a convolution, with a buffer."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.filters = torch.nn.Parameter(torch.randn(2, 1, 3, 3, generator=generator))
        self.log_weight = torch.nn.Parameter(torch.tensor(-1.0))
        self.register_buffer("nu", torch.tensor(0.5))

    def forward(self, u: torch.Tensor) -> torch.Tensor:
        t = torch.nn.functional.conv2d(u[:, None], self.filters)
        return self.log_weight.exp() * (t.square() + self.nu**2).sqrt().sum((1, 2, 3))


def draws(dtype: str = "float64", xp: ModuleType = np) -> tuple:
    rng = np.random.default_rng(3)
    return tuple(draw(rng, (3, *DIMS), dtype, xp) for _ in range(2))


# ---------------------------------------------------------------- derivatives


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
def test_agrees_with_hand_written_derivatives(dtype: str, xp: ModuleType) -> None:
    u, v = draws(dtype, xp)
    own, other = term(), SmoothedTVRegulariser(DIMS)
    f, g = own.functional(THETA), other.functional(THETA)
    d = np.array([0.3, -1.0, 0.5])
    with stays_on_device():
        made = f.grad(u), f.hessian_apply(u, v), own.mixed_apply(THETA, u, d)
    for one, expected in zip(made, (g.grad(u), g.hessian_apply(u, v), other.mixed_apply(THETA, u, d)), strict=True):
        assert_close(one, expected, factor=256)
    rtol = 1e-5 if np.finfo(dtype).dtype == np.float32 else 1e-12
    np.testing.assert_allclose(f.value(u, batch=True), g.value(u, batch=True), rtol=rtol)
    assert f.value(u) == pytest.approx(g.value(u), rel=rtol)
    B, expected = own.mixed(THETA, u, v), other.mixed(THETA, u, v)
    assert B.dtype == np.float64 and B.shape == (3, 3)
    np.testing.assert_allclose(B, expected, rtol=0, atol=10 * rtol * abs(expected).max())


def test_a_single_image_and_flat_ones() -> None:
    u, v = (x[0].copy() for x in draws())
    f, g = term().functional(THETA), SmoothedTVRegulariser(DIMS).functional(THETA)
    assert f.value(u) == pytest.approx(g.value(u), rel=1e-12)
    np.testing.assert_allclose(f.grad(u.ravel()), g.grad(u).ravel(), atol=1e-13)
    np.testing.assert_allclose((3.0 * f).hessian_apply(u, v), 3 * g.hessian_apply(u, v), atol=1e-12)
    out = np.empty_like(u)
    f.grad(u, out=out)
    np.testing.assert_array_equal(out, f.grad(u))


def test_derivatives_of_a_module() -> None:
    """Central differences with step 1e-5; the parameters of the module are θ."""
    net = Experts()
    own = TorchTerm(net, DIMS)
    assert own.names[0] == "filters[0, 0, 0, 0]" and own.names[-1] == "log_weight" and len(own.names) == 19
    theta, (u, v), h = own.initial(), draws(), 1e-5
    assert theta[-1] == -1.0 and theta[0] == pytest.approx(float(net.filters.detach()[0, 0, 0, 0]))
    f, d = own.functional(theta), np.random.default_rng(1).standard_normal(19)
    with torch.no_grad():
        np.testing.assert_allclose(f.value(u, batch=True), net.double()(torch.tensor(u)).numpy(), rtol=1e-12)
    slope = (f.value(u + h * v, batch=True) - f.value(u - h * v, batch=True)) / (2 * h)
    np.testing.assert_allclose((f.grad(u) * v).sum(axis=(1, 2)), slope, rtol=1e-8)
    change = (f.grad(u + h * v) - f.grad(u - h * v)) / (2 * h)
    np.testing.assert_allclose(f.hessian_apply(u, v), change, atol=1e-7)
    ends = [own.functional(theta + s * h * d).grad(u) for s in (1, -1)]
    Bd = own.mixed_apply(theta, u, d)
    np.testing.assert_allclose(Bd, (ends[0] - ends[1]) / (2 * h), atol=1e-7)
    np.testing.assert_allclose(own.mixed(theta, u, v) @ d, (Bd * v).sum(axis=(1, 2)), rtol=1e-10)


def test_a_module_is_copied_and_its_copy_left_alone() -> None:
    net = Experts()
    own = TorchTerm(net, DIMS)
    theta, (u, _) = own.initial(), draws("float32")
    expected = own.functional(theta).grad(u)
    with torch.no_grad():
        net.filters.zero_()
    np.testing.assert_array_equal(own.functional(theta).grad(u), expected)
    assert net.training and net.filters.grad is None and np.array_equal(own.initial(), theta)


def test_parts_that_do_not_depend_on_theta_or_u() -> None:
    u, v = draws()
    linear = TorchTerm(lambda u, theta: theta[0] * u.sum((1, 2)) + theta[1] * 3.0, DIMS, ("a", "b"))
    theta = np.array([2.0, 1.0])
    f = linear.functional(theta)
    assert not f.hessian_apply(u, v).any() and (f.grad(u) == 2.0).all() and f.L == 0.0
    np.testing.assert_allclose(linear.mixed(theta, u, v), np.stack([v.sum(axis=(1, 2)), np.zeros(3)], axis=1))
    assert (linear.mixed_apply(theta, u, np.array([0.0, 1.0])) == 0.0).all()


def test_the_images_are_left_alone() -> None:
    u, v = draws()
    before = u.copy()
    own = TorchTerm(lambda u, theta: theta[0] * u.mul_(2.0).square().sum((1, 2)), DIMS, ("a",))
    own.functional(np.ones(1)).value(u)
    np.testing.assert_array_equal(u, before)
    u.flags.writeable = v.flags.writeable = False
    term().functional(THETA).hessian_apply(u, v), term().mixed(THETA, u, v)


# ---------------------------------------------------------------- constants


def test_constants() -> None:
    """The estimate lies between ‖∇²R(0)‖ and 1.1 times the proved bound."""
    f, g = term().functional(THETA), SmoothedTVRegulariser(DIMS).functional(THETA)
    assert isinstance(f, TorchEnergy) and f.mu == g.mu
    dense = np.stack([g.hessian_apply(np.zeros((1, *DIMS)), e.reshape(1, *DIMS)).ravel() for e in np.eye(30)])
    assert np.linalg.norm(dense, 2) <= f.L <= 1.1 * g.L
    assert (2.0 * f).L == 2 * f.L and (2.0 * f).mu == 2 * f.mu
    assert term(L=7.0).functional(THETA).L == 7.0
    assert term(L=lambda theta: 10 ** theta[0], mu=0.1).functional(THETA).L == 10 ** THETA[0]


def test_an_estimate_is_kept_for_its_theta() -> None:
    own = term()
    first = own.functional(THETA).L
    calls, curvature = [], own.energy.curvature
    own.energy.curvature = lambda *args: calls.append(1) or curvature(*args)
    assert own.functional(THETA).L == first and not calls
    assert own.functional(THETA + 0.1).L != first and calls == [1]


def test_an_estimate_that_torch_would_spoil() -> None:
    """The second derivative of z.abs().square() at 0 is 0 to torch."""
    E = TorchTerm(lambda u, theta: theta[0] * u.abs().square().sum((1, 2)), DIMS, ("a",))
    assert E.functional(np.ones(1)).L == pytest.approx(2.2)


def bend(u: torch.Tensor, theta: torch.Tensor) -> torch.Tensor:
    """10^θ Σ softplus(40 (u - ½))/40, which curves near ½ alone, by 10^(θ + 1)."""
    return 10 ** theta[0] * torch.nn.functional.softplus(40 * (u - 0.5)).sum((1, 2)) / 40


@pytest.mark.parametrize("method", [ip.Nesterov(), ip.GradientDescent()])
def test_curvature_that_is_neither_at_zero_nor_at_the_data(method) -> None:
    """û, near ½ for data of 1, from one equation; the estimate of L is 1 at first and has to be 11."""
    lower = LowerLevel(None, np.ones((2, *DIMS)), TorchTerm(bend, DIMS, ("a",)))
    assert lower.constants(np.zeros(1))[1] < 1.01
    found = solve_lower(lower, [0.0], 1e-6, method=method)
    expected = scipy.optimize.brentq(lambda u: u - 1 + scipy.special.expit(40 * (u - 0.5)), 0, 1, xtol=1e-12)
    assert (found.certificate <= 1e-6).all() and abs(found.u - expected).max() <= 1e-6
    assert 1.5 < lower.constants(np.zeros(1))[1] < 30
    assert found.cost.gradients < 2000


def test_curvature_at_the_data() -> None:
    """At data near ½ the estimate is right at once, with an operator at its first steepest-descent iterate."""
    b = np.full((2, *DIMS), 0.5)
    for A, data in ((None, b), (2.0 * ip.Identity(DIMS, "float64"), 2 * b)):
        lower = LowerLevel(A, data, TorchTerm(bend, DIMS, ("a",)))
        assert lower.at(np.zeros(1)).L == pytest.approx((1 if A is None else 4) + 1.1 * 10, rel=1e-2)


def test_energies_that_are_not_convex_are_refused() -> None:
    lower = LowerLevel(None, np.ones((1, *DIMS)), TorchTerm(lambda u, t: -t[0] * (u**2).sum((1, 2)), DIMS, ("a",)))
    with pytest.raises(FloatingPointError, match="expected convex terms|diverged"):
        solve_lower(lower, [1.0], 1e-6)


def test_hessian_products_are_counted() -> None:
    """Those of the power method are 20 to 200, each counted for one image."""
    calls = []
    own = TorchTerm(Experts(), DIMS)
    hessian = own.energy.hessian
    own.energy.hessian = lambda u, v, theta: calls.append(len(u)) or hessian(u, v, theta)
    evaluator = problem(own).evaluator()
    hypergradient(evaluator, own.initial(), 1e-3)
    power = sum(calls)
    assert evaluator.cost.hessians == power > 20


def test_the_gradient_of_an_estimated_constant() -> None:
    """By automatic differentiation as by differences of the estimates; of a given one by differences."""
    own, theta = TorchTerm(Experts(), DIMS), TorchTerm(Experts(), DIMS).initial()
    (_, dL), h = own.constants_gradient(theta), 1e-4
    spent = own.products
    for i, e in enumerate(np.eye(len(theta))):
        ends = [own.lipschitz(theta + s * h * e) for s in (1, -1)]
        assert dL[i] == pytest.approx((ends[0] - ends[1]) / (2 * h), abs=3e-2 * abs(dL).max())
    assert spent <= 51
    dmu, dL = term(L=lambda t: 3 * 10 ** t[0]).constants_gradient(THETA)
    np.testing.assert_allclose(dmu, [0, np.log(10) * 10 ** THETA[1], 0], atol=1e-9)
    np.testing.assert_allclose(dL, [3 * np.log(10) * 10 ** THETA[0], 0, 0], atol=1e-9)


def test_unrolling_takes_few_products() -> None:
    """An estimate for every difference took 4 · 19 power methods."""
    found = unrolled_gradient(problem(TorchTerm(Experts(), DIMS)), TorchTerm(Experts(), DIMS).initial(), 5)
    assert found.cost.hessians < 3 * 5 + 4 * 50 + 10


# ---------------------------------------------------------------- modules as users write them


class Convolution(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(1, 1, 3)

    def forward(self, u: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.softplus(self.conv(u)).flatten(1).sum(1)


def test_modules_for_images_with_a_channel() -> None:
    u, v = draws()
    for n in (1, 3):  # one image without channels is a channel to a convolution
        own, net = TorchTerm(Convolution(), DIMS), Convolution().double()
        f = own.functional(own.initial())
        net.load_state_dict(own.module(own.initial()).state_dict())
        with torch.no_grad():
            np.testing.assert_allclose(f.value(u[:n], batch=True), net(torch.tensor(u[:n, None])), rtol=1e-12)
        assert f.grad(u[:n]).shape == f.hessian_apply(u[:n], v[:n]).shape == (n, *DIMS)


def test_the_module_comes_back() -> None:
    net = Experts().train()
    own = TorchTerm(net, DIMS)
    theta = own.initial() + 0.5
    learned = own.module(theta)
    assert type(learned) is Experts and learned.training and all(p.requires_grad for p in learned.parameters())
    flat = np.concatenate([p.detach().numpy().ravel() for p in learned.parameters()])
    np.testing.assert_allclose(flat, theta, rtol=1e-6)
    assert learned.filters.dtype == torch.float32 and float(net.log_weight.detach()) == -1.0
    np.testing.assert_array_equal(own.initial() + 0.5, theta)
    with pytest.raises(TypeError, match="energy is a function, and theta its argument; expected a module"):
        term().module(THETA)
    with pytest.raises(ValueError, match=r"theta has shape \(2,\); expected \(19,\)"):
        own.module(np.zeros(2))


# ---------------------------------------------------------------- bilevel learning


def pairs() -> tuple[np.ndarray, np.ndarray]:
    u = np.zeros((3, *DIMS))
    u[:, 2:4, 1:3] = 1.0
    return u, u + 0.1 * np.random.default_rng(0).standard_normal(u.shape)


def problem(R, xp: ModuleType = np) -> BilevelProblem:
    u, b = map(xp.asarray, pairs())
    return BilevelProblem(u, LowerLevel(None, b, R))


def test_hypergradient() -> None:
    """That of the hand-written term, and central differences."""
    own, other = problem(term()), problem(SmoothedTVRegulariser(DIMS))
    h, expected = (hypergradient(p.evaluator(), THETA, 1e-9) for p in (own, other))
    np.testing.assert_allclose(h.z, expected.z, rtol=0, atol=h.bound + expected.bound)
    assert expected.bound < 1e-5 * np.linalg.norm(expected.z)
    assert h.bound_kind == "estimated" and expected.bound_kind == "certified"
    step = 1e-3
    for i, e in enumerate(np.eye(3)):
        f = [own.evaluator().evaluate(THETA + s * step * e, 1e-10).f for s in (1, -1)]
        assert h.z[i] == pytest.approx((f[0] - f[1]) / (2 * step), rel=1e-4)


def test_learning_the_parameters_of_a_module() -> None:
    """Two steps from a module's own parameters lower the objective."""
    found = learn(pairs(), TorchTerm(Experts(), DIMS), HOAG(), iterations=2)
    start = found.problem.evaluator().evaluate(found.problem.lower.initial(), 1e-4)
    assert found.f + found.bound < 0.5 * (start.f - start.bound)


@pytest.mark.parametrize("penalty", [None, ConditionPenalty(1e-4)])
@pytest.mark.parametrize("method", [LBFGSB(), DFO(evaluations=6)])
def test_a_raised_constant_is_kept_in_checkpoints(tmp_path: Path, method: Any, penalty: ConditionPenalty) -> None:
    """A run that goes on has the constant, the work and the bits of one that was not stopped."""

    def evaluator() -> Evaluator:
        lower = LowerLevel(None, np.ones((2, *DIMS)), TorchTerm(bend, DIMS, ("a",)))
        return BilevelProblem(np.full((2, *DIMS), 0.6), lower, penalty).evaluator()

    def L(e: Evaluator) -> float:
        return e.problem.lower.constants(np.array([0.1]))[1]

    whole, stopped, resumed = evaluator(), evaluator(), evaluator()
    start, box, path = [0.1], ([-1.0], [0.5]), tmp_path / "run.npz"
    expected = method.minimise(whole, start, box)
    method.minimise(stopped, start, box, checkpoint=path, callback=lambda row: len(row["theta"]) == 1)
    assert L(resumed) < 2.5 < L(stopped)
    found = method.minimise(resumed, start, box, checkpoint=path)
    assert len(found.history) > 2 and L(resumed) == L(whole)
    for row, same in zip(found.history, expected.history, strict=True):
        for key in row:
            np.testing.assert_array_equal(row[key], same[key])
    assert resumed.work() == whole.work()


def test_on_the_device(xp: ModuleType) -> None:
    """The hypergradient on device arrays is that on NumPy's."""
    z, expected = (hypergradient(problem(term(), library).evaluator(), THETA, 1e-6).z for library in (xp, np))
    np.testing.assert_allclose(z, expected, rtol=1e-4)


# ---------------------------------------------------------------- bad input


def function(u, theta):
    return theta[0] * u.square().sum((1, 2))


@pytest.mark.parametrize(
    ("make", "error", "why"),
    [
        (lambda: TorchTerm(3, DIMS, ("a",)), TypeError, "energy is int; expected a torch module"),
        (lambda: TorchTerm(Experts, DIMS, ("a",)), TypeError, "energy is Experts; expected"),
        (lambda: TorchTerm(function, DIMS), TypeError, "names is None; expected a tuple of strings"),
        (lambda: TorchTerm(function, DIMS, "ab"), TypeError, "names is 'ab'"),
        (lambda: TorchTerm(function, DIMS, ()), ValueError, "energy has no parameters"),
        (lambda: TorchTerm(torch.nn.Identity(), DIMS), ValueError, "energy has no parameters"),
        (lambda: TorchTerm(Experts(), DIMS, ("a",)), ValueError, "names is .*; expected None"),
        (lambda: TorchTerm(function, (0, 3), ("a",)), ValueError, "dims is"),
        (lambda: TorchTerm(function, DIMS, ("a",), mu=-1.0), ValueError, "mu is -1.0"),
        (lambda: TorchTerm(function, DIMS, ("a",), L="big"), ValueError, "L is 'big'"),
        (lambda: TorchTerm(function, DIMS, ("a",), initial=[1.0, 2.0]), ValueError, "initial has shape"),
    ],
)
def test_refused(make, error, why: str) -> None:
    with pytest.raises(error, match=f"^{why}"):
        make()


def test_what_an_energy_must_give() -> None:
    u, _ = draws()
    for energy, error, why in (
        (lambda u, theta: theta[0] * u.sum(), ValueError, r"energy gave shape \(\); expected a tensor of shape \(3,\)"),
        (lambda u, theta: theta[0] * u, ValueError, r"energy gave shape \(3, 6, 5\)"),
        (lambda u, theta: 1.0, ValueError, "energy gave float"),
        (lambda u, theta: 1j * u.sum((1, 2)), TypeError, "energy gave torch.complex128; expected real"),
    ):
        with pytest.raises(error, match=f"^{why}"):
            TorchTerm(energy, DIMS, ("a",)).functional(np.ones(1)).value(u)
    with pytest.raises(ValueError, match="^mu is nan"):
        term(mu=lambda theta: np.nan).functional(THETA)
    with pytest.raises(ValueError, match="^L is inf"):
        term(L=lambda theta: np.inf).functional(THETA).L  # noqa: B018


def test_bounds_that_do_not_fit_are_found_by_the_lower_level() -> None:
    with pytest.raises(ValueError, match="expected 0 < μ <= L"):
        LowerLevel(
            ip.as_operator(np.zeros((4, 30))), np.zeros((1, 4)), TorchTerm(function, (30,), ("a",), L=1.0)
        ).constants(np.ones(1))


def test_gradients_in_inference_mode() -> None:
    term = TorchTerm(lambda u, theta: theta[0] * u.square().sum(1), (4,), ("a",)).functional(np.array([1.0]))
    with torch.inference_mode():
        np.testing.assert_allclose(term.grad(np.ones((1, 4))), 2.0)
