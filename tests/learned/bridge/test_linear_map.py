"""Operators on tensors: A and A*, derivatives of every order and mode, vmap, bad input."""

from __future__ import annotations

from typing import Any

import numpy as np
import pylops
import pytest
import scipy.sparse
import torch
from scipy.sparse.linalg import aslinearoperator
from torch.autograd import forward_ad, gradcheck, gradgradcheck

import ipbox as ip
from ipbox.learned.bridge.arrays import from_torch
from ipbox.learned.bridge.linear_map import LinearMap

M = np.random.default_rng(1).standard_normal((4, 6))
C = M + 1j * np.random.default_rng(2).standard_normal((4, 6))
MASK = np.arange(20).reshape(4, 5) % 3 > 0
S = np.stack([np.full((4, 5), 1 + 2j), np.full((4, 5), 0.5 - 1j)])


class SameAgain(pylops.LinearOperator):
    """A careless operator of PyLops: its result is its argument."""

    def _matvec(self, x):
        return x

    _rmatvec = _matvec


def real_to_complex() -> ip.Operator:
    return ip.operator(lambda u: C @ u, lambda v: (C.conj().T @ v).real, (6,), (4,), "float64", "complex128")


def complex_to_real() -> ip.Operator:
    """u ↦ Re C u, linear over the reals only."""
    return ip.operator(lambda u: (C @ u).real, lambda v: C.conj().T @ v, (6,), (4,), "complex128", "float64")


OPERATORS = {
    "gradient": lambda: ip.Gradient((4, 5), "float64"),
    "identity": lambda: ip.Identity((2, 3), "float64"),
    "Fourier": lambda: ip.FourierTransform((4, 5), "complex128"),
    "MRI": lambda: ip.CartesianMRI(MASK, S, "complex128"),
    "MRI of a real image": lambda: ip.CartesianMRI(MASK, S, "complex128", real_image=True),
    "real to complex": real_to_complex,
    "complex to real": complex_to_real,
    "rays": lambda: ip.RayTransform((4, 5), [0.0, 1.0, 2.0], dtype="float64"),
    "multiple": lambda: 2.5 * ip.Gradient((4, 5), "float64"),
    "sum": lambda: ip.Identity((4,), "float64") + ip.as_operator(M[:, :4]),
    "stack": lambda: ip.VStack([ip.Identity((4, 5), "float64"), ip.Gradient((4, 5), "float64")]),
    "adjoint": lambda: ip.CartesianMRI(MASK, S, "complex128").H,
    "composition": lambda: ip.Gradient((4, 5), "float64").H @ ip.Gradient((4, 5), "float64"),
    "matrix": lambda: M,
    "complex matrix": lambda: C,
    "sparse matrix": lambda: scipy.sparse.csr_array(M),
    "SciPy": lambda: aslinearoperator(C),
    "PyLops": lambda: pylops.FirstDerivative((4, 3), axis=0, dtype="float64"),
    "PyLops, returns its argument": lambda: SameAgain(dtype="float64", dims=(2, 3), dimsd=(2, 3)),
    "function that returns its argument": lambda: ip.operator(lambda u: u, lambda v: v, (2, 3), (2, 3)),
    "functions of batches": lambda: ip.operator(lambda u: u, lambda v: v, (2, 3), (2, 3), batched=True),
}
every_operator = pytest.mark.parametrize("L", [LinearMap(make()) for make in OPERATORS.values()], ids=list(OPERATORS))


def model(L: LinearMap, *batch: int, **options: Any) -> torch.Tensor:
    return torch.randn(*batch, *L.dims, dtype=L.dtype_in, **options)


def data(L: LinearMap, *batch: int, **options: Any) -> torch.Tensor:
    return torch.randn(*batch, *L.dimsd, dtype=L.dtype_out, **options)


def energy(L: LinearMap, u: torch.Tensor) -> torch.Tensor:
    """Σ |L u|⁴ + Σ sin |L u|², for derivatives of higher order."""
    s = torch.view_as_real(L(u)) if L.dtype_out.is_complex else L(u)
    return (s.square() ** 2).sum() + s.square().sin().sum()


# ---------------------------------------------------------------- A and A*


@every_operator
def test_is_the_operator(L: LinearMap) -> None:
    for batch in ((), (3,), (2, 0), (2, 3)):
        u, b = model(L, *batch), data(L, *batch)
        np.testing.assert_array_equal(from_torch(L(u)), L.A.apply(from_torch(u)))
        np.testing.assert_array_equal(from_torch(L.adjoint(b)), L.A.apply_adjoint(from_torch(b)))


@every_operator
def test_the_result_has_memory_of_its_own(L: LinearMap) -> None:
    for apply, x in ((L, model(L, 2)), (L.adjoint, data(L, 2))):
        before = x.clone()
        y = apply(x)
        y.fill_(9.0)
        assert torch.equal(x, before)


@every_operator
def test_any_layout(L: LinearMap) -> None:
    u = model(L, 2)
    expected = L(u)
    for same in (u.movedim(0, -1).contiguous().movedim(-1, 0), u.conj().resolve_conj().conj(), -torch._neg_view(u)):
        torch.testing.assert_close(L(same), expected, rtol=0, atol=0)
    torch.testing.assert_close(L(torch._neg_view(u)), L(-u), rtol=0, atol=0)
    torch.testing.assert_close(L(u[:1].expand(3, *L.dims)), expected[:1].expand(3, *L.dimsd))


# ---------------------------------------------------------------- derivatives


@every_operator
def test_first_derivatives(L: LinearMap) -> None:
    """Reverse and forward mode, and both of batches, against differences."""
    checks = dict(check_forward_ad=True, check_batched_grad=True, check_batched_forward_grad=True)
    assert gradcheck(L, (model(L, requires_grad=True),), **checks)
    assert gradcheck(L.adjoint, (data(L, requires_grad=True),), **checks)


@every_operator
def test_second_derivatives(L: LinearMap) -> None:
    u = model(L, requires_grad=True)
    assert gradgradcheck(lambda u: energy(L, 0.3 * u), (u,), check_fwd_over_rev=True, check_batched_grad=True)


@pytest.mark.parametrize("name", ["gradient", "MRI", "real to complex"])
def test_third_derivative(name: str) -> None:
    """Of Σ |L u|⁴ for real L u: D³(v, v, w) = 24 Σ Lu (Lv)² Lw; by reverse mode three times."""
    L = LinearMap(OPERATORS[name]())
    real = lambda s: torch.view_as_real(s) if s.is_complex() else s  # noqa: E731
    u, v, w = model(L, requires_grad=True), model(L), model(L)
    value = (real(L(u)) ** 4).sum()
    for direction in (v, v, w):
        (g,) = torch.autograd.grad(value, u, create_graph=True)
        value = (real(g) * real(direction)).sum()
    expected = 24 * (real(L(u)) * real(L(v)) ** 2 * real(L(w))).sum()
    torch.testing.assert_close(value, expected)


@every_operator
def test_the_gradient_is_that_of_the_real_inner_product(L: LinearMap) -> None:
    """∇ ½‖Lu - b‖² = L*(Lu - b), also for real u and complex b."""
    u, b = model(L, 2, requires_grad=True), data(L, 2)
    (0.5 * (L(u) - b).abs().square()).sum().backward()
    torch.testing.assert_close(u.grad, L.adjoint(L(u.detach()) - b))
    assert u.grad.dtype == u.dtype


@pytest.mark.parametrize("name", ["gradient", "MRI", "MRI of a real image", "SciPy", "rays"])
def test_hessian_vector_products(name: str) -> None:
    """The same forward over reverse, reverse over forward, reverse over reverse, and by dual numbers."""
    L = LinearMap(OPERATORS[name]())
    u, v = model(L), model(L)
    f = lambda u: energy(L, u)  # noqa: E731
    _, forward_reverse = torch.func.jvp(torch.func.grad(f), (u,), (v,))
    t = u.clone().requires_grad_()
    (g,) = torch.autograd.grad(f(t), t, create_graph=True)
    (reverse_reverse,) = torch.autograd.grad(g, t, v)
    torch.testing.assert_close(forward_reverse, reverse_reverse)
    directional = lambda u: torch.func.jvp(f, (u,), (v,))[1]  # noqa: E731
    torch.testing.assert_close(torch.func.grad(directional)(u), reverse_reverse)
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(u.clone().requires_grad_(), v)
        (g,) = torch.autograd.grad(f(dual), dual, create_graph=True)
        torch.testing.assert_close(forward_ad.unpack_dual(g).tangent, reverse_reverse)


def test_jacobians_in_every_way() -> None:
    L = LinearMap(M)
    u = model(L)
    for J in (torch.func.jacrev(L), torch.func.jacfwd(L), torch.func.jacrev(L, chunk_size=1)):
        torch.testing.assert_close(J(u), torch.from_numpy(M))
    for options in (dict(), dict(vectorize=True), dict(vectorize=True, strategy="forward-mode")):
        torch.testing.assert_close(torch.autograd.functional.jacobian(L, u, **options), torch.from_numpy(M))
    H = torch.func.hessian(lambda u: 0.5 * L(u).square().sum())(u)
    torch.testing.assert_close(H, torch.from_numpy(M.T @ M))


# ---------------------------------------------------------------- vmap


@every_operator
def test_vmap(L: LinearMap) -> None:
    u = model(L, 2, 3)
    expected = L(u)
    close = lambda a, b: torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)  # noqa: E731
    close(torch.vmap(L)(u), expected)
    close(torch.vmap(torch.vmap(L))(u), expected)
    close(torch.vmap(torch.vmap(L), in_dims=1)(u), expected.movedim(1, 0))
    close(torch.vmap(L, in_dims=-1, out_dims=-1)(u[0].movedim(0, -1)), expected[0].movedim(0, -1))
    close(torch.vmap(L, chunk_size=2)(u.reshape(6, *L.dims)), expected.reshape(6, *L.dimsd))
    close(torch.vmap(L.adjoint)(expected), L.adjoint(expected))
    gradients = torch.vmap(torch.func.grad(lambda u: energy(L, u)))(u[0])
    close(gradients, torch.stack([torch.func.grad(lambda u: energy(L, u))(ui) for ui in u[0]]))


def test_vmap_calls_the_operator_once_for_the_batch() -> None:
    calls = []
    A = ip.operator(lambda u: calls.append(len(u)) or 2 * u, lambda v: 2 * v, (3,), (3,), batched=True, check=False)
    torch.vmap(LinearMap(A))(torch.zeros(5, 3, dtype=torch.float64))
    assert calls == [5]


def test_batched_cotangents() -> None:
    """`is_grads_batched` is torch's older vmap, which takes one after another."""
    L = LinearMap(OPERATORS["MRI of a real image"]())
    u, g = model(L, requires_grad=True), data(L, 3)
    (got,) = torch.autograd.grad(L(u), u, g, is_grads_batched=True)
    torch.testing.assert_close(got, L.adjoint(g))


# ---------------------------------------------------------------- bad input


def test_bad_input() -> None:
    L = LinearMap(ip.Gradient((4, 5)))
    with pytest.raises(TypeError, match="^u is ndarray; expected a torch tensor"):
        L(np.zeros((4, 5), "float32"))
    with pytest.raises(TypeError, match="^u has dtype torch.float16; expected torch.float32"):
        L(torch.zeros(4, 5, dtype=torch.float16))
    for shape in ((5, 4), (5,), (), (20,), (4, 5, 1)):
        with pytest.raises(ValueError, match="^u has shape .*; expected \\(4, 5\\), with any leading batch axes"):
            L(torch.zeros(shape))
    with pytest.raises(ValueError, match="^b has shape .*; expected \\(2, 4, 5\\)"):
        L.adjoint(torch.zeros(4, 5))
    with pytest.raises(TypeError, match="^A is str"):
        LinearMap("A")
    with pytest.raises(ValueError, match="^xp is 'torch'; expected 'numpy' or 'cupy'"):
        LinearMap(M, xp="torch")


def test_an_error_of_the_operator_comes_through() -> None:
    A = ip.operator(lambda u: u[:2], lambda v: v, (3,), (3,), check=False)
    with pytest.raises(ValueError, match="^forward gave shape"):
        LinearMap(A)(torch.zeros(3, dtype=torch.float64))
