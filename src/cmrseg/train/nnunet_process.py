"""The process in which nnU-Net works: ``python -m cmrseg.train.nnunet_process OUT``, started by `cmrseg.train.nnunet`.

nnU-Net's functions are called from Python: its commands look for trainers in all of its modules, of which some need
torchvision, and know no length of training but their own.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from nnunetv2.experiment_planning.plan_and_preprocess_api import (
    extract_fingerprints,
    plan_experiments,
    preprocess,
)
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

from cmrseg.io.files import write_text
from cmrseg.train.nnunet import DATASET, FILE_ENDING, JOB, REPORT, TRAINED, NnUnetConfig

_NUMBER = int(DATASET[len("Dataset") :].split("_")[0])
_PLANNED = "planned.json"
_TIMED_STEPS = 4
#: With a time to keep to, the learning rate falls in at least so many steps.
_LEAST_EPOCHS = 25


def main(out: Path) -> None:
    """Do what is left to do of the job in a folder; every step leaves a file that says it is done."""
    job = json.loads((out / JOB).read_text(encoding="utf-8"))
    config = NnUnetConfig(**job["config"])
    torch.set_num_threads(config.threads)
    for seeded in (random.seed, np.random.seed, torch.manual_seed):
        seeded(config.seed)
    device = torch.device(config.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    plans_name = _plan(out, config)
    if config.threads == 1:
        # augment here; the planner, though, wants at least one process
        os.environ["nnUNet_n_proc_DA"] = "0"  # noqa: SIM112 - nnU-Net's spelling
    trainer = _train(out, config, plans_name, device)
    _predict(trainer, out, device)
    stamps = [trainer.logger.get_value(f"epoch_{end}_timestamps", None) for end in ("start", "end")]
    trained = {
        "weights_m": sum(p.numel() for p in trainer.network.parameters()) / 1e6,
        "epochs": trainer.num_epochs,
        "iterations": trainer.num_epochs * trainer.num_iterations_per_epoch,
        "minutes": sum(float(e - s) for s, e in zip(*stamps, strict=True)) / 60,
    }
    write_text(out / TRAINED, json.dumps(trained, indent=1) + "\n")


def _report(line: str) -> None:
    print(f"{REPORT}{line}", flush=True)  # noqa: T201 - the parent process reads it


def _plan(out: Path, config: NnUnetConfig) -> str:
    """Fingerprint, plans and pre-processed images, unless they are there; the name of the plans."""
    done = out / _PLANNED
    if not done.exists():
        _report("planning and pre-processing")
        extract_fingerprints([_NUMBER], num_processes=config.threads, show_progress_bar=False)
        name = plan_experiments([_NUMBER], config.planner, config.memory_gb)
        preprocess([_NUMBER], name, [config.configuration], [config.threads], show_progress_bar=False)
        write_text(done, json.dumps(name))
    planned: str = json.loads(done.read_text(encoding="utf-8"))
    return planned


def _train(out: Path, config: NnUnetConfig, plans_name: str, device: torch.device) -> Any:
    """A trainer at the end of its training."""
    length = out / "length.json"
    if not length.exists():
        write_text(length, json.dumps(_length(_trainer(out, config, plans_name, device), config)))
    trainer = _trainer(out, config, plans_name, device)
    trainer.num_epochs, trainer.num_iterations_per_epoch = json.loads(length.read_text(encoding="utf-8"))
    trainer.save_every = max(1, trainer.num_epochs // 20)
    trainer.initialize()
    last = _resume(trainer)
    # which epoch was best on held-out patients is nobody's business, and takes time to write
    trainer._best_ema = float("inf")
    if not last:
        _report(f"training for {trainer.num_epochs} epochs of {trainer.num_iterations_per_epoch} batches")
        trainer.run_training()
    return trainer


def _trainer(out: Path, config: NnUnetConfig, plans_name: str, device: torch.device) -> Any:
    plans = json.loads((out / "preprocessed" / DATASET / f"{plans_name}.json").read_text(encoding="utf-8"))
    dataset = json.loads((out / "raw" / DATASET / "dataset.json").read_text(encoding="utf-8"))
    trainer = nnUNetTrainer(plans | {"continue_training": False}, config.configuration, 0, dataset, device=device)
    # only a curve is drawn from these batches
    trainer.num_val_iterations_per_epoch = 1
    return trainer


def _length(trainer: Any, config: NnUnetConfig) -> tuple[int, int]:
    """Epochs and batches of each: those of the configuration, or what fits its time by a few timed batches."""
    if not config.minutes:
        return config.epochs, config.iterations_per_epoch
    trainer.disable_checkpointing = True
    trainer.on_train_start()
    trainer.network.train()
    for _ in range(2):
        trainer.train_step(next(trainer.dataloader_train))
    began = time.monotonic()
    for _ in range(_TIMED_STEPS):
        trainer.train_step(next(trainer.dataloader_train))
    per_batch = (time.monotonic() - began) / _TIMED_STEPS
    trainer.on_train_end()
    batches = max(1, int(60 * config.minutes / per_batch))
    per_epoch = min(config.iterations_per_epoch, max(1, batches // _LEAST_EPOCHS))
    return max(1, batches // per_epoch), per_epoch


def _resume(trainer: Any) -> bool:
    """Take up what the folder's last checkpoint holds, tensors and plain numbers only; True when it was the last."""
    folder = Path(trainer.output_folder)
    for name in ("checkpoint_final.pth", "checkpoint_latest.pth"):
        if not (folder / name).exists():
            continue
        with torch.serialization.safe_globals(_NUMPY_NUMBERS):
            stored = torch.load(folder / name, map_location=trainer.device, weights_only=True)
        getattr(trainer.network, "_orig_mod", trainer.network).load_state_dict(stored["network_weights"])
        trainer.optimizer.load_state_dict(stored["optimizer_state"])
        if trainer.grad_scaler is not None:
            trainer.grad_scaler.load_state_dict(stored["grad_scaler_state"])
        trainer.logger.load_checkpoint(stored["logging"])
        trainer.current_epoch = stored["current_epoch"]
        trainer.inference_allowed_mirroring_axes = stored["inference_allowed_mirroring_axes"]
        return name == "checkpoint_final.pth"
    return False


def _predict(trainer: Any, out: Path, device: torch.device) -> None:
    """Masks of the held-out frames, as ``nnUNetv2_predict`` makes them."""
    _report("segmenting the held-out patients")
    raw = out / "raw" / DATASET
    names = json.loads((raw / "splits_final.json").read_text(encoding="utf-8"))[0]["val"]
    folder = out / "predictions"
    folder.mkdir(exist_ok=True)
    trainer.set_deep_supervision_enabled(False)
    network = getattr(trainer.network, "_orig_mod", trainer.network)
    predictor = nnUNetPredictor(device=device, allow_tqdm=False)
    predictor.manual_initialization(
        network,
        trainer.plans_manager,
        trainer.configuration_manager,
        [network.state_dict()],
        trainer.dataset_json,
        type(trainer).__name__,
        trainer.inference_allowed_mirroring_axes,
    )
    predictor.predict_from_files_sequential(
        [[str(raw / "imagesTr" / f"{name}_0000{FILE_ENDING}")] for name in names],
        [str(folder / name) for name in names],
    )


#: nnU-Net's curves are lists of numpy's numbers.
_NUMPY_NUMBERS: list[Any] = [
    np._core.multiarray.scalar,  # type: ignore[attr-defined]
    np.dtype,
    *(type(np.dtype(kind)) for kind in (np.float16, np.float32, np.float64, np.int64)),
]

if __name__ == "__main__":
    main(Path(sys.argv[1]))
