"""Start a lite network from a large one: the trunk takes over the blocks that can be spared least.

    python -m edgeflow_med.training.shrink edgeflow_w18 runs/lite/start.safetensors

Both trunks are 18 channels wide, so whole blocks are copied; what is narrower in the lite network starts at random.
Which blocks are kept was measured, without training: on 48 validation samples of 160 x 160 the large network reached a
mean IoU of 0.673; with two blocks of four left in every branch 0.33 (first two), 0.54 (middle two) and 0.63 (last two);
with layer 1 cut to its first and last bottleneck 0.64; with all cuts together between 0.18 and 0.35, the best of which
is used.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from edgeflow_med.network import EdgeFlow, EdgeFlowConfig
from edgeflow_med.weights import Bundle, find_bundle, load_network

OCR_CHANNELS = 32
# number in the lite trunk -> number in the large one
BOTTLENECKS = {0: 0, 1: 3}
BLOCKS = {0: 2, 1: 3}
MODULES = {"stage2": {0: 0}, "stage3": {0: 2, 1: 3}, "stage4": {0: 1}}


def shrink(large: Bundle, path: Path, seed: int = 1) -> None:
    """Write the lite network's first weights.

    Args:
        large: A model of size ``w18``.
        path: ``.safetensors`` file to write.
        seed: Of what starts at random.

    Raises:
        ModelError: The large model is broken.
    """
    source = load_network(large)
    torch.manual_seed(seed)
    config = EdgeFlowConfig(
        previous_mask=source.config.previous_mask,
        previous_edge=source.config.previous_edge,
        ocr_channels=OCR_CHANNELS,
        quality_head=True,
        size="lite",
    )
    known, state = source.state_dict(), EdgeFlow(config).state_dict()
    for name in state:
        other = known.get(in_large(name))
        if other is not None and other.shape == state[name].shape:
            state[name] = other
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors: dict[str, Tensor] = {name: tensor.contiguous() for name, tensor in state.items()}
    save_file(tensors, path, {"source": f"blocks of {large.name} {large.version}, the rest at random"})


def in_large(name: str) -> str:
    """The name in the large network of a parameter of the lite one."""
    name = re.sub(r"^(trunk\.layer1)\.(\d)", lambda m: f"{m[1]}.{BOTTLENECKS[int(m[2])]}", name)
    name = re.sub(r"^trunk\.(stage\d)\.(\d)", lambda m: f"trunk.{m[1]}.{MODULES[m[1]][int(m[2])]}", name)
    return re.sub(r"(\.branches\.\d)\.(\d)", lambda m: f"{m[1]}.{BLOCKS[int(m[2])]}", name)


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m edgeflow_med.training.shrink", description=__doc__)
    parser.add_argument("model", help="name of a model of weights/, or its folder")
    parser.add_argument("output", type=Path, help="file to write")
    given = parser.parse_args(arguments)
    shrink(find_bundle(given.model), given.output)


if __name__ == "__main__":
    main()
