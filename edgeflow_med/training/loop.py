"""The training loop: iterative interaction, losses, checkpoints.

A run is a folder. Started again it goes on from its last checkpoint; the learning rate follows the share of the budget
(seconds of training) that is used up, so a run can be as long as there is time.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.losses import DiceCELoss
from monai.utils import set_determinism
from scipy import ndimage
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from edgeflow_med.errors import ModelError
from edgeflow_med.network import EdgeFlow, EdgeFlowConfig, EdgeFlowOutput, join_prompts, normalise
from edgeflow_med.predictors.crop import CLICK_RADIUS, stamp
from edgeflow_med.training.cases import Case, is_validation, read_cases
from edgeflow_med.training.samples import SampleConfig, Samples, boundary


@dataclass(frozen=True)
class TrainConfig:
    """One training run; every field can be set in the JSON file that ``train`` takes.

    Attributes:
        datasets: Folders in the Decathlon layout.
        pseudo: Folder of class-free objects, or None.
        start: Weights to start from (``.safetensors`` or checkpoint); None for random.
        budget_seconds: Training time after which the learning rate has reached its end.
        batch: Samples per step.
        learning_rate: For new modules; the pretrained trunk gets ``trunk_factor`` of it.
        rounds: Most extra robot clicks before the step that is learnt from.
        edge_weight: Weight of the edge loss against 1 for the mask.
        quality_weight: Weight of the loss of the quality head, where the network has one.
    """

    datasets: tuple[str, ...]
    pseudo: str | None = None
    start: str | None = None
    budget_seconds: float = 5400.0
    batch: int = 8
    learning_rate: float = 5e-4
    trunk_factor: float = 0.3
    rounds: int = 3
    edge_weight: float = 0.5
    quality_weight: float = 0.2
    seed: int = 1
    workers: int = 1
    device: str = "auto"
    network: EdgeFlowConfig = field(default_factory=EdgeFlowConfig)
    samples: SampleConfig = field(default_factory=SampleConfig)

    @classmethod
    def read(cls, path: Path) -> TrainConfig:
        """From JSON."""
        fields: dict[str, Any] = json.loads(path.read_text("utf-8"))
        fields["datasets"] = tuple(fields["datasets"])
        fields["network"] = EdgeFlowConfig(**fields.get("network", {}))
        samples = fields.get("samples", {})
        if "extent" in samples:
            samples["extent"] = tuple(samples["extent"])
        fields["samples"] = SampleConfig(**samples)
        return cls(**fields)


def add_robot_clicks(guidance: Tensor, probability: Tensor, target: Tensor, rng: np.random.Generator) -> None:
    """One more click per sample, drawn from the deep part of its larger error region; changes ``guidance`` in place."""
    drawn = guidance.cpu().numpy()
    guess, truth = probability.cpu().numpy()[:, 0] >= 0.5, target.cpu().numpy()[:, 0] >= 0.5
    for n in range(len(drawn)):
        regions = (truth[n] & ~guess[n], guess[n] & ~truth[n])
        depths = [ndimage.distance_transform_edt(np.pad(r, 1))[1:-1, 1:-1] for r in regions]
        sign = int(depths[1].max() > depths[0].max())
        depth = depths[sign]
        if depth.max() < 1.0:
            continue
        candidates = np.argwhere(depth > 0.5 * depth.max())
        row, column = candidates[rng.integers(len(candidates))]
        stamp(drawn[n, sign], (float(row), float(column)), CLICK_RADIUS)
    guidance.copy_(torch.from_numpy(drawn))


class Losses:
    """Dice and cross entropy on mask, coarse mask and edge; cross entropy on the auxiliary head and on the quality."""

    def __init__(self, edge_weight: float, quality_weight: float) -> None:
        self.edge_weight, self.quality_weight = edge_weight, quality_weight
        self.region = DiceCELoss(sigmoid=True, batch=False, smooth_nr=1.0, smooth_dr=1.0)
        self.thin = DiceCELoss(sigmoid=True, batch=True, smooth_nr=1.0, smooth_dr=1.0, weight=torch.tensor([4.0]))

    def __call__(self, output: EdgeFlowOutput, target: Tensor, edge: Tensor) -> dict[str, Tensor]:
        """Output and targets ``(N, 1, H, W)`` in {0, 1} -> weighted losses by name, and their sum as ``total``."""
        self.thin = self.thin.to(target.device)
        parts = {
            "mask": self.region(output.mask.float(), target),
            "coarse": 0.4 * self.region(output.coarse.float(), target),
            "auxiliary": 0.4 * F.binary_cross_entropy_with_logits(output.auxiliary.float(), target),
            "edge": self.edge_weight * self.thin(output.edge.float(), edge),
        }
        if output.quality is not None:
            reached = overlap(output.mask, target)[:, None]
            loss = F.binary_cross_entropy_with_logits(output.quality.float(), reached)
            parts["quality"] = self.quality_weight * loss
        parts["total"] = torch.stack(list(parts.values())).sum()
        return parts


@torch.no_grad()
def overlap(logits: Tensor, target: Tensor) -> Tensor:
    """IoU of masks ``(N, 1, H, W)`` with their targets, ``(N,)``; 1 where both are empty."""
    guess, truth = logits >= 0, target >= 0.5
    both, either = (guess & truth).sum((1, 2, 3)), (guess | truth).sum((1, 2, 3))
    return (both + 1e-6) / (either + 1e-6)


class Trainer:
    """State of a run: network, its running average, optimiser, step and time used."""

    def __init__(self, config: TrainConfig, folder: Path) -> None:
        set_determinism(config.seed)
        self.config, self.folder = config, folder
        folder.mkdir(parents=True, exist_ok=True)
        cuda = config.device == "cuda" or (config.device == "auto" and torch.cuda.is_available())
        self.device = torch.device("cuda" if cuda else "cpu")
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
        """Batches are small, so batch norms of the pretrained part keep their statistics; their weights learn."""
        self.network.train()
        for part in self._pretrained():
            for module in part.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()

    def train(
        self, batches: Iterator[dict[str, Tensor]], report_every: int = 50, save_every: float = 300.0
    ) -> Iterator[dict[str, float]]:
        """Learn until the budget is used up; yields averaged losses every ``report_every`` steps."""
        sums: dict[str, float] = {}
        saved, began, count = time.monotonic(), time.monotonic(), 0
        offset = self.seconds
        while self.seconds < self.config.budget_seconds:
            batch = next(batches)
            for key, value in self._step(batch).items():
                sums[key] = sums.get(key, 0.0) + value
            count += 1
            self.seconds = offset + time.monotonic() - began
            if count == report_every:
                yield {"step": self.step, "seconds": round(self.seconds), **{k: v / count for k, v in sums.items()}}
                sums, count = {}, 0
            if time.monotonic() - saved > save_every:
                self.save()
                saved = time.monotonic()
        self.save()

    def _step(self, batch: dict[str, Tensor]) -> dict[str, float]:
        image = normalise(batch["image"].to(self.device)).to(memory_format=torch.channels_last)
        target, previous, guidance = (batch[k].to(self.device) for k in ("target", "previous", "guidance"))
        progress = min(1.0, self.seconds / self.config.budget_seconds)
        warm = min(1.0, (self.step + 1) / 100)
        for group, rate in zip(self.optimiser.param_groups, self.rates, strict=True):
            group["lr"] = rate * warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * progress)))
        rounds = int(self.rng.choice(self.config.rounds + 1, p=self._round_shares()))
        self.network.eval()
        for _ in range(rounds):
            with torch.no_grad(), self._autocast():
                output = self.network(image, join_prompts(self.config.network, previous, guidance))
            previous = torch.cat([torch.sigmoid(output.mask.float()), torch.sigmoid(output.edge.float())], dim=1)
            add_robot_clicks(guidance, previous[:, :1], target, self.rng)
        self._train_mode()
        edge = torch.from_numpy(boundary_batch(target.cpu().numpy())).to(self.device)
        with self._autocast():
            output = self.network(image, join_prompts(self.config.network, previous, guidance))
        parts = self.losses(output, target, edge)
        self.optimiser.zero_grad(set_to_none=True)
        parts["total"].backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 2.0)
        self.optimiser.step()
        self.step += 1
        self._average()
        values = {k: float(v.detach()) for k, v in parts.items()}
        reached = overlap(output.mask, target)
        values["iou"] = float(reached.mean())
        if output.quality is not None:
            values["quality_error"] = float(
                (torch.sigmoid(output.quality.detach().float())[:, 0] - reached).abs().mean()
            )
        return values

    def _round_shares(self) -> list[float]:
        """The first answer matters most, so it is learnt from half of the time."""
        more = self.config.rounds
        return [0.5, *([0.5 / more] * more)] if more else [1.0]

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16)

    @torch.no_grad()
    def _average(self) -> None:
        decay = min(0.998, (1 + self.step) / (10 + self.step))
        for kept, new in zip(self.average.state_dict().values(), self.network.state_dict().values(), strict=True):
            if kept.dtype.is_floating_point:
                kept.lerp_(new, 1 - decay)
            else:
                kept.copy_(new)

    def save(self) -> None:
        """Write the checkpoint, the old one staying until the new one is whole."""
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


def channels_last(network: EdgeFlow, device: torch.device) -> EdgeFlow:
    """Move a network to a device, its weights laid out as convolutions run fastest."""
    return network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def read_checkpoint(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """What a trainer saved: ``network``, ``average``, ``optimiser``, ``step``, ``seconds`` and ``config`` (JSON)."""
    # Learning rates were once saved as NumPy scalars, which PyTorch only reads when told that they are harmless.
    scalar: Any = np.float64(0).__reduce__()[0]
    with torch.serialization.safe_globals([scalar, np.dtype, np.dtypes.Float64DType]):
        return torch.load(path, map_location=device, weights_only=True)


def boundary_batch(target: np.ndarray[Any, np.dtype[np.float32]]) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Outlines two pixels wide of ``(N, 1, H, W)`` masks."""
    return np.stack([boundary(mask[0] >= 0.5)[None] for mask in target]).astype(np.float32)


def load_into(network: EdgeFlow, path: Path) -> None:
    """Copy weights from a ``.safetensors`` file or a checkpoint (its running average) into a network.

    A quality head that the weights lack keeps its start: it listens to the rest and changes nothing.

    Raises:
        ModelError: The weights do not fit the network.
    """
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        state = load_file(path)
    else:
        state = read_checkpoint(path)["average"]
    try:
        missing, unknown = network.load_state_dict(state, strict=False)
    except RuntimeError as error:
        raise ModelError(
            f"The weights in {path} do not fit the network: {str(error).splitlines()[-1].strip()}"
        ) from None
    missing = [name for name in missing if not name.startswith("quality.")]
    if missing or unknown:
        name = [*missing, *unknown][0]
        raise ModelError(f"The weights in {path} do not fit the network ({name}); give the config they were made with.")


def gather_cases(config: TrainConfig) -> tuple[list[Case], list[Case]]:
    """All cases of a run, split into training and validation; the only case of a data set is for training."""
    pseudo = Path(config.pseudo) if config.pseudo else None
    training: list[Case] = []
    validation: list[Case] = []
    for folder in config.datasets:
        cases = read_cases(Path(folder), pseudo)
        kept = [c for c in cases if len(cases) > 1 and is_validation(c.name)]
        validation.extend(kept)
        training.extend(c for c in cases if c not in kept)
    return training, validation


def run(config: TrainConfig, folder: Path, threads: int | None = None) -> None:
    """Train in ``folder``, going on from its checkpoint if there is one; prints one JSON line per report."""
    if threads:
        torch.set_num_threads(threads)
    training, _ = gather_cases(config)
    trainer = Trainer(config, folder)
    samples = Samples(training, config.samples, 10**9, seed=config.seed * 1000 + trainer.step)
    loader = DataLoader(
        samples, config.batch, num_workers=config.workers, prefetch_factor=4 if config.workers else None
    )
    with (folder / "log.jsonl").open("a", encoding="utf-8") as log:
        for report in trainer.train(iter(loader)):
            line = json.dumps({k: round(v, 4) for k, v in report.items()})
            print(line, flush=True)
            print(line, file=log, flush=True)


def main(arguments: Sequence[str]) -> None:
    """``python -m edgeflow_med.training.loop CONFIG.json RUN_FOLDER``."""
    run(TrainConfig.read(Path(arguments[0])), Path(arguments[1]))


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
