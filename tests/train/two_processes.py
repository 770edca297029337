"""Trains a network without batch statistics; started by the test, alone or twice by torchrun.

python two_processes.py PATIENTS RUN BATCH_SIZE
"""

import json
import sys
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from cmrseg.losses.composite import LossConfig
from cmrseg.models import registry
from cmrseg.segment.preprocess import InputSpec
from cmrseg.train.bank import build_bank
from cmrseg.train.config import DataConfig, OptimConfig, TrainConfig
from cmrseg.train.data import find_cases
from cmrseg.train.loop import train

CONFIG = TrainConfig(
    threads=1,
    input=InputSpec(spacing_mm=3.0, size=32, context_slices=1),
    # each slice has one augmentation, whichever process draws it
    data=DataConfig(validation_per_group=1, cache_size=48, augmented_variants=1),
    # a mean over pixels, so that the mean of two halves of a batch is that of the batch
    loss=LossConfig(dice=0.0, cross_entropy=1.0),
    optim=OptimConfig(epochs=2, warmup_steps=2, gradient_clip=1e9),
)


def build(_name: str, _config: object) -> nn.Module:
    """Two convolutions."""
    return nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.GELU(), nn.Conv2d(8, 4, 3, padding=1))


if __name__ == "__main__":
    patients, run, batch_size = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    registry.build = build
    config = replace(CONFIG, optim=replace(CONFIG.optim, batch_size=batch_size))
    model = train(config, build_bank(find_cases(patients, config.data), config), run, lambda _: {}, lambda _: None)
    rank = torch.distributed.get_rank() if torch.distributed.is_initialized() else 0
    (run / f"weights-{rank}.json").write_text(json.dumps({k: v.tolist() for k, v in model.state_dict().items()}))
