"""Names of structures, stacks and verdicts as a person writes them, and values as text."""

from __future__ import annotations

from collections.abc import Mapping

from cmrseg import labels

KINDS = {"cine": "short-axis cine", "lge": "late enhancement"}
#: What quality control says of a stack or a ventricle.
STATUS_WORDS = {"pass": "checks passed", "review": "review needed", "reject": "do not use"}
#: Abbreviations of the report, each told once.
ABBREVIATIONS = {
    "LV": "left ventricle",
    "RV": "right ventricle",
    "ED": "end-diastole",
    "ES": "end-systole",
    "EDV": "end-diastolic volume",
    "ESV": "end-systolic volume",
    "EF": "ejection fraction",
    "LGE": "late gadolinium enhancement",
    "AHA": "American Heart Association",
    "LAD": "left anterior descending artery",
    "RCA": "right coronary artery",
    "LCx": "left circumflex artery",
    "SD": "standard deviation",
}


def structure(name: str) -> str:
    """A structure's name as a person writes it."""
    return labels.WORDS.get(name, name.replace("_", " "))


def plain_text(value: object) -> str:
    """A value of run.json or of a source as one line of text; empty for None."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        told = ((str(key).replace("_", " "), plain_text(inner)) for key, inner in value.items())
        return ", ".join(f"{key} {text}" for key, text in told if text)
    if isinstance(value, list | tuple):
        return ", ".join(text for text in map(plain_text, value) if text)
    return f"{value:.4g}" if isinstance(value, float) else str(value)
