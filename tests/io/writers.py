"""Small files in the formats that the readers read: DICOM slices, fastMRI and ISMRMRD k-space."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, EnhancedMRImageStorage, ExplicitVRLittleEndian, generate_uid


def uid(text: str) -> str:
    """A UID that is the same for the same text."""
    return generate_uid(entropy_srcs=[text])


def write_dicom(
    path: Path,
    stored: np.ndarray,
    position: Sequence[float] = (0.0, 0.0, 0.0),
    series: str = "series",
    rescale: tuple[float, float] | None = (1.0, -1024.0),
    **tags: Any,
) -> Path:
    """One slice of int16 values; ``tags`` are set last, None deletes."""
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = CTImageStorage
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = uid(f"{series} {tuple(position)}")
    data.PatientID, data.Modality = "P1", "CT"
    data.StudyInstanceUID, data.SeriesInstanceUID = uid("study"), uid(series)
    data.SeriesDescription = series
    data.ImagePositionPatient = [float(p) for p in position]
    data.ImageOrientationPatient = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    data.PixelSpacing = [0.5, 0.75]
    data.Rows, data.Columns = stored.shape
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated = data.BitsStored = 16
    data.HighBit, data.PixelRepresentation = 15, 1
    data.PixelData = np.ascontiguousarray(stored, dtype="<i2").tobytes()
    if rescale is not None:
        data.RescaleSlope, data.RescaleIntercept = rescale
    for key, value in tags.items():
        if value is None:
            delattr(data, key)
        else:
            setattr(data, key, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    data.save_as(path, enforce_file_format=True)
    return path


def write_series(
    folder: Path, hu: np.ndarray, step: float = 2.5, names: Sequence[int] | None = None, **tags: Any
) -> list[Path]:
    """A CT series of axial slices from the feet up; file k is called by ``names[k]``, so that names tell no order."""
    names = range(len(hu)) if names is None else names
    return [
        write_dicom(folder / f"{n:03d}.dcm", hu[k] + 1024, (-60.0, -50.0, 10.0 + step * k), **tags)
        for k, n in enumerate(names)
    ]


def write_hdf5(path: Path, attributes: dict[str, Any] | None = None, **datasets: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for name, values in datasets.items():
            file[name] = values
        file.attrs.update(attributes or {})
    return path


def header(
    matrix: tuple[int, int] = (8, 6),
    trajectory: str = "cartesian",
    limits: tuple[int, int, int] | None = None,
    matrix_z: int = 1,
    recon: tuple[int, int] | None = None,
    encodings: int = 1,
) -> str:
    """An ISMRMRD header; ``limits`` are the first, the middle and the last line."""

    def space(name: str, shape: tuple[int, int]) -> str:
        size = f"<x>{shape[1]}</x><y>{shape[0]}</y><z>{matrix_z}</z>"
        lengths = f"<x>{2 * shape[1]}</x><y>{3 * shape[0]}</y><z>5</z>"
        return f"<{name}><matrixSize>{size}</matrixSize><fieldOfView_mm>{lengths}</fieldOfView_mm></{name}>"

    first, middle, last = limits or (0, matrix[0] // 2, matrix[0] - 1)
    step = f"<minimum>{first}</minimum><maximum>{last}</maximum><center>{middle}</center>"
    encoding = (
        f"<encoding><trajectory>{trajectory}</trajectory>{space('encodedSpace', matrix)}"
        f"{space('reconSpace', recon or matrix)}<encodingLimits><kspace_encoding_step_1>{step}"
        "</kspace_encoding_step_1></encodingLimits></encoding>"
    )
    return (
        '<?xml version="1.0"?><ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD">'
        f"{encodings * encoding}</ismrmrdHeader>"
    )


_IDX = [(n, "u2") for n in ("kspace_encode_step_1", "kspace_encode_step_2", "average", "slice", "contrast")]
_IDX += [(n, "u2") for n in ("phase", "repetition", "set", "segment")] + [("user", "u2", 8)]
_HEAD = [("version", "u2"), ("flags", "u8"), ("measurement_uid", "u4"), ("scan_counter", "u4")]
_HEAD += [("acquisition_time_stamp", "u4"), ("physiology_time_stamp", "u4", 3)]
_HEAD += [(n, "u2") for n in ("number_of_samples", "available_channels", "active_channels")]
_HEAD += [("channel_mask", "u8", 16)]
_HEAD += [(n, "u2") for n in ("discard_pre", "discard_post", "center_sample", "encoding_space_ref")]
_HEAD += [("trajectory_dimensions", "u2"), ("sample_time_us", "f4")]
_HEAD += [(n, "f4", 3) for n in ("position", "read_dir", "phase_dir", "slice_dir", "patient_table_position")]
_HEAD += [("idx", _IDX), ("user_int", "i4", 8), ("user_float", "f4", 8)]


def acquisition(line: np.ndarray, **fields: int) -> tuple[dict[str, int], np.ndarray]:
    """A line (coils, samples) of k-space and what its header says beside the defaults."""
    return fields, np.asarray(line, dtype=np.complex64)


def write_ismrmrd(path: Path, xml: str, acquisitions: Sequence[tuple[dict[str, int], np.ndarray]]) -> Path:
    table = np.zeros(
        len(acquisitions), dtype=[("head", _HEAD), ("traj", h5py.vlen_dtype("f4")), ("data", h5py.vlen_dtype("f4"))]
    )
    counters = [name for name, *_ in _IDX]
    for row, (fields, line) in zip(table, acquisitions, strict=True):
        coils, samples = line.shape
        row["head"]["version"] = 1
        row["head"]["number_of_samples"] = samples
        row["head"]["active_channels"] = row["head"]["available_channels"] = coils
        row["head"]["center_sample"] = samples // 2
        for name, value in fields.items():
            (row["head"]["idx"] if name in counters else row["head"])[name] = value
        row["traj"] = np.zeros(0, dtype="f4")
        row["data"] = line.ravel().view("f4")
    with h5py.File(path, "w") as file:
        file.create_dataset("dataset/xml", data=[xml], dtype=h5py.string_dtype())
        file["dataset/data"] = table
    return path


def macro(**groups: dict[str, Any] | None) -> Dataset:
    """Functional groups: ``PixelMeasures={"PixelSpacing": [1, 1]}`` and so on, each a sequence of one item."""
    out = Dataset()
    for name, values in groups.items():
        if values is not None:
            item = Dataset()
            for key, value in values.items():
                setattr(item, key, value)
            setattr(out, f"{name}Sequence", [item])
    return out


def write_enhanced(
    path: Path, stored: np.ndarray, shared: Dataset, frames: Sequence[Dataset], syntax: str | None = None, **tags: Any
) -> Path:
    """An enhanced MR image of uint16 frames, what belongs to them in functional groups, as PS3.3 A.36 has it."""
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = syntax or ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = EnhancedMRImageStorage
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = uid(f"enhanced {path}")
    data.PatientID, data.Modality = "P1", "MR"
    data.StudyInstanceUID, data.SeriesInstanceUID = uid("study"), uid("enhanced")
    data.NumberOfFrames, data.Rows, data.Columns = stored.shape
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated = data.BitsStored = 16
    data.HighBit, data.PixelRepresentation = 15, 0
    data.SharedFunctionalGroupsSequence, data.PerFrameFunctionalGroupsSequence = [shared], list(frames)
    data.PixelData = np.ascontiguousarray(stored, dtype="<u2").tobytes()
    for key, value in tags.items():
        setattr(data, key, value)
    data.save_as(path, enforce_file_format=True)
    return path
