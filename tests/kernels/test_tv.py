"""Kernels against their readable references, in every twin and layout; threads and refused input."""

from __future__ import annotations

import math
import threading

import numpy as np
import pytest

import ipbox.kernels as kernels
from ipbox import backend
from ipbox.kernels.core import reference
from ipbox.kernels.core.layout import fields, images
from tests.kernels.twins import forced, once, twins

# (batch, dims): odd sizes, batches, axes of size 1, rows longer than a vector register and than its remainder
SHAPES = [
    ((), (7, 13)),
    ((3,), (5, 67)),
    ((2, 2), (4, 3)),
    ((), (1, 9)),
    ((), (9, 1)),
    ((), (1, 1)),
    ((), (2, 2)),
    ((), (5, 7, 11)),
    ((2,), (3, 4, 35)),
    ((), (1, 6, 5)),
    ((), (6, 1, 5)),
    ((), (4, 5, 1)),
    ((3,), (1, 1, 1)),
]
BIG = [((), (257, 263)), ((2,), (19, 43, 41))]  # large enough for the parallel twins
DTYPES = [np.float32, np.float64]


class Data:
    """Random images x, d, x_bar, b and a vector field y of one shape and dtype."""

    def __init__(self, batch, dims, dtype, seed=0):
        rng = np.random.default_rng(seed)
        self.ndim = len(dims)
        self.x, self.d, self.x_bar, self.b = (rng.standard_normal(batch + dims).astype(dtype) for _ in range(4))
        self.y = rng.standard_normal(batch + (self.ndim,) + dims).astype(dtype)

    def arrays(self):
        return [self.x, self.d, self.x_bar, self.b, self.y]


# name -> call on (module, data): the module is ipbox.kernels or its reference
CALLS = {
    "gradient": lambda m, a: m.gradient(a.x, a.y, a.ndim),
    "adjoint": lambda m, a: m.gradient_adjoint(a.y, a.x, a.ndim),
    "adjoint_add": lambda m, a: m.gradient_adjoint(a.y, a.x, a.ndim, add=True),
    "dual": lambda m, a: m.tv_dual_step(a.y, a.x_bar, 0.3, 0.7, a.ndim),
    "dual_anisotropic": lambda m, a: m.tv_dual_step(a.y, a.x_bar, 0.3, 0.7, a.ndim, isotropic=False),
    "primal": lambda m, a: m.primal_step(a.x, a.d, 0.4, 0.9, a.x_bar),
    "primal_box": lambda m, a: m.primal_step(a.x, a.d, 0.4, 0.9, a.x_bar, lo=0.0, hi=0.5),
    "primal_l2": lambda m, a: m.primal_step(a.x, a.d, 0.4, 0.9, a.x_bar, lo=0.0, b=a.b, w=1.7),
    "tv_primal": lambda m, a: m.tv_primal_step(a.x, a.y, 0.4, 0.9, a.x_bar, a.ndim),
    "tv_primal_box": lambda m, a: m.tv_primal_step(a.x, a.y, 0.4, 0.9, a.x_bar, a.ndim, -0.1, 0.5),
    "tv_primal_l2": lambda m, a: m.tv_primal_step(a.x, a.y, 0.4, 0.9, a.x_bar, a.ndim, b=a.b, w=1.7),
    "step": lambda m, a: m.tv_step(a.x, a.x_bar, a.y, 0.3, 0.7, 0.4, 0.9, a.ndim, True, 0.0, b=a.b, w=1.7),
    "step_more": lambda m, a: m.tv_step(a.x, a.x_bar, a.y, 0.3, 0.7, 0.4, 0.9, a.ndim, True, 0.0, 0.5, d=a.d.copy()),
    "step_relaxed": lambda m, a: m.tv_step(a.x, a.x_bar, a.y, 0.3, 0.7, 0.4, 1.0, a.ndim, d=a.d.copy(), rho=1.8),
    "step_box": lambda m, a: m.tv_step(a.x, a.x_bar, a.y, 0.3, 0.7, 0.4, 0.9, a.ndim, False, -0.1, 0.5),
}


def assert_close(actual: np.ndarray, expected: np.ndarray) -> None:
    """Equal up to a few roundings of numbers of size 10, with NaN in the same places."""
    assert actual.dtype == expected.dtype
    np.testing.assert_allclose(actual, expected, rtol=0, atol=64 * np.finfo(actual.dtype).eps)


@twins(*DTYPES)
@pytest.mark.parametrize("call", CALLS)
def test_kernel_equals_reference(call, dtype, twin, monkeypatch):
    forced(monkeypatch, twin)
    for batch, dims in SHAPES:
        fused, plain = Data(batch, dims, dtype), Data(batch, dims, dtype)
        CALLS[call](kernels, fused)
        CALLS[call](reference, plain)
        for a, b in zip(fused.arrays(), plain.arrays(), strict=True):
            assert_close(a, b)


@pytest.mark.parametrize("dtype", once(*DTYPES))
@pytest.mark.parametrize("call", CALLS)
def test_parallel_and_serial_agree_bit_for_bit(call, dtype, monkeypatch):
    for batch, dims in BIG:
        results = []
        for twin in ("parallel", "serial"):
            forced(monkeypatch, twin)
            data = Data(batch, dims, dtype)
            CALLS[call](kernels, data)
            results.append(data.arrays())
        for a, b in zip(*results, strict=True):
            assert a.tobytes() == b.tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("isotropic", [True, False])
def test_tv_value(dtype, isotropic, monkeypatch):
    for batch, dims in SHAPES + BIG:
        data = Data(batch, dims, dtype)
        values = []
        for twin in ("parallel", "serial"):
            forced(monkeypatch, twin)
            values.append(kernels.tv_value(data.x, data.ndim, isotropic))
        assert values[0].tobytes() == values[1].tobytes()
        assert values[0].dtype == np.float64 and values[0].shape == batch
        np.testing.assert_allclose(values[0], reference.tv_value(data.x, data.ndim, isotropic), rtol=1e-13)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("isotropic", [True, False])
def test_tv_dual_size(dtype, isotropic, monkeypatch):
    for batch, dims in SHAPES + BIG:
        data = Data(batch, dims, dtype)
        values = []
        for twin in ("parallel", "serial"):
            forced(monkeypatch, twin)
            values.append(kernels.tv_dual_size(data.y, data.ndim, isotropic))
        assert values[0].tobytes() == values[1].tobytes()
        assert values[0].dtype == np.float64 and values[0].shape == batch
        np.testing.assert_allclose(values[0], reference.tv_dual_size(data.y, data.ndim, isotropic), rtol=1e-14)
        data.y[..., -1:, -1:] = np.nan
        assert np.isnan(kernels.tv_dual_size(data.y, data.ndim, isotropic)).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("isotropic", [True, False])
def test_tv_dual_change(dtype, isotropic, monkeypatch):
    for batch, dims in SHAPES + BIG:
        data = Data(batch, dims, dtype)
        before, values = data.y.copy(), []
        for twin in ("parallel", "serial"):
            forced(monkeypatch, twin)
            values.append(kernels.tv_dual_change(data.y, data.x, 0.3, 0.7, data.ndim, isotropic))
        np.testing.assert_array_equal(*values)
        np.testing.assert_array_equal(data.y, before)
        expected = reference.tv_dual_change(data.y, data.x, 0.3, 0.7, data.ndim, isotropic)
        for a, b in zip(values[0], expected, strict=True):
            assert a.shape == batch
            np.testing.assert_allclose(a, b, rtol=64 * np.finfo(dtype).eps)


@pytest.mark.simulated
@pytest.mark.parametrize("batch, dims", [((), (3, 5)), ((2,), (2, 3, 4))])
@pytest.mark.parametrize("more", [False, True])
@pytest.mark.parametrize("rho", [1.0, 1.8])
def test_both_steps_on_the_device(batch, dims, more, rho, xp):
    """There two kernels or three stand for the one pass of the host."""
    host, given = (Data(batch, dims, np.float32) for _ in range(2))
    device = {name: xp.asarray(getattr(given, name)) for name in ("x", "x_bar", "y", "b", "d")}
    args = (0.3, 0.7, 0.4, 0.9, host.ndim)
    data = {"lo": -0.5, "w": 1.7, "rho": rho}
    kernels.tv_step(host.x, host.x_bar, host.y, *args, b=host.b, d=host.d if more else None, **data)
    d = device["d"] if more else None
    kernels.tv_step(device["x"], device["x_bar"], device["y"], *args, b=device["b"], d=d, **data)
    for name in ("x", "x_bar", "y"):
        assert_close(backend.to_host(device[name]), getattr(host, name))
    for name, rest in (("tv_dual_change", (0.3, 0.7)), ("tv_dual_size", ())):
        x = ((host.x,), (device["x"],)) if rest else ((), ())
        on_host = getattr(kernels, name)(host.y, *x[0], *rest, host.ndim)
        on_device = getattr(kernels, name)(device["y"], *x[1], *rest, host.ndim)
        for a, c in zip(np.atleast_1d(on_host), map(backend.to_host, np.atleast_1d(on_device)), strict=True):
            np.testing.assert_allclose(c, a, rtol=1e-4)


def test_tv_dual_size_neither_overflows_nor_hides_a_vector():
    y = np.zeros((2, 3, 2, 4, 5), np.float32)
    y[1, :, 1, 2, 3] = 2e30, -1e30, 2e30
    assert kernels.tv_dual_size(y, 3).tolist() == pytest.approx([0.0, 3e30], rel=1e-6)
    assert kernels.tv_dual_size(y, 3, isotropic=False).tolist() == [0.0, float(np.float32(2e30))]


def test_tv_value_of_a_known_image():
    disc = np.zeros((20, 30), np.float32)
    disc[5:11, 7:16] = 2.0  # a 6 x 9 rectangle: one corner pixel sees both jumps, another neither
    assert float(kernels.tv_value(disc, 2, isotropic=False)) == 2 * (2 * 6 + 2 * 9)
    assert float(kernels.tv_value(disc, 2)) == pytest.approx(2 * (2 * 6 + 2 * 9 - 2 + math.sqrt(2)), rel=1e-14)


@pytest.mark.parametrize("dtype", DTYPES)
def test_adjoint(dtype):
    for batch, dims in SHAPES + BIG:
        data = Data(batch, dims, dtype)
        gx, gty = np.empty_like(data.y), np.empty_like(data.x)
        kernels.gradient(data.x, gx, data.ndim)
        kernels.gradient_adjoint(data.y, gty, data.ndim)
        left = np.vdot(gx.astype(float), data.y.astype(float))
        right = np.vdot(data.x.astype(float), gty.astype(float))
        scale = np.linalg.norm(gx) * np.linalg.norm(data.y)
        assert abs(left - right) <= 4 * np.finfo(dtype).eps * max(scale, 1.0)


def test_fused_primal_step_is_its_two_parts_bit_for_bit():
    for batch, dims in SHAPES:
        one, two = (Data(batch, dims, np.float32) for _ in range(2))
        CALLS["tv_primal_l2"](kernels, one)
        kernels.gradient_adjoint(two.y, two.d, two.ndim)
        kernels.primal_step(two.x, two.d, 0.4, 0.9, two.x_bar, b=two.b, w=1.7)
        assert one.x.tobytes() == two.x.tobytes() and one.x_bar.tobytes() == two.x_bar.tobytes()


@pytest.mark.parametrize("isotropic", [True, False])
@pytest.mark.parametrize("threads", [1, 2, 3, 64])
def test_one_pass_is_the_two_steps_bit_for_bit(threads, isotropic, monkeypatch):
    """However the slabs are dealt out: to more threads than there are, and across the samples of a batch."""
    monkeypatch.setattr("ipbox.kernels.tv.front.cpu_threads", lambda: threads)
    for batch, dims in SHAPES + BIG[:1]:
        one, two = (Data(batch, dims, np.float32) for _ in range(2))
        for _ in range(3):
            kernels.tv_step(one.x, one.x_bar, one.y, 0.3, 0.7, 0.4, 0.9, one.ndim, isotropic, lo=-0.5, b=one.b, w=1.7)
            kernels.tv_dual_step(two.y, two.x_bar, 0.3, 0.7, two.ndim, isotropic)
            kernels.tv_primal_step(two.x, two.y, 0.4, 0.9, two.x_bar, two.ndim, lo=-0.5, b=two.b, w=1.7)
            more = one.d.copy()
            kernels.tv_step(one.x, one.x_bar, one.y, 0.3, 0.7, 0.4, 0.9, one.ndim, isotropic, d=more)
            kernels.tv_dual_step(two.y, two.x_bar, 0.3, 0.7, two.ndim, isotropic)
            kernels.gradient_adjoint(two.y, two.d, two.ndim, add=True)
            kernels.primal_step(two.x, two.d, 0.4, 0.9, two.x_bar)
            two.d[...] = one.d
        for a, b in zip(one.arrays(), two.arrays(), strict=True):
            assert a.tobytes() == b.tobytes()


@pytest.mark.parametrize("isotropic", [True, False])
def test_a_relaxed_pass_does_not_depend_on_the_threads(isotropic, monkeypatch):
    for batch, dims in SHAPES + BIG[:1]:
        found = []
        for threads in (1, 2, 3, 64):
            monkeypatch.setattr("ipbox.kernels.tv.front.cpu_threads", lambda threads=threads: threads)
            data = Data(batch, dims, np.float32)
            for _ in range(3):
                kernels.tv_step(data.x, data.x_bar, data.y, 0.3, 0.7, 0.4, 1.0, data.ndim, isotropic, rho=1.7)
            found.append([a.tobytes() for a in data.arrays()])
        assert all(bits == found[0] for bits in found[1:])


def test_dual_step_with_radius_zero_is_zero():
    for isotropic in (True, False):
        data = Data((), (6, 7), np.float32)
        data.y[:, 0, 0], data.x_bar[...] = 0, 1  # a pixel where the length is 0: no 0/0
        kernels.tv_dual_step(data.y, data.x_bar, 0.3, 0.0, 2, isotropic)
        assert np.all(data.y == 0)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("call", CALLS)
def test_nan_and_inf_survive_where_the_reference_has_them(call, dtype):
    for batch, dims in [((), (7, 37)), ((), (3, 4, 21))]:
        fused, plain = Data(batch, dims, dtype), Data(batch, dims, dtype)
        for data in (fused, plain):
            for a in data.arrays():
                a.reshape(-1)[5] = np.nan
            data.x.reshape(-1)[50] = np.inf
        CALLS[call](kernels, fused)
        with np.errstate(invalid="ignore"):
            CALLS[call](reference, plain)
        assert any(np.isnan(a).sum() > 0 for a in fused.arrays())
        for a, b in zip(fused.arrays(), plain.arrays(), strict=True):
            np.testing.assert_array_equal(np.isnan(a), np.isnan(b))
            np.testing.assert_array_equal(np.isinf(a), np.isinf(b))


def test_empty_arrays_are_left_alone():
    x, y = np.empty((0, 4, 5), np.float32), np.empty((0, 2, 4, 5), np.float32)
    kernels.gradient(x, y, 2)
    kernels.tv_dual_step(y, x, 0.1, 1.0, 2)
    kernels.tv_primal_step(x, y, 0.1, 1.0, x.copy(), 2)
    assert kernels.tv_value(x, 2).shape == (0,)
    assert (
        kernels.tv_dual_size(y, 2).shape == (0,)
        and kernels.tv_dual_size(np.empty((3, 2, 0, 5)), 2).tolist() == [0.0] * 3
    )
    assert kernels.tv_value(np.empty((3, 0, 5)), 2).tolist() == [0.0, 0.0, 0.0]
    kernels.gradient(np.empty((4, 0)), np.empty((2, 4, 0)), 2)


def test_read_only_inputs_are_taken():
    data = Data((), (6, 7), np.float32)
    expected = np.empty_like(data.y)
    reference.gradient(data.x, expected, 2)
    data.x.flags.writeable = False
    kernels.gradient(data.x, data.y, 2)
    assert data.y.tobytes() == expected.tobytes()


X, Y = np.zeros((4, 6), np.float32), np.zeros((2, 4, 6), np.float32)
READ_ONLY = np.zeros((2, 4, 6), np.float32)
READ_ONLY.flags.writeable = False
BAD = {
    "list": (lambda: kernels.gradient(X.tolist(), Y, 2), TypeError, "x is a list"),
    "integers": (lambda: kernels.gradient(X.astype(int), Y, 2), TypeError, "x has dtype int64"),
    "complex": (lambda: kernels.tv_value(X + 1j, 2), TypeError, "x has dtype complex64"),
    "mixed": (lambda: kernels.gradient(X, Y.astype(float), 2), TypeError, "out has dtype float64; expected float32"),
    "byte_order": (lambda: kernels.tv_value(X.astype(">f4"), 2), TypeError, "x has dtype >f4"),
    "ndim": (lambda: kernels.gradient(X, Y, 1), ValueError, "ndim is 1; expected 2 or 3"),
    "few_axes": (lambda: kernels.tv_value(X, 3), ValueError, "at least ndim = 3 axes"),
    "field": (lambda: kernels.gradient(X, Y[:1], 2), ValueError, r"out has shape \(1, 4, 6\); expected \(2, 4, 6\)"),
    "strides": (lambda: kernels.tv_value(np.zeros((6, 4)).T, 2), ValueError, "C-contiguous"),
    "read_only": (lambda: kernels.gradient(X, READ_ONLY, 2), ValueError, "out is read-only"),
    "radius": (lambda: kernels.tv_dual_step(Y, X, 1.0, -1.0, 2), ValueError, "radius is -1.0"),
    "radius_nan": (lambda: kernels.tv_dual_step(Y, X, 1.0, math.nan, 2), ValueError, "radius is nan"),
    "bounds": (lambda: kernels.primal_step(X, X, 1.0, 1.0, X.copy(), 2.0, 1.0), ValueError, "lo = 2.0 and hi = 1.0"),
    "shape": (lambda: kernels.primal_step(X, X[:2], 1.0, 1.0, X.copy()), ValueError, "d has shape"),
    "data": (
        lambda: kernels.tv_primal_step(X, Y, 1.0, 1.0, X.copy(), 2, b=X[:2]),
        ValueError,
        r"b has shape \(2, 6\); expected \(4, 6\)",
    ),
    "vectors": (lambda: kernels.tv_dual_size(Y, 3), ValueError, r"expected batch \+ \(3,\) \+ dims"),
    "alias": (lambda: kernels.primal_step(X, X, 1.0, 1.0, X), ValueError, "shares memory"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_does_not_fit_is_refused_in_one_line(case):
    call, error, message = BAD[case]
    with pytest.raises(error, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


# ---------------------------------------------------------------- threads


def _solve(niter: int = 20) -> bytes:
    """Some iterations of TV denoising on an image large enough for the parallel twins."""
    data = Data((), (200, 210), np.float32)
    for _ in range(niter):
        CALLS["dual"](kernels, data)
        CALLS["tv_primal_l2"](kernels, data)
    return data.x.tobytes() + kernels.tv_value(data.x, 2).tobytes()


def test_four_threads_at_once():
    expected = _solve()  # in parallel, here
    results: list[bytes | None] = [None] * 4
    start = threading.Barrier(4)

    def work(i):
        start.wait()
        results[i] = _solve()

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for t in threads:
        t.start()
    main = _solve()  # and the main thread runs parallel code meanwhile
    for t in threads:
        t.join()
    assert main == expected and results == [expected] * 4


# ---------------------------------------------------------------- views


def test_views_share_memory():
    data = Data((2, 3), (4, 5), np.float32)
    assert images(data.x, 2).base is data.x and images(data.x, 2).shape == (6, 1, 4, 5)
    assert fields(data.y, 2).base is data.y and fields(data.y, 2).shape == (6, 2, 1, 4, 5)
