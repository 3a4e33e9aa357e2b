"""What the commands share: usage errors, quiet kernels, progress bars, files that can be written.

Nothing heavy is imported before a command runs.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ipbox

PICTURES = (".png", ".pdf", ".svg")


class UsageError(Exception):
    """What the user can mend: reported in one line, exit code 2."""


@contextlib.contextmanager
def checked_input() -> Iterator[None]:
    """Only what the user gave is checked inside: its errors are usage errors, those of the computation are not."""
    try:
        yield
    except (ValueError, TypeError, OSError, ImportError) as err:
        raise UsageError(err) from err


@contextlib.contextmanager
def quietly(args: argparse.Namespace) -> Iterator[None]:
    """With ``--quiet``, kernels are compiled without saying so."""
    if not args.quiet:
        yield
        return
    from ipbox.kernels.core import compile

    with compile.quietly():
        yield


def bar(args: argparse.Namespace, name: str) -> dict[str, Any]:
    """The option of a method that shows its progress, unless ``--quiet``."""
    return {} if args.quiet else {"callbacks": [ipbox.callbacks.Progress(name)]}


def writable(path: str, suffixes: tuple[str, ...], make_folder: bool) -> None:
    """Refuse, before the work, a file that cannot be written after it."""
    out = Path(path)
    if out.suffix not in suffixes:
        raise UsageError(f"--out is {path}; expected a file that ends in {', '.join(suffixes)}")
    if make_folder:
        with contextlib.suppress(OSError):  # the next check says it better
            out.parent.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryFile(dir=out.parent):  # what os.access says does not hold for root
            good = not out.is_dir() and (not out.exists() or os.access(out, os.W_OK))
    except OSError:
        good = False
    if not good:
        raise UsageError(f"--out is {path}; expected a file in a folder that exists and can be written")
