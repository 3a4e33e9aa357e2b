"""What every operator promises, for each listed case, precision and device."""

from __future__ import annotations

import functools
from types import ModuleType

import numpy as np
import pylops
import pytest

from ipbox.operators import NonCartesianMRI, Normal, Operator, counting
from ipbox.operators.tomography.astra import AstraTransform
from tests.contracts.operators.case import OperatorCase
from tests.contracts.support import (
    assert_close,
    dense,
    dot_test,
    draw,
    eps,
    freeze,
    host,
    listed,
    public_classes,
    stays_on_device,
)

CASES: list[OperatorCase] = listed("operators")
NOT_HERE = {AstraTransform}  # needs ASTRA; tests/operators/tomography/test_fan.py has a stand-in for it
DOT_TEST = {"float32": 1e-5, "float64": 1e-10}


@pytest.fixture(params=CASES, ids=repr)
def case(request) -> OperatorCase:
    return request.param


@functools.cache
def make(case: OperatorCase, dtype: np.dtype, xp: ModuleType) -> Operator:
    """One operator for all tests of a case: operators are immutable."""
    return case.make(dtype, xp)


@pytest.fixture
def A(case: OperatorCase, dtype: np.dtype, xp: ModuleType) -> Operator:
    return make(case, dtype, xp)


def model(A: Operator, rng: np.random.Generator, xp: ModuleType, batch: tuple[int, ...] = ()):
    return draw(rng, batch + tuple(A.dims), A.dtype_in, xp)


def data(A: Operator, rng: np.random.Generator, xp: ModuleType, batch: tuple[int, ...] = ()):
    return draw(rng, batch + tuple(A.dimsd), A.dtype_out, xp)


def test_every_class_is_listed() -> None:
    assert public_classes("operator") - NOT_HERE == {case.cls for case in CASES}


def test_the_case_makes_what_it_says(case: OperatorCase, A: Operator, xp: ModuleType) -> None:
    assert type(A) is case.cls and xp.__name__ in case.cls.backends


@pytest.mark.parametrize("cls", sorted({case.cls for case in CASES}, key=repr), ids=lambda cls: cls.__name__)
def test_every_declared_dtype_has_a_case(cls: type[Operator]) -> None:
    made = [make(case, dtype, np) for case in CASES if case.cls is cls for dtype in map(np.dtype, DOT_TEST)]
    assert {A.dtype_in.name for A in made} | {A.dtype_out.name for A in made} == set(cls.dtypes)


# ---------------------------------------------------------------- the adjoint and linearity


def test_dot_test(A: Operator, dtype: np.dtype, xp: ModuleType, rng: np.random.Generator) -> None:
    for _ in range(5):
        assert dot_test(A, rng, xp) <= DOT_TEST[dtype.name]


def test_linearity(A: Operator, xp: ModuleType, rng: np.random.Generator) -> None:
    for apply, side in ((A.apply, model), (A.apply_adjoint, data)):
        x, y = side(A, rng, xp), side(A, rng, xp)
        expected = 2 * apply(x) - 0.5 * apply(y)
        assert_close(apply(2 * x - 0.5 * y), expected, factor=256)
        assert not host(apply(0 * x)).any()


# ---------------------------------------------------------------- dtype, out, batches, inputs


def test_dtype_and_device_are_kept(A: Operator, dtype: np.dtype, xp: ModuleType, rng: np.random.Generator) -> None:
    assert np.finfo(A.dtype_in).dtype == np.finfo(A.dtype_out).dtype == dtype
    y, x = A.apply(model(A, rng, xp)), A.apply_adjoint(data(A, rng, xp))
    assert isinstance(y, xp.ndarray) and isinstance(x, xp.ndarray)
    assert (y.dtype, y.shape) == (A.dtype_out, tuple(A.dimsd))
    assert (x.dtype, x.shape) == (A.dtype_in, tuple(A.dims))
    assert y.flags.c_contiguous and x.flags.c_contiguous


def test_out_is_written_to(A: Operator, xp: ModuleType, rng: np.random.Generator) -> None:
    for apply, side in ((A.apply, model), (A.apply_adjoint, data)):
        for batch in ((), (2,)):
            x = side(A, rng, xp, batch)
            expected = apply(x)
            out = xp.full_like(expected, np.nan)
            assert apply(x, out=out) is out
            assert_close(out, expected)


def test_batch_equals_loop(A: Operator, xp: ModuleType, rng: np.random.Generator) -> None:
    for apply, side in ((A.apply, model), (A.apply_adjoint, data)):
        x = side(A, rng, xp, (3,))
        assert_close(apply(x), xp.stack([apply(xi) for xi in x]))
        x = side(A, rng, xp, (2, 3))
        assert_close(apply(x), xp.stack([apply(xi) for xi in x]))


def test_input_is_untouched(A: Operator, xp: ModuleType, rng: np.random.Generator) -> None:
    for apply, side in ((A.apply, model), (A.apply_adjoint, data)):
        x = side(A, rng, xp)
        before = freeze(x)
        apply(x)
        assert host(x).tobytes() == before


def test_the_same_answer_twice(A: Operator, xp: ModuleType, rng: np.random.Generator) -> None:
    for apply, side in ((A.apply, model), (A.apply_adjoint, data)):
        x, other = side(A, rng, xp), side(A, rng, xp)
        first = host(apply(x)).tobytes()
        apply(other)
        assert host(apply(x)).tobytes() == first


def test_out_that_does_not_fit_is_refused(A: Operator, xp: ModuleType, rng: np.random.Generator) -> None:
    x = model(A, rng, xp)
    wrong = (
        xp.empty((2, *A.dimsd), A.dtype_out),
        xp.empty(tuple(A.dimsd), np.float16),
        xp.empty((2, *A.dimsd), A.dtype_out)[:, ::2],
    )
    for out in wrong:
        with pytest.raises(ValueError, match="^out has shape"):
            A.apply(x, out=out)


def test_out_that_shares_memory_is_refused(A: Operator, xp: ModuleType, rng: np.random.Generator) -> None:
    memory = xp.zeros(A.shape[0] + A.shape[1], dtype=A.dtype_in)
    x = memory[: A.shape[1]].reshape(tuple(A.dims))
    if A.dtype_in == A.dtype_out:
        out = memory[: A.shape[0]].reshape(tuple(A.dimsd))
        with pytest.raises(ValueError, match="^out shares memory with x"):
            A.apply(x, out=out)


@pytest.mark.device
def test_arrays_stay_on_the_device(A: Operator, xp: ModuleType, rng: np.random.Generator) -> None:
    x, y = model(A, rng, xp, (2,)), data(A, rng, xp, (2,))
    A.apply(x), A.apply_adjoint(y)  # plans and weights are made and moved at the first call
    with stays_on_device():
        A.apply(x), A.apply_adjoint(y)


@pytest.mark.device
def test_host_and_device_are_not_mixed(A: Operator, xp: ModuleType, rng: np.random.Generator) -> None:
    x = model(A, rng, xp)
    with pytest.raises(TypeError, match="mixed"):
        A.apply(x, out=np.empty(tuple(A.dimsd), A.dtype_out))


# ---------------------------------------------------------------- A*A


def test_normal_operator(A: Operator, dtype: np.dtype, xp: ModuleType, rng: np.random.Generator) -> None:
    x, N = model(A, rng, xp, (2,)), A.N
    rounding = 32 * A.eps / np.finfo(dtype).eps if isinstance(A, NonCartesianMRI) else 256  # a tolerance of its own
    assert_close(N.apply(x), A.apply_adjoint(A.apply(x)), factor=rounding)
    assert_close(N @ x[0], A.H @ (A @ x[0]), factor=rounding)
    assert N.H is N and N.dtype_in == N.dtype_out == A.dtype_in
    assert dot_test(N, rng, xp) <= DOT_TEST[dtype.name]


def test_normal_operator_counts_as_both(A: Operator, xp: ModuleType, rng: np.random.Generator) -> None:
    x, N = model(A, rng, xp, (3,)), A.N
    with counting(A) as count:
        N.apply(x)
    outer = 3 * (type(A) is Normal)  # A.N of another Normal counts as an application of one
    assert (count.forward, count.adjoint) == (3 + outer, 3)


# ---------------------------------------------------------------- norm


def test_norm_is_of_its_kind(case: OperatorCase, A: Operator, xp: ModuleType, record_property) -> None:
    assert A.norm_kind == case.kind
    norm, true = A.norm(), np.linalg.norm(dense(A, xp), 2)
    assert isinstance(norm, float) and A.norm() == norm
    ratio = norm / true
    record_property("norm / true norm", f"{case.name}: {ratio:.4f}")
    rounding = 100 * np.finfo(A.dtype_in).eps
    lowest = {"exact": 1 - rounding, "bound": 1 - rounding, "estimate": 0.99}[case.kind]
    highest = 1 + rounding if case.kind == "exact" else 1.05
    assert lowest <= ratio <= highest


# ---------------------------------------------------------------- PyLops' view and algebra


def test_pylops_view(A: Operator, xp: ModuleType, rng: np.random.Generator) -> None:
    assert isinstance(A, pylops.LinearOperator) and A.dtype == A.dtype_out
    x, y = model(A, rng, xp), data(A, rng, xp)
    assert_close(A.matvec(x.reshape(-1)), A.apply(x).reshape(-1))
    assert_close(A.rmatvec(y.reshape(-1)), A.apply_adjoint(y).reshape(-1))
    assert_close(A @ x, A.apply(x))
    assert_close(A.H @ y, A.apply_adjoint(y))
    if x.ndim > 1:  # a model with one axis is flat already
        assert_close(A @ x.reshape(-1), A.apply(x).reshape(-1))


def test_pylops_dottest(A: Operator, xp: ModuleType, monkeypatch) -> None:
    source = np.random.RandomState(3)  # noqa: NPY002  PyLops draws from the global generator
    for name in ("randn", "normal"):
        monkeypatch.setattr(
            xp.random, name, lambda *size, **kw: xp.asarray(source.standard_normal(size)), raising=False
        )
    complexflag = 2 * (A.dtype_out.kind == "c") + (A.dtype_in.kind == "c")
    rtol = 1e-4 if eps(np.empty(0, A.dtype_in)) > 1e-10 else 1e-9
    assert pylops.utils.dottest(A, complexflag=complexflag, rtol=rtol, backend=xp.__name__)


def test_algebra_keeps_dtype_and_means_what_it_says(A: Operator, xp: ModuleType, rng: np.random.Generator) -> None:
    x, y = model(A, rng, xp), data(A, rng, xp)
    Ax, Ay = A.apply(x), A.apply_adjoint(y)
    combined = {
        "2 A": (2 * A, 2 * Ax, 2 * Ay),
        "A 2": (A * 2.0, 2 * Ax, 2 * Ay),
        "numpy scalar": (np.float64(0.5) * A, 0.5 * Ax, 0.5 * Ay),
        "-A": (-A, -Ax, -Ay),
        "A + A": (A + A, 2 * Ax, 2 * Ay),
        "A - 3 A": (A - 3 * A, -2 * Ax, -2 * Ay),
    }
    for B, Bx, By in combined.values():
        assert isinstance(B, Operator)
        assert_close(B.apply(x), Bx, factor=256)
        assert_close(B.apply_adjoint(y), By, factor=256)
        assert_close(B.matvec(x.reshape(-1)), Bx.reshape(-1), factor=256)
        assert_close(B.rmatvec(y.reshape(-1)), By.reshape(-1), factor=256)
    assert_close((A.H @ A).apply(x), A.apply_adjoint(Ax))
    assert_close((A @ A.H).apply(y), A.apply(Ay))
    assert_close((A @ A.H).apply_adjoint(y), A.apply(Ay))
    assert_close(A.H.apply(y), Ay)
    assert_close(A.H.H.apply(x), Ax)
