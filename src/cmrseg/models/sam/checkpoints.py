"""Weights of Segment Anything from the layouts they are passed on in; tensors only, code in a file is never run.

Read are: ``.pth`` as SAM and MedSAM are published, or as training scripts keep it (under ``model`` or ``state_dict``,
names beginning with ``module.``); Hugging Face's layout, as ``.safetensors``, ``pytorch_model.bin`` or the folder of
either; and encoder bundles (`cmrseg.models.encoder_bundle`).
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from cmrseg.errors import BundleError
from cmrseg.models.encoder_bundle import is_encoder_bundle, read_encoder_bundle
from cmrseg.models.sam.image_encoder import ImageEncoderViT
from cmrseg.models.sam.layers import resize_grid, resize_offsets
from cmrseg.models.sam.sam import Sam

IMAGE_ENCODER = "image_encoder."
#: Files of a folder in Hugging Face's layout, in the order they are looked for.
FOLDER_FILES = ("model.safetensors", "pytorch_model.bin")
#: Hugging Face's names and SAM's; each is tried once, from the beginning of the name.
HUGGING_FACE_NAMES: tuple[tuple[str, str], ...] = (
    # one tensor under two names, of which files keep one or both
    (
        r"(shared_image_embedding|prompt_encoder\.shared_embedding)\.positional_embedding",
        "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix",
    ),
    (r"vision_encoder\.patch_embed\.projection\.", "image_encoder.patch_embed.proj."),
    (r"vision_encoder\.pos_embed", "image_encoder.pos_embed"),
    (r"vision_encoder\.layers\.(\d+)\.layer_norm([12])\.", r"image_encoder.blocks.\1.norm\2."),
    (r"vision_encoder\.layers\.(\d+)\.(attn|mlp)\.", r"image_encoder.blocks.\1.\2."),
    (r"vision_encoder\.neck\.conv1\.", "image_encoder.neck.0."),
    (r"vision_encoder\.neck\.layer_norm1\.", "image_encoder.neck.1."),
    (r"vision_encoder\.neck\.conv2\.", "image_encoder.neck.2."),
    (r"vision_encoder\.neck\.layer_norm2\.", "image_encoder.neck.3."),
    (r"prompt_encoder\.mask_embed\.conv1\.", "prompt_encoder.mask_downscaling.0."),
    (r"prompt_encoder\.mask_embed\.layer_norm1\.", "prompt_encoder.mask_downscaling.1."),
    (r"prompt_encoder\.mask_embed\.conv2\.", "prompt_encoder.mask_downscaling.3."),
    (r"prompt_encoder\.mask_embed\.layer_norm2\.", "prompt_encoder.mask_downscaling.4."),
    (r"prompt_encoder\.mask_embed\.conv3\.", "prompt_encoder.mask_downscaling.6."),
    (r"prompt_encoder\.point_embed\.(\d+)\.", r"prompt_encoder.point_embeddings.\1."),
    (r"prompt_encoder\.(no_mask_embed|not_a_point_embed)\.", r"prompt_encoder.\1."),
    (r"mask_decoder\.transformer\.layers\.(\d+)\.layer_norm(\d)\.", r"mask_decoder.transformer.layers.\1.norm\2."),
    (r"mask_decoder\.transformer\.layer_norm_final_attn\.", "mask_decoder.transformer.norm_final_attn."),
    (r"mask_decoder\.upscale_conv1\.", "mask_decoder.output_upscaling.0."),
    (r"mask_decoder\.upscale_layer_norm\.", "mask_decoder.output_upscaling.1."),
    (r"mask_decoder\.upscale_conv2\.", "mask_decoder.output_upscaling.3."),
    # published decoders have perceptrons of three layers
    (r"mask_decoder\.(iou_prediction_head|output_hypernetworks_mlps\.\d+)\.proj_in\.", r"mask_decoder.\1.layers.0."),
    (r"mask_decoder\.(iou_prediction_head|output_hypernetworks_mlps\.\d+)\.layers\.0\.", r"mask_decoder.\1.layers.1."),
    (r"mask_decoder\.(iou_prediction_head|output_hypernetworks_mlps\.\d+)\.proj_out\.", r"mask_decoder.\1.layers.2."),
    (r"mask_decoder\.(iou_token|mask_tokens|transformer)\.", r"mask_decoder.\1."),
)
#: What torch raises on bytes that are no checkpoint, besides an UnpicklingError.
_TORN = (
    OSError,
    EOFError,
    RuntimeError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    AssertionError,
    ArithmeticError,
)


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """Tensors of a checkpoint by SAM's names (``image_encoder.…``, ``prompt_encoder.…``, ``mask_decoder.…``), float32.

    Args:
        path: file or folder in one of the layouts that the module names.

    Raises:
        BundleError: nothing there, no such layout, a damaged file, code in a pickle, or weights that are not finite.
    """
    if is_encoder_bundle(path):
        return {IMAGE_ENCODER + k: v for k, v in read_encoder_bundle(path).weights().items()}
    return _official(read_tensors(path), _file_of(path))


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Tensors of a checkpoint by the names they have in the file, float32.

    Args:
        path: ``.safetensors``, or a state dict that torch saved; or the folder of either.

    Raises:
        BundleError: nothing there, a damaged file, code in a pickle, or weights that are not finite.
    """
    file = _file_of(path)
    state = _read_safetensors(file) if file.suffix == ".safetensors" else _read_pickle(file)
    broken = [k for k, v in state.items() if not bool(torch.isfinite(v).all())]
    if broken:
        raise BundleError(f"In {file.name} these weights are not finite: {_some(broken)}.", "Take another checkpoint.")
    return state


def load_image_encoder(encoder: ImageEncoderViT, path: Path) -> None:
    """Give an image encoder the weights of a checkpoint; position embeddings are interpolated to its sizes.

    Args:
        encoder: takes the weights, all or none.
        path: see `read_checkpoint`; what belongs to other parts of SAM is left aside.

    Raises:
        BundleError: as `read_checkpoint`; or weights are missing, left over, or of another shape.
    """
    state = read_checkpoint(path)
    own = {k.removeprefix(IMAGE_ENCODER): v for k, v in state.items() if k.startswith(IMAGE_ENCODER)}
    _load(encoder, own, path)


def load_sam(sam: Sam, path: Path) -> None:
    """Give a whole model the weights of a checkpoint; see `load_image_encoder`."""
    _load(sam, read_checkpoint(path), path)


def _file_of(path: Path) -> Path:
    if path.is_dir():
        for name in FOLDER_FILES:
            if (path / name).is_file():
                return path / name
        raise BundleError(
            f"The folder {path.name!r} holds no checkpoint.",
            f"It should have one of {', '.join(FOLDER_FILES)}, or be an encoder bundle.",
        )
    if not path.is_file():
        raise BundleError(
            f"There is no checkpoint {path.name!r}.", "Give a .pth, .bin or .safetensors file, or a folder."
        )
    return path


def _read_safetensors(file: Path) -> dict[str, Tensor]:
    try:
        return {k: v.float() for k, v in load_file(file).items()}
    except (SafetensorError, OSError, ValueError) as error:
        raise _damaged(file) from error


def _read_pickle(file: Path) -> dict[str, Tensor]:
    try:
        content: Any = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        named = re.search(r"(?:GLOBAL|Unsupported class|function) ([\w.]+)", str(error))
        if named is None:
            raise _damaged(file) from error
        raise BundleError(
            f"{file.name} holds more than tensors: reading it would run {named[1]}.",
            "Nothing was run. Take the weights from a source you trust, as .safetensors or as a plain state dict.",
        ) from error
    except _TORN as error:
        raise _damaged(file) from error
    for name in ("model", "state_dict"):
        if isinstance(content, Mapping) and isinstance(content.get(name), Mapping):
            content = content[name]
    if not isinstance(content, Mapping) or not all(isinstance(v, Tensor) for v in content.values()):
        raise BundleError(
            f"{file.name} is no state dict.", "Give a dictionary of tensors by name, as SAM is published."
        )
    return {str(k).removeprefix("module."): v.float() for k, v in content.items()}


def _damaged(file: Path) -> BundleError:
    return BundleError(
        f"{file.name} is damaged, or holds something else than tensors by name.",
        "Nothing in it was run. Download it again and compare its checksum.",
    )


def _official(state: Mapping[str, Tensor], file: Path) -> dict[str, Tensor]:
    """The tensors by SAM's names, whatever layout they came in."""
    if any(k.startswith(IMAGE_ENCODER) for k in state):
        return dict(state)
    if any(k.startswith("vision_encoder.") for k in state):
        return {_sam_name(k): v for k, v in state.items()}
    raise BundleError(
        f"{file.name} holds no image encoder of Segment Anything; it begins with {_some(list(state)) or 'nothing'}.",
        f"Names should begin with {IMAGE_ENCODER} or vision_encoder.",
    )


def _sam_name(name: str) -> str:
    for pattern, replacement in HUGGING_FACE_NAMES:
        renamed, found = re.subn("^" + pattern, replacement, name)
        if found:
            return renamed
    return name


def _load(module: nn.Module, state: Mapping[str, Tensor], path: Path) -> None:
    wanted = module.state_dict()
    fitted = {k: _fitted(k, v, wanted[k]) if k in wanted else v for k, v in state.items()}
    problems = [f"{k} is missing" for k in wanted if k not in fitted]
    problems += [f"{k} has no place" for k in fitted if k not in wanted]
    problems += [
        f"{k} is {tuple(fitted[k].shape)} and should be {tuple(v.shape)}"
        for k, v in wanted.items()
        if k in fitted and fitted[k].shape != v.shape
    ]
    if problems:
        raise BundleError(
            f"{path.name} does not fit this network: {_some(problems)}.",
            "Choose the configuration that the checkpoint was made with; image size and window size alone may differ.",
        )
    module.load_state_dict(fitted)


def _fitted(name: str, value: Tensor, wanted: Tensor) -> Tensor:
    """Position embeddings of another image or window size brought to that of the network; anything else unchanged."""
    if value.ndim != wanted.ndim or value.shape[-1] != wanted.shape[-1]:
        return value
    if name.endswith("pos_embed"):
        return resize_grid(value, (wanted.shape[1], wanted.shape[2]))
    if name.endswith(("rel_pos_h", "rel_pos_w")):
        return resize_offsets(value, wanted.shape[0])
    return value


def _some(items: list[str], most: int = 4) -> str:
    return ", ".join(items[:most]) + (f" and {len(items) - most} more" if len(items) > most else "")
