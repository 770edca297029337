"""Myocardium parted into remote myocardium, scar and no-reflow by the brightness of an LGE image."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cmrseg import labels
from cmrseg.errors import InputRefused, UsageError
from cmrseg.quantify.scar import regions
from cmrseg.quantify.scar.config import DEFAULT_METHOD, METHODS, ScarConfig
from cmrseg.quantify.scar.intensities import Threshold, find_threshold, half_way
from cmrseg.study import Finding, Image, Segmentation

Mask = NDArray[np.bool_]
#: A threshold from fewer pixels is a guess.
FEWEST_PIXELS = 30
_RING = np.ones((1, 3, 3), bool)


def find_scar(
    image: Image,
    segmentation: Segmentation,
    method: str | ScarConfig = DEFAULT_METHOD,
    remote_ZYX: Mask | None = None,
    seeds_ZYX: Mask | None = None,
) -> Segmentation:
    """Classify the whole LV myocardium anew, by a threshold on its brightness.

    Scar that the masks hold already is not looked at. Bright islands too small to be scar are dropped; a dark core that
    scar, or scar and the cavity, enclose becomes no-reflow. No threshold can tell bright remote myocardium from scar: a
    healthy heart with uneven brightness gets some scar from every method.

    Args:
        image: LGE, float32[1, Z, Y, X].
        segmentation: on its grid, in `labels.LGE`, `labels.LGE_RV`, or `labels.CINE` where only contours were drawn.
        method: name of `METHODS`, or settings.
        remote_ZYX: bool, muscle known to be healthy; by default the darker of two classes of brightness.
        seeds_ZYX: bool, muscle known to be scar: the greatest brightness is taken from it, and only bright regions that
            hold a seed are kept. By default all of the muscle, and all regions.

    Returns:
        The segmentation in `labels.LGE` where it came so, else in `labels.LGE_RV`, with a finding that names method,
        threshold and remote myocardium, or why no scar was looked for. Without muscle it has no scar.

    Raises:
        UsageError: no such method; shapes differ; several frames; hardly any muscle in what was outlined.
        InputRefused: `nonfinite`: muscle intensities are NaN or infinite; `labels`: another scheme.
    """
    config = method if isinstance(method, ScarConfig) else ScarConfig(method)
    target = labels.LGE if segmentation.scheme.name == labels.LGE.name else labels.LGE_RV
    classified = labels.convert(segmentation.labels, segmentation.scheme, target)
    if image.data.shape != classified.shape or len(classified) != 1:
        raise UsageError(
            f"Scar is found on one LGE frame; image {list(image.data.shape)}, masks {list(classified.shape)} are not.",
            "Give an image and masks [1, Z, Y, X] on one grid.",
        )
    picture, frame = image.data[0].astype(np.float64), classified[0]
    muscle = target.whole_myocardium(frame)
    if not np.isfinite(picture[muscle]).all():
        raise InputRefused(
            "nonfinite", "The myocardium's intensities hold NaN or infinity.", "Convert the series again."
        )
    spacing_xy = image.geometry.spacing_xyz_mm[:2]
    trusted = _trusted(muscle, config, spacing_xy)
    remote = _outlined(remote_ZYX, muscle, "remote myocardium")
    seeds = _outlined(seeds_ZYX, muscle, "seeds")

    bright, thresholds = _bright(picture, muscle, trusted, config, remote, seeds)
    if seeds is not None:
        bright = regions.grown(bright, seeds)
    bright = regions.without_islands(bright, config.smallest_island_mm2 / image.geometry.pixel_area_mm2)
    cores = regions.dark_cores(muscle, target.mask(frame, "lv_cavity"), bright)
    no_reflow = regions.without_islands(cores, config.smallest_no_reflow_mm2 / image.geometry.pixel_area_mm2)
    frame[muscle] = target["lv_myocardium"]
    frame[bright | cores] = target["scar"]
    frame[no_reflow] = target["no_reflow"]
    unknown = {name: why for name, why in segmentation.not_assessed.items() if name not in target.infarct_names}
    return replace(
        segmentation,
        labels=classified,
        scheme=target,
        method=f"{segmentation.method}; scar by {config.method}" if segmentation.method else f"scar by {config.method}",
        findings=(*segmentation.findings, _told(config, thresholds, bool(muscle.any()))),
        not_assessed=unknown,
    )


def _trusted(muscle: Mask, config: ScarConfig, spacing_xy_mm: tuple[float, float]) -> Mask:
    """Myocardium that statistics are taken from: without its rim, or all of it where hardly any lies inside the rim."""
    inner = regions.without_rim(muscle, config.rim_mm, spacing_xy_mm)
    return inner if inner.sum() >= max(FEWEST_PIXELS, 0.1 * muscle.sum()) else muscle


def _outlined(mask_ZYX: Mask | None, muscle: Mask, what: str) -> Mask | None:
    """What somebody outlined, on myocardium; refused where it lies on another grid or holds hardly any of it."""
    if mask_ZYX is None:
        return None
    if mask_ZYX.shape != muscle.shape:
        raise UsageError(
            f"The outlined {what} have the shape {list(mask_ZYX.shape)}, the image {list(muscle.shape)}.",
            "Give a mask [Z, Y, X] on the image's grid.",
        )
    inside = mask_ZYX.astype(bool) & muscle
    fewest = FEWEST_PIXELS if what == "remote myocardium" else 1
    if inside.sum() < fewest:
        raise UsageError(
            f"The outlined {what} hold {int(inside.sum())} voxels of the LV myocardium.",
            f"Outline at least {fewest} of it.",
        )
    return inside


def _bright(
    picture: NDArray[np.float64],
    muscle: Mask,
    trusted: Mask,
    config: ScarConfig,
    remote: Mask | None,
    seeds: Mask | None,
) -> tuple[Mask, list[Threshold]]:
    """Myocardium above the threshold of the stack, or of each slice, and those thresholds."""
    bright, thresholds = np.zeros_like(muscle), []
    parts = [slice(None)] if config.per == "volume" else [slice(z, z + 1) for z in range(len(muscle))]
    for part in parts:
        values = picture[part][trusted[part]]
        if len(values) < FEWEST_PIXELS:
            continue
        # what somebody outlined speaks for all slices
        threshold = find_threshold(
            values,
            config,
            None if remote is None else picture[remote],
            None if seeds is None else picture[seeds],
        )
        if threshold is None:
            continue
        thresholds.append(threshold)
        bright[part] = muscle[part] & (picture[part] > threshold.value)
        middle = half_way(values) if config.method == "ewa" else None
        if middle is not None:
            touching = ndimage.binary_dilation(bright[part], _RING)
            bright[part] = muscle[part] & (picture[part] > middle) & touching
    return bright, thresholds


def _told(config: ScarConfig, thresholds: list[Threshold], has_muscle: bool) -> Finding:
    if not thresholds:
        why = (
            "its brightness shows one kind of myocardium only (enhanced myocardium would stand out from the rest)"
            if has_muscle
            else "no myocardium is outlined"
        )
        return Finding("scar_not_looked_for", "info", f"The method {config.method} labelled no scar because {why}.")
    values, means, sds = ([getattr(t, n) for t in thresholds] for n in ("value", "remote_mean", "remote_sd"))
    origin = "as outlined" if thresholds[0].given_remote else "found automatically"
    return Finding(
        "scar_method",
        "info",
        f"Scar by {config.method}: {METHODS[config.method]}. Threshold {_range(values)} in the image's units; remote "
        f"myocardium, {origin}: mean {_range(means)}, SD {_range(sds)}.",
    )


def _range(values: list[float]) -> str:
    low, high = min(values), max(values)
    return f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}"
