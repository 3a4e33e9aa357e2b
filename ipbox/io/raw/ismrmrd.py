"""ISMRMRD files: lines of Cartesian k-space, each with a header that says where it belongs, put in their places."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from ipbox.io.checks import Unusable, check_claim, one_sentence, regular_file
from ipbox.io.hdf5 import datasets
from ipbox.io.hdf5.opened import opened
from ipbox.io.raw.fastmri import SUFFIXES
from ipbox.io.raw.kspace import Encoding, KSpace, encodings
from ipbox.keywords import answering

# bits of head.flags, counted from 1 as ISMRMRD does: what is measured beside the image
_BESIDE = {
    19: "noise",
    20: "calibration",
    23: "navigation",
    24: "phase correction",
    26: "feedback",
    27: "dummy",
    28: "feedback",
    29: "surface coil correction",
    30: "phase stabilisation",
    31: "phase stabilisation",
}
_REVERSE = 22
_COUNTERS = ("repetition", "contrast", "phase", "set")


@answering
def read_ismrmrd(
    path: str | os.PathLike,
    group: str = "dataset",
    encoding: int = 0,
    repetition: int | None = None,
    contrast: int | None = None,
    phase: int | None = None,
    set: int | None = None,
    name: str = "path",
) -> KSpace:
    """Cartesian 2-D k-space of an ISMRMRD file, single or multi-slice.

    The line with counter kspace_encode_step_1 = k goes to row ny // 2 + k - c, with the centre c of the header's
    encoding limits, and its sample s to column nx // 2 + s - center_sample: zero frequency is at (ny // 2, nx // 2),
    and partial Fourier lines and echoes leave zeros.  Lines measured several times as averages are averaged.
    Noise, calibration-only, navigator and similar lines are left out and counted.

    Parameters
    ----------
    path : str or path
        HDF5 with ``xml`` and ``data`` in the group.
    group : str
        Name of the group.
    encoding : int
        Which encoding of the header; the others' lines are left out.
    repetition, contrast, phase, set : int, optional
        Which one; needed where the file has several.
    name : str
        What errors call the file.

    Returns
    -------
    KSpace
        With a mask and no target; ``about`` has ``lines`` (those used), ``left_out`` (how many of what) and
        ``averages``.

    Raises
    ------
    FileNotFoundError, ValueError
        for a file that is missing, cut short or of another kind; trajectories that are not Cartesian, 3-D encoding,
        lines read backwards (EPI); slices without lines, coils or samples that change, lines that are measured twice
        without being averages, or lie outside the matrix; NaN or infinite entries.

    References
    ----------
    Inati et al., ISMRM Raw data format: a proposed standard for MRI raw datasets, Magnetic Resonance in Medicine 77,
    2017.

    Examples
    --------
    >>> import ipbox as ip
    >>> ip.read_ismrmrd("scan.h5")
    Traceback (most recent call last):
    FileNotFoundError: path is scan.h5; there is no such file
    """
    path = regular_file(path, SUFFIXES, name)
    with one_sentence(path, "ISMRMRD file", name):
        space, head, lines = _read(path, group, encoding)
        chosen = dict(zip(_COUNTERS, (repetition, contrast, phase, set), strict=True))
        used, left_out = _used(head, encoding, chosen, path)
        _check(space, head[used], path)
        return _assembled(space, head[used], lines[used], left_out, path)


def _read(path: Path, group: str, encoding: int) -> tuple[Encoding, np.ndarray, np.ndarray]:
    """The encoding, the headers of the lines, and their samples as interleaved real and imaginary parts."""
    with opened(path) as file:
        for key in ("xml", "data"):
            if datasets.dataset(file, f"{group}/{key}", path) is None:
                raise Unusable(f"{path} has no dataset {group}/{key}; expected an ISMRMRD file")
        xml = np.asarray(file[f"{group}/xml"][()]).ravel()
        table = datasets.dataset(file, f"{group}/data", path)
        if xml.size != 1 or not {"head", "data"} <= {*(table.dtype.names or ())} or table.ndim != 1:
            raise Unusable(f"{path} has no ISMRMRD acquisitions in {group}/data")
        spaces = encodings(xml[0])
        if not 0 <= encoding < len(spaces):
            raise Unusable(f"encoding is {encoding}; {path} has {len(spaces)}")
        return spaces[encoding], table.fields("head")[()], table.fields("data")[()]


def _used(
    head: np.ndarray, encoding: int, chosen: dict[str, int | None], path: Path
) -> tuple[np.ndarray, dict[str, int]]:
    """Which lines make the image, and how many of the others there are of each kind."""
    left_out: dict[str, int] = {}
    used = np.ones(len(head), dtype=bool)

    def leave_out(which: np.ndarray, what: str) -> None:
        nonlocal used
        if count := int((used & which).sum()):
            left_out[what] = left_out.get(what, 0) + count
        used &= ~which

    for bit, what in _BESIDE.items():
        leave_out(_flag(head, bit), what)
    leave_out(head["encoding_space_ref"] != encoding, "other encodings")
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


def _flag(head: np.ndarray, bit: int) -> np.ndarray:
    return (head["flags"].astype(np.uint64) >> np.uint64(bit - 1)) & np.uint64(1) == 1


def _check(space: Encoding, head: np.ndarray, path: Path) -> None:
    if space.trajectory != "cartesian":
        raise Unusable(f"{path} has a {space.trajectory} trajectory; expected cartesian")
    if space.matrix[0] > 1 or head["idx"]["kspace_encode_step_2"].any():
        raise Unusable(f"{path} is encoded in 3-D, matrix (z, y, x) = {space.matrix}; expected 2-D slices")
    if _flag(head, _REVERSE).any():
        raise Unusable(f"{path} has lines that are read backwards (EPI); expected one direction")
    for counter in ("number_of_samples", "active_channels", "center_sample", "discard_pre", "discard_post"):
        if len(there := np.unique(head[counter])) > 1:
            raise Unusable(f"{path} has lines with {counter} {there.tolist()}; expected one value")


def _assembled(space: Encoding, head: np.ndarray, lines: np.ndarray, left_out: dict[str, int], path: Path) -> KSpace:
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
        raise Unusable(f"{path} has no line of slices {empty}; expected all of 0 to {count - 1}")
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
