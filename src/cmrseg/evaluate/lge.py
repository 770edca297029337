"""How well an LGE pipeline does on labelled patients: scar mass first, then Dice; through the same `segment`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cmrseg.errors import InputRefused
from cmrseg.evaluate.cine import write_rows
from cmrseg.evaluate.metrics import EmptyMasks, MaskScore, score_mask
from cmrseg.evaluate.scar_shape import perimeter_similarity
from cmrseg.evaluate.statistics import bland_altman, bootstrap_interval, concordance, pearson
from cmrseg.io.datasets.layout import Case, Truth
from cmrseg.labels import LabelScheme
from cmrseg.quantify.scar_shape import perimeter_mm
from cmrseg.quantify.volumes import MYOCARDIUM_DENSITY_G_ML
from cmrseg.segment.engine import Pipeline, segment
from cmrseg.study import Study

Spacing = tuple[float, float, float]
Load = Callable[[Case], tuple[Study, Truth]]
#: What is compared: the infarct holds its no-reflow, the myocardium both.
STRUCTURES: Mapping[str, tuple[str, ...]] = {
    "scar": ("scar", "no_reflow"),
    "myocardium": ("lv_myocardium", "scar", "no_reflow"),
    "lv_cavity": ("lv_cavity",),
    "rv_cavity": ("rv_cavity",),
}
#: Patients without scar in truth and result have no Dice of scar; they count in the masses.
POLICY = EmptyMasks(correct_absence="left_out")
#: Scar of fewer grams claimed in a patient without any is not counted as a false alarm: a few voxels at the border.
FALSE_ALARM_G = 1.0


@dataclass(frozen=True)
class LgeScore:
    """One patient.

    Args:
        case_id: the patient.
        group: of the data set.
        structures: every metric per structure of `STRUCTURES`; without those that either scheme does not draw.
        scar_mass_g: no-reflow included.
        scar_mass_truth_g: of the truth.
        refused: the reason, when no heart was found; it is scored as masks that are empty.
        slices: slices with scar in both, in the result alone, in the truth alone, in neither.
        perimeter_similarity: of the outlines of scar, summed over slices; NaN where neither has any, and of scores
            that were kept before it was measured.
        pieces: connected regions of scar (26 neighbours) in the result.
        pieces_truth: the same of the truth.
    """

    case_id: str
    group: str
    structures: Mapping[str, MaskScore]
    scar_mass_g: float
    scar_mass_truth_g: float
    refused: str = ""
    slices: tuple[int, int, int, int] = (0, 0, 0, 0)
    perimeter_similarity: float = math.nan
    pieces: int = 0
    pieces_truth: int = 0

    @property
    def scar_percent(self) -> float:
        """Scar in percent of the LV muscle that was found; 0 where none was, NaN where scar alone is drawn."""
        if "myocardium" not in self.structures:
            return float("nan")
        muscle, scar = self.structures["myocardium"], self.structures["scar"]
        return 100 * scar.volume_ml / muscle.volume_ml if muscle.volume_ml > 0 else 0.0

    @property
    def scar_percent_truth(self) -> float:
        """The same of the truth."""
        if "myocardium" not in self.structures:
            return float("nan")
        muscle, scar = self.structures["myocardium"], self.structures["scar"]
        return 100 * scar.truth_volume_ml / muscle.truth_volume_ml if muscle.truth_volume_ml > 0 else 0.0

    def dice(self, name: str) -> float | None:
        """3-D Dice of a structure; None where it has none."""
        return self.structures[name].values["dice"] if name in self.structures else None


def score(cases: Iterable[Case], load: Load, pipeline: Pipeline) -> list[LgeScore]:
    """Segment every patient and compare with the masks; a refused patient is scored as one with empty masks."""
    return [_score_case(case, load, pipeline) for case in cases]


def _score_case(case: Case, load: Load, pipeline: Pipeline) -> LgeScore:
    study, truth = load(case)
    try:
        found, scheme, refused = segment(study.images[0], pipeline).labels[0], pipeline.scheme, ""
    except InputRefused as error:
        found, scheme, refused = np.zeros_like(truth.labels[0]), pipeline.scheme, error.code
    return compare(case, found, scheme, truth, refused)


def compare(case: Case, found_ZYX: NDArray[np.uint8], scheme: LabelScheme, truth: Truth, refused: str = "") -> LgeScore:
    """Compare masks of an LGE stack with a patient's masks.

    Args:
        case: the patient.
        found_ZYX: uint8 in the numbers of `scheme`.
        scheme: what they mean.
        truth: masks of the patient, of one frame.
        refused: why there are no masks.
    """
    spacing_zyx_mm = truth.geometry.spacing_xyz_mm[::-1]
    masks = {
        name: (_mask(scheme, found_ZYX, parts), _mask(truth.scheme, truth.labels[0], parts))
        for name, parts in STRUCTURES.items()
        if parts[0] in truth.scheme.numbers and parts[0] in scheme.numbers
    }
    structures = {name: score_mask(*pair, spacing_zyx_mm, POLICY) for name, pair in masks.items()}
    scar = structures["scar"]
    return LgeScore(
        case.case_id,
        case.group,
        structures,
        scar_mass_g=scar.volume_ml * MYOCARDIUM_DENSITY_G_ML,
        scar_mass_truth_g=scar.truth_volume_ml * MYOCARDIUM_DENSITY_G_ML,
        refused=refused,
        slices=_slices(*masks["scar"]),
        perimeter_similarity=_outlines(*masks["scar"], spacing_zyx_mm),
        pieces=_pieces(masks["scar"][0]),
        pieces_truth=_pieces(masks["scar"][1]),
    )


def _mask(scheme: LabelScheme, labels_ZYX: NDArray[np.uint8], parts: Sequence[str]) -> NDArray[np.bool_]:
    """Union of those of the parts that the scheme draws."""
    return scheme.mask(labels_ZYX, *(p for p in parts if p in scheme.numbers))


def _slices(given_ZYX: NDArray[np.bool_], expected_ZYX: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """See `LgeScore.slices`."""
    given, expected = given_ZYX.any(axis=(1, 2)), expected_ZYX.any(axis=(1, 2))
    both, neither = int((given & expected).sum()), int((~given & ~expected).sum())
    return both, int(given.sum()) - both, int(expected.sum()) - both, neither


def _outlines(given_ZYX: NDArray[np.bool_], expected_ZYX: NDArray[np.bool_], spacing_zyx_mm: Spacing) -> float:
    """See `LgeScore.perimeter_similarity`."""
    given, expected = (
        sum(perimeter_mm(picture, spacing_zyx_mm[1:]) for picture in m) for m in (given_ZYX, expected_ZYX)
    )
    return perimeter_similarity(given, expected) if given or expected else math.nan


def _pieces(mask_ZYX: NDArray[np.bool_]) -> int:
    return int(ndimage.label(mask_ZYX, np.ones((3, 3, 3), bool))[1])


def summarise(scores: Sequence[LgeScore]) -> dict[str, float]:
    """Agreement of scar mass over all patients, then Dice; what needs two patients is left out for fewer.

    ``scar_mass_*``: concordance, correlation, bias and limits of agreement in grams. ``dice_scar``: over patients who
    have scar or were given some; ``dice_scar_with_scar``: over those who have it, with its SD, median and interval.
    ``dice_mean``: mean of scar, myocardium and LV cavity. ``perimeter_similarity``: over patients with scar in either.
    ``n_false_alarms``: patients without scar, given more than `FALSE_ALARM_G`.
    """
    with_scar = [s for s in scores if s.scar_mass_truth_g > 0]
    result: dict[str, float] = {
        "n": len(scores),
        "n_refused": sum(bool(s.refused) for s in scores),
        "n_with_scar": len(with_scar),
        "n_false_alarms": sum(s.scar_mass_truth_g == 0 and s.scar_mass_g > FALSE_ALARM_G for s in scores),
    }
    found, true = [s.scar_mass_g for s in scores], [s.scar_mass_truth_g for s in scores]
    if not scores:
        return result
    agreement = bland_altman(found, true)
    if agreement is not None:
        result |= {
            "scar_mass_bias_g": agreement.bias,
            "scar_mass_low_g": agreement.low,
            "scar_mass_high_g": agreement.high,
            "scar_mass_mae_g": float(np.abs(np.subtract(found, true)).mean()),
        }
    for name, value in (("ccc", concordance(found, true)), ("pearson", pearson(found, true))):
        if value is not None:
            result[f"scar_mass_{name}"] = value
    for name in STRUCTURES:
        values = [v for s in scores if (v := s.dice(name)) is not None]
        if values:
            result[f"dice_{name}"] = float(np.mean(values))
            if name == "myocardium":
                result["dice_myocardium_median"] = float(np.median(values))
    dice = [v for s in with_scar if (v := s.dice("scar")) is not None]
    if dice:
        result |= {"dice_scar_with_scar": float(np.mean(dice)), "dice_scar_median": float(np.median(dice))}
        result["dice_scar_sd"] = float(np.std(dice, ddof=1)) if len(dice) > 1 else 0.0
        interval = bootstrap_interval(dice)
        if interval is not None:
            result |= {"dice_scar_low": interval.low, "dice_scar_high": interval.high}
    outlines = [s.perimeter_similarity for s in scores if np.isfinite(s.perimeter_similarity)]
    if outlines:
        result["perimeter_similarity"] = float(np.mean(outlines))
    main = [result[f"dice_{n}"] for n in ("scar", "myocardium", "lv_cavity") if f"dice_{n}" in result]
    return result | {"dice_mean": float(np.mean(main))} if main else result


def write_scores(scores: Sequence[LgeScore], path: Path) -> None:
    """One row per patient, as CSV."""
    rows: list[dict[str, str | float | None]] = []
    for s in scores:
        metrics = {f"{m}_{name}": v for name, mask in s.structures.items() for m, v in mask.values.items()}
        dice = {f"dice_{name}": metrics.pop(f"dice_{name}") for name in s.structures}
        rows.append(
            {
                "case_id": s.case_id,
                "group": s.group,
                "scar_mass_g": s.scar_mass_g,
                "scar_mass_truth_g": s.scar_mass_truth_g,
                **dice,
                "refused": s.refused,
                **metrics,
            }
        )
    write_rows(rows, path)
