"""The page of the field report, ``docs/explanation/field.md``: ``template.md`` filled with what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.field.collect import Field, Measured, propagation_figures, robot_figures
from benchmarks.field.pictures import Picture
from benchmarks.field.plan import models
from benchmarks.field.propagators import MARGIN, WAYS
from benchmarks.quality.comparison import lines, methods_table
from edgeflow_med.simulation import BOX_JITTER, TWO_POINTS

Column = tuple[str, str, str]
COLUMNS: tuple[Column, ...] = (
    ("NoC@85", "noc85", ".1f"),
    *((f"IoU after {n}", f"iou@{n}", ".2f") for n in (1, 3, 5)),
    *((f"Dice after {n}", f"dice@{n}", ".2f") for n in (1, 3, 5)),
    ("precision", "precision@3", ".2f"),
    ("recall", "recall@3", ".2f"),
    ("accuracy", "accuracy@3", ".3f"),
    ("HD95 mm", "hd95_mm@3", ".0f"),
    ("HD95 px", "hd95_px@3", ".0f"),
    ("obeyed", "obeyed", ".0%"),
)
WAY_COLUMNS: tuple[Column, ...] = (
    ("objects", "objects", ".0f"),
    ("Dice", "dice", ".2f"),
    ("IoU", "iou", ".2f"),
    ("slices with Dice over 0.9", "good", ".0%"),
    ("precision", "precision", ".2f"),
    ("recall", "recall", ".2f"),
    ("accuracy", "accuracy", ".3f"),
    ("HD95 mm", "hd95_mm", ".0f"),
    ("processor s a slice", "cpu_seconds_per_slice", ".2f"),
)
COMPARED = (
    ("iou@1", "IoU after one", 1, ".2f"),
    ("iou@3", "IoU after three", 1, ".2f"),
    ("noc85", "NoC@85", -1, ".1f"),
)
LEAD = 0.005
"""A smaller lead is none: it would not show in the table."""
HERE = Path(__file__).parent


def page(field: Field, pictures: Sequence[Picture], plot: str) -> str:
    """The whole page as Markdown."""
    first = field.slices[0].entry.report
    loads = [load for measured in field.slices for load in measured.load_averages]
    seconds = [measured.cpu_seconds for measured in field.slices] + [
        p["cpu_seconds"] for p in field.propagation.values()
    ]
    return (
        (HERE / "template.md")
        .read_text("utf-8")
        .format(
            date=first.environment["date"][:10],
            cpu=first.environment["cpu"],
            cores=first.environment["cores"],
            threads=_number(field.plan.threads, "thread"),
            least_load=min(loads),
            most_load=max(loads),
            targets=sum(len(info.targets) for info in first.sets),
            sets=len(first.sets),
            interactions=field.plan.interactions,
            rounds=_number(field.rounds * field.plan.targets, "target"),
            plot=plot,
            minutes=sum(seconds) / 60,
            box=TWO_POINTS,
            jitter=BOX_JITTER,
            borrowed=_borrowed(field),
            clicks=_slices_table(field, "clicks"),
            clicks_lost=_ahead(field, "clicks"),
            scribbles=_slices_table(field, "scribbles"),
            scribbles_lost=_ahead(field, "scribbles"),
            annotated=len(field.annotations["dice"]),
            annotator=field.annotations["model"],
            annotated_dice=np.mean(list(field.annotations["dice"].values()) or [0]),
            default=models()[0],
            margin=MARGIN,
            one=_ways_table(field, "one"),
            two=_ways_table(field, "two"),
            reading=(HERE / "reading.md").read_text("utf-8").strip(),
            pictures="\n\n".join(f"**{p.role.capitalize()}**: {p.title}\n\n![{p.alt}]({p.link})" for p in pictures),
            methods=methods_table([measured.entry for measured in field.slices]),
            missing="\n".join(f"- {row}: {reason}" for row, reason in field.missing.items()),
            documented=(HERE / "documented.md").read_text("utf-8").strip(),
        )
    )


def _number(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count != 1)}"


def _slices_table(field: Field, robot: str) -> str:
    head = ["method", *(title for title, _, _ in COLUMNS), "processor s first", "later", "memory MB"]
    rows = [head, ["---", *["--:"] * (len(head) - 1)]]
    means = {m.name: figures["mean"] for m in field.slices if (figures := robot_figures(m, robot))}
    for measured in sorted((m for m in field.slices if m.name in means), key=lambda m: -means[m.name]["iou@3"]):
        mean = dict(means[measured.name])
        if measured.entry.report.settings.robots == ("box",):
            for name in ("iou@1", "dice@1", "obeyed"):  # no answer yet; and two corners do not say what is asked for
                del mean[name]
        seconds = [measured.answer_cpu_seconds[which] for which in ("first", "later")]
        times = ["–" if value is None else f"{value:.2f}" for value in seconds]
        memory = "–" if measured.peak_megabytes is None else f"{measured.peak_megabytes:.0f}"
        rows.append([_name(measured), *_cells(mean, COLUMNS), *times, memory])
    return lines(rows)


def _borrowed(field: Field) -> str:
    lent = [measured for measured in field.slices if measured.borrowed]
    if not lent:
        return ""
    said = ", ".join(f"{m.entry.title} ({m.entry.report.environment['date'][:10]})" for m in lent)
    return (
        f"† Not run again: {said}. These dialogues are the beginnings of those in the README's evaluation: the same "
        "targets, robot and seed. What they cost beside the others is not known, and there are no outlines."
    )


def _name(measured: Measured) -> str:
    title = f"**{measured.entry.title}**" if measured.entry.peer is None else measured.entry.title
    return f"{title} †" if measured.borrowed else title


def _cells(figures: Mapping[str, float], columns: Sequence[Column]) -> list[str]:
    return [format(figures[name], form) if name in figures else "–" for _, name, form in columns]


def _ahead(field: Field, robot: str) -> str:
    """Every mean, and every set, in which a method of others is ahead of our default model."""
    ours = next(measured for measured in field.slices if measured.name == models()[0])
    own = robot_figures(ours, robot)
    peers = [measured for measured in field.slices if measured.entry.peer is not None]
    theirs = {m.entry.title: figures for m in peers if (figures := robot_figures(m, robot))}
    found = []
    for where in (*(name for name in own if "mean" not in name), "mean"):
        for figure, what, sign, form in COMPARED:
            leads = {title: sign * (f[where][figure] - own[where][figure]) for title, f in theirs.items()}
            best = max(leads, key=lambda title: leads[title], default="")
            if best and leads[best] > LEAD:
                place = "mean over the sets" if where == "mean" else where
                values = f"{theirs[best][where][figure]:{form}}, ours {own[where][figure]:{form}}"
                found.append(f"- {place}, {what}: {best} {values}")
    if not found:
        return f"No other method is ahead of `{ours.name}` on any set."
    return f"Where another method is ahead of `{ours.name}` (the best of them is named):\n\n" + "\n".join(found)


def _ways_table(field: Field, mode: str) -> str:
    head = ["", *(title for title, _, _ in WAY_COLUMNS), "memory MB", "licence"]
    rows = [head, ["---", *["--:"] * (len(head) - 2), "---"]]
    means = {name: propagation_figures(part, mode).get("mean", {}) for name, part in field.propagation.items()}
    for name in sorted((name for name in means if means[name]), key=lambda name: -means[name]["dice"]):
        way = WAYS.get(name)
        title, licence = (f"**{name}**", "Apache-2.0") if way is None else (way.title, way.licence)
        memory = f"{field.propagation[name]['peak_megabytes']:.0f}"
        rows.append([title, *_cells(means[name], WAY_COLUMNS), memory, licence])
    return lines(rows) if len(rows) > 2 else "Not measured."
