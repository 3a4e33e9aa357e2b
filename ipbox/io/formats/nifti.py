"""NIfTI files, .nii and .nii.gz, by nibabel: read to the last byte, scaled, turned to axial slices."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

from ipbox.io.checks import Unusable, check_claim, io_extra, read_exactly
from ipbox.io.formats.orientation import axial

_MM = {"meter": 1000.0, "mm": 1.0, "micron": 0.001, "unknown": 1.0}


def read_nifti(path: Path, dataset: str | None = None) -> tuple[np.ndarray, tuple[float, ...]]:
    """The array of a NIfTI-1 or NIfTI-2 file and its spacing in mm, as `read_image` returns them."""
    with io_extra("reading NIfTI files"):
        import nibabel
    if dataset is not None:
        raise Unusable(f"dataset is {dataset!r}; {path} holds one array without a name, expected none")
    damaged: tuple[type[Exception], ...] = (nibabel.spatialimages.HeaderDataError,)
    damaged += (nibabel.filebasedimages.ImageFileError, nibabel.wrapstruct.WrapStructError)
    kinds = {348: nibabel.Nifti1Image, 540: nibabel.Nifti2Image}
    opener = gzip.open if path.suffix.lower() == ".gz" else open
    try:
        with opener(path, "rb") as file:
            start = file.read(4)
            sizeof_hdr = {int.from_bytes(start, order) for order in ("little", "big")} & set(kinds)
            if len(start) < 4 or not sizeof_hdr:
                raise ValueError("it does not begin with a NIfTI header")
            kind = kinds[sizeof_hdr.pop()]
            file.seek(0)
            header = kind.header_class.from_fileobj(file)
            nbytes = _check(header, path)
            file.seek(0)
            content = read_exactly(cast(IO[bytes], file), int(header["vox_offset"]) + nbytes)
        image = kind.from_bytes(content)
        return _oriented(_values(image, header), image.affine, header)
    except damaged as err:
        raise ValueError(str(err)) from err


def _check(header: Any, path: Path) -> int:
    """Bytes of data, where there are as many as the header says."""
    if bytes(header["magic"])[:2] != b"n+":
        raise Unusable(f"{path} keeps its data in another file; expected a .nii file that holds its own")
    shape, dtype = header.get_data_shape(), header.get_data_dtype()
    if not 2 <= len(shape) <= 4 or min(shape) < 1:
        raise Unusable(f"{path} has shape {shape}; expected an image of 2, 3 or 4 axes")
    if dtype.kind not in "iufc":
        raise Unusable(f"{path} has colours ({dtype}); expected one number a pixel")
    nbytes = int(np.prod(shape, dtype=object)) * dtype.itemsize
    check_claim(int(header["vox_offset"]) + nbytes, path)
    return nbytes


def _values(image: Any, header: Any) -> np.ndarray:
    """Scaled where the file has a scale: in float32, if that holds all stored values, else in float64."""
    slope, inter = image.dataobj.slope, image.dataobj.inter
    stored = image.dataobj.get_unscaled()
    if (slope, inter) == (1.0, 0.0):
        return np.asarray(stored, dtype=stored.dtype.newbyteorder("="))
    small = np.can_cast(stored.dtype, np.float32) or np.can_cast(stored.dtype, np.complex64)
    kind = {True: (np.float32, np.complex64), False: (np.float64, np.complex128)}[small][stored.dtype.kind == "c"]
    return (stored * np.float64(slope) + inter).astype(kind)


def _oriented(array: np.ndarray, affine: np.ndarray, header: Any) -> tuple[np.ndarray, tuple[float, ...]]:
    scale = _MM[header.get_xyzt_units()[0]]
    codes = int(header["sform_code"]), int(header["qform_code"])
    if array.ndim == 2 or codes == (0, 0):  # as stored, from the slowest axis to the fastest
        return array.T, tuple(scale * float(h) for h in header.get_zooms()[:3][::-1])
    if codes[0] and codes[1] and not (np.isfinite(affine).all() and np.linalg.det(affine[:3, :3])):  # one left empty
        affine = header.get_qform()
    lps = affine[:3, :3].T * scale * np.array([-1.0, -1.0, 1.0])  # NIfTI counts to the right, to the front, to the head
    return axial(array.transpose(3, 0, 1, 2) if array.ndim == 4 else array, lps)


def write_nifti(file: IO[bytes], x: np.ndarray, spacing: tuple[float, ...] | None, unit: str, packed: bool) -> None:
    """NIfTI-1, axes from the fastest to the slowest; placed by its spacing in mm, the centre at the origin."""
    with io_extra("writing NIfTI files"):
        import nibabel

    affine = None
    if spacing is not None:
        steps = np.array([*spacing[::-1], *[1.0] * (3 - len(spacing))]) * [-1, -1, 1]  # NIfTI: right, front, head
        shape = np.array([*x.shape[::-1], 1])[:3]
        affine = np.diag([*steps, 1.0])
        affine[:3, 3] = -steps * (shape - 1) / 2
    image = nibabel.Nifti1Image(x.T, affine, dtype=x.dtype)
    if affine is not None:
        image.header.set_xyzt_units("mm")
        image.set_sform(affine, code="scanner")
        image.set_qform(affine, code="scanner")
    image.header["descrip"] = f"unit {unit}".encode() if unit else b""
    content = image.to_bytes()
    file.write(gzip.compress(content, mtime=0) if packed else content)
