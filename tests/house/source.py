"""The package's source, read and parsed once."""

from __future__ import annotations

import ast
import functools
import io
import tokenize
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "ipbox"
MODULES = sorted(PACKAGE.rglob("*.py"))


def in_package(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def dotted(path: Path) -> str:
    """``ipbox.solvers.core.loop``; of a package the name of the package."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@functools.cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(node: ast.AST) -> Iterator[str]:
    """Full names of what is imported below ``node``; of ``from a import b``: a.b."""
    for part in ast.walk(node):
        if isinstance(part, ast.Import):
            yield from (alias.name for alias in part.names)
        elif isinstance(part, ast.ImportFrom):
            assert part.level == 0, f"line {part.lineno}: imports inside the package are absolute"
            yield from (f"{part.module}.{alias.name}" for alias in part.names)
        elif isinstance(part, ast.Call) and part.args and isinstance(part.args[0], ast.Constant):
            if ast.unparse(part.func).rpartition(".")[2] in ("import_module", "__import__"):
                yield str(part.args[0].value)


def at_module_level(module: ast.Module) -> ast.Module:
    """``module`` without the bodies of its functions: what runs when it is imported."""

    class Strip(ast.NodeTransformer):
        def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
            return None

        visit_AsyncFunctionDef = visit_Lambda = visit_FunctionDef

    return Strip().visit(ast.parse(ast.unparse(module)))


def code_lines(text: str) -> int:
    """Lines that hold code: no comments, no blank lines, no docstrings."""
    quiet = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in quiet:
            lines |= set(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node, clean=False):
            lines -= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    return len(lines)


@functools.cache
def import_graph() -> dict[str, set[str]]:
    """Which file imports which, for types and in functions too; a name taken from a package counts for its file."""
    files = {dotted(path): path for path in MODULES}
    given: dict[str, str] = {}  # ipbox.solvers.PDHG -> ipbox.solvers.primal_dual.pdhg.PDHG
    for name, path in files.items():
        if path.name == "__init__.py":
            for node in tree(path).body:
                if isinstance(node, ast.ImportFrom):
                    given |= {f"{name}.{a.asname or a.name}": f"{node.module}.{a.name}" for a in node.names}

    def defining(name: str) -> str:
        while name not in files and name in given:
            name = given[name]
        while name not in files:
            name = name.rpartition(".")[0]
        return name

    plain = {name: path for name, path in files.items() if path.name != "__init__.py"}
    used = {
        name: {defining(i) for i in imports(tree(path)) if i.partition(".")[0] == "ipbox"}
        for name, path in plain.items()
    }
    return {name: {other for other in found if other in plain} - {name} for name, found in used.items()}


def circles(graph: dict[str, set[str]]) -> list[set[str]]:
    """Sets of files that reach each other."""
    import networkx

    found = networkx.strongly_connected_components(networkx.DiGraph(graph))
    return [files for files in found if len(files) > 1]
