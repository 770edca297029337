"""From an image to labels on its own grid: find the heart, look at it through a window, segment, carry back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cmrseg.errors import InputRefused
from cmrseg.geometry import Window
from cmrseg.labels import LabelScheme
from cmrseg.segment.postprocess import keep_the_heart, without_specks
from cmrseg.segment.preprocess import InputSpec, image_centre
from cmrseg.study import Finding, Image, Segmentation

#: Frames that the locator looks at; the heart's place hardly moves, so a few spread over the beat suffice.
LOCATOR_FRAMES = 4
#: Below this area (cm2) of foreground in its best slice, what the locator saw is not a heart.
SMALLEST_HEART_CM2 = 4.0


class Predictor(Protocol):
    """A network, whatever runs it: float32[N, S, H, W] -> class probabilities float32[members, N, classes, H, W]."""

    def __call__(self, inputs_NSHW: NDArray[np.float32]) -> NDArray[np.float32]: ...


@dataclass(frozen=True)
class Stage:
    """One network and what it expects to see."""

    spec: InputSpec
    predict: Predictor

    def probabilities(self, windows_ZHW: NDArray[np.float32]) -> NDArray[np.float32]:
        """Class probabilities [members, Z, classes, H, W] of a stack of raw windows [Z, H, W]."""
        return self.predict(self.spec.with_context(self.spec.normalise(windows_ZHW)))


@dataclass(frozen=True)
class Members:
    """Some of the networks of an ensemble.

    Args:
        predict: the ensemble.
        chosen: which of its members to ask, counted from 0; at least one.
    """

    predict: Predictor
    chosen: tuple[int, ...]

    def __call__(self, inputs_NSHW: NDArray[np.float32]) -> NDArray[np.float32]:
        return self.predict(inputs_NSHW)[list(self.chosen)]


@dataclass(frozen=True)
class Pipeline:
    """The networks of a bundle in the order they are used.

    Args:
        locator: sees whole slices at coarse resolution and finds the heart.
        segmenter: sees the window round the heart; may be an ensemble.
        scheme: what the segmenter's classes mean.
        method: name and version, for the result.
        not_assessed: as in `study.Segmentation`.
    """

    locator: Stage
    segmenter: Stage
    scheme: LabelScheme
    method: str
    not_assessed: Mapping[str, str] = field(default_factory=dict)

    def of_members(self, chosen: Sequence[int]) -> Pipeline:
        """The same pipeline with only some members of the ensemble; ValueError when none is chosen."""
        if not chosen:
            raise ValueError("an ensemble of no members segments nothing")
        members = Members(self.segmenter.predict, tuple(chosen))
        return replace(self, segmenter=replace(self.segmenter, predict=members))


@dataclass(frozen=True)
class SegmentOptions:
    """What a user may switch."""

    clean_up: bool = True
    """Keep the largest component of each structure and fill holes; what was removed is reported either way."""


def segment(image: Image, pipeline: Pipeline, options: SegmentOptions = SegmentOptions()) -> Segmentation:
    """Segment every frame of an image on the image's own grid.

    Args:
        image: cine or LGE stack.
        pipeline: networks, from `bundle.load`.
        options: switches.

    Raises:
        InputRefused: code `no_heart`, when the locator finds nothing of a heart's size.
    """
    centre_xy = find_heart(image, pipeline.locator)
    labels = np.empty(image.data.shape, np.uint8)
    agreements: list[Mapping[str, float]] = []
    scars: list[NDArray[np.float32]] = []
    for frame, (labels_ZYX, agreement, scar_ZYX) in enumerate(_frames(image, pipeline, centre_xy)):
        labels[frame] = labels_ZYX
        agreements.append(agreement)
        if scar_ZYX is not None:
            scars.append(scar_ZYX)
    findings: tuple[Finding, ...] = ()
    if options.clean_up:
        scar_TZYX = np.stack(scars) if scars else None
        labels, findings = keep_the_heart(labels, pipeline.scheme, image.geometry, scar_TZYX)
    told = agreements[0] if agreements else {}
    per_frame = {name: np.array([agreement[name] for agreement in agreements]) for name in told}
    return Segmentation(
        labels=labels,
        scheme=pipeline.scheme,
        geometry=image.geometry,
        frame_times_ms=image.frame_times_ms,
        agreement={name: float(values.mean()) for name, values in per_frame.items()},
        agreement_per_frame=per_frame,
        method=pipeline.method,
        findings=findings,
        not_assessed=pipeline.not_assessed,
    )


def find_heart(image: Image, locator: Stage) -> tuple[float, float]:
    """Index position (column, row) of the heart in the slices, from a few frames of the beat.

    Raises:
        InputRefused: code `no_heart`.
    """
    window = locator.spec.window(image.geometry, image_centre(image.geometry))
    frames = np.unique(np.linspace(0, image.n_frames - 1, min(LOCATOR_FRAMES, image.n_frames)).astype(int))
    heart_ZHW = np.zeros((image.n_slices, locator.spec.size, locator.spec.size), np.float32)
    for frame in frames:
        probabilities = locator.probabilities(window.extract(image.data[frame])).mean(axis=0)
        heart_ZHW += (1 - probabilities[:, 0]) / len(frames)
    pixel_cm2 = (locator.spec.spacing_mm / 10) ** 2
    components, count = ndimage.label(heart_ZHW > 0.5)
    if count == 0:
        raise _no_heart()
    masses = ndimage.sum_labels(heart_ZHW, components, np.arange(1, count + 1))
    largest = components == 1 + int(np.argmax(masses))
    if largest.sum(axis=(1, 2)).max() * pixel_cm2 < SMALLEST_HEART_CM2:
        raise _no_heart()
    _, row, column = ndimage.center_of_mass(heart_ZHW * largest)
    return window.to_slice_xy(row, column)


def _no_heart() -> InputRefused:
    return InputRefused(
        "no_heart",
        "No heart was found in the slices.",
        "Check that this is a short-axis stack of the heart; `cmrseg inspect` shows what was read.",
    )


def _frames(
    image: Image, pipeline: Pipeline, centre_xy: tuple[float, float]
) -> Iterator[tuple[NDArray[np.uint8], Mapping[str, float], NDArray[np.float32] | None]]:
    """Labels on the image grid [Z, Y, X], agreement of the members and, of LGE, the probability of scar or no-reflow on
    that grid; frame by frame, to keep memory small."""
    stage, scheme = pipeline.segmenter, pipeline.scheme
    window = stage.spec.window(image.geometry, centre_xy)
    infarct = [1 + k for k, name in enumerate(scheme.foreground_names) if name in scheme.infarct_names]
    for data_ZYX in image.data:
        members = stage.probabilities(window.extract(data_ZYX))
        mean_ZKHW = members.mean(axis=0)
        scar_ZYX = window.restore(mean_ZKHW[:, infarct].sum(axis=1, keepdims=True))[:, 0] if infarct else None
        voxel_volume_ml = window.window_spacing_mm**2 * image.geometry.spacing_xyz_mm[2] / 1000
        yield labels_on_image(window, mean_ZKHW, scheme), _agreement(members, scheme, voxel_volume_ml), scar_ZYX


def labels_on_image(window: Window, probabilities_ZKHW: NDArray[np.float32], scheme: LabelScheme) -> NDArray[np.uint8]:
    """Class probabilities in a window as labels uint8[Z, Y, X] on the slices it looks at, in numbers of the scheme."""
    y, x = window.covered
    native = window.restore(probabilities_ZKHW[:, 1:])
    labels = np.full((len(native), *native.shape[2:]), scheme["background"], np.uint8)
    native = native[..., y, x]
    # Background takes what the other classes leave, so that what the window barely covers is background.
    native = np.concatenate([1 - native.sum(axis=1, keepdims=True), native], axis=1)
    labels[:, y, x] = _numbers(native.argmax(axis=1), scheme)
    return labels


def _numbers(classes: NDArray[np.intp], scheme: LabelScheme) -> NDArray[np.uint8]:
    """Channels of the network's output, by index, as numbers of the scheme."""
    numbers = np.array([scheme[n] for n in ("background", *scheme.foreground_names)], np.uint8)
    labels: NDArray[np.uint8] = numbers[classes]
    return labels


def _agreement(members_MZKHW: NDArray[np.float32], scheme: LabelScheme, voxel_volume_ml: float) -> Mapping[str, float]:
    """Mean Dice over pairs of members, per structure; empty for a single network. Both empty counts as agreement.

    Specks of scar, which clean-up takes out of the result whoever drew them, do not count: in a heart without scar
    members rarely draw the same ones.
    """
    if len(members_MZKHW) < 2:
        return {}
    found = [_numbers(member.argmax(axis=1), scheme) for member in members_MZKHW]
    if scheme.infarct_names:
        found = [without_specks(labels_ZHW, scheme, voxel_volume_ml) for labels_ZHW in found]
    result: dict[str, float] = {}
    count = len(found)
    for name in scheme.foreground_names:
        masks = [labels_ZHW == scheme[name] for labels_ZHW in found]
        scores = []
        for a in range(count):
            for b in range(a + 1, count):
                size = int(masks[a].sum() + masks[b].sum())
                scores.append(1.0 if size == 0 else 2.0 * int((masks[a] & masks[b]).sum()) / size)
        result[name] = float(np.mean(scores))
    return result
