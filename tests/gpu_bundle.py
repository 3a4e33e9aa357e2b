"""What a machine with a GPU and no network needs: ``make gpu-bundle``, then copy the tree and run ``make test-gpu``.

That machine has CuPy, and with it CUDA's libraries, and most of SciPy, Numba, scikit-image, Matplotlib and h5py.  What
ipbox and its device tests need beside them is gathered here for its Python, unpacked and packed again by xz: wheels are
zipped, and would take twice the 60 MB that are allowed.  ``--all`` adds the others too.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

BUNDLE = Path(__file__).resolve().parents[1] / ".gpu-bundle.tar.xz"
MOST = 60e6
PLATFORMS = ("manylinux_2_28", "manylinux_2_27", "manylinux_2_24", "manylinux_2_17", "manylinux2014", "manylinux1")
# numba-cuda 0.30.4 does not import with NumPy 2.5; pytest and hypothesis are of the versions the tests are written for
NEEDED = ("numpy<2.5", "pylops>=2.8", "pyproximal>=0.13", "finufft", "numba-cuda<=0.30.4", "lazy-loader", "joblib")
NEEDED += ("tqdm", "pytest>=9", "pluggy", "iniconfig", "pytest-xdist", "execnet", "hypothesis", "sortedcontainers")
NEEDED += ("safetensors",)
# no wheel of cufinufft is for CUDA 13; those of 2.5 for CUDA 12 take twice the room of this one
OF_CUDA = {"12": ("cufinufft==2.4.1",), "13": ()}
OTHERS = ("scipy", "numba", "llvmlite", "scikit-image", "imageio", "tifffile", "networkx", "h5py", "matplotlib")


def install(requirement: str, python_version: str, folder: Path) -> bool:
    """Whether a wheel for that Python on 64-bit Linux is there; it goes to ``folder``."""
    command = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps", "--no-compile"]
    command += ["--target", str(folder), "--only-binary=:all:", "--implementation", "cp"]
    command += ["--python-version", python_version, *(w for p in PLATFORMS for w in ("--platform", f"{p}_x86_64"))]
    done = subprocess.run([*command, requirement], capture_output=True, text=True)
    if done.returncode:
        print(f"{requirement}: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)
    return done.returncode == 0


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m tests.gpu_bundle", description=__doc__.splitlines()[0])
    parser.add_argument("--python-version", default="3.12")
    parser.add_argument("--cuda", choices=sorted(OF_CUDA), default="13")
    parser.add_argument("--all", action="store_true", help="for a machine that has nothing but CuPy")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "site-packages"
        wanted = (*NEEDED, *OF_CUDA[args.cuda], *(OTHERS if args.all else ()))
        failed = [requirement for requirement in wanted if not install(requirement, args.python_version, folder)]
        for path in [*folder.rglob("tests"), folder / "bin"]:  # half of NumPy's wheel
            shutil.rmtree(path, ignore_errors=True)
        found = sorted(path.name.removesuffix(".dist-info") for path in folder.glob("*.dist-info"))
        with tarfile.open(BUNDLE, "w:xz") as archive:
            archive.add(folder, "site-packages")
    size = BUNDLE.stat().st_size
    print(f"{', '.join(found)}\n{size / 1e6:.1f} MB for Python {args.python_version}, CUDA {args.cuda}: {BUNDLE.name}")
    if failed:
        print(f"not found: {', '.join(failed)}", file=sys.stderr)
    if size > MOST and not args.all:
        print(f"more than {MOST / 1e6:.0f} MB; expected less", file=sys.stderr)
    return 1 if failed or (size > MOST and not args.all) else 0


if __name__ == "__main__":
    raise SystemExit(main())
