"""What Sphinx reads, in ``build/site-source``: the pages of ``docs/``, the API by field terms, and the tutorials."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.site import api, plan, tutorials

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
SOURCE = ROOT / "build" / "site-source"
TUTORIALS = ROOT / "build" / "site-tutorials"  # not below SOURCE: sphinx-gallery writes there what Sphinx reads
BESIDE = ("CHANGELOG.md", "CONTRIBUTING.md")


def write(only: list[str] | None = None) -> Path:
    """Make the folder anew; of the tutorials those alone whose numbers are given."""
    shutil.rmtree(SOURCE, ignore_errors=True)
    shutil.copytree(DOCS, SOURCE, ignore=shutil.ignore_patterns("conf.py", "__pycache__"))
    for name in BESIDE:
        text = (ROOT / name).read_text(encoding="utf-8")
        (SOURCE / name.lower()).write_text(text.replace("](docs/", "](").replace("](CHANGELOG", "](changelog"))
    for page in SOURCE.glob("*.md"):
        text = page.read_text(encoding="utf-8")
        page.write_text(text.replace("](CONTRIBUTING.md", "](contributing.md").replace("](../CHANGELOG", "](changelog"))
    (SOURCE / "api").mkdir()
    (SOURCE / "api" / "floor-plan.svg").write_text(plan.svg(), encoding="utf-8")
    for name, text in api.pages().items():
        (SOURCE / "api" / f"{name}.rst").write_text(text, encoding="utf-8")
    shutil.rmtree(TUTORIALS, ignore_errors=True)
    tutorials.write(ROOT / "tutorials", TUTORIALS, only)
    return SOURCE
