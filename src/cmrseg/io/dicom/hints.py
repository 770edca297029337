"""What the words of a series description, protocol or sequence name hint at. A hint, never a proof."""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import pairwise

_SHORT_AXIS = "sa sax saxs sastack saxstack shortaxis shortax short kurzachse kurz"
_LONG_AXIS = "2ch 3ch 4ch 2c 3c 4c 2cv 3cv 4cv 2kb 3kb 4kb lax long longaxis vla hla lvot rvot chamber kammerblick"
_CINE = "cine kino trufi truefisp fiesta btfe bffe ssfp bssfp tfi retro"
_LGE = "lge de mde psmde psir delayed late viab viability scar enhancement"
_LOCALIZER = "loc localizer localiser scout survey plan planning pilot topogram"
_MAP = "map maps mapping molli shmolli sasha ecv t1map t2map t2star t1 t2"
_PERFUSION = "perf perfusion firstpass dyn dynamic"
_FLOW = "flow pc venc qflow velocity phasecontrast 4dflow"
_TAGGING = "tag tags tagging tagged spamm cspamm dense grid"
_DARK_BLOOD = "haste stir tirm blackblood darkblood tse"
_TERMS = "shortaxis shortax longaxis firstpass phasecontrast blackblood darkblood"
_JOINED = frozenset(_TERMS.split())
#: Words by what they hint at, as scanners and sites of several countries write them.
WORDS: dict[str, frozenset[str]] = {
    "short axis": frozenset(_SHORT_AXIS.split()),
    "long axis": frozenset(_LONG_AXIS.split()),
    "cine": frozenset(_CINE.split()),
    "lge": frozenset(_LGE.split()),
    "localizer": frozenset(_LOCALIZER.split()),
    "map": frozenset(_MAP.split()),
    "perfusion": frozenset(_PERFUSION.split()),
    "flow": frozenset(_FLOW.split()),
    "tagging": frozenset(_TAGGING.split()),
    "dark blood": frozenset(_DARK_BLOOD.split()),
}


@lru_cache(maxsize=4096)
def hints(description: str) -> frozenset[str]:
    """Keys of `WORDS` that a description hints at; empty for an empty description."""
    found = words(description)
    return frozenset(name for name, known in WORDS.items() if found & known)


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
    return re.sub(r"[^a-zà-ÿ]+", " ", description.split("|")[0].lower()).strip()
