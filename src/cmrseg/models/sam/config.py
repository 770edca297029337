"""Sizes of the parts of a Segment Anything model. Imports no torch.

Source: Kirillov et al., Segment Anything, ICCV 2023, appendix A; ViT-B, -L and -H as in the published checkpoints.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from cmrseg.errors import UsageError


@dataclass(frozen=True)
class ImageEncoderConfig:
    """Size of the vision transformer that turns an image into a feature map.

    Raises:
        UsageError: sizes that cannot be built.
    """

    image_size: int = 1024
    """Rows and columns [px] of the images that the position embeddings are made for; other sizes interpolate them."""
    patch_size: int = 16
    """Rows and columns [px] of one patch, and so the stride of the feature map."""
    embed_dim: int = 768
    """Channels inside the transformer."""
    depth: int = 12
    """Transformer blocks."""
    num_heads: int = 12
    """Attention heads per block."""
    mlp_ratio: float = 4.0
    """Hidden width of a block's perceptron over `embed_dim`."""
    out_channels: int = 256
    """Channels of the feature map."""
    qkv_bias: bool = True
    """Whether queries, keys and values have a bias."""
    window_size: int = 14
    """Rows and columns [patches] of the windows that most blocks attend within; 0: every block sees the whole image."""
    global_attention_indexes: tuple[int, ...] = (2, 5, 8, 11)
    """Blocks, counted from 0, that attend over the whole image although the others have windows."""
    use_rel_pos: bool = True
    """Whether attention adds decomposed relative position embeddings."""
    in_channels: int = 3
    """Channels of the image."""

    def __post_init__(self) -> None:
        if self.image_size < self.patch_size or self.image_size % self.patch_size:
            raise UsageError(
                f"An image of {self.image_size} px does not divide into patches of {self.patch_size} px.",
                "Give an image_size that is a multiple of patch_size.",
            )
        if self.embed_dim % self.num_heads:
            raise UsageError(
                f"{self.embed_dim} channels do not divide among {self.num_heads} heads.",
                "Give an embed_dim that is a multiple of num_heads.",
            )
        beyond = [i for i in self.global_attention_indexes if not 0 <= i < self.depth]
        if beyond:
            raise UsageError(
                f"Blocks {beyond} are to attend globally, but blocks are numbered 0 to {self.depth - 1}.",
                "Change global_attention_indexes or depth.",
            )

    @property
    def grid_size(self) -> int:
        """Rows and columns [patches] of the grid that the position embeddings are made for."""
        return self.image_size // self.patch_size

    def window_of(self, block: int) -> int:
        """Rows and columns [patches] of the windows of a block; 0 where it attends over the whole image."""
        return 0 if block in self.global_attention_indexes else self.window_size


@dataclass(frozen=True)
class PromptEncoderConfig:
    """Size of the network that turns points, boxes and rough masks into tokens."""

    embed_dim: int = 256
    """Channels of a token; even, and equal to the image encoder's `out_channels`."""
    patch_size: int = 16
    """Stride of the feature map that dense prompts are added to."""
    mask_channels: int = 16
    """Channels inside the network that reads a mask prompt; a multiple of 4."""

    def __post_init__(self) -> None:
        if self.embed_dim % 2 or self.mask_channels % 4:
            raise UsageError(
                f"Prompts cannot have {self.embed_dim} channels, or {self.mask_channels} mask channels.",
                "Give an even embed_dim, and mask_channels that are a multiple of 4.",
            )


@dataclass(frozen=True)
class MaskDecoderConfig:
    """Size of the two-way transformer and the heads that turn features and prompts into masks."""

    embed_dim: int = 256
    """Channels of tokens and of the feature map; a multiple of 8."""
    depth: int = 2
    """Layers of the two-way transformer."""
    num_heads: int = 8
    """Attention heads."""
    mlp_dim: int = 2048
    """Hidden width of the perceptron of each layer."""
    attention_downsample_rate: int = 2
    """By how much attention between tokens and image narrows its channels."""
    num_multimask_outputs: int = 3
    """Masks proposed for an ambiguous prompt, besides the single mask for a clear one."""
    iou_head_depth: int = 3
    """Layers of the perceptron that predicts how good each mask is."""
    iou_head_hidden_dim: int = 256
    """Hidden width of that perceptron."""

    def __post_init__(self) -> None:
        if self.embed_dim % 8 or self.embed_dim % (self.attention_downsample_rate * self.num_heads):
            raise UsageError(
                f"{self.embed_dim} channels do not divide among {self.num_heads} heads narrowed by "
                f"{self.attention_downsample_rate}.",
                "Give an embed_dim that is a multiple of 8 and of num_heads times attention_downsample_rate.",
            )


@dataclass(frozen=True)
class SamConfig:
    """Sizes of a whole model; its parts must agree in channels and patch size."""

    image_encoder: ImageEncoderConfig = field(default_factory=ImageEncoderConfig)
    """The image encoder."""
    prompt_encoder: PromptEncoderConfig = field(default_factory=PromptEncoderConfig)
    """The prompt encoder."""
    mask_decoder: MaskDecoderConfig = field(default_factory=MaskDecoderConfig)
    """The mask decoder."""

    def __post_init__(self) -> None:
        channels = (self.image_encoder.out_channels, self.prompt_encoder.embed_dim, self.mask_decoder.embed_dim)
        if len(set(channels)) > 1:
            raise UsageError(
                f"Image encoder, prompt encoder and mask decoder have {channels} channels.", "Give all the same."
            )
        patches = (self.image_encoder.patch_size, self.prompt_encoder.patch_size)
        if len(set(patches)) > 1:
            raise UsageError(f"Image encoder and prompt encoder have patches of {patches} px.", "Give both the same.")


#: Image encoders by name. ``small`` is for windows round the heart on a few CPU cores, ``tiny`` for tests.
IMAGE_ENCODERS: dict[str, ImageEncoderConfig] = {
    "vit_b": ImageEncoderConfig(),
    "vit_l": ImageEncoderConfig(embed_dim=1024, depth=24, num_heads=16, global_attention_indexes=(5, 11, 17, 23)),
    "vit_h": ImageEncoderConfig(embed_dim=1280, depth=32, num_heads=16, global_attention_indexes=(7, 15, 23, 31)),
    "small": ImageEncoderConfig(
        image_size=128,
        patch_size=8,
        embed_dim=192,
        depth=6,
        num_heads=3,
        out_channels=128,
        window_size=0,
        global_attention_indexes=(),
    ),
    "tiny": ImageEncoderConfig(
        image_size=32,
        patch_size=8,
        embed_dim=32,
        depth=2,
        num_heads=2,
        out_channels=32,
        window_size=0,
        global_attention_indexes=(),
    ),
}
