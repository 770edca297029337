"""Do the networks of an ensemble agree? Where they do not, at least one of them is wrong."""

from __future__ import annotations

from collections.abc import Iterator

from cmrseg.qc.case import WORDS, Case, at
from cmrseg.study import Finding


def members_agree(case: Case) -> Iterator[Finding]:
    """Mean Dice between ensemble members, over the whole cine and at the frames that numbers are read from."""
    for name, word in WORDS.items():
        dice = case.segmentation.agreement.get(name)
        lowest = float(getattr(case.limits, f"agreement_{name}"))
        # `not >=` so that NaN asks for a look too
        if dice is not None and not dice >= lowest:
            yield Finding(
                "members_disagree",
                "review",
                f"The networks of the ensemble agree on the {word} with a Dice of {dice:.2f} only (at least "
                f"{lowest:.2f} expected); the picture is hard or unlike the training data.",
            )
    per_frame = case.segmentation.agreement_per_frame
    if per_frame is None:
        return
    for phase, frame in case.phases:
        dice = float(per_frame[frame])
        if not dice >= case.limits.agreement_frame:
            yield Finding(
                "members_disagree_in_frame",
                "review",
                f"The networks of the ensemble agree with a Dice of {dice:.2f} only at {phase} (at least "
                f"{case.limits.agreement_frame:.2f} expected), a frame that numbers are read from.",
                at(phase, frame),
            )
