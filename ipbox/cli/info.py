"""``python -m ipbox info``: versions, threads, and where things are; with ``--classes`` what runs where.

Nothing heavy is imported before the command runs.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import ipbox

PACKAGES: tuple[str, ...] = ("numpy", "scipy", "pylops", "pyproximal", "numba", "finufft", "scikit-image")
PACKAGES += ("h5py", "matplotlib", "pydicom", "nibabel", "pynrrd", "twixtools")  # of the extra io


def info(args: argparse.Namespace) -> None:
    if args.classes:
        from ipbox.cli.capabilities import markdown

        print(markdown())
        return
    from ipbox import parallel
    from ipbox.problems.truths import datasets

    print(f"ipbox {ipbox.__version__} in {Path(ipbox.__file__).parent}")
    print(f"Python {sys.version.split()[0]} on {sys.platform}")
    for name in PACKAGES:
        print(f"  {name:13}{_version(name)}")
    print(f"CPU threads: {parallel.cpu_threads()} of {parallel.available_cores()}")
    print(f"CuPy: {_optional('cupy')}")
    print(f"torch: {_optional('torch')}")
    found = [folder for folder in datasets.folders() if folder.is_dir()]
    print(f"data: {found[0] if found else 'not found'}")
    print(f"Numba cache: {_kernel_cache()}")


def _version(name: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _optional(name: str) -> str:
    """The version of a package that is not imported to find out."""
    from importlib.metadata import packages_distributions
    from importlib.util import find_spec

    if find_spec(name) is None:
        return "not installed"
    return ", ".join(f"{dist} {_version(dist)}" for dist in packages_distributions().get(name, [])) or "installed"


def _kernel_cache() -> str:
    from ipbox.kernels.tv import cpu

    compiled: Any = cpu.gradient.parallel
    return str(compiled.stats.cache_path or "none (compiled once per process)")
