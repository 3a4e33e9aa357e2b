"""Anderson acceleration, and maps that are fixed points of a learned iteration."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import ipbox as ip
from ipbox import backend
from ipbox.learned.maps.equilibrium import DeepEquilibrium
from ipbox.learned.maps.unrolled import LearnedProximalGradient
from ipbox.learned.methods.anderson import Anderson
from ipbox.learned.weights.modules import load_weights, save_weights
from ipbox.solvers.core.divergence import Diverged

torch.set_num_threads(1)


class Contraction(nn.Module):
    """z ↦ 0.7 z + 0.2 tanh(Kz), zero-padded."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(c_in, c_out, 3, padding=1)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return 0.7 * z + 0.2 * torch.tanh(self.conv(z))


class SoftThreshold(nn.Module):
    def __init__(self, c_in: int, c_out: int, threshold: float = 0.1) -> None:
        super().__init__()
        self.threshold = threshold

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return z.sign() * (z.abs() - self.threshold).clamp_min(0)


@pytest.fixture
def A() -> ip.RayTransform:
    return ip.RayTransform((6, 5), np.linspace(0, 3, 4), dtype="float64")


@pytest.fixture
def b(A: ip.RayTransform) -> torch.Tensor:
    return torch.randn(2, *A.dimsd, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def contraction(A: ip.RayTransform, **options: object) -> DeepEquilibrium:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return DeepEquilibrium(A, network=Contraction, **dict(tol=1e-12, niter=400, scale=0.5) | options).double()


# ---------------------------------------------------------------- Anderson acceleration


def linear(samples: int = 3, n: int = 20) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """M with ‖M_i‖ = 0.9, c, and the solution of u = Mu + c, for each sample."""
    g = torch.Generator().manual_seed(2)
    M = torch.randn(samples, n, n, dtype=torch.float64, generator=g)
    M *= 0.9 / torch.linalg.matrix_norm(M, 2)[:, None, None]
    c = torch.randn(samples, n, 1, dtype=torch.float64, generator=g)
    return M, c, torch.linalg.solve(torch.eye(n, dtype=torch.float64) - M, c)


def test_anderson_solves_a_linear_contraction_faster_than_the_plain_iteration() -> None:
    M, c, solution = linear()
    start = torch.zeros_like(c)
    accelerated = Anderson(memory=8, tol=1e-10, niter=500).solve(lambda u: M @ u + c, start)
    plain = Anderson(memory=1, tol=1e-10, niter=500).solve(lambda u: M @ u + c, start)
    assert accelerated.converged and plain.converged
    # ‖u - u*‖ <= ‖f(u) - u‖/(1 - 0.9), and the residual is relative to ‖f(u)‖
    bound = 10 * 1e-10 * 1.01 * float(torch.linalg.matrix_norm(solution).max())
    assert float(torch.linalg.matrix_norm(accelerated.u - solution).max()) <= bound
    assert float(torch.linalg.matrix_norm(plain.u - solution).max()) <= bound
    assert accelerated.niter < plain.niter


def test_memory_one_is_the_plain_iteration() -> None:
    M, c, _ = linear()
    iterates = Anderson(memory=1).iterates(lambda u: M @ u + c, torch.zeros_like(c))
    u = torch.zeros_like(c)
    for (found, residual), _k in zip(iterates, range(6), strict=False):
        torch.testing.assert_close(found, u, rtol=1e-12, atol=1e-12)
        fu = M @ u + c
        norm = torch.linalg.matrix_norm
        torch.testing.assert_close(residual, norm(fu - u) / norm(fu))
        u = fu


def test_samples_do_not_see_each_other() -> None:
    M, c, _ = linear()
    anderson, start = Anderson(tol=1e-300, niter=12), torch.zeros_like(c)
    together = anderson.solve(lambda u: M @ u + c, start).u
    for i in range(len(c)):
        alone = anderson.solve(lambda u, i=i: M[i] @ u + c[i], start[i : i + 1]).u
        torch.testing.assert_close(together[i : i + 1], alone, rtol=1e-7, atol=1e-9)


def test_a_map_without_a_fixed_point_is_reported() -> None:
    found = Anderson(niter=10).solve(lambda u: u + 1.0, torch.zeros(1, 3))
    assert not found.converged and found.niter == 10


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(memory=0), "memory is 0"),
        (dict(niter=0), "niter is 0"),
        (dict(beta=0.0), "beta is 0.0"),
        (dict(beta=1.5), "beta is 1.5"),
        (dict(tol=0.0), "tol is 0.0"),
        (dict(regularisation=-1.0), "regularisation is -1.0"),
    ],
)
def test_bad_settings_of_anderson(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Anderson(**options)


# ---------------------------------------------------------------- the fixed point


def test_prox_method_with_soft_thresholding_is_the_variational_solution(A: ip.RayTransform, b: torch.Tensor) -> None:
    """u = S_t(u - η A*(Au - b)/‖A‖²) minimises ½‖Au - b‖² + (t‖A‖²/η)‖u‖₁."""
    net = DeepEquilibrium(A, network=SoftThreshold, eta=1.0, tol=1e-11, niter=3000).double()
    u = net(b)
    assert net.found.converged
    data = np.ascontiguousarray(b[0].numpy())
    problem = ip.Problem(ip.L2(A, data) + 0.1 * A.norm() ** 2 * ip.L1())
    x = ip.solve(problem, ip.FISTA(restart="gradient"), stop=ip.stop.residual(1e-11) | ip.stop.niter(20000)).x
    np.testing.assert_allclose(u[0].detach().numpy(), x, atol=1e-7)


def test_gradient_method_with_the_identity_is_least_squares(b: torch.Tensor) -> None:
    A = ip.RayTransform((3, 3), np.linspace(0, 3, 6), dtype="float64")  # injective
    data = torch.randn(1, *A.dimsd, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    net = DeepEquilibrium(A, method="gradient", network="residual", width=2, tol=1e-12, niter=3000).double()
    dense = A.todense() if hasattr(A, "todense") else np.stack([A @ e for e in np.eye(9)], 1)
    solution = np.linalg.lstsq(np.asarray(dense), data.numpy().reshape(-1), rcond=None)[0]
    np.testing.assert_allclose(net(data).detach().numpy().reshape(-1), solution, atol=1e-7)


def test_the_fixed_point_is_where_the_unrolled_iteration_goes(A: ip.RayTransform, b: torch.Tensor) -> None:
    net = contraction(A)
    unrolled = LearnedProximalGradient(A, niter=150, network=Contraction, shared=True, scale=0.5).double()
    unrolled.networks[0].load_state_dict(net.network.state_dict())
    with torch.no_grad():
        unrolled.tau.copy_(net.eta)
    torch.testing.assert_close(net(b), unrolled(b), rtol=1e-8, atol=1e-10)


class Slow(nn.Module):
    """z ↦ Mz, M symmetric with eigenvalues from -a to a: the residual is far smaller than the error."""

    def __init__(self, a: float, n: int = 64) -> None:
        super().__init__()
        Q = torch.linalg.qr(torch.randn(n, n, dtype=torch.float64, generator=torch.Generator().manual_seed(0)))[0]
        self.M = nn.Parameter(Q @ torch.diag(torch.linspace(-a, a, n, dtype=torch.float64)) @ Q.mT)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return (z.flatten(1) @ self.M).reshape(z.shape)


def slow(a: float, **options: object) -> tuple[DeepEquilibrium, torch.Tensor, torch.Tensor]:
    """f(u) = Mu - η(u - b), whose fixed point is Kb: the map, b and K."""
    net = DeepEquilibrium(ip.Identity((8, 8), "float64"), "gradient", lambda i, o: Slow(a), eta=0.01, **options)
    b = torch.randn(1, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).requires_grad_()
    K = 0.01 * torch.linalg.inv(1.01 * torch.eye(64, dtype=torch.float64) - net.network.M.detach())
    return net, b, K


def off(found: torch.Tensor, exact: torch.Tensor) -> float:
    return float((found.detach().flatten() - exact.flatten()).norm() / exact.norm())


@pytest.mark.parametrize("a", [0.5, 0.95, 0.99])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_converged_means_that_the_error_is_small(a: float, dtype: torch.dtype) -> None:
    """Residuals of 1e-3 left errors of 5 % where ‖J‖ = 0.99."""
    net, b, K = slow(a, niter=500)
    anderson, M = net.solver, net.network.M.detach().to(dtype)
    c = b.detach().flatten(1).to(dtype)
    for unit in (1e-20, 1.0, 1e20):
        found = anderson.solve(lambda u, unit=unit: u @ M - 0.01 * (u - unit * c), torch.zeros_like(c))
        assert found.converged and off(found.u.double() / unit, K @ c[0].double()) < 2e-3


def test_converged_derivatives_are_right() -> None:
    net, b, K = slow(0.99, niter=500)
    w = torch.randn(64, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    (g,) = torch.autograd.grad((net(b).flatten() * w).sum(), b)
    assert net.found_backward.converged and off(g, K.mT @ w) < 3e-3


def test_derivatives_that_were_not_reached_are_told() -> None:
    """The forward solve converges from its start; the backward one does not."""
    net, _, K = slow(0.999, niter=20)
    b = torch.zeros(1, 8, 8, dtype=torch.float64, requires_grad=True)
    w = torch.randn(64, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    u = net(b)
    assert net.found.converged
    with pytest.warns(RuntimeWarning, match="the derivative of the fixed point of DeepEquilibrium is off by about"):
        (g,) = torch.autograd.grad((u.flatten() * w).sum(), b)
    error, told = off(g, K.mT @ w), float(net.found_backward.error)
    assert error > 1e-2 and error / 5 < told < 5 * error


def test_a_fixed_point_that_was_not_reached_is_told_before_it_is_differentiated() -> None:
    net, b, _ = slow(0.999, niter=20)
    with torch.no_grad():
        net(b)
    with pytest.warns(RuntimeWarning, match="the fixed point of DeepEquilibrium is off by about"):
        net(b)


# ---------------------------------------------------------------- derivatives


def test_second_derivatives_are_refused(A: ip.RayTransform, b: torch.Tensor) -> None:
    net = contraction(A)
    b = b.clone().requires_grad_()
    (g,) = torch.autograd.grad(net(b).square().sum(), b, create_graph=True)
    for of in (b, *net.parameters()):
        with pytest.raises(RuntimeError, match="first derivatives alone"):
            torch.autograd.grad(g.square().sum(), of, retain_graph=True)
    torch.testing.assert_close(torch.autograd.grad(net(b).square().sum(), b)[0], g)


def test_implicit_derivatives_are_those_of_differences() -> None:
    A = ip.RayTransform((4, 3), [0.2, 1.5], dtype="float64")
    b = torch.randn(1, *A.dimsd, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    assert torch.autograd.gradcheck(contraction(A), b, atol=1e-6)


@pytest.mark.parametrize("method", ["prox", "gradient"])
def test_implicit_derivatives_are_those_of_many_unrolled_steps(
    A: ip.RayTransform, b: torch.Tensor, method: str
) -> None:
    net = contraction(A, method=method)
    parameters = list(net.parameters())
    implicit = torch.autograd.grad(net(b).square().sum(), parameters)
    u = net.E.start(b / 0.5)
    for _ in range(200):
        u = net.step(u, b / 0.5)
    unrolled = torch.autograd.grad((0.5 * u).square().sum(), parameters)
    for one, other in zip(implicit, unrolled, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-7, atol=1e-9)


def test_jacobian_free_derivatives_are_those_of_one_step(A: ip.RayTransform, b: torch.Tensor) -> None:
    net = contraction(A, backward="jacobian_free")
    found = torch.autograd.grad(net(b).square().sum(), list(net.parameters()))
    u = net.step(net.found.u, b / 0.5)
    wanted = torch.autograd.grad((0.5 * u).square().sum(), list(net.parameters()))
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other)


def jacobian(net: DeepEquilibrium, b: torch.Tensor) -> torch.Tensor:
    """J_f at the fixed point of one sample, dense."""
    u = net(b).detach() / net.scale
    n = u[0].numel()
    return torch.autograd.functional.jacobian(lambda v: net.step(v, b / net.scale), u).reshape(n, n)


def test_contraction_is_the_norm_of_the_jacobian(A: ip.RayTransform, b: torch.Tensor) -> None:
    net = contraction(A)
    norm = float(torch.linalg.matrix_norm(jacobian(net, b[:1]), 2))
    measured = float(net.contraction(b[:1], niter=100))
    assert measured <= norm * (1 + 1e-9)
    assert measured == pytest.approx(norm, rel=1e-3)


def test_jacobian_penalty_is_its_expected_value(A: ip.RayTransform, b: torch.Tensor) -> None:
    """E‖J*ε‖²/n = ‖J‖²_F/n."""
    net = contraction(A)
    J, generator = jacobian(net, b[:1]), torch.Generator().manual_seed(0)
    net(b[:1])
    draws = torch.stack([net.jacobian_penalty(b[:1], generator).detach() for _ in range(400)])
    wanted = float(J.square().sum()) / len(J)
    assert abs(float(draws.mean()) - wanted) < 4 * float(draws.std()) / 20


# ---------------------------------------------------------------- on arrays, and bad input


def test_reconstruct_reports_how_it_ended(A: ip.RayTransform, b: torch.Tensor) -> None:
    data = b.numpy()
    net = contraction(A)
    x, info = net.reconstruct(data)
    assert info.stop == "residual" and info.parameters["residual"] <= 1e-12
    np.testing.assert_allclose(x[1], net.reconstruct(data[1])[0], rtol=1e-9, atol=1e-12)
    short = DeepEquilibrium(A, network=Contraction, tol=1e-12, niter=3).double()
    assert short.reconstruct(data)[1].stop == "niter"


def test_trains(A: ip.RayTransform, b: torch.Tensor) -> None:
    net = contraction(A, tol=1e-8)
    truth = 0.1 * torch.ones(2, 6, 5, dtype=torch.float64)
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-2)
    losses = []
    for _ in range(25):
        loss = (net(b) - truth).square().mean() + 0.01 * net.jacobian_penalty(b)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.85 * losses[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(method="admm"), "method is 'admm'"),
        (dict(backward="unrolled"), "backward is 'unrolled'"),
        (dict(eta=-1.0), "eta is -1.0"),
        (dict(network="transformer"), "network is 'transformer'"),
        (dict(filter="none"), "filter is 'none'"),
        (dict(tol=-1.0), "tol is -1.0"),
    ],
)
def test_bad_input(A: ip.RayTransform, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DeepEquilibrium(A, **options)


def test_penalty_before_the_first_call(A: ip.RayTransform, b: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="was not called"):
        contraction(A).jacobian_penalty(b)


# ---------------------------------------------------------------- the solver under the map


def test_samples_of_a_batch_are_reconstructed_as_if_alone(A: ip.RayTransform, b: torch.Tensor) -> None:
    net = contraction(A, tol=1e-300, niter=9)  # the same number of iterations for all
    x = net.reconstruct(b.numpy())[0]
    for xi, bi in zip(x, b.numpy(), strict=True):
        np.testing.assert_allclose(xi, net.reconstruct(bi)[0], rtol=1e-9, atol=1e-12)


def test_more_iterations_come_closer_to_the_fixed_point(A: ip.RayTransform, b: torch.Tensor) -> None:
    """In the plain iteration of a contraction every step does."""
    net = contraction(A)
    with torch.no_grad():
        fixed = net(b[:1])
        short = contraction(A, memory=1, tol=1e-300, niter=30)
        errors = [float((u - fixed).norm()) for u in short.iterates(b[:1])]
    assert len(errors) == 31  # u⁰, ..., u³⁰
    assert all(after < before for before, after in zip(errors, errors[1:], strict=False))


def test_where_there_is_no_fixed_point_it_is_reported(A: ip.RayTransform, b: torch.Tensor) -> None:
    """f = 1.2 (u - η∇E(u)) + 1 grows on the null space of A."""

    class Expansive(nn.Module):
        def __init__(self, c_in: int, c_out: int) -> None:
            super().__init__()

        def forward(self, z: torch.Tensor) -> torch.Tensor:
            return 1.2 * z + 1

    net = DeepEquilibrium(A, network=Expansive, niter=15, memory=1).double()
    x, info = net.reconstruct(b.numpy())
    assert info.stop == "niter" and info.niter == 15 and info.parameters["residual"] > 1e-2
    assert np.isfinite(x).all()
    assert float(net.contraction(b[:1], niter=100)) == pytest.approx(1.2, rel=1e-3)


def test_values_that_are_not_finite_stop_with_the_last_good_iterate(A: ip.RayTransform, b: torch.Tensor) -> None:
    class Overflows(nn.Module):
        def __init__(self, c_in: int, c_out: int) -> None:
            super().__init__()

        def forward(self, z: torch.Tensor) -> torch.Tensor:
            return 1e100 * (z + 1) ** 2

    net = DeepEquilibrium(A, network=Overflows, niter=15, memory=1).double()
    with pytest.raises(Diverged, match="values that are not finite, first from iterate 2") as caught:
        net.reconstruct(b[0].numpy())
    assert caught.value.x.shape == (6, 5) and np.isfinite(caught.value.x).all()


def test_complex_images() -> None:
    """Soft thresholding of (Re, Im) with a full Fourier transform: f is constant, and reached after one step."""
    A = ip.FourierTransform((6, 5), dtype="complex128")
    rng = np.random.default_rng(4)
    b = rng.standard_normal(A.dimsd) + 1j * rng.standard_normal(A.dimsd)
    net = DeepEquilibrium(A, network=SoftThreshold, eta=1.0, tol=1e-12).double()
    x, info = net.reconstruct(b)
    z = A.apply_adjoint(b) / A.norm() ** 2
    soft = lambda v: np.sign(v) * np.maximum(np.abs(v) - 0.1, 0)  # noqa: E731
    np.testing.assert_allclose(x, soft(z.real) + 1j * soft(z.imag), atol=1e-12)
    assert info.stop == "residual" and info.niter <= 3


def test_weights_come_back_from_a_file(A: ip.RayTransform, b: torch.Tensor, tmp_path: Path) -> None:
    net = DeepEquilibrium(A, width=2, filter="ramp", tol=1e-5, niter=7, backward="jacobian_free", scale=0.5)
    with torch.no_grad():
        net.eta.mul_(0.9)
    sha256 = save_weights(tmp_path / "net.safetensors", net, {})
    again = load_weights(tmp_path / "net.safetensors", sha256=sha256, A=A)
    assert (again.solver, again.backward, again.scale) == (net.solver, "jacobian_free", 0.5)
    assert all(torch.equal(p, q) for p, q in zip(net.parameters(), again.parameters(), strict=True))


def test_device_data_stay_there(xp, rng: np.random.Generator) -> None:
    A = ip.RayTransform((6, 5), np.linspace(0, 3, 4), dtype="float32")
    b = rng.standard_normal((2, *A.dimsd)).astype("float32")
    net = DeepEquilibrium(A, network="residual", width=2, filter="ramp", niter=3, tol=1e-300)
    expected, _ = net.reconstruct(b)
    net.E.A.xp = net.E.F.xp = xp  # on the stand-in, tensors on the CPU play those on a GPU
    x, _ = net.reconstruct(xp.asarray(b))
    assert isinstance(x, xp.ndarray)
    assert np.allclose(backend.to_host(x), expected, rtol=1e-3, atol=1e-4)
