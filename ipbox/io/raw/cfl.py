"""Arrays of BART: complex numbers in a .cfl file, their dimensions in the .hdr file beside it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ipbox.io.checks import Unusable

_LARGEST = 2**20  # bytes of a header


def read_cfl(path: Path, dataset: str | None = None) -> np.ndarray:
    """The array with its axes from the slowest to the fastest, complex64.

    BART's dimensions begin with the fastest: x (readout), y, z, coils, maps, ...; axes of one entry in front are left
    out, down to (y, x).

    References
    ----------
    Uecker et al., Berkeley Advanced Reconstruction Toolbox, Proc. Intl. Soc. Mag. Reson. Med. 23, 2486, 2015.
    """
    if dataset is not None:
        raise Unusable(f"dataset is {dataset!r}; {path} holds one array without a name, expected none")
    beside = path.with_suffix(".hdr")
    if not beside.is_file():
        raise Unusable(f"{path} has no {beside.name} beside it; expected BART's header")
    if beside.stat().st_size > _LARGEST:
        raise Unusable(f"{beside} has {beside.stat().st_size} bytes; expected BART's header")
    lines = beside.read_text("latin-1").splitlines()
    told = next((below for line, below in zip(lines, lines[1:], strict=False) if line.strip() == "# Dimensions"), "")
    dims = [int(word) if word.isdigit() else 0 for word in told.split()]
    if not dims or min(dims) < 1 or max(dims) >= 2**48:
        raise Unusable(f"{beside} has dimensions {told.strip()[:80]!r}; expected positive integers")
    count, size = 1, path.stat().st_size
    for n in dims:
        count *= n
    if 8 * count != size:
        raise Unusable(f"{path} has {size} bytes, and {beside.name} says {8 * count}; expected a complete file")
    while len(dims) > 2 and dims[-1] == 1:
        dims.pop()
    return np.fromfile(path, "<c8").reshape(dims[::-1])
