"""The kernels of primal-dual TGV against plain NumPy, on any device; the twins; adjointness; refused input."""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from ipbox.kernels.tgv import front as tgv
from tests.contracts.support import draw, host
from tests.kernels.twins import forced, once, twins

# (batch, dims): odd sizes, batches, axes of length 1 and 2, rows longer than a vector register
SHAPES = [
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
BIG = [((), (257, 263)), ((2,), (19, 23, 41))]  # large enough for the parallel twins
DTYPES = ["float32", "float64"]
SPACING = (0.5, 1.25, 2.0)
SIGMA, RADIUS_P, RADIUS_Q, RHO = 0.4, 1.2, 0.7, 1.9
TAU, WEIGHT = 0.3, 1.7


class Data:
    """Random u, v, y, with v and p zero where they do not exist, and room for results."""

    def __init__(self, batch: tuple[int, ...], dims: tuple[int, ...], dtype: str, xp: ModuleType = np) -> None:
        rng, c = np.random.default_rng(0), len(dims)
        self.spacing = SPACING[:c]
        m = tgv.components(c)
        self.u, self.b, self.x_bar = (draw(rng, batch + dims, dtype, xp) for _ in range(3))
        self.v, self.y, self.out = (draw(rng, batch + (k,) + dims, dtype, xp) for k in (c, m, m))
        for a in range(c):
            last = (..., *[slice(None)] * a, -1, *[slice(None)] * (c - 1 - a))
            self.v[..., a, *[slice(None)] * c][last] = 0
            self.y[..., a, *[slice(None)] * c][last] = 0
        self.sizes = np.zeros(2)

    def arrays(self) -> list[Any]:
        return [self.u, self.v, self.y, self.out, self.x_bar, self.sizes]


# ---------------------------------------------------------------- the reference: K as whole-array differences


def along(x: np.ndarray, a: int, c: int, which: slice) -> np.ndarray:
    """Part of x along the a-th of its last c axes."""
    return x[(..., which, *[slice(None)] * (c - 1 - a))]


def difference(x: np.ndarray, a: int, c: int, h: float, forward: bool) -> np.ndarray:
    """(x_{i+1} - x_i)/h, at i where ``forward``, else at i + 1; 0 where there is none."""
    d = np.zeros_like(x)
    step = along(x, a, c, slice(1, None)) - along(x, a, c, slice(None, -1))
    along(d, a, c, slice(None, -1) if forward else slice(1, None))[...] = step / h
    return d


def K(u: np.ndarray, v: np.ndarray, spacing: tuple[float, ...]) -> np.ndarray:
    """(∇u - v, E v): v_a without its last index, J_ab where both its entries are."""
    c = len(spacing)
    v = np.moveaxis(v, -c - 1, 0)
    p = [difference(u, a, c, spacing[a], True) - existing(v[a], a, c) for a in range(c)]

    def jacobian(a: int, b: int) -> np.ndarray:
        return existing(difference(v[a], b, c, spacing[b], False), a, c)

    diagonal = [jacobian(a, a) for a in range(c)]
    pairs = [(jacobian(a, b) + jacobian(b, a)) / math.sqrt(2) for a in range(c) for b in range(a + 1, c)]
    return np.stack([*p, *diagonal, *pairs], axis=-c - 1)


def existing(x: np.ndarray, a: int, c: int) -> np.ndarray:
    """x where ∂_a exists, else 0."""
    x = x.copy()
    along(x, a, c, slice(-1, None))[...] = 0
    return x


def lengths(y: np.ndarray, c: int) -> tuple[np.ndarray, np.ndarray]:
    """|p| and |q| of every pixel, with the axis of the components kept."""
    y = np.moveaxis(y, -c - 1, 0)
    return tuple(np.expand_dims(np.sqrt((part**2).sum(axis=0)), -c - 1) for part in (y[:c], y[c:]))


def adjoint(y: np.ndarray, u: np.ndarray, v: np.ndarray, spacing: tuple[float, ...]) -> None:
    """K* as the transpose of the matrix of K."""
    c, dims = len(spacing), u.shape[u.ndim - len(spacing) :]
    n, m = math.prod(dims), tgv.components(c)
    e = np.eye(n * (1 + c))
    matrix = K(e[:, :n].reshape((-1, *dims)), e[:, n:].reshape((-1, c, *dims)), spacing).reshape(len(e), -1)
    result = y.reshape(-1, m * n).astype(np.float64) @ matrix.T
    u[...], v[...] = result[:, :n].reshape(u.shape), result[:, n:].reshape(v.shape)


class Plain:
    """The functions of ``ipbox.kernels.tgv.front`` in plain NumPy."""

    @staticmethod
    def tgv_forward(u: Any, v: Any, out: Any, spacing: Any) -> None:
        out[...] = K(u, v, spacing)

    @staticmethod
    def tgv_adjoint(y: Any, u: Any, v: Any, spacing: Any, add: bool = False) -> None:
        before = u.copy()
        adjoint(y, u, v, spacing)
        if add:
            u += before

    @staticmethod
    def tgv_dual_step(y: Any, u: Any, v: Any, sigma: float, rp: float, rq: float, spacing: Any, rho: float = 1) -> None:
        c = len(spacing)
        z = y + sigma * K(u, v, spacing)
        size_p, size_q = lengths(z, c)
        scale = [1 / np.maximum(size_p / rp, 1)] * c + [1 / np.maximum(size_q / rq, 1)] * (tgv.components(c) - c)
        y[...] = (1 - rho) * y + rho * z * np.concatenate(scale, axis=-c - 1)

    @staticmethod
    def tgv_sizes(u: Any, v: Any, spacing: Any) -> np.ndarray:
        c = len(spacing)
        sizes = lengths(K(u.astype(np.float64), v.astype(np.float64), spacing), c)
        batch = math.prod(u.shape[: u.ndim - c])
        return np.stack([s.reshape(batch, -1).sum(axis=1) for s in sizes])

    @staticmethod
    def relaxed_step(x: Any, d: Any, tau: float, rho: float, x_bar: Any, b: Any = None, w: float = 1.0) -> None:
        z = x - tau * d
        if b is not None:
            z = (z + tau * w * b) / (1 + tau * w)
        x_bar[...] = 2 * z - x
        x[...] = (1 - rho) * x + rho * z


def sizes(m: Any, a: Data) -> None:
    a.sizes = m.tgv_sizes(a.u, a.v, a.spacing)


BALLS = (SIGMA, RADIUS_P, RADIUS_Q)
CALLS = {
    "forward": lambda m, a: m.tgv_forward(a.u, a.v, a.out, a.spacing),
    "adjoint": lambda m, a: m.tgv_adjoint(a.y, a.u, a.v, a.spacing),
    "adjoint, added": lambda m, a: m.tgv_adjoint(a.y, a.u, a.v, a.spacing, add=True),
    "dual step": lambda m, a: m.tgv_dual_step(a.y, a.u, a.v, *BALLS, a.spacing),
    "dual step, over-relaxed": lambda m, a: m.tgv_dual_step(a.y, a.u, a.v, *BALLS, a.spacing, RHO),
    "sizes": sizes,
    "relaxed step": lambda m, a: m.relaxed_step(a.u, a.b, TAU, RHO, a.x_bar),
    "relaxed step with data": lambda m, a: m.relaxed_step(a.u, a.b, TAU, RHO, a.x_bar, b=a.b, w=WEIGHT),
}


def compare(call: str, dtype: str, shapes: list[Any], xp: ModuleType = np) -> None:
    for batch, dims in shapes:
        fused, plain = Data(batch, dims, dtype, xp), Data(batch, dims, dtype)
        CALLS[call](tgv, fused)
        CALLS[call](Plain, plain)
        for a, b in zip(fused.arrays(), plain.arrays(), strict=True):
            assert a.dtype == b.dtype and a.shape == b.shape
            tolerance = 128 * np.finfo(dtype).eps * (1 if call != "sizes" else max(1.0, float(b.max())))
            np.testing.assert_allclose(host(a), b, rtol=0, atol=tolerance)


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
            CALLS[call](tgv, data)
            results.append(b"".join(a.tobytes() for a in data.arrays()))
        assert results[0] == results[1]


@pytest.mark.parametrize("dims", [(19, 33), (5, 6, 17)])
def test_adjoint(dims: tuple[int, ...]) -> None:
    a, b = Data((2,), dims, "float64"), Data((2,), dims, "float64")
    tgv.tgv_forward(a.u, a.v, a.out, a.spacing)
    tgv.tgv_adjoint(b.y, b.u, b.v, b.spacing)
    assert np.vdot(a.out, b.y) == pytest.approx(np.vdot(a.u, b.u) + np.vdot(a.v, b.v), rel=1e-12)


@pytest.mark.parametrize("call", ["forward", "adjoint", "dual step", "dual step, over-relaxed"])
def test_what_does_not_exist_stays_zero(call: str, xp: ModuleType) -> None:
    """v_a and p_a at the last index of axis a, and J_ab where an entry is missing."""
    for dims in ((4, 5), (3, 2, 4)):
        data, c = Data((), dims, "float64", xp), len(dims)
        q_exists = K(np.random.default_rng(1).random(dims), np.random.default_rng(2).random((c, *dims)), data.spacing)
        data.y *= xp.asarray((q_exists != 0).astype("float64"))
        CALLS[call](tgv, data)
        for field in (host(data.v), host(data.out if call == "forward" else data.y)):
            for a in range(c):
                assert not along(field[a], a, c, slice(-1, None)).any()
        q = host(data.out if call == "forward" else data.y)[c:]
        assert not q[q_exists[c:] == 0].any()


@pytest.mark.parametrize("call", ["forward", "adjoint", "dual step", "relaxed step with data"])
def test_nan_goes_where_the_reference_has_it(call: str, xp: ModuleType) -> None:
    for dims in ((5, 6), (3, 4, 5)):
        fused, plain = Data((), dims, "float32", xp), Data((), dims, "float32")
        for data in (fused, plain):
            data.u.reshape(-1)[3] = np.nan
            data.b.reshape(-1)[4] = np.nan
        if call == "adjoint":
            fused.y.reshape(-1)[3] = np.nan
        CALLS[call](tgv, fused)
        if call == "adjoint":  # a matrix would spread it
            assert np.isnan(host(fused.u)).sum() == 2 and np.isnan(host(fused.v)).sum() == 1
            continue
        CALLS[call](Plain, plain)
        for a, b in zip(fused.arrays(), plain.arrays(), strict=True):
            np.testing.assert_array_equal(np.isfinite(host(a)), np.isfinite(b))


def test_empty_arrays_are_left_alone() -> None:
    u, v, y = (np.empty((0, *lead, 4, 5), np.float32) for lead in ((), (2,), (5,)))
    tgv.tgv_forward(u, v, y, (1.0, 2.0))
    tgv.tgv_adjoint(y, u, v, (1.0, 2.0))
    tgv.tgv_dual_step(y, u, v, 1.0, 1.0, 1.0, (1.0, 2.0))
    assert tgv.tgv_sizes(u, v, (1.0, 2.0)).shape == (2, 0)


U, V, Y = (np.zeros(lead + (4, 6), np.float32) for lead in ((), (2,), (5,)))
READ_ONLY = Y.copy()
READ_ONLY.flags.writeable = False
H = (1.0, 1.0)
BAD = {
    "list": (lambda: tgv.tgv_forward(U.tolist(), V, Y, H), TypeError, "^u is a list"),
    "integers": (lambda: tgv.tgv_forward(U.astype(int), V, Y, H), TypeError, "^u has dtype int64"),
    "mixed": (lambda: tgv.tgv_adjoint(Y, U, V.astype("float64"), H), TypeError, "dtype float64"),
    "field": (lambda: tgv.tgv_forward(U, Y, Y.copy(), H), ValueError, r"^v has shape \(5, 4, 6\); expected \(2, 4, 6"),
    "dual": (lambda: tgv.tgv_adjoint(V, U, V.copy(), H), ValueError, r"^y has shape \(2, 4, 6\); expected \(5, 4, 6\)"),
    "read-only": (lambda: tgv.tgv_dual_step(READ_ONLY, U, V, 1.0, 1.0, 1.0, H), ValueError, "^y is read-only"),
    "strides": (lambda: tgv.tgv_adjoint(Y, U, V.swapaxes(1, 2), H), ValueError, "strides"),
    "spacing": (lambda: tgv.tgv_sizes(U, V, (1.0, 0.0)), ValueError, "^spacing is"),
    "one axis": (lambda: tgv.tgv_sizes(U, V, (1.0,)), ValueError, "^spacing is .*; expected two or three"),
    "few axes": (lambda: tgv.tgv_sizes(U[0], V, H), ValueError, r"^u has shape \(6,\); expected at least 2 axes"),
    "radius": (lambda: tgv.tgv_dual_step(Y, U, V, 1.0, -1.0, 1.0, H), ValueError, "^radius_p is -1.0"),
    "NaN radius": (lambda: tgv.tgv_dual_step(Y, U, V, 1.0, 1.0, math.nan, H), ValueError, "radius_q nan"),
    "aliased": (lambda: tgv.relaxed_step(U, U.copy(), 1.0, 1.0, U), ValueError, "memory"),
    "shape": (lambda: tgv.relaxed_step(U, V, 1.0, 1.0, U.copy()), ValueError, r"^d has shape \(2, 4, 6\)"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_does_not_fit_is_refused_in_one_line(case: str) -> None:
    call, error, message = BAD[case]
    with pytest.raises(error, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
