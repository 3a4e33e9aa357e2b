"""Checks of arguments: the value that each returns, as a plain Python number, and the sentence that it raises."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

from ipbox import checks as c

NAN, INF = math.nan, math.inf
unit = partial(c.check_between, low=0.0, high=1.0)

# check of (value, "a"), value -> what it returns
GOOD: list[tuple[Callable[..., Any], Any, Any]] = [
    (c.check_count, 1, 1),
    (c.check_count, np.int32(7), 7),
    (partial(c.check_count, least=0), 0, 0),
    (partial(c.check_integer, low=-1, high=2), np.uint8(2), 2),
    (c.check_positive, 3, 3.0),
    (c.check_positive, np.float32(0.5), 0.5),
    (c.check_not_negative, 0, 0.0),
    (c.check_finite, -2, -2.0),
    (c.check_float, INF, INF),
    (c.check_count, np.int64(2**63 - 1), 2**63 - 1),
    (unit, np.float64(0.25), 0.25),
    (partial(unit, ends="[)"), 0, 0.0),
    (partial(unit, ends="(]"), 1, 1.0),
    (c.check_seed, np.uint64(2**64 - 1), 2**64 - 1),
    (partial(c.check_choice, options=("x", "y")), "y", "y"),
    (partial(c.check_choice, options={"x": 1}), "x", "x"),
    (partial(c.check_type, kind=int | None, what="an integer"), None, None),
    (c.check_flag, np.True_, True),
    (c.check_flag, False, False),
    (c.check_dims, 3, (3,)),
    (c.check_dims, [np.int64(2), 3], (2, 3)),
    (c.check_dims, np.array([4, 5]), (4, 5)),
    (partial(c.check_axes, nd=3), (-1, np.int64(1)), (1, 2)),
    (partial(c.check_axes, nd=2), None, (0, 1)),
    (partial(c.check_axes, nd=2), -2, (0,)),
]


@pytest.mark.parametrize(("check", "value", "expected"), GOOD)
def test_returns_a_plain_value(check: Callable[..., Any], value: Any, expected: Any) -> None:
    found = check(value, name="a")
    assert found == expected and type(found) is type(expected)
    if isinstance(found, tuple):
        assert all(type(n) is int for n in found)


# check of (value, "a"), value, error, sentence
BAD: list[tuple[Callable[..., Any], Any, type[Exception], str]] = [
    (c.check_count, 0, ValueError, "a is 0; expected a positive integer"),
    (c.check_count, True, ValueError, "a is True; expected a positive integer"),
    (c.check_count, 1.0, ValueError, "a is 1.0; expected a positive integer"),
    (partial(c.check_type, kind=str, what="a name"), 1, TypeError, "a is int; expected a name"),
    (partial(c.check_count, least=0), -1, ValueError, "a is -1; expected an integer that is not negative"),
    (partial(c.check_count, least=2), 1, ValueError, "a is 1; expected an integer of at least 2"),
    (
        partial(c.check_integer, low=0, high=3, of=", the axes"),
        4,
        ValueError,
        "a is 4; expected an integer from 0 to 3, the axes",
    ),
    (c.check_positive, 0, ValueError, "a is 0; expected a positive number"),
    (c.check_positive, NAN, ValueError, "a is nan; expected a positive number"),
    (c.check_positive, INF, ValueError, "a is inf; expected a positive number"),
    (c.check_positive, "1", ValueError, "a is '1'; expected a positive number"),
    (c.check_positive, True, ValueError, "a is True; expected a positive number"),
    (partial(c.check_positive, what="a length"), -1.5, ValueError, "a is -1.5; expected a length"),
    (c.check_not_negative, -1, ValueError, "a is -1; expected zero or a positive number"),
    (partial(c.check_not_negative, what="a size"), INF, ValueError, "a is inf; expected a size"),
    (c.check_finite, INF, ValueError, "a is inf; expected a finite number"),
    (c.check_finite, 1j, ValueError, "a is 1j; expected a finite number"),
    (unit, 0, ValueError, "a is 0; expected a number in (0, 1)"),
    (unit, NAN, ValueError, "a is nan; expected a number in (0, 1)"),
    (partial(unit, ends="(]", what="a relaxation"), 0.0, ValueError, "a is 0.0; expected a relaxation in (0, 1]"),
    (partial(unit, ends="[)"), 1, ValueError, "a is 1; expected a number in [0, 1)"),
    (c.check_seed, -1, ValueError, "a is -1; expected an integer from 0 to 2^64 - 1"),
    (partial(c.check_seed, bits=32), 2**32, ValueError, "a is 4294967296; expected an integer from 0 to 2^32 - 1"),
    (partial(c.check_choice, options=("x", "y")), "z", ValueError, "a is 'z'; expected one of 'x', 'y'"),
    (
        partial(c.check_choice, options=("hann", "ram_lak")),
        "Ram-Lak",
        ValueError,
        "a is 'Ram-Lak'; expected one of 'hann', 'ram_lak'; did you mean 'ram_lak'?",
    ),
    (
        partial(c.check_choice, options=("discrepancy", "gcv")),
        "discrep",
        ValueError,
        "a is 'discrep'; expected one of 'discrepancy', 'gcv'; did you mean 'discrepancy'?",
    ),
    (partial(c.check_choice, options=("x", "y")), ["x"], ValueError, "a is ['x']; expected one of 'x', 'y'"),
    (c.check_count, 2**63, ValueError, f"a is {2**63}; expected a positive integer of at most {2**63 - 1}"),
    (c.check_dims, (3, 2**63), ValueError, f"a is (3, {2**63}); expected positive integers of at most {2**63 - 1}"),
    (c.check_positive, np.longdouble("1e400"), ValueError, "a is np.longdouble('1e+400'); expected a positive number"),
    (c.check_flag, 1, TypeError, "a is 1; expected True or False"),
    (c.check_dims, (), ValueError, "a is (); expected positive integers"),
    (c.check_dims, (3, 0), ValueError, "a is (3, 0); expected positive integers"),
    (c.check_dims, (3.0,), ValueError, "a is (3.0,); expected positive integers"),
    (c.check_dims, None, ValueError, "a is (None,); expected positive integers"),
    (
        partial(c.check_axes, nd=2),
        (0, -2),
        ValueError,
        "a is (0, -2); expected different axes of an image of 2, such as (-2, -1)",
    ),
]


@pytest.mark.parametrize(("check", "value", "error", "sentence"), BAD)
def test_says_in_one_sentence_what_was_expected(
    check: Callable[..., Any], value: Any, error: type[Exception], sentence: str
) -> None:
    with pytest.raises(error) as caught:
        check(value, name="a")
    assert type(caught.value) is error and str(caught.value) == sentence


@pytest.mark.parametrize(
    ("check", "error", "expected"),
    [
        (c.check_count, ValueError, f"a positive integer of at most {2**63 - 1}"),
        (c.check_positive, ValueError, "a positive number"),
        (c.check_not_negative, ValueError, "zero or a positive number"),
        (c.check_finite, ValueError, "a finite number"),
        (c.check_float, ValueError, "a number"),
        (partial(c.check_between, low=0.0, high=INF), ValueError, "a number in (0, inf)"),
        (c.check_seed, ValueError, "an integer from 0 to 2^64 - 1"),
        (c.check_flag, TypeError, "True or False"),
        (partial(c.check_axes, nd=2), ValueError, "different axes of an image of 2, such as (-2, -1)"),
    ],
)
def test_integers_that_no_float_holds(check: Callable[..., Any], error: type[Exception], expected: str) -> None:
    """Python writes none of more than 4300 digits."""
    for power in (400, 5000):
        with pytest.raises(error) as caught:
            check(10**power, name="a")
        told = f"a is an integer of about {power + 1} digits, more than a float holds; expected {expected}"
        assert str(caught.value) == told


@pytest.mark.parametrize(
    ("value", "integer", "number"),
    [(1, True, True), (np.int8(1), True, True), (1.0, False, True), (np.float32(1), False, True)]
    + [(value, False, False) for value in (True, np.True_, 1j, "1", None, np.ones(1))]
    + [(10**400, True, False)],
)
def test_what_is_a_number(value: Any, integer: bool, number: bool) -> None:
    assert (c.is_integer(value), c.is_number(value)) == (integer, number)


def test_noise_levels() -> None:
    assert c.check_noise_level(2) == 2.0 and type(c.check_noise_level(np.float32(2))) is float
    levels = c.check_noise_level([1, 0])
    assert levels.dtype == np.float64 and levels.tolist() == [1.0, 0.0]
    with pytest.raises(TypeError, match="^noise_level is 'low'; expected a number, or one per sample$"):
        c.check_noise_level("low")
    for bad in (-1.0, NAN, [1.0, INF]):
        with pytest.raises(ValueError, match=r"^noise_level is .*; expected a non-negative number$"):
            c.check_noise_level(bad)
    c.check_noise_known(0.0)
    with pytest.raises(ValueError, match=r"^noise_level is None; SURE expects the norm of the noise, as ip\.estimate"):
        c.check_noise_known(None, "SURE")


def test_numbers_in_arrays_and_lists() -> None:
    given = np.array([1, 2], "int8")
    for value in (given, [1, 2.0], (np.float32(1), 2)):
        found = c.check_numbers(value, "a")
        assert found.dtype == np.float64 and found.tolist() == [1.0, 2.0] and found is not value
    assert c.check_numbers(3, "a").shape == ()
    for bad in ("1", ["1", "2"], [[1], [1, 2]], [True], np.array([1j]), np.array([None]), object()):
        with pytest.raises(TypeError, match="^a is .*; expected real numbers$"):
            c.check_numbers(bad, "a")


def test_masks_that_are_pictures() -> None:
    for good in (np.eye(3), np.eye(3) > 0, 200 * np.eye(3), np.array([0.0, 1.0, 255.0])):
        assert c.check_no_picture(good) is good
    with pytest.raises(ValueError, match=r"^mask is 0 or 255 everywhere, .* or weights, such as mask > 0$"):
        c.check_no_picture(255 * np.eye(3))


def test_every_check_is_here() -> None:
    functions = {value for name, value in vars(c).items() if name.startswith("check_")}
    tabled = {getattr(check, "func", check) for check, *_ in GOOD + BAD}
    assert functions == tabled | {
        c.check_fields,
        c.check_noise_level,
        c.check_noise_known,
        c.check_no_picture,
        c.check_numbers,
    }


def test_fields_are_checked_by_name_and_optional_ones_where_given() -> None:
    class Settings:
        a, b, c = 1.0, None, -1.0

    c.check_fields(Settings, c.check_positive, "a", optional=("b",))
    with pytest.raises(ValueError, match="^b is None; expected a positive number"):
        c.check_fields(Settings, c.check_positive, "a", "b")
    with pytest.raises(ValueError, match="^c is -1.0; expected a positive number"):
        c.check_fields(Settings, c.check_positive, "a", optional=("b", "c"))
