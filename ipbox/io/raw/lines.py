"""Lines of Cartesian k-space, each with a header that says where it belongs, put in their places.

Headers are structured arrays with ISMRMRD's names.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from ipbox.io.checks import Unusable, check_claim
from ipbox.io.raw.kspace import Encoding, KSpace

COUNTERS = ("repetition", "contrast", "phase", "set")


def used_lines(
    head: np.ndarray, beside: Iterable[tuple[np.ndarray, str]], chosen: dict[str, int | None], path: Path
) -> tuple[np.ndarray, dict[str, int]]:
    """Which lines make the image, and how many of the others there are of each kind.

    ``beside`` has the lines that do not, and what they are; ``chosen`` the counters.
    """
    left_out: dict[str, int] = {}
    used = np.ones(len(head), dtype=bool)

    def leave_out(which: np.ndarray, what: str) -> None:
        nonlocal used
        if count := int((used & which).sum()):
            left_out[what] = left_out.get(what, 0) + count
        used &= ~which

    for which, what in beside:
        leave_out(which, what)
    for counter, value in chosen.items():
        there = np.unique(head["idx"][counter][used]).tolist()
        if value is None and len(there) > 1:
            raise Unusable(f"{counter} is not given; {path} has {there}, expected one of them")
        if value is not None and value not in there:
            raise Unusable(f"{counter} is {value}; {path} has {there}")
        if value is not None:
            leave_out(head["idx"][counter] != value, f"other {counter}s")
    if not used.any():
        raise Unusable(f"{path} has no line of an image among its {len(head)} acquisitions")
    return used, left_out


def check_lines(space: Encoding, head: np.ndarray, backwards: np.ndarray, path: Path) -> None:
    """Refuse what is no Cartesian 2-D k-space, read in one direction by the same coils."""
    if space.trajectory != "cartesian":
        raise Unusable(f"{path} has a {space.trajectory} trajectory; expected cartesian")
    if space.matrix[0] > 1 or head["idx"]["kspace_encode_step_2"].any():
        raise Unusable(f"{path} is encoded in 3-D, matrix (z, y, x) = {space.matrix}; expected 2-D slices")
    if backwards.any():
        raise Unusable(f"{path} has lines that are read backwards (EPI); expected one direction")
    for counter in ("number_of_samples", "active_channels", "center_sample", "discard_pre", "discard_post"):
        if len(there := np.unique(head[counter])) > 1:
            raise Unusable(f"{path} has lines with {counter} {there.tolist()}; expected one value")


def assembled(
    space: Encoding, head: np.ndarray, lines: Iterable[np.ndarray], left_out: dict[str, int], path: Path
) -> KSpace:
    """Every line in its row; the mean where there are averages."""
    _, ny, nx = space.matrix
    samples, coils, centre, before, after = (
        int(head[key][0])
        for key in ("number_of_samples", "active_channels", "center_sample", "discard_pre", "discard_post")
    )
    count = int(head["idx"]["slice"].max()) + 1
    rows = (
        ny // 2 + head["idx"]["kspace_encode_step_1"].astype(int) - (ny // 2 if space.centre is None else space.centre)
    )
    columns = slice(nx // 2 + before - centre, nx // 2 + samples - after - centre)
    if rows.min() < 0 or rows.max() >= ny or not 0 <= columns.start < columns.stop <= nx or coils < 1:
        raise Unusable(
            f"{path} has lines {rows.min()} to {rows.max()} and samples {columns.start} to {columns.stop - 1} of "
            f"{coils} coils; expected them within the matrix {ny} x {nx}"
        )
    check_claim(8 * count * coils * ny * nx, path)
    where = head["idx"]["slice"].astype(int) * ny + rows
    measured = np.bincount(where, minlength=count * ny)
    if empty := np.flatnonzero(~measured.reshape(count, ny).any(axis=1)).tolist():
        some = ", ".join(map(str, empty[:8])) + (f" and {len(empty) - 8} others" if len(empty) > 8 else "")
        raise Unusable(f"{path} has no line of slices [{some}]; expected all of 0 to {count - 1}")
    pairs = np.unique(np.stack([where, head["idx"]["average"]]), axis=1).shape[1]
    if pairs != len(head):
        k = int(measured.argmax())
        raise Unusable(
            f"{path} has row {k % ny} of slice {k // ny} {measured[k]} times, not as averages; expected it once"
        )
    kspace = np.zeros((count * ny, coils, nx), dtype=np.complex64)
    for k, line in enumerate(lines):
        if np.size(line) != 2 * coils * samples:
            raise Unusable(
                f"{path} has {np.size(line)} numbers in a line; expected {2 * coils * samples}, real and imaginary "
                f"parts of {coils} coils and {samples} samples"
            )
        values = np.ascontiguousarray(line, dtype=np.float32).view(np.complex64).reshape(coils, samples)
        kspace[where[k], :, columns] += values[:, before : samples - after] / np.float32(measured[where[k]])
    if not np.isfinite(kspace).all():
        raise Unusable(f"{path} has NaN or infinite entries; expected finite numbers")
    mask = np.zeros((count, ny, nx), dtype=bool)
    mask[..., columns] = (measured > 0).reshape(count, ny, 1)
    kspace = np.ascontiguousarray(kspace.reshape(count, ny, coils, nx).transpose(0, 2, 1, 3))
    about: dict[str, Any] = {"lines": len(head), "left_out": left_out, "averages": int(measured.max())}
    return KSpace(kspace, mask, None, space, about)
