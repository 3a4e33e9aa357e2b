"""The decorator itself: what it leaves alone, and that it speaks only where Python refuses a call."""

from __future__ import annotations

import copy
import inspect
import pickle

import pytest

import ipbox as ip
from ipbox.keywords import SAME, answering, right_word


@answering
def method(A: int, b: int = 1, *, niter: int = 2) -> int:
    """Doc."""
    return len(A)  # a TypeError of the body, for a number


def test_errors_of_the_body_stay_what_they_are() -> None:
    with pytest.raises(TypeError, match="^object of type 'int' has no len") as error:
        method(3)
    assert error.traceback[-1].name == "method"


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


def test_several_slips_are_answered_together() -> None:
    with pytest.raises(TypeError, match=r"has no keywords 'max_iter', 'oprator'; expected niter, A \(it takes A, b"):
        method(max_iter=3, oprator=4)


def test_subclass_of_a_user_is_answered_by_its_base() -> None:
    class Own(ip.Box):
        pass

    with pytest.raises(TypeError, match=r"^Own\(\) has no keyword 'lower'; expected lo \(it takes lo, hi\)$"):
        Own(lower=0)


def test_words_that_mean_nothing_are_not_guessed() -> None:
    assert right_word("frobnicate", ["A", "b", "lam"]) is None


def test_table_is_in_order() -> None:
    for line in SAME:
        ours, theirs = line.split(":")
        assert not set(ours.split()) & set(theirs.split()), line
        assert len(set(theirs.split())) == len(theirs.split()), line
