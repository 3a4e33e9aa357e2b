"""The example of a public function or class, run so that its first call is made with wrong arguments before."""

from __future__ import annotations

import dataclasses
import doctest
import functools
import inspect
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from typing import Any

import numpy as np

from ipbox import backend
from ipbox.solvers import Run, Solver, State

# what a sentence calls an argument that is one of the formula's letters, or holds several of them
CALLED = {"objective": ("f",), "denoiser": ("net",), "problem": ("A", "f"), "n": ("niter",), "problems": ("problem",)}
CALLED |= dict.fromkeys(("op", "ops", "operators", "C", "F", "matrix"), ("A",))


class Junk:
    """What nothing public takes."""


@dataclass(frozen=True)
class Answer:
    """What a call with a wrong argument gave: an error, or none."""

    name: str
    argument: str
    kind: str
    error: BaseException | None
    later: bool = False  # settings of a solver are refused where it begins

    @property
    def fault(self) -> str | None:
        """What is wrong with it."""
        err = self.error
        if err is None:
            return "is taken" if self.kind == "type" and not self.later else None
        text = f"{type(err).__name__}: {err}"
        if not isinstance(err, TypeError | ValueError | OSError | ImportError):
            return text[:200]
        words = "|".join(map(re.escape, (self.argument, *CALLED.get(self.argument, ()))))
        if "\n" in str(err) or not re.search(rf"(?<![A-Za-z_])({words})(?![A-Za-z])", str(err)):
            return text[:200]
        return None


def is_held(target: Any) -> bool:
    """Whether this is a class of what the package makes, and no user: records, what a loop holds, errors."""
    if not isinstance(target, type):
        return False
    record = dataclasses.is_dataclass(target) and not hasattr(target, "__post_init__")
    return record or issubclass(target, BaseException | State | Run)


def spoiled(value: Any) -> Iterator[tuple[str, Any]]:
    """Wrong values in the place of ``value``, each with what is wrong."""
    yield "type", Junk()
    if backend.is_array(value) and value.ndim > 0:
        yield "axes", np.stack([value, value])[None]
        yield "dtype", np.full(value.shape, "a")
        yield "objects", value.astype(object)
        if value.size > 1:
            yield "size", value[..., :-1]
    elif isinstance(value, bool):
        yield "text", "junk"
    elif isinstance(value, int | float):
        yield "text", "junk"
        yield "NaN", float("nan")
        yield "complex", 1j
        yield "array", np.ones((2, 3, 4))
    elif isinstance(value, str):
        yield "number", 3.5
        yield "text", "junk"
    elif isinstance(value, tuple | list):
        yield "text", "junk"
        yield "nested", [[value], 1]
    else:
        yield "text", "junk"
        yield "number", 3.5


def answers(name: str, target: Callable[..., Any]) -> list[Answer]:
    """Answers to the first call in the example of ``target``; none where it has no example that calls it."""
    found: list[Answer] = []

    def first(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], skip: int) -> None:
        if found:
            return
        found.append(Answer(name, "", "", None))
        found.extend(_asked(name, original, args, kwargs, skip))
        if any(isinstance(of.error, FileNotFoundError) for of in found):  # the example's own file may not be there
            usual = _error(original, args, kwargs)
            found[1:] = [of for of in found[1:] if usual is None or str(of.error) != str(usual)]

    with _watched(target, first):
        try:
            _run_example(target)
        except Exception:
            if not found:  # else a wrong path, say, was written to
                raise
    assert found or f"{target.__name__}(" not in (target.__doc__ or ""), f"the example of {name} does not call it"
    later = isinstance(target, type) and issubclass(target, Solver)
    return [dataclasses.replace(answer, later=later) for answer in found[1:]]


def _asked(
    name: str, original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], skip: int
) -> Iterator[Answer]:
    signature = inspect.signature(original)
    bound = signature.bind(*args, **kwargs)
    for argument, parameter in list(signature.parameters.items())[skip:]:
        if argument not in bound.arguments and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            changed = signature.bind(*args, **kwargs)
            changed.arguments[argument] = Junk()
            yield Answer(name, argument, "type", _error(original, changed.args, changed.kwargs))
    for argument in list(bound.arguments)[skip:]:
        kind_of = signature.parameters[argument].kind
        if kind_of is inspect.Parameter.VAR_POSITIONAL:
            continue
        if kind_of is inspect.Parameter.VAR_KEYWORD:
            for key, value in bound.arguments[argument].items():
                for kind, wrong in spoiled(value):
                    yield Answer(name, key, kind, _error(original, args, kwargs | {key: wrong}))
            continue
        for kind, wrong in spoiled(bound.arguments[argument]):
            changed = signature.bind(*args, **kwargs)
            changed.arguments[argument] = wrong
            yield Answer(name, argument, kind, _error(original, changed.args, changed.kwargs))


def _error(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> BaseException | None:
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            result = original(*args, **kwargs)
            if inspect.isgenerator(result):
                next(result)
            elif isinstance(result, AbstractContextManager):
                with result:
                    pass
    except Exception as err:
        return err
    return None


@contextmanager
def _watched(target: Any, first: Callable[..., None]) -> Iterator[None]:
    """Inside, the first call of ``target`` is told to ``first`` before it is made."""
    if isinstance(target, type):
        before = target.__init__

        @functools.wraps(before)
        def init(self: Any, *args: Any, **kwargs: Any) -> None:
            if type(self) is target:
                first(before, (object.__new__(target), *args), kwargs, 1)
            before(self, *args, **kwargs)

        own = "__init__" in vars(target)
        target.__init__ = init
        try:
            yield
        finally:
            if own:
                target.__init__ = before
            else:
                del target.__init__
        return

    @functools.wraps(target)
    def call(*args: Any, **kwargs: Any) -> Any:
        first(target, args, kwargs, 0)
        return target(*args, **kwargs)

    places = [
        (vars(module), key)
        for module in [m for n, m in sys.modules.items() if n.partition(".")[0] == "ipbox"]
        for key, value in vars(module).items()
        if value is target
    ]
    for where, key in places:
        where[key] = call
    try:
        yield
    finally:
        for where, key in places:
            where[key] = target


def _run_example(target: Any) -> None:
    """The example of the docstring, its output unread."""
    space: dict[str, Any] = dict(vars(sys.modules[target.__module__]))
    for example in doctest.DocTestParser().get_examples(inspect.getdoc(target) or ""):
        with redirect_stdout(StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                exec(compile(example.source, "<example>", "single"), space)
            except Exception:
                if example.exc_msg is None:
                    raise
