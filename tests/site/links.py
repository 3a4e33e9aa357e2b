"""`code` that is a public name leads to where that is documented."""

from __future__ import annotations

import functools
import re
from typing import Any

from tests.site import api

NAME = re.compile(r"(?P<prefix>ip\.|ipbox\.)?(?P<name>[A-Za-z_][\w.]*)(?:\(.*\))?", re.DOTALL)
LISTS = ("choosing", "methods")  # pages in whose tables words in small letters are functions, no arguments


def setup(app: Any) -> dict[str, bool]:
    app.connect("doctree-resolved", _link)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


@functools.cache
def places() -> dict[str, tuple[str, str]]:
    """Of every name, as it is written after ``ip.`` and alone where that is one thing, its room and its full path."""
    found = {name.path.removeprefix("ipbox."): (name.room, name.path) for name in api.public()}
    last = [path.rpartition(".")[2] for path in found]
    alone = {path.rpartition(".")[2]: place for path, place in found.items()}
    return {name: place for name, place in alone.items() if last.count(name) == 1} | found


def target(text: str, page: str) -> tuple[str, str] | None:
    """Room and full path of what ``text`` names on a page, None where it is no name of ours."""
    written = NAME.fullmatch(text)
    if written is None or written["name"] not in places():
        return None
    known = written["prefix"] or "(" in text or page in LISTS or written["name"].rpartition(".")[2][:1].isupper()
    return places()[written["name"]] if known else None


def _link(app: Any, doctree: Any, page: str) -> None:
    from docutils import nodes

    for literal in list(doctree.findall(nodes.literal)):
        if isinstance(literal.parent, nodes.reference | nodes.title):
            continue
        found = target(literal.astext(), page)
        if found is not None:
            room, path = found
            address = f"{app.builder.get_relative_uri(page, f'api/{room}')}#{path}"
            literal.replace_self(nodes.reference("", "", literal.deepcopy(), internal=True, refuri=address))
