"""What is public, and what has a room, is found in the documentation, and its docstrings have marks in pairs."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import ipbox
from tests.site import api

ROOT = Path(ipbox.__file__).parents[1]


def words(page: str) -> set[str]:
    return set(re.findall(r"\w+", (ROOT / "docs" / page).read_text(encoding="utf-8")))


def test_every_public_name_is_in_the_list_of_what_is_there() -> None:
    names = re.findall(r" as (\w+),?$", (ROOT / "ipbox" / "__init__.pyi").read_text(encoding="utf-8"), re.MULTILINE)
    assert len(names) > 100 and "ConeBeamTransform" in names
    assert sorted(set(names) - words("methods.md") - words("files.md")) == []


def test_every_room_is_on_the_floor_plan() -> None:
    rooms = {path.parent.name for path in (ROOT / "ipbox").rglob("__init__.py")} - {"ipbox"}
    assert {"cone", "operators"} < rooms
    assert sorted(rooms - words("architecture.md")) == []


def test_every_public_name_is_documented_with_an_example() -> None:
    """Functions and classes of every room."""
    names = api.public()
    own = {name.path: vars(name.value).get("__doc__") or "" for name in names if isinstance(name.value, type)}
    own |= {name.path: name.value.__doc__ or "" for name in names if name.path not in own}
    assert len(own) == len(names) > 450
    assert [path for path, text in own.items() if len(text.split()) < 2] == []
    assert [path for path, text in own.items() if ">>> " not in text] == []


def docstrings() -> Iterator[tuple[str, str]]:
    """Of what is public, and of the methods that its pages show."""
    for name in api.public():
        yield name.path, inspect.getdoc(name.value) or ""
        if inspect.isclass(name.value):
            own = {key: value for key, value in vars(name.value).items() if not key.startswith("_")}
            texts = {key: getattr(value, "__doc__", None) for key, value in own.items() if not isinstance(value, type)}
            yield from ((f"{name.path}.{key}", inspect.cleandoc(text)) for key, text in texts.items() if text)


def test_marks_of_code_in_docstrings_are_closed() -> None:
    """The site is built of them, and there a warning is an error."""
    faults = {}
    for name, text in docstrings():
        plain = re.sub(r"^( *)(?:>>> |[.]{3} ).*\n(?:\1\S.*\n)*", "", f"{text}\n", flags=re.MULTILINE)  # no examples
        for paragraph in re.split(r"\n\s*\n", plain):
            left = re.sub(r"``.+?``|`[^`]+`", "", paragraph, flags=re.DOTALL)
            if "`" in left:
                faults[name] = paragraph
    assert faults == {}
