"""Our operators as deepinv's physics, its physics as our operators, and its denoisers in our plug-and-play."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

import ipbox as ip
from ipbox.learned import LinearMap, TorchOperator

pytestmark = [
    pytest.mark.peers,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore:.*ended by niter"),
]
DIMS = (16, 14)
X = np.zeros(DIMS)
X[4:11, 3:9] = 1.0


@pytest.fixture(scope="module")
def dinv() -> ModuleType:
    """A torchvision that was built for another torch lacks two operators, which deepinv's import asks for."""
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        if not hasattr(torch.ops.torchvision, name):
            library.define(name + "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    import deepinv

    deepinv.kept = library  # as long as deepinv
    return deepinv


def blur(dtype: str = "float64") -> tuple[Any, np.ndarray]:
    """A blur that keeps all frequencies, and noisy data."""
    A = 0.6 * ip.Identity(DIMS, dtype) + 0.4 * ip.GaussianBlur(DIMS, 0.8, dtype=dtype)
    return A, A.apply(X.astype(dtype)) + 0.05 * np.random.default_rng(0).standard_normal(DIMS).astype(dtype)


def physics(dinv: ModuleType, A: Any) -> Any:
    """As docs/interoperability.md has it: one channel, so images are (N, 1) + dims."""
    K = LinearMap(A)
    return dinv.physics.LinearPhysics(A=K, A_adjoint=K.adjoint, img_size=(1, *A.dims), max_iter=500, tol=1e-13)


def tensor(x: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(x))[None, None]


# ---------------------------------------------------------------- ours in theirs


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_our_operator_is_a_physics_with_an_exact_adjoint(dinv: ModuleType, dtype: str) -> None:
    A = ip.RayTransform(DIMS, np.arange(12) * np.pi / 12, dtype=dtype)
    P = physics(dinv, A)
    torch.manual_seed(0)
    u = torch.randn(3, 1, *DIMS, dtype=getattr(torch, dtype))
    # relative to <v, Au> of random v, of which one may be next to 0
    assert float(P.adjointness_test(u, num_samples=50)) < 20 * np.finfo(dtype).eps
    data = P.A(u)
    assert data.shape == (3, 1, *A.dimsd) and data.dtype == u.dtype
    for k in range(3):
        assert np.array_equal(data[k, 0].numpy(), A.apply(u[k, 0].numpy()))
    largest = float(P.compute_sqnorm(u[:1], max_iter=2000, tol=1e-9, verbose=False)) ** 0.5
    assert largest <= A.norm() * (1 + 1e-4) and A.norm() < 1.05 * largest


def test_their_pseudo_inverse_and_prox_are_ours(dinv: ModuleType) -> None:
    A, b = blur()
    P = physics(dinv, A)
    least = np.linalg.solve(A.todense(), b.ravel()).reshape(DIMS)
    assert np.linalg.norm(P.A_dagger(tensor(b))[0, 0].numpy() - least) < 1e-5 * np.linalg.norm(least)  # of their LSQR
    gamma = 4.0  # argmin γ/2 ‖A u - b‖² + ½‖u - z‖²
    ours = ip.tikhonov(A, b, 1 / gamma, tol=1e-13)[0]
    theirs = P.prox_l2(torch.zeros(1, 1, *DIMS, dtype=torch.float64), tensor(b), gamma)[0, 0].numpy()
    assert np.linalg.norm(theirs - ours) < 1e-5 * np.linalg.norm(ours)


@pytest.mark.parametrize("solver", ["PGD", "FISTA"])
def test_their_optimisation_with_our_operator_finds_our_minimiser(dinv: ModuleType, solver: str) -> None:
    """½‖A u - b‖² + λ‖u‖₁: lambda_reg multiplies the prior, and L2's sigma is 1."""
    (A, b), lam = blur(), 0.1
    method = getattr(dinv.optim, solver)(
        dinv.optim.L2(), dinv.optim.L1Prior(), lambda_reg=lam, stepsize=1 / A.norm() ** 2, max_iter=300
    )
    x = method(tensor(b), physics(dinv, A))[0, 0].detach().numpy()
    F = ip.L2(A, b) + lam * ip.L1()
    ours = ip.solve(ip.Problem(F), ip.FISTA(), stop=ip.stop.residual(1e-12) | ip.stop.niter(2000)).x
    mu = np.linalg.svd(A.todense(), compute_uv=False).min() ** 2
    excess = F.value(np.ascontiguousarray(x)) - F.value(ours)
    assert excess < 1e-9 * F.value(ours)
    assert np.linalg.norm(x - ours) ** 2 <= 2 / mu * (max(excess, 0.0) + 1e-12)


def test_gradients_flow_through_their_physics_to_the_image(dinv: ModuleType) -> None:
    """∇ ½‖A u - b‖² = A*(A u - b), by torch through deepinv's data term and our operator."""
    A, b = blur()
    u = tensor(X).requires_grad_()
    dinv.optim.L2()(u, tensor(b), physics(dinv, A)).sum().backward()
    assert np.allclose(u.grad[0, 0].numpy(), ip.L2(A, b).grad(X), rtol=0, atol=1e-13)


# ---------------------------------------------------------------- their physics in ours


def theirs(dinv: ModuleType) -> dict[str, tuple[Any, tuple[int, ...]]]:
    filter = dinv.physics.blur.gaussian_blur(sigma=(1, 1))
    mask = torch.ones(1, *DIMS)
    mask[:, ::3] = 0
    return {
        "blur": (dinv.physics.Blur(filter=filter, padding="circular"), (1, *DIMS)),
        "valid blur": (dinv.physics.Blur(filter=filter, padding="valid"), (1, *DIMS)),
        "inpainting": (dinv.physics.Inpainting(img_size=(1, *DIMS), mask=mask), (1, *DIMS)),
        "downsampling": (dinv.physics.Downsampling(img_size=(1, *DIMS), factor=2, filter="gaussian"), (1, *DIMS)),
        "tomography": (dinv.physics.Tomography(angles=12, img_width=16, normalize=False), (1, 16, 16)),
        "MRI": (dinv.physics.MRI(mask=mask[0], img_size=(2, *DIMS)), (2, *DIMS)),
    }


NAMES = ["blur", "valid blur", "inpainting", "downsampling", "tomography", "MRI"]


def operator(P: Any, dims: tuple[int, ...]) -> TorchOperator:
    """As docs/interoperability.md has it; the shape of the data is that of A 0."""
    data = P.A(torch.zeros(1, *dims))
    return TorchOperator(P.A, dims, tuple(data.shape[1:]), adjoint=P.A_adjoint)


@pytest.mark.parametrize("name", NAMES)
def test_their_physics_is_an_operator_of_ours(dinv: ModuleType, name: str) -> None:
    """⟨A u, v⟩ = ⟨u, A* v⟩ with their adjoint, which is the one that differentiation finds."""
    P, dims = theirs(dinv)[name]
    A = operator(P, dims)
    rng = np.random.default_rng(0)
    u, v = (rng.standard_normal(shape).astype("float32") for shape in (dims, tuple(A.dimsd)))
    left, right = ip.backend.inner(A.apply(u), v), ip.backend.inner(u, A.apply_adjoint(v))
    assert abs(left - right) < 1e-5 * np.linalg.norm(A.apply(u)) * np.linalg.norm(v)
    automatic = TorchOperator(P.A, dims, tuple(A.dimsd))
    assert np.allclose(automatic.apply_adjoint(v), A.apply_adjoint(v), rtol=0, atol=1e-4 * np.abs(v).max() * A.norm())


def test_a_pseudo_inverse_is_no_adjoint_and_noise_is_not_linear(dinv: ModuleType) -> None:
    P, dims = theirs(dinv)["blur"]
    with pytest.raises(ValueError, match="^adjoint is not "):
        TorchOperator(P.A, dims, dims, adjoint=P.A_dagger)
    P.noise_model = dinv.physics.GaussianNoise(0.1)
    with pytest.raises(ValueError, match="^forward is not linear"):
        TorchOperator(P, dims, dims, adjoint=P.A_adjoint)  # P(u) is A u and noise


def test_our_methods_with_their_physics(dinv: ModuleType) -> None:
    """Tikhonov regularisation against their prox, and TV in ours on a leading channel axis of one."""
    P, dims = theirs(dinv)["blur"]
    A = operator(P, dims)
    b = A.apply(X[None].astype("float32"))
    gamma = 10.0
    P.tol, P.max_iter = 1e-7, 500
    theirs_ = P.prox_l2(torch.zeros(1, *dims), torch.from_numpy(b)[None], gamma)[0].numpy()
    assert np.abs(ip.tikhonov(A, b, 1 / gamma, tol=1e-7)[0] - theirs_).max() < 1e-4
    x, _ = ip.tv(A, b, 1e-3, niter=500)
    assert x.dtype == np.float32 and ip.psnr(x[0], X.astype("float32")) > ip.psnr(b[0], X.astype("float32")) + 3


# ---------------------------------------------------------------- their denoisers in ours


def test_their_tv_denoiser_is_our_prox(dinv: ModuleType) -> None:
    D = ip.Denoiser(dinv.models.TVDenoiser(n_it_max=4000, crit=1e-12), sigma=0.15)
    _, b = blur()
    assert np.abs(D.prox(b, 1.0) - (0.15 * ip.TV(DIMS)).prox(b, 1.0)).max() < 1e-5


def test_plug_and_play_with_their_tv_denoiser_solves_the_tv_problem(dinv: ModuleType) -> None:
    """x = D(x - τ∇E(x)) with D = prox of σ TV is the minimiser of E + (σ/τ) TV."""
    (A, b), lam = blur(), 0.1
    tau = 1 / A.norm() ** 2
    net = dinv.models.TVDenoiser(n_it_max=2000, crit=1e-10)
    x, _ = ip.pnp(A, b, net, method="forward_backward", sigma=lam * tau, tau=tau, niter=25, stop=ip.stop.niter(25))
    F = ip.L2(A, b) + lam * ip.TV(DIMS)
    ours = ip.solve(ip.Problem(F), ip.FISTA(), stop=ip.stop.niter(40)).x
    assert F.value(x) - F.value(ours) < 1e-6 * F.value(ours) and np.abs(x - ours).max() < 1e-3


def test_their_networks_give_in_ours_what_they_give_alone(dinv: ModuleType) -> None:
    """Random weights: nothing is downloaded.  Each runs in every method of plug-and-play."""
    torch.manual_seed(0)
    A, b, _, info = ip.problem("blur", size=32)
    nets = {
        "DnCNN": dinv.models.DnCNN(1, 1, depth=5, pretrained=None),
        "DRUNet": dinv.models.DRUNet(1, 1, nc=[8, 16, 24, 32], nb=1, pretrained=None),
        "GSDRUNet": dinv.models.GSDRUNet(in_channels=1, out_channels=1, nc=[8, 16, 24, 32], nb=1, pretrained=None),
        "MedianFilter": dinv.models.MedianFilter(),
    }
    for name, net in nets.items():
        net = net.eval()
        with torch.no_grad():
            expected = net(torch.from_numpy(b)[None, None], 0.05).detach()[0, 0].numpy()
        assert np.abs(ip.Denoiser(net, 0.05).denoise(b) - expected).max() < 1e-5, name
        for method in ("hqs", "forward_backward", "fista", "admm", "pdhg"):
            x, _ = ip.pnp(A, b, net, method=method, noise_level=info.noise_level, niter=1, stop=ip.stop.niter(1))
            assert np.isfinite(x).all() and x.dtype == b.dtype, (name, method)
