"""What users of other packages reported in public about files and metrics, and what we give there."""

from __future__ import annotations

from pathlib import Path

import h5py
import nibabel
import nrrd
import numpy as np
import pytest
from scipy.io import savemat

import ipbox as ip
from ipbox.io.arrays import read_array
from ipbox.io.formats.dicom import read_dicom_series
from tests.io.writers import macro, write_dicom, write_enhanced

VOLUME = np.arange(60, dtype="uint16").reshape(3, 4, 5)
AXIAL = {"ImageOrientationPatient": [1.0, 0, 0, 0, 1.0, 0]}


@pytest.mark.parametrize("thickness", [0.5, 2.5, 5.0])
def test_slices_lie_where_their_positions_say(tmp_path: Path, thickness: float) -> None:
    """niivue/niivue #688, vtk-dicom #164: not as far apart as they are thick."""
    for k, image in enumerate(VOLUME):
        write_dicom(tmp_path / f"{k}.dcm", image, (0, 0, 2.5 * k), rescale=(1, 0), SliceThickness=thickness)
    assert read_dicom_series(tmp_path).spacing == (2.5, 0.5, 0.75)


def test_instance_numbers_do_not_count(tmp_path: Path) -> None:
    """imageio/imageio #349, ivmartel/dwv #560: nor do the names of the files (Slicer/Slicer #7730)."""
    for k, image in enumerate(VOLUME):
        write_dicom(tmp_path / f"{9 - k}", image, (0, 0, 2.5 * k), rescale=(1, 0), InstanceNumber=(2, 9, 1)[k])
    assert np.array_equal(read_dicom_series(tmp_path).array, VOLUME)


@pytest.mark.parametrize("between", [None, 1.0, 7.0])
def test_spacing_of_frames(tmp_path: Path, between: float | None) -> None:
    """Slicer/Slicer #6773, dicom2nifti #48, dwv #1995: from positions, whatever else is said or is not."""
    measures = {"PixelSpacing": [0.5, 0.7]} | ({"SpacingBetweenSlices": between} if between else {})
    frames = [macro(PlanePosition={"ImagePositionPatient": [0.0, 0.0, 2.5 * k]}) for k in range(3)]
    shared = macro(PixelMeasures=measures, PlaneOrientation=AXIAL)
    u, spacing = ip.read_image(write_enhanced(tmp_path / "a.dcm", VOLUME, shared, frames))
    assert np.array_equal(u, VOLUME) and spacing == (2.5, 0.5, 0.7)


def test_times_at_one_place_are_not_mixed(tmp_path: Path) -> None:
    """imageio/imageio #349: a gated series has several images at each position."""
    for k, image in enumerate(VOLUME[[0, 1, 0, 1]]):
        write_dicom(tmp_path / f"{k}.dcm", image, (0, 0, 2.5 * (k % 2)), rescale=(1, 0), TriggerTime=k // 2)
    with pytest.raises(ValueError, match="are at the same position; expected one image a slice"):
        read_dicom_series(tmp_path)


def test_matlab_doubles_and_complex_doubles(tmp_path: Path) -> None:
    """scipy/scipy #4422, #7298 (doubles come as uint8), #17641 (mat_dtype=True drops imaginary parts)."""
    from tests.io.test_mat import variable, write5

    image = np.array([[1, 250], [3, 4]])
    for array, dtype in ((image, "float64"), (image + 2j, "complex128")):
        u = read_array(write5(tmp_path / "a.mat", variable("b", array, "double", "u1", packed=True)))
        assert u.dtype == dtype and np.array_equal(u, array)
    savemat(tmp_path / "b.mat", {"b": image.astype("float64")})
    assert read_array(tmp_path / "b.mat").dtype == np.float64


@pytest.mark.parametrize("steps", [np.diag([2.0, 3.0, 5.0]), np.roll(np.diag([2.0, 3.0, 5.0]), 1, axis=0)])
def test_directions_are_rows_of_the_header(tmp_path: Path, steps: np.ndarray) -> None:
    """pynrrd #148, MONAI #8091, three.js #21962: a matrix of them is not that of the affine, but its transpose."""
    header = {"space": "left-posterior-superior", "space directions": steps, "kinds": ["domain"] * 3}
    order = [int(np.flatnonzero(step)[0]) for step in steps[::-1]]  # of x, y, z along the axes that are stored
    stored = VOLUME.transpose([2 - k for k in order])
    nrrd.write(str(tmp_path / "a.nrrd"), stored, header, index_order="C")
    u, spacing = ip.read_image(tmp_path / "a.nrrd")
    assert np.array_equal(u, VOLUME) and spacing == (5.0, 3.0, 2.0)


def test_a_code_without_a_matrix(tmp_path: Path) -> None:
    """dcm2niix #186: an sform that is bogus although its code says that it counts."""
    image = nibabel.Nifti1Image(VOLUME.T, np.diag([-2.0, -3.0, 5.0, 1.0]))
    image.set_qform(np.diag([-2.0, -3.0, 5.0, 1.0]), 1)
    content = bytearray(image.to_bytes())
    for bogus in (bytes(48), np.full(12, np.nan, "f4").tobytes()):
        content[280:328] = bogus
        (tmp_path / "a.nii").write_bytes(content)
        u, spacing = ip.read_image(tmp_path / "a.nii")
        assert np.array_equal(u, VOLUME) and spacing == (5.0, 3.0, 2.0)


def test_virtual_data_of_a_file_that_was_renamed(tmp_path: Path) -> None:
    """h5py #1546, versioned-hdf5 #28, HDFGroup/hdf5 #5088: HDF5 gives zeros."""
    with h5py.File(tmp_path / "new.h5", "w") as file:
        file["b"] = VOLUME
        layout = h5py.VirtualLayout(VOLUME.shape, VOLUME.dtype)
        layout[:] = h5py.VirtualSource("old.h5", "b", shape=VOLUME.shape)
        file.create_virtual_dataset("v", layout)
    with h5py.File(tmp_path / "new.h5") as file:
        assert not file["v"][()].any()
    with pytest.raises(ValueError, match=r"/v of .*new\.h5 has its data in .*old\.h5; there is no such file"):
        read_array(tmp_path / "new.h5", "v")
    (tmp_path / "old.h5").write_bytes(b"no HDF5")
    with pytest.raises(ValueError, match=r"new\.h5, which is not a complete HDF5 file"):
        read_array(tmp_path / "new.h5", "v")


def test_virtual_data_of_the_file_itself(tmp_path: Path) -> None:
    """silx #4069: ``./name`` beside ``.``, which means the same."""
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["b"] = VOLUME
        for name, source in (("dot", "."), ("path", "./a.h5")):
            layout = h5py.VirtualLayout(VOLUME.shape, VOLUME.dtype)
            layout[:] = h5py.VirtualSource(source, "b", shape=VOLUME.shape)
            file.create_virtual_dataset(name, layout)
    for name in ("dot", "path"):
        assert np.array_equal(read_array(tmp_path / "a.h5", name), VOLUME)


def test_metrics_do_not_depend_on_the_dtype(rng: np.random.Generator) -> None:
    """torchmetrics #2787, mmagic #288 (uint8 wraps), scikit-image #3942 (a stack, another value a dtype)."""
    x, truth = rng.integers(0, 256, (2, 9, 20, 30)).astype("uint8")
    values = {
        tuple(round(f(x.astype(dtype), truth.astype(dtype), 255), 9) for f in (ip.psnr, ip.ssim))
        for dtype in ("uint8", "uint16", "int16", "int64", "float64")
    }
    assert len(values) == 1
    each = np.mean([ip.ssim(u, v, 255) for u, v in zip(x, truth, strict=True)])
    assert abs(values.pop()[1] - each) < 1e-8
