"""MRC volumes, read by mrcfile as we write them and by us as it writes them; BART's arrays."""

from __future__ import annotations

import io
from pathlib import Path

import mrcfile
import numpy as np
import pytest

import ipbox as ip
from tests.io.test_scans_refused import damaged

VOLUME = (np.arange(60).reshape(3, 4, 5) ** 2 / 8).astype("float32")  # (slices, rows, columns)


@pytest.mark.parametrize("dtype", ["int8", "int16", "uint16", "float16", "float32"])
@pytest.mark.parametrize("shape", [(3, 4, 5), (4, 5)])
def test_mrcfile_reads_what_save_writes(tmp_path: Path, dtype: str, shape: tuple[int, ...]) -> None:
    x, steps = (VOLUME[: shape[0] if len(shape) == 3 else 1] / 4).astype(dtype).reshape(shape), (5.0, 3.0, 2.0)
    ip.save(x, tmp_path / "a.mrc", spacing=steps[-len(shape) :], unit="1/mm")
    with mrcfile.open(tmp_path / "a.mrc") as file:
        assert np.array_equal(file.data, x) and file.data.dtype == dtype
        assert file.voxel_size.x == 2e7 and file.voxel_size.y == 3e7
        assert file.is_volume() == (len(shape) == 3) and bytes(file.header.label[0]).startswith(b"unit 1/mm")
    assert mrcfile.validate(tmp_path / "a.mrc", print_file=io.StringIO())
    y, spacing = ip.read_image(tmp_path / "a.mrc")
    assert y.dtype == dtype and np.array_equal(x, y) and spacing == pytest.approx(steps[-len(shape) :])


@pytest.mark.parametrize("order", ["<", ">"])
def test_we_read_what_mrcfile_writes(tmp_path: Path, order: str) -> None:
    with mrcfile.new(tmp_path / "a.mrc") as file:
        file.set_data(VOLUME.astype(f"{order}f4"))
        file.voxel_size = (2.5, 3.5, 4.5)
    x, spacing = ip.read_image(tmp_path / "a.mrc")
    assert np.array_equal(x, VOLUME) and spacing == pytest.approx((4.5e-7, 3.5e-7, 2.5e-7))


def test_mrc_that_is_refused(tmp_path: Path, rng: np.random.Generator) -> None:
    for x in (VOLUME.astype("float64"), VOLUME.astype("uint8"), VOLUME.astype("int32")):
        with pytest.raises(TypeError, match=r"x has dtype .*; \.mrc holds int8, int16, float32, uint16, float16"):
            ip.save(x, tmp_path / "a.mrc")
    assert not (tmp_path / "a.mrc").exists()
    ip.save(VOLUME, tmp_path / "a.mrc")
    with pytest.raises(ValueError, match="dataset is 'x'; .* holds one array without a name"):
        ip.read_image(tmp_path / "a.mrc", "x")
    whole = (tmp_path / "a.mrc").read_bytes()
    for _ in range(200):
        (tmp_path / "a.mrc").write_bytes(damaged(whole, rng))
        try:
            x, _ = ip.read_image(tmp_path / "a.mrc")
        except ValueError as err:
            assert "\n" not in str(err)
        else:
            assert x.size <= VOLUME.size * 4


def write_cfl(path: Path, x: np.ndarray, dims: str | None = None) -> Path:
    """As BART's own writer does: the fastest axis first, sixteen dimensions."""
    told = " ".join(map(str, [*x.shape, *[1] * (16 - x.ndim)])) if dims is None else dims
    path.with_suffix(".hdr").write_text(f"# Dimensions\n{told} \n# Creator\nBART\n")
    path.write_bytes(x.astype("<c8").ravel(order="F").tobytes())
    return path


def test_cfl(tmp_path: Path) -> None:
    """Four coils of 2-D k-space: (x, y, 1, coils) there, (coils, 1, y, x) here."""
    kspace = np.arange(120).reshape(5, 6, 1, 4) * (1 + 2j)
    y, spacing = ip.read_image(write_cfl(tmp_path / "a.cfl", kspace))
    assert y.dtype == np.complex64 and y.shape == (4, 1, 6, 5) and spacing is None
    assert y[3, 0, 2, 1] == kspace[1, 2, 0, 3] and np.array_equal(y, kspace.transpose(3, 2, 1, 0))
    assert ip.read_image(write_cfl(tmp_path / "a.cfl", kspace[:, :, 0, 0]))[0].shape == (6, 5)


def test_cfl_that_is_refused(tmp_path: Path) -> None:
    x = np.ones((5, 6))
    cases = {
        "has 240 bytes, and a.hdr says 320; expected a complete file": "5 8 1",
        "has dimensions '5 -6'; expected positive integers": "5 -6",
        "has dimensions ''; expected positive integers": "",
        "has dimensions '99999999999999999'; expected positive": "99999999999999999",
    }
    for words, dims in cases.items():
        with pytest.raises(ValueError, match=words):
            ip.read_image(write_cfl(tmp_path / "a.cfl", x, dims))
    (tmp_path / "a.hdr").unlink()
    with pytest.raises(ValueError, match=r"a\.cfl has no a\.hdr beside it; expected BART's header"):
        ip.read_image(tmp_path / "a.cfl")
