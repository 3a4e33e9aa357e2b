"""Siemens twix files: k-space that comes back in its place, and what each bad file is told."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import twixtools

import ipbox as ip
from ipbox.io.raw.kspace import centre_crop
from tests.io.twix_writers import Line, protocol, readout, write_twix

RNG = np.random.default_rng(0)
SLICES, COILS, NY, NX = 2, 3, 9, 8
KSPACE = RNG.standard_normal((SLICES, COILS, NY, NX, 2)).astype("f4").view("c8")[..., 0]


def lines(kspace: np.ndarray = KSPACE, *flags: str, **fields: float) -> list[Line]:
    """Every line of every slice, from the last to the first."""
    every = [(s, k) for s in range(len(kspace)) for k in range(kspace.shape[2])]
    return [readout(kspace[s, :, k], *flags, **{"Sli": s, "Lin": k} | fields) for s, k in every[::-1]]


def scan(path: Path, measured: list[Line], later: bool = True, **changes: object) -> Path:
    return write_twix(path, (protocol((NY, NX), changes), measured), later=later)


@pytest.mark.parametrize("later", [False, True])
def test_every_line_comes_to_its_place(tmp_path: Path, later: bool) -> None:
    path = scan(tmp_path / "a.dat", [(v, f | {"Tra": 7.0 - f["Sli"], "Cor": 2.0}) for v, f in lines()], later)
    data = ip.read_twix(path)
    assert np.array_equal(data.kspace, KSPACE) and data.kspace.dtype == np.complex64 and data.kspace.flags.c_contiguous
    assert data.mask.shape == (SLICES, NY, NX) and data.mask.all() and data.target is None
    assert np.array_equal(data.about.pop("positions"), [[0, 2, 7], [0, 2, 6]])
    assert data.about == {"lines": SLICES * NY, "left_out": {}, "averages": 1, "measurements": 1}
    assert data.encoding.matrix == (1, NY, NX) and data.encoding.field_of_view == (5.0, 270.0, 480.0)
    assert data.encoding.recon_matrix == (1, 3, 4) and data.encoding.recon_field_of_view == (5.0, 180.0, 240.0)
    assert data.encoding.centre == 4 and data.encoding.trajectory == "cartesian"


def test_the_oversampled_image_is_cropped_to_the_object(tmp_path: Path) -> None:
    """An object within the middle half of the columns: the crop loses nothing of it."""
    inside = RNG.standard_normal((1, COILS, NY, NX // 2)) + 0j
    whole = np.zeros((1, COILS, NY, NX), complex)
    whole[..., NX // 4 : NX // 4 + NX // 2] = inside
    axes = (-2, -1)
    kspace = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(whole, axes=axes), norm="ortho"), axes=axes)
    data = ip.read_twix(scan(tmp_path / "a.dat", lines(kspace)))
    image = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(data.kspace, axes=axes), norm="ortho"), axes=axes)
    assert np.allclose(centre_crop(image, (NY, data.encoding.recon_matrix[2])), inside, atol=1e-5)


@pytest.mark.parametrize(("first", "centre"), [(0, 2), (2, 4)])
def test_partial_fourier_and_undersampling(tmp_path: Path, first: int, centre: int) -> None:
    """Rows 2, 4, 6 and 8 of 9, of which row 4 is the centre: counted from 0, or from where they are."""
    partial = [readout(KSPACE[0, :, k], Lin=k - 2 + first, CenterLin=centre) for k in (2, 4, 6, 8)]
    data = ip.read_twix(scan(tmp_path / "a.dat", partial))
    mask = np.zeros((NY, NX), bool)
    mask[2::2] = True
    assert np.array_equal(data.mask[0], mask) and np.array_equal(data.kspace[0], KSPACE[0] * mask)


def test_partial_echoes(tmp_path: Path) -> None:
    """Samples 2 to 7 with the centre 4 after two of them; and whole lines of which two samples are cut off."""
    short = scan(tmp_path / "a.dat", [readout(KSPACE[0, :, 4, 2:], Lin=4, CenterCol=2)])
    cut = scan(tmp_path / "b.dat", [readout(KSPACE[0, :, 4], Lin=4, Pre=2)])
    expected = np.zeros((COILS, NY, NX), "c8")
    expected[:, 4, 2:] = KSPACE[0, :, 4, 2:]
    for path in (short, cut):
        data = ip.read_twix(path)
        assert np.array_equal(data.kspace[0], expected) and np.array_equal(data.mask[0], expected[0] != 0)


def test_averages_are_averaged(tmp_path: Path) -> None:
    data = ip.read_twix(scan(tmp_path / "a.dat", lines(KSPACE) + lines(3 * KSPACE, Ave=1)))
    assert np.allclose(data.kspace, 2 * KSPACE, rtol=1e-6) and data.about["averages"] == 2
    with pytest.raises(ValueError, match="has row 8 of slice 1 2 times, not as averages; expected it once"):
        ip.read_twix(scan(tmp_path / "b.dat", lines() + lines()[:1]))


@pytest.mark.parametrize("later", [False, True])
@pytest.mark.parametrize(
    ("flag", "what"),
    [
        ("NOISEADJSCAN", "noise"),
        ("PATREFSCAN", "calibration"),
        ("PHASCOR", "phase correction"),
        ("RTFEEDBACK", "feedback"),
        ("PHASESTABSCAN", "phase stabilisation"),
        ("RETRO_DUMMYSCAN", "dummy"),
    ],
)
def test_what_is_no_image_is_left_out_and_counted(tmp_path: Path, flag: str, what: str, later: bool) -> None:
    beside = [readout(np.full((5, 11), np.nan), flag, Lin=300, Par=2)] * 2  # other coils and samples
    physiology = [(bytes(64), {"flags": 1 << 5, "Lin": 77})]
    data = ip.read_twix(scan(tmp_path / "a.dat", beside + lines()[:5] + physiology + lines()[5:], later))
    assert np.array_equal(data.kspace, KSPACE) and data.about["left_out"] == {what: 2, "synchronous data": 1}


def test_calibration_that_is_of_the_image_too(tmp_path: Path) -> None:
    data = ip.read_twix(scan(tmp_path / "a.dat", lines(KSPACE, "PATREFSCAN", "PATREFANDIMASCAN")))
    assert np.array_equal(data.kspace, KSPACE) and data.about["left_out"] == {}


@pytest.mark.parametrize(
    ("theirs", "counter"), [("Rep", "repetition"), ("Eco", "contrast"), ("Phs", "phase"), ("Set", "set")]
)
def test_one_of_several(tmp_path: Path, theirs: str, counter: str) -> None:
    path = scan(tmp_path / "a.dat", lines(KSPACE, **{theirs: 1}) + lines(2 * KSPACE, **{theirs: 3}))
    data = ip.read_twix(path, **{counter: 3})
    assert np.array_equal(data.kspace, 2 * KSPACE) and data.about["left_out"] == {f"other {counter}s": SLICES * NY}
    with pytest.raises(ValueError, match=rf"{counter} is not given; .* has \[1, 3\], expected one of them"):
        ip.read_twix(path)


def test_several_measurements(tmp_path: Path) -> None:
    noise = (protocol((NY, NX), {"sKSpace.ucDimension": None}), [readout(KSPACE[0, :, 0], "NOISEADJSCAN")])
    scans = [(protocol((NY, NX)), lines(k * KSPACE)) for k in (1, 2)]
    path = write_twix(tmp_path / "a.dat", noise, *scans)
    for measurement, k in {1: 1, 2: 2, -1: 2, -2: 1}.items():
        assert np.array_equal(ip.read_twix(path, measurement).kspace, k * KSPACE)
    data = ip.read_twix(path)
    assert np.array_equal(data.kspace, 2 * KSPACE) and data.about["measurements"] == 3
    with pytest.raises(ValueError, match="has no sKSpace.ucDimension in its protocol"):
        ip.read_twix(path, 0)
    for wrong in (3, -4, 1.0, "1", None):
        with pytest.raises(ValueError, match=r"measurement is .*; .*a.dat has 3: expected an integer from -3 to 2"):
            ip.read_twix(path, wrong)


def test_twixtools_reads_what_the_tests_write(tmp_path: Path) -> None:
    for later in (False, True):
        path = scan(tmp_path / f"{later}.dat", lines(), later)
        told = {"parse_pmu": False, "parse_geometry": False, "verbose": False}
        (found,) = twixtools.read_twix(str(path), **told)
        assert found["hdr"]["MeasYaps"]["sKSpace"]["lPhaseEncodingLines"] == NY
        assert found["hdr"]["Meas"]["flReadoutOSFactor"] == 2.0 and found["hdr"]["Meas"]["alRegridMode"] == [1, 1]
        assert len(found["mdb"]) == SLICES * NY
        for mdb in found["mdb"]:
            assert np.array_equal(mdb.data, KSPACE[mdb.mdh.Counter.Sli, :, mdb.mdh.Counter.Lin])


def test_what_twixtools_writes(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    told = {"parse_pmu": False, "parse_geometry": False, "verbose": False}
    found = twixtools.read_twix(str(scan(tmp_path / "a.dat", lines())), **told)
    found[0]["mdb"] = [mdb.convert_to_local() for mdb in found[0]["mdb"]]
    twixtools.write_twix(found, str(tmp_path / "b.dat"))
    capsys.readouterr()
    assert np.array_equal(ip.read_twix(tmp_path / "b.dat").kspace, KSPACE)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("measured", "changes", "words"),
    [
        (lines(), {"sKSpace.ucTrajectory": 2}, "has a radial trajectory; expected cartesian"),
        (lines(), {"sKSpace.ucTrajectory": "0x4"}, "has a spiral trajectory; expected cartesian"),
        (lines(), {"sKSpace.ucTrajectory": 16}, "has a ucTrajectory 16 trajectory; expected cartesian"),
        (
            lines(),
            {"sKSpace.ucDimension": 4, "sKSpace.lPartitions": 6},
            r"is encoded in 3-D, matrix \(z, y, x\) = \(6, 9, 8\); expected 2-D slices",
        ),
        (lines(), {"sKSpace.ucDimension": 1}, "has ucDimension 1; expected 2, that of slices"),
        (lines(Par=1), {}, "is encoded in 3-D"),
        (lines(KSPACE, "REFLECT"), {}, r"has lines that are read backwards \(EPI\)"),
        (lines() + [readout(KSPACE[0, :1, 0], Sli=9)], {}, r"lines with active_channels \[1, 3\]"),
        (lines() + [readout(KSPACE[0, :, 0, 1:], Sli=9)], {}, r"lines with number_of_samples \[7, 8\]"),
        (lines() + [readout(KSPACE[0, :, 0], CenterLin=3)], {}, r"has lines with CenterLin \[3, 4\]; expected one"),
        ([readout(KSPACE[1, :, 0], Sli=1)], {}, r"has no line of slices \[0\]; expected all of 0 to 1"),
        ([readout(KSPACE[1, :, 0], Sli=40)], {}, r"slices \[0, 1, 2, 3, 4, 5, 6, 7 and 32 others\]; expected all"),
        (lines(CenterLin=2), {}, "has lines 2 to 10 and samples 0 to 7 of 3 coils; expected them within .* 9 x 8"),
        (lines(CenterCol=6), {}, "samples -2 to 5 of 3 coils; expected them within the matrix"),
        (lines(KSPACE, "NOISEADJSCAN"), {}, "has no line of an image among its 18 acquisitions"),
        (lines(KSPACE * np.nan), {}, "has NaN or infinite entries"),
        (lines(), {"sKSpace.lPhaseEncodingLines": None}, "has no sKSpace.lPhaseEncodingLines in its protocol"),
        (lines(), {"sKSpace.lBaseResolution": 0}, "has a matrix of 9 x 0 times 2 .*; expected positive numbers"),
        (lines(), {"sSliceArray.asSlice[0].dPhaseFOV": "nan"}, "a field of view of nan x 240 mm"),
        (lines(), {"sKSpace.lBaseResolution": "many"}, "which is not a complete Siemens twix file"),
        ([], {}, "has no line of an image among its 0 acquisitions"),
    ],
)
def test_twix_that_is_refused(tmp_path: Path, measured: list, changes: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        ip.read_twix(scan(tmp_path / "a.dat", measured, **changes))
    assert "\n" not in str(caught.value)


def test_samples_on_ramps_and_unknown_oversampling(tmp_path: Path) -> None:
    factor = '<ParamDouble."flReadoutOSFactor">  { %s }'
    for text, words in (
        ('<ParamLong."alRegridMode">  { 2 1 }' + factor % 2.0, r"ramps of the gradient \(EPI, alRegridMode 2\)"),
        (factor % "<Precision> 6 ", "has no flReadoutOSFactor in its protocol"),
        ('<ParamLong."alRegridMode">  { }', "has no flReadoutOSFactor in its protocol"),
    ):
        path = write_twix(tmp_path / "a.dat", (protocol((NY, NX), xprotocol=text), lines()))
        with pytest.raises(ValueError, match=words):
            ip.read_twix(path)


@pytest.mark.parametrize("later", [False, True])
def test_truncated_files(tmp_path: Path, later: bool) -> None:
    path = scan(tmp_path / "a.dat", lines(), later)
    content = path.read_bytes()
    end = len(content.rstrip(b"\0"))  # within the header of the last block
    for length in [0, 1, 7, 8, 100, 9999, 10241, 10250, *range(22000, end, 731), end - 1]:
        path.write_bytes(content[:length])
        with pytest.raises(ValueError, match="path is .*a.dat, which is not a complete Siemens twix file") as caught:
            ip.read_twix(path)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("later", [False, True])
def test_a_measurement_that_was_stopped(tmp_path: Path, later: bool) -> None:
    """Its lines are whole, the last block is not there; what follows in the file is not its."""
    first = (protocol((NY, NX)), lines())
    path = write_twix(tmp_path / "a.dat", *([first] * (1 + later)), later=later, ended=False)
    for measurement in range(1 + later):
        with pytest.raises(ValueError, match="not a complete Siemens twix file"):
            ip.read_twix(path, measurement)


@pytest.mark.parametrize("later", [False, True])
@pytest.mark.parametrize(
    "line", [(b"", {}), (b"", {"flags": 1 << 5, "length": 0}), (b"", {"coils": 65535, "samples": 65535})]
)
def test_lengths_that_lead_nowhere_end(tmp_path: Path, line: Line, later: bool) -> None:
    with pytest.raises(ValueError, match="not a complete Siemens twix file .*at byte [0-9]+ a line has"):
        ip.read_twix(scan(tmp_path / "a.dat", [*lines(), line], later))


@pytest.mark.parametrize("content", [bytes(20000), b"x 1 2 3\n" * 3000, np.arange(9e3).tobytes(), b"\0\0\0\0\2\0\0\0"])
def test_files_that_are_no_twix(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.dat").write_bytes(content)
    with pytest.raises(ValueError, match="path is .*a.dat, which is not a complete Siemens twix file"):
        ip.read_twix(tmp_path / "a.dat")


def test_paths(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="path is .*; there is no such file"):
        ip.read_twix(tmp_path / "a.dat")
    (tmp_path / "a.h5").write_bytes(b"")
    with pytest.raises(ValueError, match="expected a file that ends in .dat"):
        ip.read_twix(tmp_path / "a.h5")


def test_without_twixtools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = scan(tmp_path / "a.dat", lines())
    for name in ("twixtools", "twixtools.mdb", "twixtools.mdh_def"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=r"reading Siemens twix files needs twixtools.*pip install 'ipbox\[io\]'"):
        ip.read_twix(path)
