"""Do the networks of an ensemble agree? Where they do not, at least one of them is wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from cmrseg.qc.case import WORDS, Case, ventricle_of
from cmrseg.study import Finding


def members_agree(case: Case) -> Iterator[Finding]:
    """Mean Dice between ensemble members, over the whole cine and at the frames that numbers are read from."""
    yield from _on_structures(case, WORDS, "agreement_")
    for name, per_frame in case.segmentation.agreement_per_frame.items():
        lowest = float(getattr(case.limits, f"agreement_frame_{name}"))
        for phase, frame in case.phases:
            dice = float(per_frame[frame])
            if not dice >= lowest:
                yield Finding(
                    "members_disagree_in_frame",
                    "review",
                    f"The networks of the ensemble agree on the {WORDS[name]} with a Dice of {dice:.2f} only at "
                    f"{phase} (at least {lowest:.2f} expected), a frame that numbers are read from.",
                    frame=frame,
                    ventricle=ventricle_of(name),
                )


def lge_members_agree(case: Case) -> Iterator[Finding]:
    """Mean Dice between ensemble members on LGE; where no scar is left, whether they agree on that."""
    yield from _on_structures(case, WORDS, "agreement_lge_")
    if case.mask(0, "scar", "no_reflow").any():
        yield from _on_structures(case, {"scar": "scar"}, "agreement_lge_")
    elif not case.segmentation.agreement.get("scar", 1.0) >= case.limits.agreement_lge_no_scar:
        yield Finding(
            "members_disagree_on_scar",
            "review",
            "The result holds no scar, but some networks of the ensemble saw some: faint or small scar may be missed.",
        )


def _on_structures(case: Case, words: Mapping[str, str], limit: str) -> Iterator[Finding]:
    """One finding for every structure whose Dice lies below the field of the limits that begins with `limit`."""
    for name, word in words.items():
        dice = case.segmentation.agreement.get(name)
        lowest = float(getattr(case.limits, limit + name))
        # `not >=` so that NaN asks for a look too
        if dice is not None and not dice >= lowest:
            yield Finding(
                "members_disagree",
                "review",
                f"The networks of the ensemble agree on the {word} with a Dice of {dice:.2f} only (at least "
                f"{lowest:.2f} expected); the image is hard to read or unlike the training data.",
                ventricle=ventricle_of(name),
            )
