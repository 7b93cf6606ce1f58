from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from edgeflow_med.network import EdgeFlow, EdgeFlowConfig, EdgeFlowOutput
from edgeflow_med.training.checkpoints import load_into, read_checkpoint
from edgeflow_med.training.config import TrainConfig
from edgeflow_med.training.loop import TERMINATED, Trainer, computes_in_bfloat16, gather_cases, run
from edgeflow_med.training.losses import Losses, overlap
from edgeflow_med.training.robots import Robots, draw_round
from edgeflow_med.training.samples import SampleConfig, Samples, boundary
from tests.region_growing import disk

SIZE = 48
SEEDS = np.arange(10)
SCRIBBLES = SEEDS % 2 == 1


@pytest.fixture
def config(dataset: Path) -> TrainConfig:
    """Without chance: no dropout, no robot clicks."""
    return TrainConfig(
        (str(dataset),), batch=2, workers=0, rounds=0, device="cpu", learning_rate=0.05, report_every=1,
        network=EdgeFlowConfig(dropout=0.0), samples=SampleConfig(size=SIZE),
    )  # fmt: skip


@pytest.fixture
def batch(config: TrainConfig) -> dict[str, Tensor]:
    source = Samples(gather_cases(config)[0], config.samples, 2, seed=0)
    return {name: torch.stack([source[0][name], source[1][name]]) for name in source[0]}


def steps(trainer: Trainer, batch: dict[str, Tensor], count: int) -> list[float]:
    """The loss before each of some steps on one batch."""
    losses = []
    for _ in range(count):
        (report,) = itertools.islice(trainer.train(itertools.repeat(clone(batch))), 1)
        losses.append(report["total"])
    return losses


def rounds(trainer: Trainer, batch: dict[str, Tensor]) -> list[Tensor]:
    """Learn from a batch in all its rounds; returns what the network was told in each: state, then guidance."""
    seen: list[Tensor] = []
    hook = trainer.network.register_forward_pre_hook(lambda _, given: seen.append(given[1][:, -4:].clone()))
    assert len(list(trainer._rounds(clone(batch)))) == len(seen)
    hook.remove()
    return seen


def clone(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in batch.items()}


def test_learning_lowers_the_loss(config: TrainConfig, batch: dict[str, Tensor], tmp_path: Path) -> None:
    losses = steps(Trainer(config, tmp_path), batch, 6)
    assert losses[-1] < 0.9 * losses[0]


def test_a_resumed_run_goes_on_as_if_it_had_never_stopped(
    config: TrainConfig, batch: dict[str, Tensor], tmp_path: Path
) -> None:
    first = Trainer(config, tmp_path)
    steps(first, batch, 2)
    first.save()
    second = Trainer(config, tmp_path)
    assert (second.step, second.seconds) == (first.step, first.seconds)
    for kept, loaded in ((first.network, second.network), (first.average, second.average)):
        values = zip(kept.state_dict().values(), loaded.state_dict().values(), strict=True)
        assert all(torch.equal(one, other) for one, other in values)
    first.seconds = second.seconds = 10.0
    for trainer in (first, second):
        next(trainer._play(iter([clone(batch)])))
    difference = max(
        float((a - b).detach().abs().max())
        for a, b in zip(first.network.parameters(), second.network.parameters(), strict=True)
    )
    assert difference < 1e-6
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.pt"]


def test_a_checkpoint_with_numpys_learning_rate_can_be_read(config: TrainConfig, tmp_path: Path) -> None:
    trainer = Trainer(config, tmp_path)
    trainer.optimiser.param_groups[0]["lr"] = np.float64(0.125)
    trainer.save()
    state = read_checkpoint(tmp_path / "checkpoint.pt")
    assert state["optimiser"]["param_groups"][0]["lr"] == 0.125
    assert TrainConfig.read(written(tmp_path, json.loads(state["config"]))) == config


def written(folder: Path, content: object) -> Path:
    path = folder / "config.json"
    path.write_text(json.dumps(content), "utf-8")
    return path


def test_a_config_reads_back(config: TrainConfig, tmp_path: Path) -> None:
    assert TrainConfig.read(written(tmp_path, asdict(config))) == config
    small = TrainConfig.read(written(tmp_path, {"datasets": ["a", "b"]}))
    assert small == TrainConfig(("a", "b"))


def test_a_run_ends_with_its_budget_and_does_not_start_again(config: TrainConfig, tmp_path: Path) -> None:
    short = replace(config, budget_seconds=0.05)
    run(short, tmp_path)
    state = read_checkpoint(tmp_path / "checkpoint.pt")
    assert state["step"] >= 1
    assert state["seconds"] >= 0.05
    run(short, tmp_path)
    assert read_checkpoint(tmp_path / "checkpoint.pt")["step"] == state["step"]
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == state["step"]


def test_a_sample_that_fails_costs_nothing_of_what_was_learnt(
    config: TrainConfig, batch: dict[str, Tensor], tmp_path: Path
) -> None:
    def batches() -> Iterator[dict[str, Tensor]]:
        yield from (clone(batch), clone(batch))
        raise ValueError("a broken case")

    with pytest.raises(ValueError, match="a broken case"):
        list(Trainer(config, tmp_path).train(batches()))
    assert read_checkpoint(tmp_path / "checkpoint.pt")["step"] == 2


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM to answer")
def test_a_run_that_a_batch_system_ends_is_saved(config: TrainConfig, tmp_path: Path) -> None:
    log = tmp_path / "run" / "log.jsonl"
    command = [sys.executable, "-m", "edgeflow_med.training.loop", str(written(tmp_path, asdict(config))), log.parent]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None and not (log.exists() and log.read_text()):
            time.sleep(0.1)
        process.terminate()
    assert process.returncode == TERMINATED
    assert read_checkpoint(log.with_name("checkpoint.pt"))["step"] >= len(log.read_text().splitlines()) >= 1


def test_a_step_that_ends_in_no_number_is_undone(config: TrainConfig, batch: dict[str, Tensor], tmp_path: Path) -> None:
    """As happened once on a GPU after 1,700 good steps, and cost the run."""
    trainer = Trainer(replace(config, rounds=2, first_share=0.0), tmp_path)
    broken = clone(batch)
    broken["image"][0, 0, 3, 3] = np.nan
    assert list(trainer._rounds(broken)) == [{"undone": 1.0}], "the batch is given up"
    assert all(torch.isfinite(value).all() for value in trainer.network.state_dict().values())
    assert trainer.step == 0
    (report,) = itertools.islice(trainer.train(itertools.repeat(clone(batch))), 1)
    assert np.isfinite(report["total"])


@pytest.mark.parametrize(("told", "halves"), [({"avx512_bf16": True}, True), ({"amx_bf16": False}, False), ({}, False)])
def test_a_cpu_computes_in_bfloat16_only_if_it_can(
    told: dict[str, bool], halves: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: told, raising=False)
    assert computes_in_bfloat16(torch.device("cpu")) == halves
    assert computes_in_bfloat16(torch.device("cuda"))


def test_robot_clicks_are_part_of_training(config: TrainConfig, batch: dict[str, Tensor], tmp_path: Path) -> None:
    trainer = Trainer(replace(config, rounds=2), tmp_path)
    assert trainer._round_shares() == [0.5, 0.25, 0.25]
    played = [rounds(trainer, batch) for _ in range(6)]
    assert {len(seen) for seen in played} == {1, 2, 3}
    for seen in played:
        drawn = [float(told[:, 2:].sum()) for told in seen]
        assert drawn[0] == batch["guidance"].sum()
        assert drawn == sorted(set(drawn)), "every round is told one more prompt"
        assert trainer.step == sum(len(seen) for seen in played), "and is learnt from"


def test_later_rounds_may_be_rarer(config: TrainConfig, tmp_path: Path) -> None:
    trainer = Trainer(replace(config, rounds=3, first_share=0.3, later_factor=0.5), tmp_path)
    np.testing.assert_allclose(trainer._round_shares(), [0.3, 0.4, 0.2, 0.1])


def test_an_answer_can_be_looked_at_again_without_a_further_prompt(
    config: TrainConfig, batch: dict[str, Tensor], tmp_path: Path
) -> None:
    trainer = Trainer(replace(config, rounds=1, first_share=0.0, again_share=1.0), tmp_path)
    first, second = rounds(trainer, batch)
    assert torch.equal(second[:, 2:], first[:, 2:])
    assert not torch.equal(second[:, :2], first[:, :2])


@pytest.mark.parametrize("keep", [True, False])
def test_statistics_of_the_pretrained_part_may_be_kept(
    config: TrainConfig, batch: dict[str, Tensor], tmp_path: Path, keep: bool
) -> None:
    start = tmp_path / "start.safetensors"
    save_file(EdgeFlow(config.network).state_dict(), start)
    trainer = Trainer(replace(config, start=str(start), keep_statistics=keep), tmp_path)
    before = trainer.network.trunk.stem1[1].running_mean.clone()
    rounds(trainer, batch)
    assert torch.equal(trainer.network.trunk.stem1[1].running_mean, before) == keep


def test_validation_cases_are_kept_out(config: TrainConfig) -> None:
    training, validation = gather_cases(config)
    assert (len(training), len(validation)) == (5, 1)


def tensor(mask: np.ndarray) -> Tensor:
    return torch.from_numpy(mask[None, None].astype(np.float32))


@pytest.mark.parametrize("missing", [True, False])
def test_a_robot_click_lies_deep_in_the_larger_error(missing: bool) -> None:
    target, guess = disk((SIZE, SIZE), (15, 16), 12), disk((SIZE, SIZE), (15, 16), 4)
    if not missing:
        target, guess = guess, target
    (prompts,) = draw_round(guess[None], target[None], SEEDS[:1], SCRIBBLES[:1])
    drawn, other = prompts if missing else prompts[::-1]
    assert drawn.sum() == pytest.approx(np.pi * 25, rel=0.1)
    assert not other.any()
    rows, columns = np.nonzero(drawn)
    assert (target ^ guess)[round(rows.mean()), round(columns.mean())]


def test_a_robot_scribble_stays_in_the_larger_error() -> None:
    target, guess = (np.repeat(disk((SIZE, SIZE), (15, 16), radius)[None], len(SEEDS), 0) for radius in (12, 3))
    drawn = draw_round(guess, target, SEEDS, np.ones(len(SEEDS), bool))
    assert not drawn[:, 1].any()
    assert drawn[:, 0].any((1, 2)).all()
    assert not (drawn[:, 0] & ~disk((SIZE, SIZE), (15, 16), 20)).any()  # at most its width beyond the error
    assert len(set(drawn.sum((1, 2, 3)).tolist())) > 5  # no two are alike, and few are clicks


def test_there_is_no_prompt_where_nothing_is_wrong() -> None:
    mask = disk((SIZE, SIZE), (15, 16), 12)[None]
    assert not draw_round(mask, mask, SEEDS[:1], SCRIBBLES[:1]).any()


def test_a_dialogue_keeps_its_tool(config: TrainConfig, batch: dict[str, Tensor], tmp_path: Path) -> None:
    """Who clicked first goes on clicking, who scribbled goes on scribbling."""
    trainer = Trainer(replace(config, rounds=8, first_share=0.0, later_factor=2.0), tmp_path)
    batch = {**batch, "target": batch["target"][:1].repeat(2, 1, 1, 1), "scribbles": torch.tensor([True, False])}
    areas: list[list[int]] = []
    ask = trainer.robots.ask

    def asked(*arguments: Any) -> Callable[[], np.ndarray]:
        prompts = ask(*arguments)
        areas.append(prompts().sum((1, 2, 3)).tolist())
        return prompts

    trainer.robots.ask = asked  # type: ignore[method-assign]
    for _ in range(3):
        list(trainer._rounds(clone(batch)))
    strokes, clicks = np.array(areas).T
    assert len(clicks) >= 3
    assert clicks.max() <= 81 < strokes.max()  # a click is a disk of radius 5


def test_robots_in_processes_of_their_own_draw_the_same() -> None:
    guess, truth = (np.stack([disk((SIZE, SIZE), (15, c), radius) for c in range(14, 24)]) for radius in (3, 12))
    robots = Robots(2)
    answers = robots.ask(guess, truth, SEEDS, SCRIBBLES)
    np.testing.assert_array_equal(answers(), draw_round(guess, truth, SEEDS, SCRIBBLES))
    robots.close()


def test_batches_in_play_take_turns_in_the_same_order(
    config: TrainConfig, batch: dict[str, Tensor], tmp_path: Path
) -> None:
    """Chance is seeded also where robots work beside the network: two runs learn the same."""
    losses, told = [], []
    for name in ("one", "other"):
        trainer = Trainer(replace(config, rounds=3, first_share=0.0, robots=1), tmp_path / name)
        trainer.network.register_forward_pre_hook(lambda _, given: told.append(float(given[1][:, -2:].sum())))
        stream = trainer._play(clone(batch) for _ in itertools.count())
        losses.append([next(stream)["total"] for _ in range(6)])
        trainer.robots.close()
    assert losses[0] == losses[1]
    first = float(batch["guidance"].sum())
    assert told[:3] == [first] * 3, "three batches are begun before the first goes on"
    assert min(told[3:6]) > first


def test_losses_are_least_for_the_truth() -> None:
    mask = tensor(disk((SIZE, SIZE), (15, 16), 12))
    edge = tensor(boundary(mask[0, 0].numpy() > 0))
    truth = EdgeFlowOutput(*(20 * (part - 0.5) for part in (mask, edge, mask, mask)))
    losses = Losses(edge_weight=0.5, quality_weight=0.2)
    right = losses(truth, mask, edge)
    assert set(right) == {"mask", "coarse", "auxiliary", "edge", "total"}
    assert right["total"].item() == pytest.approx(sum(float(v) for k, v in right.items() if k != "total"), rel=1e-5)
    assert right["total"] < 0.05
    for name, part in zip(("mask", "edge", "auxiliary", "coarse"), range(4), strict=True):
        wrong = EdgeFlowOutput(*(-logits if n == part else logits for n, logits in enumerate(truth)))
        parts = losses(wrong, mask, edge)
        assert parts[name] > 0.4
        assert parts["total"] - parts[name] < 0.05
    assert Losses(1.0, 0.2)(truth._replace(edge=-truth.edge), mask, edge)["edge"] == pytest.approx(
        2 * float(losses(truth._replace(edge=-truth.edge), mask, edge)["edge"])
    )


def test_the_quality_is_right_when_it_is_the_overlap() -> None:
    truth = tensor(disk((SIZE, SIZE), (15, 16), 12))
    half = truth * (torch.arange(SIZE)[:, None] < 15)
    reached = overlap(20 * (half - 0.5), truth)
    assert reached.tolist() == pytest.approx([float(half.sum() / truth.sum())])
    empty = torch.full_like(truth, -1.0)
    assert overlap(empty, torch.zeros_like(truth)).tolist() == [1.0]
    losses, edge = Losses(0.5, 0.2), tensor(boundary(truth[0, 0].numpy() > 0))
    answers = [EdgeFlowOutput(*(half,) * 4, torch.logit(reached + shift)[:, None]) for shift in (-0.2, 0.0, 0.2)]
    low, right, high = (
        float(losses(answer._replace(mask=20 * (half - 0.5)), truth, edge)["quality"]) for answer in answers
    )
    assert right < low
    assert right < high


def test_pretrained_parts_learn_slower_and_keep_their_statistics(config: TrainConfig, tmp_path: Path) -> None:
    torch.manual_seed(5)
    start = EdgeFlow(config.network)
    save_file({name: value.contiguous() for name, value in start.state_dict().items()}, tmp_path / "start.safetensors")
    trainer = Trainer(replace(config, start=str(tmp_path / "start.safetensors")), tmp_path / "run")
    assert all(torch.equal(a, b) for a, b in zip(start.parameters(), trainer.network.parameters(), strict=True))
    new, old = trainer.optimiser.param_groups
    assert old["lr"] == pytest.approx(config.trunk_factor * new["lr"])
    assert sum(p.numel() for p in new["params"]) < 1_400_000 < sum(p.numel() for p in old["params"])
    trainer._train_mode()
    frozen = [m for m in trainer.network.trunk.modules() if isinstance(m, nn.BatchNorm2d)]
    assert frozen
    assert not any(module.training for module in frozen)
    assert trainer.network.fine.training


def test_weights_are_taken_from_a_checkpoints_average(config: TrainConfig, tmp_path: Path) -> None:
    trainer = Trainer(config, tmp_path)
    nn.init.constant_(trainer.average.coarse.weight, 0.25)
    trainer.save()
    network = EdgeFlow(config.network)
    load_into(network, tmp_path / "checkpoint.pt")
    assert (network.coarse.weight == 0.25).all()


def test_several_processes_learn_one_network(config: TrainConfig, tmp_path: Path) -> None:
    wanted = asdict(replace(config, budget_seconds=1.0, report_every=1))
    wanted["network"]["ocr_channels"] = 8
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m"]
    module = ["edgeflow_med.training.loop", str(written(tmp_path, wanted)), str(tmp_path / "run")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [*command, *module], env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    reports = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert [report["step"] for report in reports] == list(range(1, len(reports) + 1))  # one process reports
    assert read_checkpoint(tmp_path / "run" / "checkpoint.pt")["step"] == len(reports)
