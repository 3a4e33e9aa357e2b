"""The slices of a DICOM series: what each file says, what they must share, their order along the normal."""

from __future__ import annotations

import contextlib
import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ipbox.io.checks import Unusable, check_claim, io_extra, one_line, one_sentence


@dataclass(frozen=True)
class Slice:
    """What the header of one file says; ``orientation`` and ``position`` are NaN where it does not."""

    path: Path
    series: str
    rows: int
    columns: int
    pixels: tuple[float, float] | None
    orientation: np.ndarray = field(repr=False)
    position: np.ndarray = field(repr=False)
    thickness: float
    problem: str | None
    about: dict[str, Any] = field(repr=False)


def read_header(path: Path, name: str) -> Slice:
    """The header of a DICOM file; what makes it no slice is told in ``problem``, for it may be of another series."""
    with _opened(path, "DICOM file", name, stop_before_pixels=True) as header:
        pixels = _numbers(header, "PixelSpacing", 2)
        orientation = _numbers(header, "ImageOrientationPatient", 6)
        modality = str(header.get("Modality", ""))
        about = {
            "patient": str(header.get("PatientID", "")),
            "modality": modality,
            "series": str(header.get("SeriesInstanceUID", "")),
            "study": str(header.get("StudyInstanceUID", "")),
            "description": str(header.get("SeriesDescription", "")),
            "units": _units(header, modality),
            "orientation": tuple(orientation.tolist()),
        }
        return Slice(
            path,
            about["series"],
            int(header.get("Rows") or 0),
            int(header.get("Columns") or 0),
            tuple(pixels.tolist()) if (pixels > 0).all() else None,
            orientation,
            _numbers(header, "ImagePositionPatient", 3),
            float(header.get("SpacingBetweenSlices") or header.get("SliceThickness") or math.nan),
            _problem(header, modality, path),
            about,
        )


@contextlib.contextmanager
def _opened(path: Path, what: str, name: str, **options: Any) -> Iterator[Any]:
    """The content of a file; what pydicom finds wrong with it, then or later, is one sentence."""
    with io_extra("reading DICOM files"):
        from pydicom import dcmread
        from pydicom.errors import BytesLengthException, InvalidDicomError
    with one_sentence(path, what, name), warnings.catch_warnings():
        warnings.filterwarnings("error", "End of file reached")  # else pydicom goes on with what there is
        try:
            yield dcmread(path, **options)
        except InvalidDicomError as err:
            raise ValueError("it has no DICOM header") from err
        except (BytesLengthException, UserWarning) as err:
            raise ValueError(one_line(err)) from err


def _numbers(header: Any, key: str, count: int) -> np.ndarray:
    values = np.asarray(header.get(key) or [math.nan] * count, dtype=np.float64).ravel()
    if values.size != count:
        raise ValueError(f"{key} has {values.size} numbers")
    return values


def _units(header: Any, modality: str) -> str:
    if "RescaleSlope" not in header:
        return "stored values"
    return str(header.get("RescaleType") or header.get("Units") or ("HU" if modality == "CT" else "unspecified"))


def _problem(header: Any, modality: str, path: Path) -> str | None:
    rows, columns = header.get("Rows") or 0, header.get("Columns") or 0
    if not rows or not columns:
        return f"is no image (modality {modality or 'unknown'}) or cut short; expected one with rows and columns"
    if int(header.get("NumberOfFrames") or 1) != 1:
        return f"holds {header.NumberOfFrames} frames; expected one slice a file"
    if header.get("SamplesPerPixel", 1) != 1 or "PALETTE" in header.get("PhotometricInterpretation", ""):
        return "is a colour image; expected one value a pixel"
    if "ModalityLUTSequence" in header:
        return "maps its values by a look-up table; expected RescaleSlope and RescaleIntercept"
    if ("RescaleSlope" in header) != ("RescaleIntercept" in header):
        return "has one of RescaleSlope and RescaleIntercept; expected both"
    if modality == "CT" and "RescaleSlope" not in header:
        return "is a CT without RescaleSlope; expected it, for Hounsfield units"
    if "RescaleSlope" in header:
        slope, intercept = header.RescaleSlope, header.RescaleIntercept
        if not np.isfinite(np.array([slope, intercept], dtype=np.float64)).all():  # None, which is NaN, where empty
            return f"has RescaleSlope {slope} and RescaleIntercept {intercept}; expected finite numbers"
    check_claim(int(rows) * int(columns), path)
    return None


def check_alike(slices: list[Slice]) -> None:
    """Images, all of one size, pixel spacing, orientation and unit."""
    for one in slices:
        if one.problem:
            raise ValueError(f"{one.path} {one.problem}")
        if len(slices) > 1 and (one.pixels is None or np.isnan([*one.orientation, *one.position]).any()):
            raise ValueError(f"{one.path} has no PixelSpacing, ImageOrientationPatient or ImagePositionPatient")
    first = slices[0]
    for one in slices[1:]:
        for what, here, there, tolerance in (
            ("size", (one.rows, one.columns), (first.rows, first.columns), 0.0),
            ("pixel spacing", one.pixels, first.pixels, 1e-5),
            ("orientation", one.about["orientation"], first.about["orientation"], 1e-4),
        ):
            if not np.allclose(here, there, rtol=tolerance, atol=tolerance):
                raise ValueError(f"{one.path} has {what} {here}, {first.path.name} {there}; expected one in a series")
        if one.about["units"] != first.about["units"]:
            raise ValueError(
                f"{one.path} is in {one.about['units']}, {first.path.name} in {first.about['units']}; expected one unit"
            )


def in_order(slices: list[Slice]) -> tuple[list[Slice], tuple[float, float, float]]:
    """The slices along their normal, and the spacing of slices, rows and columns in mm; even, and none missing."""
    first = slices[0]
    pixels = first.pixels or (math.nan, math.nan)
    if len(slices) == 1:
        return slices, (first.thickness, *pixels)
    normal = np.cross(first.orientation[:3], first.orientation[3:])
    slices = sorted(slices, key=lambda one: float(one.position @ normal))
    positions = np.array([one.position for one in slices])
    along = positions @ normal
    steps = np.diff(along)
    step = float(steps.min())
    if step < 1e-3:
        k = int(steps.argmin())
        raise ValueError(
            f"{slices[k].path} and {slices[k + 1].path.name} are at the same position; expected one image a slice"
        )
    # positions are often rounded to 0.1 mm
    uneven = np.flatnonzero(steps - step > max(0.05 * step, min(0.11, 0.4 * step)))
    if uneven.size:
        where = ", ".join(
            f"{round(steps[k] / step) - 1} between {slices[k].path.name} ({along[k]:g} mm) and "
            f"{slices[k + 1].path.name} ({along[k + 1]:g} mm)"
            for k in uneven[:3]
        )
        if np.abs(steps / step - np.round(steps / step)).max() > 0.1:
            raise ValueError(
                f"slices in {first.path.parent} are {step:g} to {steps.max():g} mm apart; expected even distances"
            )
        more = f" and in {uneven.size - 3} more places" if uneven.size > 3 else ""
        raise ValueError(f"slices are missing in {first.path.parent}: {where}{more}")
    # a tilted gantry moves each slice by the same vector; what is left over is another field of view
    straight = np.linspace(positions[0], positions[-1], len(slices))
    off = np.linalg.norm(positions - straight, axis=1)
    if off.max() > max(0.5 * min(pixels), 0.11):
        k = int(off.argmax())
        raise ValueError(f"{slices[k].path} is shifted by {off[k]:g} mm in its plane; expected slices in a row")
    return slices, (float(along[-1] - along[0]) / (len(slices) - 1), *pixels)


def read_values(one: Slice, name: str) -> np.ndarray:
    """The pixels of a slice in physical values, float32."""
    with _opened(one.path, "DICOM image", name) as content:
        if "PixelData" not in content:
            raise ValueError("it has no pixel data")
        syntax = content.file_meta.TransferSyntaxUID
        try:
            stored = content.pixel_array
        except Exception as err:
            if syntax.is_compressed:
                raise Unusable(
                    f"{one.path} is compressed ({syntax.name}), which no installed decoder could read ({one_line(err)})"
                ) from err
            raise
        if stored.shape != (one.rows, one.columns):
            raise ValueError(f"its pixels have shape {stored.shape}")
        if "RescaleSlope" not in content:
            return stored.astype(np.float32)
        return (stored * np.float64(content.RescaleSlope) + np.float64(content.RescaleIntercept)).astype(np.float32)
