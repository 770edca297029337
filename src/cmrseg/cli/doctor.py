"""`cmrseg doctor`: what is installed, what is missing, what this machine can do, whether the bundles are whole."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from importlib import metadata
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cmrseg.cli.common import EXIT_DONE, EXIT_REFUSED, print_json
from cmrseg.errors import BundleError
from cmrseg.extras import is_installed

if TYPE_CHECKING:
    from cmrseg.models.encoder_bundle import EncoderBundle
    from cmrseg.segment.bundle import Bundle
    from cmrseg.segment.prompt_bundle import PromptBundle

Status = Literal["ok", "optional", "missing", "damaged"]

#: What each optional group of packages is for; `pip install 'cmrseg[GROUP]'` brings it.
EXTRAS = {
    "train": "training networks and exporting bundles",
    "tune": "search of settings by TPE",
    "tensorboard": "curves of a training while it runs",
    "figures": "figures of experiments",
    "hdf5": "data sets in HDF5",
    "parquet": "tables of features in Parquet",
    "nnunet": "comparison with nnU-Net",
    "ultralytics": "detectors of Ultralytics, under the AGPL-3.0",
    "sam2": "comparison with SAM-2, prompted by the truth",
    "openvino": "faster segmentation on Intel and AMD processors",
    "jpeg": "DICOM images compressed with JPEG Lossless or JPEG-LS",
}


@dataclass(frozen=True)
class Check:
    """One line of the doctor's answer.

    Args:
        group: ``"machine"``, ``"packages"``, ``"extras"`` or ``"bundles"``.
        name: what was looked at.
        status: ``ok``; ``optional`` (absent, and only some commands need it); ``missing``, ``damaged``: to be mended.
        detail: version, amount, or the remedy.
    """

    group: str
    name: str
    status: Status
    detail: str


def doctor_command(
    as_json: Annotated[bool, typer.Option("--json", help="Print the answer as JSON for machines.")] = False,
) -> None:
    """Say what is installed, what is missing, what this machine can do, and whether the bundles are whole."""
    checks = [*machine(), *packages(), *extras(), *bundles()]
    healthy = all(check.status in ("ok", "optional") for check in checks)
    if as_json:
        print_json({"healthy": healthy, "checks": [asdict(check) for check in checks]})
    else:
        _print_table(checks, healthy)
    raise typer.Exit(EXIT_DONE if healthy else EXIT_REFUSED)


def machine() -> list[Check]:
    """Python, processor and memory of this machine."""
    from cmrseg.segment.runtime import usable_cores

    checks = [
        Check("machine", "python", "ok", f"{platform.python_version()} on {platform.system()} {platform.machine()}"),
        Check("machine", "processor cores", "ok", str(usable_cores())),
    ]
    memory_gb = _memory_gb()
    if memory_gb is not None:
        checks.append(Check("machine", "memory", "ok", f"{memory_gb:.1f} GB"))
    return checks


def packages() -> list[Check]:
    """Every package that the analysis needs, and cmrseg itself."""
    checks = [Check("packages", "cmrseg", "ok", metadata.version("cmrseg"))]
    for name in _requirements():
        version = _version_of(name)
        if version is None:
            checks.append(Check("packages", name, "missing", "Install it: pip install cmrseg"))
        else:
            checks.append(Check("packages", name, "ok", version))
    return checks


def extras() -> list[Check]:
    """The optional groups: what each is for, and whether it is there."""
    checks = []
    for extra, purpose in EXTRAS.items():
        wanted = _requirements(extra)
        absent = [name for name in wanted if _version_of(name) is None]
        if absent:
            detail = f"{purpose}: pip install 'cmrseg[{extra}]' brings {', '.join(absent)}"
            checks.append(Check("extras", extra, "optional", detail))
        else:
            versions = ", ".join(f"{name} {_version_of(name)}" for name in wanted)
            checks.append(Check("extras", extra, "ok", f"{purpose} ({versions})"))
    checks.append(_accelerator())
    return checks


def bundles() -> list[Check]:
    """Every bundle that ships, its files compared with the hashes it carries."""
    from cmrseg.models.encoder_bundle import read_encoder_bundle, shipped_encoders
    from cmrseg.segment import bundle
    from cmrseg.segment.prompt_bundle import load_prompt_bundle, shipped_prompt_bundles

    segmenters = [_bundle(name, partial(bundle.load, name)) for name in bundle.shipped_bundles()]
    encoders = [_bundle(name, partial(read_encoder_bundle, path)) for name, path in shipped_encoders().items()]
    prompted = [_bundle(name, partial(load_prompt_bundle, name)) for name in shipped_prompt_bundles()]
    none = Check("bundles", "none", "missing", "No bundle is installed. Install cmrseg again.")
    return (segmenters or [none]) + prompted + encoders


def _bundle(name: str, load: Callable[[], Bundle | EncoderBundle | PromptBundle]) -> Check:
    try:
        loaded = load()
    except BundleError as error:
        return Check("bundles", name, "damaged", f"{error.cause} {error.remedy}")
    return Check("bundles", name, "ok", f"version {loaded.version}, every file as published")


def _accelerator() -> Check:
    if not is_installed("torch"):
        return Check("extras", "accelerator", "optional", "not looked for without torch; the analysis needs none")
    import torch

    if torch.cuda.is_available():
        return Check("extras", "accelerator", "ok", f"{torch.cuda.get_device_name(0)}, used for training")
    return Check("extras", "accelerator", "optional", "none found; training runs on the processor")


def _memory_gb() -> float | None:
    """Physical memory in GB, or None where the system does not tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    except (AttributeError, ValueError, OSError):
        return None


def _requirements(extra: str = "") -> list[str]:
    """Names of the packages that cmrseg requires: always, or for one of its extras."""
    names = []
    for requirement in metadata.requires("cmrseg") or []:
        spec, _, marker = requirement.partition(";")
        wanted = f'extra == "{extra}"' in marker.replace("'", '"') if extra else "extra ==" not in marker
        if wanted:
            names.append(re.split(r"[^A-Za-z0-9._-]", spec.strip(), maxsplit=1)[0])
    return names


def _version_of(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _print_table(checks: list[Check], healthy: bool) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    colours = {"ok": "green", "optional": "dim", "missing": "red", "damaged": "red"}
    table = Table(box=None, pad_edge=False)
    for title in ("", "what", "", "detail"):
        table.add_column(title, overflow="fold")
    group = ""
    for check in checks:
        table.add_row(
            check.group if check.group != group else "",
            check.name,
            f"[{colours[check.status]}]{check.status}[/]",
            escape(check.detail),
        )
        group = check.group
    console = Console(highlight=False)
    console.print(table)
    console.print("This installation can analyse studies." if healthy else "Something must be mended: see above.")
