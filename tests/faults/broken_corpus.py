"""All broken studies together, and the whole ones they are made from."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

from broken_dicom import ONE, dicom_faults
from broken_studies import Fault, Files, acdc_faults, nifti_faults

from cmrseg.phantom import make_phantom, tiny, write_acdc_patient, write_dicom, write_nifti

#: What is opened of each whole study.
OPENED = {"nii": "study.nii", "nii.gz": "study.nii.gz", "acdc": "study", "dicom": "study"}


@lru_cache
def whole_studies() -> dict[str, Files]:
    """Files of the undamaged studies, all of the same phantom."""
    phantom = make_phantom(tiny())
    with TemporaryDirectory() as name:
        root = Path(name)
        for base in OPENED:
            (root / base).mkdir()
        write_nifti(phantom, root / "nii" / "study.nii")
        write_nifti(phantom, root / "nii.gz" / "study.nii.gz")
        write_acdc_patient(phantom, root / "acdc" / "study")
        write_dicom(phantom, root / "dicom" / "study")
        return {
            base: {
                p.relative_to(root / base).as_posix(): p.read_bytes()
                for p in sorted((root / base).rglob("*"))
                if p.is_file()
            }
            for base in OPENED
        }


def faults() -> Iterator[Fault]:
    whole = whole_studies()
    yield from nifti_faults(len(whole["nii"]["study.nii"]), len(whole["nii.gz"]["study.nii.gz"]))
    yield from acdc_faults()
    one = whole["dicom"][ONE]
    yield from dicom_faults(one.index(b"\xe0\x7f\x10\x00"), len(one))


FAULTS = list(faults())
