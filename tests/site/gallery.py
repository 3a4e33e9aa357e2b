"""What sphinx-gallery asks for: pictures that a cell has written, and a folder of its own for each tutorial."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Any

from tests.site.stage import ROOT

PICTURES = ROOT / "build" / "site-pictures"


THUMBNAIL = re.compile(r'(tooltip="(?P<said>[^"]*)"><img alt=)""')


def setup(app: Any) -> dict[str, bool]:
    app.connect("html-page-context", _describe)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _describe(app: Any, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Thumbnails have no text; that of the tutorial they lead to is one."""
    if "body" in context:
        context["body"] = THUMBNAIL.sub(r'\1"\g<said>"', context["body"])


def fresh(gallery_conf: dict[str, Any], name: str) -> None:
    """Before each tutorial: the fast mode, and an empty folder for what it writes."""
    import matplotlib

    matplotlib.use("agg")
    folder = PICTURES / Path(name).stem
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    os.environ |= {"IPBOX_FAST": "1", "IPBOX_OUT": str(folder)}


def pictures(block: tuple, block_vars: dict[str, Any], gallery_conf: dict[str, Any]) -> str:
    """The PNG files that are new since the cell before, with what they are called as their text."""
    from sphinx_gallery.scrapers import figure_rst

    folder = PICTURES / Path(block_vars["src_file"]).stem
    made = []
    for path in sorted(folder.rglob("*.png"), key=lambda path: path.stat().st_mtime_ns):
        if path.name.endswith(".shown.png"):
            continue
        shown = next(block_vars["image_path_iterator"])
        shutil.copy(path, shown)
        path.rename(path.with_suffix(".shown.png"))
        made.append(shown)
    title = Path(block_vars["src_file"]).stem[3:].replace("_", " ")
    return figure_rst(made, gallery_conf["src_dir"], f"Figure of the tutorial: {title}") if made else ""
