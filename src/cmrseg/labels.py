"""Named label schemes. Every data set's numbers map to names here, and only here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from cmrseg.errors import InputRefused

CANONICAL_NAMES = (
    "background",
    "rv_cavity",
    "lv_myocardium",
    "lv_cavity",
    "scar",
    "no_reflow",
    "oedema",
    "structure",
)

#: The names as readers say them.
WORDS: Mapping[str, str] = MappingProxyType(
    {
        "rv_cavity": "RV cavity",
        "lv_myocardium": "LV myocardium",
        "lv_cavity": "LV cavity",
        "scar": "scar",
        "no_reflow": "no-reflow",
        "oedema": "oedema",
    }
)


@dataclass(frozen=True)
class LabelScheme:
    """Which number stands for which structure in a label array.

    Papillary muscles belong to the cavity (ACDC's convention). In schemes with scar, `lv_myocardium` is the remote
    myocardium only; `whole_myocardium_names` is the union that makes the whole myocardium.
    """

    name: str
    numbers: Mapping[str, int]

    def __post_init__(self) -> None:
        unknown = set(self.numbers) - set(CANONICAL_NAMES)
        if unknown:
            raise ValueError(f"not canonical label names: {sorted(unknown)}")
        if self.numbers.get("background") != 0:
            raise ValueError("background must be 0")
        if len(set(self.numbers.values())) != len(self.numbers):
            raise ValueError("two names share a number")
        object.__setattr__(self, "numbers", MappingProxyType(dict(self.numbers)))

    def __getitem__(self, name: str) -> int:
        """Number of a structure; KeyError when the scheme does not hold it."""
        return self.numbers[name]

    @property
    def foreground_names(self) -> tuple[str, ...]:
        """Names other than background, in order of their numbers."""
        return tuple(sorted((n for n in self.numbers if n != "background"), key=self.numbers.__getitem__))

    @property
    def whole_myocardium_names(self) -> tuple[str, ...]:
        """The names whose union is the whole LV myocardium."""
        return tuple(n for n in ("lv_myocardium", "scar", "no_reflow", "oedema") if n in self.numbers)

    def mask(self, labels: NDArray[np.integer], *names: str) -> NDArray[np.bool_]:
        """Boolean mask of the union of the named structures, same shape as `labels`."""
        return np.isin(labels, [self.numbers[n] for n in names])

    @property
    def infarct_names(self) -> tuple[str, ...]:
        """Scar, and no-reflow within it, as far as the scheme tells them."""
        return tuple(n for n in ("scar", "no_reflow") if n in self.numbers)

    def infarct(self, labels: NDArray[np.integer]) -> NDArray[np.bool_]:
        """Boolean mask of the infarct, no-reflow included; empty in a scheme that does not know it."""
        return self.mask(labels, *self.infarct_names)

    def whole_myocardium(self, labels: NDArray[np.integer]) -> NDArray[np.bool_]:
        """Boolean mask of the whole LV myocardium, scar and oedema included."""
        return self.mask(labels, *self.whole_myocardium_names)


#: Cine, as ACDC writes it; also what cmrseg holds in memory and writes for every cine segmentation.
CINE = LabelScheme("cine", {"background": 0, "rv_cavity": 1, "lv_myocardium": 2, "lv_cavity": 3})
#: M&Ms and M&Ms-2: left and right are the reverse of ACDC.
MNMS = LabelScheme("mnms", {"background": 0, "lv_cavity": 1, "lv_myocardium": 2, "rv_cavity": 3})
#: LGE, as EMIDEC writes it; also what cmrseg writes for every LGE segmentation.
LGE = LabelScheme("lge", {"background": 0, "lv_cavity": 1, "lv_myocardium": 2, "scar": 3, "no_reflow": 4})
#: LGE in memory: EMIDEC's numbers and the right ventricle, which orients the AHA segments and is not written to files.
LGE_RV = LabelScheme("lge_rv", {**LGE.numbers, "rv_cavity": 5})
#: MyoPS 2020 ground truth.
MYOPS = LabelScheme(
    "myops",
    {"background": 0, "lv_myocardium": 200, "lv_cavity": 500, "rv_cavity": 600, "oedema": 1220, "scar": 2221},
)
#: ScarNet's HDF5 masks.
SCARNET = LabelScheme("scarnet", {"background": 0, "lv_myocardium": 1, "lv_cavity": 2, "scar": 3})

#: Scar alone, no-reflow included: what a detector of scar outlines.
SCAR = LabelScheme("scar", {"background": 0, "scar": 1})
#: What a person pointed at, whatever that is.
PROMPTED = LabelScheme("prompted", {"background": 0, "structure": 1})

#: A label may miss its number by this share of the least distance between two numbers of its scheme, and by
#: `_MOST_OFF` at most: a save with slope and intercept rounds by less, and interpolation leaves values anywhere.
_SHARE_OFF = 0.01
_MOST_OFF = 0.1

SCHEMES: Mapping[str, LabelScheme] = MappingProxyType(
    {s.name: s for s in (CINE, MNMS, LGE, LGE_RV, MYOPS, SCARNET, SCAR, PROMPTED)}
)

#: Numbers of the masks in each layout of `cmrseg.io.datasets`: what people drew there, and no more.
DRAWN_IN: Mapping[str, LabelScheme] = MappingProxyType(
    {
        "acdc": CINE,
        "mnms": MNMS,
        "emidec": LGE,
        "myops": MYOPS,
        "cohorts": MYOPS,
        "scarnet": SCARNET,
    }
)


def without_numbers(source: LabelScheme, target: LabelScheme) -> dict[str, str]:
    """Structures of `target` that masks in the numbers of `source` cannot hold, with a sentence that says so."""
    return {
        name: f"The numbers of the masks ({source.name}) have none for {WORDS[name]}."
        for name in target.foreground_names
        if name not in source.numbers
    }


def convert(
    labels: NDArray[np.number],
    source: LabelScheme,
    target: LabelScheme,
    merge: Mapping[str, str] | None = None,
) -> NDArray[np.uint8]:
    """Renumber a label array from one scheme to another.

    Args:
        labels: any shape; values of `source` only. Floats may miss them by what a save with slope and intercept
            rounds: 0.01, more where the numbers of the scheme lie further apart.
        source: scheme the values are in.
        target: scheme to return; every name present in `labels` must exist in it, or be merged into one that does.
        merge: names to turn into other names first, e.g. ``{"oedema": "lv_myocardium"}``.

    Returns:
        uint8 array of the same shape. Empty input gives an empty array.

    Raises:
        InputRefused: code `labels`, when a value is not in `source` or a present name has no place in `target`.
    """
    values = np.asarray(labels)
    merge = merge or {}
    result = np.zeros(values.shape, np.uint8)
    known = np.zeros(values.shape, bool)
    tolerance = _tolerance(source) if values.dtype.kind == "f" else 0.0
    for name, number in source.numbers.items():
        here = np.abs(values - number) <= tolerance if tolerance else values == number
        known |= here
        goal = merge.get(name, name)
        if goal in target.numbers:
            result[here] = target[goal]
        elif here.any():
            raise InputRefused(
                "labels",
                f"The masks hold {name}, which the scheme {target.name!r} cannot express.",
                f"Give masks with {', '.join(target.foreground_names)} only.",
            )
    if not known.all():
        raise _strange(values[~known], source)
    return result


def _tolerance(scheme: LabelScheme) -> float:
    least = float(np.diff(sorted(scheme.numbers.values())).min(initial=100))
    return min(_SHARE_OFF * least, _MOST_OFF)


def _strange(values: NDArray[np.number], source: LabelScheme) -> InputRefused:
    """The refusal of values that are no labels of a scheme."""
    found = np.unique(values)
    listed = ", ".join(f"{value:g}" for value in found[:5]) + (", ..." if len(found) > 5 else "")
    cause = f"The masks hold values that the scheme {source.name!r} does not know: {listed}."
    finite = found[np.isfinite(found)]
    if (np.abs(finite - np.rint(finite)) > _tolerance(source)).any():
        return InputRefused(
            "labels",
            f"{cause} Fractions are left by resampling with interpolation, or by a save as probabilities.",
            "Resample the masks with nearest neighbour, or round them where you know what they stand for, and save "
            "them as whole numbers.",
        )
    return InputRefused(
        "labels", cause, f"Its values are {dict(source.numbers)}; name another scheme if the masks use one."
    )
