"""Synthetic hearts with known volumes, ejection fraction and mass; as arrays, NIfTI or DICOM.

phantom = make_phantom(HeartSpec(seed=1))
write_dicom(phantom, folder, style="siemens")
"""

from cmrseg.phantom.dicom import STYLES, Style, write_dicom
from cmrseg.phantom.lge import INFARCT, LgePhantom, make_lge
from cmrseg.phantom.make import Phantom, make_phantom
from cmrseg.phantom.nifti import write_acdc_patient, write_lge_masks, write_lge_nifti, write_masks, write_nifti
from cmrseg.phantom.spec import HeartSpec, breath_hold_shifts, tiny
from cmrseg.phantom.truth import PhantomTruth, Volumes

__all__ = [
    "INFARCT",
    "STYLES",
    "HeartSpec",
    "LgePhantom",
    "Phantom",
    "PhantomTruth",
    "Style",
    "Volumes",
    "breath_hold_shifts",
    "make_lge",
    "make_phantom",
    "tiny",
    "write_acdc_patient",
    "write_dicom",
    "write_lge_masks",
    "write_lge_nifti",
    "write_masks",
    "write_nifti",
]
