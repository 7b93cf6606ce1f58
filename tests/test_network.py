from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from edgeflow_med.network import SIZES, EdgeFlow, EdgeFlowConfig, FineNet, join_prompts, normalise, warp


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


LITE = EdgeFlowConfig(quality_head=True, ocr_channels=32, size="lite")


@pytest.fixture(scope="module", params=SIZES)
def network(request: pytest.FixtureRequest) -> EdgeFlow:
    torch.manual_seed(0)
    return EdgeFlow(LITE if request.param == "lite" else EdgeFlowConfig(quality_head=True)).eval()


def inputs(network: EdgeFlow, batch: int, height: int, width: int, seed: int = 1) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    image = torch.randn(batch, 3, height, width, generator=generator)
    return image, torch.rand(batch, network.config.prompt_channels, height, width, generator=generator)


def test_the_published_network_has_the_published_number_of_parameters() -> None:
    network = EdgeFlow(EdgeFlowConfig.published())
    fusion = count(network.project1) + count(network.align1) + count(network.project2) + count(network.align2)
    assert count(network) == 11_307_943
    assert fusion == 1_066_396
    assert count(network.edge) == 183_952
    assert count(network.fine) == 25_576
    assert round((count(network) - fusion - count(network.edge) - count(network.fine)) / 1e6, 2) == 10.03


def test_the_lite_network_costs_at_most_what_was_promised() -> None:
    """Multiplications and additions of its convolutions at 256 x 256, in thousands of millions."""
    network, costs = EdgeFlow(LITE).eval(), []

    def note(layer: nn.Module, _inputs: object, output: Tensor) -> None:
        assert isinstance(layer, nn.Conv2d)
        costs.append(layer.weight.numel() * output.shape[-2] * output.shape[-1])

    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(note)
    with torch.inference_mode():
        network(torch.rand(1, 3, 256, 256), torch.rand(1, 4, 256, 256))
    assert len(costs) > 100
    assert 1e9 < sum(costs) <= 2.5e9


def test_folding_pixels_keeps_them_in_place() -> None:
    torch.manual_seed(0)
    fine = FineNet(3, (8, 8, 16), fold=2).eval()
    image = torch.rand(1, 3, 41, 46)
    changed = image.clone()
    changed[:, :, 20, 31] += 1.0
    with torch.inference_mode():
        difference = (fine(changed) - fine(image))[0, 0].abs()
    touched = torch.nonzero(difference > 1e-6)
    assert difference.shape == (41, 46)
    # two folded pixels are 4 apart, and dilation 3 then a kernel of 3 reach 4 folded pixels
    assert (touched - torch.tensor([20, 31])).abs().max() <= 9
    assert (touched.float().mean(0) - torch.tensor([20.0, 31.0])).abs().max() < 2


def test_another_prompt_channel_costs_only_its_own_weights() -> None:
    network = EdgeFlow()
    one_more = 16 + 3 * 32 * 9  # of the interaction branch's 1 x 1, and of FineNet's three 3 x 3 convolutions
    assert count(network) == 11_307_943 + one_more


@pytest.mark.parametrize(
    ("config", "channels"),
    [
        (EdgeFlowConfig(), 4),
        (EdgeFlowConfig.published(), 3),
        (EdgeFlowConfig(previous_edge=False), 3),
        (EdgeFlowConfig(previous_mask=False, previous_edge=False), 2),
    ],
)
def test_prompt_channels(config: EdgeFlowConfig, channels: int) -> None:
    assert config.prompt_channels == channels
    assert EdgeFlowConfig(**config.to_dict()) == config
    previous = torch.stack([torch.full((3, 3), 0.1), torch.full((3, 3), 0.2)])[None]
    guidance = torch.stack([torch.full((3, 3), 0.3), torch.full((3, 3), 0.4)])[None]
    joined = join_prompts(config, previous, guidance)[0, :, 0, 0].tolist()
    wanted = [0.1] * config.previous_mask + [0.2] * config.previous_edge + [0.3, 0.4]
    assert joined == pytest.approx(wanted)


@pytest.mark.parametrize("size", [(64, 64), (65, 47), (33, 96)])
def test_every_answer_has_the_size_of_the_input(network: EdgeFlow, size: tuple[int, int]) -> None:
    with torch.inference_mode():
        output = network(*inputs(network, 2, *size))
    for logits in (output.mask, output.edge, output.auxiliary, output.coarse):
        assert logits.shape == (2, 1, *size)
        assert torch.isfinite(logits).all()


def test_the_quality_head_listens_and_changes_nothing(network: EdgeFlow) -> None:
    without = EdgeFlow(replace(network.config, quality_head=False)).eval()
    _, extra = without.load_state_dict(network.state_dict(), strict=False)
    assert extra
    assert all(name.startswith("quality.") for name in extra)
    given = inputs(network, 2, 48, 64)
    plain, judged = without(*given), network(*given)
    assert plain.quality is None
    assert judged.quality is not None
    assert judged.quality.shape == (2, 1)
    torch.testing.assert_close(judged.mask, plain.mask)
    judged.quality.sum().backward()
    touched = {name.split(".")[0] for name, p in network.named_parameters() if p.grad is not None and p.grad.any()}
    network.zero_grad()
    assert touched == {"quality"}


def test_the_published_network_runs() -> None:
    torch.manual_seed(0)
    network = EdgeFlow(EdgeFlowConfig.published()).eval()
    with torch.inference_mode():
        assert network(*inputs(network, 1, 40, 56)).mask.shape == (1, 1, 40, 56)


def test_the_same_input_gets_the_same_answer_whatever_else_is_in_the_batch(network: EdgeFlow) -> None:
    image, prompts = inputs(network, 2, 48, 48)
    with torch.inference_mode():
        both, again = network(image, prompts), network(image, prompts)
        alone = network(image[1:], prompts[1:])
    for one, other, single in zip(both, again, alone, strict=True):
        assert torch.equal(one, other)
        torch.testing.assert_close(one[1:], single, rtol=1e-4, atol=1e-5)


def test_every_prompt_channel_and_the_image_reach_every_answer(network: EdgeFlow) -> None:
    image, prompts = inputs(network, 1, 48, 48)
    for number in range(4):
        image.requires_grad_()
        prompts.requires_grad_()
        network(image, prompts)[number].sum().backward()
        assert image.grad is not None
        assert prompts.grad is not None
        assert image.grad.abs().sum() > 0
        assert (prompts.grad.abs().sum((0, 2, 3)) > 0).all()
        image, prompts = image.detach(), prompts.detach()


@pytest.mark.parametrize("residual", [True, False])
def test_finenet_adds_to_the_coarse_mask_or_replaces_it(residual: bool) -> None:
    torch.manual_seed(0)
    network = EdgeFlow(EdgeFlowConfig(fine_residual=residual)).eval()
    last = network.fine.head[1]
    assert isinstance(last, nn.BatchNorm2d)
    nn.init.zeros_(last.weight)
    nn.init.constant_(last.bias, 2.0)
    with torch.inference_mode():
        output = network(*inputs(network, 1, 48, 48))
    wanted = output.coarse + 2.0 if residual else torch.full_like(output.coarse, 2.0)
    torch.testing.assert_close(output.mask, wanted)


def test_normalise_repeats_grey_with_imagenets_statistics() -> None:
    image = normalise(torch.tensor([0.485, 1.0]).reshape(1, 1, 1, 2))
    assert image.shape == (1, 3, 1, 2)
    assert image[0, 0, 0].tolist() == pytest.approx([0.0, (1 - 0.485) / 0.229])
    assert image[0, 2, 0, 1].item() == pytest.approx((1 - 0.406) / 0.225)


def test_warp_without_flow_changes_nothing() -> None:
    features = torch.randn(2, 5, 9, 7)
    torch.testing.assert_close(warp(features, torch.zeros(2, 2, 9, 7)), features, rtol=1e-4, atol=1e-5)


def test_warp_samples_where_the_flow_points() -> None:
    features = torch.arange(9 * 7, dtype=torch.float32).reshape(1, 1, 9, 7)
    flow = torch.zeros(1, 2, 9, 7)
    flow[:, 0] = 2 * 7 / 6  # one pixel to the right, see the unit in warp()
    flow[:, 1] = -2 * 9 / 8  # one pixel up
    torch.testing.assert_close(warp(features, flow)[..., 1:, :-1], features[..., :-1, 1:], rtol=1e-4, atol=1e-4)
