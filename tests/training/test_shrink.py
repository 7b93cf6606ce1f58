from __future__ import annotations

from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file

from edgeflow_med.network import EdgeFlow, EdgeFlowConfig
from edgeflow_med.training.checkpoints import load_into
from edgeflow_med.training.shrink import main
from edgeflow_med.weights import find_bundle


def test_a_lite_network_starts_with_blocks_of_the_large_one(tmp_path: Path) -> None:
    large = find_bundle("edgeflow_w18")
    main([large.name, str(tmp_path / "runs" / "start.safetensors")])
    path = tmp_path / "runs" / "start.safetensors"
    with safe_open(path, "pt") as file:
        assert large.version in file.metadata()["source"]
    lite, known = load_file(path), load_file(large.model_file)
    for mine, its in {
        "interaction.down.weight": "interaction.down.weight",
        "trunk.stem2.0.weight": "trunk.stem2.0.weight",
        "trunk.layer1.1.second.0.weight": "trunk.layer1.3.second.0.weight",
        "trunk.stage2.0.branches.1.0.first.0.weight": "trunk.stage2.0.branches.1.2.first.0.weight",
        "trunk.stage3.0.branches.2.1.second.1.running_var": "trunk.stage3.2.branches.2.3.second.1.running_var",
        "trunk.stage4.0.exchange.0.3.0.weight": "trunk.stage4.1.exchange.0.3.0.weight",
    }.items():
        assert torch.equal(lite[mine], known[its].float()), mine
    same = sum(tensor.numel() for name, tensor in lite.items() if name.startswith("trunk."))
    assert same / sum(tensor.numel() for tensor in lite.values()) > 0.9
    network = EdgeFlow(EdgeFlowConfig(quality_head=True, ocr_channels=32, size="lite"))
    load_into(network, path)
    assert torch.equal(network.trunk.stem1[0].weight, known["trunk.stem1.0.weight"].float())
