"""The strict CuPy stand-in keeps its promises (in a process of its own: it never leaks into this one)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.standin import checks

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def report() -> dict[str, str]:
    environment = os.environ | {"NUMBA_ENABLE_CUDASIM": "1", "CUPY_PYLOPS": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-W", "error::RuntimeWarning", "-m", "tests.standin.checks"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", checks.NAMES)
def test_rule(report: dict[str, str], name: str) -> None:
    assert report[name] == "", report[name]


def test_not_installed_in_this_process() -> None:
    from tests.standin.array import ndarray

    assert getattr(sys.modules.get("cupy"), "ndarray", None) is not ndarray


def test_install_after_pylops_is_refused() -> None:
    code = (
        "import sys, types\nfrom tests import standin\n"
        "sys.modules['pylops'] = types.ModuleType('pylops')\n"
        "try:\n    standin.install()\n"
        "except RuntimeError as err:\n    assert 'pylops is already imported' in str(err)\n"
        "else:\n    raise AssertionError('installed')\n"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, timeout=60)
