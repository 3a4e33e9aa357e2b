"""The site's parts: the API has every public name, tutorials stay what they are, faults of a built site are found."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import ipbox
from tests.house.test_imports import LAYERS
from tests.site import api, check, links, plan, tutorials
from tests.test_tutorials import TUTORIALS


def test_every_public_name_is_on_one_page_of_the_api() -> None:
    pages = api.pages()
    listed = re.findall(r"^\.\. auto(?:class|function):: (\S+)$", "\n".join(pages.values()), re.MULTILINE)
    assert len(listed) == len(set(listed)) > 450
    callables = {f"ipbox.{name}" for name in ipbox.__all__ if callable(getattr(ipbox, name))}
    assert callables <= set(listed)
    assert {name.room for name in api.public()} | {"index"} == set(pages) == {*api.ROOMS, "index"}


def test_names_lead_to_what_they_name() -> None:
    """As a user types them."""
    for name in api.public():
        value = ipbox
        for part in name.path.split(".")[1:]:
            value = getattr(value, part)
        assert value is name.value, name.path


@pytest.mark.parametrize(
    ("text", "page", "path"),
    [
        ("ip.tv", "errors", "ipbox.tv"),
        ("TV", "api/solvers", "ipbox.TV"),
        ("tv", "choosing", "ipbox.tv"),
        ("tv", "units", None),  # may be an argument, or a method of the command line
        ("ip.estimate_noise(b, A)", "choosing", "ipbox.estimate_noise"),
        ("ip.stop.gap", "units", "ipbox.stop.gap"),
        ("ip.learned.fit", "choosing", "ipbox.learned.fit"),
        ("Sum", "methods", None),  # of operators, or of functionals
        ("niter=", "matlab", None),
        ("no.such.name", "methods", None),
    ],
)
def test_code_that_is_a_name_leads_to_it(text: str, page: str, path: str | None) -> None:
    found = links.target(text, page)
    assert (found and found[1]) == path


def test_the_floor_plan_is_that_of_the_imports() -> None:
    """Each floor lies above those that it imports from, and its links lead to pages."""
    level = {room: depth for depth, floor in enumerate(reversed(plan.FLOORS)) for room, _ in floor}
    levels = [level[room] for room in LAYERS if room in level]
    small = {"files", "parallel", "backend", "checks"}  # of one floor, whatever their order
    assert levels == sorted(levels) and small <= set(level)
    rooms = {p.parent.name for p in Path(ipbox.__file__).parent.glob("*/__init__.py")}
    assert rooms <= set(level)
    assert set(re.findall(r'href="(\w+)\.html"', plan.svg())) <= set(api.ROOMS)


@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_staged_tutorials_run_the_same_code(path: Path) -> None:
    """Comments and the docstring change; the code, what it prints and asserts, does not."""
    text = path.read_text(encoding="utf-8")
    made = tutorials.staged(text)
    before, after = (ast.parse(source).body[1:] for source in (text, made))
    assert [ast.dump(node) for node in before] == [ast.dump(node) for node in after]
    title, line = (ast.get_docstring(ast.parse(made)) or "").splitlines()[:2]
    assert set(line) == {"="} and len(line) >= len(title) > 2
    assert made.count("# %%\n") == text.count("# %%") > 1


def test_tutorials_have_titles_of_their_own() -> None:
    titles = [tutorials.staged(path.read_text(encoding="utf-8")).splitlines()[1] for path in TUTORIALS]
    assert len(set(titles)) == len(titles) and max(map(len, titles)) < 50


def test_prose_means_itself() -> None:
    assert tutorials.prose("A* y, |ω| and `ip.tv` of x_") == r"A\* y, \|ω\| and ``ip.tv`` of x\_"
    cell = "# %% The idea\n# One:\n#\n#     u = A*b\n#\n# Two.\nx = 1\n"
    assert tutorials.CELL.sub(tutorials._cell, cell) == (
        "# %%\n# The idea\n# ----------\n#\n# One:\n#\n# ::\n#\n#     u = A*b\n#\n# Two.\nx = 1\n"
    )


# ---------------------------------------------------------------- what is found in a built site

SAID = "A page of more than a hundred letters, as a browser counts them; one that is empty has none at all. " * 2


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "a.html").write_text(f'<title>A</title><p id="here">{SAID} <a href="b.html#there">b</a>')
    (tmp_path / "b.html").write_text(f'<title>B</title><p id="there">{SAID} <a href="a.html">a</a> <a href="#there">')
    return tmp_path


def test_a_site_without_faults(site: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    assert check.files(site) == ["a.html", "b.html"] and check.in_files(site) == []
    assert check.main(["--no-browser", str(site)]) == 0
    assert check.main(["--no-browser", str(tmp_path_factory.mktemp("empty"))]) == 1


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('<a href="c.html">', "c.html leads nowhere"),
        ('<a href="b.html#nowhere">', "b.html#nowhere names no place there"),
        ('<img src="x.png" alt="x">', "x.png leads nowhere"),
        ('<img src="b.html" alt=" ">', "picture b.html has no text"),
        ("x" * 1_000_001, "has 1000"),
    ],
)
def test_faults_that_the_files_tell(site: Path, text: str, fault: str) -> None:
    (site / "a.html").write_text((site / "a.html").read_text() + text)
    found = check.in_files(site)
    assert len(found) == 1 and fault in found[0] and "a.html" in found[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", ""),
        ('<div style="width: 900px">wide</div>', "wider than 390"),
        ('<img src="x.png" alt="x">', "x.png does not show"),
    ],
)
def test_faults_that_a_browser_tells(site: Path, text: str, fault: str) -> None:
    if check.browser() is None:  # then `make docs-check` says so, and looks at the files alone
        assert check.main([str(site)]) == 0
        return
    (site / "a.html").write_text((site / "a.html").read_text() + text)
    found = check.in_browser(site, check.files(site))
    assert len(found) == bool(fault) and all(fault in told for told in found)
