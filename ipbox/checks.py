"""Checks of arguments: each returns its value, as a plain Python number, or says in one sentence what was expected.

Called once, at the public boundary.  ``name`` is the argument's, as the user wrote it.
"""

from __future__ import annotations

import math
import numbers
import sys
from collections.abc import Callable, Iterable
from typing import Any, Protocol, TypeGuard, runtime_checkable

import numpy as np

from ipbox.spelling import alike, close, plain

MOST = sys.maxsize  # of anything that is counted
_PLURALS = {"axis": "axes", "entry": "entries"}
CLOSE = 0.75  # ratio of difflib from which two names may be one, mistyped


def is_integer(value: Any) -> TypeGuard[int]:
    """Whether ``value`` is an integer of Python or NumPy; True and False are none."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def is_number(value: Any) -> TypeGuard[float]:
    """Whether ``value`` is a real number of Python or NumPy that a float holds; True and False are none."""
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        return False
    try:
        float(value)
    except OverflowError:  # an integer of Python, or a fraction, beyond 1.8e308
        return False
    return True


def shown(value: Any) -> str:
    """A value as an error names it: numbers, texts and short tuples as they are, of all else what it is."""
    if isinstance(value, tuple | list) and len(value) <= 8:
        inside = ", ".join(map(shown, value))
        return f"[{inside}]" if isinstance(value, list) else f"({inside}{',' * (len(value) == 1)})"
    if isinstance(value, np.ndarray) and value.size > 8:
        return f"an array of shape {value.shape}"
    if isinstance(value, int) and abs(value) > sys.float_info.max:
        return f"an integer of about {math.ceil(value.bit_length() * math.log10(2))} digits, more than a float holds"
    text = repr(value)
    return text if len(text) <= 80 and "\n" not in text else f"of type {type(value).__name__}"


def counted(n: int, thing: str) -> str:
    """How many of a thing.

    Examples
    --------
    >>> from ipbox.checks import counted
    >>> counted(1, "number"), counted(2, "number"), counted(3, "axis")
    ('1 number', '2 numbers', '3 axes')
    """
    return f"{n} {thing if n == 1 else _PLURALS.get(thing, f'{thing}s')}"


def as_dtype(name: str, found: Any, expected: Any, maker: str = "an operator made") -> str:
    """The calls that make dtypes fit: a cast of what is called ``name``, or ``maker`` with the dtype that was found.

    Examples
    --------
    >>> from ipbox.checks import as_dtype
    >>> as_dtype("b", "float64", "float32")
    ": b.astype('float32'), or an operator made with dtype='float64'"
    """
    found, expected = np.dtype(found), np.dtype(expected)
    if found.kind == "c" and expected.kind != "c":
        return f": {name}.real, or its magnitude abs({name})"
    other = f", or {maker} with dtype='{found}'" if maker and found.kind == expected.kind else ""
    return f": {name}.astype('{expected}'){other}"


@runtime_checkable
class HoldsArray(Protocol):
    """What holds an array and gives it: of xarray, pandas, torch.

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.checks import HoldsArray
    >>> isinstance(np.float64(1.0), HoldsArray), isinstance([1.0], HoldsArray)
    (True, False)
    """

    def __array__(self) -> np.ndarray: ...


def held_array(value: Any, name: str) -> str:
    """How to come by the array that ``value`` holds; nothing for what is of NumPy itself, such as masked arrays.

    Labels, units and gradients are not taken along unasked: nobody knows which of them belong to a result.

    Examples
    --------
    >>> from ipbox.checks import held_array
    >>> class Labelled:
    ...     def __array__(self):
    ...         return np.ones(2)
    >>> held_array(Labelled(), "b"), held_array([1.0], "b")
    ('; numpy.asarray(b) gives its values', '')
    """
    if not isinstance(value, HoldsArray) or isinstance(value, np.ndarray | np.generic | type):
        return ""
    return f"; numpy.asarray({name if name.isidentifier() else '...'}) gives its values"


def has_shape(value: Any, shape: tuple[int, ...]) -> bool:
    """Whether ``value``, a number, an array or lists in lists, has this shape; lists of different lengths have none."""
    try:
        return np.shape(value) == shape
    except ValueError:
        return False


def check_count(value: Any, name: str, least: int = 1) -> int:
    """An integer from ``least`` on, up to the largest that arrays can have of anything."""
    if not is_integer(value) or not least <= value <= MOST:
        known = {1: "a positive integer", 0: "an integer that is not negative"}
        expected = known.get(least, f"an integer of at least {least}") + _beyond(value)
        raise ValueError(f"{name} is {shown(value)}; expected {expected}")
    return int(value)


def _beyond(value: Any) -> str:
    return f" of at most {MOST}" if is_integer(value) and value > MOST else ""


def check_integer(value: Any, name: str, low: int, high: int, of: str = "") -> int:
    """An integer from ``low`` to ``high``; ``of`` says what the bounds are."""
    if not is_integer(value) or not low <= value <= high:
        raise ValueError(f"{name} is {shown(value)}; expected an integer from {low} to {high}{of}")
    return int(value)


def check_positive(value: Any, name: str, what: str = "a positive number") -> float:
    """A finite number above 0."""
    if not is_number(value) or not 0 < float(value) < math.inf:
        raise ValueError(f"{name} is {shown(value)}; expected {what}")
    return float(value)


def check_not_negative(value: Any, name: str, what: str = "zero or a positive number") -> float:
    """A finite number from 0 on."""
    if not is_number(value) or not 0 <= float(value) < math.inf:
        raise ValueError(f"{name} is {shown(value)}; expected {what}")
    return float(value)


def check_float(value: Any, name: str) -> float:
    """A real number of Python or NumPy as a float, which may be infinite."""
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"{name} is {shown(value)}; expected a number") from None


def check_finite(value: Any, name: str) -> float:
    """A finite number."""
    if not is_number(value) or not math.isfinite(value):
        raise ValueError(f"{name} is {shown(value)}; expected a finite number")
    return float(value)


def check_between(value: Any, name: str, low: float, high: float, ends: str = "()", what: str = "a number") -> float:
    """A number in an interval; ``ends`` are its brackets, ``"[)"`` for one that holds ``low`` and not ``high``."""
    inside = is_number(value) and (
        (low < value if ends[0] == "(" else low <= value) and (value < high if ends[1] == ")" else value <= high)
    )
    if not inside:
        raise ValueError(f"{name} is {shown(value)}; expected {what} in {ends[0]}{low:g}, {high:g}{ends[1]}")
    return float(value)


def check_seed(value: Any, name: str = "seed", bits: int = 64) -> int:
    """A seed of random numbers."""
    if not is_integer(value) or not 0 <= value < 2**bits:
        raise ValueError(f"{name} is {shown(value)}; expected an integer from 0 to 2^{bits} - 1")
    return int(value)


def check_numbers(value: Any, name: str, what: str = "real numbers") -> np.ndarray:
    """Real numbers, in an array of the host or in lists, as a new array of float64.

    Examples
    --------
    >>> from ipbox.checks import check_numbers
    >>> check_numbers([1, 2.5], "theta0")
    array([1. , 2.5])
    """
    try:
        found = np.asarray(value)
    except (ValueError, TypeError) as err:  # lists of different lengths, arrays of a device
        raise TypeError(f"{name} is {shown(value)}; expected {what}") from err
    if found.dtype.kind not in "fiu":
        raise TypeError(f"{name} is {shown(value)}; expected {what}")
    return found.astype(np.float64)


def check_type(value: Any, name: str, kind: Any, what: str) -> Any:
    """A value of a class, or of one of a union; ``what`` says in words which."""
    if not isinstance(value, kind):
        raise TypeError(f"{name} is {type(value).__name__}; expected {what}")
    return value


def check_fields(of: Any, check: Callable[..., Any], *names: str, optional: tuple[str, ...] = ()) -> None:
    """``check`` of the attributes ``names`` of an object, and of the ``optional`` ones that are not None."""
    for name in (*names, *optional):
        if name not in optional or getattr(of, name) is not None:
            check(getattr(of, name), name)


def check_choice(value: Any, name: str, options: Iterable[str], other: str = "") -> str:
    """One of the names ``options``; ``other`` says what else the caller takes."""
    options = tuple(options)
    if not isinstance(value, str) or value not in options:
        near = nearest(value, options)
        meant = "" if near is None else f"; did you mean {near!r}?"
        raise ValueError(f"{name} is {shown(value)}; expected one of {', '.join(map(repr, options))}{other}{meant}")
    return value


def nearest(value: Any, options: tuple[str, ...]) -> str | None:
    """The option that was meant: another case, a hyphen for an underscore, a letter too many, the start of one."""
    if not isinstance(value, str):
        return None
    begun = [option for option in options if len(plain(value)) > 2 and plain(option).startswith(plain(value))]
    found = alike(value, options) or (begun if len(begun) == 1 else close(value, options, CLOSE))
    return found[0] if found else None


def check_flag(value: Any, name: str) -> bool:
    """True or False."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} is {shown(value)}; expected True or False")
    return bool(value)


def check_dims(dims: Any, name: str) -> tuple[int, ...]:
    """A shape without empty axes, as a tuple of positive Python integers; an integer is a shape of one axis."""
    if isinstance(dims, numbers.Integral):
        dims = (dims,)
    given = dims if isinstance(dims, np.ndarray) else None
    dims = tuple(dims) if np.iterable(dims) else (dims,)
    if not dims or not all(is_integer(n) and 0 < n <= MOST for n in dims):
        beyond = max(map(_beyond, dims), default="")
        raise ValueError(f"{name} is {shown(dims if given is None else given)}; expected positive integers{beyond}")
    return tuple(int(n) for n in dims)


def check_axes(axes: Any, nd: int, name: str = "axes") -> tuple[int, ...]:
    """Different axes of an image of nd axes, ascending and from 0 on; all of them for None."""
    given = tuple(range(nd)) if axes is None else tuple(axes) if np.iterable(axes) else (axes,)
    if (
        not given
        or not all(is_integer(a) and -nd <= a < nd for a in given)
        or len({a % nd for a in given}) < len(given)
    ):
        raise ValueError(f"{name} is {shown(axes)}; expected different axes of an image of {nd}, such as (-2, -1)")
    return tuple(sorted(int(a) % nd for a in given))


def check_noise_level(noise_level: Any) -> Any:
    """A float that is not negative, or an array of one for each sample of a batch."""
    level = np.asarray(noise_level)
    if level.dtype.kind not in "fiu":
        raise TypeError(f"noise_level is {shown(noise_level)}; expected a number, or one per sample")
    level = level.astype(np.float64)
    if not (level >= 0).all() or not np.isfinite(level).all():
        raise ValueError(f"noise_level is {noise_level}; expected a non-negative number")
    return float(level) if level.ndim == 0 else level


def check_noise_known(noise_level: Any, rule: str = "the discrepancy principle") -> None:
    """Refuse a rule that needs the noise level without one."""
    if noise_level is None:
        raise ValueError(
            f"noise_level is None; {rule} expects the norm of the noise, as ip.estimate_noise(b, A) finds it"
        )


def check_no_picture(mask: np.ndarray, name: str = "mask") -> np.ndarray:
    """A mask, but not one of 0 and 255, as images store it: these would be weights."""
    if mask.dtype != bool and mask.max() == 255 and ((mask == 0) | (mask == 255)).all():
        raise ValueError(f"{name} is 0 or 255 everywhere, as images are; expected bool or weights, such as {name} > 0")
    return mask
