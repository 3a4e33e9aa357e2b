"""LIDC-IDRI and fastMRI as they are downloaded, in small."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import ipbox as ip
from ipbox.io.hounsfield import hu_to_attenuation
from ipbox.io.raw import fastmri
from tests.io.writers import uid, write_dicom, write_hdf5, write_series

HU = np.random.default_rng(0).integers(-1000, 2000, size=(3, 4, 5)).astype(np.int16)
KSPACE = np.random.default_rng(1).standard_normal((3, 8, 12), "f4").view("c8")
NAMES = [f"LIDC-IDRI-{k:04d}" for k in (1, 2, 3, 12)]


@pytest.fixture
def lidc(tmp_path: Path) -> Path:
    """Four patients; each has a CT, the first a radiograph too, the last two CTs."""
    root = tmp_path / "LIDC-IDRI"
    for n, patient in enumerate(NAMES):
        folder = root / patient / uid(f"study {patient}") / uid(f"ct {patient}")
        write_series(folder, HU + n, series=f"ct {patient}", PatientID=patient)
        (folder / "069.xml").write_text("<LidcReadMessage/>")
    write_dicom(root / NAMES[0] / uid("other") / uid("dx") / "000.dcm", HU[0], series="dx", Modality="DX")
    write_series(root / NAMES[3] / uid("again") / uid("second"), HU - 7, series="second", PatientID=NAMES[3])
    (root / "LICENSE").write_text("terms")
    return tmp_path


def test_lidc_volumes(lidc: Path) -> None:
    for root in (lidc, lidc / "LIDC-IDRI", str(lidc)):
        assert ip.LidcIdri(root).patients == tuple(NAMES)
    data = ip.LidcIdri(lidc)
    assert [len(data.series(patient)) for patient in NAMES] == [1, 1, 1, 2]  # without the radiograph
    volume = data.volume(NAMES[1])
    assert np.array_equal(volume.array, HU + 1) and volume.about["patient"] == NAMES[1]
    assert {name for name, _ in data.volumes()} == set(NAMES) and len(list(data.volumes())) == 5
    assert [name for name, _ in data.volumes([NAMES[2]])] == [NAMES[2]]
    seconds = [data.volume(NAMES[3], k).array for k in range(2)]
    assert any(np.array_equal(s, HU - 7) for s in seconds) and any(np.array_equal(s, HU + 3) for s in seconds)


def test_lidc_slices(lidc: Path) -> None:
    data = ip.LidcIdri(lidc)
    hu = list(data.slices(NAMES[:1], unit="hu"))
    assert len(hu) == 3 and all(np.array_equal(u, HU[k]) for k, (_, u, _) in enumerate(hu))
    attenuation = list(data.slices(NAMES[:1]))
    assert attenuation[0][0] == NAMES[0] and attenuation[0][2] == 0.5
    for k, (_, u, _) in enumerate(attenuation):
        assert u.dtype == np.float32 and np.allclose(u, hu_to_attenuation(HU[k]), rtol=1e-6)


def test_lidc_reads_nothing_before_it_is_asked(lidc: Path) -> None:
    data = ip.LidcIdri(lidc)
    for path in (lidc / "LIDC-IDRI" / NAMES[1]).rglob("*.dcm"):
        path.write_bytes(b"")
    volumes = data.volumes()
    assert next(volumes)[0] == NAMES[0]
    with pytest.raises(ValueError, match="not a complete DICOM file"):
        next(volumes)


def test_lidc_refuses(lidc: Path, tmp_path: Path) -> None:
    data = ip.LidcIdri(lidc)
    with pytest.raises(ValueError, match="patient is 'LIDC-IDRI-0009'; expected one of the 4"):
        data.volume("LIDC-IDRI-0009")
    with pytest.raises(ValueError, match="series is not given; LIDC-IDRI-0012 has 2, expected a number from 0"):
        data.volume(NAMES[3])
    with pytest.raises(ValueError, match="series is 2; LIDC-IDRI-0012 has series 0 to 1"):
        data.volume(NAMES[3], 2)
    with pytest.raises(ValueError, match="unit is 'mm'; expected one of 'attenuation', 'hu'"):
        data.slices(unit="mm")
    files = sorted((lidc / "LIDC-IDRI" / NAMES[2]).rglob("*.dcm"))
    write_dicom(files[2], HU[2], (-60, -50, 17.5))
    with pytest.raises(ValueError, match="series is not given; root holds 2"):  # another one among the files
        data.volume(NAMES[2])
    for path in (lidc / "LIDC-IDRI" / NAMES[0] / uid(f"study {NAMES[0]}")).rglob("*.dcm"):
        path.unlink()
    with pytest.raises(ValueError, match="patient is 'LIDC-IDRI-0001', who has no CT series"):
        data.volume(NAMES[0])
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="has no folder LIDC-IDRI-...; expected those of the patients"):
        ip.LidcIdri(tmp_path / "empty")
    with pytest.raises(ValueError, match="LICENSE, a file; expected a folder"):
        ip.LidcIdri(lidc / "LIDC-IDRI" / "LICENSE")


def test_lidc_split(lidc: Path) -> None:
    parts = ip.LidcIdri(lidc).split({"train": 0.5, "test": 0.5}, seed=3)
    assert sorted(parts["train"] + parts["test"]) == NAMES and len(parts["test"]) == 2
    assert parts == ip.split_by_patient(NAMES, {"train": 0.5, "test": 0.5}, seed=3)


# ---------------------------------------------------------------- fastMRI


@pytest.fixture
def single(tmp_path: Path) -> Path:
    """Three training files of two patients, a validation and a test file; k-space (slices, ny, nx)."""
    for name, patient, slices, part in (
        ("file1", "a", 3, "train"),
        ("file2", "b", 2, "train"),
        ("file3", "a", 1, "train"),
        ("file4", "c", 2, "val"),
        ("file5", "d", 2, "test"),
    ):
        more = {"mask": np.arange(6) % 2} if part == "test" else {"reconstruction_esc": np.ones((slices, 4, 4), "f4")}
        kspace = int(name[-1]) * KSPACE[:slices]
        path = tmp_path / f"singlecoil_{part}" / f"{name}.h5"
        write_hdf5(path, {"patient_id": patient, "acquisition": "CORPD_FBK"}, kspace=kspace, **more)
    return tmp_path


def test_fastmri_slices(single: Path) -> None:
    data = ip.FastMRI(single, "singlecoil")
    assert data.parts == ("train", "val", "test")
    assert [path.name for path in data.files("train")] == ["file1.h5", "file2.h5", "file3.h5"]
    train = data.slices("train")
    assert len(train) == 6 and [(s.file.name, s.index) for s in train][2:4] == [("file1.h5", 2), ("file2.h5", 0)]
    one = train[4]
    assert np.array_equal(one.kspace, 2 * KSPACE[1]) and one.target.shape == (4, 4) and one.mask is None
    assert one.attributes["patient_id"] == "b" and one.attributes["acquisition"] == "CORPD_FBK"
    assert [s.index for s in train[2:5]] == [2, 0, 1] and np.array_equal(train[-1].kspace, 3 * KSPACE[0])
    test = data.slices("test")[0]
    assert test.target is None and test.mask.shape == (8, 6) and test.mask[0].tolist() == [False, True] * 3
    assert len(data.slices()) == 10
    with pytest.raises(IndexError):
        train[6]


def test_fastmri_patients(single: Path) -> None:
    data = ip.FastMRI(single, "singlecoil")
    assert {p: [f.name for f in files] for p, files in data.patients.items()} == {
        "a": ["file1.h5", "file3.h5"],
        "b": ["file2.h5"],
        "c": ["file4.h5"],
        "d": ["file5.h5"],
    }
    assert [s.file.name for s in data.slices(patients=["a"])] == 3 * ["file1.h5"] + ["file3.h5"]
    assert len(data.slices("val", ["a"])) == 0
    parts = data.split({"train": 0.5, "test": 0.5})
    used = [{s.file for s in data.slices(patients=of)} for of in parts.values()]
    assert not used[0] & used[1] and len(used[0] | used[1]) == 5


def test_fastmri_reads_only_what_is_indexed(single: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = []
    true = fastmri._finite
    monkeypatch.setattr(fastmri, "_finite", lambda values, *of: read.append(values.shape) or true(values, *of))
    slices = ip.FastMRI(single).slices("train")
    assert read == []
    slices[0]
    assert read == [(1, 8, 6), (1, 4, 4)]


def test_fastmri_multicoil_and_second_versions(tmp_path: Path) -> None:
    kspace = np.stack([KSPACE, 1j * KSPACE], axis=1)
    write_hdf5(tmp_path / "multicoil_test_v2" / "a.h5", {"patient_id": "a"}, kspace=kspace, mask=np.ones(6))
    data = ip.FastMRI(tmp_path, "multicoil")
    assert data.parts == ("test",) and np.array_equal(data.slices("test")[1].kspace, kspace[1])


def test_fastmri_refuses(single: Path) -> None:
    with pytest.raises(ValueError, match="challenge is 'both'; expected one of 'singlecoil', 'multicoil'"):
        ip.FastMRI(single, "both")
    with pytest.raises(ValueError, match="has no folder multicoil_train with .h5 files"):
        ip.FastMRI(single, "multicoil")
    data = ip.FastMRI(single)
    with pytest.raises(ValueError, match="part is 'training'; .* has train, val, test for singlecoil"):
        data.slices("training")
    with pytest.raises(ValueError, match="patients names 'z'; expected some of the 4 patients"):
        data.slices(patients=["z"])
    write_hdf5(single / "singlecoil_train" / "file9.h5", kspace=KSPACE)
    with pytest.raises(ValueError, match="file9.h5 has no attribute patient_id; expected one, to keep patients apart"):
        ip.FastMRI(single).split()
    (single / "singlecoil_train" / "file9.h5").write_bytes(b"")
    with pytest.raises(ValueError, match="file9.h5, which is not a complete fastMRI file"):
        ip.FastMRI(single).slices("train")
