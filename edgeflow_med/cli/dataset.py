"""``edgeflow-med export-dataset``: what readers accepted, for the next model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer


def export_dataset(  # noqa: PLR0913 - one parameter per option
    cases: Annotated[list[Path], typer.Argument(metavar="CASE...", help="Folders of cases, each of another scan.")],
    *,
    layout: Annotated[Literal["decathlon", "nnunet", "bids"], typer.Option(help="What the folder looks like.")],
    output: Annotated[Path, typer.Option(metavar="FOLDER", help="The data set; its name is the folder's name.")],
    licence: Annotated[
        str, typer.Option(metavar="TEXT", help="Under which images and outlines may be used; models will name it.")
    ],
    reference: Annotated[str, typer.Option(metavar="TEXT", help="Where they come from; models will name it.")],
    description: Annotated[str, typer.Option(metavar="TEXT", help="What they show and who drew the outlines.")] = "",
    labels: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.json",
            help="The label map: made if it is not there, else used as it is. [default: labels.json in FOLDER]",
        ),
    ] = None,
    contrast: Annotated[str, typer.Option(metavar="T1w|T2w|...", help="BIDS and MR: what file names say.")] = "",
    replace: Annotated[bool, typer.Option("--replace", help="Replace the data set that is there.")] = False,
) -> None:
    """Write the accepted slices of cases as a data set that `finetune`, nnU-Net or BIDS tools take."""
    from edgeflow_med.cli.output import make_console, warn
    from edgeflow_med.training.export_dataset import export_dataset as export

    done = export(
        cases,
        output,
        layout=layout,
        licence=licence,
        reference=reference,
        description=description,
        labels=labels,
        contrast=contrast,
        replace=replace,
    )
    console = make_console()
    for folder in done.left_out:
        warn(console, f"No slice of {folder} is accepted; it was left out.")
    console.print(
        f"{output}: {done.images} images with {done.slices} slices of {done.patients} patients, "
        f"{done.validation} of them for validation; all checked"
    )
