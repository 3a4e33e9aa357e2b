"""The shipped data: found, checked, and mapped to attenuation."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest

from ipbox.problems.truths import datasets

DATA = Path(__file__).resolve().parents[3] / "data"
FILES = {file: sha for d in datasets.DATASETS.values() for file, sha in d.files.items()}


@pytest.mark.parametrize("file", FILES)
def test_each_file_is_small_and_described(file: str) -> None:
    content = (DATA / file).read_bytes()
    assert len(content) < 4 * 2**20
    assert hashlib.sha256(content).hexdigest() == FILES[file]
    assert f"| `{file}` | `{FILES[file]}` |" in (DATA / "README.md").read_text()


def test_every_file_of_the_folder_is_registered() -> None:
    assert {p.name for p in DATA.glob("*.npz")} == set(FILES)


@pytest.mark.parametrize(
    "name, key, shape, dtype",
    [
        ("ct_lung1", "hu", (48, 256, 256), np.int16),
        ("ct_lung2", "hu", (61, 256, 256), np.int16),
        ("ct_lung2_full", "hu", (5, 512, 512), np.int16),
        ("mr_brain", "brain1", (25, 256, 256), np.int16),
        ("mr_brain", "brain2", (23, 256, 256), np.int16),
        ("foe_48", "theta", (2497,), np.float64),
        ("mni", "t1", (15, 233, 197), np.uint8),
        ("mni", "gm", (15, 233, 197), np.uint8),
        ("mni", "wm", (15, 233, 197), np.uint8),
        ("tomo_haadf", "projections", (11, 77, 256), np.float32),
    ],
)
def test_load(name: str, key: str, shape: tuple[int, ...], dtype: type) -> None:
    values = datasets.load(name)[key]
    assert values.shape == shape and values.dtype == dtype
    assert np.isfinite(values).all()


@pytest.mark.parametrize(
    ("name", "notice"),
    [
        ("ct_lung1", "Copyright 2017 Harvard Medical School"),
        ("ct_lung2", "Copyright 2017 Harvard Medical School"),
        ("ct_lung2_full", "Copyright 2017 Harvard Medical School"),
        ("mr_brain", "Copyright 2017 Harvard Medical School"),
        (
            "mni",
            "Louis Collins, McConnell Brain Imaging Centre, Montreal Neurological Institute, McGill University. Per",
        ),
        ("mni", "Copyright (c) The nilearn developers."),
        (
            "tomo_haadf",
            "This software was developed by employees of the National Institute of Standards and Technology",
        ),
    ],
)
def test_source_and_licence_are_shipped_with_the_data(name: str, notice: str) -> None:
    readme = " ".join((DATA / "README.md").read_text().split())
    assert notice in readme
    data = datasets.DATASETS[name]
    package = " ".join(data.source.removeprefix("MNI ICBM152 2009, cut from ").split()[:2])
    assert package in readme and "see data/README.md" in data.licence


def test_values_are_what_they_say() -> None:
    arrays = datasets.load("mr_brain")
    assert all(a.min() == 0 and a.max() > 1000 for a in arrays.values())  # magnitudes
    mni = datasets.load("mni")
    assert (mni["gm"].astype(int) + mni["wm"] <= 257).all()  # probabilities, rounded
    assert mni["gm"].max() >= 250 and mni["wm"].max() >= 250


def test_missing_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IPBOX_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"tomo_haadf.npz is not in .*IPBOX_DATA"):
        datasets.load("tomo_haadf")
    shutil.copy(DATA / "tomo_haadf.npz", tmp_path)
    assert datasets.paths("tomo_haadf") == (tmp_path / "tomo_haadf.npz",)
    assert datasets.load("tomo_haadf")["angles_deg"].size == 77


def test_weights_are_found_where_their_own_package_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "ipbox_weights"
    package.mkdir()
    (package / "mine.safetensors").touch()
    with pytest.raises(FileNotFoundError, match=r"mine.safetensors is not in .*pip install ./data"):
        datasets.find("mine.safetensors")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert datasets.find("mine.safetensors") == package / "mine.safetensors"
    assert datasets.find("ct_lung1.npz") == DATA / "ct_lung1.npz"  # the tree's own come first


@pytest.mark.parametrize("damage", [lambda c: c[:-100], lambda c: c[:5000] + b"x" + c[5001:], lambda c: b""])
def test_damaged_file(damage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tomo_haadf.npz").write_bytes(damage((DATA / "tomo_haadf.npz").read_bytes()))
    monkeypatch.setenv("IPBOX_DATA", str(tmp_path))
    with pytest.raises(ValueError, match="SHA-256.*damaged"):
        datasets.load("tomo_haadf")


def test_unknown_name() -> None:
    with pytest.raises(ValueError, match="name is 'lidc'; expected one of 'ct_lung1'"):
        datasets.load("lidc")


# ---------------------------------------------------------------- attenuation, field of view, area averages


def test_attenuation() -> None:
    hu = np.array([-2000, -1000, -500, 0, 1000], dtype=np.int16)
    assert np.allclose(datasets.hu_to_attenuation(hu, 0.02), [0, 0, 0.01, 0.02, 0.04], rtol=1e-15, atol=0)
    assert datasets.hu_to_attenuation(hu.astype(np.float32)).dtype == np.float32
    assert datasets.hu_to_attenuation(hu).dtype == np.float64
    assert hu[0] == -2000
    with pytest.raises(TypeError, match="hu has dtype complex128"):
        datasets.hu_to_attenuation(hu + 1j)


@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (5, 5), (64, 64), (31, 20)])
def test_field_of_view(shape: tuple[int, int]) -> None:
    mask = datasets.field_of_view(shape)
    n = min(shape)
    assert mask.shape == shape and mask.dtype == bool
    assert (mask == mask[::-1]).all() and (mask == mask[:, ::-1]).all()
    assert n - 1 <= mask.any(axis=0).sum() <= n and n - 1 <= mask.any(axis=1).sum() <= n
    assert mask.any(axis=1 - shape.index(n)).sum() == n  # it reaches the nearer sides
    assert abs(mask.sum() - np.pi * n**2 / 4) <= 2 * n


@pytest.mark.parametrize("shape, to", [((6, 9), (2, 3)), ((7, 5), (3, 4)), ((4, 4), (4, 4)), ((3, 5), (6, 10))])
def test_area_average(shape: tuple[int, int], to: tuple[int, int], rng: np.random.Generator) -> None:
    """Against the same average by way of a grid on which both have whole pixels."""
    u = rng.standard_normal(shape)
    common = np.kron(u, np.ones(to))
    expected = common.reshape(to[0], shape[0], to[1], shape[1]).mean(axis=(1, 3))
    assert np.allclose(datasets.area_average(u, to), expected, rtol=0, atol=1e-14)


# ---------------------------------------------------------------- slices


def test_lung_slice_is_one_anatomy_at_every_size() -> None:
    full, h = datasets.lung_slice(2)
    assert full.shape == (512, 512) and full.dtype == np.float64 and h == 0.6269531
    for k in (2, 4, 8):
        u, width = datasets.lung_slice(2, 512 // k)
        assert np.allclose(u, full.reshape(512 // k, k, 512 // k, k).mean(axis=(1, 3)), rtol=0, atol=1e-15)
        assert width == pytest.approx(k * h, rel=1e-15)
    odd, width = datasets.lung_slice(2, 100)
    assert odd.sum() * width**2 == pytest.approx(full.sum() * h**2, rel=1e-12)  # the mass of the slice


def test_slices_of_the_two_files_agree() -> None:
    """The slices of ct_lung2_full are those the constants say: ct_lung2 holds their rounded 2 x 2 means."""
    full, half = datasets.load("ct_lung2_full")["hu"], datasets.load("ct_lung2")["hu"]
    means = full.reshape(5, 256, 2, 256, 2).mean(axis=(2, 4))
    assert np.abs(means - half[list(datasets._FULL_SLICES)]).max() <= 0.5


def test_slices_of_the_test_patient_are_all_different() -> None:
    half = datasets.load("ct_lung2")["hu"]
    seen = [datasets.lung_slice(k)[0] for k in (5, 6, 9, 10, 60)]
    for u, k in zip(seen, (0, 1, 4, 6, 60), strict=True):
        assert np.array_equal(u, datasets.hu_to_attenuation(half[k]))


def test_training_patient() -> None:
    u, h = datasets.lung_slice(47, patient="train")
    assert np.array_equal(u, datasets.hu_to_attenuation(datasets.load("ct_lung1")["hu"][47]))
    assert h == 2 * 0.5703125


@pytest.mark.parametrize(
    "arguments, message",
    [
        (dict(index=61), "slice is 61; expected an integer from 0 to 60, the slices of patient 'test'"),
        (dict(index=-1), "slice is -1"),
        (dict(index=1.0), "slice is 1.0"),
        (dict(index=48, patient="train"), "expected an integer from 0 to 47, the slices of patient 'train'"),
        (dict(index=0, patient="both"), "patient is 'both'; expected one of"),
        (dict(index=0, size=0), "size is 0; expected an integer from 1 to 512"),
        (dict(index=5, size=512), "size is 512; expected an integer from 1 to 256"),
    ],
)
def test_lung_slice_refuses(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        datasets.lung_slice(**arguments)
