"""Where torch is not installed the contracts of all else can be tested."""

import subprocess
import sys

import pytest

RUN = """
import sys
from importlib.machinery import PathFinder
import pytest
find = PathFinder.find_spec
PathFinder.find_spec = lambda name, *rest: None if name == "torch" else find(name, *rest)
sys.exit(pytest.main([*{arguments}, "-q", "-n0", "-rs", "-p", "no:cacheprovider", "tests/contracts"]))
"""


def run(*arguments: str) -> str:
    command = [sys.executable, "-c", RUN.format(arguments=arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


@pytest.mark.slow
def test_contracts_are_collected_and_tell_what_they_leave_out() -> None:
    found = run("--collect-only")
    assert "TV" in found and "energy of torch" not in found and "torch convolution" not in found
    told = run("-k", "is_listed or list_has_no_others")
    for file in ("functionals/learned.py", "operators/torch_modules.py", "solvers/denoising.py"):
        assert f"{file}:" in told and "torch is not installed" in told
