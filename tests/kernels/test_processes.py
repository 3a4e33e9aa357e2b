"""Kernels in processes of their own: forked, freshly compiled, cached in odd places, on the simulated GPU."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import ipbox.kernels as kernels

ROOT = Path(kernels.__file__).parents[2]


def _python(code: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run ``code`` in a new interpreter."""
    return subprocess.run(
        [sys.executable, "-P", "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT), **env},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


FORK = """
import os, sys
sys.path.insert(0, {tests!r})
from tests.kernels.test_tv import _solve
expected = _solve()
import numba
assert numba.threading_layer() == "omp" or not sys.platform.startswith("linux")
child = os.fork()
if child == 0:
    os._exit(0 if _solve() == expected else 7)
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
assert _solve() == expected  # the parent goes on in parallel
print("child", status)
"""


def test_forked_child_after_parallel_code_in_the_parent():
    run = _python(FORK.format(tests=str(ROOT)))
    assert run.returncode == 0 and run.stdout == "child 0\n", run.stderr


def test_numba_is_imported_at_the_first_call_only():
    code = """
import sys, ipbox.kernels, numpy
assert "numba" not in sys.modules
ipbox.kernels.tv_value(numpy.zeros((2, 2)), 2)
assert "numba" in sys.modules and "numba.cuda.cudadrv" not in sys.modules
"""
    run = _python(code)
    assert run.returncode == 0, run.stderr


def test_the_environment_is_left_as_it_was():
    code = """
import os
before = dict(os.environ)
import numpy, ipbox.kernels
ipbox.kernels.gradient(numpy.zeros((256, 256)), numpy.zeros((2, 256, 256)), 2)
assert dict(os.environ) == before
"""
    run = _python(code)
    assert run.returncode == 0, run.stderr


# ---------------------------------------------------------------- compiling and caching

COMPILE = """
import tempfile
import numpy as np, ipbox.kernels as k
k.tv_value(np.ones((4, 4)), 2)
from ipbox.kernels.tv import cpu
print(cpu.tv_value.serial.stats.cache_path)
print(dict(cpu.tv_value.serial.stats.cache_hits) != {})
"""
MESSAGE = "ipbox: compiling tv_value_serial (float64) once, then cached\n"


@pytest.fixture
def package(tmp_path):
    """A copy of the package without its cache, and an environment whose user folders cannot be written."""
    shutil.copytree(ROOT / "ipbox", tmp_path / "ipbox", ignore=shutil.ignore_patterns("__pycache__"))
    obstacle = tmp_path / "a_file"
    obstacle.touch()  # a file where a folder is wanted stops even root
    (tmp_path / "temporary").mkdir()
    home = str(obstacle / "home")
    # No user folder, but a temporary one; bytecode is not written, so that only Numba makes __pycache__.
    env = {"PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1", "NUMBA_CACHE_DIR": ""}
    env |= {"HOME": home, "XDG_CACHE_HOME": home, "TMPDIR": str(tmp_path / "temporary")}
    return tmp_path, env


def test_compiling_is_announced_once_and_then_cached(package):
    folder, env = package
    first, second = _python(COMPILE, **env), _python(COMPILE, **env)
    assert first.returncode == 0 and second.returncode == 0, first.stderr + second.stderr
    assert first.stderr == MESSAGE and second.stderr == ""
    assert first.stdout.splitlines() == [str(folder / "ipbox" / "kernels" / "tv" / "__pycache__"), "False"]
    assert second.stdout.splitlines()[1] == "True"


def test_quietly(package):
    _, env = package
    code = "from ipbox.kernels.core import compile\nwith compile.quietly():\n" + COMPILE.replace("\n", "\n    ")
    run = _python(code, **env)
    assert run.returncode == 0 and run.stderr == "" and run.stdout.endswith("False\n"), run.stderr


def test_read_only_package_uses_the_user_cache(package):
    folder, env = package
    (folder / "ipbox" / "kernels" / "tv" / "__pycache__").touch()  # no cache beside the package
    env |= {"HOME": str(folder), "XDG_CACHE_HOME": str(folder / "cache")}
    first, second = _python(COMPILE, **env), _python(COMPILE, **env)
    assert first.returncode == 0 and second.returncode == 0, first.stderr + second.stderr
    assert first.stdout.startswith(str(folder / "cache"))
    assert first.stderr == MESSAGE and second.stderr == ""


def test_read_only_package_and_home_use_a_private_temporary_folder(package):
    folder, env = package
    (folder / "ipbox" / "kernels" / "tv" / "__pycache__").touch()
    first, second = _python(COMPILE, **env), _python(COMPILE, **env)
    assert first.returncode == 0 and second.returncode == 0, first.stderr + second.stderr
    assert first.stdout.startswith(str(folder / "temporary" / "ipbox-kernels-"))
    assert first.stderr == MESSAGE and second.stderr == ""
    (private,) = (folder / "temporary").iterdir()
    assert private.stat().st_mode & 0o077 == 0


def test_a_temporary_folder_that_others_may_write_is_not_trusted(package):
    folder, env = package
    (folder / "ipbox" / "kernels" / "tv" / "__pycache__").touch()
    user = os.getuid() if hasattr(os, "getuid") else os.environ["USERNAME"]
    planted = folder / "temporary" / f"ipbox-kernels-{user}"
    planted.mkdir()
    planted.chmod(0o777)
    run = _python(COMPILE, **env)
    assert run.returncode == 0 and run.stdout.splitlines()[0] == "None", run.stderr
    assert list(planted.iterdir()) == []


def test_nothing_writable_at_all_still_computes(package):
    folder, env = package
    (folder / "ipbox" / "kernels" / "tv" / "__pycache__").touch()
    code = "import tempfile; tempfile.tempdir = " + repr(str(folder / "a_file" / "tmp")) + "\n" + COMPILE
    run = _python(code, **env)
    assert run.returncode == 0 and run.stdout.splitlines()[0] == "None", run.stderr


# ---------------------------------------------------------------- the GPU twins, in Numba's simulator

CUDA = """
import sys
sys.path.insert(0, {tests!r})
import numpy as np
from tests.kernels.test_tv import CALLS, SHAPES, Data, DTYPES, assert_close
from ipbox import kernels
from ipbox.kernels.core import launch, reference
from ipbox.kernels.tv import front
from numba.cuda.simulator.cudadrv.devicearray import FakeCUDAArray
launch.is_device = front.is_device = lambda x: isinstance(x, np.ndarray)  # the dispatch takes the GPU's way
launch.stand_in = launch.StandIn(device_view=FakeCUDAArray, host_view=None)
np.seterr(all="ignore")
for name, call in CALLS.items():
    for dtype in DTYPES:
        for nan in (False, True):
            for batch, dims in SHAPES[:-1]:
                fused, plain = (Data(batch, dims, dtype) for _ in range(2))
                if nan:
                    for a in fused.arrays() + plain.arrays():
                        a.reshape(-1)[a.size // 2] = np.nan
                call(kernels, fused)
                call(reference, plain)
                for a, b in zip(fused.arrays(), plain.arrays(), strict=True):
                    assert_close(a, b)
print("done")
"""


def test_cuda_twins_in_the_simulator():
    run = _python(CUDA.format(tests=str(ROOT)), NUMBA_ENABLE_CUDASIM="1")
    assert run.returncode == 0 and run.stdout == "done\n", run.stderr
