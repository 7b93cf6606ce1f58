"""The training loop: iterative interaction, losses, checkpoints.

A run is a folder. Started again it goes on from its last checkpoint; the learning rate follows the share of the budget
(seconds of training) that is used up, so a run can be as long as there is time.
"""

from __future__ import annotations

import json
import math
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch
from monai.utils import set_determinism
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader

from edgeflow_med.network import EdgeFlow, EdgeFlowOutput, join_prompts, normalise
from edgeflow_med.training.cases import Case, read_cases, validation_names
from edgeflow_med.training.checkpoints import load_into, read_checkpoint
from edgeflow_med.training.config import TrainConfig
from edgeflow_med.training.losses import Losses, overlap
from edgeflow_med.training.robots import Robots
from edgeflow_med.training.samples import Samples

UNDONE = "undone"  # what a step reports whose gradient was no number
TERMINATED = 128 + 15  # what a shell reports of a process that SIGTERM ended
IN_PLAY = 3  # batches in their rounds at once: two steps in a row learn from different ones, and robots have time


class Trainer:
    """State of a run: network, its running average, optimiser, step and time used."""

    def __init__(self, config: TrainConfig, folder: Path) -> None:
        set_determinism(config.seed)
        self.config, self.folder = config, folder
        folder.mkdir(parents=True, exist_ok=True)
        self.robots = Robots(config.robots)
        self.device = choose_device(config.device)
        # A GPU that may choose its kernels is worth more than the last bit of a run that no other GPU could repeat.
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = False, True
        self.network = channels_last(EdgeFlow(config.network), self.device)
        if config.start:
            load_into(self.network, Path(config.start))
        self.average = channels_last(EdgeFlow(config.network), self.device).eval()
        self.average.load_state_dict(self.network.state_dict())
        old = [p for m in self._pretrained() for p in m.parameters() if p.requires_grad]
        known = {id(p) for p in old}
        new = [p for p in self.network.parameters() if p.requires_grad and id(p) not in known]
        rate = config.learning_rate
        groups = [{"params": new, "lr": rate}, {"params": old, "lr": rate * config.trunk_factor}]
        self.optimiser = torch.optim.AdamW(groups, weight_decay=1e-4, betas=(0.9, 0.999))
        self.rates = [group["lr"] for group in self.optimiser.param_groups]
        # Several processes (torchrun) learn together: gradients are averaged, everything else stays the same in each.
        together = distributed.is_initialized()
        self.leads = not together or distributed.get_rank() == 0
        self.learner = DistributedDataParallel(self.network) if together else self.network
        self.losses = Losses(config.edge_weight, config.quality_weight)
        self.step, self.seconds = 0, 0.0
        self.rng = np.random.default_rng(config.seed)
        checkpoint = folder / "checkpoint.pt"
        if checkpoint.exists():
            self._resume(checkpoint)

    def _pretrained(self) -> list[nn.Module]:
        n = self.network
        return [n.trunk, n.auxiliary, n.reduce, n.context, n.coarse] if self.config.start else []

    def _train_mode(self) -> None:
        """Weights learn everywhere; statistics of batch norms perhaps not in the pretrained part."""
        self.network.train()
        for part in self._pretrained() if self.config.keep_statistics else []:
            for module in part.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()

    def train(self, batches: Iterator[dict[str, Tensor]]) -> Generator[dict[str, float], None, None]:
        """Learn until the budget is used up; yields averaged losses every ``report_every`` steps.

        What was learnt is saved however it ends: by an error in a sample, by Ctrl-C, or by the signal with which a
        batch system ends a job.
        """
        try:
            yield from self._train(batches)
        finally:
            self.save()
            self.robots.close()

    def _train(self, batches: Iterator[dict[str, Tensor]]) -> Iterator[dict[str, float]]:
        values: dict[str, list[float]] = {}
        saved, began, count = time.monotonic(), time.monotonic(), 0
        offset = self.seconds
        played = self._play(batches)
        while self.seconds < self.config.budget_seconds:
            for key, value in next(played).items():
                values.setdefault(key, []).append(value)
            count += 1
            self.seconds = agreed(offset + time.monotonic() - began)
            if count == self.config.report_every:
                averages = {key: fmean(given) for key, given in values.items()}
                yield {"step": self.step, "seconds": round(self.seconds), **averages}
                values, count = {}, 0
            if time.monotonic() - saved > self.config.save_every:
                self.save()
                saved = time.monotonic()

    def _play(self, batches: Iterator[dict[str, Tensor]]) -> Iterator[dict[str, float]]:
        """The losses of one step after another; batches take turns, always in the same order: chance stays seeded."""
        playing: deque[Iterator[dict[str, float]]] = deque()
        while True:
            game = playing.popleft() if len(playing) == IN_PLAY else self._rounds(next(batches))
            losses = next(game, None)
            if losses is not None:
                playing.append(game)
                yield losses

    def _rounds(self, batch: dict[str, Tensor]) -> Iterator[dict[str, float]]:
        """Learns from a batch, then some times over from its own answer and a robot's next prompt; yields losses."""
        truth, scribbles = batch["target"].numpy()[:, 0] >= 0.5, batch["scribbles"].numpy()
        batch = {name: part.to(self.device, non_blocking=True) for name, part in batch.items()}
        batch["image"] = normalise(batch["image"]).to(memory_format=torch.channels_last)
        for left in reversed(range(1 + int(self.rng.choice(self.config.rounds + 1, p=self._round_shares())))):
            losses, batch["previous"] = self._learn(batch)
            if UNDONE in losses:
                yield losses
                return
            prompts = None
            if left and self.rng.random() >= self.config.again_share:
                guess = (batch["previous"][:, 0] >= 0.5).cpu().numpy()
                seeds = self.rng.integers(2**62, size=len(guess))
                prompts = self.robots.ask(guess, truth, seeds, scribbles)
            yield losses
            if prompts is not None:  # the robots drew while other batches were learnt from
                drawn = torch.from_numpy(prompts()).to(self.device)
                batch["guidance"] = torch.maximum(batch["guidance"], drawn.to(batch["guidance"].dtype))

    def _answer(self, network: nn.Module, batch: dict[str, Tensor]) -> EdgeFlowOutput:
        prompts = join_prompts(self.config.network, batch["previous"], batch["guidance"])
        output: EdgeFlowOutput = network(batch["image"], prompts)
        return output

    def _learn(self, batch: dict[str, Tensor]) -> tuple[dict[str, float], Tensor]:
        """One step on a batch; returns the losses, and the answer's mask and edge as the next round starts from."""
        progress = min(1.0, self.seconds / self.config.budget_seconds)
        warm = min(1.0, (self.step + 1) / self.config.warmup_steps)
        for group, rate in zip(self.optimiser.param_groups, self.rates, strict=True):
            group["lr"] = rate * warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * progress)))
        self._train_mode()
        with self._autocast():
            output = self._answer(self.learner, batch)
        parts = self.losses(output, batch["target"], batch["edge"])
        self.optimiser.zero_grad(set_to_none=True)
        parts["total"].backward()
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), 2.0)
        answer = torch.cat([torch.sigmoid(o.detach().float()) for o in (output.mask, output.edge)], dim=1)
        if not torch.isfinite(norm):  # it would spoil the weights for good; what was seen may have spoilt statistics
            self.network.load_state_dict(self.average.state_dict())
            return {UNDONE: 1.0}, answer
        self.optimiser.step()
        self.step += 1
        self._average()
        reached = overlap(output.mask, batch["target"])
        values = {k: v.detach() for k, v in parts.items()} | {"iou": reached.mean()}
        if output.quality is not None:
            told = torch.sigmoid(output.quality.detach().float())[:, 0]
            values["quality_error"] = (told - reached).abs().mean()
        return dict(zip(values, torch.stack(list(values.values())).tolist(), strict=True)), answer

    def _round_shares(self) -> list[float]:
        """How often there are no, one, two ... rounds."""
        later = self.config.later_factor ** np.arange(self.config.rounds)
        first = self.config.first_share
        return [first, *((1 - first) * later / later.sum())] if len(later) else [1.0]

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=computes_in_bfloat16(self.device))

    @torch.no_grad()
    def _average(self) -> None:
        decay = min(0.998, (1 + self.step) / (10 + self.step))
        pairs = [*zip(self.average.state_dict().values(), self.network.state_dict().values(), strict=True)]
        moving = [pair for pair in pairs if pair[0].dtype.is_floating_point]
        torch._foreach_lerp_([kept for kept, _ in moving], [new for _, new in moving], 1 - decay)
        for kept, new in pairs:
            if not kept.dtype.is_floating_point:
                kept.copy_(new)

    def save(self) -> None:
        """Write the checkpoint, the old one staying until the new one is whole; of several processes one does."""
        if not self.leads:
            return
        state = {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
            "config": json.dumps(asdict(self.config)),
        }
        temporary = self.folder / "checkpoint.pt.new"
        torch.save(state, temporary)
        temporary.replace(self.folder / "checkpoint.pt")

    def _resume(self, path: Path) -> None:
        state = read_checkpoint(path, self.device)
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.seconds = state["step"], state["seconds"]
        self.rng = np.random.default_rng((self.config.seed, self.step))


def choose_device(choice: str) -> torch.device:
    """``auto``, ``cpu`` or ``cuda`` -> where this process learns; under torchrun each has a GPU of its own."""
    if choice == "cpu" or (choice == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))


def computes_in_bfloat16(device: torch.device) -> bool:
    """Whether a device has instructions for bfloat16; a CPU without them learns twice as fast in float32."""
    if device.type != "cpu":
        return True
    tell: Callable[[], dict[str, Any]] = getattr(torch.cpu, "get_capabilities", dict)  # older PyTorch cannot tell
    return any(tell().get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))


def agreed(seconds: float) -> float:
    """The first process's time, so that all stop after the same step."""
    if not distributed.is_initialized():
        return seconds
    device = "cuda" if distributed.get_backend() == "nccl" else "cpu"
    shared = torch.tensor(seconds, dtype=torch.float64, device=device)
    distributed.broadcast(shared, 0)
    return float(shared)


def channels_last(network: EdgeFlow, device: torch.device) -> EdgeFlow:
    """Move a network to a device, its weights laid out as convolutions run fastest."""
    return network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def gather_cases(config: TrainConfig) -> tuple[list[Case], list[Case]]:
    """All cases of a run, split into training and validation; the only case of a data set is for training."""
    pseudo = Path(config.pseudo) if config.pseudo else None
    training: list[Case] = []
    validation: list[Case] = []
    for folder in config.datasets:
        cases = read_cases(Path(folder), pseudo)
        held_out = validation_names([case.name for case in cases])
        training.extend(case for case in cases if case.name not in held_out)
        validation.extend(case for case in cases if case.name in held_out)
    return training, validation


def run(
    config: TrainConfig,
    folder: Path,
    threads: int | None = None,
    progress: Callable[[dict[str, float]], None] = lambda report: print(json.dumps(report), flush=True),
) -> None:
    """Train in ``folder``, going on from its checkpoint if there is one.

    Started by torchrun, several processes learn together, on GPUs or CPUs. Reports go to ``log.jsonl``, to TensorBoard
    if it is installed, and to ``progress``.

    Raises:
        ReadError: A data set holds no images.
        ModelError: The weights to start from do not fit.
    """
    if threads:
        torch.set_num_threads(threads)
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        device = choose_device(config.device)
        if device.type == "cuda":
            torch.cuda.set_device(device)
        distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        with ended_by_signal():
            _run(config, folder, progress)
    finally:
        if distributed.is_initialized():
            distributed.destroy_process_group()


@contextmanager
def ended_by_signal() -> Iterator[None]:
    """SIGTERM, with which batch systems end a job, ends the block as Ctrl-C does; else nothing would be saved."""
    if threading.current_thread() is not threading.main_thread():  # only there may a signal be answered
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _run(config: TrainConfig, folder: Path, progress: Callable[[dict[str, float]], None]) -> None:
    training, _ = gather_cases(config)
    trainer = Trainer(config, folder)
    rank = distributed.get_rank() if distributed.is_initialized() else 0
    samples = Samples(training, config.samples, 10**9, seed=config.seed * 1000 + trainer.step + rank * 10**7)
    ahead = 4 if config.workers else None
    loader = DataLoader(
        samples,
        config.batch,
        num_workers=config.workers,
        prefetch_factor=ahead,
        pin_memory=trainer.device.type == "cuda",
    )
    board = _board(folder) if trainer.leads else None
    with closing(trainer.train(iter(loader))) as reports:
        for averages in reports:
            if not trainer.leads:
                continue
            report = {key: round(value, 4) for key, value in averages.items()}
            with (folder / "log.jsonl").open("a", encoding="utf-8") as log:
                print(json.dumps(report), file=log)
            for key, value in report.items():
                if board is not None:
                    board.add_scalar(key, value, int(report["step"]))
            progress(report)
    if board is not None:
        board.close()


def _board(folder: Path) -> Any:
    """Where TensorBoard looks, or None if it is not installed."""
    if find_spec("tensorboard") is None:
        return None
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder))


def main(arguments: Sequence[str]) -> None:
    """``python -m edgeflow_med.training.loop CONFIG.json RUN_FOLDER``."""
    run(TrainConfig.read(Path(arguments[0])), Path(arguments[1]))


if __name__ == "__main__":
    main(sys.argv[1:])
