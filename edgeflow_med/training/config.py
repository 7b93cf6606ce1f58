"""What a training run is asked to do: the JSON file that ``train`` takes."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgeflow_med.network import EdgeFlowConfig
from edgeflow_med.training.samples import SampleConfig


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
        keep_statistics: Batch norms of the pretrained part keep their statistics, as is best for small batches.
        warmup_steps: Steps in which the learning rate rises to its full value.
        rounds: Most corrections of a batch, each with one more prompt of a robot; every answer is learnt from.
        first_share: Batches without any: the first answer matters most.
        later_factor: How much rarer each further round is than the one before it.
        again_share: Rounds that add no prompt: the network sees its own answer again.
        edge_weight: Weight of the edge loss against 1 for the mask.
        quality_weight: Weight of the loss of the quality head, where the network has one.
        workers: Processes that draw samples; 0 for this one.
        robots: Processes that draw the prompts of the rounds; 0 for this one. With them a GPU learns from one batch
            while robots look at another.
        report_every: Steps over which what is logged is averaged.
        save_every: Seconds between two checkpoints.
    """

    datasets: tuple[str, ...]
    pseudo: str | None = None
    start: str | None = None
    budget_seconds: float = 5400.0
    batch: int = 8
    learning_rate: float = 5e-4
    trunk_factor: float = 0.3
    keep_statistics: bool = True
    warmup_steps: int = 100
    rounds: int = 3
    first_share: float = 0.5
    later_factor: float = 1.0
    again_share: float = 0.0
    edge_weight: float = 0.5
    quality_weight: float = 0.2
    seed: int = 1
    workers: int = 1
    robots: int = 0
    report_every: int = 50
    save_every: float = 300.0
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
