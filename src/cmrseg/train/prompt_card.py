"""What a bundle that takes prompts says of itself."""

from __future__ import annotations

from collections.abc import Sequence

from cmrseg.evaluate.prompted import BOX_ERROR, BOX_ERROR_MM, PromptSummary
from cmrseg.train import cards
from cmrseg.train.data import Split
from cmrseg.train.prompt_config import PromptTrainConfig

DATA = {
    "name": "ACDC 2017 training set, LGE stacks generated from it, and MyoPS 2020 training set",
    "citation": cards.MYOPS["citation"],
    "licence": "MyoPS: research use only; ACDC: CC BY-NC-SA 4.0",
    "labels": "LV cavity, whole LV muscle, RV cavity, scar with no-reflow; their names are not given to the network",
}
_STRUCTURES = {
    "lv_cavity": "LV cavity",
    "myocardium": "LV muscle, whole",
    "rv_cavity": "RV cavity",
    "scar": "scar with no-reflow",
}
_WAYS = {"box": "box", "click": "1 click", "clicks3": "3 clicks"}


def _table(rows: Sequence[PromptSummary]) -> str:
    return "\n".join(
        f"| {row.kind} | {_STRUCTURES[row.structure]} | {_WAYS[row.way]} | {row.dice_mean:.3f} | {row.dice_sd:.3f} | "
        f"{row.patients} |"
        for row in rows
    )


def card(name: str, config: PromptTrainConfig, split: Split, rows: Sequence[PromptSummary]) -> str:
    """Card as Markdown: what it is, what it was trained on, how well it did, what it is not for.

    Args:
        name: of the bundle.
        config: of its training.
        split: who trained, and who measures.
        rows: measured results.
    """
    encoder, spec = config.model.encoder, config.input
    table = _table(rows)
    return f"""\
# Bundle `{name}`

Draws what a person points at on a cardiac MR slice: a box round it, or clicks in it. Research use only; not a
medical device. Its masks are semi-automatic: a person decides what is meant, and answers for it.

## What it is

Segment Anything in a small size: an image encoder of {encoder.depth} blocks and {encoder.embed_dim} channels on
patches of {encoder.patch_size} x {encoder.patch_size} px, pre-trained on cardiac MR without labels and then
trained further; the prompt encoder and mask decoder; and three convolutions that correct masks at full
resolution. It looks at a window of {spec.size} x {spec.size} px of {spec.spacing_mm:g} mm round the prompt. A
prompt is a box, a box with clicks, or up to {config.model.clicks} clicks, inside or outside of what is meant.
No prompt says what a structure is called, and the mask has no name.

## What it was trained on

{DATA["name"]}: {len(split.train)} patients, {config.optim.epochs} passes over their slices. Structures meant
were the LV cavity, the whole LV muscle, the RV cavity, and on LGE scar with its no-reflow (each region, or all
of a slice); boxes were wrong by {config.prompts.box_jitter:.0%} of a side (SD), and clicks followed where a
mask was wrong.

## How well it does

On the {len(split.held_out)} patients held out, none of whom trained it or its encoder, prompted by a simulated
person who knows the truth: a box whose edges are each wrong by {BOX_ERROR:.0%} of the side across it (SD, at
most {BOX_ERROR_MM:g} mm); one click in the middle; or that and two more where the mask was most wrong. Scar is
prompted region by region. Dice is of the volume over the slices that show the structure, in the image's own
pixels; mean and SD over patients.

| images | structure | prompt | Dice | SD | patients |
|---|---|---|---|---|---|
{table}

The LGE rows are of few patients of one hospital, with 2 to 6 slices each. A click in the muscle of an infarcted
slice is ambiguous: one in dark muscle is taken for the whole muscle, one in bright muscle for scar; give a box
where it matters.

## What it is not for

Structures other than these four, long-axis views, images without the heart, and any use without a person who
looks at every mask. It was never tried by real users.

## Licence

LicenseRef-research-only (see `LICENSE`).
"""
