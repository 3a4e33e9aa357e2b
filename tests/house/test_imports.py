"""What imports what: nothing heavy at first, down the layers, in no circle, torch and CuPy in their places."""

from __future__ import annotations

import ast
import os
import statistics
import subprocess
import sys
from pathlib import Path

import networkx
import pytest

from tests.house.source import (
    MODULES,
    PACKAGE,
    ROOT,
    at_module_level,
    circles,
    dotted,
    import_graph,
    imports,
    in_package,
    tree,
)

HEAVY = {"torch", "cupy", "pylops", "pyproximal", "scipy", "numba", "matplotlib", "skimage", "finufft", "h5py"}
HEAVY |= {"pydicom", "nibabel", "nrrd", "twixtools", "numpy", "tqdm", "PIL", "tifffile"}

# A file imports from its own layer or from those before it.
LAYERS = (
    "spelling",
    "names",
    "moved",
    "checks",
    "keywords",
    "warning",
    "files",
    "progress",
    "parallel",
    "shares",
    "backend",
    "scratch",
    "angles",
    "groups",
    "kernels",
    "metrics",
    "summary",
    "reports",
    "figures",
    "curves",
    "panels",
    "plot",
    "animation",
    "operators",
    "functionals",
    "solvers",
    "bayes",
    "io",
    "problems",
    "distributed",
    "choose",
    "reconstruct",
    "measured",
    "comparison",
    "comparisons",
    "learned",
    "bilevel",
    "evaluate",
    "cli",
    "__main__",
)
TOP = LAYERS[-2:]  # the command line may use the flat names, as a user does

# The two algebras: a base class whose + and @ make the classes that derive from it.
CIRCLES = ("ipbox.operators.core.", "ipbox.functionals.core.")


# ---------------------------------------------------------------- import


def cold(code: str, *flags: str) -> str:
    """What ``code`` prints in a process of its own."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, *flags, "-c", code]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_import_and_a_look_at_the_names_load_nothing_heavy() -> None:
    code = (
        "import sys, ipbox; dir(ipbox), ipbox.__all__, ipbox.__version__;"
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    loaded = cold(code).split()
    assert "ipbox" in loaded
    assert not set(loaded) & HEAVY


def test_import_time() -> None:
    """At most three times the figure `make bench` asks for: tests may share the machine."""
    code = "import time; t = time.perf_counter(); import ipbox; print(time.perf_counter() - t)"
    cold(code)  # writes the byte code
    assert statistics.median(float(cold(code)) for _ in range(5)) <= 3 * 0.150


def test_old_import_path_in_a_new_process() -> None:
    code = (
        "from ipbox.problems.files.kspace import centre_crop; import ipbox.io.raw.kspace as new, sys;"
        "print(centre_crop is new.centre_crop, new.__spec__.name)"
    )
    assert cold(code, "-W", "ignore").split() == ["True", "ipbox.io.raw.kspace"]


# ---------------------------------------------------------------- who may import whom


def tops(names: object) -> set[str]:
    return {name.partition(".")[0] for name in names}


def layer(module: str) -> int:
    """Layer of ``ipbox.solvers.core.loop`` and the like; of ``ipbox`` and its flat names: above all."""
    parts = module.split(".")
    return LAYERS.index(parts[1]) if len(parts) > 1 and parts[1] in LAYERS else len(LAYERS)


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def test_imports_go_down() -> None:
    above = {}
    for path in MODULES:
        if room(path) in ("__init__", *TOP):
            continue
        assert room(path) in LAYERS, f"{room(path)} has no place in LAYERS"
        used = [name for name in imports(tree(path)) if name.partition(".")[0] == "ipbox"]
        if found := sorted(name for name in used if layer(name) > LAYERS.index(room(path))):
            above[in_package(path)] = found
    assert not above


def test_no_circles_but_the_two_algebras() -> None:
    """Imports for types, and those in functions, count."""
    for files in circles(import_graph()):
        assert any(all(name.startswith(core) for name in files) for core in CIRCLES), sorted(files)
    assert len(circles(import_graph())) <= len(CIRCLES)


def test_a_circle_is_found() -> None:
    """The graph sees through packages, type-checking blocks and functions, and the search finds what it is made for."""
    graph = import_graph()
    assert "ipbox.solvers.core.problem" in graph["ipbox.solvers.core.state"] | graph["ipbox.solvers.core.loop"]
    assert networkx.has_path(networkx.DiGraph(graph), "ipbox.cli.demos.ct", "ipbox.choose.guess")
    low, high = "ipbox.backend", "ipbox.solvers.core.loop"
    assert {low, high} <= circles(graph | {low: graph[low] | {high}})[0]


def test_only_backend_names_cupy() -> None:
    for path in MODULES:
        used = {node.id for node in ast.walk(tree(path)) if isinstance(node, ast.Name)}
        found = (tops(imports(tree(path))) | used) & {"cupy", "cupyx", "cufinufft"}
        assert not found or path == PACKAGE / "backend.py", in_package(path)


def test_torch_stays_in_its_layers() -> None:
    """Nothing below ``learned/`` imports torch, not even in a function; above it, never at module level."""
    for path in MODULES:
        if "learned" in path.relative_to(PACKAGE).parts:
            continue
        source = tree(path)
        if layer(f"ipbox.{room(path)}") >= LAYERS.index("learned"):
            source = at_module_level(source)
        assert "torch" not in tops(imports(source)), in_package(path)


WAYS = {"from_numpy", "from_dlpack", "__dlpack__", "numpy", "asnumpy", "to_host", "to_device", "cpu", "cuda"}


def test_only_the_bridge_moves_arrays() -> None:
    """Between torch and NumPy or CuPy, and between host and device: nothing else of ``learned/`` knows a way."""
    names = {f"torch.{name}" for name in ("as_tensor", "asarray", "frombuffer")}
    for path in MODULES:
        if "learned" not in path.relative_to(PACKAGE).parts or path.parent.name == "bridge":
            continue
        called = [node.func for node in ast.walk(tree(path)) if isinstance(node, ast.Call)]
        used = {ast.unparse(f) for f in called if getattr(f, "attr", "") in WAYS or ast.unparse(f) in names}
        assert not used, (in_package(path), used)


def test_no_pickle() -> None:
    for path in MODULES:
        attributes = [node for node in ast.walk(tree(path)) if isinstance(node, ast.Attribute)]
        assert not tops(imports(tree(path))) & {"pickle", "cPickle", "dill", "cloudpickle", "shelve"}, path
        assert not {ast.unparse(n) for n in attributes} & {"torch.save", "torch.load"}, path
        # joblib is there for its processes; its files are pickles
        assert {n.attr for n in attributes if ast.unparse(n.value) == "joblib"} <= {"Parallel", "delayed"}, path
        assert "from joblib" not in path.read_text(), path


def test_names_are_of_files_that_exist() -> None:
    """``from ipbox.a.b import c``, also in functions that no test calls: b is a file or a folder."""
    known = {dotted(path) for path in MODULES}
    for path in MODULES:
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.ImportFrom) and node.module.partition(".")[0] == "ipbox":
                assert node.module in known, (in_package(path), node.module)


@pytest.mark.parametrize("name", ["ipbox.nothing", "ipbox.problems.nothing"])
def test_unknown_module_is_unknown(name: str) -> None:
    with pytest.raises(ModuleNotFoundError, match=name):
        __import__(name)
