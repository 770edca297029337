"""Where a report comes from, in words: the stack's source, the files, the software, the models and the settings."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import cmrseg
from cmrseg.report.stack import Line
from cmrseg.report.words import KINDS, plain_text
from cmrseg.study import Analysis, Part

READERS = {"dicom": "DICOM", "acdc": "ACDC", "mnms": "M&Ms", "emidec": "EMIDEC", "myops": "MyoPS", "nifti": "NIfTI"}
RUNTIMES = {"onnx": "ONNX Runtime", "openvino": "OpenVINO", "torch": "PyTorch"}
#: Headings of a source's entries; what the voxel size and the number of slices say already has none.
SOURCE_HEADINGS = {
    "reader": "Read as",
    "vendor": "Scanner",
    "field_strength_t": "Field strength",
    "n_series": "Series",
    "n_files": "Files",
    "phase_key": "Phases ordered by",
    "chosen_because": "Why this stack",
    "reconstruction": "Reconstruction",
    "inversion_times_ms": "Inversion time",
}
_TOLD_ELSEWHERE = ("n_slices", "n_phases", "pixel_spacing_mm", "slice_distance_mm", "slice_distance_from")
SETTING_HEADINGS = {
    "kind": "Analysed as",
    "clean_up": "Largest region kept, holes filled",
    "threads": "Threads",
    "study_date": "Date of the examination kept",
    "scheme": "Label scheme",
    "scar_method": "Scar method",
}
#: Digits of a hash that tell two studies or files apart for a reader.
HASH_DIGITS = 12


def source_lines(part: Part) -> list[Line]:
    """What the stack was made of; entries without a value are left out."""
    special = {
        "reader": lambda value: READERS.get(value, value),
        "field_strength_t": lambda value: f"{plain_text(value)} T",
        "inversion_times_ms": _times_text,
    }
    lines = []
    for key, value in part.image.source.items():
        if value is None or key in _TOLD_ELSEWHERE:
            continue
        text = special[key](value) if key in special else plain_text(value)
        lines.append((_heading(key, SOURCE_HEADINGS), str(text)))
    return lines


def _times_text(times: Any) -> str:
    return f"{' to '.join(dict.fromkeys(plain_text(time) for time in times))} ms"


def _heading(key: str, headings: Mapping[str, str]) -> str:
    words = key.replace("_", " ")
    return headings.get(key, words[:1].upper() + words[1:])


def run_lines(analysis: Analysis) -> tuple[Line, ...]:
    """What run.json says of the software, the models, the settings and the time it took."""
    run = analysis.run
    lines = [
        ("Software", _software(run.get("versions"))),
        *_model_lines(run.get("bundles")),
        ("Runtime", RUNTIMES.get(str(run.get("runtime")), plain_text(run.get("runtime")))),
        *_setting_lines(run.get("settings")),
        ("Machine", _machine(run.get("device"))),
        ("Finished", finished(analysis)),
        ("Time taken", _timings(run.get("timings_s"))),
        ("Fingerprint", str(run.get("fingerprint") or "")),
    ]
    return tuple((heading, text) for heading, text in lines if text)


def finished(analysis: Analysis) -> str:
    """When the analysis was done; empty where run.json does not say."""
    told = str(analysis.run.get("finished") or "")
    try:
        return datetime.fromisoformat(told).strftime("%Y-%m-%d %H:%M %Z").strip()
    except ValueError:
        return told


def _software(versions: object) -> str:
    others = {k: v for k, v in versions.items() if k != "cmrseg"} if isinstance(versions, Mapping) else versions
    return ", ".join(text for text in (f"cmrseg {cmrseg.__version__}", plain_text(others)) if text)


def _model_lines(bundles: object) -> list[Line]:
    if not isinstance(bundles, Mapping):
        return [("Model", plain_text(bundles))]
    return [(f"Model, {KINDS.get(str(kind), kind)}", _model(bundle)) for kind, bundle in bundles.items()]


def _model(bundle: object) -> str:
    if not isinstance(bundle, Mapping):
        return plain_text(bundle)
    name = " ".join(plain_text(bundle.get(key)) for key in ("name", "version") if bundle.get(key))
    told = (name, "quantised" if bundle.get("int8") else "", bundle.get("sha256") and f"SHA-256 {bundle['sha256']}")
    return ", ".join(text for text in told if text)


def _setting_lines(settings: object) -> list[Line]:
    if not isinstance(settings, Mapping):
        return [("Settings", plain_text(settings))]
    return [(_heading(key, SETTING_HEADINGS), plain_text(value)) for key, value in settings.items()]


def _machine(device: object) -> str:
    if not isinstance(device, Mapping):
        return plain_text(device)
    cores = f"{device['cores']} cores" if "cores" in device else ""
    others = plain_text([value for key, value in device.items() if key != "cores"])
    return ", ".join(text for text in (others, cores) if text)


def _timings(timings: object) -> str:
    if not isinstance(timings, Mapping):
        return ""
    return ", ".join(f"{step} {float(seconds):.2f} s" for step, seconds in timings.items())


def trace(analysis: Analysis) -> tuple[str, ...]:
    """Day of the examination, what stands for its UID, and the study's path, as far as run.json tells them."""
    run = analysis.run
    uid = str(run.get("study_uid_sha256") or "")[:HASH_DIGITS]
    told = (("examined", run.get("study_date")), ("UID hash", uid), ("path", run.get("study_path")))
    return tuple(f"{words} {value}" for words, value in told if value)


def files_of(analysis: Analysis) -> tuple[str, ...]:
    """Every file that was read: its number where messages go by it, its path below the study, digits of its SHA-256."""
    inputs, paths = (analysis.run.get(key) for key in ("inputs_sha256", "input_files"))
    if not isinstance(inputs, Mapping):
        return ()
    below = paths if isinstance(paths, Mapping) else {}
    named = ((str(name), str(below.get(name, name)), str(value)[:HASH_DIGITS]) for name, value in inputs.items())
    return tuple(" · ".join(dict.fromkeys(words)) for words in named)
