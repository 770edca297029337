"""What the baselines share: input, image encoder, prompt encoder, mask decoder, and where their weights come from.

Source: Kirillov et al., Segment Anything, ICCV 2023. Letters in names: B batch, S slices, H and W rows and columns,
D and h and w those of the encoder's features, K classes, N prompt tokens.
"""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

from cmrseg.models.cardiosam.decoder import resize
from cmrseg.models.outputs import Outputs
from cmrseg.models.sam.checkpoints import load_image_encoder, load_sam, read_checkpoint
from cmrseg.models.sam.image_encoder import ImageEncoderViT
from cmrseg.models.sam.input import InputAdapter
from cmrseg.models.sam.mask_decoder import MaskDecoder
from cmrseg.models.sam.prompt_encoder import PromptEncoder, PromptTokens
from cmrseg.models.sam.sam import Sam
from cmrseg.models.sam_baselines.config import SamBaselineConfig

MASK_DECODER = "mask_decoder."


class SamBaseline(nn.Module):
    """Slices [B, in_channels, H, W] -> logits [B, n_classes, H, W]; an EncoderDecoder.

    H and W are multiples of the patch size, or anything when the config names an `image_size` to resample to.

    Args:
        config: sizes. Weights are random until `load_encoder` or `load_state_dict`.
        masks: mask tokens of the decoder.
        freeze_encoder: whether the image encoder keeps its weights.
    """

    #: Parts of the mask decoder that checkpoints do not fill, by the beginning of their names.
    own_parts: tuple[str, ...] = ()

    def __init__(self, config: SamBaselineConfig, masks: int, freeze_encoder: bool) -> None:
        super().__init__()
        self.config = config
        self.adapter = InputAdapter(config.in_channels)
        self.encoder = ImageEncoderViT(config.encoder)
        self.prompt_encoder = PromptEncoder(config.sam.prompt_encoder)
        self.mask_decoder = MaskDecoder(config.decoder(masks))
        # without points, boxes or rough masks all that prompts give is the embedding of a mask's absence;
        # nobody asks how good a mask is
        self.prompt_encoder.requires_grad_(False)
        self.prompt_encoder.no_mask_embed.requires_grad_(True)
        self.mask_decoder.iou_prediction_head.requires_grad_(False)
        if freeze_encoder:
            self.encoder.freeze()
        self.encoder_frozen = freeze_encoder and self.adapter.proj is None
        """Whether `encode` never changes, so that its features may be kept."""

    def forward(self, x_BSHW: Tensor) -> Tensor | Outputs:
        """Logits of normalised slices, or Outputs in training mode where the network has an auxiliary head."""
        return self.decode(self.encode(x_BSHW), (x_BSHW.shape[-2], x_BSHW.shape[-1]))

    def encode(self, x_BSHW: Tensor) -> Tensor:
        """Features [B, D, h, w] of the encoder.

        Raises:
            UsageError: H or W is no multiple of the patch size, and the config names no `image_size`.
        """
        features: Tensor = self.encoder(self.encoder_input(x_BSHW))
        return features

    def encoder_input(self, x_BSHW: Tensor) -> Tensor:
        """Slices as the three channels, and in the size, that the encoder sees."""
        x: Tensor = self.adapter(x_BSHW)
        return resize(x, (self.config.image_size, self.config.image_size)) if self.config.image_size else x

    def decode(self, features_BDhw: Tensor, size_hw: tuple[int, int]) -> Tensor | Outputs:
        """Logits of the image's size from features of `encode`; one mask token for every class.

        Source: Zhang and Liu, SAMed, arXiv 2304.13785.
        """
        image_hw = self.encoded_size(features_BDhw)
        images = features_BDhw.shape[0]
        dense = self.prompt_encoder.embed_no_mask(image_hw).expand(images, -1, -1, -1)
        masks = self.mask_decoder.every_mask(
            features_BDhw,
            self.prompt_encoder.grid_positions(image_hw),
            PromptTokens(self.prompt_tokens().expand(images, -1, -1), dense),
        )
        return resize(masks.logits_PMHW, size_hw)

    def prompt_tokens(self) -> Tensor:
        """Prompt tokens [N, D] of every image; none here."""
        return self.prompt_encoder.not_a_point_embed.weight[:0]

    def encoded_size(self, features_BDhw: Tensor) -> tuple[int, int]:
        """Rows and columns [px] of the image as the encoder saw it."""
        patch = self.config.encoder.patch_size
        return features_BDhw.shape[-2] * patch, features_BDhw.shape[-1] * patch

    def load_encoder(self, path: Path) -> None:
        """Take the encoder's weights from a SAM or MedSAM checkpoint or an encoder bundle.

        Of a checkpoint that holds them, prompt encoder and mask decoder are taken too, but for the decoder's
        `own_parts`.

        Raises:
            BundleError: no such checkpoint, or one that does not fit.
        """
        if any(name.startswith(MASK_DECODER) for name in read_checkpoint(path)):
            sam = Sam(self.config.sam)
            load_sam(sam, path)
            encoder = sam.image_encoder
            self.prompt_encoder.load_state_dict(sam.prompt_encoder.state_dict())
            theirs = {k: v for k, v in sam.mask_decoder.state_dict().items() if not k.startswith(self.own_parts)}
            self.mask_decoder.load_state_dict(self.mask_decoder.state_dict() | theirs)
        else:
            encoder = ImageEncoderViT(self.config.encoder)
            load_image_encoder(encoder, path)
        # an encoder may hold more weights than SAM's, which stay as they are
        self.encoder.load_state_dict(self.encoder.state_dict() | encoder.state_dict())
