"""Learned maps under attack: precision, shapes, compiled maps; what does not fit is said in one sentence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import ipbox as ip
from ipbox import learned
from ipbox.learned.weights import load_weights, save_weights

MAPS = {
    "PostProcessing": lambda A, **o: learned.PostProcessing(A, 4, 2, filter=None, **o),
    "AUTOMAP": lambda A, **o: learned.AUTOMAP(A, width=2, **o),
    "LearnedProximalGradient": lambda A, **o: learned.LearnedProximalGradient(A, niter=2, width=2, **o),
    "LearnedPrimalDual": lambda A, **o: learned.LearnedPrimalDual(A, niter=2, width=2, **o),
    "DeepEquilibrium": lambda A, **o: learned.DeepEquilibrium(A, network="residual", width=2, niter=3, **o),
    "VariationalNetwork": lambda A, **o: learned.VariationalNetwork(A, stages=2, filters=2, size=3, **o),
    "LISTA": lambda A, **o: learned.LISTA(A, niter=2, **o),
}
every_map = pytest.mark.parametrize("make", MAPS.values(), ids=MAPS)
on_images = pytest.mark.parametrize("make", [f for n, f in MAPS.items() if n != "LISTA"], ids=[*MAPS][:-1])


def identity(dtype: str = "float32", dims: tuple[int, ...] = (6, 5)) -> ip.Identity:
    return ip.Identity(dims, dtype)


# ---------------------------------------------------------------- precision


@every_map
def test_maps_are_as_exact_as_their_operator(make: Callable, rng: np.random.Generator) -> None:
    """Double without .double(), with the same parameters at first, and the same image up to single precision."""
    images, b = [], rng.standard_normal((6, 5))
    for dtype in ("float32", "float64"):
        torch.manual_seed(0)
        net = make(identity(dtype))
        assert {str(p.dtype) for p in net.parameters()} == {f"torch.{dtype}"}
        images.append(net.reconstruct(b.astype(dtype))[0])
        assert images[-1].dtype == dtype
    np.testing.assert_allclose(images[0], images[1], atol=1e-4)


def test_complex_maps_in_double(rng: np.random.Generator) -> None:
    b = rng.standard_normal((6, 5)) + 1j * rng.standard_normal((6, 5))
    for make in (MAPS["PostProcessing"], MAPS["LearnedPrimalDual"], MAPS["VariationalNetwork"]):
        assert make(identity("complex128")).reconstruct(b)[0].dtype == "complex128"


def test_networks_of_the_users_too() -> None:
    net = learned.LearnedProximalGradient(identity("float64"), niter=1, network=lambda i, o: torch.nn.Conv2d(i, o, 1))
    assert net.reconstruct(np.ones((6, 5)))[0].dtype == "float64"


@every_map
def test_weights_of_single_precision_are_read_into_double(make: Callable, tmp_path: Path) -> None:
    single, path = make(identity()), tmp_path / "net.safetensors"
    save_weights(path, single, {})
    double = load_weights(path, A=identity("float64"))
    b = np.linspace(0, 1, 30).reshape(6, 5)
    np.testing.assert_allclose(double.reconstruct(b)[0], single.reconstruct(b.astype("float32"))[0], atol=1e-4)
    with pytest.raises(ValueError, match="dtype torch.float64; the module's is torch.float32"):
        save_weights(path, double, {})
        load_weights(path, A=identity())


@every_map
@pytest.mark.parametrize("other", ["half", "double"])
def test_another_precision_of_the_parameters(make: Callable, other: str) -> None:
    net = make(identity()).half() if other == "half" else make(identity()).double()
    with pytest.raises(TypeError, match=r"has dtype torch.float(16|64); expected torch.float32, as b, by net.to"):
        net.reconstruct(np.ones((6, 5), "float32"))


# ---------------------------------------------------------------- shapes and kinds of data


@every_map
@pytest.mark.parametrize(
    ("b", "error", "message"),
    [
        (np.ones((5, 5), "float32"), ValueError, r"b has shape \(5, 5\); Id gives \(6, 5\)"),
        (np.ones(30, "float32"), ValueError, r"b has shape \(30,\)"),
        (np.ones((2, 3, 6, 5), "float32"), ValueError, r"b has shape \(2, 3, 6, 5\)"),
        (np.ones((0, 6, 5), "float32"), ValueError, r"b has shape \(0, 6, 5\)"),
        (np.ones((6, 5), int), TypeError, "b has dtype int64"),
        (np.ones((6, 5)), TypeError, "b has dtype float64"),
        (np.full((6, 5), np.nan, "float32"), ValueError, "b has NaN"),
        (torch.ones(6, 5), TypeError, "b is Tensor; expected a NumPy"),
        ([[1.0]], TypeError, "b is list; expected a NumPy"),
    ],
)
def test_bad_data(make: Callable, b: object, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        make(identity()).reconstruct(b)


@every_map
@pytest.mark.parametrize("shape", [(6, 5), (2, 5, 6), (30,), (1, 1, 6, 5)])
def test_tensors_of_another_shape(make: Callable, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"b has shape .*; expected \(N,\) \+ \(6, 5\)"):
        make(identity())(torch.ones(shape))


@on_images
@pytest.mark.parametrize("dims", [(7,), (3, 4, 5)])
def test_images_that_are_none(make: Callable, dims: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"^A (has|acts on) images of shape"):
        make(identity(dims=dims))


def test_data_that_are_no_plane() -> None:
    with pytest.raises(ValueError, match=r"^A has data of shape \(4,\), and network 'residual' is for two axes"):
        learned.LearnedPrimalDual(np.ones((4, 6), "float32"), niter=1, width=2, shape=(2, 3))


def test_volumes_and_signals_with_networks_for_them() -> None:
    for dims, conv in (((7,), torch.nn.Conv1d), ((3, 4, 5), torch.nn.Conv3d)):
        b, network = np.ones((2, *dims), "float32"), lambda i, o, conv=conv: conv(i, o, 3, padding=1)
        net = learned.LearnedProximalGradient(identity(dims=dims), niter=1, network=network)
        assert net.reconstruct(b)[0].shape == b.shape


@every_map
@pytest.mark.filterwarnings("ignore:.*fixed point")
def test_tiny_images_and_data_of_zeros(make: Callable) -> None:
    for dims in ((2, 3), (1, 1)):
        if dims == (1, 1) and make is MAPS["VariationalNetwork"]:
            continue  # its filters are wider, which it says
        A = identity(dims=dims)
        for b in (np.ones(dims, "float32"), np.zeros((2, *dims), "float32")):
            x = make(A).reconstruct(b)[0]
            assert x.shape == b.shape and np.isfinite(x).all()


def test_equilibria_of_tiny_data_have_derivatives() -> None:
    """One pixel, one sample, values near the smallest of the dtype, and none but zeros."""
    for dims, size in (((1, 1), 1.0), ((2, 1), 1e-30), ((2, 3), 0.0)):
        net = learned.DeepEquilibrium(identity(dims=dims), network="residual", width=2)
        b = torch.full((1, *dims), size, requires_grad=True)
        net(b).sum().backward()
        assert bool(torch.isfinite(b.grad).all()) and net.found.converged
        assert all(p.grad is None or bool(torch.isfinite(p.grad).all()) for p in net.parameters())


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")  # torch's, while it compiles
def test_compiled_maps() -> None:
    """One stands for all: what is asked of the map reaches it, and calls are the same."""
    net, b = MAPS["LearnedProximalGradient"](identity()), np.linspace(0, 1, 30, dtype="float32").reshape(6, 5)
    with torch.no_grad():
        net.tau += 0.1
    compiled = torch.compile(net, backend="eager")
    np.testing.assert_array_equal(compiled.reconstruct(b)[0], net.reconstruct(b)[0])
    with torch.no_grad():
        torch.testing.assert_close(compiled(torch.tensor(b)[None]), net(torch.tensor(b)[None]))
