"""`make dist`: wheels and a source archive in ``dist/``, their size, and what they do where nothing else of ours is.

``ipbox`` has images and measurements, ``ipbox_weights`` the weights of networks.  The wheel is installed without torch
in an environment that is made for it and removed, and tried in a folder away from this one: demonstrations, and the
tutorials that need no network and no reader of the extra ``io``.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DIST = ROOT / "dist"
MOST = 25  # megabytes
TRIED = (
    ("-c", "import ipbox, importlib.util as u; assert u.find_spec('torch') is None; print(ipbox.__file__)"),
    ("-m", "ipbox", "demo", "ct", "--quiet"),
    *(("-m", "ipbox", "demo", name, "--size", "64", "--quiet") for name in ("fan", "pet", "blur", "mri", "inpaint")),
)
NEED_MORE = ("torch", "ipbox.learned", "ip.learned", "pretrained", "ip.pnp", "pydicom")


def classical() -> list[Path]:
    found = sorted((ROOT / "tutorials").glob("[0-9]*.py"))
    return [path for path in found if not any(word in path.read_text(encoding="utf-8") for word in NEED_MORE)]


def build(source: Path) -> list[Path]:
    """Wheel and source archive of a project; what setuptools leaves beside it is removed."""
    before = set(DIST.glob("*"))
    run(sys.executable, "-m", "build", "--outdir", str(DIST), str(source), quiet=True)
    for left in (source / "build" / "lib", source / "build" / "bdist.linux-x86_64"):
        shutil.rmtree(left, ignore_errors=True)
    return sorted(set(DIST.glob("*")) - before)


def run(*command: str, cwd: Path = ROOT, quiet: bool = False) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "IPBOX_DATA")}
    environment |= {"IPBOX_FAST": "1", "MPLBACKEND": "agg"}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: exit code {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    if not quiet:
        print(done.stdout, end="")


def check_size(path: Path) -> None:
    size = path.stat().st_size / 1e6
    print(f"{path.name}: {size:.1f} MB")
    if size > MOST:
        sys.exit(f"{path.name} has {size:.1f} MB; expected at most {MOST}")


def check_files(wheel: Path) -> None:
    """Every file of the package that is in the tree is in the wheel, and nothing else."""
    source = ROOT / "ipbox"
    wanted = {p.relative_to(ROOT).as_posix() for p in source.rglob("*") if p.suffix in (".py", ".pyi", ".typed")}
    found = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("ipbox/")}
    found -= {name for name in found if name.startswith("ipbox/data/")}
    if found != wanted:
        sys.exit(f"{wheel.name} lacks {sorted(wanted - found)} and has {sorted(found - wanted)}")


def versions() -> dict[str, str]:
    """What each file says that tells it."""
    package = re.search(r'^__version__ = "(.+)"', (ROOT / "ipbox/__init__.py").read_text("utf-8"), re.MULTILINE)
    weights = re.search(r'^version = "(.+)"', (ROOT / "data/pyproject.toml").read_text("utf-8"), re.MULTILINE)
    cited = re.search(r"^version: (.+)$", (ROOT / "CITATION.cff").read_text("utf-8"), re.MULTILINE)
    found = {"ipbox/__init__.py": package, "data/pyproject.toml": weights, "CITATION.cff": cited}
    return {name: match[1].strip("\"'") if match else "none" for name, match in found.items()}


def check_version(told: dict[str, str], tags: list[str]) -> str:
    """The version; one sentence where a file, or a tag vX.Y.Z of this commit, has another."""
    version = told["ipbox/__init__.py"]
    for name, other in told.items():
        if other != version:
            sys.exit(f"{name} has version {other}; expected {version}, that of ipbox/__init__.py")
    for tag in tags:
        if re.fullmatch(r"v\d+\.\d+\.\d+", tag) and tag != f"v{version}":
            sys.exit(f"the commit has the tag {tag}; expected v{version}, as ipbox/__init__.py has it")
    return version


def tags() -> list[str]:
    """Of the commit that is checked out; none outside a repository."""
    done = subprocess.run(["git", "tag", "--points-at", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    return done.stdout.split() if done.returncode == 0 else []


def main() -> int:
    print(f"version {check_version(versions(), tags())}")
    shutil.rmtree(DIST, ignore_errors=True)
    ours = build(ROOT)
    weights = build(ROOT / "data")
    for path in (*ours, *weights):
        check_size(path)
    wheel = next(path for path in ours if path.suffix == ".whl")
    check_files(wheel)
    with tempfile.TemporaryDirectory() as folder:
        away = Path(folder)
        run(sys.executable, "-m", "venv", str(away / "venv"), quiet=True)
        python = str(away / "venv" / "bin" / "python")
        run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", str(wheel), quiet=True)
        for arguments in TRIED:
            run(python, *arguments, cwd=away)
        if not (away / "build" / "ct.png").stat().st_size > 10_000:
            sys.exit("the picture of demo ct is empty")
        for tutorial in classical():
            run(python, shutil.copy(tutorial, away), cwd=away, quiet=True)
        print(f"{len(classical())} tutorials ran without torch")
        # weights are found where they are installed apart
        found = next(path for path in weights if path.suffix == ".whl")
        run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", str(found), quiet=True)
        where = "from ipbox.problems.truths import datasets as d; print(d.find('drunet.safetensors'))"
        run(python, "-c", where, cwd=away)
    print("installed without torch, and tried away from the tree")
    return 0


if __name__ == "__main__":
    sys.exit(main())
