"""Linear torch modules as operators; what every operator promises is tested in the contracts."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
import torch

import ipbox as ip
from ipbox.learned import LinearMap, TorchOperator
from tests.contracts.support import assert_close, draw, stays_on_device

DOUBLE = torch.float64


def convolution(bias: bool = False) -> torch.nn.Conv2d:
    torch.manual_seed(0)
    return torch.nn.Conv2d(1, 2, 3, bias=bias, dtype=DOUBLE)


def operator(**options) -> TorchOperator:
    return TorchOperator(convolution(), (1, 6, 7), (2, 4, 5), "float64", **options)


def test_is_the_module_and_its_transpose(rng: np.random.Generator) -> None:
    A, net = operator(), convolution()
    x, y = rng.standard_normal((3, 1, 6, 7)), rng.standard_normal((3, 2, 4, 5))
    with torch.no_grad():
        np.testing.assert_array_equal(A.apply(x), net(torch.tensor(x)).numpy())
        transposed = torch.nn.functional.conv_transpose2d(torch.tensor(y), net.weight)
    np.testing.assert_allclose(A.apply_adjoint(y), transposed.numpy(), atol=1e-14)
    assert A.name == "Conv2d" and operator(name="blur").name == "blur"


def test_a_given_adjoint_is_used(rng: np.random.Generator) -> None:
    net, calls = convolution(), []

    def adjoint(v: torch.Tensor) -> torch.Tensor:
        calls.append(len(v))
        return torch.nn.functional.conv_transpose2d(v, net.weight)

    A = operator(adjoint=adjoint, check=False)
    y = rng.standard_normal((3, 2, 4, 5))
    assert_close(A.apply_adjoint(y), operator().apply_adjoint(y))
    assert calls == [3]


def test_operator_of_a_map_of_an_operator() -> None:
    """`TorchOperator(LinearMap(A))` is A, and `LinearMap` of it has the same derivatives."""
    A = ip.Gradient((4, 5), "float64")
    B = TorchOperator(LinearMap(A), A.dims, A.dimsd, "float64")
    x, y = np.random.default_rng(0).standard_normal((2, 2, 4, 5))[0], np.ones((2, 4, 5))
    np.testing.assert_array_equal(B.apply(x), A.apply(x))
    np.testing.assert_array_equal(B.apply_adjoint(y), A.apply_adjoint(y))
    assert torch.autograd.gradcheck(LinearMap(B), torch.randn(4, 5, dtype=DOUBLE, requires_grad=True))


def test_in_a_classical_solver() -> None:
    """CGLS and FISTA with it agree with those with its matrix."""
    A = TorchOperator(torch.nn.AvgPool2d(3, stride=2), (1, 7, 7), (1, 3, 3), "float64")
    M = np.stack([A.apply(e.reshape(1, 7, 7)).ravel() for e in np.eye(49)], axis=1)
    b = A.apply(np.arange(49.0).reshape(1, 7, 7))
    x, _ = ip.cgls(A, b, niter=6)
    y, _ = ip.cgls(M, b.ravel(), niter=6)
    np.testing.assert_allclose(x.ravel(), y, rtol=0, atol=1e-10 * abs(y).max())
    x, y = (
        ip.solve(ip.Problem(ip.L2(B, c) + 0.1 * ip.L1(B.dims)), ip.FISTA(tau=0.5), stop=ip.stop.niter(30)).x
        for B, c in ((A, b), (ip.as_operator(M), b.ravel()))
    )
    np.testing.assert_allclose(x.ravel(), y, rtol=0, atol=1e-10 * abs(y).max())


def test_the_mode_around_it_does_not_matter() -> None:
    A, y = operator(), np.ones((2, 4, 5))
    expected = A.apply_adjoint(y)
    for mode in (torch.no_grad, torch.inference_mode):
        with mode():
            np.testing.assert_array_equal(A.apply_adjoint(y), expected)
    y.flags.writeable = False
    np.testing.assert_array_equal(A.apply_adjoint(y), expected)


def test_parameters_get_no_gradients() -> None:
    net = convolution()
    TorchOperator(net, (1, 6, 7), (2, 4, 5), "float64").apply_adjoint(np.ones((2, 4, 5)))
    assert net.weight.grad is None


def test_nothing_leaves_the_device(xp: ModuleType, rng: np.random.Generator) -> None:
    A = TorchOperator(torch.nn.AvgPool2d(3, stride=2), (1, 7, 7), (1, 3, 3), xp=xp.__name__)
    x = draw(rng, (2, 1, 7, 7), "float32", xp)
    with stays_on_device():
        y = A.apply_adjoint(A.apply(x))
    assert type(y) is type(x) and y.shape == x.shape


# ---------------------------------------------------------------- bad input

REFUSED = {
    "a bias": (lambda: TorchOperator(convolution(bias=True), (1, 6, 7), (2, 4, 5), "float64"), "forward is not linear"),
    "a nonlinearity": (lambda: TorchOperator(torch.relu, (3,), (3,)), "forward is not linear"),
    "in place": (lambda: TorchOperator(lambda u: u.mul_(2), (3,), (3,)), "forward changed its argument"),
    "mixed batch": (lambda: TorchOperator(lambda u: u + u.flip(0), (3,), (3,)), "forward mixes the arrays"),
    "wrong dimsd": (lambda: TorchOperator(convolution(), (1, 6, 7), (2, 4, 4), "float64"), "forward gave shape"),
    "wrong adjoint": (lambda: TorchOperator(lambda u: u, (3,), (3,), adjoint=lambda v: 2 * v), "adjoint is not that"),
    "dims": (lambda: TorchOperator(lambda u: u, (0,), (3,)), "dims is"),
    "dimsd": (lambda: TorchOperator(lambda u: u, (3,), "3"), "dimsd is"),
    "norm": (lambda: TorchOperator(lambda u: u, (3,), (3,), norm=-1.0), "norm is -1.0"),
    "xp": (lambda: TorchOperator(lambda u: u, (3,), (3,), xp="jax"), "xp is 'jax'"),
}
REFUSED_TYPES = {
    "module": (lambda: TorchOperator(3, (3,), (3,)), "module is int"),
    "adjoint": (lambda: TorchOperator(lambda u: u, (3,), (3,), adjoint=3), "adjoint is int"),
    "check": (lambda: TorchOperator(lambda u: u, (3,), (3,), check=1), "check is 1"),
    "dtype": (lambda: TorchOperator(lambda u: u, (3,), (3,), "float16"), "dtype is float16"),
    "complex result": (lambda: TorchOperator(lambda u: 1j * u, (3,), (3,)), "forward gave complex64 for float32"),
    "half result": (lambda: TorchOperator(lambda u: u.half(), (3,), (3,)), "t has dtype torch.float16"),
    "a list": (lambda: TorchOperator(lambda u: [u], (3,), (3,)), "module gave list; expected a torch tensor"),
    "no derivative": (lambda: TorchOperator(lambda u: u.detach(), (3,), (3,)), "module gave .* cannot differentiate"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str) -> None:
    make, why = REFUSED[case]
    with pytest.raises(ValueError, match=f"^{why}"):
        make()


@pytest.mark.parametrize("case", REFUSED_TYPES)
def test_refused_types(case: str) -> None:
    make, why = REFUSED_TYPES[case]
    with pytest.raises(TypeError, match=f"^{why}"):
        make()


def test_what_torch_refuses_is_said_with_what_it_was_given() -> None:
    net = torch.nn.Conv2d(1, 1, 3, padding=1, bias=False)
    with pytest.raises(
        ValueError, match=r"^module failed on a tensor of shape \(1, 1, 4, 4\) and torch.float64: .*Float"
    ):
        TorchOperator(net, (1, 4, 4), (1, 4, 4), "float64")
    with pytest.raises(ValueError, match="^adjoint failed on a tensor of shape .* torch.float32: no way back"):
        TorchOperator(net, (1, 4, 4), (1, 4, 4), adjoint=_no_way_back)


def _no_way_back(v: torch.Tensor) -> torch.Tensor:
    raise RuntimeError("no way back")


def test_a_module_that_changes_its_shape_later() -> None:
    shapes = [(1, 3), (1, 3)]
    A = TorchOperator(lambda u: u.expand(len(u), 3) * torch.ones(shapes[-1]), (3,), (3,))
    shapes.append((2, 1, 3))
    with pytest.raises(ValueError, match=r"^module gave shape \(2, 1, 3\) and dtype torch.float32; expected \(1, 3\)"):
        A.apply_adjoint(np.ones(3, "float32"))
