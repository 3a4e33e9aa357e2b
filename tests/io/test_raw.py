"""fastMRI and ISMRMRD files: k-space that comes back in its place, and what each bad file is told."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

import ipbox as ip
from ipbox.io.raw.kspace import centre_crop, encodings
from tests.io.writers import acquisition, header, write_hdf5, write_ismrmrd

RNG = np.random.default_rng(0)
NY, NX, COILS, SLICES = 8, 6, 2, 3
KSPACE = (RNG.standard_normal((SLICES, COILS, NY, NX, 2)).astype("f4")).view("c8")[..., 0]


def image(k: np.ndarray) -> np.ndarray:
    """Centred and orthonormal, as fastMRI's own code and the MRI operators."""
    axes = (-2, -1)
    return np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(k, axes=axes), norm="ortho"), axes=axes)


# ---------------------------------------------------------------- fastMRI


def fastmri(path: Path, kspace: np.ndarray = KSPACE, **datasets: object) -> Path:
    attributes = {"max": 2.5, "norm": 30.0, "patient_id": "abc", "acquisition": "AXT1"}
    return write_hdf5(path, attributes, kspace=kspace, **datasets)


@pytest.mark.parametrize("kspace", [KSPACE, KSPACE[:, 0]])
def test_fastmri(tmp_path: Path, kspace: np.ndarray) -> None:
    target = np.abs(RNG.standard_normal((SLICES, 4, 4))).astype("f4")
    name = "reconstruction_rss" if kspace.ndim == 4 else "reconstruction_esc"
    xml = header((NY, NX), recon=(4, 4)).encode()
    mask = np.array([1, 0, 1, 1, 0, 1], dtype="f4")
    path = fastmri(tmp_path / "a.h5", kspace, **{name: target, "ismrmrd_header": xml, "mask": mask})
    data = ip.read_fastmri(path)
    assert np.array_equal(data.kspace, kspace) and data.kspace.dtype == np.complex64
    assert np.array_equal(data.target, target) and data.target.dtype == np.float32
    assert data.mask.shape == (SLICES, NY, NX) and data.mask.dtype == bool
    assert (data.mask == mask.astype(bool)).all()
    assert data.about == {
        **{"max": 2.5, "norm": 30.0, "patient_id": "abc", "acquisition": "AXT1"},
        **{"target": name, "slices": (0, 1, 2), "count": 3},
    }
    assert data.encoding.matrix == (1, NY, NX) and data.encoding.recon_matrix == (1, 4, 4)
    assert data.encoding.field_of_view == (5.0, 3.0 * NY, 2.0 * NX) and data.encoding.trajectory == "cartesian"


def test_the_target_of_a_full_measurement_is_the_cropped_root_sum_of_squares(tmp_path: Path) -> None:
    coils = RNG.standard_normal((SLICES, COILS, NY, NX)) + 1j * RNG.standard_normal((SLICES, COILS, NY, NX))
    axes = (-2, -1)
    kspace = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(coils, axes=axes), norm="ortho"), axes=axes)
    target = centre_crop(np.sqrt((np.abs(coils) ** 2).sum(axis=1)), (4, 4)).astype("f4")
    data = ip.read_fastmri(fastmri(tmp_path / "a.h5", kspace.astype("c8"), reconstruction_rss=target))
    rss = np.sqrt((np.abs(image(data.kspace)) ** 2).sum(axis=1))
    assert np.allclose(centre_crop(rss, data.target.shape[-2:]), data.target, atol=1e-5)
    assert data.mask is None and data.encoding is None


@pytest.mark.parametrize("slices", [1, [0, 2], slice(1, None), np.int64(2), range(2)])
def test_only_the_slices_asked_for(tmp_path: Path, slices: object) -> None:
    target = np.arange(SLICES * 4, dtype="f4").reshape(SLICES, 2, 2)
    data = ip.read_fastmri(fastmri(tmp_path / "a.h5", reconstruction_rss=target, mask=np.ones(NX)), slices)
    wanted = np.atleast_1d(np.arange(SLICES)[slices])
    assert np.array_equal(data.kspace, KSPACE[wanted]) and np.array_equal(data.target, target[wanted])
    assert data.mask.shape == (len(wanted), NY, NX) and data.about["slices"] == tuple(wanted)


def test_other_slices_are_not_read(tmp_path: Path) -> None:
    spoilt = KSPACE.copy()
    spoilt[1] = np.nan
    path = fastmri(tmp_path / "a.h5", spoilt)
    assert np.array_equal(ip.read_fastmri(path, [0, 2]).kspace, KSPACE[[0, 2]])
    with pytest.raises(ValueError, match=r"kspace of .*a.h5 has NaN or infinite entries; expected finite numbers"):
        ip.read_fastmri(path)


@pytest.mark.parametrize(
    ("datasets", "words"),
    [
        ({"kspace": KSPACE.real}, "kspace of .* has dtype float32; expected complex64"),
        ({"kspace": KSPACE[0, 0]}, r"kspace of .* has shape \(8, 6\)"),
        ({"image": KSPACE.real}, r"has no dataset kspace \(it has image\); expected a fastMRI file"),
        ({"kspace/deeper": KSPACE}, "has no dataset kspace"),
        ({"kspace": KSPACE, "reconstruction_rss": np.ones((2, 4, 4))}, "expected 3 real images"),
        ({"kspace": KSPACE, "reconstruction_rss": np.full((3, 4, 4), np.nan)}, "reconstruction_rss of .* has NaN"),
        ({"kspace": KSPACE.astype("c16") * 1e300}, "kspace of .* has NaN or infinite entries"),
        ({"kspace": KSPACE, "mask": np.ones(NY)}, r"mask of .* has shape \(8,\); expected 6 zeros and ones"),
        ({"kspace": KSPACE, "mask": np.full(NX, 0.5)}, "expected 6 zeros and ones"),
        ({"kspace": KSPACE, "ismrmrd_header": b"<a>"}, "its header is no complete XML"),
        ({"kspace": KSPACE, "ismrmrd_header": b"<a/>"}, "its header has no encoding"),
    ],
)
def test_fastmri_that_is_refused(tmp_path: Path, datasets: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        ip.read_fastmri(write_hdf5(tmp_path / "a.h5", **datasets))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("slices", [3, -1, [], [0, 5], 1.5, ["a"], True])
def test_slices_that_do_not_exist(tmp_path: Path, slices: object) -> None:
    with pytest.raises(ValueError, match=r"slices is .*; .*a.h5 has slices 0 to 2"):
        ip.read_fastmri(fastmri(tmp_path / "a.h5"), slices)


def test_slices_out_of_order(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"slices is \[2, 1\]; expected each slice once, in increasing order"):
        ip.read_fastmri(fastmri(tmp_path / "a.h5"), [2, 1])


def test_kspace_that_was_never_written(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("kspace", shape=(30, 15, 10_000, 10_000), dtype="c8", chunks=(1, 1, 1000, 1000))
    with pytest.raises(ValueError, match="claims 360000000000 bytes of data; expected a complete file"):
        ip.read_fastmri(tmp_path / "a.h5", 0)


# ---------------------------------------------------------------- ISMRMRD


def lines(kspace: np.ndarray = KSPACE, **fields: int) -> list:
    """Every line of every slice, as a scanner may measure them: from the last to the first."""
    every = [(s, k) for s in range(len(kspace)) for k in range(kspace.shape[2])]
    return [acquisition(kspace[s, :, k], slice=s, kspace_encode_step_1=k, **fields) for s, k in every[::-1]]


def scan(path: Path, acquisitions: list, **options: object) -> Path:
    return write_ismrmrd(path, header((NY, NX), **options), acquisitions)


def test_every_line_comes_to_its_place(tmp_path: Path) -> None:
    data = ip.read_ismrmrd(scan(tmp_path / "a.h5", lines()))
    assert np.array_equal(data.kspace, KSPACE) and data.kspace.dtype == np.complex64 and data.kspace.flags.c_contiguous
    assert data.mask.shape == (SLICES, NY, NX) and data.mask.all() and data.target is None
    assert data.about == {"lines": SLICES * NY, "left_out": {}, "averages": 1}
    assert data.encoding.matrix == (1, NY, NX) and data.encoding.field_of_view == (5.0, 24.0, 12.0)


def test_a_point_source_is_imaged_where_it_is(tmp_path: Path) -> None:
    """The convention: a source at pixel (ny // 2 + 2, nx // 2 - 1) has k-space exp(-2 pi i (2 ky / ny - kx / nx))."""
    ky, kx = np.arange(NY)[:, None] - NY // 2, np.arange(NX) - NX // 2
    kspace = np.exp(-2j * np.pi * (2 * ky / NY - kx / NX)) / np.sqrt(NY * NX)
    data = ip.read_ismrmrd(scan(tmp_path / "a.h5", lines(kspace[None, None].astype("c8"))))
    expected = np.zeros((NY, NX))
    expected[NY // 2 + 2, NX // 2 - 1] = 1
    assert np.allclose(image(data.kspace[0, 0]), expected, atol=1e-6)


def test_undersampling_and_partial_fourier(tmp_path: Path) -> None:
    """Lines 2, 4, 6 of 8, counted from 0 with 2 in the middle; echoes of 5 samples with 2 in the middle."""
    partial = [acquisition(KSPACE[0, :, k, 1:], kspace_encode_step_1=k - 2, center_sample=2) for k in (2, 4, 6)]
    data = ip.read_ismrmrd(scan(tmp_path / "a.h5", partial, limits=(0, 2, 5)))
    mask = np.zeros((NY, NX), dtype=bool)
    mask[2:7:2, 1:] = True
    assert np.array_equal(data.mask[0], mask) and np.array_equal(data.kspace[0], KSPACE[0] * mask)


def test_discarded_samples(tmp_path: Path) -> None:
    wide = np.concatenate([np.full((COILS, 2), 99), KSPACE[0, :, 4], np.full((COILS, 1), 99)], axis=1)
    fields = {"kspace_encode_step_1": 4, "discard_pre": 2, "discard_post": 1, "center_sample": 2 + NX // 2}
    data = ip.read_ismrmrd(scan(tmp_path / "a.h5", [acquisition(wide, **fields)]))
    assert np.array_equal(data.kspace[0, :, 4], KSPACE[0, :, 4])


def test_averages_are_averaged(tmp_path: Path) -> None:
    path = scan(tmp_path / "a.h5", lines(KSPACE, average=0) + lines(3 * KSPACE, average=1))
    data = ip.read_ismrmrd(path)
    assert np.allclose(data.kspace, 2 * KSPACE, rtol=1e-6) and data.about["averages"] == 2
    with pytest.raises(ValueError, match="has row 7 of slice 2 2 times, not as averages; expected it once"):
        ip.read_ismrmrd(scan(tmp_path / "b.h5", lines() + lines()[:1]))


@pytest.mark.parametrize(
    ("flag", "what"), [(19, "noise"), (20, "calibration"), (23, "navigation"), (24, "phase correction"), (27, "dummy")]
)
def test_what_is_no_image_is_left_out_and_counted(tmp_path: Path, flag: int, what: str) -> None:
    beside = [acquisition(np.full((5, 9), np.nan), flags=1 << (flag - 1))] * 2  # other coils and samples
    data = ip.read_ismrmrd(scan(tmp_path / "a.h5", beside + lines(flags=1 << 6)))
    assert np.array_equal(data.kspace, KSPACE) and data.about["left_out"] == {what: 2}


@pytest.mark.parametrize("counter", ["repetition", "contrast", "phase", "set"])
def test_one_of_several(tmp_path: Path, counter: str) -> None:
    path = scan(tmp_path / "a.h5", lines(KSPACE, **{counter: 1}) + lines(2 * KSPACE, **{counter: 3}))
    data = ip.read_ismrmrd(path, **{counter: 3})
    assert np.array_equal(data.kspace, 2 * KSPACE) and data.about["left_out"] == {f"other {counter}s": SLICES * NY}
    with pytest.raises(ValueError, match=rf"{counter} is not given; .* has \[1, 3\], expected one of them"):
        ip.read_ismrmrd(path)
    with pytest.raises(ValueError, match=rf"{counter} is 2; .* has \[1, 3\]"):
        ip.read_ismrmrd(path, **{counter: 2})


def test_encodings(tmp_path: Path) -> None:
    path = scan(tmp_path / "a.h5", lines() + lines(2 * KSPACE, encoding_space_ref=1), encodings=2)
    assert np.array_equal(ip.read_ismrmrd(path).kspace, KSPACE)
    assert np.array_equal(ip.read_ismrmrd(path, encoding=1).kspace, 2 * KSPACE)
    with pytest.raises(ValueError, match="encoding is 2; .* has 2"):
        ip.read_ismrmrd(path, encoding=2)


@pytest.mark.parametrize(
    ("acquisitions", "options", "words"),
    [
        (lines(), {"trajectory": "radial"}, "has a radial trajectory; expected cartesian"),
        (lines(), {"matrix_z": 4}, r"is encoded in 3-D, matrix \(z, y, x\) = \(4, 8, 6\); expected 2-D slices"),
        (lines(kspace_encode_step_2=1), {}, "is encoded in 3-D"),
        (lines(flags=1 << 21), {}, r"has lines that are read backwards \(EPI\)"),
        (lines() + [acquisition(KSPACE[0, :1, 0], slice=9)], {}, r"lines with active_channels \[1, 2\]"),
        (lines() + [acquisition(KSPACE[0, :, 0, 1:], slice=9)], {}, r"lines with number_of_samples \[5, 6\]"),
        ([acquisition(KSPACE[1, :, 0], slice=1)], {}, r"has no line of slices \[0\]; expected all of 0 to 1"),
        (
            lines(),
            {"limits": (0, 2, 7)},
            "has lines 2 to 9 and samples 0 to 5 of 2 coils; expected them within .* 8 x 6",
        ),
        (lines(center_sample=5), {}, "samples -2 to 3 of 2 coils; expected them within the matrix"),
        (lines(flags=1 << 18), {}, "has no line of an image among its 24 acquisitions"),
        (lines(KSPACE * np.nan), {}, "has NaN or infinite entries"),
        (lines(number_of_samples=5), {}, "has 24 numbers in a line; expected 20, real and imaginary parts of 2 coils"),
    ],
)
def test_ismrmrd_that_is_refused(tmp_path: Path, acquisitions: list, options: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        ip.read_ismrmrd(scan(tmp_path / "a.h5", acquisitions, **options))
    assert "\n" not in str(caught.value)


def test_files_that_are_no_ismrmrd(tmp_path: Path) -> None:
    fastmri(tmp_path / "a.h5")
    with pytest.raises(ValueError, match="has no dataset dataset/xml; expected an ISMRMRD file"):
        ip.read_ismrmrd(tmp_path / "a.h5")
    write_hdf5(tmp_path / "b.h5", **{"dataset/xml": np.array([b"<a/>"]), "dataset/data": np.ones(3)})
    with pytest.raises(ValueError, match="has no ISMRMRD acquisitions in dataset/data"):
        ip.read_ismrmrd(tmp_path / "b.h5")
    with pytest.raises(ValueError, match="has no dataset scan/xml"):
        ip.read_ismrmrd(scan(tmp_path / "c.h5", lines()), group="scan")


# ---------------------------------------------------------------- both


@pytest.mark.parametrize("read", [ip.read_fastmri, ip.read_ismrmrd])
def test_paths_and_truncated_files(tmp_path: Path, read: object) -> None:
    with pytest.raises(FileNotFoundError, match="path is .*; there is no such file"):
        read(tmp_path / "a.h5")
    with pytest.raises(ValueError, match="a folder; expected a file that ends in .h5, .hdf5"):
        read(tmp_path)
    (tmp_path / "a.npy").write_bytes(b"")
    with pytest.raises(ValueError, match="expected a file that ends in .h5, .hdf5"):
        read(tmp_path / "a.npy")
    path = tmp_path / "b.h5"
    fastmri(path) if read is ip.read_fastmri else scan(path, lines())
    content = path.read_bytes()
    for length in (0, 1, 100, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(ValueError, match="path is .*b.h5, which is not a complete .* file") as caught:
            read(path)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda x: x.replace("?>", '?><!DOCTYPE a [<!ENTITY b "c">]>'), "defines a document type or entities"),
        (lambda x: x[:-20], "is no complete XML"),
        (lambda x: x.replace("<trajectory>cartesian</trajectory>", ""), "its header has no trajectory"),
        (lambda x: x.replace("<y>8</y>", ""), "its header has no encodedSpace/matrixSize/y"),
        (lambda x: x.replace("<y>8</y>", "<y>0</y>"), r"its header has matrixSize \(1, 0, 6\)"),
        (lambda x: x.replace("<y>8</y>", "<y>eight</y>"), "invalid literal"),
        (lambda x: x.replace("<center>4</center>", ""), "its header has no center"),
    ],
)
def test_headers_that_are_refused(change: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        encodings(change(header((NY, NX))))


def test_header_without_limits_and_without_namespace() -> None:
    text = header((NY, NX)).replace(' xmlns="http://www.ismrm.org/ISMRMRD"', "")
    assert encodings(text)[0].centre == 4
    start, end = text.index("<encodingLimits>"), text.index("</encodingLimits>") + len("</encodingLimits>")
    assert encodings((text[:start] + text[end:]).encode())[0].centre is None


@pytest.mark.parametrize("shape", [(9, 4), (4, 9), (0, 4), (9, 9)])
def test_centre_crop(shape: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=r"expected at most \(8, 6\), the size of the image"):
        centre_crop(KSPACE, shape)
    for n, m in ((8, 6), (5, 3), (1, 1), (4, 4)):
        crop = centre_crop(KSPACE, (n, m))
        assert crop.shape[-2:] == (n, m) and (crop[..., n // 2, m // 2] == KSPACE[..., NY // 2, NX // 2]).all()
