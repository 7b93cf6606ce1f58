"""The start of the weights: every tensor of the published network in its place, and coins found by clicks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from benchmarks.quality import PEERS
from edgeflow_med.network import EdgeFlowConfig
from edgeflow_med.training.coarse import CoarseNet
from edgeflow_med.training.paddle_import import NEW_SCALE, start_from


@pytest.fixture(scope="module")
def coarse() -> CoarseNet:
    torch.manual_seed(7)
    return CoarseNet().eval()


def test_every_tensor_of_the_published_network_is_taken_over(coarse: CoarseNet) -> None:
    ours = start_from(coarse).state_dict()
    for name, tensor in coarse.state_dict().items():
        if name != "interaction.mix.weight":
            assert torch.equal(ours[name], tensor), name


def test_prompt_channels_go_where_the_network_expects_them(coarse: CoarseNet) -> None:
    known = coarse.interaction.mix.weight
    mix = start_from(coarse).interaction.mix.weight
    assert torch.equal(mix[:, 0], known[:, 0])
    assert not mix[:, 1].any()
    assert torch.equal(mix[:, 2:], known[:, 1:])
    published = start_from(coarse, EdgeFlowConfig.published()).interaction.mix.weight
    assert not published[:, 0].any()
    assert torch.equal(published[:, 1:], known[:, 1:])


def test_new_parts_start_small_and_able_to_learn(coarse: CoarseNet) -> None:
    network = start_from(coarse)
    for norm in (network.project1[1], network.project2[1], network.fine.head[1]):
        assert torch.equal(norm.weight, torch.full_like(norm.weight, NEW_SCALE))


@pytest.mark.slow
def test_published_weights_find_coins_by_clicks() -> None:
    """The published click weights segment coins they have never seen, so the mapping of 632 layers is right."""
    peer = PEERS["cocolvis_hrnet18"]
    if not peer.installed:
        pytest.skip(f"the published weights are not here; run `{peer.install_command}`")
    from skimage.data import coins

    from benchmarks.quality import load_peer
    from edgeflow_med.predictors.base import SliceRequest
    from edgeflow_med.simulation import ROBOTS

    image = coins().astype(np.float32) / 255
    labels, _ = ndimage.label(ndimage.binary_fill_holes(ndimage.binary_opening(image > 0.43, iterations=2)))
    boxes = ndimage.find_objects(labels)
    filled = [(labels[box] == n).mean() for n, box in enumerate(boxes, 1)]
    discs = [n for n, box in enumerate(boxes, 1) if labels[box].size > 1000 and abs(filled[n - 1] - np.pi / 4) < 0.04]
    predictor, robot, reached = load_peer("cocolvis_hrnet18", 1), ROBOTS["clicks"].make(0), []
    for coin in discs[:6]:
        target = labels == coin
        strokes, previous, mask = [], None, np.zeros_like(target)
        for _ in range(4):
            strokes.append(robot.next_prompt(target, mask, tuple(strokes), (1.0, 1.0)))
            previous = predictor.predict(SliceRequest(image, (1.0, 1.0), tuple(strokes), previous))
            mask = previous.mask
        reached.append((mask & target).sum() / (mask | target).sum())
    assert len(reached) == 6
    assert min(reached) > 0.85, reached
