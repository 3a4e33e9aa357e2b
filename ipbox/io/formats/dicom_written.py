"""A DICOM file of one frame or many, which viewers show: 16-bit values with a scale, spacing and positions."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import IO, Any

import numpy as np

from ipbox.io.checks import io_extra


def write_dicom(file: IO[bytes], x: np.ndarray, spacing: tuple[float, ...] | None, unit: str) -> None:
    """A multi-frame grayscale word secondary capture: (rows, columns), or (slices, rows, columns) to the head.

    References
    ----------
    DICOM PS3.3, A.8.4 (the object), C.8.6.3 (its module), C.7.6.16 (functional groups).
    """
    with io_extra("writing DICOM files"):
        from pydicom.dataset import Dataset
        from pydicom.uid import MultiFrameGrayscaleWordSecondaryCaptureImageStorage
    frames = x if x.ndim == 3 else x[None]
    stored, slope, intercept = _quantised(frames)
    data = _described(stored[0], (slope, intercept, unit), MultiFrameGrayscaleWordSecondaryCaptureImageStorage)
    data.NumberOfFrames = len(frames)
    if spacing is not None:
        _place(data, frames.shape, spacing, Dataset)
    data.PixelData = stored.astype("<u2").tobytes()
    data.save_as(file, enforce_file_format=True)


def write_series(folder: Path, x: np.ndarray, spacing: tuple[float, float, float], unit: str) -> None:
    """A secondary capture for each slice, 0001.dcm the one nearest to the feet, with its position; one scale for all.

    References
    ----------
    DICOM PS3.3, A.8.1 (the object), C.7.6.2 (image plane).
    """
    with io_extra("writing DICOM files"):
        from pydicom.uid import SecondaryCaptureImageStorage, generate_uid
        from pydicom.valuerep import format_number_as_ds
    stored, slope, intercept = _quantised(x)
    shared = {"StudyInstanceUID": generate_uid(None), "SeriesInstanceUID": generate_uid(None)}
    shared["FrameOfReferenceUID"] = generate_uid(None)
    first = [-(n - 1) / 2 * h for n, h in zip(x.shape, spacing, strict=True)]
    for k, slice in enumerate(stored):
        data = _described(slice, (slope, intercept, unit), SecondaryCaptureImageStorage)
        for name, value in shared.items():
            setattr(data, name, value)
        data.InstanceNumber = k + 1
        position = (first[2], first[1], first[0] + k * spacing[0])
        data.ImagePositionPatient = [format_number_as_ds(float(p)) for p in position]
        data.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
        data.PixelSpacing = [format_number_as_ds(float(h)) for h in spacing[1:]]
        data.SliceThickness = data.SpacingBetweenSlices = format_number_as_ds(float(spacing[0]))
        data.PixelData = slice.astype("<u2").tobytes()
        data.save_as(folder / f"{k + 1:04d}.dcm", enforce_file_format=True)


def _described(frame: np.ndarray, scale: tuple[str, str, str], kind: Any) -> Any:
    """A data set of frames like this one, without their numbers."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    slope, intercept, unit = scale
    now = datetime.datetime.now()
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.SOPClassUID = kind
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = generate_uid(None)
    data.StudyInstanceUID, data.SeriesInstanceUID = generate_uid(None), generate_uid(None)
    data.PatientName = data.PatientID = data.PatientBirthDate = data.PatientSex = ""
    data.StudyID = data.AccessionNumber = data.ReferringPhysicianName = data.PatientOrientation = ""
    data.StudyDate = data.ContentDate = now.strftime("%Y%m%d")
    data.StudyTime = data.ContentTime = now.strftime("%H%M%S")
    data.Manufacturer, data.Modality, data.ConversionType = "ipbox", "OT", "WSD"
    data.SeriesNumber = data.InstanceNumber = 1
    data.BurnedInAnnotation = "NO"
    data.SamplesPerPixel, data.PhotometricInterpretation, data.PresentationLUTShape = 1, "MONOCHROME2", "IDENTITY"
    data.Rows, data.Columns = frame.shape
    data.BitsAllocated = data.BitsStored = 16
    data.HighBit, data.PixelRepresentation = 15, 0
    data.RescaleSlope, data.RescaleIntercept, data.RescaleType = slope, intercept, unit or "US"
    return data


def _quantised(x: np.ndarray) -> tuple[np.ndarray, str, str]:
    """Stored values, and the slope and intercept that lead back, as DICOM's decimal strings of 16 characters.

    Whole numbers that 16 bits hold are kept; others are rounded to steps of (max - min)/65535.
    """
    from pydicom.valuerep import format_number_as_ds

    low, high = x.min(), x.max()
    span = int(high) - int(low) if x.dtype.kind in "iu" else float(high) - float(low)
    if x.dtype.kind in "iu" and span <= 65535:
        return (x.astype(np.int64) - int(low)).astype(np.uint16), "1", str(int(low))
    slope = format_number_as_ds(span / 65535 or 1.0)
    intercept = format_number_as_ds(float(low))
    steps = np.rint((x.astype(np.float64) - float(intercept)) / float(slope))
    return np.clip(steps, 0, 65535).astype(np.uint16), slope, intercept


def _place(data: Any, shape: tuple[int, ...], spacing: tuple[float, ...], item: type) -> None:
    """Spacing, orientation and the position of each frame, the volume's centre at the origin."""
    from pydicom.valuerep import format_number_as_ds

    def numbers(*values: float) -> list[str]:
        return [format_number_as_ds(float(value)) for value in values]

    def within(**attributes: Any) -> Any:
        group = item()
        for name, value in attributes.items():
            setattr(group, name, value)
        return group

    steps = (spacing[0] if len(spacing) == 3 else 1.0, *spacing[-2:])
    first = [-(n - 1) / 2 * h for n, h in zip(shape, steps, strict=True)]
    measures = within(PixelSpacing=numbers(*spacing[-2:]))
    if len(spacing) == 3:
        measures.SliceThickness = measures.SpacingBetweenSlices = numbers(spacing[0])[0]
    data.PixelSpacing = numbers(*spacing[-2:])
    scale = within(RescaleSlope=data.RescaleSlope, RescaleIntercept=data.RescaleIntercept, RescaleType=data.RescaleType)
    shared = within(
        PixelMeasuresSequence=[measures],
        PlaneOrientationSequence=[within(ImageOrientationPatient=numbers(1, 0, 0, 0, 1, 0))],
        PixelValueTransformationSequence=[scale],
    )
    data.SharedFunctionalGroupsSequence = [shared]
    positions = [numbers(first[2], first[1], first[0] + k * steps[0]) for k in range(shape[0])]
    data.PerFrameFunctionalGroupsSequence = [
        within(PlanePositionSequence=[within(ImagePositionPatient=position)]) for position in positions
    ]
