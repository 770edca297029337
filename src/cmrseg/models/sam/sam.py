"""Segment Anything whole: image encoder, prompt encoder, mask decoder.

Source: Kirillov et al., Segment Anything, ICCV 2023.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import interpolate

from cmrseg.models.sam.config import SamConfig
from cmrseg.models.sam.image_encoder import ImageEncoderViT
from cmrseg.models.sam.mask_decoder import MaskDecoder, Masks
from cmrseg.models.sam.prompt_encoder import PromptEncoder


class Sam(nn.Module):
    """Masks of prompted structures.

    Args:
        config: sizes.
    """

    def __init__(self, config: SamConfig) -> None:
        super().__init__()
        self.config = config
        self.image_encoder = ImageEncoderViT(config.image_encoder)
        self.prompt_encoder = PromptEncoder(config.prompt_encoder)
        self.mask_decoder = MaskDecoder(config.mask_decoder)

    def forward(
        self,
        images_B3HW: Tensor,
        points: tuple[Tensor, Tensor] | None = None,
        boxes_P4: Tensor | None = None,
        masks_P1HW: Tensor | None = None,
        *,
        multimask: bool = False,
    ) -> Masks:
        """Masks at the size of the images, [P, M, H, W], and their predicted overlap [P, M].

        Args:
            images_B3HW: normalised images, H and W multiples of the patch size.
            points: see `PromptEncoder.forward`; P is a multiple of B, the prompts of one image next to each other.
            boxes_P4: likewise.
            masks_P1HW: likewise.
            multimask: three proposals for an ambiguous prompt rather than one mask for a clear one.

        Raises:
            UsageError: sizes or numbers of prompts that do not fit the images.
        """
        features = self.image_encoder(images_B3HW)
        height, width = images_B3HW.shape[-2:]
        return self.draw(features, (height, width), points, boxes_P4, masks_P1HW, multimask=multimask)

    def draw(
        self,
        features_BDhw: Tensor,
        image_hw: tuple[int, int],
        points: tuple[Tensor, Tensor] | None = None,
        boxes_P4: Tensor | None = None,
        masks_P1HW: Tensor | None = None,
        *,
        multimask: bool = False,
    ) -> Masks:
        """As `forward`, from features of the image encoder, so that several prompts encode an image once."""
        prompts = self.prompt_encoder(image_hw, points, boxes_P4, masks_P1HW)
        coarse = self.mask_decoder(
            features_BDhw, self.prompt_encoder.grid_positions(image_hw), prompts, multimask=multimask
        )
        logits = interpolate(coarse.logits_PMHW, size=image_hw, mode="bilinear", align_corners=False)
        return Masks(logits, coarse.iou_PM)
