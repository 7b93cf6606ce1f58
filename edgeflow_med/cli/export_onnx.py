"""``edgeflow-med export-onnx``: a model for ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeflow_med.weights import DEFAULT_MODEL


def export_onnx(
    model: Annotated[str, typer.Argument(metavar="[MODEL]", help="Which model.")] = DEFAULT_MODEL,
    output: Annotated[
        Path | None, typer.Option(metavar="F.onnx", help="Where to. [default: where load_predictor finds it]")
    ] = None,
) -> None:
    """Write a model as ONNX: from then on a CPU answers faster, without torch."""
    from edgeflow_med.cli.output import make_console
    from edgeflow_med.predictors.onnx import onnx_file
    from edgeflow_med.training.onnx_export import export_onnx as write
    from edgeflow_med.weights import find_bundle

    bundle = find_bundle(model)
    path = output or onnx_file(bundle)
    write(bundle, path)
    make_console().print(f"{path}: {bundle.name} {bundle.version}, {path.stat().st_size / 1e6:.1f} MB", soft_wrap=True)
