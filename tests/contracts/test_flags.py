"""Flags are True or False: an argument whose default is one is not taken by its truth ("no" is true)."""

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator

import pytest

from tests.contracts.test_shapes import public

WITHOUT = {("resolve", "linear"): "the functions of the package tell it"}


def _sources(thing: object) -> list[ast.Module]:
    """Of a function, or of a class and those of ours that it comes from."""
    of = [inspect.unwrap(thing)]
    if inspect.isclass(thing):
        of = [c for c in thing.__mro__ if c.__module__.startswith("ipbox")]
    return [ast.parse(textwrap.dedent(inspect.getsource(one))) for one in of]


def _tests(node: ast.AST) -> Iterator[ast.AST]:
    """What of a source is asked for its truth."""
    for one in ast.walk(node):
        if isinstance(one, ast.If | ast.IfExp | ast.While):
            yield one.test
        elif isinstance(one, ast.BoolOp):
            yield from one.values
        elif isinstance(one, ast.UnaryOp) and isinstance(one.op, ast.Not):
            yield one.operand
        elif isinstance(one, ast.Call) and getattr(one.func, "id", "") == "bool":
            yield from one.args


def _checked(node: ast.AST, is_flag: Callable[[ast.AST], bool], name: str) -> bool:
    for one in ast.walk(node):
        if isinstance(one, ast.Call):
            called = getattr(one.func, "id", getattr(one.func, "attr", ""))
            if called == "check_flag" and is_flag(one.args[0]):
                return True
            if called == "check_fields" and any(isinstance(a, ast.Constant) and a.value == name for a in one.args):
                return True
    return False


def taken_by_truth(thing: object, name: str) -> bool:
    """Whether the argument, or the field of that name, decides something without a check."""

    def is_flag(node: ast.AST) -> bool:
        own = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self"
        return getattr(node, "id", None) == name or (own and node.attr == name)

    sources = _sources(thing)
    asked = any(is_flag(test) for source in sources for test in _tests(source))
    return asked and not any(_checked(source, is_flag, name) for source in sources)


def _flags() -> dict[str, tuple[object, str]]:
    found = {}
    for name, thing in public().items():
        try:
            parameters = inspect.signature(thing).parameters.values()
        except (TypeError, ValueError):  # built in
            continue
        flags = [p.name for p in parameters if isinstance(p.default, bool) and (name, p.name) not in WITHOUT]
        found |= {f"{name}, {flag}": (thing, flag) for flag in flags}
    return found


FLAGS = _flags()


@pytest.mark.parametrize("which", sorted(FLAGS))
def test_flags_are_checked(which: str) -> None:
    assert not taken_by_truth(*FLAGS[which])


def test_a_flag_taken_by_its_truth_is_found() -> None:
    def careless(a: int, loud: bool = False) -> int:
        return -a if loud else a

    assert taken_by_truth(careless, "loud")
