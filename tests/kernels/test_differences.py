"""The kernels of derivatives with voxel sizes against their references, on any device; the twins; refused input."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest

from ipbox.kernels.core import reference
from ipbox.kernels.differences import front as derivatives
from tests.contracts.support import draw, host
from tests.kernels.twins import forced, once, twins

# (batch, dims): odd sizes, batches, axes of length 1 and 2, rows longer than a vector register
SHAPES = [
    ((), (9,)),
    ((2,), (1,)),
    ((), (2,)),
    ((), (7, 13)),
    ((2, 2), (4, 3)),
    ((), (1, 9)),
    ((), (9, 1)),
    ((), (2, 2)),
    ((), (1, 1)),
    ((), (3, 4, 5)),
    ((2,), (2, 3, 2)),
    ((), (4, 1, 5)),
    ((), (1, 6, 2)),
    ((), (4, 5, 1)),
]
LONG = [((3,), (5, 67)), ((), (4, 5, 35))]
BIG = [((2,), (30011,)), ((), (257, 263)), ((2,), (19, 23, 41))]  # large enough for the parallel twins
DTYPES = ["float32", "float64", "complex64", "complex128"]
SPACING = (0.5, 1.25, 2.0)


class Data:
    """Random images x, vector fields y and v, symmetric tensor fields q."""

    def __init__(self, batch: tuple[int, ...], dims: tuple[int, ...], dtype: str, xp: ModuleType = np) -> None:
        rng, c = np.random.default_rng(0), len(dims)
        self.spacing = SPACING[:c]
        shapes = [(), (c,), (c,), (c * (c + 1) // 2,)]
        self.x, self.y, self.v, self.q = (draw(rng, batch + lead + dims, dtype, xp) for lead in shapes)

    def arrays(self) -> list[Any]:
        return [self.x, self.y, self.v, self.q]


CALLS = {
    "gradient": lambda m, a: m.spaced_gradient(a.x, a.y, a.spacing),
    "gradient adjoint": lambda m, a: m.spaced_gradient_adjoint(a.y, a.x, a.spacing),
    "gradient adjoint, added": lambda m, a: m.spaced_gradient_adjoint(a.y, a.x, a.spacing, add=True),
    "symmetrised": lambda m, a: m.symmetrised_gradient(a.v, a.q, a.spacing),
    "symmetrised adjoint": lambda m, a: m.symmetrised_gradient_adjoint(a.q, a.v, a.spacing),
    "symmetrised adjoint, added": lambda m, a: m.symmetrised_gradient_adjoint(a.q, a.v, a.spacing, add=True),
}


def compare(call: str, dtype: str, shapes: list[Any], xp: ModuleType = np) -> None:
    for batch, dims in shapes:
        fused, plain = Data(batch, dims, dtype, xp), Data(batch, dims, dtype)
        CALLS[call](derivatives, fused)
        CALLS[call](reference, plain)
        for a, b in zip(fused.arrays(), plain.arrays(), strict=True):
            assert isinstance(a, xp.ndarray) and a.dtype == b.dtype
            np.testing.assert_allclose(host(a), b, rtol=0, atol=128 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("call", CALLS)
def test_kernel_equals_reference(call: str, dtype: str, xp: ModuleType) -> None:
    compare(call, dtype, SHAPES, xp)


@twins(*DTYPES)
@pytest.mark.parametrize("call", CALLS)
def test_both_twins_equal_the_reference(call: str, twin: str, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    forced(monkeypatch, twin)
    compare(call, dtype, SHAPES + LONG)


@pytest.mark.parametrize("dtype", once(*DTYPES))
@pytest.mark.parametrize("call", CALLS)
def test_parallel_and_serial_agree_bit_for_bit(call: str, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for batch, dims in BIG:
        results = []
        for twin in ("parallel", "serial"):
            forced(monkeypatch, twin)
            data = Data(batch, dims, dtype)
            CALLS[call](derivatives, data)
            results.append(b"".join(a.tobytes() for a in data.arrays()))
        assert results[0] == results[1]


@pytest.mark.parametrize("call", CALLS)
def test_nan_and_inf_go_where_the_reference_has_them(call: str, xp: ModuleType) -> None:
    for dims in ((5, 6), (3, 4, 5), (7,)):
        fused, plain = Data((), dims, "float32", xp), Data((), dims, "float32")
        for data in (fused, plain):
            for a in data.arrays():
                a.reshape(-1)[3] = np.nan
                a.reshape(-1)[-1:] = np.inf  # at the boundary
        CALLS[call](derivatives, fused)
        with np.errstate(invalid="ignore"):
            CALLS[call](reference, plain)
        for a, b in zip(fused.arrays(), plain.arrays(), strict=True):
            np.testing.assert_array_equal(np.isfinite(host(a)), np.isfinite(b))


def test_with_pixels_of_width_one_it_is_the_gradient_of_tv() -> None:
    from ipbox import kernels

    for batch, dims in [((2,), (7, 13)), ((), (3, 4, 5))]:
        one, two = (Data(batch, dims, "float32") for _ in range(2))
        kernels.gradient(one.x, one.y, len(dims))
        derivatives.spaced_gradient(two.x, two.y, (1.0,) * len(dims))
        assert one.y.tobytes() == two.y.tobytes()


def test_empty_arrays_are_left_alone() -> None:
    x, y = np.empty((0, 4, 5), np.float32), np.empty((0, 2, 4, 5), np.float32)
    derivatives.spaced_gradient(x, y, (1.0, 2.0))
    derivatives.symmetrised_gradient(y, np.empty((0, 3, 4, 5), np.float32), (1.0, 2.0))


X, V, Q = (np.zeros(lead + (4, 6), np.float32) for lead in ((), (2,), (3,)))
READ_ONLY = V.copy()
READ_ONLY.flags.writeable = False
H = (1.0, 1.0)
BAD = {
    "list": (lambda: derivatives.spaced_gradient(X.tolist(), V, H), TypeError, "^x is a list"),
    "integers": (lambda: derivatives.spaced_gradient(X.astype(int), V, H), TypeError, "^x has dtype int64; .*128"),
    "mixed": (lambda: derivatives.spaced_gradient(X, V.astype("complex64"), H), TypeError, "^out has dtype complex64"),
    "field": (lambda: derivatives.spaced_gradient(X, Q, H), ValueError, r"^out has shape \(3, 4, 6\); expected \(2,"),
    "read-only": (lambda: derivatives.spaced_gradient(X, READ_ONLY, H), ValueError, "^out is read-only"),
    "strides": (lambda: derivatives.spaced_gradient_adjoint(V, X.T, H), ValueError, "^out has strides"),
    "spacing": (lambda: derivatives.spaced_gradient(X, V, (1.0, 0.0)), ValueError, "^spacing is"),
    "many axes": (lambda: derivatives.spaced_gradient(X, V, (1.0,) * 4), ValueError, "^spacing is"),
    "few axes": (lambda: derivatives.symmetrised_gradient(X, Q, H), ValueError, "at least 3 axes"),
    "no field": (lambda: derivatives.symmetrised_gradient(Q, Q, H), ValueError, "a vector field"),
    "no tensor": (lambda: derivatives.symmetrised_gradient(V, V.copy(), H), ValueError, "tensor field over v"),
    "adjoint": (lambda: derivatives.symmetrised_gradient_adjoint(V, V.copy(), H), ValueError, "^q has shape"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_does_not_fit_is_refused_in_one_line(case: str) -> None:
    call, error, message = BAD[case]
    with pytest.raises(error, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
