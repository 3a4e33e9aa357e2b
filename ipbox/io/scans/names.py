"""Which files of a folder are projections, flat fields and dark fields, by their names, and in which order."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from ipbox.io.checks import Unusable

# beginnings of the names of folders and files, of which only letters are looked at
_FLATS = ("flat", "ff", "white", "open", "bright", "gain", "ref", "refs", "refhst", "ob")
_DARKS = ("dark", "df", "dc", "black", "offset", "bg", "background")
_PROJECTIONS = ("proj", "tomo", "scan", "sample", "raw", "image", "img", "view", "data", "radio")
KINDS = ("projections", "flats", "darks")


def natural(name: str) -> list[tuple[int, int, str]]:
    """A key by which view 10 comes after view 9.

    Examples
    --------
    >>> from ipbox.io.scans.names import natural
    >>> sorted(["v10.tif", "v9.tif"], key=natural)
    ['v9.tif', 'v10.tif']
    """
    parts = re.split(r"(\d+)", name)
    return [(1, int(part), part) if part.isdigit() else (0, 0, part.lower()) for part in parts if part]


def kind_of(name: str) -> str:
    """``"flats"``, ``"darks"`` or ``"projections"`` by the first word of a name that is one of theirs.

    Examples
    --------
    >>> from ipbox.io.scans.names import kind_of
    >>> [kind_of(name) for name in ("flat_0001.tif", "scan_DF_before_2.tif", "sample_0007.tif")]
    ['flats', 'darks', 'projections']
    """
    for word in re.findall(r"[a-z]+", re.sub(r"([a-z])([A-Z])", r"\1 \2", Path(name).stem).lower()):
        for kind, words in (("flats", _FLATS), ("darks", _DARKS)):
            if any(word == known or (len(known) > 3 and word.startswith(known)) for known in words):
                return kind
    return "projections"


def sorted_out(folder: Path, suffixes: tuple[str, ...]) -> dict[str, list[Path]]:
    """The files of a folder and its own folders that end in one of ``suffixes``, by kind, each in natural order.

    Raises
    ------
    Unusable
        where no file is a projection, or two folders may hold them.
    """
    found: dict[str, list[Path]] = {kind: [] for kind in KINDS}
    homes: dict[str, set[Path]] = {kind: set() for kind in KINDS}
    for path in _files(folder, suffixes):
        kind = kind_of(path.parent.name) if path.parent != folder else kind_of(path.name)
        if kind == "projections" and path.parent != folder:
            kind = kind_of(path.name)
        found[kind].append(path)
        homes[kind].add(path.parent)
    if not found["projections"]:
        told = ", ".join(f"{len(found[kind])} {kind}" for kind in KINDS[1:] if found[kind]) or "no frame"
        raise Unusable(f"{folder} has {told} in files that end in {' or '.join(suffixes)}; expected projections")
    if len(homes["projections"]) > 1:
        named = [home for home in homes["projections"] if _named(home.name, _PROJECTIONS)]
        if len(named) != 1:
            names = ", ".join(sorted(home.name for home in homes["projections"]))
            raise Unusable(f"{folder} has projections in {names}; expected one folder of them, as path")
        found["projections"] = [path for path in found["projections"] if path.parent == named[0]]
    return {
        kind: sorted(paths, key=lambda path: natural(str(path.relative_to(folder)))) for kind, paths in found.items()
    }


def _files(folder: Path, suffixes: tuple[str, ...]) -> Iterable[Path]:
    inside = sorted(folder.iterdir())
    for home in (folder, *(path for path in inside if path.is_dir())):
        for path in sorted(home.iterdir()):
            if path.is_file() and path.name.lower().endswith(suffixes) and not path.name.startswith("."):
                yield path


def _named(name: str, words: tuple[str, ...]) -> bool:
    return name.lower().startswith(words)
