"""``edgeflow-med train`` and ``finetune``: open training."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import typer

from edgeflow_med.weights import DEFAULT_MODEL

Threads = Annotated[int | None, typer.Option(min=1, help="CPU threads. [default: PyTorch's]")]


def train(
    config: Annotated[Path, typer.Argument(metavar="CONFIG.json", help="What to train, on what, for how long.")],
    run: Annotated[Path, typer.Option(metavar="FOLDER", help="Checkpoint and log; a run that is there goes on.")],
    threads: Threads = None,
) -> None:
    """Train a network, or go on training it. See docs/how-to/train.md."""
    from edgeflow_med.training.config import TrainConfig
    from edgeflow_med.training.loop import run as train_run

    wanted = TrainConfig.read(config)
    with _bar(wanted.budget_seconds) as show:
        train_run(wanted, run, threads, show)


def finetune(
    datasets: Annotated[
        list[Path],
        typer.Argument(metavar="DATASET...", help="Folders in the Decathlon layout, e.g. from export-dataset."),
    ],
    *,
    output: Annotated[Path, typer.Option(metavar="FOLDER", help="The new model; its name is the folder's name.")],
    start: Annotated[str, typer.Option("--from", metavar="MODEL", help="Where to start.")] = DEFAULT_MODEL,
    run: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Checkpoint and log. [default: OUTPUT.run]")
    ] = None,
    minutes: Annotated[float, typer.Option(min=0.05, help="How long to train.")] = 30,
    batch: Annotated[int, typer.Option(min=1, help="Samples per step.")] = 6,
    device: Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="Where to train.")] = "auto",
    threads: Threads = None,
) -> None:
    """Train a model further on your own cases; stopped and started again it goes on."""
    from edgeflow_med.cli.output import make_console
    from edgeflow_med.training.finetune import finetune as tune
    from edgeflow_med.weights import find_bundle

    folder = run or output.with_name(output.name + ".run")
    with _bar(60 * minutes) as show:
        bundle = tune(
            datasets,
            find_bundle(start),
            output,
            folder,
            seconds=60 * minutes,
            batch=batch,
            device=device,
            threads=threads,
            progress=show,
        )
    make_console().print(f"{output}: {bundle.name} {bundle.version}; use it with --model {output}", soft_wrap=True)


@contextmanager
def _bar(seconds: float) -> Iterator[Callable[[dict[str, float]], None]]:
    """A progress bar over the time to train, with the last figures."""
    from edgeflow_med.cli.output import make_console, make_progress

    with make_progress(make_console()) as bar:
        task = bar.add_task("Training", total=seconds)

        def show(report: dict[str, float]) -> None:
            text = f"step {report['step']:.0f}, loss {report['total']:.3f}, IoU {report['iou']:.3f}"
            bar.update(task, completed=report["seconds"], description=text)

        yield show
