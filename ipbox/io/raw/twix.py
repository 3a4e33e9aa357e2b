"""Siemens' raw data (twix): lines of Cartesian k-space from one measurement of a .dat file, of VB or VD and later."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ipbox.checks import is_integer
from ipbox.io.checks import Bounded, Unusable, io_extra, one_sentence, regular_file
from ipbox.io.raw.kspace import Encoding, KSpace
from ipbox.io.raw.lines import COUNTERS, assembled, check_lines, used_lines
from ipbox.keywords import answering

# flags of what is measured beside the image
_BESIDE = {
    "SYNCDATA": "synchronous data",
    "NOISEADJSCAN": "noise",
    "PHASCOR": "phase correction",
    "SLICE_ACCEL_PHASCOR": "phase correction",
    "RTFEEDBACK": "feedback",
    "HPFEEDBACK": "feedback",
    "REFPHASESTABSCAN": "phase stabilisation",
    "PHASESTABSCAN": "phase stabilisation",
    "SLICE_ACCEL_REFSCAN": "calibration",
    "RETRO_DUMMYSCAN": "dummy",
    "CT_NORMALIZE": "surface coil correction",
    "noname60": "navigation",
}
_TRAJECTORIES = {1: "cartesian", 2: "radial", 4: "spiral", 8: "blade"}  # ucTrajectory
_FIELDS = {  # ISMRMRD's names, Siemens' names
    "number_of_samples": "SamplesInScan",
    "active_channels": "UsedChannels",
    "center_sample": "CenterCol",
    "center_line": "CenterLin",
}
_IDX = {
    "kspace_encode_step_1": "Lin",
    "kspace_encode_step_2": "Par",
    "average": "Ave",
    "slice": "Sli",
    "contrast": "Eco",
    "phase": "Phs",
    "repetition": "Rep",
    "set": "Set",
}
_HEAD: list[Any] = [(key, "i8") for key in (*_FIELDS, "discard_pre", "discard_post")]
_HEAD += [("flags", "u8"), ("position", "f4", 3), ("idx", [(key, "i8") for key in _IDX])]


@answering
def read_twix(
    path: str | os.PathLike,
    measurement: int = -1,
    repetition: int | None = None,
    contrast: int | None = None,
    phase: int | None = None,
    set: int | None = None,
    name: str = "path",
) -> KSpace:
    """Cartesian 2-D k-space of a Siemens twix file, single or multi-slice.

    The line with counter Lin = k goes to row ny // 2 + k - CenterLin, and its sample s to column nx // 2 + s -
    CenterCol: zero frequency is at (ny // 2, nx // 2), and partial Fourier lines and echoes leave zeros.  Columns keep
    their oversampling: nx is the base resolution times the readout's factor, mostly 2, and
    `ipbox.io.raw.kspace.centre_crop` with ``encoding.recon_matrix`` gives the image's part.  Lines measured several
    times as averages are averaged.  Noise, calibration-only, navigator and similar lines are left out and counted.

    Parameters
    ----------
    path : str or path
        Ends in .dat; its lines are read by ``twixtools``, of the extra ``io``.
    measurement : int
        Which one of a file of several, the last by default: earlier ones are mostly adjustments.
    repetition, contrast, phase, set : int, optional
        Which one; needed where the measurement has several.
    name : str
        What errors call the file.

    Returns
    -------
    KSpace
        (slices, coils, ny, nx) with a mask and no target.  Slices are in the order of their counter, that in which
        interleaved ones are measured; ``about["positions"]``, (slices, 3) in mm towards (left, back, head), tells
        where they are.  It has also ``lines`` (those used), ``left_out`` (how many of what), ``averages`` and
        ``measurements`` (how many the file has).  In ``encoding`` the image has square pixels, a base resolution wide.

    Raises
    ------
    FileNotFoundError, ValueError
        for a file that is missing, cut short or of another kind, a measurement that was stopped; trajectories that are
        not Cartesian, 3-D encoding, lines read backwards or on ramps (EPI); slices without lines, coils or samples that
        change, lines that are measured twice without being averages, or lie outside the matrix; NaN or infinite
        entries.
    ImportError
        without ``twixtools``.

    References
    ----------
    Ehses, twixtools, https://github.com/pehses/twixtools (MIT).

    Examples
    --------
    >>> import ipbox as ip
    >>> ip.read_twix("meas.dat")
    Traceback (most recent call last):
    FileNotFoundError: path is meas.dat; there is no such file
    """
    path = regular_file(path, (".dat",), name)
    with io_extra("reading Siemens twix files"):
        import twixtools.mdb
        import twixtools.mdh_def
    with one_sentence(path, "Siemens twix file", name), Bounded(path) as file:
        later, spans = _measurements(file)
        start, end = _picked(spans, measurement, path)
        protocol, at = _header(file, start, end)
        space = _encoding(protocol, path)
        places, head = _lines(file, later, at, end)
        bits = twixtools.mdh_def.mask_dict
        beside = [(_flag(head, bits[flag]), what) for flag, what in _BESIDE.items()]
        reference = _flag(head, bits["PATREFSCAN"]) & ~_flag(head, bits["PATREFANDIMASCAN"])
        chosen = dict(zip(COUNTERS, (repetition, contrast, phase, set), strict=True))
        used, left_out = used_lines(head, [*beside, (reference, "calibration")], chosen, path)
        places, head = places[used], head[used]
        check_lines(space, head, _flag(head, bits["REFLECT"]), path)
        space = _centred(space, head, path)

        def line(place: int) -> np.ndarray:
            file.seek(place)
            return np.ascontiguousarray(twixtools.mdb.Mdb(file, later).data).view(np.float32).ravel()

        data = assembled(space, head, map(line, places.tolist()), left_out, path)
        _, first = np.unique(head["idx"]["slice"], return_index=True)
        data.about.update(positions=head["position"][first], measurements=len(spans))
        return data


def _exactly(file: Bounded, place: int, nbytes: int, what: str) -> bytes:
    file.seek(place)
    if len(data := file.read(nbytes)) != nbytes:
        raise EOFError(f"it ends within {what}")
    return data


def _measurements(file: Bounded) -> tuple[bool, list[tuple[int, int]]]:
    """Whether the file is of VD or later, which begin with a table of measurements, and where those begin and end."""
    from twixtools import hdr_def

    size = os.fstat(file.fileno()).st_size
    first, count = np.frombuffer(_exactly(file, 0, 8, "its first words"), "<u4").tolist()
    if not count:
        raise ValueError("it holds no measurement")
    if not (first < 10000 and count <= hdr_def.max_raidfile_entries):
        return False, [(0, size)]
    dtype = hdr_def.MultiRaidFileHeader
    entries = np.frombuffer(_exactly(file, 0, dtype.itemsize, "its table of measurements"), dtype)["entry"][0][:count]
    # a scanner that is stopped leaves the length at zero
    return True, [(start, min(size, start + n) if n else size) for start, n in entries[["off_", "len_"]].tolist()]


def _picked(spans: list[tuple[int, int]], measurement: int, path: Path) -> tuple[int, int]:
    if not is_integer(measurement) or not -len(spans) <= measurement < len(spans):
        n = len(spans)
        raise Unusable(f"measurement is {measurement!r}; {path} has {n}: expected an integer from {-n} to {n - 1}")
    return spans[measurement]


def _header(file: Bounded, start: int, end: int) -> tuple[str, int]:
    """The protocol's text, and where the lines begin."""
    nbytes = int(np.frombuffer(_exactly(file, start, 4, "a header"), "<u4")[0])
    if not 8 <= nbytes <= end - start:
        raise EOFError(f"a header has {nbytes} of {end - start} bytes")
    return _exactly(file, start, nbytes, "a header").decode("latin-1"), start + nbytes


def _encoding(protocol: str, path: Path) -> Encoding:
    def found(pattern: str) -> str | None:
        match = re.search(pattern, protocol, re.MULTILINE)
        return match and match[1]

    def number(key: str, otherwise: float | None = None) -> float:
        """A value of the protocol's ASCCONV part, which leaves out zeros."""
        told = found(rf"^[ \t]*{re.escape(key)}[ \t]*=[ \t]*(\S+)")
        if told is None and otherwise is not None:
            return otherwise
        if told is None:
            raise Unusable(f"{path} has no {key} in its protocol; expected a measurement of k-space")
        return float(int(told, 16) if told.lower().startswith("0x") else float(told))

    dimension = int(number("sKSpace.ucDimension"))
    if dimension not in (2, 4):
        raise Unusable(f"{path} has ucDimension {dimension}; expected 2, that of slices")
    ramps = found(r'<ParamLong\."alRegridMode">\s*\{\s*(\d+)')
    if ramps is not None and int(ramps) > 1:
        raise Unusable(f"{path} has samples on ramps of the gradient (EPI, alRegridMode {ramps}); expected even ones")
    oversampled = found(r'<ParamDouble\."flReadoutOSFactor">\s*\{\s*(?:<Precision>\s*\d+\s+)?([\d.]+)')
    if oversampled is None:
        raise Unusable(f"{path} has no flReadoutOSFactor in its protocol; expected a measurement of k-space")
    base, rows = int(number("sKSpace.lBaseResolution")), int(number("sKSpace.lPhaseEncodingLines"))
    depth, phase, readout = (
        number(f"sSliceArray.asSlice[0].{key}") for key in ("dThickness", "dPhaseFOV", "dReadoutFOV")
    )
    partitions = int(number("sKSpace.lPartitions")) if dimension == 4 else 1
    factor = float(oversampled)
    whole = phase * (1 + number("sKSpace.dPhaseOversamplingForDialog", 0.0))
    trajectory = int(number("sKSpace.ucTrajectory"))
    if not all(0 < v < 2**20 for v in (base, rows, depth, phase, readout, whole, partitions, factor, base * factor)):
        raise Unusable(
            f"{path} has a matrix of {rows} x {base} times {factor:g} and a field of view of {phase:g} x {readout:g} "
            f"mm, {depth:g} mm thick; expected positive numbers"
        )
    return Encoding(
        _TRAJECTORIES.get(trajectory, f"ucTrajectory {trajectory}"),
        (partitions, rows, round(base * factor)),
        (depth, whole, readout * factor),
        (partitions, max(1, round(base * phase / readout)), base),
        (depth, phase, readout),
        None,
    )


def _lines(file: Bounded, later: bool, at: int, end: int) -> tuple[np.ndarray, np.ndarray]:
    """Places and headers of the lines, each of which is complete; the last block says that it is the last."""
    from twixtools import mdh_def

    kind = np.dtype(mdh_def.Scan_header if later else mdh_def.VB17_header)
    each = np.dtype(mdh_def.Channel_header).itemsize if later else kind.itemsize
    before = kind.itemsize if later else 0
    last, apart = (1 << mdh_def.mask_dict[flag] for flag in ("ACQEND", "SYNCDATA"))

    def blocks() -> Iterator[tuple[int, bytes]]:
        place = at
        while True:
            raw = _exactly(file, place, kind.itemsize, "a line's header")
            mdh = np.frombuffer(raw, kind)[0]
            flags, samples, coils = (int(mdh[key]) for key in ("EvalInfoMask", "SamplesInScan", "UsedChannels"))
            if flags & last:
                return
            nbytes = before + coils * (each + 8 * samples)
            if flags & apart:
                nbytes = int(mdh["FlagsAndDMALength"]) % 2**25
            elif not coils or not samples:
                raise ValueError(f"at byte {place} a line has {coils} coils and {samples} samples")
            if nbytes < kind.itemsize or place + nbytes > end:
                raise EOFError(f"at byte {place} a line has {nbytes} bytes, and the measurement ends at {end}")
            yield place, raw
            place += nbytes

    found = list(blocks())
    mdh = np.frombuffer(b"".join(raw for _, raw in found), kind)
    head = np.zeros(len(mdh), dtype=_HEAD)
    for key, theirs in _FIELDS.items():
        head[key] = mdh[theirs]
    for key, theirs in _IDX.items():
        head["idx"][key] = mdh["Counter"][theirs]
    head["discard_pre"], head["discard_post"] = mdh["CutOff"]["Pre"], mdh["CutOff"]["Post"]
    for k, axis in enumerate(("Sag", "Cor", "Tra")):
        head["position"][:, k] = mdh["SliceData"]["SlicePos"][axis]
    head["flags"] = mdh["EvalInfoMask"]
    return np.array([place for place, _ in found], dtype=np.int64), head


def _flag(head: np.ndarray, bit: int) -> Any:
    return (head["flags"] >> np.uint64(bit)) & np.uint64(1) == 1


def _centred(space: Encoding, head: np.ndarray, path: Path) -> Encoding:
    """With the line of zero frequency, which each line tells."""
    if len(there := np.unique(head["center_line"])) > 1:
        raise Unusable(f"{path} has lines with CenterLin {there.tolist()}; expected one value")
    return replace(space, centre=int(there[0]))
