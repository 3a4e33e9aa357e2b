"""Type checkers and editors see every public name: mypy on a user's script, away from this folder, and on ours."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

import ipbox
from tests.house.source import PACKAGE, ROOT

IGNORED = "# type: ignore"
SCRIPT = Path(__file__).with_name("users_script.py")
OWN = """
from typing import Any, ClassVar


class PairSum(ip.operators.Operator):
    def __init__(self, dims: tuple[int, int]) -> None:
        super().__init__(dims, (dims[0], dims[1] // 2), "float64", name="PairSum")

    def _apply(self, x: Any, out: Any) -> None:
        out[...] = x[..., ::2] + x[..., 1::2]


class Descent(ip.solvers.Solver):
    takes: ClassVar[tuple[str, ...]] = ("smooth",)

    def init(self, p: ip.solvers.Parts, x0: Any) -> ip.solvers.State:
        return ip.solvers.State(x=x0, step=1 / p.smooth.L)

    def step(self, p: ip.solvers.Parts, s: ip.solvers.State) -> None:
        s.x -= s.step * p.smooth.grad(s.x)


own: NDArray[np.float64] = ip.solve(ip.Problem(ip.L2(PairSum((4, 4)), b)), Descent()).x
"""


def mypy(folder: Path, text: str, *options: str) -> list[str]:
    """What it says of a script beside ``folder``, where ipbox is installed as any other package is."""
    (folder / "script.py").write_text(text)
    command = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "--cache-dir=cache", *options]
    environment = os.environ | {"MYPYPATH": str(ROOT)}
    done = subprocess.run([*command, "script.py"], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stderr + done.stdout
    return done.stdout.splitlines()[:-1]


def test_a_users_script_and_every_public_name(tmp_path: Path) -> None:
    """Without the packages that ipbox builds on, which take mypy most of its time (six seconds are left)."""
    names = "".join(f"ip.{name}\n" for name in ipbox.__all__)
    text = f"{SCRIPT.read_text()}\n{OWN}\n{names}\nip.no_such_name\nip.stop.no_such_rule\n"
    found = mypy(tmp_path, text, "--no-site-packages", "--ignore-missing-imports")
    assert [line.partition("error: ")[2] for line in found] == [
        'Module has no attribute "no_such_name"  [attr-defined]',
        'Module has no attribute "no_such_rule"  [attr-defined]',
    ]


def test_the_whole_package(tmp_path: Path) -> None:
    """As pyproject.toml has it, without the types of other packages: half a minute with nothing cached."""
    command = [sys.executable, "-m", "mypy", "--no-error-summary", f"--cache-dir={tmp_path}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_few_lines_are_left_out() -> None:
    """Each with its kind and a reason."""
    lines = [line for path in PACKAGE.rglob("*.py") for line in path.read_text("utf-8").splitlines() if IGNORED in line]
    assert 0 < len(lines) < 30
    assert [line for line in lines if not re.search(r"# type: ignore\[[a-z-]+(, [a-z-]+)*\]  # \S", line)] == []


@pytest.mark.slow
def test_a_users_script_with_the_types_of_every_package(tmp_path: Path) -> None:
    assert mypy(tmp_path, SCRIPT.read_text()) == []


def test_the_script_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert 30 <= len(SCRIPT.read_text().splitlines()) <= 50
    runpy.run_path(str(SCRIPT))
    assert (tmp_path / "ct.png").stat().st_size > 10_000
