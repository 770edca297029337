"""What an encoder bundle says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

UNSTATED_ID = "LicenseRef-unstated"
UNSTATED_TEXT = """\
Nobody stated terms for these weights when they were made. They were trained on the images
that encoder.json names, and the terms of those images bind whoever passes the weights on:
state them, and the source of the images, before you do.
"""


def card(name: str, description: Mapping[str, Any]) -> str:
    """The card as Markdown: what it is, what it saw, how far it came, what it is not for.

    Args:
        name: of the bundle.
        description: what encoder.json holds under ``data``, ``training``, ``losses`` and ``licence_id``.
    """
    data, training, losses = description["data"], description["training"], description["losses"]
    encoder, last = training["encoder"], losses["last"]
    check = f", {last['check_loss']:.3f} on studies that did not train" if "check_loss" in last else ""
    left_out = len(data["left_out"])
    unseen = (
        f"{left_out} patients were left out, by their id and by the pixels of their frames; encoder.json names them. "
        "Only they may measure what is built on this encoder."
        if left_out
        else "No patient was left out: nothing that is built on this encoder can be measured on these studies."
    )
    return f"""\
# Encoder `{name}`

The image encoder of Segment Anything in a small size, pre-trained on cardiac MR without labels. Research use only;
not a medical device.

## What it is

A vision transformer of {encoder["depth"]} blocks and {encoder["embed_dim"]} channels on patches of \
{encoder["patch_size"]} x {encoder["patch_size"]} px, for windows of
{encoder["image_size"]} x {encoder["image_size"]} px of {training["input"]["spacing_mm"]:g} mm; it gives \
{encoder["out_channels"]} channels for each patch. Each slice is clipped to its
{training["input"]["low_percentile"]:g} and {training["input"]["high_percentile"]:g} percentile, z-scored, and \
repeated in {encoder["in_channels"]} channels.

It was trained as a masked auto-encoder (He et al., CVPR 2022): {training["mae"]["mask_ratio"]:.0%} of the patches \
hidden, their normalised pixels
predicted.

## What it saw

{data["slices"]} slices of {len(data["studies"])} studies in {", ".join(data["folders"])}. {unseen}

## How far it came

{last["epoch"]} epochs. Loss {losses["first"]["loss"]:.3f} in the first, {last["loss"]:.3f} in the last{check}: the \
mean squared error of a hidden
patch's pixels, where predicting each patch's mean gives at most 1.

## Licence

{description["licence_id"]} (see `LICENSE`).
"""
