"""The extra `jpeg` brings what decodes the compressions that archives use; lossless ones change no pixel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cmrseg.io import read
from cmrseg.phantom import Phantom, write_dicom

gdcm = pytest.importorskip("gdcm", reason="needs cmrseg[jpeg]")
SYNTAXES = {
    "JPEG Lossless": gdcm.TransferSyntax.JPEGLosslessProcess14_1,
    "JPEG-LS Lossless": gdcm.TransferSyntax.JPEGLSLossless,
    "JPEG 2000 Lossless": gdcm.TransferSyntax.JPEG2000Lossless,
    "RLE Lossless": gdcm.TransferSyntax.RLELossless,
}


@pytest.mark.parametrize("name", SYNTAXES)
def test_a_losslessly_compressed_study_reads_like_the_original(
    name: str, tiny_phantom: Phantom, tmp_path: Path
) -> None:
    plain, packed = tmp_path / "plain", tmp_path / "packed"
    packed.mkdir()
    for path in write_dicom(tiny_phantom, plain):
        _compress(path, packed / path.name, SYNTAXES[name])
    original, image = read(plain).images[0], read(packed).images[0]
    assert np.array_equal(image.data, original.data)
    assert image.geometry == original.geometry


def _compress(source: Path, target: Path, syntax: int) -> None:
    reader = gdcm.ImageReader()
    reader.SetFileName(str(source))
    assert reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(syntax))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer = gdcm.ImageWriter()
    writer.SetFileName(str(target))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()
