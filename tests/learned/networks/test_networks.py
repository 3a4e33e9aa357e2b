"""The networks of ipbox.learned: shapes and dtypes, equivariances, proved bounds, energies, bad input."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import ipbox as ip
from ipbox.learned.bridge.arrays import from_torch, to_torch
from ipbox.learned.networks.denoisers import DnCNN, DRUNet, UNet
from ipbox.learned.networks.gradient_step import GradientStep
from ipbox.learned.networks.layers import ConvBlock, pad_to_multiple
from ipbox.learned.networks.non_expansive import NonExpansive, norm_bound
from ipbox.learned.weights.modules import load_weights, pretrained, save_weights
from ipbox.problems.truths.photographs import photograph

DENOISERS = {
    "DnCNN": lambda **k: DnCNN(width=6, depth=4, **k),
    "DRUNet": lambda **k: DRUNet(widths=(4, 6, 8), blocks=1, **k),
    "NonExpansive": lambda **k: NonExpansive(features=5, layers=3, kernel=5, **k),
    "GradientStep": lambda **k: GradientStep(widths=(4, 6), blocks=1, **k),
}


@pytest.fixture(autouse=True)
def _seed():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


@pytest.fixture(params=DENOISERS)
def make(request):
    return DENOISERS[request.param]


# ---------------------------------------------------------------- all


@pytest.mark.parametrize("shape", [(1, 8, 8), (2, 9, 13), (3, 1, 1), (1, 2, 31)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_denoised_image_has_shape_and_dtype_of_the_image(make, shape, dtype):
    net = make(channels=2).to(dtype)
    x = torch.rand(shape[0], 2, *shape[1:], dtype=dtype)
    y = net(x, 0.1)
    assert y.shape == x.shape and y.dtype == dtype and bool(torch.isfinite(y).all())


@pytest.mark.parametrize("shape", [(1, 8, 8), (2, 9, 13), (3, 1, 1)])
@pytest.mark.parametrize("residual", [True, False])
def test_a_unet_keeps_shape_and_dtype(shape, residual):
    net = UNet(2, width=4, depth=3, residual=residual).double()
    x = torch.rand(shape[0], 2, *shape[1:], dtype=torch.float64)
    assert net(x).shape == x.shape and net(x).dtype == x.dtype
    assert bool((net(x) == x).all()) == residual


def test_a_batch_is_denoised_as_its_samples_are_each_at_its_level(make):
    net, x, sigma = make().double(), torch.rand(3, 1, 7, 10, dtype=torch.float64), [0.0, 0.05, 0.2]
    together = net(x, torch.tensor(sigma))
    for k, level in enumerate(sigma):
        alone = net(x[k : k + 1], float(torch.tensor(level)))
        torch.testing.assert_close(together[k : k + 1], alone, rtol=1e-12, atol=1e-12)


def test_a_column_of_levels_and_one_level_for_all_are_taken(make):
    net, x = make(), torch.rand(2, 1, 6, 6)
    expected = net(x, 0.1)
    for sigma in (torch.tensor(0.1), torch.tensor([0.1]), torch.full((2, 1, 1, 1), 0.1, dtype=torch.float64)):
        torch.testing.assert_close(net(x, sigma), expected)


@pytest.mark.parametrize("name", ["DnCNN", "DRUNet", "NonExpansive"])
def test_without_biases_a_denoiser_is_homogeneous_in_image_and_level(name):
    options = {} if name == "NonExpansive" else {"bias": False}
    net, x = DENOISERS[name](**options).double(), torch.randn(1, 1, 12, 11, dtype=torch.float64)
    torch.testing.assert_close(net(3.7 * x, 0.37), 3.7 * net(x, 0.1), rtol=1e-10, atol=1e-10)


def test_networks_are_rebuilt_from_their_files(make, tmp_path):
    net, x = make(), torch.rand(1, 1, 9, 8)
    save_weights(tmp_path / "net.safetensors", net, {})
    other = load_weights(tmp_path / "net.safetensors")
    assert type(other) is type(net) and other.config == net.config
    with torch.no_grad():
        torch.testing.assert_close(other(x, 0.1), net(x, 0.1), rtol=0, atol=1e-6)


@pytest.mark.parametrize("net", [UNet(width=4, depth=2), ConvBlock(1, 3)])
def test_other_networks_are_rebuilt_too(net, tmp_path):
    save_weights(tmp_path / "net.safetensors", net, {})
    other = load_weights(tmp_path / "net.safetensors")
    assert type(other) is type(net) and other.config == net.config


def test_convolutions_in_bfloat16_give_nearly_the_same(make):
    net, x = make(), torch.rand(1, 1, 16, 16)
    with torch.autocast("cpu", torch.bfloat16):
        y = net(x, 0.1)
    assert y.dtype == torch.float32
    torch.testing.assert_close(y, net(x, 0.1), rtol=0, atol=0.05)


def test_gradients_of_a_denoiser_agree_with_differences(make):
    if make is DENOISERS["NonExpansive"]:
        net = make(channels=1).double()
        net.widths.data.fill_(3.0)  # no kink nearby
    elif make is DENOISERS["GradientStep"]:
        net = make().double()
    else:
        net = make(act="softplus").double()
    x = torch.rand(1, 1, 4, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda t: net(t, 0.3), (x,), atol=1e-5)


# ---------------------------------------------------------------- structure


def test_dncnn_commutes_with_shifts_away_from_the_border():
    net, x = DnCNN(width=6, depth=4).double(), torch.rand(1, 1, 24, 24, dtype=torch.float64)
    shifted = net(x.roll((3, 5), (-2, -1)), 0.1)
    inner = slice(10, -8)
    expected = net(x, 0.1).roll((3, 5), (-2, -1))
    torch.testing.assert_close(shifted[..., inner, inner], expected[..., inner, inner])


def test_a_blind_dncnn_ignores_the_level():
    net, x = DnCNN(width=4, depth=3, noise_map=False), torch.rand(1, 1, 8, 8)
    assert bool((net(x, 0.1) == net(x, 0.2)).all()) and bool((net(x) == net(x, 0.2)).all())


def test_drunet_uses_the_level():
    net, x = DRUNet(widths=(4, 6), blocks=1), torch.rand(1, 1, 8, 8)
    assert float((net(x, 0.1) - net(x, 0.2)).detach().abs().max()) > 1e-3


def test_drunet_of_a_padded_image_is_that_of_the_image_it_is_padded_to():
    net, x = DRUNet(widths=(4, 6, 8), blocks=1).double(), torch.rand(1, 1, 9, 14, dtype=torch.float64)
    padded = pad_to_multiple(x, 4)
    assert padded.shape == (1, 1, 12, 16) and bool((padded[..., 9:, :14] == x[..., 8:9, :]).all())
    torch.testing.assert_close(net(x, 0.1), net(padded, 0.1)[..., :9, :14])


# ---------------------------------------------------------------- non-expansive


def dense(kernels: torch.Tensor, h: int, w: int) -> np.ndarray:
    """The matrix of a periodic cross-correlation, from its definition."""
    c_out, c_in, k, _ = kernels.shape
    matrix = np.zeros((c_out, h, w, c_in, h, w))
    for i, j in np.ndindex(h, w):
        for p, q in np.ndindex(k, k):
            matrix[:, i, j, :, (i + p - k // 2) % h, (j + q - k // 2) % w] += kernels[:, :, p, q].numpy()
    return matrix.reshape(c_out * h * w, c_in * h * w)


@pytest.mark.parametrize("c_in, k, shape", [(1, 3, (8, 7)), (1, 7, (9, 8)), (1, 5, (3, 4)), (2, 3, (6, 6))])
def test_norm_bound_is_above_the_norm_of_the_matrix_and_not_by_much(c_in, k, shape):
    K = torch.randn(3, c_in, k, k, dtype=torch.float64)
    norm = np.linalg.norm(dense(K, *shape), 2)
    assert norm <= float(norm_bound(K)) * (1 + 1e-12)
    if shape[0] > k:
        assert float(norm_bound(K)) <= 1.25 * norm  # coarse grids of frequencies miss the largest


def test_norm_bound_holds_between_the_frequencies_it_looks_at():
    K = torch.zeros(1, 1, 5, 5, dtype=torch.float64)
    K[0, 0, 2] = torch.tensor([1.0, 0.3, -0.4, 0.9, -1.1])
    omega = torch.linspace(0, 2 * math.pi, 100001, dtype=torch.float64)
    symbol = sum(K[0, 0, 2, j] * torch.exp(1j * j * omega) for j in range(5)).abs().max()
    assert float(symbol) <= float(norm_bound(K)) <= 1.02 * float(symbol)


def test_a_step_is_the_formula():
    net = NonExpansive(features=3, layers=1, kernel=3).double()
    net.widths.data.uniform_(-3, 0)
    x, sigma = torch.rand(1, 1, 6, 5, dtype=torch.float64), 0.3
    with torch.no_grad():
        K = dense(net._normalised()[0], 6, 5)
        level = sigma * torch.nn.functional.softplus(net.widths).numpy().reshape(3, 1).repeat(30, 1).ravel()
        z = x.numpy().ravel()
        expected = z - float(net._tau()) * K.T @ np.clip(K @ z, -level, level)
        np.testing.assert_allclose(net(x, sigma).numpy().ravel(), expected, atol=1e-12)


@pytest.mark.parametrize("sigma", [0.0, 1e-3, 0.1, 5.0])
@pytest.mark.parametrize("channels", [1, 2])
def test_no_weights_make_the_network_expand(sigma, channels):
    net = NonExpansive(channels, features=4, layers=4, kernel=3).double()
    for p in net.parameters():
        p.data.normal_(std=5.0)
    assert net.lipschitz_bound() == 1.0
    x = torch.randn(6, channels, 9, 8, dtype=torch.float64)
    for size in (1e-6, 1e-2, 1.0):
        y = x + size * torch.randn_like(x)
        ratio = (net(x, sigma) - net(y, sigma)).norm() / (x - y).norm()
        assert float(ratio.detach()) <= 1 + 1e-12


def test_the_norm_of_the_jacobian_by_a_power_iteration_is_below_the_bound():
    net = NonExpansive(features=4, layers=3, kernel=3).double().requires_grad_(False)
    net.steps.data.fill_(4.0)
    net.widths.data.fill_(3.0)
    x = torch.rand(1, 1, 8, 8, dtype=torch.float64)
    J = torch.autograd.functional.jacobian(lambda t: net(t, 1.0), x).reshape(64, 64)
    assert 0.9 < float(torch.linalg.matrix_norm(J, 2)) <= net.lipschitz_bound()


@pytest.mark.parametrize("firm", [False, True])
def test_the_network_is_averaged_with_the_alpha_it_says(firm):
    net = NonExpansive(features=4, layers=3, kernel=3, firm=firm).double()
    net.widths.data.fill_(2.0)
    alpha = net.averagedness()
    assert alpha == 0.5 if firm else 0.5 < alpha < 1
    x, y = torch.randn(2, 20, 1, 8, 8, dtype=torch.float64)
    with torch.no_grad():
        Nx, Ny = net(x, 0.5), net(y, 0.5)
    # ‖Nx - Ny‖² <= ‖x - y‖² - (1 - α)/α ‖(x - Nx) - (y - Ny)‖²
    left = (Nx - Ny).square().sum(dim=(1, 2, 3))
    moved = (x - Nx - y + Ny).square().sum(dim=(1, 2, 3))
    right = (x - y).square().sum(dim=(1, 2, 3)) - (1 - alpha) / alpha * moved
    assert float(moved.min()) > 1e-3 and bool((left <= right + 1e-12).all())


def test_alpha_of_one_step_and_of_several_is_the_closed_form():
    net = NonExpansive(features=2, layers=1, kernel=3).double()
    assert net.averagedness() == pytest.approx(0.99 / 2, rel=1e-5)
    net = NonExpansive(features=2, layers=4, kernel=3).double()
    a = 0.495
    assert net.averagedness() == pytest.approx(1 / (1 + (1 - a) / (4 * a)), rel=1e-5)


def test_it_commutes_with_periodic_shifts_and_is_the_identity_without_noise():
    net, x = NonExpansive(features=4, layers=3, kernel=5), torch.rand(1, 1, 11, 9)
    shifts = ((4, -2), (-2, -1))
    torch.testing.assert_close(net(x.roll(*shifts), 0.1), net(x, 0.1).roll(*shifts))
    assert bool((net(x, 0.0) == x).all())


def test_kept_kernels_follow_the_weights():
    net, x = NonExpansive(features=4, layers=2, kernel=3), torch.rand(1, 1, 8, 8)
    other = NonExpansive(features=4, layers=2, kernel=3)
    with torch.inference_mode():
        before = net(x, 0.1).clone()
        expected = other(x, 0.1)
    net.load_state_dict(other.state_dict())
    with torch.no_grad():
        assert bool((net(x, 0.1) == expected).all()) and not bool((before == expected).all())
        assert net.double()(x.double(), 0.1).dtype == torch.float64
    net.float().requires_grad_(False)
    t = x.clone().requires_grad_()
    net(t, 0.1).sum().backward()  # after inference mode kept them
    assert float(t.grad.abs().sum()) > 0


def test_kernels_that_are_zero_give_the_identity():
    net, x = NonExpansive(features=2, layers=2, kernel=3), torch.rand(1, 1, 5, 5)
    net.kernels.data.zero_()
    assert bool((net(x, 0.1) == x).all())


# ---------------------------------------------------------------- gradient step


def test_the_gradient_step_is_x_minus_the_gradient_of_the_energy():
    net, x = GradientStep(widths=(4, 6), blocks=1).double(), torch.rand(2, 1, 5, 6, dtype=torch.float64)
    sigma = torch.tensor([0.1, 0.3])
    with torch.no_grad():
        step, h = x - net(x, sigma), 1e-5
        for n, i, j in [(0, 0, 0), (1, 2, 3), (1, 4, 5)]:
            e = torch.zeros_like(x)
            e[n, 0, i, j] = h
            slope = (net.energy(x + e, sigma) - net.energy(x - e, sigma))[n] / (2 * h)
            assert float(slope) == pytest.approx(float(step[n, 0, i, j]), abs=1e-8)


def test_the_energy_is_its_formula():
    net, x = GradientStep(widths=(4, 6), blocks=1), torch.rand(2, 1, 5, 6)
    with torch.no_grad():
        expected = 0.5 * ((x - net.inner(x, 0.1)) ** 2).flatten(1).sum(1)
        torch.testing.assert_close(net.energy(x, 0.1), expected)


@pytest.mark.parametrize("act", ["elu", "softplus"])
def test_the_jacobian_of_a_gradient_step_is_symmetric_and_that_of_drunet_is_not(act):
    x = torch.rand(1, 1, 4, 5, dtype=torch.float64)

    def asymmetry(net):
        J = torch.autograd.functional.jacobian(lambda t: net(t, 0.1), x).reshape(20, 20)
        return float((J - J.T).norm() / J.norm())

    assert asymmetry(GradientStep(widths=(4, 6), blocks=1, act=act).double()) < 1e-12
    assert asymmetry(DRUNet(widths=(4, 6), blocks=1, act=act).double()) > 1e-3


def test_a_gradient_step_is_the_same_with_gradients_off_and_trains_with_them_on():
    net, x = GradientStep(widths=(4, 6), blocks=1), torch.rand(1, 1, 6, 6)
    expected = net(x, 0.1)
    assert expected.requires_grad
    with torch.no_grad():
        off = net(x, 0.1)
    with torch.inference_mode():
        inference = net(x.clone(), torch.tensor([0.1]))
    assert not off.requires_grad and not inference.requires_grad and not x.requires_grad
    assert bool((off == expected).all()) and bool((inference == expected).all())
    expected.square().sum().backward()
    assert all(p.grad is not None and bool(torch.isfinite(p.grad).all()) for p in net.parameters())


def test_the_gradient_of_a_loss_in_the_weights_of_a_gradient_step_agrees_with_differences():
    net, x = GradientStep(widths=(4, 6), blocks=1).double(), torch.rand(2, 1, 8, 8, dtype=torch.float64)

    def loss():
        return (net(x, 0.1) - 0.5).square().sum()

    loss().backward()
    for p in net.parameters():
        e, h = p.grad / p.grad.norm(), 1e-6
        with torch.no_grad():
            p += h * e
            above = float(loss())
            p -= 2 * h * e
            slope = (above - float(loss())) / (2 * h)
            p += h * e
        assert slope == pytest.approx(float(p.grad.norm()), rel=1e-6)


# ---------------------------------------------------------------- bad input


def test_images_that_do_not_fit_are_refused(make):
    net = make()
    with pytest.raises(ValueError, match="expected \\(N, C, H, W\\) with 1 channel"):
        net(torch.rand(1, 2, 8, 8), 0.1)
    with pytest.raises(ValueError, match="shape \\(8, 8\\)"):
        net(torch.rand(8, 8), 0.1)
    with pytest.raises(ValueError, match="shape \\(1, 1, 0, 8\\)"):
        net(torch.rand(1, 1, 0, 8), 0.1)
    with pytest.raises(TypeError, match="dtype torch.int64"):
        net(torch.ones(1, 1, 8, 8, dtype=torch.int64), 0.1)
    with pytest.raises(TypeError, match="x is ndarray"):
        net(np.zeros((1, 1, 8, 8), "float32"), 0.1)


def test_levels_that_do_not_fit_are_refused(make):
    net, x = make(), torch.rand(3, 1, 8, 8)
    for sigma in (-0.1, math.nan, math.inf):
        with pytest.raises(ValueError, match="sigma is .*expected a finite noise level >= 0"):
            net(x, sigma)
    with pytest.raises(ValueError, match="negative or not finite"):
        net(x, torch.tensor([0.1, -0.1, 0.1]))
    with pytest.raises(ValueError, match=r"tensor of shape \(2,\).*each of the 3 samples"):
        net(x, torch.tensor([0.1, 0.1]))
    for sigma in ("0.1", None, True):
        with pytest.raises(TypeError, match="sigma is .*expected a number or a tensor"):
            net(x, sigma)


def test_sizes_that_are_no_positive_integers_are_refused():
    for make_, message in [
        (lambda: DnCNN(width=0), "width is 0"),
        (lambda: DnCNN(depth=1), "at least 2 convolutions"),
        (lambda: DRUNet(widths=()), r"widths is \(\)"),
        (lambda: DRUNet(widths=(4, -1)), "widths is -1"),
        (lambda: DRUNet(blocks=1.5), "blocks is 1.5"),
        (lambda: UNet(depth=True), "depth is True"),
        (lambda: NonExpansive(kernel=4), "kernel is 4; expected an odd number"),
        (lambda: NonExpansive(layers=0), "layers is 0"),
        (lambda: GradientStep(act="relu"), "for a smooth energy"),
        (lambda: DnCNN(act="tanh"), "act is 'tanh'; expected one of 'relu'"),
    ]:
        with pytest.raises(ValueError, match=message):
            make_()


# ---------------------------------------------------------------- shipped weights


@pytest.mark.parametrize(
    "name, gain",
    [("drunet", 0.7), ("dncnn", 0.2), ("equivariant_dncnn", 0.3), ("gradient_step", 0.1), ("non_expansive", -0.8)],
)
def test_shipped_denoisers_are_better_than_tv_and_the_non_expansive_one_is_about_as_good(name, gain):
    x = photograph("camera", 256)[60:171, 70:175]
    b = x + 0.1 * np.random.default_rng(0).standard_normal(x.shape)
    tv = max(float(ip.psnr(ip.tv(None, b, lam)[0], x)) for lam in (0.06, 0.07, 0.08, 0.09))
    net = pretrained(name).double()
    with torch.inference_mode():
        u = from_torch(net(to_torch(b)[None, None], 0.1))[0, 0]
    assert float(ip.psnr(u, x)) >= tv + gain


def test_the_shipped_non_expansive_network_is_proved_to_be():
    net = pretrained("non_expansive")
    assert net.lipschitz_bound() == 1.0 and 0.5 < net.averagedness() < 1
