"""Operators of two functions are checked; SciPy's operators and matrices are taken wherever an operator is."""

from __future__ import annotations

import re
from types import ModuleType

import numpy as np
import pytest
import scipy.sparse as sp
import scipy.sparse.linalg as spla

import ipbox as ip
from ipbox import backend

M = np.random.default_rng(2).standard_normal((20, 12))
B = M @ np.linspace(-1.0, 1.0, 12)


def cumulative(**options):
    return ip.operator(lambda u: np.cumsum(u), lambda v: np.cumsum(v[::-1])[::-1], (5,), (5,), **options)


# ---------------------------------------------------------------- the check


def test_a_right_pair_of_functions_passes_and_works(xp: ModuleType, dtype: np.dtype) -> None:
    A = ip.operator(
        lambda u: u.sum(axis=0) * 3.0, lambda v: xp.stack([3.0 * v] * 4), (4, 6), (6,), dtype, xp=xp.__name__, name="S"
    )
    u = xp.asarray(np.arange(24.0).reshape(4, 6).astype(dtype))
    assert A.name == "S" and A.apply(u).dtype == dtype
    np.testing.assert_allclose(backend.to_host(A.apply(u)), 3 * np.arange(24.0).reshape(4, 6).sum(axis=0), rtol=1e-6)
    assert A.norm() == pytest.approx(6, rel=0.03) and A.norm_kind == "estimate"


def test_a_wrong_adjoint_is_refused_with_both_inner_products() -> None:
    with pytest.raises(
        ValueError, match=r"^adjoint is not that of forward: <A u, v> = (\S+) and <u, A\* v> = (\S+) on "
    ) as e:
        ip.operator(np.cumsum, np.cumsum, (50,), (50,))
    left, right = (float(n) for n in re.findall(r"> = (\S+)", str(e.value)))
    rng = np.random.default_rng(0)  # the first of the seeded pairs
    u, _, v = (rng.standard_normal(50) for _ in range(3))
    assert left == pytest.approx(np.cumsum(u) @ v, rel=1e-4) and right == pytest.approx(u @ np.cumsum(v), rel=1e-4)


def test_a_slightly_wrong_adjoint_is_refused() -> None:
    with pytest.raises(ValueError, match="relative error 1.0e-06"):
        ip.operator(lambda u: M @ u, lambda v: (1 + 1e-6) * (M.T @ v), (12,), (20,))


def test_a_missing_conjugate_is_refused() -> None:
    C = M + 1j * M[::-1]
    with pytest.raises(ValueError, match="^adjoint is not that of forward: Re<A u, v>"):
        ip.operator(lambda u: C @ u, lambda v: C.T @ v, (12,), (20,), "complex128")
    assert ip.operator(lambda u: C @ u, lambda v: C.conj().T @ v, (12,), (20,), "complex128").norm() > 0


BAD = {
    "affine": (lambda u: u + 1.0, lambda v: v, {}, ValueError, "^forward is not linear"),
    "non-linear": (np.abs, lambda v: v, {}, ValueError, "^forward is not linear"),
    "non-linear adjoint": (lambda u: u, np.abs, {}, ValueError, "^adjoint is not linear"),
    "shape": (lambda u: u[1:], lambda v: v, {}, ValueError, r"^forward gave shape \(4,\) for \(5,\); expected \(5,\)"),
    "adjoint's shape": (lambda u: u, lambda v: v[None], {}, ValueError, r"^adjoint gave shape \(1, 5\)"),
    "dtype": (lambda u: u.astype("f4"), lambda v: v, {}, TypeError, "^forward gave float32 for float64; expected"),
    "complex": (lambda u: u + 0j, lambda v: v, {}, TypeError, "^forward gave complex128 for float64"),
    "list": (lambda u: u.tolist(), lambda v: v, {}, TypeError, "^forward gave list; expected an array of numpy"),
    "nothing": (lambda u: None, lambda v: v, {}, TypeError, "^forward gave NoneType"),
    "NaN": (lambda u: u * np.nan, lambda v: v, {}, ValueError, "^forward gave NaN"),
    "in place": (
        lambda u: np.multiply(u, 2.0, out=u), lambda v: 2.0 * v, {}, ValueError, "^forward changed its argument"
    ),
    "no function": (M, lambda v: v, {}, TypeError, "^forward is ndarray; expected a function"),
    "no adjoint": (lambda u: u, None, {}, TypeError, "^adjoint is NoneType"),
    "negative norm": (lambda u: u, lambda v: v, {"norm": -1.0}, ValueError, "^norm is -1.0"),
    "text as norm": (lambda u: u, lambda v: v, {"norm": "1"}, ValueError, "^norm is '1'"),
    "check": (lambda u: u, lambda v: v, {"check": 1}, TypeError, "^check is 1"),
    "batched": (lambda u: u, lambda v: v, {"batched": "no"}, TypeError, "^batched is 'no'"),
    "mixed batch": (
        lambda u: np.cumsum(u, axis=0), lambda v: np.cumsum(v[::-1], axis=0)[::-1], {"batched": True}, ValueError,
        "^forward mixes the arrays of a batch",
    ),
    "xp": (lambda u: u, lambda v: v, {"xp": "jax"}, ValueError, "^xp is 'jax'"),
    "integers": (lambda u: u, lambda v: v, {"dtype": int}, TypeError, "^dtype is int64"),
    "two precisions": (
        lambda u: u, lambda v: v, {"dtype_out": "float32"}, TypeError, "^dtype is float64 and dtype_out float32"
    ),
    "no shape": (lambda u: u, lambda v: v, {"shape_in": ()}, ValueError, "^shape_in is"),
    "fractional shape": (lambda u: u, lambda v: v, {"shape_out": (2.5,)}, ValueError, "^shape_out is"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_functions_are_refused(case: str) -> None:
    forward, adjoint, options, error, message = BAD[case]
    with pytest.raises(error, match=message):
        ip.operator(forward, adjoint, **({"shape_in": (5,), "shape_out": (5,)} | options))


def test_without_the_check_the_functions_are_believed_but_for_shapes() -> None:
    A = ip.operator(np.cumsum, np.cumsum, (5,), (5,), check=False)
    assert A.apply_adjoint(np.ones(5))[-1] == 5
    bad = ip.operator(lambda u: u[1:], lambda v: v, (5,), (5,), check=False)
    with pytest.raises(ValueError, match="^forward gave shape"):
        bad.apply(np.ones(5))


def test_a_given_norm_is_used() -> None:
    A = cumulative(norm=4)
    assert (A.norm(), A.norm_kind) == (4.0, "bound")


def test_pylops_view_of_the_adjoint_survives() -> None:
    A = cumulative()
    np.testing.assert_array_equal(A.adjoint().apply(np.ones(5)), [5, 4, 3, 2, 1])


# ---------------------------------------------------------------- matrices and SciPy's operators everywhere

FORMS = {
    "dense": lambda: M,
    "csr array": lambda: sp.csr_array(M),
    "csc matrix": lambda: sp.csc_matrix(M),
    "coo array": lambda: sp.coo_array(M),
    "lil array": lambda: sp.lil_array(M),
    "SciPy operator": lambda: spla.aslinearoperator(M),
    "SciPy product": lambda: 2.0 * spla.aslinearoperator(M) @ spla.aslinearoperator(0.5 * np.eye(12)),
    "two functions": lambda: ip.operator(lambda u: M @ u, lambda v: M.T @ v, (12,), (20,)),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_taken_everywhere(form: str) -> None:
    A, x, y = FORMS[form](), np.linspace(-1.0, 1.0, 12), np.linspace(0.0, 1.0, 20)
    op = ip.as_operator(A)
    assert tuple(op.dims) == (12,) and tuple(op.dimsd) == (20,)
    np.testing.assert_allclose(op.apply(x), M @ x, atol=1e-12)
    np.testing.assert_allclose(op.apply_adjoint(y), M.T @ y, atol=1e-12)
    np.testing.assert_allclose(op.apply(np.stack([x, 2 * x])), np.stack([B, 2 * B]), atol=1e-12)

    np.testing.assert_allclose(ip.L2(A, B).grad(0 * x), -M.T @ B, atol=1e-12)
    assert ip.L2(A, B).L == pytest.approx(np.linalg.norm(M, 2) ** 2, rel=0.05)
    assert (ip.L1() @ ip.as_operator(A)).value(x) == pytest.approx(np.abs(B).sum())
    np.testing.assert_allclose(ip.cgls(A, B, niter=12)[0], x, atol=1e-8)
    np.testing.assert_allclose(ip.tikhonov(A, B, 1e-9, tol=1e-12)[0], x, atol=1e-6)
    np.testing.assert_allclose(ip.landweber(A, B, niter=3000)[0], x, atol=1e-2)
    np.testing.assert_allclose(ip.pseudo_inverse(A, B)[0], x, atol=1e-10)
    np.testing.assert_allclose(ip.VStack([A, A]).apply(x), np.concatenate([B, B]), atol=1e-12)

    row = ip.compare((A, B, x.reshape(12)), {"cgls": lambda A, b: ip.cgls(A, b, niter=12)})["cgls"]
    assert row.residual < 1e-8


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_composed(form: str) -> None:
    A, D = FORMS[form](), ip.Gradient((3, 4), dtype="float64")
    u = np.random.default_rng(0).standard_normal((3, 4))
    flat = ip.as_operator(A)
    np.testing.assert_allclose((flat @ ip.Identity((3, 4), "float64")).apply(u), M @ u.ravel(), atol=1e-12)
    if form != "dense":  # on the right a dense matrix is data
        both = D.H.dot(ip.Identity((2, 3, 4), "float64")).dot(ip.as_operator(np.ones((24, 20)))) @ A
        np.testing.assert_allclose(
            both.apply(u.ravel()), D.apply_adjoint(np.full((2, 3, 4), (M @ u.ravel()).sum())), atol=1e-9
        )
    if not form.startswith("SciPy"):  # SciPy's own operators do not ask the right-hand side
        np.testing.assert_allclose((A @ ip.Identity((3, 4), "float64")).apply(u), M @ u.ravel(), atol=1e-12)
    assert np.allclose((flat + A).apply(u.ravel()), 2 * M @ u.ravel())


def test_complex_matrices() -> None:
    C = sp.lil_array(M + 1j * M[::-1])
    x = np.linspace(0, 1, 12) + 1j
    op = ip.as_operator(C)
    assert op.dtype_in == op.dtype_out == np.complex128
    np.testing.assert_allclose(op.apply_adjoint(op.apply(x)), C.toarray().conj().T @ (C @ x), atol=1e-10)


def test_float32_matrices_stay_so() -> None:
    A = sp.csr_array(M.astype("f4"))
    x, _ = ip.cgls(A, B.astype("f4"), niter=12)
    assert x.dtype == np.float32


def of_text() -> spla.LinearOperator:
    A = spla.aslinearoperator(np.eye(3))
    A.dtype = np.dtype("<U7")
    return A


REFUSED = {
    "integers": (lambda: ip.cgls(np.eye(3, dtype=int), np.ones(3)), TypeError, "^A has dtype int64; expected float32"),
    "sparse integers": (lambda: ip.as_operator(sp.eye_array(3, dtype=int)), TypeError, "^A has dtype int64"),
    "bool": (lambda: ip.as_operator(np.eye(3) > 0), TypeError, "^A has dtype bool"),
    "integer operator": (
        lambda: ip.as_operator(spla.aslinearoperator(np.eye(3, dtype=int))), TypeError, "^A has dtype int64"
    ),
    "a stack whose parts name their dtype by text, on SciPy 1.18": (
        lambda: ip.as_operator(of_text()), TypeError, r"^A has dtype <U7; .*, named in its parts as a type \(numpy.fl"
    ),
    "list": (lambda: ip.L2([[1.0]], np.ones(1)), TypeError, "^A is list; expected an ipbox, PyLops or SciPy operator"),
    "vector": (lambda: ip.as_operator(sp.coo_array(np.ones(3))), TypeError, "^A is coo_array"),
    "np.matrix": (lambda: ip.as_operator(np.matrix(np.eye(2))), TypeError, "^A is matrix"),
    "data": (lambda: ip.cgls(sp.csr_array(M), B[1:]), ValueError, r"^b has shape \(19,\)"),
    "precision": (lambda: ip.cgls(sp.csr_array(M), B.astype("f4")), TypeError, "^b has dtype float32"),
    "composition": (lambda: M @ ip.Identity((3, 5), "float64"), ValueError, "^A B needs"),
    "vector on the left": (lambda: np.ones(12) @ ip.Identity((12,), "float64"), TypeError, "^A is ndarray"),
    "a liar": (
        lambda: ip.as_operator(
            spla.LinearOperator((3, 3), matvec=lambda x: x * 1j, rmatvec=lambda x: x, dtype=float)
        ).apply(np.ones(3)), TypeError, "has dtype float64 and gave complex128"
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
def test_what_is_no_operator_is_refused(case: str) -> None:
    call, error, message = REFUSED[case]
    with pytest.raises(error, match=message):
        call()
