"""Networks of a user's own in `pnp` and `red`: what works works as it is, what does not is told in one sentence."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import ipbox as ip
from ipbox.learned import RED
from ipbox.learned.priors import Denoiser
from ipbox.solvers.core.divergence import Diverged
from tests.learned.priors.test_denoiser import Lambda

A, B, TRUTH, INFO = ip.problem("denoise", size=12, noise=0.1)
MRI, K = ip.problem("mri", size=12)[:2]


class Mean(torch.nn.Module):
    """The mean over 3 x 3 pixels: some of its eigenvalues are negative."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.full((1, 1, 3, 3), 1 / 9))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.conv2d(x, self.weight, padding=1)


class Level(Mean):
    def forward(self, x: torch.Tensor, sigma: float) -> torch.Tensor:
        return x + sigma * (super().forward(x) - x)


class InPlace(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mul_(0.9)


class Random(torch.nn.Module):
    """In training mode another function at every call, which remembers means."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        parts = torch.nn.Conv2d(1, 4, 3, padding=1), torch.nn.BatchNorm2d(4), torch.nn.Dropout(0.5)
        self.body = torch.nn.Sequential(*parts, torch.nn.Conv2d(4, 1, 3, padding=1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x - 0.05 * self.body(x)


class Three(torch.nn.Module):
    def forward(self, x: torch.Tensor, y: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        return x


def pnp(net: Any, A: Any = A, b: Any = B, **given: Any) -> tuple:
    return ip.pnp(A, b, net, **{"noise_level": INFO.noise_level, "method": "forward_backward", "niter": 5} | given)


def red(net: Any, A: Any = A, b: Any = B, **given: Any) -> tuple:
    return ip.red(A, b, net, 0.5, **{"niter": 5} | given)


def descent(net: Any, **given: Any) -> tuple:
    return red(net, method="steepest_descent", gradient="autograd", **given)


BOTH = pytest.mark.parametrize("method", [pnp, red])


@BOTH
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_wrapped_networks_are_the_networks(method: Callable) -> None:
    blank, level = torch.zeros(1, 1, 12, 12), torch.tensor(0.1)
    wrappers = (torch.nn.DataParallel, lambda net: torch.compile(net, backend="eager"))
    plain, leveled = method(Mean())[0], method(Level(), sigma=0.1)[0]
    for wrap in (*wrappers, lambda net: torch.jit.trace(net, blank), torch.jit.script):
        np.testing.assert_array_equal(method(wrap(Mean()))[0], plain)
    for wrap in (*wrappers, lambda net: torch.jit.trace(net, (blank, level))):
        x, run = method(wrap(Level()), sigma=0.1)
        np.testing.assert_allclose(x, leveled, rtol=1e-5, atol=1e-6)
        assert run.extra["sigma"] == pytest.approx(0.1)


@BOTH
def test_networks_that_work_in_place(method: Callable) -> None:
    b = B.copy()
    x = method(InPlace(), b=b)[0]
    np.testing.assert_array_equal(b, B)
    np.testing.assert_array_equal(x, method(Lambda(lambda x: 0.9 * x))[0])
    np.testing.assert_array_equal(method(lambda x: np.multiply(x, 0.9, out=x))[0], method(lambda x: x * 0.9)[0])


@pytest.mark.parametrize("method", [pnp, red, descent])
def test_networks_in_training_mode(method: Callable) -> None:
    """They are evaluated as in evaluation mode; means, flags, weights and gradients stay."""
    net = Random().train()
    net.body[1].eval()  # a part that was frozen
    before = {k: t.clone() for k, t in net.state_dict().items()}
    x = method(net)[0]
    assert [m.training for m in net.modules()] == [True, True, True, False, True, True]
    assert all(torch.equal(t, before[k]) for k, t in net.state_dict().items())
    assert all(p.grad is None for p in net.parameters())
    np.testing.assert_array_equal(x, method(Random().eval())[0])


@pytest.mark.parametrize("method", ["hqs", "forward_backward", "fista", "admm", "pdhg"])
def test_networks_that_give_nan(method: str) -> None:
    with pytest.raises(Diverged, match="gave NaN or infinite values after 0 iterations") as caught:
        pnp(Lambda(lambda x: x * math.nan), method=method)
    assert np.isfinite(caught.value.x).all()


def test_red_of_networks_that_give_nan() -> None:
    for method in (red, descent):
        with pytest.raises(Diverged):
            method(Lambda(lambda x: x * math.nan))


def test_an_iteration_that_grows_is_told_of() -> None:
    """ADMM with the mean is unstable at any small ρ, and its growth is too slow for the loop to be sure in 100 steps.

    An averaged mean, whose eigenvalues are not negative, converges.
    """
    with pytest.raises(Diverged, match=r"times ‖b‖; expected a denoiser .* strength=0.5 may do") as caught:
        ip.pnp(A, B, Mean(), noise_level=INFO.noise_level)
    assert caught.value.k == 0 and np.linalg.norm(caught.value.x) < 2 * np.linalg.norm(B)
    for given in (dict(strength=0.5), dict(method="forward_backward")):
        x = ip.pnp(A, B, Mean(), noise_level=INFO.noise_level, **given)[0]
        assert np.linalg.norm(x) < 2 * np.linalg.norm(B)
    batch = np.stack([B, 0.5 * B])
    with pytest.raises(Diverged, match="times ‖b‖"):
        ip.pnp(A, batch, Mean(), noise_level=INFO.noise_level)
    with pytest.raises(Diverged, match="diverged"):
        red(Lambda(lambda x: -9 * x), niter=40)


# ---------------------------------------------------------------- what is refused, in one sentence


@BOTH
@pytest.mark.parametrize(
    ("net", "error", "message"),
    [
        (Mean, TypeError, r"the denoiser is the class Mean; expected one that is made, as Mean\(...\)"),
        (Denoiser, TypeError, "the denoiser is the class Denoiser"),
        (ip.TV, TypeError, "the denoiser is the class TV"),
        (None, TypeError, "net is NoneType; expected a torch module or a function of an image"),
        ("drunet", TypeError, "net is str; expected a torch module or a function"),
        ([Mean()], TypeError, "net is list; expected a torch module"),
        (np.ones(3), TypeError, "net is ndarray; expected a torch module"),
        (lambda: 0, TypeError, "<lambda> takes no argument; expected a function of an image"),
        (torch.relu, TypeError, "relu has a signature that is not known; expected takes_sigma"),
        (lambda x: x[1:], ValueError, r"<lambda> gave shape \(11, 12\); expected that of its input"),
        (lambda x: x.sum(), TypeError, "<lambda> gave float32; expected an array of numpy"),
        (lambda x: None, TypeError, "<lambda> gave NoneType; expected an array of numpy"),
        (lambda x: torch.from_numpy(x), TypeError, "<lambda> gave Tensor; expected an array of numpy"),
        (lambda x: x.astype("float64"), TypeError, "gave float64 for an image of float32; .* or dtype='float64'"),
        (lambda x: x.astype("int64"), TypeError, "gave int64 for an image of float32; expected the same$"),
        (Lambda(lambda x: x[..., 1:]), ValueError, r"Lambda gave shape \(1, 1, 12, 11\); expected that of its input"),
        (Lambda(lambda x: x.sum()), ValueError, r"Lambda gave shape \(\)"),
        (Lambda(lambda x: x.repeat(1, 2, 1, 1)), ValueError, r"gave shape \(1, 2, 12, 12\)"),
        (Lambda(lambda x: x.double()), TypeError, "gave torch.float64; expected that of its input, torch.float32"),
        (Lambda(lambda x: x.numpy()), TypeError, "Lambda gave ndarray; expected a torch tensor"),
        (Lambda(lambda x: x.to_sparse()), TypeError, "Lambda gave torch.sparse_coo; expected a torch tensor"),
        (Mean().double(), TypeError, "weight in torch.float64, the image is torch.float32; .* dtype='float64'"),
        (Mean().to("meta"), ValueError, "Mean has weight on meta, the image is on cpu"),
        (torch.nn.Conv2d(3, 3, 3), ValueError, r"Conv2d failed on a tensor of shape \(1, 1, 12, 12\)"),
        (Mean().requires_grad_(False).half(), TypeError, "torch.float16, the image is torch.float32"),
    ],
)
def test_denoisers_that_are_none(method: Callable, net: Any, error: type, message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        method(net)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500


@BOTH
def test_errors_of_networks_are_cut_to_a_line(method: Callable) -> None:
    def fails(x: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("first " + "x" * 1000 + "\nsecond")

    with pytest.raises(ValueError, match=r"Lambda failed on a tensor .*: first x+\.\.\.$") as caught:
        method(Lambda(fails))
    assert len(str(caught.value)) < 500 and isinstance(caught.value.__cause__, RuntimeError)
    with pytest.raises(TypeError, match=r"Three failed on a tensor .* missing 1 required positional argument: 'z'"):
        method(Three(), sigma=0.1)
    with pytest.raises(TypeError, match=r"relu failed on an array .*; expected a function of arrays, or for tensors"):
        method(torch.relu, takes_sigma=False)
    with pytest.raises(ZeroDivisionError):  # an error of the user's own function is the user's
        method(lambda x: 1 / 0)


@BOTH
@pytest.mark.parametrize(
    ("net", "given", "error", "message"),
    [
        (Level(), dict(sigma=math.nan), ValueError, "sigma is nan; expected a positive number"),
        (Level(), dict(sigma="a"), ValueError, "sigma is 'a'"),
        (Level(), dict(sigma=True), ValueError, "sigma is True"),
        (Level(), dict(sigma=[0.2, 0.1]), ValueError, r"sigma is \[0.2, 0.1\]; expected a positive number"),
        (Level(), dict(sigma=np.ones((2, 2))), ValueError, "sigma is"),
        (Level(), dict(takes_sigma=False), TypeError, "takes_sigma is False, and Level cannot be called without sigma"),
        (Mean(), dict(takes_sigma=True, sigma=0.1), TypeError, "takes_sigma is True, and Mean has no second argument"),
        (Mean(), dict(takes_sigma="yes"), TypeError, "takes_sigma is 'yes'"),
        (Mean(), dict(scale=0), ValueError, "scale is 0"),
        (Mean(), dict(dtype="complex64"), ValueError, "dtype is 'complex64'; expected one of 'float16'"),
        (Mean(), dict(x0=[1.0]), TypeError, "x0 is list; expected a NumPy or CuPy array"),
        (Mean(), dict(b=(100 * B).astype(int)), TypeError, "b has dtype int64; expected float32.*astype"),
        (Mean(), dict(b=B > 0), TypeError, r"b has dtype bool.*b.astype\('float32'\)"),
        (Mean(), dict(b=torch.from_numpy(B)), TypeError, "b is Tensor; expected a NumPy or CuPy array"),
        (Mean(), dict(b=B[1:]), ValueError, r"b has shape \(11, 12\)"),
        (Denoiser(Level(), 0.1), dict(sigma=0.2), ValueError, "denoiser is Denoiser.*expected sigma, scale"),
    ],
)
def test_bad_settings(method: Callable, net: Any, given: dict, error: type, message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        method(net, **given)
    assert "\n" not in str(caught.value)


def test_noise_levels_that_are_missing() -> None:
    with pytest.raises(ValueError, match="sigma is None, and Level takes a noise level"):
        red(Level())
    with pytest.raises(ValueError, match="sigma is 0.1, and Mean takes no noise level"):
        red(Mean(), sigma=0.1)
    with pytest.raises(ValueError, match="rho is None, and the denoiser has no noise level that tells of it"):
        pnp(0.1 * ip.L1(), method="admm")
    for denoiser in (ip.L1(), RED(Mean())):
        with pytest.raises(TypeError, match=r"denoiser is .*, a functional; expected a denoiser"):
            red(denoiser)


@BOTH
def test_complex_images(method: Callable) -> None:
    def double(x: np.ndarray) -> np.ndarray:
        return 0.9 * x.astype("complex128")

    with pytest.raises(TypeError, match=r"expected 'complex' \(two channels\) or 'separate' \(two images\)"):
        method(Mean(), MRI, K)
    with pytest.raises(TypeError, match="<lambda> as a function of arrays expects channels='complex'"):
        method(lambda x: x, MRI, K)
    with pytest.raises(ValueError, match=r"failed on a tensor of shape \(1, 2, 12, 12\)"):
        method(Mean(), MRI, K, channels="complex")
    with pytest.raises(TypeError, match="gave float32 for an image of complex64; expected the same$"):
        method(abs, MRI, K, channels="complex", takes_sigma=False)
    with pytest.raises(TypeError, match="gave complex128 for an image of complex64; .* or dtype='float64'$"):
        method(double, MRI, K, channels="complex")
    x = method(double, MRI, K, channels="complex", dtype="float64")[0]  # the advice can be followed
    np.testing.assert_allclose(x, method(lambda x: 0.9 * x, MRI, K, channels="complex")[0], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("net", "gradient", "error", "message"),
    [
        (Mean(), "full", ValueError, "gradient is 'full'; expected one of 'residual', 'autograd', 'energy'"),
        (Mean(), None, ValueError, "gradient is None; expected one of"),
        (Mean(), True, ValueError, "gradient is True; expected one of"),
        (Mean(), "energy", TypeError, "gradient is 'energy', and Mean has no method energy"),
        (lambda x: x, "autograd", TypeError, "gradient is 'autograd', and <lambda> is no torch module"),
        (Lambda(lambda x: 0.5 * x.detach()), "autograd", TypeError, "Lambda gives images without derivatives"),
        (Lambda(torch.no_grad()(lambda x: 0.5 * x)), "autograd", TypeError, "Lambda gives images without derivatives"),
    ],
)
def test_gradients_of_red(net: Any, gradient: Any, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        red(net, gradient=gradient, method="steepest_descent")
    if gradient not in ("autograd", "energy"):
        with pytest.raises(error, match=message):
            red(net, gradient=gradient)  # named before the method is
    else:
        with pytest.raises(ValueError, match="which fixed_point cannot use; expected method='steepest_descent'"):
            red(net, gradient=gradient)
