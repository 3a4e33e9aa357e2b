"""NIfTI without an orientation, NRRD of complex numbers, of time and with axes that are not of space."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import nibabel
import nrrd
import numpy as np
import pytest

import ipbox as ip

VOLUME = np.arange(60, dtype="int16").reshape(3, 4, 5)  # (slices, rows, columns)
NAN = [np.nan] * 3


def refused(path: Path, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        ip.read_image(path)
    assert "\n" not in str(caught.value)


# ---------------------------------------------------------------- NIfTI


@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_nifti_without_orientation(tmp_path: Path, kind: type, name: str) -> None:
    """As stored; nibabel 5.4 makes up an affine that counts to the right."""
    image = kind(VOLUME.T, None)
    image.header.set_zooms((2.0, 3.0, 5.0))
    image.header.set_xyzt_units("mm")
    image.to_filename(tmp_path / name)
    u, spacing = ip.read_image(tmp_path / name)
    assert np.array_equal(u, VOLUME) and u.dtype == np.int16 and spacing == (5.0, 3.0, 2.0)


def test_nifti_of_time_without_orientation(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(np.stack([VOLUME.T, -VOLUME.T], axis=3), None)
    image.header.set_zooms((2.0, 3.0, 5.0, 0.1))
    image.header.set_xyzt_units("meter", "sec")
    image.to_filename(tmp_path / "a.nii")
    u, spacing = ip.read_image(tmp_path / "a.nii")
    assert np.array_equal(u, [VOLUME, -VOLUME]) and spacing == (5000.0, 3000.0, 2000.0)


def test_nifti_whose_data_are_elsewhere(tmp_path: Path) -> None:
    nibabel.Nifti1Pair(VOLUME.T, np.eye(4)).to_filename(tmp_path / "a.img")
    (tmp_path / "a.hdr").rename(tmp_path / "a.nii")
    refused(tmp_path / "a.nii", r"a\.nii keeps its data in another file; expected a \.nii file that holds its own")


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32"])
def test_simpleitk_reads_nifti_as_we_do(tmp_path: Path, dtype: str) -> None:
    itk = pytest.importorskip("SimpleITK")
    image = nibabel.Nifti1Image(VOLUME.T.astype(dtype), np.diag([-2.0, -3.0, 5.0, 1.0]))
    image.header.set_slope_inter(0.5, 3.0)
    image.to_filename(tmp_path / "a.nii.gz")
    theirs = itk.ReadImage(str(tmp_path / "a.nii.gz"))
    u, spacing = ip.read_image(tmp_path / "a.nii.gz")
    assert np.array_equal(u, itk.GetArrayFromImage(theirs)) and spacing == theirs.GetSpacing()[::-1]


# ---------------------------------------------------------------- NRRD


@pytest.mark.parametrize("encoding", ["raw", "gzip", "bzip2", "ascii"])
@pytest.mark.parametrize(("dtype", "expected"), [("float32", "c8"), ("float64", "c16"), ("int16", "c8"), (">f4", "c8")])
@pytest.mark.parametrize("place", [0, 1, 2, 3])
def test_complex_nrrd(tmp_path: Path, encoding: str, dtype: str, expected: str, place: int) -> None:
    """The axis of the two parts may be any, though it is the fastest as a rule."""
    pairs = np.stack([VOLUME, 60 - VOLUME], axis=3 - place).astype(dtype)
    kinds, directions = ["domain"] * 3, [*np.diag([2.0, 3.0, 5.0])]
    kinds.insert(place, "complex")
    directions.insert(place, np.array(NAN))
    header = {"space": "LPS", "space directions": np.array(directions), "kinds": kinds, "encoding": encoding}
    nrrd.write(str(tmp_path / "a.nrrd"), pairs, header, index_order="C")
    u, spacing = ip.read_image(tmp_path / "a.nrrd")
    assert u.dtype == expected and np.array_equal(u, VOLUME + 1j * (60 - VOLUME)) and spacing == (5.0, 3.0, 2.0)
    with pytest.raises(TypeError, match="has dtype complex.*; expected real numbers for dtype=float32"):
        ip.read_image(tmp_path / "a.nrrd", dtype="float32")


def test_complex_nrrd_without_space(tmp_path: Path) -> None:
    pairs = np.stack([VOLUME[0], -VOLUME[0]], axis=2).astype("float32")
    for spacings, expected in (([np.nan, 2.0, 3.0], (3.0, 2.0)), (None, None)):
        header = {"kinds": ["complex", "domain", "domain"]} | ({"spacings": spacings} if spacings else {})
        nrrd.write(str(tmp_path / "a.nrrd"), pairs, header, index_order="C")
        u, spacing = ip.read_image(tmp_path / "a.nrrd")
        assert np.array_equal(u, VOLUME[0] * (1 - 1j)) and spacing == expected


def test_complex_nrrd_of_three_parts(tmp_path: Path) -> None:
    header = {"kinds": ["complex", "domain", "domain"]}
    nrrd.write(str(tmp_path / "a.nrrd"), np.zeros((5, 4, 3), "float32"), header, index_order="C")
    refused(tmp_path / "a.nrrd", r"its header has kinds \['complex', 'domain', 'domain'\] and sizes \[3, 4, 5\]")


@pytest.mark.parametrize("place", [0, 1, 2, 3])
def test_spacings_belong_to_their_axes(tmp_path: Path, place: int) -> None:
    """An axis of colours has no spacing: it comes first, and the last axes are those that the spacing is of."""
    spacings = [2.0, 3.0, 5.0]
    spacings.insert(place, np.nan)
    header = {"spacings": spacings}
    nrrd.write(str(tmp_path / "a.nrrd"), np.stack([VOLUME, -VOLUME], axis=3 - place), header, index_order="C")
    u, spacing = ip.read_image(tmp_path / "a.nrrd")
    assert np.array_equal(u, [VOLUME, -VOLUME]) and spacing == (5.0, 3.0, 2.0)


@pytest.mark.parametrize("space", ["left-posterior-superior-time", "LPST", "right-anterior-superior-time", "RAST"])
@pytest.mark.parametrize("order", list(permutations(range(3)))[:3])
def test_nrrd_of_time(tmp_path: Path, space: str, order: tuple[int, ...]) -> None:
    """Directions of four components, the last one of time."""
    turned = space[0].lower() == "r"
    stored = VOLUME[:, ::-1, ::-1] if turned else VOLUME
    steps = np.diag([5.0, 3.0, 2.0])[:, ::-1]  # (slices, rows, columns) by (x, y, z)
    directions = np.array([[0, 0, 0, 0.1], *([*steps[k], 0.0] for k in order)])[::-1]
    header = {"space": space, "space directions": directions}
    series = np.stack([stored.transpose(order), -stored.transpose(order)])
    nrrd.write(str(tmp_path / "a.nrrd"), series, header, index_order="C")
    u, spacing = ip.read_image(tmp_path / "a.nrrd")
    assert np.array_equal(u, [VOLUME, -VOLUME]) and spacing == (5.0, 3.0, 2.0)
