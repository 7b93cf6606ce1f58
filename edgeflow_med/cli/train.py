"""``edgeflow-med train``: train EdgeFlow on labelled images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def train(
    config: Annotated[Path, typer.Argument(metavar="CONFIG.json", help="What to train, on what, for how long.")],
    run: Annotated[Path, typer.Option(metavar="FOLDER", help="Checkpoint and log; a run that is there goes on.")],
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads. [default: PyTorch's]")] = None,
) -> None:
    """Train a network, or go on training it. See docs/how-to/train.md."""
    from edgeflow_med.training.loop import TrainConfig
    from edgeflow_med.training.loop import run as train_run

    train_run(TrainConfig.read(config), run, threads)
