"""The decorator itself: what it leaves alone, and that it speaks only where Python refuses a call."""

from __future__ import annotations

import copy
import inspect
import pickle
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest

import ipbox as ip
from ipbox.backend import Array
from ipbox.keywords import SAME, answering, right_word


@answering
def method(A: int, b: int = 1, *, niter: int = 2) -> int:
    """Doc."""
    return len(A)  # a TypeError of the body, for a number


def test_errors_of_the_body_stay_what_they_are() -> None:
    with pytest.raises(TypeError, match="^object of type 'int' has no len") as error:
        method(3)
    assert error.traceback[-1].name == "method"


class Own(np.ndarray):
    """An array of a user's."""


@pytest.mark.parametrize(
    "x",
    [np.ones(2).view(Own), {1, 2}, {}.keys(), (k for k in range(2)), range(2), np.arange(2), np.float32(1), None],
    ids=lambda x: type(x).__name__,
)
def test_what_is_of_its_kind_is_not_blamed_for_an_error(x: object) -> None:
    """The error is a user's, of a callback, say."""

    @answering
    def method(x: Array | Iterable[int] | float | None) -> None:
        raise KeyError("of a user")

    with pytest.raises(KeyError, match="of a user"):
        method(x)


def test_signature_docstring_and_pickles_stay() -> None:
    assert list(inspect.signature(method).parameters) == ["A", "b", "niter"]
    assert (method.__name__, method.__doc__, method.__module__) == ("method", "Doc.", __name__)
    assert pickle.loads(pickle.dumps(ip.tv)) is ip.tv
    assert inspect.signature(ip.Box).parameters.keys() == {"lo", "hi"}
    for value in (ip.FISTA(tau=0.1), ip.stop.niter(3)):
        assert pickle.loads(pickle.dumps(value)) == copy.deepcopy(value) == value


def test_arguments_that_are_missing_or_too_many() -> None:
    with pytest.raises(TypeError, match=r"^method\(\) is given no A; it takes A, b, niter$"):
        method()
    with pytest.raises(
        TypeError, match="is given 3 arguments in order; expected at most 2: A, b, and by keyword niter$"
    ):
        method([], 1, 2)
    with pytest.raises(TypeError, match=r"^Box\(\) is given 3 arguments in order; expected at most 2: lo, hi$"):
        ip.Box(0, 1, 2)
    with pytest.raises(TypeError, match="multiple values for argument 'A'"):
        method([], A=[])


def test_iterations_of_matlab_are_no_noise_level() -> None:
    """IRcgls(A, b, 10) does 10 iterations: a whole number in third place is asked about, a level of noise is not."""
    A, b = np.diag([1.0, 2.0, 3.0]), np.ones(3)
    asked = r"^cgls\(\) is given 1 in third place, which is noise_level; expected niter=1, or noise_level=1 by its name"
    for third in (1, np.int64(1)):
        with pytest.raises(TypeError, match=asked):
            ip.cgls(A, b, third)
    with pytest.raises(TypeError, match="which is lam; expected niter=10"):
        ip.hybrid_lsqr(A, b, 10)
    assert ip.cgls(A, b, 1.0)[1].niter == ip.cgls(A, b, noise_level=1)[1].niter == 1
    assert ip.tikhonov(A, b, 1)[1].stop == "residual"  # λ, which has no default, is what stands there


def test_the_third_place_of_a_class_is_not_counted_from_its_instance() -> None:
    @answering
    class Unrolled:
        def __init__(self, A: Any, niter: int = 8, lam: float = 0.1) -> None:
            self.niter, self.lam = niter, lam

    Unrolled.__init__ = answering(Unrolled.__init__)
    assert Unrolled("A", 3).niter == 3
    with pytest.raises(TypeError, match="is given 1 in third place, which is lam; expected niter=1"):
        Unrolled("A", 3, 1)


def test_weights_of_the_data_are_not_lam() -> None:
    A, b = np.eye(3), np.ones(3)
    for method in (ip.tv, ip.tikhonov, ip.mlem):
        with pytest.raises(TypeError, match="has no keyword 'weights'; expected .*ip.WeightedL2"):
            method(A, b, weights=b)


def test_several_slips_are_answered_together() -> None:
    with pytest.raises(TypeError, match=r"has no keywords 'max_iter', 'oprator'; expected niter, A \(it takes A, b"):
        method(max_iter=3, oprator=4)


def test_subclass_of_a_user_is_answered_by_its_base() -> None:
    class Own(ip.Box):
        pass

    with pytest.raises(TypeError, match=r"^Own\(\) has no keyword 'lower'; expected lo \(it takes lo, hi\)$"):
        Own(lower=0)


def test_words_with_a_meaning_are_no_mistyped_ones() -> None:
    assert right_word("n_iter", ["A", "b", "filter"]) == "stop=ip.stop.niter(n) of ip.solve"
    assert "stop=ip.stop.discrepancy" in right_word("noise_level", ["A", "b", "sigma", "stop"])


def test_words_that_mean_nothing_are_not_guessed() -> None:
    assert right_word("frobnicate", ["A", "b", "lam"]) is None


def test_table_is_in_order() -> None:
    for line in SAME:
        ours, theirs = line.split(":")
        assert not set(ours.split()) & set(theirs.split()), line
        assert len(set(theirs.split())) == len(theirs.split()), line


def test_what_python_says_of_an_attribute_names_no_argument() -> None:
    def has_shape(x: Array, shape: int = 1) -> object:
        return x.shape

    with pytest.raises(TypeError, match="^x is list; expected a NumPy or CuPy array$"):
        answering(has_shape)([1.0])
