"""Input that once slipped through or ended in a foreign error: each is refused in one line that names the argument."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import ipbox as ip
from ipbox.cli import main

A = ip.RayTransform((16, 16), np.linspace(0, np.pi, 10, endpoint=False))
B = A.apply(np.eye(16, dtype=np.float32))
PROBLEM = ip.Problem(ip.L2(A, B))


def masked() -> np.ma.MaskedArray:
    b = np.ma.array(B.copy())
    b.data[2, 3], b[2, 3] = np.nan, np.ma.masked
    return b


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: ip.cgls(np.eye(3) * np.nan, np.ones(3)), FloatingPointError, "CGLS diverged"),
        (lambda: ip.fbp(A, masked()), TypeError, "b is MaskedArray"),
        (lambda: ip.tv(A, masked(), 0.1), TypeError, "b is MaskedArray"),
        (lambda: ip.RayTransform((16, 16), [0.0], dtype=">f4"), TypeError, "dtype is >f4"),
        (lambda: ip.cgls(A, B.astype(">f4")), TypeError, "b has dtype >f4"),
        (lambda: ip.fbp(A, np.where(B > 0, np.float32(3e38), B)), FloatingPointError, "fbp: the image is not finite"),
        (lambda: ip.landweber(A, B, tau="a"), TypeError, "tau is 'a'"),
        (lambda: ip.PDHG(tau=np.ones(2)), TypeError, "tau is array"),
        (lambda: ip.solve(PROBLEM, ip.CGLS), TypeError, "solver is .*CGLS"),
        (lambda: ip.solve(ip.L2(A, B), ip.CGLS()), TypeError, "problem is L2"),
        (lambda: ip.solve(PROBLEM, ip.CGLS(), state=3), TypeError, "state is int"),
        (lambda: ip.solve(PROBLEM, ip.CGLS(), callbacks=[ip.callbacks.History]), TypeError, "callbacks has"),
        (lambda: ip.tv(A, B, 0.1, box=(0,)), TypeError, r"box is \(0,\)"),
        (lambda: ip.tv(A, B, 0.1, nonneg="no"), TypeError, "nonneg is 'no'"),
        (lambda: ip.Box("a", 1), TypeError, "lo is 'a'"),
        (lambda: A @ [1.0], ValueError, "x is list"),
        (lambda: A @ np.zeros((3, 4), np.float32), ValueError, r"x has shape \(3, 4\)"),
    ],
)
def test_refused(call: object, error: type[Exception], message: str) -> None:
    with np.errstate(all="ignore"), pytest.raises(error, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_the_command_line_reports_an_overflow_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(tmp_path / "b.npy", np.where(B > 0, np.float32(3e38), B))
    with np.errstate(all="ignore"):
        code = main(["reconstruct", str(tmp_path / "b.npy"), "--angles", "0:3.14:10", "--out", str(tmp_path / "x.npy")])
    error = capsys.readouterr().err
    assert code == 1 and "not finite" in error and "Traceback" not in error
    assert not (tmp_path / "x.npy").exists()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("reconstruct b.npy --theta 0:180:10 --out x.png", "reconstruct has no option --theta; expected --angles ("),
        ("reconstruct b.npy --angles 0:180:10 --lambda=0.1", "reconstruct has no option --lambda; expected --lam ("),
        ("reconstruct b.npy --maxiter 3", "reconstruct has no option --maxiter; expected --niter ("),
        ("reconstruct b.npy --noiselevel 3", "reconstruct has no option --noiselevel; expected --noise-level ("),
        ("demo ct --n_angles 3", "ct has no option --n_angles; expected --views ("),
        ("demo blur --positivity", "blur has no option --positivity; expected one of --help, --size"),
        ("demo ct --siz x", "argument --size: is x; expected an integer >= 16"),  # an abbreviation stays one
    ],
)
def test_options_that_a_command_lacks(words: str, expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words.split()) == 2
    assert f"ipbox: error: {expected}" in capsys.readouterr().err
