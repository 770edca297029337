"""What the names of NIfTI files say, where their headers cannot: masks, late enhancement, other series, persons.

Names are written by people and converters, so words come with separators, in capitals inside a word (``LateGad``,
``LGEsax``) or in one run of letters (``lgesax``). A run is taken apart only where all of it is made of words that such
names are made of: ``bulge`` and ``template`` hold no late enhancement.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

from cmrseg.io.nifti import stem


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


#: Words that name masks; ``gd`` is how MyoPS calls its ground truth.
MASK_WORDS = _set(
    "gt gd truth seg segs segmentation segmentations mask masks label labels labelmap contour contours roi rois "
    "annotation annotations"
)
#: Words that name late gadolinium enhancement wherever they stand.
LGE_WORDS = _set(
    "lge psir mde dhe de demri decmr deir delayed viability viab hyperenhancement realce tardio tardif tardivo "
    "rehaussement"
)
#: The same, but for what stands beside them: late diastole, early enhancement, enhanced DICOM.
_LATE = "late"
_NOT_AFTER_LATE = _set("diastole diastolic systole systolic diast syst phase phases filling ed es")
_ENHANCED = _set("enhanced enhancement enhance enh delay")
_NOT_BESIDE_ENHANCED = _set("trigger early first pass pre non not un dicom mr multiframe frame frames")
_CONTRAST = _set("gad gadolinium gd contrast")
#: Words that name a short-axis cine or one of its phases.
CINE_WORDS = _set(
    "cine cines bssfp ssfp trufi truefisp fiesta btfe ed es diastole systole endsystole enddiastole frame frames "
    "phase phases"
)
SHORT_AXIS_WORDS = _set("sa sax short shortaxis kurzachse")
#: Words and numbered words of long-axis views; of no weight in a name that says short axis too.
LONG_AXIS = _set("lax la hla vla long longaxis lvot rvot 2ch 3ch 4ch ch2 ch3 ch4")
#: Those of other series of a cardiac examination.
OTHER_SERIES = _set(
    "aorta loc localizer localiser localizers scout tiscout survey perf perfusion firstpass flow pc velocity tag tags "
    "tagging spamm haste stir t1 t1w t2 t2w t2star map maps t1map t2map molli shmolli sasha ecv mra angio ph imaginary"
)
#: What runs of letters may be made of besides the words above.
_FILLING = _set(
    "axis ax stack img image images mri cmr cardiac heart patient pat subject subj sub case series scan study vol "
    "volume post contrast gad gadolinium mag magnitude real base apex mid view flash tfl gre tfe moco avg nav high res "
    "new final raw data file orig original cropped registered resampled rest stress early fast slice slices tra all"
)
#: What folders are called that hold images of one person.
_FOLDER_WORDS = _set("image images img nii nifti anat func cmr mri cardiac heart series stack")
_ACRONYM = re.compile(r"(?<![A-Z])(LGE|PSIR|MDE)(?=[a-z])|(?<=[a-z])(LGE|PSIR|MDE)(?![A-Z])")
_CAMEL = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_DIMENSIONS = re.compile(r"(?<![a-zA-Z0-9])[234][dD]|(?<=[a-zA-Z_])[234]D(?=[A-Z_]|$)")
_PERSON = re.compile(
    r"(?<![a-z])(patient|pat|subject|subj|sub|case|id|session|ses|visit|exam)"
    r"(?:[-_ ]?([0-9]+[a-z]?)|[-_ ]([a-z]{1,3}[0-9]+))(?![a-z0-9])"
)
_DATE = re.compile(r"(?<![0-9])((?:19|20)[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01]))(?:[0-9]{6})?(?![0-9])")


def words(path: Path) -> tuple[str, ...]:
    """Lower-case words of a relative path, in order; runs of letters that are made of known words are taken apart."""
    names = [_DIMENSIONS.sub(" ", name) for name in (*path.parts[:-1], stem(path))]
    return tuple(word for name in names for run in re.findall(r"[^\W\d_]+", name) for word in _parts(run))


def named_lge(path: Path) -> bool:
    """True when a name says late enhancement."""
    found = words(path)
    for k, word in enumerate(found):
        beside = {*found[max(0, k - 2) : k], *found[k + 1 : k + 2]}
        if word in LGE_WORDS:
            return True
        if word == _LATE and not {*found[k + 1 : k + 2]} & _NOT_AFTER_LATE:
            return True
        if word in _ENHANCED and not beside & _NOT_BESIDE_ENHANCED:
            return True
        if word == "post" and beside & _CONTRAST and not set(found) & (CINE_WORDS | OTHER_SERIES):
            return True
    return False


def named_mask(path: Path) -> bool:
    """True when a name says masks, which cines of segmented acquisitions may say too."""
    return bool(set(words(path)) & MASK_WORDS)


def named_cine(path: Path) -> bool:
    """True when a name says cine, or a phase of one."""
    return bool(set(words(path)) & CINE_WORDS)


def named_short_axis(path: Path) -> bool:
    """True when a name says short axis."""
    return bool(set(words(path)) & SHORT_AXIS_WORDS)


def named_other(path: Path) -> bool:
    """True when a name says another series than short-axis cine or late enhancement."""
    if named_lge(path):
        return False
    name = stem(path).lower()
    tokens = set(re.findall(r"[a-z0-9]+", name)) | set(words(Path(path.name)))
    if tokens & OTHER_SERIES:
        return True
    chambers = re.search(r"(?<![0-9])[234][-_ ]?ch(?![a-z])", name)
    return bool(tokens & LONG_AXIS or chambers) and not named_short_axis(path)


def names_a_series(path: Path) -> bool:
    """True when a name says what is shown and not whom it shows."""
    known = MASK_WORDS | CINE_WORDS | SHORT_AXIS_WORDS | OTHER_SERIES | LONG_AXIS | _FOLDER_WORDS
    return named_lge(path) or bool(set(words(path)) & known)


def persons(path: Path) -> dict[str, str]:
    """What a name says of person and day, by kind: ``{"patient": "01", "date": "20000101"}``; empty for most names."""
    text = "/".join([*path.parts[:-1], stem(path)]).lower()
    found = {match[1]: (match[2] or match[3]).lstrip("0") for match in _PERSON.finditer(text)}
    day = _DATE.search(text)
    return found | ({"date": day[1]} if day else {})


def letters(path: Path) -> str:
    """A path with its numbers left out, which is the same for files that a converter numbered."""
    return re.sub(r"\d+(?:\.\d+)?", "#", path.with_name(stem(path)).as_posix().lower())


def _parts(run: str) -> list[str]:
    if run == "De":  # as people's names begin
        return []
    whole = _taken_apart(run.lower())
    if whole is not None:
        return list(whole)
    acronyms = [match[0].lower() for match in _ACRONYM.finditer(run)]
    pieces = [piece.lower() for piece in _CAMEL.findall(run) if piece != "De"]
    return [*acronyms, *(pieces if len(pieces) > 1 else [run.lower()])]


@lru_cache(maxsize=4096)
def _taken_apart(run: str) -> tuple[str, ...] | None:
    """A run of letters as words that names are made of, the fewest; None where that does not come out even."""
    known = (
        LGE_WORDS
        | LONG_AXIS
        | MASK_WORDS
        | CINE_WORDS
        | SHORT_AXIS_WORDS
        | OTHER_SERIES
        | _FILLING
        | _ENHANCED
        | {_LATE}
    )
    if run in known:
        return (run,)
    best: tuple[str, ...] | None = None
    for length in range(len(run) - 1, 1, -1):
        if run[:length] in known:
            rest = _taken_apart(run[length:])
            if rest is not None and (best is None or 1 + len(rest) < len(best)):
                best = (run[:length], *rest)
    return None if best and "de" in best and all(len(word) < 3 for word in best) else best  # as in a name, De Sa
