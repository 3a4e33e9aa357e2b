"""What is public, and what has a room, is found in the documentation."""

from __future__ import annotations

import re
from pathlib import Path

import ipbox

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
