"""The commands, by name."""

from __future__ import annotations

from typing import Annotated

import typer

from edgeflow_med import __version__
from edgeflow_med.cli.case import app as case
from edgeflow_med.cli.case import resume
from edgeflow_med.cli.dataset import export_dataset
from edgeflow_med.cli.demo import demo
from edgeflow_med.cli.doctor import doctor
from edgeflow_med.cli.effort import effort
from edgeflow_med.cli.evaluate import evaluate
from edgeflow_med.cli.export_onnx import export_onnx
from edgeflow_med.cli.info import info
from edgeflow_med.cli.pacs import app as pacs
from edgeflow_med.cli.segment import segment
from edgeflow_med.cli.train import finetune, train

app = typer.Typer(
    name="edgeflow-med",
    help="Segment CT and MR by clicks: EdgeFlow answers a slice, propagation does its neighbours.",
    epilog="Not a medical device; not for clinical use.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for command in (segment, resume, effort, export_dataset, info, demo, doctor, evaluate, train, finetune, export_onnx):
    app.command()(command)
app.add_typer(case, name="case")
app.add_typer(pacs, name="pacs")


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"edgeflow-med {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """What stands before a command."""
