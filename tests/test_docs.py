"""Tables in the documentation are what commands print."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ipbox.cli.capabilities import markdown
from tests import docs
from tests.bench import report


def test_what_runs_where_is_what_the_classes_declare() -> None:
    assert docs.blocks()["python -m ipbox info --classes"].strip() == markdown()


def test_blocks_are_filled_with_what_was_printed(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    page = tmp_path / "README.md"
    page.write_text("a\n<!-- printed by: one -->\nold\n<!-- end -->\nb\n<!-- printed by: two -->\nkept\n<!-- end -->\n")
    docs.fill("one", "psnr  30\n", tmp_path)
    assert docs.blocks(tmp_path) == {"one": "```\npsnr  30\n```\n", "two": "kept\n"}
    docs.fill("one", "| x |\n|---|\n", tmp_path)
    assert docs.blocks(tmp_path)["one"] == "| x |\n|---|\n" and page.read_text().startswith("a\n")


def test_a_part_of_a_benchmark_renews_its_rows_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    filled = {"make bench": report.table([_row("one", 1.0), _row("two", 2.0)])}
    monkeypatch.setattr(docs, "blocks", lambda: filled)
    monkeypatch.setattr(docs, "fill", filled.__setitem__)
    report.publish("make bench", [_row("three", 3.0), _row("two", 4.0)], whole=False)
    assert filled["make bench"] == report.table([_row("one", 1.0), _row("two", 4.0), _row("three", 3.0)])
    report.publish("make bench", [_row("two", 4.0)], whole=False, told="1 May 2026, on a machine.")
    assert filled["make bench"].endswith("|\n\n1 May 2026, on a machine.")
    report.publish("make bench", [_row("two", 4.5)], whole=False)  # what was told is no row
    assert filled["make bench"] == report.table([_row("one", 1.0), _row("two", 4.5), _row("three", 3.0)])
    report.publish("make bench", [_row("two", 5.0)], whole=True)
    assert filled["make bench"] == report.table([_row("two", 5.0)])


def _row(name: str, value: float) -> dict[str, Any]:
    return {"name": name, "asked": "", "ok": True, "value": value, "note": ""}


def test_every_page_is_closed_and_the_readme_is_short() -> None:
    for page in docs.pages():
        text = page.read_text(encoding="utf-8")
        assert text.count("<!-- printed by:") == text.count("<!-- end -->") == len(docs.BLOCK.findall(text)), page
    assert len(docs.pages()[0].read_text(encoding="utf-8").splitlines()) <= 90


def test_links_lead_to_files() -> None:
    import re

    for page in docs.pages():
        for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), (page, target)


def test_a_name_with_a_stroke_stays_one_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = {}
    monkeypatch.setattr(docs, "blocks", lambda: blocks)
    monkeypatch.setattr(docs, "fill", blocks.__setitem__)
    row = {"name": "|θ - θ*|", "asked": "<= 1", "value": 2.0, "ok": False, "note": "a|b"}
    report.publish("bench", [row, row | {"name": "|θ|"}], whole=True)
    report.publish("bench", [row | {"value": 0.5, "ok": True}], whole=False)
    assert blocks["bench"].splitlines()[2:] == [
        r"| \|θ - θ*\| | <= 1 | 0.5 | a\|b |",
        r"| \|θ\| | <= 1 | 2 (short) | a\|b |",
    ]
