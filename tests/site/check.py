"""`make docs-check`: every page of a site in headless Chromium: ``python -m tests.site.check [--no-browser] FOLDER``.

A page of our own shows each of them in a frame as wide as a phone, and asks: does it load, is every picture there and
described, does it scroll sideways?  Links are followed in the files.  Without Chromium that much is checked alone.
"""

from __future__ import annotations

import functools
import html
import http.server
import json
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

PHONE, MOST_BYTES = 390, 1_000_000
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
HARNESS = """<!doctype html><meta charset="utf-8"><title>check</title><body><pre id="told"></pre><script>
const pages = PAGES, told = {};
async function look(page) {
  const frame = document.createElement("iframe");
  frame.style.cssText = "width: WIDTHpx; height: 800px; border: 0";
  const loaded = new Promise(done => { frame.onload = done; setTimeout(done, 20000); });
  frame.src = page;
  document.body.append(frame);
  await loaded;
  const doc = frame.contentDocument, root = doc.documentElement;
  for (const image of doc.images) image.loading = "eager";
  for (let k = 0; k < 50 && ![...doc.images].every(image => image.complete); k++)
    await new Promise(done => setTimeout(done, 100));
  told[page] = {
    title: doc.title,
    words: doc.body.innerText.length,
    wide: root.scrollWidth - root.clientWidth,
    broken: [...doc.images].filter(image => !image.naturalWidth).map(image => image.getAttribute("src")),
    unsaid: [...doc.images].filter(image => !image.alt.trim()).map(image => image.getAttribute("src")),
  };
  frame.remove();
}
(async () => { for (const page of pages) await look(page);
  document.getElementById("told").textContent = JSON.stringify(told); document.title = "done"; })();
</script>"""


class _Page(HTMLParser):
    """Names that a page has, and addresses that it points to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.links: list[str] = []
        self.unsaid: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.names |= {given[key] for key in ("id", "name") if given.get(key)}
        for key in ("href", "src"):
            if given.get(key):
                self.links.append(given[key])
        if tag == "img" and not (given.get("alt") or "").strip():
            self.unsaid.append(given.get("src", ""))


def files(site: Path) -> list[str]:
    """Of every page its path in the site."""
    found = [path.relative_to(site) for path in site.rglob("*.html")]
    return sorted(path.as_posix() for path in found if path.parts[0] not in ("_static", "_sources", "_downloads"))


def in_files(site: Path) -> list[str]:
    """What the files themselves tell: broken links, pictures missing or not described, pages that are large."""
    pages = {name: _Page((site / name).read_text(encoding="utf-8")) for name in files(site)}
    faults = []
    for name, page in pages.items():
        size = (site / name).stat().st_size
        if size > MOST_BYTES and not name.startswith("gallery/"):
            faults.append(f"{name} has {size} bytes")
        faults += [f"{name}: picture {source} has no text" for source in page.unsaid]
        faults += [f"{name}: {fault}" for link in page.links for fault in _broken(site, name, link, pages)]
    return faults


def _broken(site: Path, name: str, link: str, pages: dict[str, _Page]) -> Iterator[str]:
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return
    target = (site / name).parent / unquote(parts.path) if parts.path else site / name
    target = target / "index.html" if target.is_dir() else target
    if not target.exists():
        yield f"{link} leads nowhere"
        return
    known = pages.get(target.resolve().relative_to(site.resolve()).as_posix())
    if parts.fragment and known is not None and unquote(parts.fragment) not in known.names:
        yield f"{link} names no place there"


# ---------------------------------------------------------------- in a browser


def browser() -> str | None:
    return next((found for name in BROWSERS if (found := shutil.which(name))), None)


@contextmanager
def served(site: Path) -> Iterator[str]:
    """The address of a server of the folder on this machine."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def shown(address: str, seconds: int, *options: str) -> str:
    """The page after its scripts have run; its time is the browser's own, so that nothing is waited for."""
    with tempfile.TemporaryDirectory() as folder:
        command = [browser(), "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}"]
        command += [f"--virtual-time-budget={1000 * seconds}", *options, "--dump-dom", address]
        done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    return done.stdout


def in_browser(site: Path, pages: list[str], width: int = PHONE) -> list[str]:
    """What a browser tells of pages in a frame of this width."""
    faults, check = [], site / "check-pages.html"
    with served(site) as address:
        for few in (pages[k : k + 20] for k in range(0, len(pages), 20)):
            check.write_text(HARNESS.replace("PAGES", json.dumps(few)).replace("WIDTH", str(width)), encoding="utf-8")
            try:
                dom = shown(f"{address}/{check.name}", 60 * len(few))
            finally:
                check.unlink()
            told = re.search(r'<pre id="told">(.*?)</pre>', dom, re.DOTALL)
            if not told or not told[1]:
                faults.append(f"{few[0]} ... {few[-1]}: the browser told nothing")
                continue
            for page, found in json.loads(html.unescape(told[1])).items():
                faults += _faults(page, found, width)
    return faults


def _faults(page: str, found: dict, width: int) -> Iterator[str]:
    if not found["title"] or found["words"] < 100:
        yield f"{page} is empty"
    if found["wide"] > 0:
        yield f"{page} is {found['wide']} pixels wider than {width}"
    for source in found["broken"]:
        yield f"{page}: picture {source} does not show"
    for source in found["unsaid"]:
        yield f"{page}: picture {source} has no text"


def search(site: Path, word: str) -> list[str]:
    """The pages that the site's own search finds."""
    with served(site) as address:
        dom = shown(f"{address}/search.html?q={word}", 20)
    results = re.search(r'<ul[^>]*class="search"[^>]*>(.*?)</article>', dom, re.DOTALL)
    return re.findall(r'href="([^"]+)"', results[1]) if results else []


def main(words: list[str]) -> int:
    site = Path(next((word for word in words if not word.startswith("-")), "build/site"))
    pages, faults = files(site), in_files(site)
    if not pages:
        faults = [f"{site} has no pages; expected a site that `make docs` has built"]
    elif "--no-browser" in words:
        print("links, texts of pictures and sizes are checked, in the files")
    elif browser() is None:
        print(f"no {' or '.join(BROWSERS)}: links, texts of pictures and sizes are checked alone", file=sys.stderr)
    else:
        faults += in_browser(site, pages)
        found = search(site, "landweber")
        print(f"search finds landweber on {len(found)} pages")
        faults += [] if found else ["search finds no landweber"]
    print(*faults[:50], sep="\n")
    print(f"{len(pages)} pages, {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
