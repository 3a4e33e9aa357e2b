"""What the contracts share: arrays on the device of the run, comparisons on the host, the classes to be listed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from ipbox import backend
from ipbox.cli.capabilities import classes


def draw(rng: np.random.Generator, shape: tuple[int, ...], dtype: Any, xp: ModuleType) -> Any:
    """Standard normal numbers on the device; complex ones for a complex dtype."""
    x = rng.standard_normal(shape)
    if np.dtype(dtype).kind == "c":
        x = x + 1j * rng.standard_normal(shape)
    return xp.asarray(x.astype(dtype))


def host(x: Any) -> np.ndarray:
    return backend.to_host(x)


def real_dot(x: Any, y: Any) -> float:
    """Re<x, y> in float64."""
    return float(np.vdot(host(x).astype(np.complex128), host(y).astype(np.complex128)).real)


def dot_test(A: Any, rng: np.random.Generator, xp: ModuleType) -> float:
    """|Re<Au, v> - Re<u, A*v>| / (‖Au‖ ‖v‖) for random u and v; 0 where Au = 0 and the two agree."""
    u = draw(rng, tuple(A.dims), A.dtype_in, xp)
    v = draw(rng, tuple(A.dimsd), A.dtype_out, xp)
    Au = A.apply(u)
    error = abs(real_dot(Au, v) - real_dot(u, A.apply_adjoint(v)))
    return error / (np.sqrt(real_dot(Au, Au) * real_dot(v, v)) or 1.0)


def dense(A: Any, xp: ModuleType) -> np.ndarray:
    """The matrix of ``A`` (of its real-linear map where one side is real), in double precision."""
    basis = np.eye(A.shape[1], dtype=A.dtype_in)
    if not A.clinear and A.dtype_in.kind == "c":
        basis = np.concatenate([basis, 1j * basis]).astype(A.dtype_in)
    images = host(A.apply(xp.asarray(basis.reshape(-1, *A.dims))))
    matrix = images.reshape(len(basis), -1).T.astype(np.complex128)
    return matrix if A.clinear else np.concatenate([matrix.real, matrix.imag])


def eps(x: Any) -> float:
    return float(np.finfo(x.dtype).eps)


def assert_close(actual: Any, expected: Any, factor: float = 64) -> None:
    """Equal to ``factor`` roundings of the largest entry, with equal shape, dtype and device."""
    assert type(actual) is type(expected)
    assert (actual.shape, actual.dtype) == (expected.shape, expected.dtype)
    scale = float(np.abs(host(expected)).max(initial=0.0))
    np.testing.assert_allclose(host(actual), host(expected), rtol=0, atol=factor * eps(expected) * scale)


def freeze(x: Any) -> bytes:
    """The bytes of ``x``, which from now on refuses to be written to where it is a NumPy array."""
    if isinstance(x, np.ndarray):
        x.flags.writeable = False
    return host(x).tobytes()


def listed(folder: str) -> list[Any]:
    """The lists ``CASES`` of the files of ``folder``, one after another, but of those that lack an extra, as torch."""
    names = sorted(path.stem for path in (Path(__file__).parent / folder).glob("*.py"))
    found = []
    for name in names:
        if not name.startswith("test_"):
            with suppress(pytest.skip.Exception):  # pytest, which collects that file too, tells of it
                found += vars(import_module(f"tests.contracts.{folder}.{name}")).get("CASES", ())
    return found


def public_classes(kind: str) -> set[type]:
    """The classes of a kind in the whole package: each has a case, or a test fails."""
    return set(classes()[kind])


@contextmanager
def stays_on_device() -> Iterator[None]:
    """Nothing is copied between host and device meanwhile; only the stand-in for CuPy keeps a record."""
    log = sys.modules.get("tests.standin.transfers")
    if log is not None:
        log.clear_transfers()
    yield
    moved = [] if log is None else log.transfers("D2H") + log.transfers("H2D")
    assert not moved, moved
