"""What the words of a description, protocol or sequence name hint at. A hint, never a proof."""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import pairwise
from typing import Literal

_SHORT_AXIS = "sa sax saxs psax sastack saxstack shortaxis shortax short kurzachse kurz"
#: The short axis in other languages, in two words.
_SHORT_AXIS_ABROAD = "petitaxe ejecorto eixocurto assecorto kurzeachse korteas"
_LONG_AXIS = "2ch 3ch 4ch 2c 3c 4c 2cv 3cv 4cv 2kb 3kb 4kb lax long longaxis vla hla lvot rvot chamber kammerblick"
_CINE = "cine ciné kino trufi truefisp fiesta btfe sbtfe bffe ssfp bssfp tfi retro"
_LGE = (
    "lge de mde psmde psir delayed late tardio tardío tardif tardive spaet spät viab viability scar enhancement "
    "realce rehaussement narbe"
)
_EARLY = "ege early earlygd"
_TI_SCOUT = "tiscout tiscan looklocker irscout scoutti cineir ircine"
_LOCALIZER = "loc localizer localiser scout survey plan planning pilot topogram"
_MAP = "map maps mapping molli shmolli sasha ecv t1map t2map t2star t1 t2"
_PERFUSION = "perf perfusion firstpass dyn dynamic"
_FLOW = "flow pc venc qflow velocity phasecontrast 4dflow"
_TAGGING = "tag tags tagging tagged spamm cspamm dense grid"
_DARK_BLOOD = "haste stir tirm blackblood darkblood tse"
_TERMS = "shortaxis shortax longaxis firstpass phasecontrast blackblood darkblood phasesensitive " + _TI_SCOUT
_JOINED = frozenset((_TERMS + " " + _SHORT_AXIS_ABROAD).split())
#: Words by what they hint at, as scanners and sites of several countries write them.
WORDS: dict[str, frozenset[str]] = {
    "short axis": frozenset((_SHORT_AXIS + " " + _SHORT_AXIS_ABROAD).split()),
    "long axis": frozenset(_LONG_AXIS.split()),
    "cine": frozenset(_CINE.split()),
    "lge": frozenset(_LGE.split()),
    "early enhancement": frozenset(_EARLY.split()),
    "TI scout": frozenset(_TI_SCOUT.split()),
    "localizer": frozenset(_LOCALIZER.split()),
    "map": frozenset(_MAP.split()),
    "perfusion": frozenset(_PERFUSION.split()),
    "flow": frozenset(_FLOW.split()),
    "tagging": frozenset(_TAGGING.split()),
    "dark blood": frozenset(_DARK_BLOOD.split()),
}


#: Names of sequences that are used for cine and for LGE.
_SEQUENCES = frozenset(["trufi", "truefisp", "fiesta", "btfe", "sbtfe", "bffe", "ssfp", "bssfp", "tfi"])
#: Weightings, which maps and other images have; a map is called so by another word.
_WEIGHTINGS = frozenset(("t1", "t2"))
#: Hints that tell the plane of a series and not its kind.
PLANES = frozenset(("short axis", "long axis"))
#: Names of sequences that separate water from fat, and what their images are called; one without ``dixon`` in its name
#: is told by the image's name before a colon.
_DIXON = frozenset(("dixon", "mdixon"))
_DIXON_PARTS = {
    "fat": frozenset(("fat", "f")),
    "opposed-phase": frozenset(("opp", "op", "out", "opposed", "outphase", "oppphase")),
    "water": frozenset(("water", "w")),
    "in-phase": frozenset(("in", "ip", "inphase")),
}
_MAGNITUDE = frozenset(["mag", "magn", "magnitude"])
_PHASE_SENSITIVE = frozenset(["psir", "psmde", "ps", "phasesensitive"])


@lru_cache(maxsize=4096)
def hints(description: str) -> frozenset[str]:
    """Keys of `WORDS` that a description hints at; empty for an empty description."""
    found = words(description)
    names = {name for name, known in WORDS.items() if found & known}
    if "lge" not in names:
        return frozenset(names)
    by_sequence = found & WORDS["cine"] <= _SEQUENCES
    others = names - PLANES - {"lge"} - ({"cine"} if by_sequence else set())
    if found & WORDS["lge"] == {"de"} and others:
        # A preposition in several languages, as in ``cine de eje corto``.
        names.discard("lge")
        return frozenset(names)
    if by_sequence:
        names.discard("cine")
    if found & WORDS["map"] <= _WEIGHTINGS:
        names.discard("map")
    return frozenset(names)


@lru_cache(maxsize=4096)
def reconstruction(description: str) -> Literal["magnitude", "phase-sensitive", ""]:
    """Which image of an inversion recovery the series description names; empty when neither."""
    found = words(description)
    if found & _MAGNITUDE:
        return "magnitude"
    return "phase-sensitive" if found & _PHASE_SENSITIVE else ""


@lru_cache(maxsize=4096)
def called_cine(description: str) -> bool:
    """True when a word says cine, and not only the name of a sequence that cines are acquired with."""
    return bool(words(description) & (WORDS["cine"] - _SEQUENCES))


@lru_cache(maxsize=4096)
def dixon_part(description: str) -> str:
    """Which image of a Dixon acquisition a description names: water, fat, in-phase, opposed-phase; empty for none."""
    found = words(description)
    if not found & _DIXON:
        prefix = description.partition(":")[0].strip().lower()
        return next((part for part, known in _DIXON_PARTS.items() if ":" in description and prefix in known), "")
    return next((part for part, known in _DIXON_PARTS.items() if found & known), "")


def words(description: str) -> frozenset[str]:
    """Lower-case words of a description, also without their digits (``sa3``, ``sa``) and joined where two make a term.

    ``CineSAX`` is two words, ``short axis`` one term, ``2 chamber`` also ``2ch``.
    """
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", description).lower()
    tokens = re.findall(r"[0-9a-zà-ÿ]+", spaced)
    result = {*tokens, *(part for token in tokens for part in re.findall(r"[a-zà-ÿ]+", token))}
    for first, second in pairwise(tokens):
        if first + second in _JOINED:
            result.add(first + second)
        if first in ("2", "3", "4") and second.startswith(("ch", "kammer")):
            result.add(f"{first}ch")
    return frozenset(result)


def letters(description: str) -> str:
    """The series description without numbers and punctuation: what the slices of one stack have in common."""
    return re.sub(r"[^a-zà-ÿ]+", " ", description.lower()).strip()
