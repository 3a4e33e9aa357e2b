"""The files themselves: annotated, short, in rooms of a size that one can look at, shipped, of no one machine."""

from __future__ import annotations

import ast
import configparser
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house.source import MODULES, PACKAGE, ROOT, code_lines, in_package, tree

MOST_ENTRIES, MOST_LINES, DEEPEST = 12, 300, 3


def folders() -> list[Path]:
    return sorted({path.parent for path in MODULES})


def entries(folder: Path) -> list[str]:
    """What one sees on opening a folder, without ``__init__`` and caches."""
    hidden = {"__pycache__", "__init__.py", "__init__.pyi", "py.typed"}
    return sorted(path.name for path in folder.iterdir() if path.name not in hidden and path.suffix != ".nbi")


def test_rooms_can_be_looked_at() -> None:
    """At most 12 entries in a folder, none of one file; the front door, ``ipbox/`` itself, shows every room."""
    for folder in folders():
        found = entries(folder)
        assert len(found) > 1, f"{folder} is a folder of one"
        assert len(found) <= MOST_ENTRIES or folder == PACKAGE, f"{in_package(folder)} has {len(found)}: {found}"
        assert len(folder.relative_to(PACKAGE).parts) <= DEEPEST, f"{in_package(folder)} is too deep"


def test_no_name_repeats_its_folders() -> None:
    for path in MODULES:
        own = path.parent.name if path.name == "__init__.py" else path.stem
        above = path.parent.parent.name if path.name == "__init__.py" else path.parent.name
        assert own != above, in_package(path)


# ---------------------------------------------------------------- annotations


def public_functions(body: list[ast.stmt], prefix: str = "") -> Iterator[tuple[str, ast.FunctionDef]]:
    """Public functions, and the public methods and constructors of public classes."""
    for node in body:
        public = not getattr(node, "name", "_").startswith("_")
        if isinstance(node, ast.FunctionDef) and (public or (prefix and node.name == "__init__")):
            yield prefix + node.name, node
        elif isinstance(node, ast.ClassDef) and public:
            yield from public_functions(node.body, f"{node.name}.")


# Numba infers the types of these; their callers are annotated
COMPILED = ("twins", "cuda.jit", "inline", "inlined", "contracted", "reduction", "register_jitable")


def is_compiled(function: ast.FunctionDef) -> bool:
    return any(ast.unparse(d).partition("(")[0] in COMPILED for d in function.decorator_list)


def unannotated(function: ast.FunctionDef) -> list[str]:
    args = function.args
    every = [*args.posonlyargs, *args.args, *args.kwonlyargs, *filter(None, (args.vararg, args.kwarg))]
    missing = [a.arg for a in every if a.annotation is None and a.arg not in ("self", "cls")]
    return missing + ["return"] * (function.returns is None)


def test_public_functions_are_annotated() -> None:
    for path in MODULES:
        functions = public_functions(tree(path).body)
        missing = {name: unannotated(function) for name, function in functions if not is_compiled(function)}
        assert not any(missing.values()), (in_package(path), {name: what for name, what in missing.items() if what})


# ---------------------------------------------------------------- text


def sources() -> list[Path]:
    """The text files that make up the project."""
    generated = {"build", "dist", "__pycache__"}
    found = [ROOT / name for name in (".gitignore", ".ci/run")]
    for path in ROOT.rglob("*"):
        parts = path.relative_to(ROOT).parts
        hidden = any(p.startswith(".") or p in generated or p.endswith(".egg-info") for p in parts)
        if not hidden and path.is_file() and path.suffix not in (".npz", ".npy", ".png", ".h5", ".safetensors"):
            found.append(path)
    return sorted(found)


def test_source_files() -> None:
    for path in sources():
        name, text = path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")
        assert not re.search(r"(?<![\w.])/(work|tmp|root|home|farm)/", text), f"{name} names a path of one machine"
        if path.suffix == ".py":
            most = MOST_LINES if PACKAGE in path.parents else 400
            few = text.count("\n") <= most  # without a look at which of them are code
            assert few or code_lines(text) <= most, f"{name}: look for the second idea in it"


def test_code_lines_leave_out_what_is_read_only_by_people() -> None:
    text = (
        '"""Doc\nstring."""\n\n# comment\nx = 1  # one\n\n\ndef f():\n    """Doc."""\n    return (\n        x\n    )\n'
    )
    assert code_lines(text) == 5


def test_every_package_is_shipped() -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    listed = config["options"]["packages"].split()
    found = {".".join(path.parent.relative_to(ROOT).parts) for path in PACKAGE.rglob("__init__.py")}
    assert set(listed) == found | {"ipbox.data"}
    assert listed == sorted(listed)


@pytest.mark.parametrize("folder", ["tests"])
def test_test_rooms_mirror_the_package(folder: str) -> None:
    """A folder of tests is named after the one it tests; a few have what all share."""
    shared = {"bench", "contracts", "house", "interop", "reports", "soak", "standin", "user"}
    for path in sorted((ROOT / folder).rglob("test_*.py")):
        parts = path.relative_to(ROOT / folder).parent.parts
        assert not parts or parts[0] in shared or (PACKAGE.joinpath(*parts)).is_dir(), path
