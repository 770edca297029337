"""One family of errors. Each names what is wrong (cause) and what the reader can do (remedy).

Nothing else leaves the public functions of the package: whatever a parser raises on hostile input is caught at the
border where it is called and re-raised as one of these, so that a caller can list every possible outcome.
"""

from __future__ import annotations

from typing import Literal, get_args

RefusalCode = Literal[
    "not_found",  # the path does not exist or holds nothing that can be read
    "unreadable",  # a file is cut, corrupt, or not what its name says
    "too_large",  # more voxels than any cardiac study; refused from the header alone
    "no_cine",  # no short-axis cine in the study
    "no_lge",  # an LGE stack was asked for and there is none
    "ambiguous",  # several stacks qualify and nothing decides between them
    "wrong_modality",  # not MR
    "no_spacing",  # pixel or slice spacing is missing or impossible
    "no_position",  # slice position or orientation is missing or impossible
    "geometry",  # sheared, non-finite, contradicting, or irregular geometry
    "slice_gap",  # a slice is missing inside the stack
    "uneven_phases",  # slices do not have the same number of phases
    "duplicate_slices",  # two different images claim the same place
    "mixed_patients",  # more than one patient in one study
    "mixed_studies",  # images of more than one examination in one study
    "nonfinite",  # NaN or infinity in the image
    "empty_image",  # constant or nearly constant image
    "labels",  # label values outside the scheme
    "mask_mismatch",  # masks do not lie on the image's grid
    "no_heart",  # no heart was found in the image
]
REFUSAL_CODES: tuple[str, ...] = get_args(RefusalCode)


class CmrsegError(Exception):
    """Base of every error the package raises on purpose.

    Args:
        cause: what is wrong, in words a user understands; no patient data.
        remedy: what the user can do about it.
    """

    exit_code = 1

    def __init__(self, cause: str, remedy: str = "") -> None:
        self.cause = cause
        self.remedy = remedy
        super().__init__(f"{cause} {remedy}".strip())


class InputRefused(CmrsegError):
    """The study cannot be trusted enough to print a number.

    Args:
        code: one of `REFUSAL_CODES`, stable for machines.
    """

    def __init__(self, code: RefusalCode, cause: str, remedy: str = "") -> None:
        if code not in REFUSAL_CODES:
            raise ValueError(f"unknown refusal code {code!r}")
        self.code = code
        super().__init__(cause, remedy)


class BundleError(CmrsegError):
    """A model bundle is missing, damaged, or made for something else."""


class OutputError(CmrsegError):
    """A result could not be written (disk full, no permission, already there)."""


class UsageError(CmrsegError):
    """The command or function was called in a way that cannot work."""

    exit_code = 2


class MissingPackage(UsageError):
    """The command needs a package that is not installed, such as one of an extra."""


class OutOfMemory(CmrsegError):
    """The machine's memory does not suffice."""


class Defect(CmrsegError):
    """Something was raised that nobody foresaw: cmrseg is at fault, not its user."""
