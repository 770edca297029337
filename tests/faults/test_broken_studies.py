"""Every broken study ends as a refusal that names its reason, or reads as if nothing had been broken. Nothing else."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from broken_corpus import FAULTS, OPENED, whole_studies
from broken_studies import EITHER, FLAGGED, HARMLESS, Fault, write_files

from cmrseg.errors import REFUSAL_CODES, InputRefused
from cmrseg.io import read
from cmrseg.study import Study


@lru_cache
def reading_of(base: str) -> Study:
    """What the undamaged study reads as."""
    with TemporaryDirectory() as name:
        write_files(whole_studies()[base], Path(name))
        return read(Path(name) / OPENED[base])


def outcome_of(path: Path) -> Study | InputRefused:
    try:
        return read(path)
    except InputRefused as refusal:
        return refusal


def differences(study: Study, whole: Study) -> list[str]:
    """How a study differs from the undamaged one where numbers depend on it; empty when it does not.

    Voxel sizes may differ by the 1 % and directions by the 2.5 degrees that the reader tolerates between two
    statements of one header.
    """
    found = []
    (image,), (other,) = study.images, whole.images
    if image.data.shape != other.data.shape or not np.array_equal(image.data, other.data):
        found.append("voxels")
    elif not np.allclose(image.geometry.spacing_xyz_mm, other.geometry.spacing_xyz_mm, rtol=0.0101):
        found.append(f"voxel size {image.geometry.spacing_xyz_mm}")
    units = [i.geometry.affine[:3, :3] / np.linalg.norm(i.geometry.affine[:3, :3], axis=0) for i in (image, other)]
    degrees = np.degrees(np.arccos(np.clip((units[0] * units[1]).sum(axis=0), -1, 1)))
    if image.geometry.orientation_known != other.geometry.orientation_known or degrees.max() > 2.51:
        found.append(f"directions by {degrees.max():.1f} degrees")
    if "two_positions" not in [f.code for f in study.findings]:
        shift = np.abs(image.geometry.affine[:3, 3] - other.geometry.affine[:3, 3]).max()
        found += [f"position by {shift:.1f} mm"] if shift > 1.01 else []
    return found


def test_the_corpus_is_large_and_names_each_fault_once() -> None:
    names = [fault.name for fault in FAULTS]
    assert len(names) >= 200
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("base", OPENED)
def test_the_undamaged_studies_are_read(base: str) -> None:
    study = reading_of(base)
    assert study.images[0].data.shape == (6, 8, 64, 64)
    assert differences(study, study) == []


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_broken_study_is_refused_by_name_or_reads_as_if_whole(fault: Fault, tmp_path: Path) -> None:
    write_files(fault.change(whole_studies()[fault.base]), tmp_path)
    result = outcome_of(tmp_path / OPENED[fault.base])
    if isinstance(result, InputRefused):
        said = f"refused with {result.code}: {result.cause}"
        assert fault.outcome == EITHER or (fault.outcome not in (HARMLESS, FLAGGED) and result.code in fault.outcome), (
            said
        )
        assert result.code in REFUSAL_CODES
        assert result.cause.strip()
        assert result.remedy.strip()
    elif fault.outcome == FLAGGED:
        assert "review" in [f.severity for f in result.findings]
    else:
        assert fault.outcome in (HARMLESS, EITHER), f"read, but {sorted(fault.outcome)} was due"
        assert differences(result, reading_of(fault.base)) == []
