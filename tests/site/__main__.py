"""`make docs`: the site, in ``build/site``: ``python -m tests.site [--no-gallery] [--only 01 02 ...]``.

The pages of ``docs/``, what `stage` makes of public names and tutorials, and Sphinx, for which a warning is an error.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time

from tests.site import stage

BUILD = stage.ROOT / "build"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.site")
    parser.add_argument("--no-gallery", action="store_true", help="show the tutorials without running them")
    parser.add_argument("--only", nargs="+", metavar="NN", help="of the tutorials these alone, by number")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    args = parser.parse_args()
    started = time.perf_counter()
    stage.write(args.only)
    os.environ["IPBOX_SITE_GALLERY"] = "0" if args.no_gallery else "1"
    os.environ["IPBOX_SITE_JOBS"] = str(args.jobs)
    site = BUILD / "site"
    shutil.rmtree(site, ignore_errors=True)
    from sphinx.cmd.build import build_main

    words = ["-q", "-W", "--keep-going", "-j", str(args.jobs), "-b", "html", "-c", str(stage.DOCS)]
    code = build_main([*words, "-d", str(BUILD / "site-doctrees"), str(stage.SOURCE), str(site)])
    if code == 0:
        print(f"{site / 'index.html'}, in {time.perf_counter() - started:.0f} s")
    return code


if __name__ == "__main__":
    sys.exit(main())
