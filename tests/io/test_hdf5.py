"""HDF5 whose data lie beside the file: external raw files, virtual datasets, links; and what is missing of them."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

import ipbox as ip
from ipbox.io.arrays import read_array

VOLUME = np.arange(60, dtype="float32").reshape(3, 4, 5)


def external(folder: Path, parts: list[tuple[str, int, int]], prefix: str = "${ORIGIN}") -> Path:
    """VOLUME in raw files beside scan.h5, as h5py 3.16 writes them."""
    folder.mkdir(exist_ok=True)
    with h5py.File(folder / "scan.h5", "w") as file:
        node = file.create_dataset(
            "b", VOLUME.shape, VOLUME.dtype, external=parts, efile_prefix=prefix if prefix else None
        )
        node[...] = VOLUME
    return folder / "scan.h5"


@pytest.mark.parametrize(
    "parts",
    [
        [("raw.bin", 0, h5py.h5f.UNLIMITED)],
        [("raw.bin", 16, 240)],
        [("first.bin", 8, 100), ("second.bin", 0, 140)],
        [("first.bin", 0, 100), ("second.bin", 4, h5py.h5f.UNLIMITED)],
    ],
)
@pytest.mark.parametrize("where", ["beside", "link", "working folder"])
def test_external_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parts: list[tuple[str, int, int]], where: str
) -> None:
    """HDF5 looks in the working folder alone; the files lie beside the one that names them."""
    path = external(tmp_path / "data", parts)
    if where == "working folder":
        for name, *_ in parts:
            (tmp_path / "data" / name).rename(tmp_path / name)
        monkeypatch.chdir(tmp_path)
    if where == "link":
        (tmp_path / "link.h5").symlink_to(path)
        path = tmp_path / "link.h5"
    assert np.array_equal(ip.read_image(path)[0], VOLUME)
    assert np.array_equal(read_array(path, "b"), VOLUME)


def test_external_data_by_a_whole_path_and_through_a_link(tmp_path: Path) -> None:
    path = external(tmp_path, [(str(tmp_path / "raw.bin"), 0, 240)], "")
    with h5py.File(tmp_path / "links.h5", "w") as file:
        file["b"] = h5py.ExternalLink("scan.h5", "/b")
    for name in (path, tmp_path / "links.h5"):
        assert np.array_equal(read_array(name, "b"), VOLUME)
    path.unlink()
    with pytest.raises(ValueError, match=r"b of .*links\.h5 has its data in scan\.h5; there is no such file"):
        read_array(tmp_path / "links.h5", "b")


def test_external_data_that_are_missing_or_short(tmp_path: Path) -> None:
    """HDF5 2.0 reads what is short as zeros, without a word."""
    path = external(tmp_path, [("first.bin", 8, 100), ("second.bin", 0, 140)])
    (tmp_path / "second.bin").write_bytes((tmp_path / "second.bin").read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"/b of .*scan\.h5 has its data in .*second\.bin, which has 139 bytes; exp"):
        read_array(path)
    (tmp_path / "first.bin").unlink()
    with pytest.raises(ValueError, match=r"/b of .*scan\.h5 has its data in .*first\.bin; there is no such file"):
        read_array(path)


def virtual(folder: Path, source: str = "raw.h5", shape: tuple[int, ...] = (4, 5)) -> Path:
    """VOLUME as a virtual dataset, a slice from each of three datasets."""
    layout = h5py.VirtualLayout(VOLUME.shape, VOLUME.dtype)
    with h5py.File(folder / "raw.h5", "a") as file:
        for k, image in enumerate(VOLUME):
            file[f"b{k}"] = image[: shape[0], : shape[1]]
            layout[k] = h5py.VirtualSource(source, f"b{k}", shape=(4, 5))
    with h5py.File(folder / ("raw.h5" if source == "." else "scan.h5"), "a") as file:
        return Path(file.create_virtual_dataset("v", layout).file.filename)


@pytest.mark.parametrize("source", ["raw.h5", ".", "absolute", "moved"])
def test_virtual_data(tmp_path: Path, source: str) -> None:
    """As of detectors (Dectris, NeXus); HDF5 looks for a whole path that is gone beside the file."""
    names = {"absolute": str(tmp_path / "raw.h5"), "moved": "/gone/raw.h5"}
    assert np.array_equal(read_array(virtual(tmp_path, names.get(source, source)), "v"), VOLUME)


def test_virtual_data_of_a_pattern(tmp_path: Path) -> None:
    """Slice k in raw_k.h5, for as many as there are."""
    made = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    space = h5py.h5s.create_simple((0, 5), (h5py.h5s.UNLIMITED, 5))
    space.select_hyperslab((0, 0), (h5py.h5s.UNLIMITED, 1), (4, 5), block=(4, 5))
    made.set_virtual(space, b"raw_%b.h5", b"b", h5py.h5s.create_simple((4, 5)))
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        h5py.h5d.create(file.id, b"v", h5py.h5t.IEEE_F32LE, space, dcpl=made)
    for k, image in enumerate(VOLUME):
        with h5py.File(tmp_path / f"raw_{k}.h5", "w") as file:
            file["b"] = image
    assert np.array_equal(read_array(tmp_path / "scan.h5"), VOLUME.reshape(12, 5))
    (tmp_path / "raw_0.h5").unlink()
    with pytest.raises(ValueError, match="has its data in .*; there is no such file"):
        read_array(tmp_path / "scan.h5")


def test_virtual_data_of_smaller_sources(tmp_path: Path) -> None:
    path = virtual(tmp_path, shape=(4, 3))
    with pytest.raises(ValueError, match=r"/v of .* has its data in .*raw\.h5, whose b0 has shape \(4, 3\); expected"):
        read_array(path, "v")


@pytest.mark.parametrize("names", [("r", "i"), ("real", "imag"), ("re", "im")])
@pytest.mark.parametrize(("part", "expected"), [("f4", "c8"), ("f8", "c16"), ("i2", "c8"), (">f4", "c8")])
def test_pairs_are_complex_numbers(tmp_path: Path, names: tuple[str, str], part: str, expected: str) -> None:
    pairs = np.zeros((3, 4), dtype=[(name, part) for name in names])
    pairs[names[0]], pairs[names[1]] = np.arange(12).reshape(3, 4), 5
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["b"] = pairs
    u, _ = ip.read_image(tmp_path / "a.h5")
    assert u.dtype == expected and np.array_equal(u, np.arange(12).reshape(3, 4) + 5j)


def test_kspace_beside_its_file(tmp_path: Path) -> None:
    kspace = (VOLUME + 1j).astype("complex64")
    with h5py.File(tmp_path / "raw.h5", "w") as file:
        file["k"] = kspace
    layout = h5py.VirtualLayout(kspace.shape, kspace.dtype)
    layout[:] = h5py.VirtualSource("raw.h5", "k", shape=kspace.shape)
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file.create_virtual_dataset("kspace", layout)
    assert np.array_equal(ip.read_fastmri(tmp_path / "scan.h5", [1]).kspace, kspace[1:2])
    (tmp_path / "raw.h5").unlink()
    with pytest.raises(ValueError, match="/kspace of .* has its data in .*; there is no such file"):
        ip.read_fastmri(tmp_path / "scan.h5")


def test_a_filter_that_is_not_installed(tmp_path: Path) -> None:
    """As of files packed by bitshuffle or blosc."""
    made = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    made.set_chunk((3, 4, 5))
    made.set_filter(32008, h5py.h5z.FLAG_OPTIONAL, (0, 2))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        h5py.h5d.create(file.id, b"b", h5py.h5t.IEEE_F32LE, h5py.h5s.create_simple((3, 4, 5)), made)
    with pytest.raises(ValueError, match="/b of .* is packed by filter 32008 .*, which is not installed; expected"):
        read_array(tmp_path / "a.h5")
