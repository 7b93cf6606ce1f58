"""``edgeflow-med info``: what there is to read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from edgeflow_med.cli.output import counts, lengths, make_console, row, warn
from edgeflow_med.io import SeriesInfo, list_series


def info(
    input: Annotated[Path, typer.Argument(metavar="INPUT", help="A folder with DICOM series, or an image file.")],  # noqa: A002
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list, for programs.")] = False,
) -> None:
    """List the scans at a path, and what is odd about them."""
    found = list_series(input)
    if as_json:
        typer.echo(json.dumps([entry.to_json() for entry in found], indent=2))
        return
    console = make_console()
    for number, entry in enumerate(found):
        if number:
            console.print()
        _print(console, entry)


def _print(console: Console, entry: SeriesInfo) -> None:
    title = " ".join(filter(None, (entry.modality or "unknown modality", entry.description)))
    console.print(Text(title, style="bold"))
    if entry.name:
        row(console, "Series", entry.name)
    row(console, "Path", entry.path)
    if entry.shape is not None:
        row(console, "Size", f"{counts(entry.shape)} voxels (k, j, i)")
    if entry.spacing is not None:
        row(console, "Spacing", lengths(entry.spacing))
        row(console, "Orientation", entry.orientation)
    for number, values in enumerate(entry.affine or ()):
        row(console, "" if number else "Affine", " ".join(f"{value:11.5g}" for value in values))
    for line in entry.warnings:
        warn(console, line)
    if entry.error:
        row(console, "Unreadable", entry.error, "red")
