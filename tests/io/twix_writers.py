"""Siemens' raw data as scanners write it, from the format's public descriptions: VB, and VD and later."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np

BITS = {"ACQEND": 0, "RTFEEDBACK": 1, "SYNCDATA": 5, "PHASESTABSCAN": 15, "PHASCOR": 21, "PATREFSCAN": 22}
BITS |= {"PATREFANDIMASCAN": 23, "REFLECT": 24, "NOISEADJSCAN": 25, "RETRO_DUMMYSCAN": 51}

_COUNTER = [(n, "<u2") for n in "Lin Ave Sli Par Eco Phs Rep Set Seg Ida Idb Idc Idd Ide".split()]
_WHERE = [("Sag", "<f4"), ("Cor", "<f4"), ("Tra", "<f4"), ("Quaternion", "<f4", 4)]
_TIMES = [("length", "<u4"), ("MeasUID", "<i4"), ("ScanCounter", "<u4"), ("time", "<u4"), ("pmu", "<u4")]
_LINE = [("flags", "<u8"), ("samples", "<u2"), ("coils", "<u2"), *_COUNTER, ("Pre", "<u2"), ("Post", "<u2")]
_LINE += [("CenterCol", "<u2"), ("coil", "<u2"), ("offcentre", "<f4"), ("since", "<u4")]
_LINE += [("CenterLin", "<u2"), ("CenterPar", "<u2")]
_VB = np.dtype([*_TIMES, *_LINE, ("ice", "<u2", 8), *_WHERE, ("ChannelId", "<u2"), ("table", "<u2")])
_VD = np.dtype([*_TIMES, ("table", "u1", 20), *_LINE, *_WHERE, ("ice", "<u2", 28), ("application", "u1", 8)])
_COIL = np.dtype([("length", "<u4"), ("ids", "u1", 20), ("ChannelId", "<u2"), ("end", "u1", 6)])
assert (_VB.itemsize, _VD.itemsize, _COIL.itemsize) == (128, 192, 32)

Line = tuple[np.ndarray | bytes, dict[str, float]]


def protocol(shape: tuple[int, int] = (9, 8), ascconv: dict[str, object] | None = None, xprotocol: str = "") -> bytes:
    """The header of a measurement with ``shape`` rows and oversampled columns; None takes an entry out."""
    told: dict[str, object] = {
        "sKSpace.lBaseResolution": shape[1] // 2,
        "sKSpace.lPhaseEncodingLines": shape[0],
        "sKSpace.dPhaseOversamplingForDialog": 0.5,
        "sKSpace.ucDimension": "0x2",
        "sKSpace.ucTrajectory": "0x1",
        "sSliceArray.asSlice[0].dThickness": 5.0,
        "sSliceArray.asSlice[0].dPhaseFOV": 180.0,
        "sSliceArray.asSlice[0].dReadoutFOV": 240,
    } | (ascconv or {})
    lines = "".join(f"{key}\t = \t{value}\n" for key, value in told.items() if value is not None)
    meas = (
        xprotocol or '<ParamLong."alRegridMode">  { 1 1 }\n<ParamDouble."flReadoutOSFactor">  { <Precision> 6  2.0  }'
    )
    parts = {"Meas": meas + "\n" + 12000 * " ", "MeasYaps": f"### ASCCONV BEGIN ###\n{lines}\n### ASCCONV END ###"}
    body = b"".join(name.encode() + b"\0" + struct.pack("<I", len(t)) + t.encode() for name, t in parts.items())
    size = -(-(8 + len(body)) // 32) * 32
    return struct.pack("<II", size, len(parts)) + body.ljust(size - 8, b"\0")


def readout(line: np.ndarray, *flags: str, **fields: float) -> Line:
    """A line (coils, samples) of k-space and what its header says beside the defaults."""
    mask = sum(1 << BITS[flag] for flag in flags)
    return np.asarray(line, np.complex64), {"flags": mask, "CenterCol": line.shape[-1] // 2, "CenterLin": 4} | fields


def _written(line: Line, later: bool) -> bytes:
    values, fields = line
    mdh = np.zeros((), _VD if later else _VB)
    for key, value in fields.items():
        mdh[key] = value
    if isinstance(values, bytes):
        mdh["length"] = mdh.nbytes + len(values) if "length" not in fields else fields["length"]
        return mdh.tobytes() + values
    mdh["coils"], mdh["samples"] = values.shape
    coils = []
    for k, samples in enumerate(values):
        each = np.zeros((), _COIL) if later else mdh.copy()
        each["ChannelId"], each["length"] = k, each.nbytes + samples.nbytes
        coils.append(each.tobytes() + samples.tobytes())
    mdh["length"] = mdh.nbytes * later + sum(map(len, coils))
    return later * mdh.tobytes() + b"".join(coils)


def write_twix(path: Path, *measurements: tuple[bytes, Sequence[Line]], later: bool = True, ended: bool = True) -> Path:
    """Measurements of a header and lines; VB has one."""
    content = bytearray(10240 if later else 0)
    for k, (head, lines) in enumerate(measurements):
        start = len(content)
        content += head + b"".join(_written(line, later) for line in lines)
        if ended:
            content += _written((bytes(160), {"flags": 1 << BITS["ACQEND"]}), later)
        if later:
            struct.pack_into("<IIQQ", content, 8 + 152 * k, 7 + k, 3, start, len(content) - start)
            content += bytes(-len(content) % 512)
    if later:
        struct.pack_into("<II", content, 0, 0, len(measurements))
    path.write_bytes(content)
    return path
