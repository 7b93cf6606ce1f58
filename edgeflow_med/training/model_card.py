"""The model card: a template filled from what a run left behind, so that nothing in it is invented."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

from edgeflow_med.errors import ReadError
from edgeflow_med.training.cases import validation_names

PSEUDO = """
Without names, from `{folder}`: outlines that SAM 2 Hiera-Tiny (Apache-2.0 weights) proposed on {count} slices of the
images above. They are no expert's labels.
"""
NOT_MEASURED = (
    "These exact weights have no figures yet: run `edgeflow-med evaluate`, put its report into `benchmarks/results/`\n"
    "and export again.\n"
)

FIGURES, UNTESTED = "\n## Figures", "## What it was never tested on"  # headings of the template
CLICKS = ("noc80", "noc85", "noc90", "iou@1", "iou@3", "iou@5")
PROPAGATION = ("start_interactions", "dice", "accepted", "overrun_median", "underrun_median")


@dataclass(frozen=True)
class DataSource:
    """One data set that a model was trained on.

    Attributes:
        name: Folder name.
        description: What it shows and who drew the labels.
        licence: As its publisher states it.
        reference: Where it comes from.
        note: The set's own remark.
        images: How many images it has.
        held_out: How many of them were kept for validation.
    """

    name: str
    description: str
    licence: str
    reference: str
    note: str
    images: int
    held_out: int


def bundle_text(name: str) -> str:
    """A file that comes with this package and goes into every bundle."""
    return resources.files("edgeflow_med.training").joinpath("bundle", name).read_text("utf-8")


def read_source(folder: Path) -> DataSource:
    """Describe a data set from its ``dataset.json``, or from the package's list for sets without one.

    Raises:
        ReadError: Nobody says what it is and under which licence.
    """
    manifest = folder / "dataset.json"
    known = json.loads(manifest.read_text("utf-8")) if manifest.is_file() else None
    known = known or json.loads(bundle_text("data_sources.json")).get(folder.name)
    if not known or not known.get("licence"):
        raise ReadError(
            f"The licence of data set {folder} is not known; add `licence` and `reference` to its dataset.json."
        )
    images = folder / "imagesTr"
    names = [p.name.removesuffix(".nii.gz") for p in (images if images.is_dir() else folder).glob("*.nii.gz")]
    if not names:
        raise ReadError(f"No images in {folder}; export where the training data are.")
    held_out = len(validation_names(names))
    texts = {key: str(known.get(key, "")) for key in ("description", "licence", "reference", "note")}
    return DataSource(name=folder.name, images=len(names), held_out=held_out, **texts)


def data_table(sources: Sequence[DataSource]) -> str:
    """Rows of a Markdown table, one per data set."""
    return "\n".join(
        f"| {s.name} | {s.description}{'. ' + s.note.rstrip('.') if s.note else ''} | {s.images} | {s.held_out} "
        f"| {s.licence} | {s.reference} |"
        for s in sources
    )


def read_reports(folder: Path, name: str, version: str) -> list[dict[str, Any]]:
    """The evaluation reports in a folder that were made with exactly this model."""
    found = []
    for path in sorted(folder.rglob("*.json")) if folder.is_dir() else []:
        document = json.loads(path.read_text("utf-8"))
        predictor = document.get("predictor", {}) if isinstance(document, dict) else {}
        if (predictor.get("name"), predictor.get("version")) == (name, version):
            found.append(document)
    return found


def headline_figures(reports: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Means over data sets that go into the bundle's ``eval_metrics``, e.g. ``clicks_noc85``."""
    wanted = ("noc80", "noc85", "noc90", "iou@1", "iou@3", "iou@5", "dice")
    metrics: dict[str, float] = {}
    for report in reports:
        groups = {**report["figures"], "propagation": report["propagation"]}
        for robot, figures in groups.items():
            mean = figures.get("mean", {})
            metrics |= {f"{robot}_{key}": round(float(mean[key]), 4) for key in wanted if key in mean}
    return metrics


def figures_text(reports: Sequence[Mapping[str, Any]]) -> str:
    """Tables of figures, or the statement that there are none."""
    if not reports:
        return NOT_MEASURED
    parts = []
    for report in reports:
        environment = report["environment"]
        parts.append(
            f"Measured {environment['date'][:10]} on {environment['cpu']}, {report['predictor']['device']}; "
            f"code at commit {environment['commit'][:12]}."
        )
        if {"boxes", "lines"} & set(report["figures"]):
            parts.append("A box or a line counts as two interactions; clicks follow, and there is no answer after one.")
        parts += [_table(f"{robot}: data set", figures, CLICKS) for robot, figures in report["figures"].items()]
        if report["propagation"]:
            parts.append(_table("propagation from one slice: data set", report["propagation"], PROPAGATION))
    return "\n\n".join(parts) + "\n"


def with_figures(card: str, figures: str) -> str:
    """A finished card with other figures, as :func:`figures_text` makes them."""
    before, rest = card.split(FIGURES, 1)
    return f"{before}{FIGURES}\n\n{figures}\n{UNTESTED}{rest.split(UNTESTED, 1)[1]}"


def _table(title: str, rows: Mapping[str, Mapping[str, float]], columns: Sequence[str]) -> str:
    lines = [f"| {title} | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for name, figures in rows.items():
        cells = [f"{figures[c]:.2f}" if c in figures else "–" for c in columns]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def model_card(facts: Mapping[str, object]) -> str:
    """The template with every placeholder filled.

    Raises:
        KeyError: A placeholder has no fact.
    """
    return Template(bundle_text("model_card.md")).substitute(facts)
