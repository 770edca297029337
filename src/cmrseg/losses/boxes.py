"""Loss of heads that predict a box per structure."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import l1_loss


def true_boxes(target_BHW: Tensor, n_classes: int) -> tuple[Tensor, Tensor]:
    """Boxes (x0, y0, x1, y1) in 0..1 of every foreground class, and which of them exist.

    Returns:
        boxes float32 [B, n_classes - 1, 4], zero where absent, whose far edges lie behind the last pixel; bool
        [B, n_classes - 1].
    """
    height, width = target_BHW.shape[-2:]
    boxes = torch.zeros(len(target_BHW), n_classes - 1, 4, device=target_BHW.device)
    present = torch.zeros(len(target_BHW), n_classes - 1, dtype=torch.bool, device=target_BHW.device)
    for b, labels_HW in enumerate(target_BHW):
        for k in range(1, n_classes):
            rows, columns = torch.nonzero(labels_HW == k, as_tuple=True)
            if len(rows):
                low_x, high_x = float(columns.min()) / width, (float(columns.max()) + 1) / width
                low_y, high_y = float(rows.min()) / height, (float(rows.max()) + 1) / height
                boxes[b, k - 1] = boxes.new_tensor([low_x, low_y, high_x, high_y])
                present[b, k - 1] = True
    return boxes, present


def box_loss(boxes_BK4: Tensor, target_BHW: Tensor) -> Tensor:
    """Mean absolute error of the coordinates of boxes whose structure is present; 0 when none is."""
    expected_BK4, present_BK = true_boxes(target_BHW, boxes_BK4.shape[1] + 1)
    if not bool(present_BK.any()):
        return boxes_BK4.sum() * 0.0
    return l1_loss(boxes_BK4[present_BK], expected_BK4[present_BK])
