"""The losses that ScarNet's text, appendix and code describe, which are three, as configurations by name.

Source: ScarNet, arXiv 2501.01372, equations 8 to 11 and appendix "Implementation details"; its public code of August
2025. What they say of each other: docs/explanation/scarnet.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from cmrseg.errors import UsageError
from cmrseg.labels import LGE
from cmrseg.losses.composite import LossConfig

#: The paper's four classes, in the order of `labels.LGE`.
PAPER_CLASSES = ("background", *(n for n in LGE.foreground_names if n != "no_reflow"))
#: Factors in cross-entropy of background and of every other class, from the public code; the paper gives none.
BACKGROUND_WEIGHT, STRUCTURE_WEIGHT = 0.1, 0.3
NAMES = ("corrected", "paper_appendix", "repo")


def preset(name: str, classes: Sequence[str] = PAPER_CLASSES) -> LossConfig:
    """A loss by name, for a network that tells the given classes apart.

    Args:
        name: ``paper_appendix``: 0.2 Dice, 0.2 focal, 0.1 cross-entropy, and 0.25 each for the Dice of scar and of
            myocardium. ``repo``: 0.5 focal Tversky, 0.4 Dice, 0.1 weighted cross-entropy, as the public code has them:
            a false positive costs more, and the first term counts 1.5 times where there is scar. ``corrected``: these
            three weights, focal Tversky of scar alone, a false negative costs more, no such factor.
        classes: canonical names in the network's order, background first; ``lv_myocardium`` and ``scar`` among them.

    Raises:
        UsageError: no such loss, or a class is missing.
    """
    missing = [n for n in ("lv_myocardium", "scar") if n not in classes]
    if missing or classes[0] != "background":
        raise UsageError(
            f"Scar losses cannot use the classes {', '.join(classes)}.",
            "Give background first, and lv_myocardium and scar among the others.",
        )
    scar, myocardium = classes.index("scar"), classes.index("lv_myocardium")
    base = LossConfig(dice=0.4, cross_entropy=0.1, focal_tversky=0.5, scar_class=scar, myocardium_class=myocardium)
    weights = (BACKGROUND_WEIGHT, *(STRUCTURE_WEIGHT for _ in classes[1:]))
    if name == "corrected":
        infarct = tuple(classes.index(n) for n in ("scar", "no_reflow") if n in classes)
        return replace(base, tversky_classes=infarct, class_weights=weights)
    if name == "repo":
        return replace(
            base,
            tversky_classes=tuple(range(len(classes))),
            tversky_alpha=0.7,
            tversky_beta=0.3,
            tversky_gamma=1.0,
            scar_boost=1.5,
            class_weights=weights,
        )
    if name == "paper_appendix":
        return replace(base, focal_tversky=0.0, dice=0.2, focal=0.2, scar=0.25, myocardium=0.25)
    raise UsageError(f"There is no scar loss {name!r}.", f"One of {', '.join(NAMES)}.")


def ablation(classes: Sequence[str] = PAPER_CLASSES) -> dict[str, LossConfig]:
    """The corrected loss and, row by row, without each of its terms; the paper announces such rows and prints none."""
    whole = preset("corrected", classes)
    return {
        "all": whole,
        "without focal Tversky": replace(whole, focal_tversky=0.0),
        "without Dice": replace(whole, dice=0.0),
        "without cross-entropy": replace(whole, cross_entropy=0.0),
        "cross-entropy without class weights": replace(whole, class_weights=()),
    }


#: The presets for the paper's four classes.
PRESETS: Mapping[str, LossConfig] = MappingProxyType({name: preset(name) for name in NAMES})
