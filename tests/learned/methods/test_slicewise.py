"""Denoisers of images on volumes: means over orientations, what they inherit, memory, and plug-and-play with them."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from skimage.restoration import denoise_tv_chambolle

import ipbox as ip
from ipbox.learned.methods import slicewise
from ipbox.learned.methods.slicewise import SlicewiseDenoiser, denoiser_for
from ipbox.learned.priors import Denoiser
from tests.learned.methods.test_plug_and_play import Noisy, Smoother

DIMS = (4, 5, 6)


@pytest.fixture
def D() -> SlicewiseDenoiser:
    return SlicewiseDenoiser(Denoiser(Smoother()))


def by_hand(u: np.ndarray, orientations: tuple[int, ...] = (0, 1, 2), strength: float = 0.1) -> np.ndarray:
    """u - strength ∇*∇u in the planes across each axis, periodic, by rolling the volume."""
    total = np.zeros_like(u)
    for across in orientations:
        total += u
        for axis in {0, 1, 2} - {across}:
            total += strength * (np.roll(u, 1, axis) + np.roll(u, -1, axis) - 2 * u)
    return total / len(orientations)


@pytest.mark.parametrize("orientations", [(0,), (1,), (0, 2), (0, 1, 2)])
def test_it_is_the_mean_over_orientations(orientations: tuple[int, ...], rng: np.random.Generator) -> None:
    u = rng.standard_normal(DIMS)
    D = SlicewiseDenoiser(Denoiser(Smoother()), orientations)
    assert np.allclose(D.denoise(u), by_hand(u, orientations), atol=1e-14)


def test_denoisers_that_agree_in_all_orientations_are_their_mean(rng: np.random.Generator) -> None:
    u = rng.standard_normal(DIMS)
    half = SlicewiseDenoiser(Denoiser(lambda image: 0.5 * image))
    assert np.allclose(half.denoise(u), 0.5 * u, atol=1e-15)


def test_it_commutes_with_permutations_of_the_axes(D: SlicewiseDenoiser, rng: np.random.Generator) -> None:
    """Where all orientations count; with slices in one it does not."""
    u, one = rng.standard_normal(DIMS), SlicewiseDenoiser(Denoiser(Smoother()), (0,))
    for p in itertools.permutations(range(3)):
        turned = np.ascontiguousarray(u.transpose(p))
        assert np.allclose(D.denoise(turned), D.denoise(u).transpose(p), atol=1e-14)
    assert not np.allclose(one.denoise(np.ascontiguousarray(u.T)), one.denoise(u).T, atol=1e-3)


def test_it_is_self_adjoint_and_firmly_non_expansive_as_the_images_denoiser_is(
    D: SlicewiseDenoiser, rng: np.random.Generator
) -> None:
    for _ in range(5):
        u, v = rng.standard_normal((2, *DIMS))
        Du, Dv = D.denoise(u), D.denoise(v)
        assert np.vdot(Du, v) == pytest.approx(np.vdot(u, Dv), rel=1e-12)
        assert np.sum((Du - Dv) ** 2) <= np.vdot(Du - Dv, u - v) + 1e-12


def test_slices_go_through_some_at_a_time(monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator) -> None:
    """With the same result, bit for bit."""
    seen: list[torch.Size] = []

    class Watched(Smoother):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.append(x.shape)
            return super().forward(x)

    u, D = rng.standard_normal(DIMS), SlicewiseDenoiser(Denoiser(Watched()))
    whole = D.denoise(u)
    assert [shape[0] for shape in seen] == list(DIMS)
    seen.clear()
    monkeypatch.setattr(slicewise, "PIXELS", 60)
    assert D.denoise(u).tobytes() == whole.tobytes()
    assert max(np.prod(shape) for shape in seen) <= 60 and sum(shape[0] for shape in seen) == sum(DIMS)


def test_dtype_input_and_batches(rng: np.random.Generator) -> None:
    """A noise level for each volume of a batch."""
    u = rng.standard_normal((2, *DIMS)).astype(np.float32)
    before = u.tobytes()
    D = SlicewiseDenoiser(Denoiser(Noisy(dtype=torch.float32), lam=1.0))
    levels = np.array([0.25, 1.0])
    p = D.prox(u, levels)
    assert p.dtype == np.float32 and p.shape == u.shape and u.tobytes() == before
    for one, volume, level in zip(p, u, levels, strict=True):
        expected = volume + level * (by_hand(volume) - volume)
        assert np.allclose(one, expected, atol=1e-5) and np.allclose(one, D.prox(volume, float(level)), atol=1e-6)


def test_complex_volumes(D: SlicewiseDenoiser, rng: np.random.Generator) -> None:
    u = rng.standard_normal(DIMS) + 1j * rng.standard_normal(DIMS)
    E = SlicewiseDenoiser(Denoiser(Smoother(), channels="separate"))
    assert np.allclose(E.denoise(u), by_hand(u.real) + 1j * by_hand(u.imag), atol=1e-14)


def test_all_slices_of_an_iteration_are_turned_alike(monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator) -> None:
    """By an element that is drawn anew in each iteration, and once in it."""
    monkeypatch.setattr(slicewise, "PIXELS", 16)
    right = Denoiser(lambda image: np.roll(image, 1, axis=1), equivariant=ip.groups.Rotations(4))
    D, u, work = SlicewiseDenoiser(right, (0,)), rng.standard_normal((4, 4, 4)), {}
    rolls = {(axis, step) for axis in (1, 2) for step in (1, -1)}
    found = []
    for k in range(8):
        d = D.prox(u, 1.0, work=work)
        found.append(next(r for r in rolls if np.array_equal(d, np.roll(u, r[1], r[0]))))
        assert work["shared"]["draws"] == k + 1
    assert len(set(found)) > 1


def test_the_default_of_a_volume(rng: np.random.Generator) -> None:
    """Slices in three orientations; the volume itself for a network with convolutions in three dimensions."""
    assert denoiser_for(DIMS, None, Smoother()).orientations == (0, 1, 2)
    assert denoiser_for(DIMS, (0,), Smoother()).orientations == (0,)
    assert type(denoiser_for(DIMS[1:], None, Smoother())) is Denoiser
    assert type(denoiser_for((3, 5, 6), None, Smoother(), channels="first")) is Denoiser
    net = torch.nn.Conv3d(1, 1, 3, padding=1, bias=False).double()
    with torch.no_grad():
        net.weight[...] = 0.0
        net.weight[0, 0, 2, 1, 1] = 1.0  # u[z + 1], and 0 beyond
    u = rng.standard_normal(DIMS)
    D = denoiser_for(DIMS, None, net)
    assert type(D) is Denoiser and np.allclose(D.denoise(u), np.concatenate([u[1:], 0 * u[:1]]))


@pytest.mark.parametrize("method", ["forward_backward", "admm"])
def test_fixed_point_of_plug_and_play(method: str, rng: np.random.Generator) -> None:
    """x = D(x - τA*(Ax - b)), with D by hand."""
    A = ip.SliceStack(ip.JosephTransform((5, 6), np.arange(4) * 0.8, dtype="float64"), 4)
    b, tau = A.apply(rng.random(DIMS)), 1 / A.norm() ** 2
    step = {"tau": tau} if method == "forward_backward" else {"rho": 1 / tau}
    stop = ip.stop.residual(1e-7)
    x, _ = ip.pnp(A, b, Smoother(), method=method, niter=4000, stop=stop, **step)
    assert ip.nrmse(by_hand(x - tau * A.apply_adjoint(A.apply(x) - b)), x) < 1e-4


def test_red_on_a_volume(rng: np.random.Generator) -> None:
    """A*(Au - b) + λ(u - D(u)) = 0, with D by hand."""
    A = ip.SliceStack(ip.JosephTransform((5, 6), np.arange(4) * 0.8, dtype="float64"), 4)
    b = A.apply(rng.random(DIMS))
    x, _ = ip.red(A, b, Smoother(), 20.0, method="steepest_descent", niter=5000, tol=1e-6)
    force = 20.0 * (x - by_hand(x))
    assert np.linalg.norm(A.apply_adjoint(A.apply(x) - b) + force) < 1e-3 * np.linalg.norm(A.apply_adjoint(b))


def test_cone_beam_is_better_than_by_filtering() -> None:
    """From few views, with TV of slices as the denoiser; in three orientations better than in one."""
    A, b, x_true, _ = ip.problem("cone", size=24, views=16, noise=0.03, seed=0)
    scale, tau = float(x_true.max()), 1.9 / A.norm() ** 2

    def denoiser(image: np.ndarray, sigma: float) -> np.ndarray:
        return denoise_tv_chambolle(image, weight=sigma, max_num_iter=20).astype(image.dtype)

    fdk = ip.psnr(ip.fdk(A, b, "hann")[0], x_true)
    options = {"sigma": 0.02 * scale, "scale": scale, "method": "forward_backward", "tau": tau, "nonneg": True}
    three, one = (ip.pnp(A, b, denoiser, niter=8, orientations=axes, **options)[0] for axes in (None, (0,)))
    assert three.dtype == np.float32 and three.min() >= 0
    assert ip.psnr(three, x_true) > fdk + 4, (ip.psnr(three, x_true), fdk)
    assert ip.psnr(three, x_true) > ip.psnr(one, x_true) + 1, (ip.psnr(three, x_true), ip.psnr(one, x_true))


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: SlicewiseDenoiser(Smoother()), TypeError, "denoiser is Smoother; expected a Denoiser"),
        (lambda: SlicewiseDenoiser(Denoiser(Smoother(), axes=3)), ValueError, "denoiser has axes=3 and channels=None"),
        (lambda: SlicewiseDenoiser(Denoiser(Smoother(), channels="first")), ValueError, "channels='first'"),
        (lambda: SlicewiseDenoiser(Denoiser(Smoother()), (0, 3)), ValueError, r"orientations is \(0, 3\); expected"),
        (lambda: SlicewiseDenoiser(Denoiser(Smoother())).denoise(np.ones((4, 5))), ValueError, "expects volumes"),
        (lambda: denoiser_for((4, 5), (0,), Smoother()), ValueError, "expected it for volumes only"),
        (
            lambda: ip.pnp(
                ip.Identity(DIMS, "float64"), np.ones(DIMS), SlicewiseDenoiser(Denoiser(Smoother())), orientations=(0,)
            ),
            ValueError,
            "expected sigma, scale ... given to that",
        ),
    ],
)
def test_what_it_refuses(make: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        make()
