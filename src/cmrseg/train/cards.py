"""What a bundle that ships says of itself: data, licence, and the card with its measured results."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cmrseg.evaluate.cine import PHASES, STRUCTURES, CineScore
from cmrseg.evaluate.lge import LgeScore
from cmrseg.train.config import GeneratedConfig, TrainConfig
from cmrseg.train.data import Split
from cmrseg.train.export import BundleInfo

ACDC = {
    "name": "ACDC 2017 training set",
    "citation": "Bernard et al., IEEE Transactions on Medical Imaging 37(11), 2018, doi:10.1109/TMI.2018.2837502",
    "licence": "CC BY-NC-SA 4.0",
    "labels": "1 RV cavity, 2 LV myocardium, 3 LV cavity; papillary muscles belong to the cavity",
}
ACDC_LICENCE = """\
The weights in this folder are licensed under the Creative Commons
Attribution-NonCommercial-ShareAlike 4.0 International licence (CC BY-NC-SA 4.0):
https://creativecommons.org/licenses/by-nc-sa/4.0/legalcode

They were trained on the ACDC data set, which has the same licence. Attribution:
O. Bernard, A. Lalande, C. Zotti, F. Cervenansky, et al., "Deep Learning Techniques for
Automatic MRI Cardiac Multi-structures Segmentation and Diagnosis: Is the Problem Solved?",
IEEE Transactions on Medical Imaging 37(11):2514-2525, 2018, doi:10.1109/TMI.2018.2837502.

The code of cmrseg is licensed apart from the weights, under Apache-2.0.
"""
MYOPS = {
    "name": "MyoPS 2020 training set, and LGE stacks generated from the ACDC 2017 training set",
    "citation": "Li et al., Medical Image Analysis 87:102808, 2023, doi:10.1016/j.media.2023.102808; Bernard et al., "
    "IEEE Transactions on Medical Imaging 37(11), 2018, doi:10.1109/TMI.2018.2837502",
    "licence": "MyoPS: research use only; ACDC: CC BY-NC-SA 4.0",
    "labels": "1 LV cavity, 2 remote LV muscle (oedema counts as muscle), 3 scar, 4 no-reflow, 5 RV cavity",
}
MYOPS_LICENCE = """\
The weights in this folder may be used for research only, not commercially, with attribution,
and may be shared under the same terms only. They were trained on:

MyoPS 2020, challenge data for research use: L. Li, F. Wu, S. Wang, et al., "MyoPS: A benchmark
of myocardial pathology segmentation combining three-sequence cardiac magnetic resonance images",
Medical Image Analysis 87:102808, 2023, doi:10.1016/j.media.2023.102808.

ACDC, licensed CC BY-NC-SA 4.0 (https://creativecommons.org/licenses/by-nc-sa/4.0/legalcode), from
whose cines LGE stacks were generated, and on which the first weights were trained:
O. Bernard, A. Lalande, C. Zotti, F. Cervenansky, et al., "Deep Learning Techniques for
Automatic MRI Cardiac Multi-structures Segmentation and Diagnosis: Is the Problem Solved?",
IEEE Transactions on Medical Imaging 37(11):2514-2525, 2018, doi:10.1109/TMI.2018.2837502.

The code of cmrseg is licensed apart from the weights, under Apache-2.0.
"""


@dataclass(frozen=True)
class Measured:
    """What a card is written from.

    Args:
        summary: of the bundle's networks on the patients that they held out.
        int8: the same of the quantised network.
        ships_int8: whether the bundle holds that network; not where it lost too much.
        splits: of each member.
        locator: of the network that finds the heart.
        configs: of the training of each member; their input is the same.
    """

    summary: Mapping[str, float]
    int8: Mapping[str, float]
    ships_int8: bool
    splits: Sequence[Split]
    locator: Split
    configs: Sequence[TrainConfig]


def cine_card(info: BundleInfo, scores: Sequence[CineScore], measured: Measured) -> str:
    """Card of a cine bundle as Markdown: what it is, what it was trained on, how well it did, what it is not for."""
    summary, int8, splits, locator = measured.summary, measured.int8, measured.splits, measured.locator
    groups = sorted({s.group for s in scores})
    by_group = ", ".join(
        f"{g} {np.mean([np.mean(list(s.dice.values())) for s in scores if s.group == g]):.3f}" for g in groups
    )
    members = len(splits)
    networks = f"An ensemble of {members} plain 2-D U-Nets that see" if members > 1 else "One plain 2-D U-Net that sees"
    return f"""\
# Bundle `{info.name}` {info.version}

Segments the right ventricular cavity, the left ventricular muscle and the left ventricular cavity on short-axis
cine MR (balanced SSFP). Research use only; not a medical device.

## What it is

{networks} a slice with its two neighbours in a window of 128 x 128 pixels of 1.4 mm
round the heart, and a smaller U-Net that finds the heart on the whole field of view. Papillary muscles belong
to the cavity. Intensities are clipped to the 0.5 and 99.5 percentile of each slice's window and z-scored.

## What it was trained on

{info.data["name"]}: {info.data["citation"]}.
{_who_trained(splits)}
The network that finds the heart trained on {len(locator.train)} of them. One centre, two scanners
(Siemens 1.5 T and 3 T). The ids stand in `bundle.json` under `member_splits`. The held-out patients were looked at
while the recipe was decided, so they are validation patients rather than a test set: expect a little less on others.

## How well it does

On {len(scores)} patients, each segmented by {_by_whom(splits)}, 3-D Dice on the native grid,
heart found automatically, mean ± SD over patients:

| structure | end-diastole | end-systole |
|---|---|---|
{_dice_rows(scores)}

Mean of the six: **{summary["dice_mean"]:.4f}** (SD over patients {summary["dice_sd"]:.4f}, worst patient
{summary["dice_worst"]:.3f}); by group: {by_group}. Hearts not found: {summary["n_refused"]} of {summary["n"]}.
LVEF: mean absolute error {summary["lv_ef_mae_points"]:.2f} points, bias {summary["lv_ef_bias_points"]:+.2f} ± \
{summary["lv_ef_sd_points"]:.2f}. RVEF: {summary["rv_ef_mae_points"]:.2f} points, bias \
{summary["rv_ef_bias_points"]:+.2f} ± {summary["rv_ef_sd_points"]:.2f}.
EF is compared at the frames that the experts labelled.
{_quantised(measured)} a mean Dice of {int8["dice_mean"]:.4f} and an LVEF error of \
{int8["lv_ef_mae_points"]:.2f} points.

Measured by `cmrseg models export`, which ran this bundle's ONNX files on these patients. Patients of one centre say
little about other scanners: expect less there, and look at every report.

## Not for

Long-axis views, LGE, real-time or non-SSFP cines, congenital hearts, children: none were in the training set.

## Licence

CC BY-NC-SA 4.0 (see `LICENSE`): non-commercial, with attribution, share alike.
"""


def _dice_rows(scores: Sequence[CineScore]) -> str:
    """One row of a Markdown table for each structure: mean, SD and worst Dice in either phase."""
    names = {"lv_cavity": "LV cavity", "rv_cavity": "RV cavity", "lv_myocardium": "LV myocardium"}
    rows = []
    for structure in STRUCTURES:
        cells = []
        for phase in PHASES:
            values = [s.dice[f"{structure}_{phase}"] for s in scores]
            cells.append(f"{np.mean(values):.3f} ± {np.std(values, ddof=1):.3f} (worst {min(values):.3f})")
        rows.append(f"| {names[structure]} | {cells[0]} | {cells[1]} |")
    return "\n".join(rows)


def lge_card(info: BundleInfo, scores: Sequence[LgeScore], measured: Measured) -> str:
    """Card of an LGE bundle as Markdown: agreement of scar mass first, then Dice."""
    summary, int8, splits, seen = measured.summary, measured.int8, measured.splits, measured.configs[0].input
    began = _by_member([f"Training began with {_weights_before(config)}." for config in measured.configs])
    beside = _by_member([_generated_beside(config.data.generated) for config in measured.configs])
    dice = [s.dice("scar") or 0.0 for s in scores if s.scar_mass_truth_g > 0]
    others = ", ".join(
        f"{title} {summary[f'dice_{name}']:.3f}"
        for name, title in (("myocardium", "whole LV muscle"), ("lv_cavity", "LV cavity"), ("rv_cavity", "RV cavity"))
        if f"dice_{name}" in summary
    )
    return f"""\
# Bundle `{info.name}` {info.version}

Segments both cavities, the left ventricular muscle, scar and no-reflow on short-axis LGE MR. Research use only; not a
medical device.

## What it is

{len(splits)} plain 2-D U-Nets that see a slice with its neighbours in a window of {seen.size} x {seen.size} pixels of \
{seen.spacing_mm:g} mm
round the heart, and the network of the cine bundle that finds the heart, which was never shown LGE.
{began}

## What it was trained on

{info.data["name"]}: {info.data["citation"]}.
{_who_trained(splits)}
{beside}
How they were made, and that the ranges of their contrast were set by
looking at these patients, stands in docs/explanation/generated-lge.md. The held-out patients were looked at while the
recipe was decided: they are validation patients, not a test set. MyoPS patients all have scar and come from one
hospital, in 2 to 6 thick slices; no-reflow was seen in generated stacks only.

## How well it does

On {len(scores)} patients, each segmented by {_by_whom(splits)},
heart found automatically, native grid, no-reflow counted as scar:

- **Scar mass**: concordance (Lin) {summary["scar_mass_ccc"]:.2f}, bias {summary["scar_mass_bias_g"]:+.1f} g, limits \
of agreement {summary["scar_mass_low_g"]:+.1f}
  to {summary["scar_mass_high_g"]:+.1f} g, mean absolute error {summary["scar_mass_mae_g"]:.1f} g.
- **Dice of scar** in patients who have some: mean {np.mean(dice):.3f} (SD {np.std(dice, ddof=1):.3f}), median \
{np.median(dice):.3f}, worst {min(dice):.3f}.
- Dice of the rest: {others}.
- Hearts not found: {summary["n_refused"]:.0f} of {summary["n"]:.0f}.

{_quantised(measured)} a concordance of {int8["scar_mass_ccc"]:.2f} and a Dice of scar of \
{int8["dice_scar"]:.3f}.
Measured by `cmrseg models export`, which ran this bundle's ONNX files on these patients.

## Not for

Long-axis views, T1 maps, early enhancement, diffuse fibrosis, amyloid, children: none were in the training set.

## Licence

Research only, non-commercial, with attribution (see `LICENSE`).
"""


def _by_member(sentences: Sequence[str]) -> str:
    """What is said of each member, once for those of whom the same is said."""
    counts = Counter(sentences)
    if len(counts) == 1:
        return sentences[0]
    return "\n".join(f"Of {count} of the networks: {sentence}" for sentence, count in counts.items())


def _generated_beside(made: GeneratedConfig) -> str:
    """What was generated to train on beside the patients, as sentences."""
    parts = []
    if made.cine:
        parts.append(
            "Beside them, LGE generated from the labelled frames of the 100 ACDC patients "
            f"({made.per_frame} of each frame),\nwith scars of known extent."
        )
    if made.repainted:
        parts.append(
            f"Each patient who trained was also shown {made.repainted} times with their scar taken out and another,\n"
            "or none, painted in."
        )
    return " ".join(parts) or "Nothing was generated beside them."


def _quantised(measured: Measured) -> str:
    """Begin of the sentence that says how well the quantised network does."""
    if measured.ships_int8:
        return "The quantised network reaches"
    return "Quantised to 8 bits the networks lose too much for that to ship: they reach"


def _weights_before(config: TrainConfig) -> str:
    """What a training began with, as the end of a sentence; earlier runs are followed back."""
    if not config.start_from:
        return "random weights"
    earlier = Path(config.start_from) / "config.json"
    if not earlier.is_file():
        return f"the weights of the {config.start_from.partition(':')[0]} bundle"
    first = TrainConfig.load(earlier)
    saw = "generated stacks alone" if first.data.generated.cine and not first.data.shows_patients else "the same data"
    return f"the weights of a network that saw {saw} and began with\n{_weights_before(first)}"


def _who_trained(splits: Sequence[Split]) -> str:
    """Which patients trained the networks, as sentences."""
    everyone = len(set(splits[0].train) | set(splits[0].validation))
    if len(set(splits)) == 1:
        return f"{len(splits[0].train)} patients trained, {len(splits[0].validation)} were held out."
    sizes = " or ".join(str(n) for n in sorted({len(split.validation) for split in splits}))
    return f"The members are the folds of a cross-validation: each trained\nwithout {sizes} of the {everyone} patients."


def _by_whom(splits: Sequence[Split]) -> str:
    """Which members segment a patient when the bundle is measured."""
    if len(set(splits)) == 1:
        return "the ensemble"
    strangers = sorted(set(Counter(case_id for split in splits for case_id in split.validation).values()))
    members = "the one member" if strangers == [1] else f"the {' or '.join(map(str, strangers))} members"
    return f"{members} that never saw it (as a whole the ensemble has seen them all)"
