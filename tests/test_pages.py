"""What the README and the pages of docs/ tell a user to type is typed here."""

from __future__ import annotations

import configparser
import doctest
import re
import shlex
import tomllib
import warnings
from pathlib import Path

import numpy as np
import pytest

import ipbox as ip
from ipbox.cli import main, parser
from tests import docs
from tests.cli.simulated_scans import parallel_scan

README = docs.ROOT / "README.md"
PAGES = [page for page in docs.pages() if ">>> " in page.read_text(encoding="utf-8")]
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE

# the same commands, small
SMALLER = {
    "python -m ipbox demo ct": "--size 48 --views 20 --quiet",
    "python -m ipbox compare ct": "--size 48 --views 20 --methods 'fbp (hann)' tv --once --quiet",
    "python -m ipbox scan scan.nxs --method tv --out volume.tif": "--niter 5 --quiet",
    "python -m ipbox reconstruct scan.npy --angles 0:180:90 --degrees --method fbp --out image.png": "--quiet",
}


def commands(page: Path = README) -> list[str]:
    lines = [line.partition(" #")[0].strip() for _, text in docs.fenced(page, "") for line in text.splitlines()]
    return [line for line in lines if line]


def test_pages_with_examples_are_found() -> None:
    assert {"choosing.md", "errors.md", "units.md", "your-own.md"} <= {page.name for page in PAGES}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_examples_of_pages(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each block goes on from those above it, as a reader would type them."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    runner = doctest.DocTestRunner(optionflags=FLAGS, verbose=False)
    told: list[str] = []
    for line, text in docs.fenced(page, "python"):
        assert ">>> " in text, f"{page.name}, line {line}: a block that no test runs"
        test = doctest.DocTestParser().get_doctest(text, names, page.name, str(page), line)
        runner.run(test, out=told.append, clear_globs=False)
        names |= test.globs
    assert runner.tries > 3 and runner.failures == 0, "".join(told)


def test_python_of_the_readme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    names: dict[str, object] = {}
    blocks = [text for _, text in docs.fenced(README, "python")]
    assert len(blocks) == 2 and "size=256, views=60" in blocks[0]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "drunet is off the ground")  # of so small an image
        for text in blocks:
            exec(compile(text.replace("size=256, views=60", "size=64, views=40"), "README.md", "exec"), names)
    best = ip.psnr(names["x_tv"], names["x_true"])
    assert best > ip.psnr(names["x_fbp"], names["x_true"]) + 2
    assert names["solution"].stop in ("gap", "niter") and names["run"].stop == "discrepancy"


def test_commands_of_the_readme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command of ours runs; those of pip and make are tested below."""
    monkeypatch.chdir(tmp_path)
    assert {c for c in commands() if "ipbox" in c} == set(SMALLER)
    parallel_scan(tmp_path / "scan.nxs", size=48, views=60, rows=2)
    A = ip.RayTransform((64, 64), np.arange(90) * np.pi / 90)
    np.save("scan.npy", A.apply(np.ones((64, 64), "float32")))
    for command, smaller in SMALLER.items():
        assert main([*shlex.split(command)[3:], *shlex.split(smaller)]) == 0, command
    assert sorted(path.name for path in tmp_path.glob("build/*")) == ["compare-ct.png", "ct.png"]
    assert (tmp_path / "volume.tif").stat().st_size > 1000 and (tmp_path / "image.png").stat().st_size > 100


@pytest.mark.parametrize("page", [*docs.pages(), docs.ROOT / "CONTRIBUTING.md"], ids=lambda page: page.stem)
def test_what_make_and_pip_are_asked_for(page: Path) -> None:
    """Targets of make, extras of pip and commands of ipbox that pages name are there."""
    text = page.read_text(encoding="utf-8")
    makefile = (docs.ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([\w-]+):", makefile, re.MULTILINE))
    typed = "\n".join([*re.findall(r"`([^`\n]+)`", text), *commands(page)])
    assert set(re.findall(r"^(?:[A-Z]+=\S+ )*make ([\w-]+)", typed, re.MULTILINE)) <= targets
    config = configparser.ConfigParser()
    config.read(docs.ROOT / "setup.cfg")
    extras = {name for names in re.findall(r"pip install '(?:\.|ipbox)\[([\w,]+)\]", text) for name in names.split(",")}
    assert extras <= set(config["options.extras_require"])
    known = {"demo", "compare", "reconstruct", "scan", "benchmark", "info"}
    assert set(re.findall(r"python -m ipbox (\w+)", text)) <= known
    for command in commands(page):
        if command.startswith("python -m ipbox"):
            parser._parser().parse_args(parser._joined(shlex.split(command)[3:]))


def test_versions_agree() -> None:
    """Of the package, of its weights, and of what is cited."""
    weights = tomllib.loads((docs.ROOT / "data" / "pyproject.toml").read_text())["project"]
    cited = re.search(r"^version: (.*)$", (docs.ROOT / "CITATION.cff").read_text(), re.MULTILINE)
    assert weights["version"] == ip.__version__ == cited[1]
    assert f"## {ip.__version__}" in (docs.ROOT / "CHANGELOG.md").read_text()
