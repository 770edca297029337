"""nnU-Net on our patients: a raw data set out, training by nnU-Net itself, its masks back, scored like every method.

Source: Isensee et al., nnU-Net, Nature Methods 2021, as the package ``nnunetv2`` (the extra ``nnunet``). It plans,
pre-processes, trains and predicts unchanged; only the length of training is ours to choose. It runs in a process of
its own (`cmrseg.train.nnunet_process`), since it is steered by environment variables and by global state of torch.

    out/raw/Dataset500_cine/         the data set, usable with nnU-Net's own commands too
    out/preprocessed, out/results    what nnU-Net makes of it
    out/predictions/                 masks of held-out patients, as `cmrseg.evaluate.masks` reads them
    out/job.json, out/trained.json, out/nnunet.log
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from cmrseg.errors import InputRefused, UsageError
from cmrseg.evaluate.cine import CineScore, compare_frames, score_missing
from cmrseg.evaluate.masks import mask_files, read_masks
from cmrseg.extras import is_installed
from cmrseg.geometry import Geometry
from cmrseg.io.datasets.layout import Case, Truth
from cmrseg.io.files import write_text
from cmrseg.io.nifti_geometry import RAS_LPS
from cmrseg.labels import CINE
from cmrseg.study import Study
from cmrseg.train.config import DataConfig
from cmrseg.train.data import Split, find_cases, load_case

#: nnU-Net wants a number; those below 100 are taken by public challenges.
DATASET = "Dataset500_cine"
JOB, TRAINED, LOG = "job.json", "trained.json", "nnunet.log"
FILE_ENDING = ".nii.gz"
#: Lines of the process that are meant for the user begin so.
REPORT = "cmrseg: "
_LAST_LINES = 5


@dataclass(frozen=True)
class NnUnetConfig:
    """How nnU-Net is run; the defaults are its own."""

    configuration: str = "2d"
    """``2d``, or ``3d_fullres``."""
    planner: str = "ExperimentPlanner"
    """Class of nnU-Net that chooses the network: ``ExperimentPlanner`` (that of the paper), or one with a residual
    encoder, such as ``nnUNetPlannerResEncM``."""
    memory_gb: float = 8.0
    """GPU memory that the planner fills, by the size of patches and batches; small values suit training on a CPU."""
    epochs: int = 1000
    """Epochs of training, over which the learning rate falls to zero."""
    iterations_per_epoch: int = 250
    """Batches of an epoch."""
    minutes: float = 0.0
    """Train for about this long instead: as many of `iterations_per_epoch`, or fewer, as a few timed batches say."""
    seed: int = 0
    """Seed of weights and sampling; only with one thread, on a CPU, does it repeat a training."""
    threads: int = 2
    """CPU threads, and processes that augment; one augments in the process that trains."""
    device: str = ""
    """``cpu`` or ``cuda``; empty for a GPU where there is one."""


@dataclass(frozen=True)
class NnUnetResult:
    """What nnU-Net made of a split."""

    labels: Mapping[str, NDArray[np.uint8]]
    """For each held-out patient uint8[K, Z, Y, X] in numbers of `labels.CINE`, one stack for each labelled frame."""
    weights_m: float
    """Weights of the network in millions."""
    epochs: int
    """Epochs trained."""
    iterations: int
    """Batches trained on."""
    minutes: float
    """Training time, without planning, pre-processing and prediction."""


def train_and_predict(
    data: Path,
    split: Split,
    out: Path,
    config: NnUnetConfig = NnUnetConfig(),
    layout: str = "acdc",
    report: Callable[[str], None] = lambda _: None,
) -> NnUnetResult:
    """Train nnU-Net on the training patients of a split and segment the labelled frames of the held-out ones.

    What has been done in `out` is not done again; a training that was cut off goes on from its last checkpoint. Masks
    are those of nnU-Net's default prediction (mirrored four or eight ways) with the weights of the last epoch, so that
    nothing is chosen by the held-out patients.

    Args:
        data: root of the labelled patients.
        split: who trains, who is held out.
        out: folder of this run; one of another split or configuration is refused.
        config: how nnU-Net is run.
        layout: of the data set, a module of `cmrseg.io.datasets`.
        report: takes lines of progress.

    Raises:
        UsageError: ``nnunetv2`` is not installed, no data, a split that names unknown patients or leaves one side
            empty, a folder of another run, or nnU-Net failed; ``nnunet.log`` has its output.
        InputRefused: a patient cannot be read, or masks that nnU-Net wrote cannot.
    """
    if not is_installed("nnunetv2"):
        raise UsageError("nnU-Net is not installed.", "Install cmrseg with its extra: pip install 'cmrseg[nnunet]'.")
    cases = _cases_of(split, find_cases(data, DataConfig(layout=layout)))
    out.mkdir(parents=True, exist_ok=True)
    _same_job({"split": asdict(split), "config": asdict(config)}, out)
    if not (out / "raw" / DATASET / "dataset.json").exists():
        report("nnU-Net: writing the data set")
        write_dataset(cases.values(), split, out / "raw", layout)
    if not (out / TRAINED).exists():
        _run_process(out, config, report)
    trained = json.loads((out / TRAINED).read_text(encoding="utf-8"))
    held_out = [cases[i] for i in split.validation]
    return NnUnetResult(read_predictions(held_out, out / "predictions", layout), **trained)


def write_dataset(cases: Iterable[Case], split: Split, raw: Path, layout: str = "acdc") -> Path:
    """Write labelled patients as a raw data set of nnU-Net, one image for each labelled frame.

    Held-out patients lie beside the others, as nnU-Net's cross-validation has it; ``splits_final.json``, whose only
    fold is the split, keeps their frames out of training. File names are ``<case>_frame<NN>``, frames counted from 1,
    as ACDC's are.

    Args:
        cases: the patients of both sides of the split.
        split: who trains, who is held out.
        raw: folder for data sets, which nnU-Net calls ``nnUNet_raw``.
        layout: of the data set, a module of `cmrseg.io.datasets`.

    Returns:
        The data set's folder; one that is there is replaced, ``dataset.json`` being written last.

    Raises:
        InputRefused: a patient cannot be read, or `mask_mismatch`: masks that do not lie on the image.
    """
    folder = raw / DATASET
    shutil.rmtree(folder, ignore_errors=True)
    for name in ("imagesTr", "labelsTr"):
        (folder / name).mkdir(parents=True)
    frames: dict[str, list[str]] = {}
    for case in cases:
        study, truth = load_case(case, DataConfig(layout=layout))
        frames[case.case_id] = _write_case(case, study, truth, folder)
    fold = {
        side: [name for case_id in ids for name in frames[case_id]]
        for side, ids in (("train", split.train), ("val", split.validation))
    }
    write_text(folder / "splits_final.json", json.dumps([fold], indent=1) + "\n")
    description = {
        # nnU-Net normalises by a channel's name: any but CT's to mean 0 and SD 1 of each image
        "channel_names": {"0": "cineMRI"},
        "labels": dict(CINE.numbers),
        "numTraining": sum(len(names) for names in frames.values()),
        "file_ending": FILE_ENDING,
        # the other readers refuse or turn sheared grids such as those of M&Ms
        "overwrite_image_reader_writer": "NibabelIO",
    }
    write_text(folder / "dataset.json", json.dumps(description, indent=1) + "\n")
    return folder


def frame_names(case: Case, truth: Truth) -> list[str]:
    """Names of a patient's labelled frames in the data set and among its predictions, in the order of the truth."""
    return [f"{case.case_id}_frame{frame + 1:02d}" for frame in truth.frames]


def read_predictions(cases: Iterable[Case], folder: Path, layout: str = "acdc") -> dict[str, NDArray[np.uint8]]:
    """Masks that nnU-Net predicted for the images of `write_dataset`, by case id; patients without any are left out.

    Args:
        cases: the patients to read.
        folder: predictions, of `train_and_predict` or of ``nnUNetv2_predict``.
        layout: of the data set, a module of `cmrseg.io.datasets`.

    Returns:
        uint8[K, Z, Y, X] for each, in the order of the truth's frames.

    Raises:
        InputRefused: `mask_mismatch` (another grid, frames missing), `labels`, or a file that cannot be read.
    """
    found = {}
    for case in cases:
        if mask_files(folder, case.case_id):
            found[case.case_id] = read_masks(folder, case.case_id, load_case(case, DataConfig(layout=layout))[1], CINE)
    return found


def score_predictions(
    cases: Iterable[Case], labels: Mapping[str, NDArray[np.uint8]], layout: str = "acdc"
) -> list[CineScore]:
    """Score masks as `cmrseg.evaluate.cine.score` scores ours; a patient without masks counts as missed."""
    scores = []
    for case in cases:
        truth = load_case(case, DataConfig(layout=layout))[1]
        found = labels.get(case.case_id)
        scores.append(score_missing(case, truth, "not_found") if found is None else compare_frames(case, found, truth))
    return scores


def _cases_of(split: Split, cases: Iterable[Case]) -> dict[str, Case]:
    known = {case.case_id: case for case in cases}
    wanted = (*split.train, *split.validation)
    unknown = [i for i in wanted if i not in known]
    if unknown:
        raise UsageError(f"The split names {len(unknown)} patients that are not there: {unknown[:5]}.", "Check both.")
    if not split.train or not split.validation:
        raise UsageError("The split trains or holds out nobody.", "Give patients to both sides.")
    return {i: known[i] for i in wanted}


def _same_job(job: Mapping[str, Any], out: Path) -> None:
    path = out / JOB
    text = json.dumps(job, indent=1) + "\n"
    if path.exists() and path.read_text(encoding="utf-8") != text:
        raise UsageError(
            f"{out.name} holds a run of another split or configuration.",
            "Give another folder, or the settings it began with.",
        )
    write_text(path, text)


def _write_case(case: Case, study: Study, truth: Truth, folder: Path) -> list[str]:
    image = study.images[0]
    if not truth.geometry.agrees_with(image.geometry):
        raise InputRefused(
            "mask_mismatch", "Masks of a patient do not lie on the image.", "Copy the patient from the source again."
        )
    names = frame_names(case, truth)
    for name, frame, labels_ZYX in zip(names, truth.frames, truth.labels, strict=True):
        _save(folder / "imagesTr" / f"{name}_0000{FILE_ENDING}", image.data[frame], image.geometry)
        _save(folder / "labelsTr" / f"{name}{FILE_ENDING}", labels_ZYX, image.geometry)
    return names


def _save(path: Path, array_ZYX: NDArray[Any], geometry: Geometry) -> None:
    nifti1: Any = nib.Nifti1Image
    nib.save(nifti1(array_ZYX.T, RAS_LPS @ geometry.affine), path)


def _run_process(out: Path, config: NnUnetConfig, report: Callable[[str], None]) -> None:
    """Plan, pre-process, train and predict in a process of its own; its output goes to the log."""
    folders = {f"nnUNet_{name}": str((out / name).resolve()) for name in ("raw", "preprocessed", "results")}
    workers = {f"nnUNet_{name}": str(config.threads) for name in ("n_proc_DA", "def_n_proc")}
    silent = {"nnUNet_wandb_enabled": "0"}
    command = [sys.executable, "-m", "cmrseg.train.nnunet_process", str(out.resolve())]
    last: list[str] = []
    with (
        (out / LOG).open("a", encoding="utf-8") as log,
        subprocess.Popen(
            command,
            env=os.environ | folders | workers | silent,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process,
    ):
        for line in process.stdout or ():
            log.write(line)
            log.flush()
            last = [*last, line.strip()][-_LAST_LINES:]
            if line.startswith(REPORT):
                report("nnU-Net: " + line.removeprefix(REPORT).strip())
    if process.returncode:
        raise UsageError(
            f"nnU-Net stopped with status {process.returncode}: {' | '.join(filter(None, last))}",
            f"Its whole output is in {LOG} of the run's folder.",
        )
