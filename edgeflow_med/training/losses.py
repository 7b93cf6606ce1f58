"""What the network is blamed for: mask, coarse mask, edge, auxiliary mask, and its opinion of its own quality."""

from __future__ import annotations

import torch
from monai.losses import DiceCELoss
from torch import Tensor
from torch.nn import functional as F

from edgeflow_med.network import EdgeFlowOutput


class Losses:
    """Dice and cross entropy on mask, coarse mask and edge; cross entropy on the auxiliary head and on the quality."""

    def __init__(self, edge_weight: float, quality_weight: float) -> None:
        self.edge_weight, self.quality_weight = edge_weight, quality_weight
        self.region = DiceCELoss(sigmoid=True, batch=False, smooth_nr=1.0, smooth_dr=1.0)
        self.thin = DiceCELoss(sigmoid=True, batch=True, smooth_nr=1.0, smooth_dr=1.0, weight=torch.tensor([4.0]))

    def __call__(self, output: EdgeFlowOutput, target: Tensor, edge: Tensor) -> dict[str, Tensor]:
        """Output and targets ``(N, 1, H, W)`` in {0, 1} -> weighted losses by name, and their sum as ``total``."""
        self.thin = self.thin.to(target.device)
        parts = {
            "mask": self.region(output.mask.float(), target),
            "coarse": 0.4 * self.region(output.coarse.float(), target),
            "auxiliary": 0.4 * F.binary_cross_entropy_with_logits(output.auxiliary.float(), target),
            "edge": self.edge_weight * self.thin(output.edge.float(), edge),
        }
        if output.quality is not None:
            reached = overlap(output.mask, target)[:, None]
            loss = F.binary_cross_entropy_with_logits(output.quality.float(), reached)
            parts["quality"] = self.quality_weight * loss
        parts["total"] = torch.stack(list(parts.values())).sum()
        return parts


@torch.no_grad()
def overlap(logits: Tensor, target: Tensor) -> Tensor:
    """IoU of masks ``(N, 1, H, W)`` with their targets, ``(N,)``; 1 where both are empty."""
    guess, truth = logits >= 0, target >= 0.5
    both, either = (guess & truth).sum((1, 2, 3)), (guess | truth).sum((1, 2, 3))
    return (both + 1e-6) / (either + 1e-6)
