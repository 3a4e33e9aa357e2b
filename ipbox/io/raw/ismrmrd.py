"""ISMRMRD files: lines of Cartesian k-space, each with a header that says where it belongs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from ipbox.io.checks import Unusable, one_sentence, regular_file
from ipbox.io.hdf5 import datasets
from ipbox.io.hdf5.opened import opened
from ipbox.io.raw.fastmri import SUFFIXES
from ipbox.io.raw.kspace import Encoding, KSpace, encodings
from ipbox.io.raw.lines import COUNTERS, assembled, check_lines, used_lines
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
        chosen = dict(zip(COUNTERS, (repetition, contrast, phase, set), strict=True))
        beside = [(_flag(head, bit), what) for bit, what in _BESIDE.items()]
        beside.append((head["encoding_space_ref"] != encoding, "other encodings"))
        used, left_out = used_lines(head, beside, chosen, path)
        check_lines(space, head[used], _flag(head[used], _REVERSE), path)
        return assembled(space, head[used], lines[used], left_out, path)


def _read(path: Path, group: str, encoding: int) -> tuple[Encoding, np.ndarray, np.ndarray]:
    """The encoding, the headers of the lines, and their samples as interleaved real and imaginary parts."""
    with opened(path) as file:
        for key in ("xml", "data"):
            if datasets.dataset(file, f"{group}/{key}", path) is None:
                raise Unusable(f"{path} has no dataset {group}/{key}; expected an ISMRMRD file")
        xml = np.asarray(file[f"{group}/xml"][()]).ravel()
        table: Any = datasets.dataset(file, f"{group}/data", path)
        if xml.size != 1 or not {"head", "data"} <= {*(table.dtype.names or ())} or table.ndim != 1:
            raise Unusable(f"{path} has no ISMRMRD acquisitions in {group}/data")
        spaces = encodings(xml[0])
        if not 0 <= encoding < len(spaces):
            raise Unusable(f"encoding is {encoding}; {path} has {len(spaces)}")
        return spaces[encoding], table.fields("head")[()], table.fields("data")[()]


def _flag(head: np.ndarray, bit: int) -> np.ndarray:
    return (head["flags"].astype(np.uint64) >> np.uint64(bit - 1)) & np.uint64(1) == 1
