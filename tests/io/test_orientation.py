"""One asymmetric volume, its axes stored in every order and direction by the packages of others: values and spacing.

The writers are nibabel 5.4, pynrrd 1.1, pydicom 3.0, highdicom 0.28 and SimpleITK 2.5 (where it is installed).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import permutations, product
from pathlib import Path

import nibabel
import nrrd
import numpy as np
import pydicom
import pytest

import ipbox as ip
from tests.io.writers import macro, uid, write_dicom, write_enhanced

VOLUME = np.random.default_rng(3).permutation(60).reshape(3, 4, 5).astype("uint16")  # to the head, the back, the left
SPACING = (5.0, 3.0, 2.0)
TOWARDS = np.array([[0, 0, 1.0], [0, 1.0, 0], [1.0, 0, 0]])  # of the axes of VOLUME: components to the left, back, head
CORNER = np.array([-20.0, 30.0, 40.0])  # of its first voxel


@dataclass(frozen=True)
class Stored:
    """``VOLUME`` with its axes in another order and direction; ``steps`` has a row for each axis, in mm (L, P, S)."""

    order: tuple[int, ...]
    signs: tuple[int, ...]

    @property
    def array(self) -> np.ndarray:
        return np.ascontiguousarray(VOLUME.transpose(self.order)[tuple(slice(None, None, s) for s in self.signs)])

    @property
    def steps(self) -> np.ndarray:
        return np.array([s * SPACING[k] * TOWARDS[k] for k, s in zip(self.order, self.signs, strict=True)])

    @property
    def corner(self) -> np.ndarray:
        """Where the first voxel that is stored lies."""
        back = [(n - 1) * step for n, step, s in zip(self.array.shape, self.steps, self.signs, strict=True) if s < 0]
        return CORNER - sum(back, np.zeros(3))


ALL = [Stored(*case) for case in product(permutations(range(3)), product((1, -1), repeat=3))]


def affine(stored: Stored) -> np.ndarray:
    """NIfTI's: columns for the axes from the fastest, to the right, the front, the head."""
    flip = np.array([-1.0, -1.0, 1.0])
    rows = [*stored.steps[::-1] * flip, stored.corner * flip]
    return np.vstack([np.array(rows).T, [0, 0, 0, 1]])


def nifti(sform: int, qform: int, kind: type = nibabel.Nifti1Image) -> Callable[[Path, Stored], Path]:
    """With one of the two forms, or with both; the other one is empty."""

    def write(folder: Path, stored: Stored) -> Path:
        image = kind(stored.array.T, None)
        image.header.set_xyzt_units("mm")
        image.header.set_zooms([float(np.linalg.norm(step)) for step in stored.steps[::-1]])
        image.set_sform(affine(stored) if sform else None, sform)
        image.set_qform(affine(stored) if qform else None, qform)
        image.to_filename(folder / "a.nii.gz")
        return folder / "a.nii.gz"

    return write


def empty_sform(folder: Path, stored: Stored) -> Path:
    """A code of the one form without its numbers: the other one counts."""
    path = nifti(1, 1)(folder, stored)
    image = nibabel.load(path)
    content = bytearray(image.to_bytes())
    content[280:328] = bytes(48)
    (folder / "b.nii").write_bytes(content)
    return folder / "b.nii"


def nrrd_in(space: str, signs: tuple[int, ...]) -> Callable[[Path, Stored], Path]:
    def write(folder: Path, stored: Stored) -> Path:
        header = {"space": space, "space directions": stored.steps[::-1] * signs, "space origin": stored.corner * signs}
        nrrd.write(str(folder / "a.nrrd"), stored.array, header, index_order="C")
        return folder / "a.nrrd"

    return write


def nrrd_complex(folder: Path, stored: Stored) -> Path:
    """Real and imaginary parts along the fastest axis, as ITK writes them."""
    directions = np.vstack([np.full(3, np.nan), stored.steps[::-1]])
    header = {"space": "LPS", "space directions": directions, "kinds": ["complex", *["domain"] * 3]}
    pairs = np.stack([stored.array, -1.0 * stored.array], axis=-1).astype("float32")
    nrrd.write(str(folder / "a.nrrd"), pairs, header, index_order="C")
    return folder / "a.nrrd"


def itk(name: str, complex_values: bool = False) -> Callable[[Path, Stored], Path]:
    def write(folder: Path, stored: Stored) -> Path:
        itk = pytest.importorskip("SimpleITK")
        array = stored.array * (1 - 1j) if complex_values else stored.array
        image = itk.GetImageFromArray(array.astype("complex64") if complex_values else array)
        steps = stored.steps[::-1]
        lengths = np.linalg.norm(steps, axis=1)
        image.SetSpacing(lengths.tolist())
        image.SetDirection((steps / lengths[:, None]).T.ravel().tolist())
        image.SetOrigin(stored.corner.tolist())
        itk.WriteImage(image, str(folder / name), useCompression=True)
        return folder / name

    return write


def planes(stored: Stored) -> tuple[dict, dict, list[list[float]]]:
    """Of DICOM: the pixels' size, the direction of rows and columns, and where each slice begins."""
    _, down, along = stored.steps
    sizes = {"PixelSpacing": [float(np.linalg.norm(down)), float(np.linalg.norm(along))], "SliceThickness": 1.0}
    unit = [*along / np.linalg.norm(along), *down / np.linalg.norm(down)]
    begins = [(stored.corner + k * stored.steps[0]).tolist() for k in range(len(stored.array))]
    return sizes, {"ImageOrientationPatient": [float(c) for c in unit]}, begins


def enhanced(each: bool) -> Callable[[Path, Stored], Path]:
    """Frames out of order, values q = slope p + intercept with a slope for each; what all share in one place or not."""

    def write(folder: Path, stored: Stored) -> Path:
        sizes, direction, begins = planes(stored)
        order = np.random.default_rng(1).permutation(len(begins))
        frames = [
            macro(
                PlanePosition={"ImagePositionPatient": begins[k]},
                PixelMeasures=sizes if each else None,
                PlaneOrientation=direction if each else None,
                PixelValueTransformation={
                    "RescaleSlope": float(2.0 ** -(k + 1)),
                    "RescaleIntercept": -float(k),
                    "RescaleType": "US",
                },
            )
            for k in order
        ]
        shared = macro() if each else macro(PixelMeasures=sizes, PlaneOrientation=direction)
        pixels = np.stack([(stored.array[k].astype(int) + k) * 2 ** (k + 1) for k in order])
        return write_enhanced(folder / "a.dcm", pixels, shared, frames)

    return write


def converted(folder: Path, stored: Stored) -> Path:
    """A classic series that highdicom makes one enhanced file of."""
    legacy = pytest.importorskip("highdicom.legacy")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("logging.Logger.warning", lambda *of, **options: None)  # of attributes that tests leave out
        made = legacy.LegacyConvertedEnhancedCTImage(
            [pydicom.dcmread(path) for path in series(folder, stored)], uid("x"), 1, uid("y"), 1
        )
    made.save_as(folder / "a.dcm")
    return folder / "a.dcm"


def series(folder: Path, stored: Stored) -> list[Path]:
    sizes, direction, begins = planes(stored)
    return [
        write_dicom(folder / f"{7 * k % 11}.dcm", image, begin, rescale=(1.0, 0.0), **sizes, **direction)
        for k, (image, begin) in enumerate(zip(stored.array, begins, strict=True))
    ]


WRITERS = {
    "nibabel, both forms": nifti(1, 1),
    "nibabel, sform": nifti(2, 0),
    "nibabel, qform": nifti(0, 1),
    "nibabel, NIfTI-2": nifti(1, 0, nibabel.Nifti2Image),
    "an empty sform": empty_sform,
    "pynrrd, LPS": nrrd_in("left-posterior-superior", (1, 1, 1)),
    "pynrrd, RAS": nrrd_in("RAS", (-1, -1, 1)),
    "pynrrd, LAS": nrrd_in("left-anterior-superior", (1, -1, 1)),
    "pynrrd, complex": nrrd_complex,
    "SimpleITK, .nii": itk("a.nii"),
    "SimpleITK, .nii.gz": itk("a.nii.gz"),
    "SimpleITK, .nrrd": itk("a.nrrd"),
    "SimpleITK, complex .nrrd": itk("a.nrrd", True),
    "SimpleITK, complex .nii": itk("a.nii", True),
    "pydicom, groups shared": enhanced(False),
    "pydicom, groups of each frame": enhanced(True),
    "highdicom": converted,
}


@pytest.mark.parametrize("writer", WRITERS)
def test_every_order_and_direction(tmp_path: Path, writer: str) -> None:
    for stored in ALL:
        u, spacing = ip.read_image(WRITERS[writer](tmp_path, stored))
        expected = VOLUME * (1 - 1j) if "complex" in writer else VOLUME
        assert np.array_equal(u, expected), stored
        assert spacing == pytest.approx(SPACING), stored


def test_every_order_and_direction_of_a_dicom_series(tmp_path: Path) -> None:
    """Its slices come along their normal, in the planes in which they were taken, and are where they were."""
    for stored in ALL:
        volume = ip.read_dicom_series(series(tmp_path, stored))
        normal = np.cross(*np.array(volume.about["orientation"]).reshape(2, 3))
        forward = stored.steps[0] @ normal > 0
        assert np.array_equal(volume.array, stored.array if forward else stored.array[::-1])
        assert volume.spacing == pytest.approx(np.linalg.norm(stored.steps, axis=1))
        begins = np.array(planes(stored)[2])
        assert np.allclose(volume.positions, begins if forward else begins[::-1])
        one = write_enhanced_of(tmp_path / "enhanced.dcm", stored)
        again = ip.read_dicom_series([one])
        assert np.array_equal(again.array, volume.array) and again.spacing == pytest.approx(volume.spacing)
        assert np.allclose(again.positions, volume.positions)


def write_enhanced_of(path: Path, stored: Stored) -> Path:
    sizes, direction, begins = planes(stored)
    frames = [macro(PlanePosition={"ImagePositionPatient": begin}) for begin in begins]
    return write_enhanced(path, stored.array, macro(PixelMeasures=sizes, PlaneOrientation=direction), frames)


@pytest.mark.parametrize("order", range(6))
def test_simpleitk_reads_enhanced_files_as_we_do(tmp_path: Path, order: int) -> None:
    itk = pytest.importorskip("SimpleITK")
    stored = ALL[8 * order]
    image = itk.ReadImage(str(write_enhanced_of(tmp_path / "a.dcm", stored)))
    array, steps = itk.GetArrayFromImage(image), np.array(image.GetDirection()).reshape(3, 3).T[::-1]
    u, spacing = ip.read_image(tmp_path / "a.dcm")
    from ipbox.io.formats.orientation import axial

    theirs, lengths = axial(array, steps * np.array(image.GetSpacing())[::-1, None])
    assert np.array_equal(u, theirs) and spacing == pytest.approx(lengths)
