"""Small baselines on Segment Anything, inputs for them, and what they must learn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnxruntime
import torch
from torch import Tensor, nn

from cmrseg.models import registry
from cmrseg.models.outputs import Outputs, outputs_of
from cmrseg.models.sam_baselines.base import SamBaseline

#: Every network whose behaviour may differ: name in the registry and settings besides its tiny ones.
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "lora": ("sam_lora", {}),
    "lora of keys too": ("sam_lora", {"targets": ("q", "k", "v")}),
    "shallow prompts": ("sam_prompt_tuning", {}),
    "deep prompts": ("sam_prompt_tuning", {"prompt_depth": "deep"}),
    "medsam": ("medsam_finetuned", {}),
}


def network(variant: str, seed: int = 0, **changes: Any) -> SamBaseline:
    """A small network with reproducible random weights."""
    name, settings = VARIANTS[variant]
    torch.manual_seed(seed)
    config = registry.config_type(name)(**{**registry.entry(name).tiny, **settings, **changes})
    built = registry.build(name, config)
    assert isinstance(built, SamBaseline)
    return built


def randomise(module: nn.Module, seed: int = 0) -> None:
    """Every parameter random, so that nothing hides behind a zero or a one."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)


def noise(*shape: int, seed: int = 1) -> Tensor:
    """Reproducible normal numbers."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def logits(result: Tensor | Outputs) -> Tensor:
    """Class logits of a forward pass."""
    return outputs_of(result).logits_BKHW


def in_onnx_runtime(model: nn.Module, images: Tensor, folder: Path) -> tuple[Tensor, list[list[int]]]:
    """What ONNX Runtime makes of images, exported with another batch size, and shapes of the weights it then holds."""
    batch = torch.export.Dim("batch", min=1, max=64)
    example = noise(2, *images.shape[1:], seed=9)
    program = torch.onnx.export(
        model, (example,), dynamo=True, optimize=False, dynamic_shapes=({0: batch},), verbose=False
    )
    assert program is not None
    program.save(folder / "model.onnx")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(folder / "optimised.onnx")
    session = onnxruntime.InferenceSession(folder / "model.onnx", options)
    (given,) = session.run(None, {session.get_inputs()[0].name: images.numpy()})
    import onnx

    held = onnx.load(folder / "optimised.onnx").graph.initializer
    return torch.from_numpy(given), [list(tensor.dims) for tensor in held]
