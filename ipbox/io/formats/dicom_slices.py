"""The slices of a DICOM series: what each frame says, what they must share, their order along the normal."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from ipbox.io.checks import Unusable, check_claim, one_line
from ipbox.io.formats.dicom_content import Frame, opened


@dataclass(frozen=True)
class Slice:
    """What a file says of one frame; ``orientation`` and ``position`` are NaN where it does not.

    Stored values q become slope q + intercept; these are None where values stay as stored.
    """

    path: Path
    frame: int
    frames: int  # in the file
    series: str
    rows: int
    columns: int
    pixels: tuple[float, float] | None
    orientation: np.ndarray = field(repr=False)
    position: np.ndarray = field(repr=False)
    thickness: float
    scale: tuple[float, float] | None
    problem: str | None
    about: dict[str, Any] = field(repr=False)

    @property
    def label(self) -> str:
        return str(self.path) if self.frames == 1 else f"frame {self.frame + 1} of {self.path}"


def read_header(path: Path, name: str) -> list[Slice]:
    """The frames of a DICOM file; what makes one no slice is told in ``problem``, for it may be of another series."""
    with opened(path, "DICOM file", name, stop_before_pixels=True) as header:
        count = int(header.get("NumberOfFrames") or 1)
        groups = header.get("PerFrameFunctionalGroupsSequence")
        if groups is not None and len(groups) != count:
            raise ValueError(f"it has {count} frames and functional groups of {len(groups)}")
        about = {
            "patient": str(header.get("PatientID", "")),
            "modality": str(header.get("Modality", "")),
            "series": str(header.get("SeriesInstanceUID", "")),
            "study": str(header.get("StudyInstanceUID", "")),
            "description": str(header.get("SeriesDescription", "")),
        }
        problem = _problem(header, count, path)
        if problem is not None:  # of a file without frames that could be placed, one stands for all
            count, groups = 1, None
        return [
            _slice(Frame(header, k, groups[k] if groups else None), path, count, about, problem) for k in range(count)
        ]


def _slice(frame: Frame, path: Path, frames: int, about: dict[str, Any], problem: str | None) -> Slice:
    pixels = frame.numbers("PixelMeasures", "PixelSpacing", 2)
    orientation = frame.numbers("PlaneOrientation", "ImageOrientationPatient", 6)
    between, thickness = (frame.get("PixelMeasures", key) for key in ("SpacingBetweenSlices", "SliceThickness"))
    scale, units = frame.scaling(about["modality"])
    if problem is None:
        problem = _wrong_scale(scale, about["modality"])
    return Slice(
        path,
        frame.number,
        frames,
        about["series"],
        int(frame.header.get("Rows") or 0),
        int(frame.header.get("Columns") or 0),
        tuple(pixels.tolist()) if (pixels > 0).all() else None,
        orientation,
        frame.position(orientation),
        float(between or thickness or math.nan),
        scale,
        problem,
        about | {"units": units, "orientation": tuple(orientation.tolist())},
    )


def _problem(header: Any, frames: int, path: Path) -> str | None:
    rows, columns = int(header.get("Rows") or 0), int(header.get("Columns") or 0)
    if not rows or not columns:
        modality = one_line(header.get("Modality") or "unknown")[:16]
        return f"is no image (modality {modality}) or cut short; expected one with rows and columns"
    placed = "PerFrameFunctionalGroupsSequence" in header or "GridFrameOffsetVector" in header
    if frames != 1 and not placed:
        return f"holds {frames} frames; expected one slice a file, or the position of each frame in functional groups"
    if header.get("SamplesPerPixel", 1) != 1 or "PALETTE" in header.get("PhotometricInterpretation", ""):
        return "is a colour image; expected one value a pixel"
    if "ModalityLUTSequence" in header:
        return "maps its values by a look-up table; expected RescaleSlope and RescaleIntercept"
    check_claim(rows * columns * frames * int(header.get("BitsAllocated") or 8) // 8, path)
    return None


def _wrong_scale(scale: tuple[Any, Any] | None, modality: str) -> str | None:
    if scale is None:
        return "is a CT without RescaleSlope; expected it, for Hounsfield units" if modality == "CT" else None
    slope, intercept = scale
    if "" in scale:
        return "has one of RescaleSlope and RescaleIntercept; expected both"
    if not np.isfinite(np.array([slope, intercept], dtype=np.float64)).all():  # None, which is NaN, where empty
        return f"has RescaleSlope {slope} and RescaleIntercept {intercept}; expected finite numbers"
    return None


def check_alike(slices: list[Slice]) -> None:
    """Images, all of one size, pixel spacing, orientation and unit."""
    for one in slices:
        if one.problem:
            raise ValueError(f"{one.label} {one.problem}")
        if len(slices) > 1 and (one.pixels is None or np.isnan([*one.orientation, *one.position]).any()):
            raise ValueError(f"{one.label} has no PixelSpacing, ImageOrientationPatient or ImagePositionPatient")
    first = slices[0]
    for one in slices[1:]:
        for what, here, there, tolerance in (
            ("size", (one.rows, one.columns), (first.rows, first.columns), 0.0),
            ("pixel spacing", one.pixels, first.pixels, 1e-5),
            ("orientation", one.about["orientation"], first.about["orientation"], 1e-4),
        ):
            if not np.allclose(here, there, rtol=tolerance, atol=tolerance):
                raise ValueError(f"{one.label} has {what} {here}, {_short(first)} {there}; expected one in a series")
        if one.about["units"] != first.about["units"]:
            raise ValueError(
                f"{one.label} is in {one.about['units']}, {_short(first)} in {first.about['units']}; expected one unit"
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
            f"{slices[k].label} and {_short(slices[k + 1])} are at the same position; expected one image a slice"
        )
    # positions are often rounded to 0.1 mm
    uneven = np.flatnonzero(steps - step > max(0.05 * step, min(0.11, 0.4 * step)))
    if uneven.size:
        where = ", ".join(
            f"{round(steps[k] / step) - 1} between {_short(slices[k])} ({along[k]:g} mm) and "
            f"{_short(slices[k + 1])} ({along[k + 1]:g} mm)"
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
        raise ValueError(f"{slices[k].label} is shifted by {off[k]:g} mm in its plane; expected slices in a row")
    return slices, (float(along[-1] - along[0]) / (len(slices) - 1), *pixels)


def _short(one: Slice) -> str:
    return one.path.name if one.frames == 1 else f"frame {one.frame + 1} of {one.path.name}"


def read_values(slices: list[Slice], name: str) -> Iterator[np.ndarray]:
    """The pixels of slices of one file in physical values, float32."""
    one = slices[0]
    with opened(one.path, "DICOM image", name) as content:
        if not {"PixelData", "FloatPixelData", "DoubleFloatPixelData"} & set(content.dir("PixelData")):
            raise ValueError("it has no pixel data")
        syntax = content.file_meta.TransferSyntaxUID
        try:
            stored = content.pixel_array
        except Exception as err:
            if syntax.is_compressed and not syntax.is_deflated:
                more = "" if find_spec("gdcm") else "; pip install 'ipbox[io]' brings more decoders"
                raise Unusable(
                    f"{one.path} is compressed ({syntax.name}), which no installed decoder could read "
                    f"({one_line(err)}){more}"
                ) from err
            raise
        if stored.shape != ((one.frames,) if one.frames > 1 else ()) + (one.rows, one.columns):
            raise ValueError(f"its pixels have shape {stored.shape}")
        for of in slices:
            values = stored[of.frame] if one.frames > 1 else stored
            slope, intercept = of.scale or (1.0, 0.0)
            yield (values * np.float64(slope) + np.float64(intercept)).astype(np.float32)
