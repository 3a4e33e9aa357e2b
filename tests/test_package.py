"""What holds for the package as a whole: names, imports, layers, annotations, what is shipped."""

from __future__ import annotations

import ast
import configparser
import importlib
import inspect
import io
import os
import re
import statistics
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

import ipbox
from ipbox import moved

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "ipbox"
MODULES = sorted(PACKAGE.rglob("*.py"))

HEAVY = (
    "torch",
    "cupy",
    "pylops",
    "pyproximal",
    "scipy",
    "numba",
    "matplotlib",
    "skimage",
    "finufft",
    "h5py",
    "pydicom",
    "nibabel",
    "nrrd",
)

# A file imports from its own layer or from those before it.
LAYERS = (
    "moved",
    "checks",
    "progress",
    "parallel",
    "backend",
    "kernels",
    "metrics",
    "plot",
    "operators",
    "functionals",
    "solvers",
    "bayes",
    "io",
    "problems",
    "distributed",
    "choose",
    "reconstruct",
    "comparison",
    "learned",
    "bilevel",
    "evaluate",
    "cli",
    "__main__",
)
TOP = LAYERS[-2:]  # the command line may use the flat names, as a user does


def in_package(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


every_module = pytest.mark.parametrize("path", MODULES, ids=in_package)


# ---------------------------------------------------------------- import


def cold(code: str, *flags: str) -> str:
    """What ``code`` prints in a process of its own."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, *flags, "-c", code]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_import_loads_nothing_heavy() -> None:
    loaded = cold("import sys, ipbox; print(*{name.partition('.')[0] for name in sys.modules})").split()
    assert "ipbox" in loaded
    assert not set(loaded) & set(HEAVY)


def test_looking_at_the_names_loads_nothing_heavy() -> None:
    code = "import sys, ipbox; dir(ipbox), ipbox.__all__, ipbox.__version__; print(*sys.modules)"
    assert not set(cold(code).split()) & set(HEAVY)


def test_import_time() -> None:
    """At most three times the figure `make bench` asks for: tests may share the machine."""
    code = "import time; t = time.perf_counter(); import ipbox; print(time.perf_counter() - t)"
    cold(code)  # writes the byte code
    assert statistics.median(float(cold(code)) for _ in range(9)) <= 3 * 0.150


# ---------------------------------------------------------------- public names


@pytest.mark.parametrize("name", ipbox.__all__)
def test_public_name(name: str) -> None:
    value = getattr(ipbox, name)
    assert inspect.ismodule(value) or callable(value)
    assert name in dir(ipbox)
    assert getattr(ipbox, name) is value


@pytest.mark.parametrize("name", ipbox.__all__)
def test_public_name_has_a_docstring_with_an_example(name: str) -> None:
    value = getattr(ipbox, name)
    assert value.__doc__, f"{name} has no docstring"
    assert inspect.ismodule(value) or ">>> " in value.__doc__


def test_unknown_name() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        ipbox.no_such_name  # noqa: B018


def test_stop_is_the_module_of_stop_rules() -> None:
    from ipbox.solvers import stopping

    assert ipbox.stop is stopping


def test_stub_lists_every_public_name() -> None:
    """The names type checkers see are those that exist at run time (``stop`` is written by hand in both)."""
    declared = {"stop"}
    for node in ast.parse((PACKAGE / "__init__.pyi").read_text()).body:
        if isinstance(node, ast.ImportFrom):
            declared |= {alias.asname or alias.name for alias in node.names}
    assert declared == set(ipbox.__all__)


# ---------------------------------------------------------------- what imports what


def imports(tree: ast.AST) -> Iterator[str]:
    """Full names of what is imported below ``tree``; of ``from a import b``: a.b."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: imports inside the package are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            if ast.unparse(node.func).rpartition(".")[2] in ("import_module", "__import__"):
                yield str(node.args[0].value)


def at_module_level(tree: ast.Module) -> ast.Module:
    """``tree`` without the bodies of its functions: what runs when the module is imported."""

    class Strip(ast.NodeTransformer):
        def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
            return None

        visit_AsyncFunctionDef = visit_Lambda = visit_FunctionDef

    return Strip().visit(tree)


def tops(names: Iterator[str]) -> set[str]:
    return {name.partition(".")[0] for name in names}


def layer(module: str) -> int:
    """Layer of ``ipbox.solvers.core.loop`` and the like; of ``ipbox`` and its flat names: above all."""
    parts = module.split(".")
    return LAYERS.index(parts[1]) if len(parts) > 1 and parts[1] in LAYERS else len(LAYERS)


@every_module
def test_only_backend_names_cupy(path: Path) -> None:
    tree = ast.parse(path.read_text())
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    found = (tops(imports(tree)) | used) & {"cupy", "cupyx", "cufinufft"}
    assert not found or path == PACKAGE / "backend.py"


@every_module
def test_torch_stays_in_its_layers(path: Path) -> None:
    """Nothing below ``learned/`` imports torch, not even in a function; above it, never at module level."""
    if "learned" in path.relative_to(PACKAGE).parts:
        return
    tree = ast.parse(path.read_text())
    if layer("ipbox." + path.relative_to(PACKAGE).parts[0].removesuffix(".py")) >= LAYERS.index("learned"):
        tree = at_module_level(tree)
    assert "torch" not in tops(imports(tree))


@every_module
def test_imports_go_down(path: Path) -> None:
    own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if own in ("__init__", *TOP):
        return
    assert own in LAYERS, f"{own} has no place in LAYERS"
    used = [name for name in imports(ast.parse(path.read_text())) if name.partition(".")[0] == "ipbox"]
    above = sorted(name for name in used if layer(name) > LAYERS.index(own))
    assert not above, f"{own} imports {', '.join(above)} from above"


WAYS = {"from_numpy", "from_dlpack", "__dlpack__", "numpy", "asnumpy", "to_host", "to_device", "cpu", "cuda"}


@every_module
def test_only_the_bridge_moves_arrays(path: Path) -> None:
    """Between torch and NumPy or CuPy, and between host and device: nothing else of ``learned/`` knows a way."""
    if "learned" not in path.relative_to(PACKAGE).parts or path.parent.name == "bridge":
        return
    called = [node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    names = {f"torch.{name}" for name in ("as_tensor", "asarray", "frombuffer")}
    used = {ast.unparse(f) for f in called if getattr(f, "attr", "") in WAYS or ast.unparse(f) in names}
    assert not used, used


@every_module
def test_no_pickle(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert not tops(imports(tree)) & {"pickle", "cPickle", "dill", "cloudpickle", "shelve"}
    assert not {ast.unparse(n) for n in ast.walk(tree) if isinstance(n, ast.Attribute)} & {"torch.save", "torch.load"}
    # joblib is there for its processes; its files are pickles
    used = {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute) and ast.unparse(n.value) == "joblib"}
    assert used <= {"Parallel", "delayed"} and "from joblib" not in path.read_text()


# ---------------------------------------------------------------- the source


def public_functions(body: list[ast.stmt], prefix: str = "") -> Iterator[tuple[str, ast.FunctionDef]]:
    """Public functions, and the public methods and constructors of public classes."""
    for node in body:
        public = not getattr(node, "name", "_").startswith("_")
        if isinstance(node, ast.FunctionDef) and (public or (prefix and node.name == "__init__")):
            yield prefix + node.name, node
        elif isinstance(node, ast.ClassDef) and public:
            yield from public_functions(node.body, f"{node.name}.")


COMPILED = ("twins", "cuda.jit")  # Numba infers the types of these; their callers are annotated


def is_compiled(function: ast.FunctionDef) -> bool:
    return any(ast.unparse(d).partition("(")[0] in COMPILED for d in function.decorator_list)


def unannotated(function: ast.FunctionDef) -> list[str]:
    args = function.args
    every = [*args.posonlyargs, *args.args, *args.kwonlyargs, *filter(None, (args.vararg, args.kwarg))]
    missing = [a.arg for a in every if a.annotation is None and a.arg not in ("self", "cls")]
    return missing + ["return"] * (function.returns is None)


@every_module
def test_public_functions_are_annotated(path: Path) -> None:
    functions = public_functions(ast.parse(path.read_text()).body)
    missing = {name: unannotated(function) for name, function in functions if not is_compiled(function)}
    assert not any(missing.values()), {name: what for name, what in missing.items() if what}


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


@pytest.mark.parametrize("path", sources(), ids=lambda p: p.relative_to(ROOT).as_posix())
def test_source_file(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"(?<![\w.])/(work|tmp|root|home|farm)/", text), "names a path of one machine"
    if path.suffix == ".py":
        assert code_lines(text) <= (300 if PACKAGE in path.parents else 400), "look for the second idea in it"


def test_every_package_is_shipped() -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    listed = config["options"]["packages"].split()
    folders = {".".join(path.parent.relative_to(ROOT).parts) for path in PACKAGE.rglob("__init__.py")}
    assert set(listed) == folders | {"ipbox.data"}
    assert listed == sorted(listed)


# ---------------------------------------------------------------- old import paths


@pytest.mark.parametrize("old", moved.MOVED)
def test_old_import_path_gives_the_module_at_its_new_one(old: str) -> None:
    new = f"ipbox.{moved.MOVED[old]}"
    assert not (PACKAGE / f"{old.replace('.', '/')}.py").exists()
    with pytest.warns(DeprecationWarning, match=f"ipbox.{old} is now {new}"):
        module = moved.OldPaths().create_module(moved.OldPaths().find_spec(f"ipbox.{old}"))
    assert module is importlib.import_module(new)


def test_old_import_path_in_a_new_process() -> None:
    code = (
        "from ipbox.problems.files.kspace import centre_crop; import ipbox.io.raw.kspace as new, sys;"
        "print(centre_crop is new.centre_crop, new.__spec__.name)"
    )
    assert cold(code, "-W", "ignore").split() == ["True", "ipbox.io.raw.kspace"]


def test_unknown_module_is_still_unknown() -> None:
    with pytest.raises(ModuleNotFoundError, match="ipbox.nothing"):
        importlib.import_module("ipbox.nothing")
