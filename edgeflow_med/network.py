"""EdgeFlow: edge-guided interactive segmentation of one slice, in one file.

The graph follows Hao et al., *EdgeFlow: Achieving Practical Interactive Segmentation with Edge-Guided Flow*, ICCV
workshops 2021 (arXiv 2109.09406), written anew for PyTorch. Data flows through it from top to bottom of this file:

    image, prompts -> interaction branch -> HRNet-W18 trunk -> OCR -> edge branch -> FineNet -> mask, edge
                          |  stride 2   |      stride 4     |
                          +-- fusion 1 -+-- fusion 2, 3 ----+     (prompts are injected three times)

``N, H, W`` are the batch size and the size of the input crop; ``h, w`` are ``H / 4, W / 4`` rounded up.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

HRNET_W18 = (18, 36, 72, 144)
HRNET_CHANNELS = sum(HRNET_W18)
STEM_CHANNELS = 64
LAYER1_CHANNELS = 256
EDGE_HIDDEN = 48
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


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
    """

    previous_mask: bool = True
    previous_edge: bool = True
    ocr_channels: int = 64
    fine_residual: bool = True
    dropout: float = 0.05
    quality_head: bool = False

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


def resize(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear resize of ``(N, C, *, *)`` to ``size``; corners aligned, as the trunk was trained."""
    if tuple(x.shape[-2:]) == tuple(size):
        return x
    return F.interpolate(x, size=size, mode="bilinear", align_corners=True)


def conv_bn(
    inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1, bias: bool = False
) -> nn.Sequential:
    """Convolution that keeps the size (at stride 1), then batch norm."""
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=bias)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs))


def conv_bn_relu(
    inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1, bias: bool = False
) -> nn.Sequential:
    """Convolution, batch norm, ReLU."""
    return nn.Sequential(*conv_bn(inputs, outputs, kernel, stride, groups, bias), nn.ReLU(inplace=True))


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


# --- HRNet-W18 trunk ------------------------------------------------------------------------------------------------


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut: ``(N, C, h, w) -> (N, C, h, w)``."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = conv_bn_relu(channels, channels, 3)
        self.second = conv_bn(channels, channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.second(self.first(x)) + x)


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 convolutions and a shortcut: ``(N, C, h, w) -> (N, 256, h, w)``."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.first = conv_bn_relu(inputs, 64, 1)
        self.second = conv_bn_relu(64, 64, 3)
        self.third = conv_bn(64, LAYER1_CHANNELS, 1)
        self.shortcut = conv_bn(inputs, LAYER1_CHANNELS, 1) if inputs != LAYER1_CHANNELS else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.third(self.second(self.first(x))) + self.shortcut(x))


class HighResolutionModule(nn.Module):
    """Parallel branches of four blocks at strides 4, 8, 16, 32, then every branch receives the sum of all."""

    def __init__(self, channels: tuple[int, ...]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(nn.Sequential(*(BasicBlock(c) for _ in range(4))) for c in channels)
        self.exchange = nn.ModuleList(
            nn.ModuleList(self._path(channels, source, target) for source in range(len(channels)))
            for target in range(len(channels))
        )

    @staticmethod
    def _path(channels: tuple[int, ...], source: int, target: int) -> nn.Module:
        if source == target:
            return nn.Identity()
        if source > target:
            return conv_bn(channels[source], channels[target], 1)
        steps: list[nn.Module] = [
            conv_bn_relu(channels[source], channels[source], 3, 2) for _ in range(target - source - 1)
        ]
        return nn.Sequential(*steps, conv_bn(channels[source], channels[target], 3, 2))

    def forward(self, xs: list[Tensor]) -> list[Tensor]:
        xs = [branch(x) for branch, x in zip(self.branches, xs, strict=True)]
        outputs = []
        paths: nn.ModuleList
        for target, paths in enumerate(self.exchange):  # type: ignore[assignment]
            size = (xs[target].shape[-2], xs[target].shape[-1])
            total = torch.zeros_like(xs[target])
            for path, x in zip(paths, xs, strict=True):
                total = total + resize(path(x), size)
            outputs.append(F.relu(total))
        return outputs


class HRNet(nn.Module):
    """HRNet-W18 in two halves, so that prompts can be injected between them."""

    def __init__(self) -> None:
        super().__init__()
        c1, c2, c3, c4 = HRNET_W18
        self.stem1 = conv_bn(3, STEM_CHANNELS, 3, 2)
        self.stem2 = conv_bn_relu(STEM_CHANNELS, STEM_CHANNELS, 3, 2)
        self.layer1 = nn.Sequential(Bottleneck(STEM_CHANNELS), *(Bottleneck(LAYER1_CHANNELS) for _ in range(3)))
        self.split1 = conv_bn_relu(LAYER1_CHANNELS, c1, 3)
        self.split2 = conv_bn_relu(LAYER1_CHANNELS, c2, 3, 2)
        self.stage2 = nn.Sequential(HighResolutionModule((c1, c2)))
        self.split3 = conv_bn_relu(c2, c3, 3, 2)
        self.stage3 = nn.Sequential(*(HighResolutionModule((c1, c2, c3)) for _ in range(4)))
        self.split4 = conv_bn_relu(c3, c4, 3, 2)
        self.stage4 = nn.Sequential(*(HighResolutionModule(HRNET_W18) for _ in range(3)))

    def early(self, image: Tensor, interaction: Tensor) -> Tensor:
        """Image ``(N, 3, H, W)`` and interaction ``(N, 64, H / 2, W / 2)`` -> ``(N, 256, h, w)``. Fusion point 1."""
        x = F.relu(self.stem1(image)) + interaction
        return self.layer1(self.stem2(x))

    def late(self, x: Tensor) -> Tensor:
        """``(N, 256, h, w)`` -> all four resolutions, brought to stride 4: ``(N, 270, h, w)``."""
        xs = self.stage2([self.split1(x), self.split2(x)])
        xs = self.stage3([*xs, self.split3(xs[-1])])
        xs = self.stage4([*xs, self.split4(xs[-1])])
        size = (xs[0].shape[-2], xs[0].shape[-1])
        return torch.cat([resize(x, size) for x in xs], dim=1)


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

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.squeeze = nn.Sequential(
            *(conv_bn_relu(channels, channels, 3, 2, groups=channels, bias=True) for _ in range(2))
        )
        self.flow = nn.Conv2d(2 * channels, 2, 3, padding=1, bias=False)
        self.mix = nn.Conv2d(2 * channels, 2 * channels, 1, bias=False)
        self.head = nn.Sequential(conv_bn_relu(2 * channels, EDGE_HIDDEN, 3), nn.Conv2d(EDGE_HIDDEN, 1, 1, bias=False))

    def forward(self, context: Tensor, features: Tensor) -> Tensor:
        """OCR output and input, both ``(N, C, h, w)`` -> edge logits ``(N, 1, h, w)``."""
        size = (context.shape[-2], context.shape[-1])
        flow = self.flow(torch.cat([context, resize(self.squeeze(context), size)], dim=1))
        edge = context - warp(context, flow)
        return self.head(self.mix(torch.cat([edge, features], dim=1)))


class FineNet(nn.Module):
    """Full-resolution refinement with dilations 1, 2, 3: ``(N, C, H, W) -> (N, 1, H, W)`` logits."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.atrous = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(inputs, 32, 3, padding=dilation, dilation=dilation, bias=False),
                nn.PReLU(),
                nn.BatchNorm2d(32),
                nn.Conv2d(32, 16, 1, bias=False),
                nn.PReLU(),
                nn.BatchNorm2d(16),
            )
            for dilation in (1, 2, 3)
        )
        self.reduce = conv_bn_relu(48, 32, 1)
        self.expand = conv_bn(32, 64, 1)
        self.shortcut = conv_bn(48, 64, 1)
        self.head = nn.Sequential(nn.Conv2d(64, 1, 3, padding=1, bias=False), nn.BatchNorm2d(1))
        # The published graph declares this block and never calls it; kept so that parameter counts agree.
        self.unused = conv_bn(32, 32, 3).requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat([block(x) for block in self.atrous], dim=1)
        return self.head(F.relu(self.expand(self.reduce(x)) + self.shortcut(x)))


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
        channels = 2 * self.config.ocr_channels
        self.interaction = InteractionBranch(self.config.prompt_channels)
        self.trunk = HRNet()
        self.project1 = conv_bn_relu(STEM_CHANNELS, LAYER1_CHANNELS, 3, 2)
        self.align1 = FlowAlign(LAYER1_CHANNELS, LAYER1_CHANNELS, LAYER1_CHANNELS)
        self.project2 = conv_bn_relu(LAYER1_CHANNELS, HRNET_CHANNELS, 3)
        self.align2 = FlowAlign(HRNET_CHANNELS, HRNET_CHANNELS, HRNET_CHANNELS)
        self.auxiliary = nn.Sequential(
            conv_bn_relu(HRNET_CHANNELS, HRNET_CHANNELS, 1, bias=True), nn.Conv2d(HRNET_CHANNELS, 1, 1)
        )
        self.reduce = conv_bn_relu(HRNET_CHANNELS, channels, 3, bias=True)
        self.context = ObjectContext(self.config.ocr_channels, self.config.dropout)
        self.coarse = nn.Conv2d(channels, 1, 1)
        self.edge = EdgeBranch(channels)
        self.fine = FineNet(3 + self.config.prompt_channels + 2)
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
        x = self.trunk.late(x + second)
        x = x + self.align2(x, self.project2(second))

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
