"""JPEG-lossless DICOM: bit for bit where GDCM is installed, a sentence that names what to install where it is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGLosslessSV1

import ipbox as ip


def test_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = pydicom.dcmread(get_testdata_file("MR_small.dcm"))
    data.PixelData = encapsulate([b"\xff\xd8\xff\xc3 not decoded \xff\xd9 "])
    data["PixelData"].VR, data["PixelData"].is_undefined_length = "OB", True
    data.file_meta.TransferSyntaxUID = JPEGLosslessSV1
    data.save_as(tmp_path / "a.dcm")
    monkeypatch.setattr("ipbox.io.formats.dicom_slices.find_spec", lambda name: None)
    with pytest.raises(
        ValueError, match=r"compressed \(JPEG Lossless.*; pip install 'ipbox\[io\]' brings more decoders"
    ):
        ip.read_image(tmp_path / "a.dcm")


def test_process_14_as_gdcm_writes_it(tmp_path: Path) -> None:
    import gdcm

    reader, change, writer = gdcm.ImageReader(), gdcm.ImageChangeTransferSyntax(), gdcm.ImageWriter()
    reader.SetFileName(get_testdata_file("MR_small.dcm"))
    assert reader.Read()
    change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGLosslessProcess14_1))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer.SetFileName(str(tmp_path / "a.dcm"))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()
    expected, spacing = ip.read_image(get_testdata_file("MR_small.dcm"))
    u, read_spacing = ip.read_image(tmp_path / "a.dcm")
    assert np.array_equal(u, expected) and read_spacing == spacing
