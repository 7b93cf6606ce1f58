"""``edgeflow-med evaluate``: how many prompts an outline takes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from edgeflow_med.weights import DEFAULT_MODEL


def evaluate(  # noqa: PLR0913, PLR0917 - one parameter per option
    datasets: Annotated[
        list[Path],
        typer.Argument(metavar="DATASET...", help="Folders in the Decathlon layout: dataset.json, imagesTr, labelsTr."),
    ],
    report: Annotated[
        Path, typer.Option(metavar="F.json", help="Where the figures go; a table (.md) and a plot (.png) beside it.")
    ],
    model: Annotated[str, typer.Option(metavar="NAME", help="Which model; graphcut needs no weights.")] = DEFAULT_MODEL,
    max_clicks: Annotated[int, typer.Option(min=1, help="After so many prompts on a slice a robot gives up.")] = 20,
    targets: Annotated[int, typer.Option(min=0, help="Targets on slices to draw from each data set.")] = 40,
    objects: Annotated[int, typer.Option(min=0, help="Whole objects to draw from each data set for propagation.")] = 5,
    robot: Annotated[
        list[str] | None,
        typer.Option(
            metavar="clicks|noisy|scribbles|boxes|lines", help="May be given again. [default: the first three]"
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the sample and of the robots.")] = 0,
    device: Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="Where the model runs.")] = "auto",
) -> None:
    """Let robot users outline labelled structures, and count. A run that was stopped goes on where it was."""
    from edgeflow_med import evaluation
    from edgeflow_med.cli.output import heading, make_console, make_progress
    from edgeflow_med.predictors import load_predictor

    robots = tuple(dict.fromkeys(robot)) if robot else evaluation.Settings.robots
    settings = evaluation.Settings(
        robots, max_interactions=max_clicks, targets_per_set=targets, objects_per_set=objects, seed=seed
    )
    console = make_console()
    predictor = load_predictor(model, device)
    with make_progress(console) as bar:
        task = bar.add_task("Evaluating", total=None)

        def show(done: int, total: int, name: str) -> None:
            bar.update(task, completed=done, total=total, description=name)

        result = evaluation.evaluate(datasets, predictor, settings, report=report, progress=show)
    table, plot = report.with_suffix(".md"), report.with_suffix(".png")
    evaluation.write_markdown([result], table)
    evaluation.write_plot([result], plot)
    console.print(evaluation.markdown([result]))
    heading(console, "Files")
    for path in (report, table, plot):
        console.print(f"  {path}")
