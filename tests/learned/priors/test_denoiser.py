"""`Denoiser`: layouts, dtypes, noise levels, evaluation mode, plain functions, and what it refuses."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
import torch
from skimage import restoration

import ipbox as ip
from ipbox import backend
from ipbox.learned.priors import Denoiser
from ipbox.learned.priors.layout import Layout


class Shrink(torch.nn.Module):
    """x / (1 + sigma²), channel c times c + 1; its noise level a number or one per image."""

    def __init__(self, channels: int = 1, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.factor = torch.nn.Parameter(torch.arange(1.0, channels + 1, dtype=dtype).reshape(1, -1, 1, 1))
        self.drop = torch.nn.Dropout(0.5)
        self.seen: list = []

    def forward(self, x: torch.Tensor, sigma: float | torch.Tensor) -> torch.Tensor:
        self.seen.append((tuple(x.shape), sigma, x.requires_grad, self.training, torch.is_grad_enabled()))
        s = sigma if isinstance(sigma, float) else sigma.reshape(-1, 1, 1, 1)
        return self.drop(self.factor * x / (1 + s**2))


class Lambda(torch.nn.Module):
    def __init__(self, f: object) -> None:
        super().__init__()
        self.f = f

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.f(x)


class DeepinvStyle(torch.nn.Module):
    """The signature of deepinv's denoisers."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(1, 1, 3, padding=1, bias=False)

    def forward(self, x: torch.Tensor, sigma: float | torch.Tensor | None = None, **kwargs: object) -> torch.Tensor:
        return x - sigma * self.conv(x)


@pytest.fixture
def image(rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal((5, 7)).astype("float32")


# ---------------------------------------------------------------- the operator


def test_prox_is_the_network_at_its_noise_level(image: np.ndarray) -> None:
    net = Shrink()
    D = Denoiser(net, sigma=0.5, scale=2.0)
    for tau in (0.1, 10.0):  # a step size is no noise level
        np.testing.assert_allclose(D.prox(image, tau), image / (1 + 0.25**2), rtol=1e-6)
    assert all(shape == (1, 1, 5, 7) and level == 0.25 for shape, level, *_ in net.seen)


def test_noise_level_of_a_step_size(image: np.ndarray) -> None:
    D = Denoiser(Shrink(), lam=0.3)
    assert D.noise_level(1.2) == pytest.approx(0.6, rel=1e-15)
    np.testing.assert_allclose(D.prox(image, 1.2), image / 1.36, rtol=1e-6)
    np.testing.assert_allclose((4 * D).prox(image, 0.3), D.prox(image, 1.2), rtol=1e-6)


def test_step_sizes_of_a_batch(image: np.ndarray) -> None:
    D, batch, tau = Denoiser(Shrink(), lam=1.0), np.stack([image, 2 * image, -image]), np.array([0.5, 1.0, 2.0])
    expected = np.stack([D.prox(x, t) for x, t in zip(batch, tau.tolist(), strict=True)])
    np.testing.assert_array_equal(D.prox(batch, tau), expected)


def test_scale(image: np.ndarray) -> None:
    """Image and noise level in another unit: the same answer in that unit."""
    a = Denoiser(Shrink(), sigma=0.3, scale=1.0).prox(image, 1.0)
    b = Denoiser(Shrink(), sigma=0.3 * 255, scale=255.0).prox(255 * image, 1.0)
    np.testing.assert_allclose(b, 255 * a, rtol=1e-5)


def test_strength_and_box(image: np.ndarray) -> None:
    full, half = Denoiser(Shrink(), 1.0), Denoiser(Shrink(), 1.0, strength=0.5)
    np.testing.assert_allclose(half.prox(image, 1.0), 0.5 * (image + full.prox(image, 1.0)), rtol=1e-6)
    boxed = Denoiser(Shrink(), 1.0, box=(0.0, 0.2))
    np.testing.assert_array_equal(boxed.prox(image, 1.0), np.clip(full.prox(image, 1.0), 0.0, 0.2))


def test_it_is_implicit(image: np.ndarray) -> None:
    D = Denoiser(Shrink(), 0.1)
    problem = ip.Problem(ip.L2(b=image) + D)
    assert D.has_prox and not D.explicit and not D.has_grad
    assert problem.objective(image) is None
    with pytest.raises(TypeError, match="has no value"):
        D.value(image)
    with pytest.raises(ValueError, match="backtracking is True; a problem with an implicit term"):
        ip.ForwardBackward(backtracking=True).prepare(problem)
    assert not ip.ForwardBackward().is_provably_convergent(problem)


def test_out_and_inputs(image: np.ndarray) -> None:
    """The image is not changed, not even by a module that works in place; ``out`` may be the image."""

    class InPlace(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.mul_(2.0)

    x, before = image.copy(), image.copy()
    for scale in (1.0, 3.0):
        np.testing.assert_allclose(Denoiser(InPlace(), scale=scale).prox(x, 1.0), 2 * before, rtol=1e-6)
        np.testing.assert_array_equal(x, before)
    Denoiser(InPlace()).prox(x, 1.0, out=x)
    np.testing.assert_array_equal(x, 2 * before)


@pytest.mark.parametrize("how", ["fortran", "reversed", "read-only", "strided"])
def test_layouts_of_memory(image: np.ndarray, how: str) -> None:
    x = {
        "fortran": np.asfortranarray(image),
        "reversed": image[::-1].copy()[::-1],
        "read-only": image.copy(),
        "strided": np.repeat(image, 2, axis=1)[:, ::2],
    }[how]
    x.flags.writeable = how != "read-only"
    np.testing.assert_array_equal(Denoiser(Shrink(), 0.1).prox(x, 1.0), Denoiser(Shrink(), 0.1).prox(image, 1.0))


# ---------------------------------------------------------------- layouts


def test_samples(image: np.ndarray) -> None:
    net = Shrink()
    volume = np.stack([image, 2 * image])[None]
    np.testing.assert_allclose(Denoiser(net, 0.0001).prox(volume, 1.0), volume, rtol=1e-5)
    assert net.seen[0][0] == (2, 1, 5, 7)


def test_three_axes_of_pixels(rng: np.random.Generator) -> None:
    volume = rng.standard_normal((3, 4, 5))
    mean = torch.nn.AvgPool3d(3, 1, 1)
    D = Denoiser(mean, axes=3)
    expected = mean(torch.from_numpy(volume)[None, None])[0, 0].numpy()
    np.testing.assert_array_equal(D.prox(volume, 1.0), expected)
    np.testing.assert_array_equal(D.prox(np.stack([volume, volume]), 1.0)[1], expected)


@pytest.mark.parametrize(("channels", "axis"), [("first", -3), ("last", -1)])
@pytest.mark.parametrize("batch", [(), (2,)])
def test_colours(rng: np.random.Generator, channels: str, axis: int, batch: tuple[int, ...]) -> None:
    x = rng.standard_normal(batch + (3, 5, 7)).astype("float32")
    x = np.ascontiguousarray(np.moveaxis(x, -3, axis))
    weights = np.array([1, 2, 3], "float32")
    shape = [1] * x.ndim
    shape[axis] = 3
    np.testing.assert_allclose(Denoiser(Shrink(3), 1e-9, channels=channels).prox(x, 1.0), x * weights.reshape(shape))


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
@pytest.mark.parametrize("batch", [(), (2,)])
def test_complex_images(rng: np.random.Generator, dtype: str, batch: tuple[int, ...]) -> None:
    x = (rng.standard_normal(batch + (5, 7)) + 1j * rng.standard_normal(batch + (5, 7))).astype(dtype)
    net = Shrink(2, torch.float32 if dtype == "complex64" else torch.float64)
    pair = Denoiser(net, 1e-9, channels="complex").prox(x, 1.0)
    assert pair.dtype == x.dtype
    np.testing.assert_allclose(pair, x.real + 2j * x.imag)
    net = Shrink(1, net.factor.dtype)
    np.testing.assert_allclose(Denoiser(net, 1e-9, channels="separate").prox(x, 1.0), x)
    assert net.seen[0][0] == (2 * len(x.reshape(-1, 5, 7)), 1, 5, 7)


def test_noise_levels_of_separate_parts(rng: np.random.Generator) -> None:
    x = (rng.standard_normal((2, 5, 7)) + 1j).astype("complex64")
    D, tau = Denoiser(Shrink(), lam=1.0, channels="separate"), np.array([1.0, 3.0])
    np.testing.assert_allclose(D.prox(x, tau), x / (1 + tau[:, None, None]).astype("float32"), rtol=1e-6)


@pytest.mark.parametrize("channels", [None, "first", "last", "complex", "separate"])
def test_layout_there_and_back(rng: np.random.Generator, channels: str | None) -> None:
    x = rng.standard_normal((4, 3, 5, 6)).astype("float32")
    x = x if channels in (None, "first", "last") else x + 1j * x[::-1]
    layout = Layout(channels)
    np.testing.assert_array_equal(layout.unpack(layout.pack(x).clone(), x), x)


# ---------------------------------------------------------------- evaluation mode


def test_the_module_is_left_as_it_was(image: np.ndarray) -> None:
    net = torch.nn.Sequential(torch.nn.BatchNorm2d(1), torch.nn.Dropout(0.5), torch.nn.Conv2d(1, 1, 3, padding=1))
    net.train()
    net[0].eval()  # a frozen part
    before = {k: v.clone() for k, v in net.state_dict().items()}
    D = Denoiser(net)
    np.testing.assert_array_equal(D.prox(image, 1.0), D.prox(image, 1.0))  # no dropout
    assert [m.training for m in net.modules()] == [True, False, True, True]
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
    assert all(p.grad is None for p in net.parameters())


def test_no_gradients_are_recorded(image: np.ndarray) -> None:
    net = Shrink()
    Denoiser(net, 0.1).prox(image, 1.0)
    assert net.seen[0][2:] == (False, False, False) and net.training and torch.is_grad_enabled()


def test_training_flags_after_an_error(image: np.ndarray) -> None:
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 1, 3))
    with pytest.raises(ValueError, match=r"Sequential failed on a tensor of shape \(1, 1, 5, 7\)"):
        Denoiser(net).prox(image, 1.0)
    assert net.training and net[0].training and torch.is_grad_enabled()


def test_networks_that_differentiate_inside(image: np.ndarray) -> None:
    """A gradient step x - ∇g(x), g = ‖x‖²/4, by automatic differentiation."""

    class GradientStep(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            with torch.enable_grad():
                x = x.detach().requires_grad_()
                (g,) = torch.autograd.grad((x.square() / 4).sum(), x)
            return x - g

    np.testing.assert_allclose(Denoiser(GradientStep()).prox(image, 1.0), image / 2, rtol=1e-6)


# ---------------------------------------------------------------- third parties


def test_deepinv_signature(image: np.ndarray) -> None:
    net = DeepinvStyle()
    with torch.no_grad():
        expected = net(torch.from_numpy(image)[None, None], 0.3)[0, 0].numpy()
    np.testing.assert_array_equal(Denoiser(net, 0.3).prox(image, 1.0), expected)


def test_plain_functions(image: np.ndarray) -> None:
    """scikit-image's, with and without a noise level, and BM3D's signature; a batch is one image after another."""
    x = np.stack([image, image + 1])

    def like_bm3d(z: np.ndarray, sigma_psd: float, stage_arg: int = 1) -> np.ndarray:
        assert z.shape == (5, 7)
        return z * (1 - sigma_psd)

    def tv(z: np.ndarray) -> np.ndarray:
        return restoration.denoise_tv_chambolle(z, weight=0.2)

    np.testing.assert_allclose(Denoiser(like_bm3d, 0.5, scale=2.0).prox(x, 1.0), 0.75 * x, rtol=1e-6)
    np.testing.assert_allclose(Denoiser(tv).prox(x, 1.0)[1], tv(x[1]), rtol=1e-6)
    wavelet = Denoiser(restoration.denoise_wavelet, 0.4, dtype="float64").prox(image, 1.0)
    expected = restoration.denoise_wavelet(image.astype("float64"), sigma=0.4)
    np.testing.assert_allclose(wavelet, expected, rtol=1e-5, atol=1e-6)
    by_keyword = Denoiser(restoration.denoise_nl_means, 0.4).prox(image, 1.0)
    np.testing.assert_allclose(by_keyword, restoration.denoise_nl_means(image, sigma=0.4), rtol=1e-5)


def test_noise_levels_of_functions(image: np.ndarray) -> None:
    D, tau = Denoiser(lambda x, sigma: x * sigma, lam=1.0), np.array([1.0, 4.0])
    np.testing.assert_allclose(D.prox(np.stack([image, image]), tau), np.stack([image, 2 * image]), rtol=1e-6)


def test_a_function_may_work_in_place(image: np.ndarray) -> None:
    def inplace(x: np.ndarray) -> np.ndarray:
        x *= 2
        return x

    before = image.copy()
    np.testing.assert_array_equal(Denoiser(inplace).prox(image, 1.0), 2 * before)
    np.testing.assert_array_equal(image, before)


# ---------------------------------------------------------------- dtypes


def test_dtype_is_kept(dtype: np.dtype, rng: np.random.Generator) -> None:
    x = rng.standard_normal((4, 4)).astype(dtype)
    net = Shrink(1, torch.float32 if dtype == np.float32 else torch.float64)
    assert Denoiser(net, 0.1).prox(x, 1.0).dtype == dtype


@pytest.mark.parametrize("name", ["float64", "float16", "bfloat16"])
def test_networks_of_another_dtype(image: np.ndarray, name: str) -> None:
    net = Shrink(1, getattr(torch, name))
    message = rf"Shrink has factor in torch.{name}, the image is torch.float32; .* or dtype='{name}'"
    with pytest.raises(TypeError, match=message):
        Denoiser(net, 0.1).prox(image, 1.0)
    cast = Denoiser(net, 0.1, dtype=name).prox(image, 1.0)
    assert cast.dtype == np.float32
    np.testing.assert_allclose(cast, image / 1.01, rtol=1e-2)
    with pytest.raises(TypeError, match="dtype is torch.float32"):
        Denoiser(net, 0.1, dtype="float32").prox(image, 1.0)


# ---------------------------------------------------------------- device


def test_on_the_device(xp: ModuleType, image: np.ndarray) -> None:
    x, expected = backend.to_device(image, xp), image / 1.25
    for D in (Denoiser(Shrink(), 0.5), Denoiser(Shrink(), lam=0.25, box=(-9, 9), strength=1.0)):
        np.testing.assert_allclose(backend.to_host(D.prox(x, 1.0)), expected, rtol=1e-6)
    z = x + 1j * x
    got = Denoiser(Shrink(2), 1e-9, channels="complex").prox(z, 1.0)
    np.testing.assert_allclose(backend.to_host(got), image + 2j * image, rtol=1e-6)
