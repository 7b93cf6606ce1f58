"""Go on training a model on a reader's own cases, and make a model of the result."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from edgeflow_med.errors import ReadError
from edgeflow_med.network import EdgeFlowConfig
from edgeflow_med.predictors.zoom import ZoomPolicy
from edgeflow_med.training.config import TrainConfig
from edgeflow_med.training.export import export
from edgeflow_med.training.loop import run
from edgeflow_med.training.model_card import read_source
from edgeflow_med.training.samples import SampleConfig
from edgeflow_med.weights import Bundle

LEARNING_RATE = 1e-4  # a quarter of what the models of the package were trained with: there is something to keep
# Corrections as the models of the package learnt them: shown fewer, a model would forget how to be corrected for long.
ROUNDS, FIRST_SHARE, LATER_FACTOR = 6, 0.25, 0.75
WARMUP_STEPS = 20  # a finetuning of ten minutes on a CPU has 200 steps


def finetune(  # noqa: PLR0913 - what, from what, where to, and how long
    datasets: Sequence[Path],
    model: Bundle,
    output: Path,
    run_folder: Path,
    *,
    seconds: float = 1800.0,
    batch: int = 6,
    workers: int = 1,
    device: str = "auto",
    threads: int | None = None,
    progress: Callable[[dict[str, float]], None] = lambda _: None,
) -> Bundle:
    """Train a model further and write the result as a bundle of its own; stopped and started again it goes on.

    Args:
        datasets: Folders in the Decathlon layout, e.g. from ``edgeflow-med export-dataset``.
        model: Where to start.
        output: Folder of the new bundle; its name is the new model's name. The model that it came from stays.
        run_folder: Checkpoint and log.
        seconds: Time to train.
        batch: Samples per step.
        workers: Processes that draw samples.
        device: ``auto``, ``cpu`` or ``cuda``.
        threads: CPU threads; by default PyTorch's choice.
        progress: Is given each report.

    Raises:
        ReadError: A data set has no images, or does not say its licence.
        ModelError: The model is broken.
    """
    if output.resolve() == model.path.resolve():
        raise ReadError(f"{output} is the model to start from, which is kept; give another --output.")
    for folder in datasets:
        read_source(folder)  # what a model card could not say is better known before hours of training
    policy = ZoomPolicy(**model.policy)
    config = TrainConfig(
        tuple(str(folder) for folder in datasets),
        start=str(model.model_file),
        budget_seconds=seconds,
        batch=batch,
        learning_rate=LEARNING_RATE,
        warmup_steps=WARMUP_STEPS,
        rounds=ROUNDS,
        first_share=FIRST_SHARE,
        later_factor=LATER_FACTOR,
        workers=workers,
        device=device,
        report_every=10,
        network=EdgeFlowConfig(**model.metadata["edgeflow"]["config"]),
        samples=SampleConfig(size=policy.size),
    )
    run(config, run_folder, threads, progress)
    return export(run_folder / "checkpoint.pt", output, policy, brakes=model.brakes)
