"""What the commands share: usage errors, quiet kernels, progress bars, files that can be written.

Nothing heavy is imported before a command runs.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import shlex
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ipbox
from ipbox.files import replacing

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


def chosen(names: list[str] | None, known: Iterable[str]) -> list[str]:
    """The methods asked for, in the order of ``known``; all by default."""
    known = list(known)
    if unknown := [name for name in names or () if name not in known]:
        raise UsageError(f"--methods has {', '.join(unknown)}; expected some of: {'; '.join(known)}")
    return [name for name in known if names is None or name in names]


def noise_of(info: Any) -> float:
    """The norm of what the data hold beyond A u: noise, and the error of the model."""
    return math.hypot(info.noise_level, info.model_error or 0.0)


def tv_weight(args: argparse.Namespace, A: Any, b: Any, delta: float) -> float:
    """``--lam``, or what the noise level says."""
    from ipbox.choose import tv_weight

    return tv_weight(A, b, delta) if args.lam == "auto" else args.lam


def tv(args: argparse.Namespace, lam: Any) -> Callable[[Any, Any], tuple[Any, Any]]:
    """Total variation as the demonstrations run it."""
    return lambda A, b: ipbox.tv(A, b, lam, nonneg=True, niter=args.niter, tol=1e-3, **bar(args, "tv"))


@dataclass(frozen=True)
class Shown:
    """What is shown of ``problem(name, **options)``.

    ``options`` are those of the problem that the command line offers, with the command's defaults; ``methods`` are
    names that the command knows; ``data`` says that the data are an image and are shown too; ``scans`` are names of
    parts of the data that each method reconstructs from.
    """

    help: str
    options: dict[str, Any]
    methods: tuple[str, ...]
    data: bool = False
    scans: tuple[str, ...] = ()

    def headline(self, args: argparse.Namespace, problem: tuple[Any, ...]) -> str:
        """The problem, its options and its size."""
        told = ", ".join(f"{name} {getattr(args, name)}" for name in self.options)
        return f"{args.problem}: {self.help} ({told}); {problem[0].shape[1]} unknowns, {problem[1].size} data"


def picture(path: str, result: Any, data: Any = None) -> None:
    """The truth, the data where they are an image, and the reconstructions; of complex images the magnitude."""
    images = [result.x_true, *([] if data is None else [data]), *result.images.values()]
    titles = ["truth", *([] if data is None else ["data"]), *(f"{r.method}: {r.psnr:.1f} dB" for r in result.rows)]
    ipbox.show(*(abs(u) if u.dtype.kind == "c" else u for u in images), titles=titles, path=path, unit=result.unit)
    print(f"picture: {path}")


def check_outputs(args: argparse.Namespace, suffixes: tuple[str, ...] = PICTURES, make_folder: bool = True) -> None:
    """Refuse, before the work, files that cannot be written after it."""
    _writable(args.out, "--out", suffixes, make_folder)
    if args.json is not None:
        _writable(args.json, "--json", (".json",), make_folder)


def _writable(path: str, name: str, suffixes: tuple[str, ...], make_folder: bool) -> None:
    out = Path(path)
    if out.suffix not in suffixes:
        raise UsageError(f"{name} is {path}; expected a file that ends in {', '.join(suffixes)}")
    if make_folder:
        with contextlib.suppress(OSError):  # the next check says it better
            out.parent.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryFile(dir=out.parent):  # what os.access says does not hold for root
            good = not out.is_dir() and (not out.exists() or os.access(out, os.W_OK))
    except OSError:
        good = False
    if not good:
        raise UsageError(f"{name} is {path}; expected a file in a folder that exists and can be written")


def write_report(args: argparse.Namespace, told: dict[str, Any], info: Any = None) -> None:
    """``--json``: the command, its options, what is known of the problem, and what the runs tell."""
    if args.json is None:
        return
    from ipbox import reports

    options = {name: value for name, value in vars(args).items() if name not in ("run", "argv", "json")}
    about = {"command": shlex.join(["python", "-m", "ipbox", *args.argv]), "options": reports.ready(options)}
    if info is not None:
        about["problem"] = reports.fields(info)
    with replacing(args.json, "--json") as file:
        file.write(json.dumps(about | told, indent=1, allow_nan=False).encode())
    print(f"report: {args.json}")


def number(least: float, strict: bool = False, kind: Callable[[str], Any] = float) -> Callable[[str], Any]:
    """Type of an option: a finite number (an integer for ``kind=int``) from ``least`` on, or beyond it."""
    what = "an integer" if kind is int else "a number"
    bound = "" if least == -math.inf else f" {'>' if strict else '>='} {least:g}"

    def parse(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value) or value < least or (strict and value == least):
            raise argparse.ArgumentTypeError(f"is {text}; expected {what}{bound}")
        return value

    return parse


def weight(text: str) -> Any:
    return text if text == "auto" else number(0, strict=True)(text)
