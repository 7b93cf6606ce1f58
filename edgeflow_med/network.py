"""EdgeFlow: edge-guided interactive segmentation of one slice, in one file (its trunk is in ``hrnet.py``).

The graph follows Hao et al., *EdgeFlow: Achieving Practical Interactive Segmentation with Edge-Guided Flow*, ICCV
workshops 2021 (arXiv 2109.09406), written anew for PyTorch. Data flows through it from top to bottom of this file:

    image, prompts -> interaction branch -> HRNet-W18 trunk -> OCR -> edge branch -> FineNet -> mask, edge
                          |  stride 2   |      stride 4     |
                          +-- fusion 1 -+-- fusion 2, 3 ----+     (prompts are injected three times)

``N, H, W`` are the batch size and the size of the input crop; ``h, w`` are ``H / 4, W / 4`` rounded up. Two sizes of
the same graph exist, ``w18`` as published and ``lite`` for CPUs (:data:`SIZES`).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgeflow_med.hrnet import (
    HRNET_CHANNELS,
    LAYER1_CHANNELS,
    STEM_CHANNELS,
    Depth,
    HRNet,
    conv_bn,
    conv_bn_relu,
    resize,
)

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Size:
    """How large the parts of a network are.

    Attributes:
        trunk: Depth of the trunk.
        fusion: Channels of the late interaction features; None for as many as the image features have there.
        auxiliary: Hidden channels of the auxiliary head.
        reduce_kernel: Kernel of the convolution between trunk and object-contextual attention.
        edge: Hidden channels of the edge branch's head.
        fine: Channels of FineNet's three first convolutions, of its second ones, and of what follows.
        fine_fold: FineNet works on squares of so many pixels folded into channels.
    """

    trunk: Depth
    fusion: int | None = None
    auxiliary: int = HRNET_CHANNELS
    reduce_kernel: int = 3
    edge: int = 48
    fine: tuple[int, int, int] = (32, 16, 32)
    fine_fold: int = 1


SIZES = {
    "w18": Size(Depth()),
    "lite": Size(
        Depth(2, 2, (1, 2, 1)), fusion=16, auxiliary=32, reduce_kernel=1, edge=16, fine=(8, 8, 16), fine_fold=2
    ),
}


@dataclass(frozen=True)
class EdgeFlowConfig:
    """What may vary between two EdgeFlow networks.

    Attributes:
        previous_mask: Feed the previous answer's mask probability as a prompt channel (the published network does not).
        previous_edge: Feed the previous answer's edge probability as a prompt channel.
        ocr_channels: Key channels of the object-contextual attention; its features have twice as many.
        fine_residual: FineNet adds to the coarse logits instead of replacing them.
        dropout: Dropout after the object-contextual attention, in training only.
        quality_head: Predict the IoU of the mask (not in the article).
        size: Key of :data:`SIZES`.
    """

    previous_mask: bool = True
    previous_edge: bool = True
    ocr_channels: int = 64
    fine_residual: bool = True
    dropout: float = 0.05
    quality_head: bool = False
    size: Literal["w18", "lite"] = "w18"

    @classmethod
    def published(cls) -> EdgeFlowConfig:
        """The article's network: prompts are previous edge, positive, negative; FineNet replaces the coarse mask."""
        return cls(previous_mask=False, fine_residual=False)

    @property
    def prompt_channels(self) -> int:
        """Channels of the prompt tensor, in this order: previous mask, previous edge, positive, negative."""
        return int(self.previous_mask) + int(self.previous_edge) + 2

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain JSON values."""
        return asdict(self)


def normalise(image: Tensor) -> Tensor:
    """Grey ``(N, 1, H, W)`` in [0, 1] -> ImageNet-normalised ``(N, 3, H, W)``, as the trunk was pretrained."""
    mean = torch.tensor(IMAGENET_MEAN, device=image.device).view(1, 3, 1, 1)
    std = torch.tensor(IMAGENET_STD, device=image.device).view(1, 3, 1, 1)
    return (image - mean) / std


def join_prompts(config: EdgeFlowConfig, previous: Tensor, guidance: Tensor) -> Tensor:
    """Previous mask and edge ``(N, 2, H, W)`` and guidance ``(N, 2, H, W)`` -> prompts ``(N, P, H, W)``."""
    kept = [previous[:, :1]] * config.previous_mask + [previous[:, 1:]] * config.previous_edge
    return torch.cat([*kept, guidance], dim=1)


class EdgeFlowOutput(NamedTuple):
    """What the network returns; tensors hold logits of shape ``(N, 1, H, W)``, ``quality`` one of shape ``(N, 1)``."""

    mask: Tensor
    edge: Tensor
    auxiliary: Tensor
    coarse: Tensor
    quality: Tensor | None = None


# --- interaction branch and its fusion ------------------------------------------------------------------------------


class InteractionBranch(nn.Module):
    """Prompts ``(N, P, H, W)`` -> features ``(N, 64, H / 2, W / 2)``, scaled by a learned factor."""

    def __init__(self, prompt_channels: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(prompt_channels, 16, 1)
        self.down = nn.Conv2d(16, STEM_CHANNELS, 3, 2, 1)
        self.scale = nn.Parameter(torch.tensor(0.05))

    def forward(self, prompts: Tensor) -> Tensor:
        return self.down(F.leaky_relu(self.mix(prompts), 0.2)) * self.scale.abs()


class FlowAlign(nn.Module):
    """Warp interaction features onto image features along a learned flow (the alignment module of SFNet).

    ``image (N, C, h, w)`` and ``interaction (N, D, *, *)`` -> warped interaction ``(N, D, h, w)``.
    """

    def __init__(self, image_channels: int, interaction_channels: int, hidden: int) -> None:
        super().__init__()
        self.project_image = nn.Conv2d(image_channels, hidden, 1, bias=False)
        self.project_interaction = nn.Conv2d(interaction_channels, hidden, 1, bias=False)
        self.flow = nn.Conv2d(2 * hidden, 2, 3, padding=1, bias=False)

    def forward(self, image: Tensor, interaction: Tensor) -> Tensor:
        size = (image.shape[-2], image.shape[-1])
        projected = resize(self.project_interaction(interaction), size)
        flow = self.flow(torch.cat([self.project_image(image), projected], dim=1))
        return warp(interaction, flow)


def warp(features: Tensor, flow: Tensor) -> Tensor:
    """Sample ``features (N, C, *, *)`` at the pixels of ``flow (N, 2, h, w)``, displaced by it.

    Flow is (x, y); as published, one unit is ``(w - 1) / 2w``, nearly half a pixel.
    """
    height, width = flow.shape[-2:]
    ys = torch.linspace(-1.0, 1.0, height, device=flow.device, dtype=flow.dtype)
    xs = torch.linspace(-1.0, 1.0, width, device=flow.device, dtype=flow.dtype)
    identity = torch.stack(torch.broadcast_tensors(xs[None, :], ys[:, None]), dim=-1)
    step = torch.stack([flow[:, 0] / width, flow[:, 1] / height], dim=-1)  # sizes stay symbols when traced for ONNX
    grid = identity + step
    return F.grid_sample(features, grid.to(features.dtype), mode="bilinear", padding_mode="zeros", align_corners=True)


# --- heads ----------------------------------------------------------------------------------------------------------


class ObjectContext(nn.Module):
    """OCR for one object: pixels attend to the mean feature of a soft object region.

    With one region the softmax over regions is constant, so every pixel receives the same context; kept as published.
    """

    def __init__(self, key: int, dropout: float) -> None:
        super().__init__()
        channels = 2 * key
        self.key = key
        self.pixel = nn.Sequential(conv_bn_relu(channels, key, 1), conv_bn_relu(key, key, 1))
        self.object = nn.Sequential(conv_bn_relu(channels, key, 1), conv_bn_relu(key, key, 1))
        self.down = conv_bn_relu(channels, key, 1)
        self.up = conv_bn_relu(key, channels, 1)
        self.merge = nn.Sequential(conv_bn_relu(2 * channels, channels, 1), nn.Dropout2d(dropout))

    def forward(self, features: Tensor, region_logits: Tensor) -> Tensor:
        """``features (N, C, h, w)`` and ``region_logits (N, 1, h, w)`` -> ``(N, C, h, w)``."""
        n, _, h, w = features.shape
        weights = F.softmax(region_logits.flatten(2), dim=2)
        proxy = (weights @ features.flatten(2).transpose(1, 2)).transpose(1, 2).unsqueeze(3)
        query = self.pixel(features).flatten(2).transpose(1, 2)
        key = self.object(proxy).flatten(2)
        value = self.down(proxy).flatten(2).transpose(1, 2)
        attention = F.softmax(self.key**-0.5 * (query @ key), dim=2)
        context = self.up((attention @ value).transpose(1, 2).reshape(n, -1, h, w))
        return self.merge(torch.cat([context, features], dim=1))


class EdgeBranch(nn.Module):
    """Squeeze the body out of the features; what is left is the edge (DecoupledSegNet)."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.squeeze = nn.Sequential(
            *(conv_bn_relu(channels, channels, 3, 2, groups=channels, bias=True) for _ in range(2))
        )
        self.flow = nn.Conv2d(2 * channels, 2, 3, padding=1, bias=False)
        self.mix = nn.Conv2d(2 * channels, 2 * channels, 1, bias=False)
        self.head = nn.Sequential(conv_bn_relu(2 * channels, hidden, 3), nn.Conv2d(hidden, 1, 1, bias=False))

    def forward(self, context: Tensor, features: Tensor) -> Tensor:
        """OCR output and input, both ``(N, C, h, w)`` -> edge logits ``(N, 1, h, w)``."""
        size = (context.shape[-2], context.shape[-1])
        flow = self.flow(torch.cat([context, resize(self.squeeze(context), size)], dim=1))
        edge = context - warp(context, flow)
        return self.head(self.mix(torch.cat([edge, features], dim=1)))


class FineNet(nn.Module):
    """Full-resolution refinement with dilations 1, 2, 3: ``(N, C, H, W) -> (N, 1, H, W)`` logits.

    Squares of ``fold`` x ``fold`` pixels are channels inside, which costs a fraction of the time.
    """

    def __init__(self, inputs: int, channels: tuple[int, int, int], fold: int) -> None:
        super().__init__()
        first, second, third = channels
        self.fold = fold
        # 32, because oneDNN's bfloat16 gradients of dilated convolutions of 36 channels are not finite
        self.mix = conv_bn_relu(inputs * fold**2, 32, 1) if fold > 1 else nn.Identity()
        self.atrous = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(inputs if fold == 1 else 32, first, 3, padding=dilation, dilation=dilation, bias=False),
                nn.PReLU(),
                nn.BatchNorm2d(first),
                nn.Conv2d(first, second, 1, bias=False),
                nn.PReLU(),
                nn.BatchNorm2d(second),
            )
            for dilation in (1, 2, 3)
        )
        self.reduce = conv_bn_relu(3 * second, third, 1)
        self.expand = conv_bn(third, 2 * third, 1)
        self.shortcut = conv_bn(3 * second, 2 * third, 1)
        self.head = nn.Sequential(nn.Conv2d(2 * third, fold**2, 3, padding=1, bias=False), nn.BatchNorm2d(fold**2))
        # The published graph declares this block and never calls it; kept so that parameter counts agree.
        self.unused = conv_bn(third, third, 3).requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        if self.fold > 1:
            x = self.mix(F.pixel_unshuffle(F.pad(x, (0, -width % self.fold, 0, -height % self.fold)), self.fold))
        x = torch.cat([block(x) for block in self.atrous], dim=1)
        x = self.head(F.relu(self.expand(self.reduce(x)) + self.shortcut(x)))
        return F.pixel_shuffle(x, self.fold)[:, :, :height, :width] if self.fold > 1 else x


class QualityHead(nn.Module):
    """What the features say inside the mask and along its rim -> logit of the mask's IoU with what is meant."""

    def __init__(self, channels: int, hidden: int = 64) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(2 * channels + 3, hidden), nn.ReLU(), nn.Linear(hidden, 1))

    def forward(self, features: Tensor, mask_logits: Tensor) -> Tensor:
        """``features (N, C, h, w)`` and ``mask_logits (N, 1, H, W)`` -> ``(N, 1)``."""
        probability = torch.sigmoid(mask_logits)
        small = resize(probability, (features.shape[-2], features.shape[-1]))
        parts = [self._mean(features, weight) for weight in (small, 4 * small * (1 - small))]
        hard = (probability >= 0.5).to(probability.dtype)
        area = hard.mean((2, 3))
        agreeing = (hard * probability).mean((2, 3)) / (area + ((1 - hard) * probability).mean((2, 3)) + 1e-6)
        return self.layers(torch.cat([*parts, agreeing, torch.log10(area + 1e-5), probability.amax((2, 3))], dim=1))

    @staticmethod
    def _mean(features: Tensor, weight: Tensor) -> Tensor:
        return (features * weight).sum((2, 3)) / (weight.sum((2, 3)) + 1e-3)


# --- the whole ------------------------------------------------------------------------------------------------------


class EdgeFlow(nn.Module):
    """Image and prompts in, mask and edge out.

    Args:
        config: What varies; see :class:`EdgeFlowConfig`.
    """

    def __init__(self, config: EdgeFlowConfig | None = None) -> None:
        super().__init__()
        self.config = config or EdgeFlowConfig()
        channels, size = 2 * self.config.ocr_channels, SIZES[self.config.size]
        self.interaction = InteractionBranch(self.config.prompt_channels)
        self.trunk = HRNet(size.trunk)
        first, second = size.fusion or LAYER1_CHANNELS, size.fusion or HRNET_CHANNELS
        self.project1 = conv_bn_relu(STEM_CHANNELS, first, 3, 2)
        self.align1 = FlowAlign(LAYER1_CHANNELS, first, first)
        self.project2 = conv_bn_relu(first, second, 3)
        self.align2 = FlowAlign(HRNET_CHANNELS, second, second)
        self.widen1 = nn.Conv2d(first, LAYER1_CHANNELS, 1, bias=False) if size.fusion else nn.Identity()
        self.widen2 = nn.Conv2d(second, HRNET_CHANNELS, 1, bias=False) if size.fusion else nn.Identity()
        self.auxiliary = nn.Sequential(
            conv_bn_relu(HRNET_CHANNELS, size.auxiliary, 1, bias=True), nn.Conv2d(size.auxiliary, 1, 1)
        )
        self.reduce = conv_bn_relu(HRNET_CHANNELS, channels, size.reduce_kernel, bias=True)
        self.context = ObjectContext(self.config.ocr_channels, self.config.dropout)
        self.coarse = nn.Conv2d(channels, 1, 1)
        self.edge = EdgeBranch(channels, size.edge)
        self.fine = FineNet(3 + self.config.prompt_channels + 2, size.fine, size.fine_fold)
        self.quality = QualityHead(channels) if self.config.quality_head else None

    def forward(self, image: Tensor, prompts: Tensor) -> EdgeFlowOutput:
        """Segment a batch of crops.

        Args:
            image: ``(N, 3, H, W)``, ImageNet-normalised grey repeated three times.
            prompts: ``(N, P, H, W)`` in [0, 1]; channels as in :attr:`EdgeFlowConfig.prompt_channels`.

        Returns:
            Logits of mask, edge, auxiliary and coarse mask, each ``(N, 1, H, W)``; of the quality ``(N, 1)``, or None.
        """
        size = (image.shape[-2], image.shape[-1])
        first = self.interaction(prompts)
        x = self.trunk.early(image, first)
        second = self.align1(x, self.project1(first))
        x = self.trunk.late(x + self.widen1(second))
        x = x + self.widen2(self.align2(x, self.project2(second)))

        auxiliary = self.auxiliary(x)
        features = self.reduce(x)
        context = self.context(features, auxiliary)
        coarse = resize(self.coarse(context), size)
        edge = resize(self.edge(context, features), size)

        fine = self.fine(torch.cat([image, prompts, torch.sigmoid(coarse), torch.sigmoid(edge)], dim=1))
        mask = coarse + fine if self.config.fine_residual else fine
        # The head listens without disturbing: what is learnt about quality must not change the mask.
        quality = self.quality(context.detach().float(), mask.detach().float()) if self.quality is not None else None
        return EdgeFlowOutput(mask, edge, resize(auxiliary, size), coarse, quality)
