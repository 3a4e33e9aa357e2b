"""What the stand-in promises, one function per rule; ``python -m tests.standin.checks`` runs them and prints JSON.

They run in a process of their own, because the stand-in must not leak into tests on NumPy arrays.
"""

from __future__ import annotations

import copy
import importlib.util
import json
import pickle
import sys
import traceback
import warnings

import numpy as np

from tests.standin import clear_transfers, host, install, transfers
from tests.standin.array import simulated_view


def refused(kind, call, *words):
    """``call()`` raises ``kind`` with a message that holds all ``words``."""
    try:
        result = call()
    except kind as err:
        missing = [w for w in words if w not in str(err)]
        assert not missing, f"{missing} not in {str(err)!r}"
        return
    raise AssertionError(f"not refused: returned {type(result)}")


def same(x, expected):
    """Equal to the host array ``expected`` in values, shape and dtype, and on the device."""
    import cupy

    assert type(x) is cupy.ndarray, type(x)
    assert (x.shape, x.dtype) == (expected.shape, expected.dtype), (x.shape, x.dtype)
    np.testing.assert_array_equal(host(x), expected)


def check_modules_have_a_spec(cp):
    for name in "cupy cupy.cuda cupyx cupyx.scipy.fft cupyx.scipy.ndimage cupyx.scipy.sparse cufinufft".split():
        assert importlib.util.find_spec(name) is sys.modules[name].__spec__
    import cupyx.scipy.fft as fft

    assert fft is sys.modules["cupyx.scipy.fft"] and install() is cp


def check_not_a_numpy_array(cp):
    x = cp.ones(3)
    assert not isinstance(x, np.ndarray)
    refused(TypeError, lambda: np.asarray(x), "Implicit conversion", ".get()")
    refused(TypeError, lambda: np.array([x[0], x[1]]), "Implicit conversion")
    refused(TypeError, lambda: np.zeros(3).__setitem__(slice(None), x), "Implicit conversion")
    refused(BufferError, lambda: np.from_dlpack(x), "device")
    refused(BufferError, lambda: cp.from_dlpack(np.ones(3)), "cupy.asarray")


def check_mixing_with_host_is_refused(cp):
    x, h = cp.ones((2, 3), "f"), np.ones((2, 3), "f")
    for call in (
        lambda: x + h, lambda: h + x, lambda: x * np.array(2.0), lambda: np.array(2.0) * x, lambda: x @ h.T,
        lambda: x < h, lambda: h == x, lambda: cp.add(x, h), lambda: np.add(h, x),
        lambda: cp.where(x > 0, x, h),
        lambda: cp.concatenate([x, h]), lambda: np.stack([h, x]), lambda: cp.vdot(x, h), lambda: cp.sum(h),
        lambda: cp.add(x, x, out=h), lambda: np.add(h, h, out=x), lambda: cp.copyto(x, h), lambda: x.dot(h.T),
        lambda: x + [1.0, 2.0, 3.0], lambda: cp.exp([1.0]), lambda: cp.sum([1.0]), lambda: x + None,
    ):  # fmt: skip
        refused(TypeError, call)
    refused(ValueError, lambda: x.__setitem__(0, h[0]), "numpy.ndarray")
    refused(TypeError, lambda: x.__iadd__(h), "numpy.ndarray")
    refused(TypeError, lambda: h.__iadd__(x))
    same(x, h)


def check_unknown_names_and_arguments_are_refused(cp):
    import cupyx.scipy.fft as fft

    x = cp.ones(4)
    refused(AttributeError, lambda: cp.longdouble, "CuPy 14.2")
    refused(AttributeError, lambda: cp.asarray_device)
    refused(AttributeError, lambda: x.to_device)
    refused(AttributeError, lambda: x.flags.writeable)
    refused(TypeError, lambda: cp.sum(x, where=x > 0), "where")
    refused(TypeError, lambda: np.max(x, initial=0.0), "initial")
    refused(TypeError, lambda: x.mean(where=x > 0), "where")
    refused(TypeError, lambda: cp.add(x, x, where=x > 0), "where")
    refused(TypeError, lambda: cp.einsum("i,i", x, x, out=x), "out")
    refused(TypeError, lambda: fft.rfft(x, workers=2), "workers")
    refused(TypeError, lambda: cp.concatenate([x], 0, None, "f"), "too many")
    refused(TypeError, lambda: x.astype("f", casting="safe"), "casting")
    refused(ValueError, lambda: cp.asarray(np.ones(2, object)), "Unsupported dtype")
    refused(NotImplementedError, lambda: cp.ElementwiseKernel("", "", "", ""), "cupy.ElementwiseKernel")
    refused(NotImplementedError, lambda: cp.fuse(lambda a: a), "cupy.fuse")
    refused(NotImplementedError, lambda: cp.maximum.reduce(x), "maximum.reduce")
    refused(TypeError, lambda: np.add.reduce(x))  # CuPy answers plain calls of NumPy's ufuncs only


def check_arithmetic_equals_numpy(cp):
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 3, 4)).astype("f")
    x, y = cp.asarray(a), cp.asarray(b)
    same(2.0 * x - y / 3 + x**2, 2.0 * a - b / 3 + a**2)
    same(-x, -a), same(abs(x), abs(a)), same(x @ y.T, a @ b.T), same(1 - x, 1 - a)
    same((x > y) & ~(x < 0), (a > b) & ~(a < 0))
    same(np.sqrt(np.abs(x)), np.sqrt(np.abs(a)))
    same(cp.hypot(x, y), np.hypot(a, b))
    same(cp.clip(x, 0.0, 1.0), np.clip(a, 0.0, 1.0)), same(x.clip(-1, None), a.clip(-1, None))
    same(cp.arange(0, 3, 1, "f"), np.arange(0, 3, 1, dtype="f"))
    same(cp.pad(x, ((1, 0), (0, 2))), np.pad(a, ((1, 0), (0, 2))))
    same(cp.stack([x, y], axis=1), np.stack([a, b], axis=1))
    same(cp.einsum("ij,kj->ik", x, y), np.einsum("ij,kj->ik", a, b))
    same(cp.roll(x, 1, axis=0), np.roll(a, 1, axis=0)), same(cp.mgrid[:3], np.mgrid[:3])
    same(cp.linalg.svd(x, full_matrices=False)[1], np.linalg.svd(a, full_matrices=False)[1])


def check_promotion_is_nep50(cp):
    x = cp.ones(3, cp.float32)
    assert (2.0 * x).dtype == (x / 3).dtype == (x * np.float32(2)).dtype == np.float32
    assert (x * np.float64(2)).dtype == (np.float64(2) * x).dtype == np.float64
    assert (x * cp.asarray(2.0)).dtype == (x * x.astype("d").sum()).dtype == np.float64
    assert (1j * x).dtype == np.complex64


def check_reductions_are_0d_on_the_device(cp):
    x = cp.arange(6, dtype="f").reshape(2, 3)
    clear_transfers()
    for value in (x.sum(), x.max(), cp.vdot(x, x), cp.linalg.norm(x), np.linalg.norm(x), x.any(), x.argmax(),
                  cp.allclose(x, x), x[1, 2], x.ravel() @ x.ravel(), cp.sqrt(2.0)):  # fmt: skip
        assert type(value) is cp.ndarray and value.shape == ()
    assert x.sum().dtype == cp.linalg.norm(x).dtype == np.float32
    same(x.sum(axis=1, keepdims=True), host(x).sum(axis=1, keepdims=True))
    assert transfers() == []


def check_transfers_and_syncs_are_recorded(cp):
    clear_transfers()
    x = cp.asarray(np.arange(6.0).reshape(2, 3))
    cp.array([1, 2]), cp.ascontiguousarray(np.ones(2)), x.set(np.ones((2, 3)))
    assert [e.detail for e in transfers("H2D")] == [(2, 3), (2,), (2,), (2, 3)]
    y = 2 * x + cp.zeros_like(x)
    assert cp.asarray(y) is y and len(transfers()) == 4  # stays on the device
    clear_transfers()
    assert type(x.get()) is np.ndarray and type(cp.asnumpy(x)) is np.ndarray and x.tolist()
    assert [e.kind for e in transfers()] == ["D2H"] * 3
    clear_transfers()
    s = x.sum()
    assert float(s) == s.item() == 6.0 and int(s) == 6 and bool(s > 0) and complex(s) == 6
    x[x > 0], cp.nonzero(x), cp.cuda.Device().synchronize(), cp.cuda.get_current_stream().synchronize()
    assert len(transfers("sync")) == len(transfers()) == 9
    clear_transfers()
    host(x), x[[0, 1]]
    assert [e.kind for e in transfers()] == ["H2D"]  # the index


def check_in_place_stays_in_place(cp):
    x = cp.zeros((3, 4), "f")
    pointer, view, row = x.data.ptr, x.ravel(), x[1]
    x += 1.0
    x *= cp.full((3, 4), 2.0)  # float64 into float32 is same-kind
    row -= 5.0
    cp.add(view, 1.0, out=view)
    assert x.data.ptr == pointer and x.dtype == np.float32
    same(x, np.array([[3] * 4, [-2] * 4, [3] * 4], "f"))
    cp.maximum(x[:, ::2], 0.0, out=x[:, ::2])
    np.multiply(x, 2, out=x)
    assert host(x)[1].tolist() == [0, -4, 0, -4]
    out = cp.empty(4, "f")
    assert x.sum(axis=0, out=out) is out and cp.sum(x, 0, None, out) is out
    same(out, np.array([12, 8, 12, 8], "f"))
    scalar = x.sum()
    alias = scalar
    scalar += 1
    assert alias is scalar and host(alias) == 41
    cp.copyto(x, 7.0), x[0].fill(1.0), row.__setitem__(slice(0, 2), cp.zeros(2))
    assert host(x).tolist() == [[1] * 4, [0, 0, 7, 7], [7] * 4]
    k = cp.zeros(2, int)
    refused(TypeError, lambda: k.__iadd__(0.5), "same_kind")
    refused(TypeError, lambda: x.__imul__(1j), "same_kind")


def check_views_and_indexing(cp):
    x = cp.arange(12.0).reshape(3, 4)
    for view in (x[1:], x.T, x.reshape(-1), x.ravel(), x[None, ..., ::2], cp.ascontiguousarray(x), x.real):
        assert cp.may_share_memory(view, x) and cp.shares_memory(view, x)
    assert x.T.flags.f_contiguous and not x.T.flags.c_contiguous and not cp.shares_memory(x.T.ravel(), x)
    assert x.T.copy().flags.c_contiguous and x.copy(order="F").flags.f_contiguous
    h = host(x)
    index, mask = cp.asarray([2, 0]), x > 5
    (same(x[index], h[[2, 0]]), same(x[mask], h[h > 5]), same(x[index, :2], h[[2, 0], :2]), same(x[-1, 1:], h[-1, 1:]))
    x[mask], x[index, 0] = 0.0, cp.asarray([-1.0, -2.0])
    h[h > 5], h[[2, 0], 0] = 0.0, [-1.0, -2.0]
    same(x, h)
    x.scatter_add(cp.asarray([0, 0]), 1.0)
    assert host(x)[0, 0] == 0.0 and len(list(x)) == len(x) == 3
    refused(TypeError, lambda: list(range(x.size))[: x.sum()])  # device numbers are no index
    refused(TypeError, lambda: hash(x))


def check_copies_and_interfaces(cp):
    x = cp.arange(3, dtype="f")
    for other in (copy.copy(x), copy.deepcopy(x), pickle.loads(pickle.dumps(x)), cp.array(x)):
        same(other, host(x))
        assert not cp.shares_memory(other, x)
    interface = x.__cuda_array_interface__
    assert interface["shape"] == (3,) and interface["typestr"] == "<f4" and interface["strides"] is None
    assert interface["data"] == (x.data.ptr, False) and x[::2].__cuda_array_interface__["strides"] == (8,)
    y = cp.from_dlpack(x)
    y += 1
    assert host(x).tolist() == [1, 2, 3] and x.device == cp.cuda.Device(0)
    assert cp.get_array_module(x, np.ones(1)) is cp and cp.get_array_module(np.ones(1)) is np


def check_random_numbers(cp):
    draws = [cp.random.default_rng(seed).standard_normal(size=(50, 20), dtype=cp.float32) for seed in (0, 0, 1)]
    same(draws[0], host(draws[1]))
    assert draws[0].dtype == np.float32 and not (host(draws[0]) == host(draws[2])).any()
    assert abs(host(draws[0]).mean()) < 0.1 and abs(host(draws[0]).std() - 1) < 0.1
    rng = cp.random.default_rng(0)
    counts = rng.poisson(cp.full((100, 100), 9.0))
    assert counts.dtype == np.int64 and abs(host(counts).mean() - 9) < 0.2 and abs(host(counts).var() - 9) < 0.6
    assert rng.random().shape == () and rng.integers(3, size=4).shape == (4,)
    out = cp.empty(5, "f")
    assert rng.random(dtype="f", out=out) is out
    for call in (lambda: rng.normal(size=3), lambda: rng.choice(3), lambda: rng.permutation(3)):
        refused(AttributeError, call)  # NumPy's Generator has them, CuPy's has not
    refused(TypeError, lambda: rng.poisson(3.0, 2, "f"), "too many")
    refused(TypeError, lambda: rng.random(size=2, dtype="F"), "float32")
    refused(ValueError, lambda: rng.poisson(np.ones(3)), "cupy.ndarray")
    assert cp.random.RandomState(1).normal(size=2, dtype="f").dtype == np.float32
    assert cp.random.randn(2, 3).shape == (2, 3)


def check_streams(cp):
    assert cp.cuda.is_available() and cp.is_available() and cp.cuda.runtime.getDeviceCount() == 1
    assert cp.cuda.get_current_stream().ptr == 0
    with cp.cuda.Stream(non_blocking=True) as stream:
        assert cp.cuda.get_current_stream() is stream and stream.ptr != 0
    assert cp.cuda.get_current_stream() is cp.cuda.Stream.null


def check_sparse(cp):
    import cupyx.scipy.sparse as sp

    a = np.array([[0, 2.0, 0], [1, 0, 3]])
    matrix, x = sp.csr_matrix(cp.asarray(a)), cp.arange(3.0)
    same(matrix @ x, a @ host(x)), same(matrix.T.toarray(), a.T), same((2.0 * matrix).toarray(), 2 * a)
    built = sp.csr_matrix((cp.ones(2), cp.asarray([0, 2]), cp.asarray([0, 1, 2])), shape=(2, 3))
    same(built.toarray(), np.array([[1.0, 0, 0], [0, 0, 1]])), same(sp.eye(3) @ x, host(x))
    refused(TypeError, lambda: matrix @ np.ones(3), "numpy.ndarray")
    refused(TypeError, lambda: sp.csr_matrix(a), "numpy.ndarray")


def check_scipy_modules(cp):
    import cupyx.scipy.fft as fft
    import cupyx.scipy.ndimage as ndimage
    import cupyx.scipy.special as special

    x = cp.random.default_rng(0).random((6, 5), dtype="f")
    spectrum = fft.rfft2(x)
    assert spectrum.dtype == np.complex64 and fft.next_fast_len(31) == 32
    np.testing.assert_allclose(host(fft.irfft2(spectrum, s=x.shape)), host(x), atol=1e-6)
    out = cp.empty_like(x)
    assert ndimage.gaussian_filter(x, 1.0, output=out) is out
    same(special.xlogy(x, 2.0 + x), __import__("scipy.special").special.xlogy(host(x), 2.0 + host(x)))


def check_cufinufft(cp):
    from cufinufft import Plan

    rng, modes, points = np.random.default_rng(0), (6, 9), 40
    for dtype, real, eps in ((np.complex64, np.float32, 1e-5), (np.complex128, np.float64, 1e-12)):
        h = rng.uniform(-np.pi, np.pi, (2, points)).astype(real)
        k = [cp.asarray(row) for row in h]
        c = rng.standard_normal((2, points, 2)).astype(real).view(dtype)[..., 0]
        f = rng.standard_normal((2, *modes, 2)).astype(real).view(dtype)[..., 0]
        one = Plan(1, modes, 2, eps, 1, dtype=dtype, gpu_method=1, gpu_stream=cp.cuda.Stream().ptr, upsampfac=2.0)
        two = Plan(2, modes, 2, eps, -1, dtype=np.dtype(dtype).name)
        one.setpts(*k), two.setpts(*k)
        out = cp.empty((2, points), dtype)
        c_modes = one.execute(cp.asarray(c))
        assert two.execute(cp.asarray(f), out=out) is out and c_modes.dtype == dtype
        left, right = np.vdot(host(c_modes), f), np.vdot(c, host(out))
        assert abs(left - right) <= 20 * np.finfo(real).eps * np.linalg.norm(c) * np.linalg.norm(f) * 6
        n0, n1 = np.mgrid[-3:3, -4:5]
        exact = np.exp(1j * (n0[..., None] * h[0].astype(float) + n1[..., None] * h[1].astype(float))) @ c[0]
        assert np.linalg.norm(host(c_modes)[0] - exact) <= 20 * eps * np.linalg.norm(exact)
    for option in ({"nthreads": 1}, {"fftw": 64}, {"spread_kerevalmeth": 1}):
        refused(TypeError, lambda option=option: Plan(1, modes, **option), "Invalid option", *option)
    refused(TypeError, lambda: two.setpts(h[0], h[1]), "__cuda_array_interface__")
    refused(TypeError, lambda: two.setpts(*(row.astype("f") for row in k)), "float64 was expected")
    refused(TypeError, lambda: two.execute(f), "__cuda_array_interface__")
    refused(TypeError, lambda: two.execute(cp.asarray(f).astype("F")), "complex128 was expected")
    refused(TypeError, lambda: two.execute(cp.asarray(f), out=cp.empty((points, 2), dtype).T), "requirement: C")
    refused(TypeError, lambda: two.execute(cp.asarray(f[0])), "shape")
    refused(TypeError, lambda: one.setpts(k[0]), "dimension")


def check_cuda_kernels_write_into_the_array(cp):
    global cuda  # the simulator replaces the kernel's global name, not a local one
    from numba import cuda

    @cuda.jit
    def scale(a, x, y):
        i, j = cuda.grid(2)
        if i < x.shape[0] and j < x.shape[1]:
            y[i, j] = a * x[i, j]

    x, y = cp.ones((3, 5), "f"), cp.zeros((3, 10), "f")
    pointer = y.data.ptr
    clear_transfers()
    scale[(2, 3), (2, 2)](2.0, simulated_view(x), simulated_view(y[:, ::2]))
    assert transfers() == [] and y.data.ptr == pointer
    same(y[:, ::2], np.full((3, 5), 2, "f")), same(y[:, 1::2], np.zeros((3, 5), "f"))


def check_pylops_runs(cp):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pylops
        from pylops.utils import backend, deps

    x = cp.random.default_rng(0).standard_normal((7, 5), dtype="f")
    assert deps.cupy_enabled and backend.get_array_module(x) is cp
    gradient = pylops.Gradient((7, 5), kind="forward", edge=True, dtype="float32")
    clear_transfers()
    y = gradient @ x
    assert y.dtype == np.float32 and transfers() == []
    np.testing.assert_allclose(host(y), pylops.Gradient((7, 5), kind="forward", edge=True, dtype="float32") @ host(x))
    adjoint = gradient.H @ y
    np.testing.assert_allclose(float(cp.vdot(y, y)), float(cp.vdot(x, adjoint)), rtol=1e-5)
    solution = pylops.cgls(pylops.Diagonal(cp.arange(1.0, 6.0)), cp.ones(5), x0=cp.zeros(5), niter=20, tol=0)[0]
    np.testing.assert_allclose(host(solution), 1 / np.arange(1.0, 6.0), rtol=1e-10)


NAMES = sorted(name for name in dir() if name.startswith("check_"))


def main() -> None:
    cp = install()
    report = {}
    for name in NAMES:
        try:
            globals()[name](cp)
            report[name] = ""
        except Exception:  # reported by name; the test that reads it fails
            report[name] = traceback.format_exc()
    json.dump(report, sys.stdout)


if __name__ == "__main__":
    main()
