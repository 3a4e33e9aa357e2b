"""The demonstration of bilevel learning."""

from pathlib import Path

import pytest

from ipbox.cli import main
from ipbox.cli.demos.bilevel import NAMES, methods

SMALL = ["demo", "bilevel", "--images", "2", "--size", "16", "--quiet"]


def test_every_name_has_a_method() -> None:
    assert tuple(methods(progress=False)) == NAMES


def test_a_table_and_two_pictures(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    out = tmp_path / "learned.png"
    assert main([*SMALL, "--out", str(out), "--methods", "DFO, dynamic accuracy", "DFO, 200 iterations", "MAID"]) == 0
    told = capsys.readouterr().out.splitlines()
    rows = {line[:26].strip(): line[26:].split() for line in told[3:-1]}
    assert set(rows) == {"DFO, dynamic accuracy", "DFO, 200 iterations", "MAID"}
    objective = {name: float(row[0]) for name, row in rows.items()}
    assert objective["DFO, dynamic accuracy"] <= 1.05 * min(objective.values())
    assert float(rows["DFO, 200 iterations"][1]) == 200 * 2 * 60  # iterations, images, evaluations
    assert out.stat().st_size > 10_000 and (tmp_path / "learned-images.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--methods", "SGD"], "--methods has SGD; expected some of: DFO, dynamic accuracy"),
        (["--images", "100000"], "n is 100000; expected at most"),
        (["--size", "4"], "--size"),
        (["--out", "learned.txt"], "learned.txt"),
    ],
)
def test_bad_options(options: list[str], message: str, capsys: pytest.CaptureFixture) -> None:
    assert main([*SMALL, *options]) == 2
    assert message in capsys.readouterr().err
