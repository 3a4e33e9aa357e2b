"""Device tests and a short benchmark on a GPU, in at most eight minutes, without a network: ``make test-gpu``.

Needs Python 3.11 or newer with CuPy 14 for CUDA 12 or 13; what else is missing is taken from the file that ``make
gpu-bundle`` has packed beside the tree.  First says what is there; at the end, what could not be run, and why.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import subprocess
import sys
import tarfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BUNDLE = ROOT / ".gpu-bundle.tar.xz"
VENV = ROOT / ".venv-gpu"
NEEDED = ("numpy", "scipy", "pylops", "pyproximal", "numba", "finufft", "skimage", "h5py", "tqdm", "matplotlib")
NEEDED += ("lazy_loader", "joblib", "pytest", "hypothesis")
# the most basic first: what time does not allow for is what depends on the rest
TESTS = ("tests/test_backend.py", "tests/kernels", "tests/operators", "tests/contracts", "tests/functionals")
TESTS += ("tests/solvers", "tests/problems", "tests/reconstruct", "tests/learned", "tests/bilevel", "tests/choose")

PROBE = """
import numpy, cupy
x = cupy.arange(4.0)
name = cupy.cuda.runtime.getDeviceProperties(0)["name"].decode()
print("numpy", numpy.__version__, "; cupy", cupy.__version__, "on", name)
assert float((x * x).sum()) == 14.0
"""
KERNELS = """
import numpy, cupy
from ipbox import kernels
x = cupy.asarray(numpy.random.default_rng(0).random((8, 8)).astype("float32"))
y = cupy.empty((2, 8, 8), "float32")
kernels.gradient(x, y, 2)
z = numpy.empty((2, 8, 8), "float32")
kernels.gradient(x.get(), z, 2)
assert numpy.array_equal(y.get(), z)
"""
NUFFT = """
import cupy, ipbox as ip
A = ip.RayTransform((16, 16), [0.0, 1.0])
A.apply(cupy.ones((16, 16), "float32"))
"""


def environment() -> str:
    """The Python to use: this one, or one with what the bundle holds on top of it."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if not BUNDLE.exists():
        if missing:
            raise SystemExit(f"missing: {', '.join(missing)}; expected {BUNDLE.name}, which `make gpu-bundle` packs")
        return sys.executable
    python = VENV / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", "--system-site-packages", str(VENV)], check=True)
        (site,) = (VENV / "lib").glob("python*")
        with tarfile.open(BUNDLE) as archive:
            archive.extractall(site, filter="data")
    return str(python)


def works(python: str, name: str, code: str, lacking: list[str]) -> bool:
    """Whether ``code`` runs; else its last line goes to ``lacking``."""
    try:
        done = subprocess.run([python, "-c", code], cwd=ROOT, env=paths(), capture_output=True, text=True, timeout=120)
        out, error = done.stdout.strip(), done.stderr.strip().splitlines()[-1:] if done.returncode else []
    except subprocess.TimeoutExpired:
        out, error = "", ["it took more than 120 s"]
    print(f"{name}: {error[0] if error else out or 'works'}", flush=True)
    if error:
        lacking.append(f"{name}: {error[0]}")
    return not error


def paths() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT), "MPLBACKEND": "Agg"}


def timed(command: list[str], limit: float) -> int | None:
    """The exit code, or None where the command ran past its ``limit`` in seconds; its output goes on as it comes."""
    try:
        return subprocess.run(command, cwd=ROOT, env=paths(), timeout=limit, check=False).returncode
    except subprocess.TimeoutExpired:
        return None


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m tests.gpu", description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=8.0, help="for everything (%(default)s)")
    parser.add_argument("--jobs", type=int, default=min(4, os.cpu_count() or 1), help="processes that share the GPU")
    args = parser.parse_args(argv)
    start, lacking = time.monotonic(), []
    if shutil.which("nvidia-smi") is None:
        print("no NVIDIA GPU: nvidia-smi is not there; `make test` runs the same tests on a stand-in", file=sys.stderr)
        return 2
    python = environment()
    if not works(python, "CuPy", PROBE, lacking):
        print("CuPy finds no GPU; expected CuPy 14 for CUDA 12 or 13", file=sys.stderr)
        return 2
    chosen = ["-m", "not slow and not bench"]
    if not works(python, "fused kernels (numba.cuda)", KERNELS, lacking):
        chosen += ["--deselect", "tests/kernels"]
    works(python, "non-uniform FFT (cufinufft)", NUFFT, lacking)
    torch = works(python, "torch", "import torch, safetensors; assert torch.cuda.is_available()", lacking)
    tests = [t for t in TESTS if torch or not t.endswith(("learned", "bilevel"))]
    parallel = [f"-n{args.jobs}"] if works(python, "pytest-xdist", "import xdist", lacking) else []
    bench = 100.0
    left = 60 * args.minutes - (time.monotonic() - start) - bench
    command = [python, "-m", "pytest", "-q", "--device=cupy", "-p", "no:cacheprovider", *parallel, *chosen, *tests]
    code = timed(command, left)
    if code is None:
        lacking.append(f"device tests: not through after {left:.0f} s")
    measured = timed([python, "-m", "tests.bench.gpu"], 60 * args.minutes - (time.monotonic() - start))
    if measured is None:
        lacking.append("benchmark: not through")
    print(f"\n{time.monotonic() - start:.0f} s; could not be run: {'; '.join(lacking) or 'nothing'}")
    return 0 if code == 0 and measured == 0 and not lacking else 1


if __name__ == "__main__":
    raise SystemExit(main())
