"""Operators on tensors inside networks: copies, checkpoints, autocast, workers, threads, compilation, devices."""

from __future__ import annotations

import concurrent.futures
import copy
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.checkpoint import checkpoint
from torch.utils.data import DataLoader, Dataset

import ipbox as ip
from ipbox import backend
from ipbox.learned.bridge import linear_map as bridge
from ipbox.learned.bridge.arrays import from_torch, to_torch
from ipbox.learned.bridge.linear_map import LinearMap
from tests.contracts.support import draw, host, stays_on_device

# ---------------------------------------------------------------- as a part of a network


class Net(torch.nn.Module):
    """A step of gradient descent with a network after it."""

    def __init__(self, A: Any, **options: Any) -> None:
        super().__init__()
        self.A = LinearMap(A, **options)
        self.net = torch.nn.Conv2d(1, 1, 3, padding=1)

    def forward(self, b: torch.Tensor) -> torch.Tensor:
        u = self.A.adjoint(b)
        return u + self.net((u - self.A.adjoint(self.A(u) - b))[:, None])[:, 0]


def rays() -> ip.RayTransform:
    return ip.RayTransform((6, 6), np.linspace(0, 3, 5))


def test_a_module_without_parameters() -> None:
    net = Net(rays())
    assert set(net.state_dict()) == {"net.weight", "net.bias"} and not list(net.A.parameters())
    assert "LinearMap" in repr(net) and net.eval().A.training is False
    Net(rays()).load_state_dict(net.state_dict())


def test_moving_a_module_leaves_the_operator_alone() -> None:
    net, b = Net(rays()), torch.ones(1, *rays().dimsd)
    expected = net(b)
    torch.testing.assert_close(net.to("cpu").float()(b), expected)
    net.double()
    assert net.A.A.dtype_in == np.float32
    with pytest.raises(TypeError, match="^b has dtype torch.float64; expected torch.float32, that of the operator"):
        net(b.double())


@pytest.mark.parametrize("library", [None, np, "numpy"], ids=["default", "module", "name"])
def test_deep_copies_share_the_operator_only(library: Any) -> None:
    net, b = Net(rays(), xp=library), torch.ones(1, *rays().dimsd)
    other = copy.deepcopy({"net": net, "again": net})
    assert other["net"] is other["again"] and other["net"].A.A is net.A.A and other["net"].A is not net.A
    with torch.no_grad():
        other["net"].net.weight.zero_()
    expected = net(b)
    del net
    other["net"].net.load_state_dict(copy.deepcopy(other["net"].net.state_dict()))
    assert other["net"](b).shape == expected.shape and not torch.equal(other["net"](b), expected)
    assert copy.copy(other["net"].A)(expected).shape == b.shape


def test_a_copy_outlives_the_original() -> None:
    L = LinearMap(rays())
    u = torch.ones(6, 6)
    expected, other = L(u), copy.deepcopy(L)
    del L
    assert torch.equal(other(u), expected)


@pytest.mark.parametrize("use_reentrant", [False, True])
def test_checkpoint(use_reentrant: bool) -> None:
    net, b = Net(rays()), torch.rand(2, *rays().dimsd, requires_grad=True)
    net(b).square().sum().backward()
    expected, b.grad = b.grad, None
    checkpoint(net, b, use_reentrant=use_reentrant).square().sum().backward()
    torch.testing.assert_close(b.grad, expected)


def test_without_gradients() -> None:
    L = LinearMap(rays())
    u = torch.ones(6, 6, requires_grad=True)
    expected = L(u)
    assert expected.requires_grad
    with torch.no_grad():
        assert torch.equal(L(u), expected) and not L(u).requires_grad
    with torch.inference_mode():
        v, Lv = torch.ones(6, 6), L(u)
        assert torch.equal(L(v), expected) and Lv.is_inference()
    assert torch.equal(L(v), expected) and torch.equal(L.adjoint(Lv), L.adjoint(expected))


def test_autocast() -> None:
    """As torch's own operations that need float32: half precision is cast up, to float32 and no further."""
    L, conv = LinearMap(rays()), torch.nn.Conv2d(1, 1, 3, padding=1)
    u = torch.rand(2, 1, 6, 6, requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = conv(u)
        b = L(half)
        assert half.dtype == torch.bfloat16 and b.dtype == torch.float32
        with pytest.raises(TypeError, match="^u has dtype torch.bfloat16; expected torch.float64"):
            LinearMap(ip.Identity((6, 6), "float64"))(half)
        with pytest.raises(TypeError, match="^u has dtype torch.float64; expected torch.float32"):
            L(u.double())
    torch.testing.assert_close(b, L(half.float()))
    b.square().sum().backward()
    assert u.grad.dtype == conv.weight.grad.dtype == torch.float32
    exact = torch.autograd.grad(L(conv(u)).square().sum(), u)[0]
    torch.testing.assert_close(u.grad, exact, rtol=0.1, atol=0.05 * float(exact.abs().max()))
    with pytest.raises(TypeError, match="^u has dtype torch.bfloat16; expected torch.float32"):
        L(half)


class Sinograms(Dataset):
    """Data simulated where they are loaded: in a worker process."""

    def __init__(self) -> None:
        self.L = LinearMap(rays())

    def __len__(self) -> int:
        return 4

    def __getitem__(self, i: int) -> torch.Tensor:
        u = torch.full((6, 6), float(i), requires_grad=True)
        (g,) = torch.autograd.grad(self.L(u).square().sum(), u)
        return g


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_in_worker_processes() -> None:
    dataset = Sinograms()
    expected = torch.stack([dataset[i] for i in range(4)])  # the kernels have run in this process
    loader = DataLoader(dataset, batch_size=2, num_workers=2, multiprocessing_context="fork")
    torch.testing.assert_close(torch.cat(list(loader)), expected)


def test_in_threads() -> None:
    dataset = Sinograms()
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        got = list(pool.map(dataset.__getitem__, [0, 1, 2, 3] * 4))
    torch.testing.assert_close(torch.stack(got), torch.stack([dataset[i] for i in range(4)] * 4))


@pytest.mark.filterwarnings("ignore")  # of torch, about what its compiler does
def test_compile() -> None:
    """Torch breaks the graph at A where derivatives are needed; `aot_eager` needs no compiler."""
    S = np.full((2, 4, 5), 1 + 2j)
    L = LinearMap(ip.CartesianMRI(np.arange(20).reshape(4, 5) % 3 > 0, S, "complex128", real_image=True))
    f = lambda u: torch.view_as_real(L(u)).square().sum().sin()  # noqa: E731
    u = torch.randn(4, 5, dtype=torch.float64, requires_grad=True)
    compiled = torch.compile(f, backend="aot_eager")
    torch.testing.assert_close(compiled(u), f(u))
    torch.testing.assert_close(torch.compile(f, backend="aot_eager", fullgraph=True)(u.detach()), f(u).detach())
    torch.testing.assert_close(*(torch.autograd.grad(g(u), u)[0] for g in (compiled, f)))


# ---------------------------------------------------------------- devices


@pytest.mark.parametrize("name", ["float32", "float64"])
def test_nothing_leaves_the_device(name: str, xp: ModuleType, rng: np.random.Generator) -> None:
    """Forward, backward and jvp on device arrays, with the result an array of the same library."""
    for A in (
        ip.Gradient((4, 5), name),
        ip.RayTransform((6, 6), [0.0, 1.0], dtype=name),
        ip.FourierTransform((4, 5), np.result_type(name, "c8")),
    ):
        L, x = LinearMap(A, xp=xp), draw(rng, (2, *A.dims), A.dtype_in, xp)
        L(to_torch(x)), L.adjoint(L(to_torch(x)))  # weights are moved at the first call
        with stays_on_device():
            u = to_torch(x).requires_grad_()
            L(u).abs().square().sum().backward()
            g = from_torch(u.grad, xp=xp)
            torch.func.jvp(L, (u.detach(),), (u.grad,))
        expected = 2 * A.apply_adjoint(A.apply(x))
        assert type(g) is type(x)
        np.testing.assert_allclose(host(g), host(expected), rtol=0, atol=1e-5 * abs(host(expected)).max())


@pytest.mark.device
def test_the_operator_works_on_torchs_stream(monkeypatch) -> None:
    import cupy

    stream, seen = cupy.cuda.Stream(), []

    def double(u):
        seen.append(backend.current_stream(u))
        return 2 * u

    A = ip.operator(double, double, (3,), (3,), check=False, xp="cupy")
    monkeypatch.setattr(bridge, "_stream", lambda u: (stream.ptr, 0))
    u = to_torch(cupy.ones(3)).requires_grad_()
    LinearMap(A, xp="cupy")(u).sum().backward()
    assert seen == [stream.ptr] * 2 and backend.current_stream(cupy.ones(1)) != stream.ptr


@pytest.mark.gpu
def test_the_current_stream_of_torch_on_the_gpu() -> None:
    import cupy

    seen = []

    def double(u):
        seen.append((backend.current_stream(u), cupy.cuda.runtime.getDevice()))
        return 2 * u

    L = LinearMap(ip.operator(double, double, (3,), (3,), check=False, xp="cupy"))
    device = torch.device("cuda", torch.cuda.device_count() - 1)
    stream = torch.cuda.Stream(device)
    with torch.cuda.device(device), torch.cuda.stream(stream):
        u = torch.ones(3, device=device, dtype=torch.float64, requires_grad=True)
    with torch.cuda.stream(stream):
        L(u).sum().backward()
    assert seen == [(stream.cuda_stream, device.index)] * 2 and u.grad.tolist() == [2.0, 2.0, 2.0]
