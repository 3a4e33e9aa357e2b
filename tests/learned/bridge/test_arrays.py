"""Arrays to tensors and back: shared memory, and everything that cannot be shared is refused or copied on request."""

from __future__ import annotations

import weakref
from types import ModuleType

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from ipbox import backend
from ipbox.learned.bridge.arrays import from_torch, to_torch
from tests.contracts.support import assert_close, draw, host, stays_on_device

DTYPES = ("float32", "float64", "complex64", "complex128")
SHAPES = ((), (1,), (0,), (3, 0, 2), (5,), (2, 3, 4), (1, 3, 1))

every_dtype = pytest.mark.parametrize("name", DTYPES)


def address(x) -> int:
    return x.data.ptr if backend.is_device(x) else x.ctypes.data


# ---------------------------------------------------------------- what is shared


@every_dtype
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_there_and_back_is_the_same_memory(shape: tuple, name: str, xp: ModuleType, rng: np.random.Generator) -> None:
    x = draw(rng, shape, name, xp)
    expected = host(x).copy()
    with stays_on_device():
        t = to_torch(x)
        y = from_torch(t, xp=xp)
    assert t.dtype == getattr(torch, name) and tuple(t.shape) == shape and t.is_contiguous() and not t.requires_grad
    assert type(y) is type(x) and (y.dtype, y.shape) == (x.dtype, shape) and y.flags.c_contiguous
    np.testing.assert_array_equal(host(y), expected)
    if x.size:
        assert address(x) == t.data_ptr() == address(y)


def test_both_see_what_either_writes(xp: ModuleType) -> None:
    x = xp.zeros((2, 3), dtype="float32")
    t = to_torch(x)
    y = from_torch(t, xp=xp)
    x[0, 0] = 1.0
    t[0, 1] = 2.0
    y[1, 2] = 3.0
    expected = [[1.0, 2.0, 0.0], [0.0, 0.0, 3.0]]
    assert t.tolist() == expected and host(x).tolist() == expected and host(y).tolist() == expected


def test_either_keeps_the_memory_alive() -> None:
    x = np.arange(1000.0)
    t, gone = to_torch(x), weakref.ref(x)
    del x
    assert gone() is not None and t.sum() == 499500.0
    y = from_torch(t)
    del t
    assert gone() is not None and y.sum() == 499500.0
    del y
    assert gone() is None


@every_dtype
def test_copies_are_copies(name: str, xp: ModuleType, rng: np.random.Generator) -> None:
    x = draw(rng, (3, 4), name, xp)
    expected = host(x).copy()
    with stays_on_device():
        t = to_torch(x, copy=True)
        y = from_torch(t, copy=True, xp=xp)
        t.zero_()
    np.testing.assert_array_equal(host(x), expected)
    np.testing.assert_array_equal(host(y), expected)
    assert type(y) is type(x) and y.dtype == x.dtype


def test_copies_where_needed_only(xp: ModuleType) -> None:
    x = xp.arange(12.0).reshape(3, 4)
    assert to_torch(x, copy=None).data_ptr() == address(x)
    t = to_torch(x.T, copy=None)
    assert t.is_contiguous() and t.tolist() == host(x).T.tolist() and t.data_ptr() != address(x)
    u = to_torch(x)
    assert address(from_torch(u, copy=None, xp=xp)) == address(x)
    y = from_torch(u.T, copy=None, xp=xp)
    assert y.flags.c_contiguous and host(y).tolist() == host(x).T.tolist()


def test_an_axis_of_length_one_may_have_any_stride() -> None:
    """Such arrays are contiguous; torch aborts the process where it is handed a negative stride."""
    x = np.arange(4.0).reshape(1, 4)[::-1]
    assert to_torch(x).tolist() == [[0.0, 1.0, 2.0, 3.0]]
    t = torch.arange(6.0).reshape(1, 1, 2, 3).to(memory_format=torch.channels_last)
    y = from_torch(t)
    assert t.stride() != (6, 6, 3, 1) and y.flags.c_contiguous and y.tolist() == [[[[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]]]


# ---------------------------------------------------------------- arrays that cannot be shared


def misaligned() -> np.ndarray:
    return np.frombuffer(bytearray(33), np.uint8)[1:].view(np.float64)


def read_only() -> np.ndarray:
    x = np.arange(4.0)
    x.flags.writeable = False
    return x


UNSHAREABLE = {
    "negative strides": (lambda: np.arange(4.0)[::-1], "not C-contiguous"),
    "negative strides in two axes": (lambda: np.arange(12.0).reshape(3, 4)[::-1, ::-1], "not C-contiguous"),
    "a slice": (lambda: np.arange(12.0).reshape(3, 4)[:, ::2], "not C-contiguous"),
    "Fortran order": (lambda: np.asfortranarray(np.arange(6.0).reshape(2, 3)), "not C-contiguous"),
    "broadcast": (lambda: np.broadcast_to(np.arange(3.0), (2, 3)), "not C-contiguous"),
    "broadcast to a batch of one": (lambda: np.broadcast_to(np.arange(3.0), (1, 3)), "read-only"),
    "read-only": (read_only, "read-only"),
    "foreign byte order": (lambda: np.arange(3.0).astype(np.dtype("float64").newbyteorder()), "byte order"),
    "misaligned": (misaligned, "misaligned"),
    "real part": (lambda: np.zeros(3, "complex64").real, "not C-contiguous"),
}


@pytest.mark.parametrize("case", UNSHAREABLE)
def test_arrays_that_cannot_be_shared(case: str) -> None:
    make, why = UNSHAREABLE[case]
    x = make()
    with pytest.raises(ValueError, match=f"^x is .*{why}.*copy=True"):
        to_torch(x)
    for copy in (True, None):
        t = to_torch(x, copy=copy)
        assert t.is_contiguous() and t.tolist() == x.tolist()
        t.fill_(7.0)  # and the array does not notice
        np.testing.assert_array_equal(x, make())


def test_device_arrays_that_cannot_be_shared(xp: ModuleType) -> None:
    x = xp.arange(12.0).reshape(3, 4)
    for y in (x.T, x[:, ::2], x[::-1], xp.broadcast_to(x[0], (2, 4))):
        with pytest.raises(ValueError, match="^x is not C-contiguous"):
            to_torch(y)
        with stays_on_device():
            t = to_torch(y, copy=True)
        assert t.tolist() == host(y).tolist()


NO_ARRAYS = {
    "NumPy scalar": lambda: np.float32(3.0),
    "number": lambda: 3.0,
    "list": lambda: [1.0, 2.0],
    "masked array": lambda: np.ma.masked_array([1.0, 2.0], [True, False]),
    "matrix": lambda: np.asarray([[1.0]]).view(np.matrix),
    "tensor": lambda: torch.zeros(3),
    "None": lambda: None,
}


@pytest.mark.parametrize("case", NO_ARRAYS)
def test_what_is_no_array(case: str) -> None:
    for copy in (False, True, None):
        with pytest.raises(TypeError, match=r"^x is \w+; expected a NumPy or CuPy array"):
            to_torch(NO_ARRAYS[case](), copy=copy)


@pytest.mark.parametrize("name", ["float16", "int64", "uint8", "bool", "longdouble", "clongdouble", "O", "U3", "f4,f8"])
def test_array_dtypes(name: str) -> None:
    for copy in (False, True, None):
        with pytest.raises(TypeError, match="^x has dtype .*; expected float32, float64, complex64 or complex128"):
            to_torch(np.zeros(3, name), copy=copy)


# ---------------------------------------------------------------- tensors that cannot be shared


UNSHAREABLE_TENSORS = {
    "transposed": (lambda: torch.arange(6.0).reshape(2, 3).T, "not contiguous"),
    "a slice": (lambda: torch.arange(6.0)[::2], "not contiguous"),
    "expanded": (lambda: torch.arange(3.0).expand(2, 3), "not contiguous"),
    "channels last": (lambda: torch.arange(16.0).reshape(1, 2, 2, 4).to(memory_format=torch.channels_last), "not cont"),
    "conjugate": (lambda: torch.tensor([1 + 2j, 3 - 1j]).conj(), "conjugate"),
    "conjugate transpose": (lambda: torch.tensor([[1 + 2j, 3 - 1j]]).mH, "conjugate"),
    "negative": (lambda: torch._neg_view(torch.tensor([1.0, -2.0])), "negative"),
    "imaginary part of a conjugate": (lambda: torch.tensor([1 + 2j, 3 - 1j]).conj().imag, "negative"),
    "zeros without memory": (lambda: torch._efficientzerotensor(3), "not carried out"),
}


@pytest.mark.parametrize("case", UNSHAREABLE_TENSORS)
def test_tensors_that_cannot_be_shared(case: str) -> None:
    make, why = UNSHAREABLE_TENSORS[case]
    t = make()
    with pytest.raises(ValueError, match=f"^t is .*{why}.*copy=True"):
        from_torch(t)
    for copy in (True, None):
        x = from_torch(t, copy=copy)
        assert x.flags.c_contiguous and x.flags.writeable and x.tolist() == (t + 0.0).tolist()
        x[...] = 7.0
        assert (t == make()).all()


def in_transform(wrap) -> None:
    wrap(lambda t: torch.as_tensor(from_torch(t)).sum())(torch.ones(2, 2))


def fake() -> torch.Tensor:
    with FakeTensorMode():
        return torch.ones(3)


@pytest.mark.filterwarnings("ignore:.*(prototype|beta|deprecated):UserWarning")
def test_tensors_without_dense_values_of_their_own() -> None:
    refused = {
        "sparse_coo": lambda: torch.eye(2).to_sparse(),
        "sparse_csr": lambda: torch.eye(2).to_sparse_csr(),
        "meta": lambda: torch.ones(2, device="meta"),
        "nested": lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]),
        "NestedTensor": lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)], layout=torch.jagged),
        "MaskedTensor": lambda: torch.masked.masked_tensor(torch.ones(2), torch.tensor([True, False])),
        "FakeTensor": fake,
    }
    for why, make in refused.items():
        for copy in (False, True, None):
            with pytest.raises(TypeError, match=f"^t is .*{why}.*; expected a (dense|plain) tensor"):
                from_torch(make(), copy=copy)


@pytest.mark.parametrize("wrap", [torch.func.vmap, torch.func.grad], ids=["vmap", "grad"])
def test_tensors_inside_a_transform(wrap) -> None:
    with pytest.raises(TypeError, match="^t is inside a transform of torch.func.*expected a LinearMap"):
        in_transform(wrap)


@pytest.mark.parametrize("name", ["float16", "bfloat16", "int64", "uint8", "bool"])
def test_tensor_dtypes(name: str) -> None:
    t = torch.empty(3, dtype=getattr(torch, name))
    for copy in (False, True, None):
        with pytest.raises(TypeError, match=f"^t has dtype torch.{name}; expected float32, float64"):
            from_torch(t, copy=copy)


def test_half_precision_says_how() -> None:
    with pytest.raises(TypeError, match=r"as t\.float\(\)"):
        from_torch(torch.zeros(3, dtype=torch.bfloat16))


def test_what_is_no_tensor() -> None:
    with pytest.raises(TypeError, match="^t is ndarray; expected a torch tensor"):
        from_torch(np.zeros(3))


def test_xp_that_does_not_exist() -> None:
    with pytest.raises(ValueError, match="^xp is 'jax'"):
        from_torch(torch.zeros(3), xp="jax")


# ---------------------------------------------------------------- tensors of automatic differentiation


def test_what_requires_grad_is_detached() -> None:
    p = torch.nn.Parameter(torch.ones(3))
    for t in (p, 2 * p):
        for copy in (False, True):
            assert from_torch(t, copy=copy).tolist() == t.tolist()
    x = from_torch(p)
    x[0] = 5.0
    assert p.tolist() == [5.0, 1.0, 1.0] and p.requires_grad


def test_inference_mode() -> None:
    with torch.inference_mode():
        t = torch.ones(3)
        assert from_torch(t).tolist() == [1.0, 1.0, 1.0]
        inside = to_torch(np.ones(3, "float32"))
    assert from_torch(t).tolist() == from_torch(t, copy=True).tolist() == from_torch(inside).tolist()


def test_subclasses_that_hold_their_values() -> None:
    class Image(torch.Tensor):
        """As of torchvision: a tensor with another name."""

    t = torch.arange(3.0).as_subclass(Image)
    x = from_torch(t)
    assert type(x) is np.ndarray and x.ctypes.data == t.data_ptr()


def test_memory_map(tmp_path) -> None:
    np.save(tmp_path / "x.npy", np.arange(5.0))
    x = np.load(tmp_path / "x.npy", mmap_mode="r+")
    to_torch(x)[0] = 9.0
    assert x[0] == 9.0
    with pytest.raises(ValueError, match="^x is read-only"):
        to_torch(np.load(tmp_path / "x.npy", mmap_mode="r"))


# ---------------------------------------------------------------- devices and streams


@pytest.mark.device
def test_on_stream() -> None:
    import cupy

    x, stream = cupy.zeros(1), cupy.cuda.Stream()
    before = backend.current_stream(x)
    for device in (None, 0):
        with backend.on_stream(stream.ptr, device):
            assert backend.current_stream(x) == stream.ptr != before
        assert backend.current_stream(x) == before
    with backend.on_stream(None):
        assert backend.current_stream(x) == before
    with backend.on_device_of(x), backend.on_device_of(np.zeros(1)):
        assert cupy.cuda.runtime.getDevice() == 0


@pytest.mark.gpu
def test_tensors_on_the_gpu() -> None:
    import cupy

    t = torch.arange(3.0, device="cuda")
    x = from_torch(t)
    assert isinstance(x, cupy.ndarray) and x.data.ptr == t.data_ptr()
    assert to_torch(x).device == t.device
    for copy in (False, None):
        with pytest.raises(TypeError, match="^t is on cuda:0 and xp is numpy"):
            from_torch(t, copy=copy, xp="numpy")
    assert from_torch(t, copy=True, xp="numpy").tolist() == [0.0, 1.0, 2.0]


@pytest.mark.gpu
def test_a_stream_waits_for_the_other_library() -> None:
    import cupy

    with torch.cuda.stream(torch.cuda.Stream()):
        t = torch.ones(1 << 24, device="cuda")
        for _ in range(100):
            t = t * 1.0
        with cupy.cuda.Stream(non_blocking=True):
            assert float(from_torch(t).sum()) == 1 << 24
    with cupy.cuda.Stream(non_blocking=True):
        x = cupy.ones(1 << 24)
        for _ in range(100):
            x = x * 1.0
        t = to_torch(x)
        with torch.cuda.stream(torch.cuda.current_stream()):
            assert float(t.sum()) == 1 << 24


def test_round_trip_of_a_fresh_result(xp: ModuleType, rng: np.random.Generator) -> None:
    """What torch computes of an array is an array of the same library, bit for bit that of NumPy where it is exact."""
    x = draw(rng, (4, 5), "float32", xp)
    with stays_on_device():
        y = from_torch(-2 * to_torch(x), xp=xp)
    assert_close(y, -2 * x, factor=0)
