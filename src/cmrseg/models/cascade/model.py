"""The cascade: a detector proposes boxes, each prompts a mask, and a structure is the union of its masks.

Source: Moafi et al., arXiv 2506.21151 (MICCAI 2025); Kirillov et al., Segment Anything, ICCV 2023. Letters in names: B
batch, S slices, H and W rows and columns, D and h and w those of the encoder's features, K structures (background is
none), M boxes of a structure.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from cmrseg.models.cardiosam.decoder import resize
from cmrseg.models.cascade.config import CascadeConfig
from cmrseg.models.detector.boxes import Boxes, boxes_of_masks
from cmrseg.models.detector.network import ABSENT, Detector, logit_of
from cmrseg.models.outputs import DenseBoxes, Outputs
from cmrseg.models.sam.prompt_encoder import PromptTokens
from cmrseg.models.sam_baselines.base import SamBaseline

#: Mask tokens of a published decoder; the first one, for clear prompts, is used.
SAM_MASKS = 4


class Cascade(SamBaseline):
    """Slices [B, in_channels, H, W] -> logits [B, n_classes, H, W]; an EncoderDecoder that takes boxes.

    Without boxes it uses those that its detector believes: this is the automatic result, and no truth can enter it.
    With boxes it draws what is in them; whoever gives them answers for where they are from. A structure without a
    box has, on the whole image, the log odds of the detector's best box: less than 0, and the lower the surer it is
    that there is none.

    Trained are the detector and the mask decoder; the prompt encoder keeps its weights, and the image encoder where the
    config says so.

    Args:
        config: sizes.
    """

    config: CascadeConfig

    def __init__(self, config: CascadeConfig) -> None:
        super().__init__(config, SAM_MASKS, freeze_encoder=config.freeze_encoder)
        self.detector = Detector(config.detector)
        structures = config.n_classes - 1
        # one structure needs no name
        self.names = nn.Embedding(structures, config.encoder.out_channels) if structures > 1 else None
        self.prompt_encoder.requires_grad_(False)
        self.mask_decoder.output_hypernetworks_mlps[1:].requires_grad_(False)

    def forward(self, x_BSHW: Tensor, boxes: Boxes | None = None) -> Tensor | Outputs:
        """Logits of normalised slices; with what the detector proposes, as Outputs, in training mode.

        Args:
            x_BSHW: slices.
            boxes: prompts, for as many images, in pixels of the slices; None for the detector's own.

        Raises:
            UsageError: H or W suits the encoder or the detector not.
        """
        features: Tensor = self.encoder(self.encoder_input(x_BSHW))
        return self._outlined(features, x_BSHW, boxes)

    def encode(self, x_BSHW: Tensor) -> Tensor:
        """Features of the encoder and, behind them, the pixels, which the detector needs; [B, D + P, h, w].

        P is as many channels as the pixels fill, the last ones with zeros.
        """
        features = super().encode(x_BSHW)
        places = features.shape[-2] * features.shape[-1]
        pixels = x_BSHW.flatten(1)
        pixels = pad(pixels, (0, -pixels.shape[1] % places)).reshape(len(x_BSHW), -1, *features.shape[-2:])
        return torch.cat([features, pixels], dim=1)

    def decode(self, features_BDhw: Tensor, size_hw: tuple[int, int], boxes: Boxes | None = None) -> Tensor | Outputs:
        """As `forward`, from what `encode` gave."""
        dim, shape = self.config.encoder.out_channels, (self.config.in_channels, *size_hw)
        pixels = features_BDhw[:, dim:].flatten(1)[:, : shape[0] * shape[1] * shape[2]]
        return self._outlined(features_BDhw[:, :dim], pixels.reshape(-1, *shape), boxes)

    def detect(self, x_BSHW: Tensor) -> Boxes:
        """The boxes that the detector believes, and the score of its best one; encodes nothing."""
        return self.detector.detect(x_BSHW)

    def true_boxes(self, target_BHW: Tensor) -> Boxes:
        """Boxes of masks, as many as the detector may give: prompts to train with, or an oracle's."""
        return boxes_of_masks(target_BHW, self.config.n_classes, self.config.detector.max_boxes)

    def draw(self, features_BDhw: Tensor, boxes: Boxes, size_hw: tuple[int, int]) -> Tensor:
        """Logits [B, K + 1, H, W] of what lies in boxes, from features of the encoder alone; background has 0."""
        height, width = image_hw = self.encoded_size(features_BDhw)
        scale = boxes.edges_BKM4.new_tensor([width / size_hw[1], height / size_hw[0]]).repeat(2)
        # prompts name centres of pixels, half a pixel before their far edges
        edges_P4 = boxes.edges_BKM4.flatten(0, 2) * scale - 0.5
        tokens_PND = self.prompt_encoder.embed_boxes(edges_P4, image_hw)
        structures, room = boxes.confidence_BKM.shape[1:]
        if self.names is not None:
            names = self.names.weight[:, None].expand(-1, room, -1).reshape(1, structures * room, 1, -1)
            named = names.expand(features_BDhw.shape[0], -1, -1, -1).flatten(0, 1)
            tokens_PND = torch.cat([tokens_PND, named], dim=1)
        logits_PHW = self._masks(features_BDhw, tokens_PND, image_hw, boxes.present.flatten())
        drawn_BKMHW = logits_PHW.reshape(-1, structures, room, *logits_PHW.shape[-2:])
        present = boxes.present[..., None, None]
        union_BKHW = torch.where(present, drawn_BKMHW, torch.full_like(drawn_BKMHW, ABSENT)).amax(2)
        logits_BKHW = resize(union_BKHW, size_hw)
        nothing = logit_of(boxes.best_BK)[..., None, None].clamp_max(-1e-5)
        logits_BKHW = torch.where(boxes.present.any(-1)[..., None, None], logits_BKHW, nothing)
        return torch.cat([torch.zeros_like(logits_BKHW[:, :1]), logits_BKHW], dim=1)

    def _masks(self, features_BDhw: Tensor, tokens_PND: Tensor, image_hw: tuple[int, int], present_P: Tensor) -> Tensor:
        """Logits float32 [P, h, w] of prompts, P / B of every image; what those without a box have means nothing."""
        if not self.training:
            return self._decoded(features_BDhw, tokens_PND, image_hw)
        # most of the room for boxes is empty, and masks are most of the work; without any box one is drawn anyway,
        # so that every weight has a gradient
        chosen_N = torch.arange(len(tokens_PND), device=tokens_PND.device)
        chosen_N = chosen_N[present_P] if present_P.any() else chosen_N[:1]
        features_NDhw = features_BDhw[chosen_N // (len(tokens_PND) // len(features_BDhw))]
        masks = self._decoded(features_NDhw, tokens_PND[chosen_N], image_hw)
        return masks.new_full((len(tokens_PND), *masks.shape[1:]), ABSENT).index_copy(0, chosen_N, masks)

    def _decoded(self, features_BDhw: Tensor, tokens_PND: Tensor, image_hw: tuple[int, int]) -> Tensor:
        positions = self.prompt_encoder.grid_positions(image_hw)
        # not len(), which would fix the number of slices in an exported graph
        dense = self.prompt_encoder.embed_no_mask(image_hw).expand(tokens_PND.shape[0], -1, -1, -1)
        masks = self.mask_decoder(features_BDhw, positions, PromptTokens(tokens_PND, dense), multimask=False)
        logits_PHW: Tensor = masks.logits_PMHW[:, 0].float()
        return logits_PHW

    def _outlined(self, features_BDhw: Tensor, x_BSHW: Tensor, boxes: Boxes | None) -> Tensor | Outputs:
        dense: DenseBoxes | None = None
        if boxes is None or self.training:
            dense = self.detector.propose(x_BSHW)
        if boxes is None and dense is not None:
            # where a mask is wrong, the mask decoder learns, not the detector
            boxes = Boxes(*(part.detach() for part in self.detector.choose(dense)))
        if boxes is None:
            raise AssertionError("boxes are given, or proposed")
        logits = self.draw(features_BDhw, boxes, (x_BSHW.shape[-2], x_BSHW.shape[-1]))
        return Outputs(logits, detections=dense) if self.training else logits
