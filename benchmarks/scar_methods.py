"""Every scar method inside given muscle, on real patients and on generated LGE, beside the true scar.

python benchmarks/scar_methods.py DATA/myops DATA/acdc/training [OUT.csv]

MyoPS patients have the muscle and the scar that experts drew. Generated LGE is made from every third ACDC patient's
end-diastole; its scar is known exactly, partial volumes included.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cmrseg.evaluate.metrics import dice
from cmrseg.evaluate.statistics import bland_altman, bootstrap_interval
from cmrseg.geometry import Geometry
from cmrseg.io.datasets import acdc, myops
from cmrseg.labels import LGE_RV
from cmrseg.phantom.enhancement import enhance, random_spec
from cmrseg.quantify.scar import METHODS, ScarConfig, find_scar
from cmrseg.quantify.scar.regions import without_rim
from cmrseg.quantify.scar.zones import scar_zones
from cmrseg.quantify.volumes import MYOCARDIUM_DENSITY_G_ML
from cmrseg.study import Image, Segmentation

Mask = NDArray[np.bool_]
#: Muscle this far from any scar stands for a heart without scar.
AWAY_MM = 3.0
#: Pixels around the heart that are kept.
MARGIN = 8
EVERY_NTH_CINE = 3


@dataclass(frozen=True)
class Patient:
    """One heart: image, true masks, mass of the scar, remote muscle away from rim and scar, masks without any scar."""

    image: Image
    truth: Segmentation
    scar_g: float
    remote_ZYX: Mask
    scarless: Segmentation

    @classmethod
    def of(cls, image: Image, truth: Segmentation, scar_g: float | None = None) -> Patient:
        """A patient from image and masks; the mass is that of the masks where it is not known better."""
        image, truth = cropped(image, truth)
        scar, muscle = infarct(truth), LGE_RV.mask(truth.labels[0], "lv_myocardium")
        x_mm, y_mm, _ = image.geometry.spacing_xyz_mm
        away = np.stack(
            [ndimage.distance_transform_edt(~s, sampling=(y_mm, x_mm)) > AWAY_MM if s.any() else ~s for s in scar]
        )
        labels = truth.labels.copy()
        labels[0][(scar | muscle) & ~away] = 0
        remote = without_rim(scar | muscle, ScarConfig().rim_mm, (x_mm, y_mm)) & muscle & away
        grams = mass_g(truth, scar.sum()) if scar_g is None else scar_g
        return cls(image, truth, grams, remote, replace(truth, labels=labels))


@dataclass(frozen=True)
class Setting:
    """One row of the table."""

    data: str
    method: str
    per: str = "volume"
    remote: str = "automatic"


def cropped(image: Image, truth: Segmentation) -> tuple[Image, Segmentation]:
    """Both on a window around the labels; positions do not matter here, sizes do."""
    rows, columns = (np.flatnonzero(truth.labels.any(axis=axes)) for axes in ((0, 1, 3), (0, 1, 2)))
    y, x = (slice(max(0, int(p[0]) - MARGIN), int(p[-1]) + 1 + MARGIN) for p in (rows, columns))
    data, labels = image.data[:, :, y, x], truth.labels[:, :, y, x]
    geometry = Geometry.from_spacing(image.geometry.spacing_xyz_mm, (data.shape[3], data.shape[2], data.shape[1]))
    return replace(image, data=data, geometry=geometry), replace(truth, labels=labels, geometry=geometry)


def infarct(segmentation: Segmentation) -> Mask:
    """Scar and no-reflow, [Z, Y, X]."""
    return segmentation.scheme.mask(segmentation.labels[0], "scar", "no_reflow")


def mass_g(segmentation: Segmentation, voxels: float) -> float:
    """Mass of a number of voxels."""
    return float(voxels) * segmentation.geometry.voxel_volume_ml * MYOCARDIUM_DENSITY_G_ML


def myops_patients(root: Path) -> list[Patient]:
    """Patients with scar."""
    patients = []
    for case in myops.cases(root):
        image, drawn = myops.read(case.path).images[0], myops.truth(case.path)
        truth = Segmentation(drawn.labels, drawn.scheme, image.geometry)
        if infarct(truth).any():
            patients.append(Patient.of(image, truth))
    return patients


def generated_patients(root: Path) -> list[Patient]:
    """Generated LGE with scar."""
    patients = []
    for seed, case in enumerate(acdc.cases(root)[::EVERY_NTH_CINE]):
        image, drawn = acdc.read(case.path).images[0], acdc.truth(case.path)
        frame = drawn.frames[0]
        labels = drawn.labels[frame if len(drawn.labels) == image.n_frames else 0]
        made = enhance(image.data[frame], labels, image.geometry, random_spec(np.random.default_rng(seed)), seed)
        if infarct(made.segmentation).any():
            patients.append(Patient.of(made.image, made.segmentation, made.truth["scar_mass_g"]))
    return patients


def settings(data: str) -> Iterator[Setting]:
    """Every method as it is by default, per slice, and with true remote muscle where it is used."""
    for method in METHODS:
        yield Setting(data, method)
    for method in METHODS:
        yield Setting(data, method, per="slice")
    for method in METHODS:
        if method.endswith("sd") or "remote" in method:
            yield Setting(data, method, remote="true")


def concordances(pairs: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """Lin's coefficient of [..., N, 2] along `axis`, for the bootstrap."""
    mean, variance = pairs.mean(axis=axis), pairs.var(axis=axis)
    centred = pairs - np.expand_dims(mean, axis)
    covariance = (centred[..., 0] * centred[..., 1]).mean(axis=axis)
    ccc: NDArray[np.float64] = 2 * covariance / (variance.sum(axis=-1) + (mean[..., 0] - mean[..., 1]) ** 2)
    return ccc


def weighted_g(patient: Patient, found: Segmentation) -> float:
    """Mass weighted by brightness; that of the voxels where there are no zones."""
    names = ("lv_myocardium", "scar", "no_reflow")
    remote, scar, no_reflow = (found.scheme.mask(found.labels[0], name) for name in names)
    zones = scar_zones(patient.image.data[0], remote, scar, no_reflow)
    return mass_g(found, infarct(found).sum() if zones is None else zones.weighted)


def row(setting: Setting, patients: Sequence[Patient]) -> dict[str, Any]:
    """Overlap and mass of one setting over all patients."""
    config = ScarConfig(setting.method, per="slice" if setting.per == "slice" else "volume")
    overlaps, grams, weighted, claimed = [], [], [], []
    for patient in patients:
        remote = patient.remote_ZYX if setting.remote != "automatic" else None
        found = find_scar(patient.image, patient.truth, config, remote)
        overlaps.append(dice(infarct(found), infarct(patient.truth)))
        grams.append([mass_g(found, infarct(found).sum()), patient.scar_g])
        weighted.append([weighted_g(patient, found), patient.scar_g])
        scarless = find_scar(patient.image, patient.scarless, config, remote)
        muscle = scarless.scheme.whole_myocardium(scarless.labels[0])
        claimed.append(100 * infarct(scarless).sum() / max(1, muscle.sum()))
    mass = np.array(grams)
    interval, limits = bootstrap_interval(mass, concordances), bland_altman(mass[:, 0], mass[:, 1])
    assert interval is not None
    assert limits is not None
    return {
        **vars(setting),
        "patients": len(patients),
        "dice_mean": f"{np.mean(overlaps):.3f}",
        "dice_median": f"{np.median(overlaps):.3f}",
        "mass_ccc": f"{concordances(mass, 0):.3f}",
        "mass_ccc_low": f"{interval.low:.3f}",
        "mass_ccc_high": f"{interval.high:.3f}",
        "mass_bias_g": f"{limits.bias:.1f}",
        "mass_limits_g": f"{1.96 * limits.sd:.1f}",
        "weighted_mass_ccc": f"{concordances(np.array(weighted), 0):.3f}",
        "claimed_percent_of_scarless_muscle": f"{np.mean(claimed):.1f}",
    }


def main(real: Path, cine: Path, out: Path | None) -> None:
    """One row for every setting."""
    sets = {"myops": myops_patients(real), "generated": generated_patients(cine)}
    rows = [row(setting, patients) for data, patients in sets.items() for setting in settings(data)]
    with out.open("w", newline="") if out else sys.stdout as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]) if len(sys.argv) > 3 else None)
