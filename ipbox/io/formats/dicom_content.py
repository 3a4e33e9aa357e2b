"""The content of a DICOM file, deflated files unpacked within bounds, and what it says of each of its frames."""

from __future__ import annotations

import contextlib
import io
import math
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from ipbox.checks import counted
from ipbox.io.checks import Bounded, Unusable, check_claim, io_extra, one_line, one_sentence

_HEADER, _GROUPS = 2**24, 2**14  # bytes that a header, and what it says of a frame, may have
_RATIO = 200  # deflated images are seldom a tenth; those of zeros beyond _HEADER are no measurement


@contextlib.contextmanager
def opened(path: Path, what: str, name: str, **options: Any) -> Iterator[Any]:
    """The content of a file; what pydicom finds wrong with it, then or later, is one sentence."""
    with io_extra("reading DICOM files"):
        from pydicom import dcmread
        from pydicom.errors import BytesLengthException, InvalidDicomError
    with one_sentence(path, what, name), warnings.catch_warnings():
        warnings.filterwarnings("error", "End of file reached")  # else pydicom goes on with what there is
        try:
            with _inflated(path) as file:
                yield dcmread(file, **options)
        except InvalidDicomError as err:
            raise ValueError("it has no DICOM header") from err
        except (BytesLengthException, UserWarning) as err:
            raise ValueError(one_line(err)) from err


@contextlib.contextmanager
def _inflated(path: Path) -> Iterator[IO[bytes]]:
    """The file; a deflated one as if it were not, with no more unpacked than its header claims."""
    from pydicom.dataset import FileMetaDataset
    from pydicom.filereader import read_dataset
    from pydicom.filewriter import write_file_meta_info
    from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

    with Bounded(path) as file:
        meta: Any = {}
        if file.read(132)[128:] == b"DICM":
            meta = read_dataset(file, False, True, stop_when=lambda tag, vr, length: tag.group != 2)
        if meta.get("TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
            file.seek(0)
            yield file
            return
        if "FileMetaInformationGroupLength" not in meta:
            raise ValueError("it does not say where its deflated part begins")
        file.seek(144 + meta.FileMetaInformationGroupLength)
        unpack = zlib.decompressobj(-zlib.MAX_WBITS)
        content = unpack.decompress(file.read(), _HEADER)
    frames, nbytes = _claimed(content)
    check_claim(nbytes, path, ratio=_RATIO)
    most = nbytes + min(_GROUPS * frames, _RATIO * path.stat().st_size)
    content += unpack.decompress(unpack.unconsumed_tail, most + 1)
    if len(content) > _HEADER + most:
        raise Unusable(f"{path} unpacks to more than the {nbytes} bytes of pixels that it claims; expected no more")
    if not unpack.eof:
        raise EOFError("its deflated part is cut short")
    meta = FileMetaDataset(meta)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    plain = io.BytesIO()
    plain.write(bytes(128) + b"DICM")
    write_file_meta_info(plain, meta)
    plain.write(content)
    plain.seek(0)
    yield plain


def _claimed(content: bytes) -> tuple[int, int]:
    """Frames, and bytes of pixels, by the first part of an unpacked file."""
    from pydicom.filereader import read_dataset

    header = read_dataset(io.BytesIO(content), False, True, stop_when=lambda tag, vr, length: tag.group > 0x28)
    frames = int(header.get("NumberOfFrames") or 1)
    pixels = int(header.get("Rows") or 0) * int(header.get("Columns") or 0) * int(header.get("SamplesPerPixel") or 1)
    return frames, pixels * frames * int(header.get("BitsAllocated") or 8) // 8 + 8


@dataclass(frozen=True)
class Frame:
    """What a file says of a frame: in its own functional group, else in the shared one, else in the header."""

    header: Any
    number: int
    group: Any | None

    def _items(self, macro: str) -> Iterator[Any]:
        """Where an attribute may be, the first place first."""
        shared = self.header.get("SharedFunctionalGroupsSequence")
        for group in (self.group, shared[0] if shared else None):
            items = group.get(f"{macro}Sequence") if group is not None else None
            if items:
                yield items
        yield [self.header]

    def get(self, macro: str, key: str) -> Any:
        """An attribute of a functional group macro, such as PixelMeasures; None where there is none."""
        return next((items[0].get(key) for items in self._items(macro) if key in items[0]), None)

    def numbers(self, macro: str, key: str, count: int) -> np.ndarray:
        values = np.asarray(self.get(macro, key) or [math.nan] * count, dtype=np.float64).ravel()
        if values.size != count:
            raise ValueError(f"{key} has {counted(values.size, 'number')}")
        return values

    def position(self, orientation: np.ndarray) -> np.ndarray:
        """ImagePositionPatient; where a dose has one for all frames, with the frame's offset along the normal."""
        first, offsets = (
            self.numbers("PlanePosition", "ImagePositionPatient", 3),
            self.header.get("GridFrameOffsetVector"),
        )
        if self.group is not None or offsets is None:
            return first
        offset = np.asarray(offsets, dtype=np.float64).ravel()[self.number]
        return first + offset * np.cross(orientation[:3], orientation[3:])

    def scaling(self, modality: str) -> tuple[tuple[Any, Any] | None, str]:
        """Slope and intercept, and the unit; None for both where values stay as stored."""
        scale, unit = self._rescaled()
        real = self._real_world() if scale in (None, (1, 0)) and unit in (None, "US") else None
        if real is not None:  # what is mapped by the identity into no unit has been said nothing of
            return real
        if scale is None and "DoseGridScaling" in self.header:
            return (self.header.DoseGridScaling, 0.0), str(self.header.get("DoseUnits") or "unspecified")
        if scale is None:
            return None, "stored values"
        return scale, str(unit or self.header.get("Units") or ("HU" if modality == "CT" else "unspecified"))

    def _rescaled(self) -> tuple[tuple[Any, Any] | None, Any]:
        for items in self._items("PixelValueTransformation"):
            if "RescaleSlope" in items[0] or "RescaleIntercept" in items[0]:
                scale = items[0].get("RescaleSlope", ""), items[0].get("RescaleIntercept", "")
                return scale, items[0].get("RescaleType") or None
        return None, None

    def _real_world(self) -> tuple[tuple[Any, Any], str] | None:
        for items in self._items("RealWorldValueMapping"):
            items = self.header.get("RealWorldValueMappingSequence") or [] if items[0] is self.header else items
            if len(items) == 1 and "RealWorldValueSlope" in items[0]:  # several are several quantities
                units = items[0].get("MeasurementUnitsCodeSequence")
                unit = units[0].get("CodeValue") if units else None
                return (items[0].RealWorldValueSlope, items[0].RealWorldValueIntercept), str(unit or "unspecified")
        return None
