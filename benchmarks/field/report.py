"""Write the field report: JSON, page, plot and pictures."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.field.collect import collect, document
from benchmarks.field.page import page
from benchmarks.field.pictures import draw_all
from benchmarks.field.plan import Folder, Plan, Row
from benchmarks.field.plot import draw
from benchmarks.quality.comparison import write_text
from edgeflow_med.errors import UsageError
from edgeflow_med.evaluation.report import to_line

PAGE, FIGURES, PLOT, PICTURES = (
    "docs/explanation/field.md",
    "benchmarks/results/field.json",
    "benchmarks/results/field.png",
    "docs/images/field",
)


def write_report(plan: Plan, sets: Sequence[Path], folder: Folder, home: Path, failed: Mapping[Row, str]) -> list[Path]:
    """Write everything under ``home``, which has the folders of the repository.

    Returns:
        The files and the folder of pictures.

    Raises:
        UsageError: Nothing was measured yet.
        WriteError: Something could not be written.
    """
    field = collect(plan, folder, failed)
    if not field.slices:
        raise UsageError(f"Nothing was measured yet in {folder.path}; run without --render.")
    text, figures, plot, pictures = (home / name for name in (PAGE, FIGURES, PLOT, PICTURES))
    for path in (text, figures):
        path.parent.mkdir(parents=True, exist_ok=True)
    draw(field, plot)
    drawn = draw_all(field, sets, folder, pictures, text.parent)
    write_text(_json(document(field)), figures)
    write_text(page(field, drawn, "../../" + PLOT), text)
    return [text, figures, plot, pictures]


def _json(content: Mapping[str, object]) -> str:
    """Readable, with a row on each line."""
    parts = []
    for name, value in content.items():
        if isinstance(value, Mapping) and name in {"slices", "propagation"}:
            rows = ",\n  ".join(f"{json.dumps(key)}: {to_line(item)}" for key, item in value.items())
            parts.append(f"{json.dumps(name)}: {{\n  {rows}\n }}")
        else:
            parts.append(f"{json.dumps(name)}: {to_line(value)}")
    return "{\n " + ",\n ".join(parts) + "\n}\n"
