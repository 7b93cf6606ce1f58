from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmarks.ablations import VARIANTS, NeighbourSamples, Variant, VariantTrainer, figures, main
from edgeflow_med.network import EdgeFlowConfig
from edgeflow_med.predictors.crop import Crop
from edgeflow_med.training.cases import Case
from edgeflow_med.training.config import TrainConfig
from edgeflow_med.training.samples import SampleConfig, Samples

CONFIG = TrainConfig(
    (), batch=2, rounds=0, device="cpu", network=EdgeFlowConfig(size="lite", ocr_channels=8, dropout=0.0),
    samples=SampleConfig(size=48, propagate_share=0.0, synthetic_share=0.0),
)  # fmt: skip


@pytest.fixture
def cases() -> list[Case]:
    """One scan whose slices are as bright as their number; a square on each."""
    labels = np.zeros((48, 48, 9), np.uint8)
    labels[10:30, 15:40] = 1
    image = np.broadcast_to(np.arange(9, dtype=np.uint8) * 20, labels.shape).copy()
    return [Case("Squares", "one", image, labels, (1.0, 1.0, 5.0), hounsfield=False, objects={})]


def batch(cases: list[Case]) -> dict[str, Tensor]:
    samples = Samples(cases, CONFIG.samples, 2, seed=0)
    given = {name: torch.stack([samples[0][name], samples[1][name]]) for name in samples[0]}
    return given | {"image": given["image"].expand(-1, 3, -1, -1), "previous": torch.rand(2, 2, 48, 48)}


@pytest.mark.parametrize("name", ["previous edge not fed back", "previous mask not fed back", "neither fed back"])
def test_what_is_not_fed_back_changes_nothing(cases: list[Case], tmp_path: Path, name: str) -> None:
    trainer, given = VariantTrainer(CONFIG, tmp_path, VARIANTS[name]), batch(cases)
    trainer.network.eval()
    reference = trainer._answer(trainer.network, given).mask
    for channel, kept in enumerate(VARIANTS[name].previous):
        previous = given["previous"].clone()
        previous[:, channel] = torch.rand(2, 48, 48)
        changed = trainer._answer(trainer.network, given | {"previous": previous}).mask
        assert torch.equal(changed, reference) == (not kept)


def test_finenet_can_be_left_out(cases: list[Case], tmp_path: Path) -> None:
    trainer = VariantTrainer(CONFIG, tmp_path, Variant(fine=False))
    output = trainer._answer(trainer.network.eval(), batch(cases))
    assert torch.equal(output.mask, output.coarse)


def test_a_variant_learns_so_many_steps(cases: list[Case], tmp_path: Path) -> None:
    trainer = VariantTrainer(CONFIG, tmp_path, Variant())
    given = {name: part for name, part in batch(cases).items() if name != "image"}
    batches = iter([given | {"image": torch.rand(2, 1, 48, 48)}] * 3)
    assert len(list(trainer.steps(batches, 3))) == trainer.step == 3


def test_neighbours_are_the_slices_before_and_after(cases: list[Case]) -> None:
    samples = NeighbourSamples(cases, CONFIG.samples, 1, seed=0)
    whole, rng = samples.slices["Squares"][0][0], np.random.default_rng(0)
    crop = Crop.whole((48, 48))
    first, middle, last = (samples.picture(whole, 2, k, crop, rng).mean((1, 2)) for k in (0, 4, 8))
    assert middle[0] < middle[1] < middle[2]
    assert first[0] == first[1] < first[2]
    assert last[0] < last[1] == last[2]


def test_changes_are_paired() -> None:
    one, other = np.array([0.2, 0.5, 0.8]), np.array([0.1, 0.5, 0.6])
    row = figures({"iou@1": one}, {"iou@1": other})["iou@1"]
    assert (row["mean"], row["change"]) == (0.5, 0.1)
    assert row["margin"] == pytest.approx(1.96 * np.std([0.1, 0.0, 0.2]) / np.sqrt(3), abs=1e-4)


def test_an_unknown_variant_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["config.json", "--only", "no trunk"])
    assert ended.value.code == 2
    assert "no variant 'no trunk'; there are unchanged, " in capsys.readouterr().err
