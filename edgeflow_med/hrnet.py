"""HRNet-W18, the trunk of the network: four resolutions side by side (Wang et al., arXiv 1908.07919).

``h, w`` are the image's ``H / 4, W / 4`` rounded up.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

HRNET_W18 = (18, 36, 72, 144)
HRNET_CHANNELS = sum(HRNET_W18)
STEM_CHANNELS = 64
LAYER1_CHANNELS = 256


@dataclass(frozen=True)
class Depth:
    """How deep a trunk is; its width is always 18, so that a shallow one can take over the weights of a deep one.

    Attributes:
        bottlenecks: Blocks of layer 1.
        blocks: Residual blocks in each branch of a module.
        modules: Modules of stages 2, 3 and 4.
    """

    bottlenecks: int = 4
    blocks: int = 4
    modules: tuple[int, int, int] = (1, 4, 3)


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
    """Parallel branches of blocks at strides 4, 8, 16, 32, then every branch receives the sum of all."""

    def __init__(self, channels: tuple[int, ...], blocks: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(nn.Sequential(*(BasicBlock(c) for _ in range(blocks))) for c in channels)
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

    def __init__(self, depth: Depth) -> None:
        super().__init__()
        c1, c2, c3, c4 = HRNET_W18
        self.stem1 = conv_bn(3, STEM_CHANNELS, 3, 2)
        self.stem2 = conv_bn_relu(STEM_CHANNELS, STEM_CHANNELS, 3, 2)
        more = (Bottleneck(LAYER1_CHANNELS) for _ in range(depth.bottlenecks - 1))
        self.layer1 = nn.Sequential(Bottleneck(STEM_CHANNELS), *more)
        self.split1 = conv_bn_relu(LAYER1_CHANNELS, c1, 3)
        self.split2 = conv_bn_relu(LAYER1_CHANNELS, c2, 3, 2)
        self.split3 = conv_bn_relu(c2, c3, 3, 2)
        self.split4 = conv_bn_relu(c3, c4, 3, 2)
        stages = (
            nn.Sequential(*(HighResolutionModule(HRNET_W18[: 2 + n], depth.blocks) for _ in range(modules)))
            for n, modules in enumerate(depth.modules)
        )
        self.stage2, self.stage3, self.stage4 = stages

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
