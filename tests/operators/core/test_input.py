"""What operators take: any shape, layout and precision; what they refuse, and how they say it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ipbox as ip
from ipbox.operators import Composition, Identity, Sum, as_operator

COMPLEX = as_operator(np.eye(3) * 1j)
RAY = ip.RayTransform((5, 7), [0.0, 1.0, 2.0])
U = np.ones((5, 7), np.float32)


def ray(**changes: object) -> ip.RayTransform:
    return ip.RayTransform(**{"dims": (5, 7), "angles": [0.0, 1.0], **changes})


BAD = {
    "no angles": (lambda: ray(angles=[]), ValueError, "^angles has shape"),
    "degrees": (lambda: ray(angles=np.arange(0, 180, 3)), ValueError, "^angles reach 177, .* degrees"),
    "NaN angles": (lambda: ray(angles=[0.0, math.nan]), ValueError, "^angles has NaN"),
    "infinite angles": (lambda: ray(angles=[math.inf]), ValueError, "^angles has NaN or inf"),
    "complex angles": (lambda: ray(angles=[1j]), TypeError, "^angles has dtype complex128"),
    "text as angles": (lambda: ray(angles="pi"), TypeError, "^angles has dtype"),
    "angles of two axes": (lambda: ray(angles=np.zeros((2, 2))), ValueError, "^angles has shape"),
    "3-D": (lambda: ray(dims=(5, 7, 2)), ValueError, "^dims is"),
    "no size": (lambda: ray(dims=(5, 0)), ValueError, "^dims is"),
    "negative size": (lambda: ray(dims=(-5, 7)), ValueError, "^dims is"),
    "fractional size": (lambda: ray(dims=(5.0, 7.5)), ValueError, "^dims is"),
    "a number as size": (lambda: ray(dims=5.5), ValueError, "^dims is"),
    "no detector": (lambda: ray(n_det=0), ValueError, "^n_det is 0"),
    "fractional detector": (lambda: ray(n_det=2.5), ValueError, "^n_det is 2.5"),
    "two detectors": (lambda: ray(n_det=(3, 4)), ValueError, "^n_det is"),
    "spacing": (lambda: ray(det_spacing=0.0), ValueError, "^det_spacing is 0"),
    "negative spacing": (lambda: ray(det_spacing=-1.0), ValueError, "^det_spacing is -1"),
    "shift": (lambda: ray(det_shift=math.nan), ValueError, "^det_shift is nan"),
    "pixel size": (lambda: ray(pixel_size="1"), ValueError, "^pixel_size is '1'"),
    "eps": (lambda: ray(eps=0.0), ValueError, "^eps is 0"),
    "integer dtype": (lambda: ray(dtype=int), TypeError, "^dtype is int64"),
    "half dtype": (lambda: ray(dtype="float16"), TypeError, "^dtype is float16"),
    "no dtype": (lambda: ray(dtype="junk"), TypeError, "^dtype is 'junk'; expected float32, float64"),
    "no dtype of a base": (lambda: ip.Gradient((4, 5), dtype="junk"), TypeError, "^dtype is 'junk'; expected float32"),
    "no dtype of Fourier": (lambda: ip.FourierTransform((4, 5), dtype="junk"), TypeError, "^dtype is 'junk'; expected"),
    "no path": (lambda: RAY.geometry.show(3), TypeError, "^path is int; expected a path"),
    "complex dtype": (lambda: ray(dtype="complex64"), TypeError, "^dtype is complex64"),
    "shape": (lambda: RAY.apply(U.T), ValueError, r"^x has shape \(7, 5\); .* expects \(5, 7\)"),
    "flat": (lambda: RAY.apply(U.ravel()), ValueError, r"^x has shape \(35,\)"),
    "data shape": (lambda: RAY.apply_adjoint(U), ValueError, r"^y has shape \(5, 7\)"),
    "precision": (lambda: RAY.apply(U.astype(float)), TypeError, "^x has dtype float64; .* expects float32"),
    "integers": (lambda: RAY.apply(U.astype(int)), TypeError, "^x has dtype int64"),
    "complex": (lambda: RAY.apply(U + 1j), TypeError, "^x has dtype complex64"),
    "complex for PyLops": (lambda: RAY.matvec(U.ravel() + 1j), TypeError, "^x is complex64"),
    "list": (lambda: RAY.apply(U.tolist()), TypeError, r"^x is list; expected an array of shape \(5, 7\)"),
    "list of data": (lambda: RAY.apply_adjoint([1.0]), TypeError, "^y is list; expected an array of shape"),
    "out is a list": (lambda: RAY.apply(U, out=[1.0]), TypeError, "^out is list; expected a NumPy or CuPy array"),
    "strided out": (lambda: RAY.apply(U, out=np.empty((3, 18), np.float32)[:, ::2]), ValueError, "^out has shape"),
    "truncated normal": (lambda: ray(n_det=3).normal(), ValueError, "^A has a truncated detector"),
    "composition": (lambda: RAY @ RAY, ValueError, "^A B needs"),
    "mixed composition": (lambda: Composition(RAY, Identity((5, 7), "float64")), ValueError, "^A B needs"),
    "sum": (lambda: RAY + Identity((5, 7)), ValueError, r"^A \+ B needs"),
    "mixed sum": (lambda: Sum(Identity((2,)), Identity((2,), "float64")), ValueError, r"^A \+ B needs"),
    "empty stack": (lambda: ip.VStack([]), ValueError, "^ops is empty"),
    "stack": (lambda: ip.VStack([RAY, Identity((7, 5))]), ValueError, "^ops take"),
    "complex transpose": (lambda: COMPLEX.T, TypeError, "^A.T of the complex"),
    "no operator": (lambda: as_operator("A"), TypeError, "^A is str"),
    "3-D matrix": (lambda: as_operator(np.zeros((2, 2, 2))), TypeError, "^A is ndarray"),
    "integer matrix": (lambda: as_operator(np.eye(2, dtype=int)), TypeError, "^A has dtype int64"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_in_one_line(case: str) -> None:
    call, error, message = BAD[case]
    with pytest.raises(error, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


# ---------------------------------------------------------------- any shape, layout and precision

sizes = st.integers(1, 9)
dtypes = st.sampled_from(["float32", "float64"])
layouts = st.sampled_from(["C", "F", "strided", "reversed", "read-only", "broadcast"])
makers = {
    "identity": lambda dims, dtype: Identity(dims, dtype),
    "gradient": lambda dims, dtype: ip.Gradient(dims, dtype),
    "stack": lambda dims, dtype: ip.VStack([Identity(dims, dtype), ip.Gradient(dims, dtype)]),
    "ray": lambda dims, dtype: ip.RayTransform(dims, [0.1, 0.9, 2.0], det_spacing=1.2, dtype=dtype),
}


def arranged(x: np.ndarray, layout: str) -> np.ndarray:
    """The values of ``x`` in another memory layout."""
    if layout == "F":
        return np.asfortranarray(x)
    if layout == "strided":
        wide = np.repeat(x, 2, axis=-1)
        return wide[..., ::2]
    if layout == "reversed":
        return np.ascontiguousarray(x[..., ::-1])[..., ::-1]
    if layout == "broadcast":
        return np.broadcast_to(x, x.shape)  # read-only, no memory of its own
    y = x.copy()
    y.flags.writeable = layout != "read-only"
    return y


@given(st.sampled_from(sorted(makers)), sizes, sizes, st.lists(st.integers(0, 3), max_size=2), dtypes, layouts)
def test_any_shape_layout_and_precision(kind: str, ny: int, nx: int, batch: list[int], dtype: str, layout: str) -> None:
    A, rng = makers[kind]((ny, nx), dtype), np.random.default_rng(0)
    u = rng.standard_normal((*batch, ny, nx)).astype(dtype)
    v = rng.standard_normal((*batch, *A.dimsd)).astype(dtype)
    Au, Av = A.apply(arranged(u, layout)), A.apply_adjoint(arranged(v, layout))
    assert Au.shape == v.shape and Av.shape == u.shape and Au.dtype == Av.dtype == dtype
    assert Au.tobytes() == A.apply(u).tobytes() and Av.tobytes() == A.apply_adjoint(v).tobytes()
    gap = abs(np.vdot(Au.astype(float), v.astype(float)) - np.vdot(u.astype(float), Av.astype(float)))
    allowed = 1e-5 if dtype == "float32" else 1e-10
    assert gap <= allowed * np.linalg.norm(Au) * np.linalg.norm(v)
