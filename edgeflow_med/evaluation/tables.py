"""Reports as Markdown: one line per data set and, where several reports are laid side by side, per predictor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from edgeflow_med.errors import WriteError
from edgeflow_med.evaluation.protocol import ALWAYS, STOP_IOU, TOLERANCE
from edgeflow_med.evaluation.report import Report
from edgeflow_med.evaluation.summary import LARGER_TARGETS, MIN_CASES, Figures
from edgeflow_med.evaluation.targets import MIN_PIXELS
from edgeflow_med.evaluation.volumes import ACCEPTED_DICE
from edgeflow_med.io.atomic import write_verified

Column = tuple[str, Callable[[Figures], str]]
TITLES = {
    "clicks": "Clicks",
    "noisy": "Noisy clicks",
    "scribbles": "Scribbles",
    "boxes": "A box, then clicks",
    "lines": "A measured line, then clicks",
}


def _figure(name: str, digits: int) -> Callable[[Figures], str]:
    return lambda figures: f"{figures[name]:.{digits}f}" if name in figures else "–"


def _percent(name: str) -> Callable[[Figures], str]:
    return lambda figures: f"{figures[name]:.0%}" if name in figures else "–"


def _distance(mark: int) -> Callable[[Figures], str]:
    def text(figures: Figures) -> str:
        parts = [f"{figures[f'hd95_{u}@{mark}']:.1f} {u}" for u in ("mm", "px") if f"hd95_{u}@{mark}" in figures]
        return ", ".join(parts) or "–"

    return text


EFFORT: tuple[Column, ...] = (
    ("targets", _figure("targets", 0)),
    ("NoC@80", _figure("noc80", 1)),
    ("NoC@85", _figure("noc85", 1)),
    ("NoC@90", _figure("noc90", 1)),
    ("never @85", _percent("failures85")),
    *((f"IoU after {n}", _figure(f"iou@{n}", 2)) for n in (1, 2, 3, 5, 10)),
    ("obeyed", _percent("obeyed")),
    ("s first", _figure("seconds_first", 2)),
    ("s later", _figure("seconds_later", 2)),
)
QUALITY: tuple[Column, ...] = (
    *((f"Dice after {n}", _figure(f"dice@{n}", 2)) for n in (1, 2, 3, 5, 10)),
    ("precision", _figure("precision@3", 2)),
    ("recall", _figure("recall@3", 2)),
    ("accuracy", _figure("accuracy@3", 3)),
    ("within 10 px", _figure("accuracy_near@3", 2)),
    ("HD95", _distance(3)),
    ("surface Dice", _figure("surface_dice@3", 2)),
    ("points kept", _percent("kept")),
    ("error of quality", _figure("quality_error", 2)),
)
VOLUMES: tuple[Column, ...] = (
    ("objects", _figure("objects", 0)),
    ("prompts", _figure("start_interactions", 1)),
    ("first slice IoU", _figure("start_iou", 2)),
    ("3-D Dice", _figure("dice", 2)),
    ("accepted", _percent("accepted")),
    ("overrun", _figure("overrun_median", 1)),
    ("underrun", _figure("underrun_median", 1)),
    ("ends within 1", _percent("ends_within_1")),
    *((f"Dice after {n}", _figure(f"dice@{n}", 2)) for n in (3, 5, 10)),
    ("s per slice", _figure("seconds_per_slice", 2)),
)


def markdown(reports: Sequence[Report]) -> str:
    """One or several reports as a Markdown page; where there are several, their lines alternate."""
    parts = ["# How many prompts an outline takes", *(_heading(report) for report in reports), _legend(reports)]
    for robot in dict.fromkeys(robot for report in reports for robot in report.settings.robots):
        by_predictor = [(report.predictor["name"], report.slice_figures(robot)) for report in reports]
        if any(figures for _, figures in by_predictor):
            parts += [f"## {TITLES.get(robot, robot)}", _table(by_predictor, EFFORT)]
            parts += [
                "Precision, recall, accuracy and distances after three interactions:",
                _table(by_predictor, QUALITY),
            ]
    by_predictor = [(report.predictor["name"], report.volume_figures()) for report in reports]
    if any(figures for _, figures in by_predictor):
        remark = (
            f"3-D Dice, share of other slices *accepted* (Dice of at least {ACCEPTED_DICE:g}) and slices over- "
            "and underrun at the ends (medians) before any correction; then the Dice after so many prompts in all."
        )
        parts += ["## From one slice to the whole object", remark, _table(by_predictor, VOLUMES)]
    parts += ["## What was drawn", _sample_table(reports[0])]
    return "\n\n".join(parts) + "\n"


def write_markdown(reports: Sequence[Report], path: Path | str) -> None:
    """Write :func:`markdown` to a file.

    Raises:
        WriteError: It could not be written.
    """
    text = markdown(reports)

    def write(temporary: Path) -> None:
        temporary.write_text(text, encoding="utf-8")

    def verify(temporary: Path) -> None:
        if temporary.read_text("utf-8") != text:
            raise WriteError(f"Table {path} did not read back as written.")

    write_verified(Path(path), write, verify)


def _heading(report: Report) -> str:
    predictor, environment = report.predictor, report.environment
    threads = environment["threads"]["torch"] or environment["threads"]["OMP_NUM_THREADS"] or "default"
    return (
        f"**{predictor['name']}** ({predictor['version']}, {predictor['device']}): {environment['date'][:10]}, commit "
        f"{environment['commit'][:10]}, {environment['cpu']}, {report.cores}, threads {threads}, load "
        f"{environment['load_average']}; seed {report.settings.seed}."
        + (f" Seen in training: {predictor['seen']}." if predictor["seen"] else "")
    )


def _legend(reports: Sequence[Report]) -> str:
    limit = reports[0].settings.max_interactions
    boxes = any(record.cost > 1 for report in reports for record in report.slices)
    return (
        f"NoC@85: mean number of interactions to IoU 0.85, {limit} for a target that never reached it (*never @85*). "
        f"A robot stops at IoU {STOP_IOU:g}, though not before {ALWAYS} interactions, or after {limit}; figures "
        "*after n* take its last answer where it had stopped before. *Obeyed*: answers that agree with the prompt just "
        "given. Seconds: medians, of a target's first answer and of later ones. HD95 and surface Dice "
        f"(within {TOLERANCE:g}): in mm, or in pixels where the spacing is nominal. *Mean*: over data sets; "
        f"*of larger*: over those whose median target has at least {LARGER_TARGETS} pixels."
        + " A box or a line counts as two interactions, so there is no answer after one."
        * boxes
    )


def _table(by_predictor: Sequence[tuple[str, dict[str, Figures]]], columns: Sequence[Column]) -> str:
    many = len(by_predictor) > 1
    means = ("mean", "mean of larger")
    names = dict.fromkeys(name for _, figures in by_predictor for name in figures if name not in means)
    head = ["data set", *(["predictor"] if many else []), *(title for title, _ in columns)]
    rows = [head, ["---"] * (len(head) - len(columns)) + ["--:"] * len(columns)]
    for name in (*names, *means):
        for predictor, figures in by_predictor:
            if name in figures:
                cells = [text(figures[name]) for _, text in columns]
                rows.append([f"**{name}**" if name in means else name, *([predictor] if many else []), *cells])
    return _lines(rows)


def _sample_table(report: Report) -> str:
    rows = [
        [
            "data set",
            "modality",
            "cases read",
            "targets to draw from",
            f"left out (under {MIN_PIXELS} px)",
            "drawn",
            "note",
        ]
    ]
    rows.append(["---", "---", "--:", "--:", "--:", "--:", "---"])
    for info in report.sets:
        counts = (info.cases, info.eligible, info.tiny, len(info.targets))
        rows.append([info.name, info.modality or "–", *(str(n) for n in counts), info.note or "–"])
    few = ", ".join(info.name for info in report.sets if info.cases < MIN_CASES)
    remark = (
        f"\n\nIntervals in the JSON file resample targets, not cases, and are too narrow, for: {few}." if few else ""
    )
    return _lines(rows) + remark


def _lines(rows: Sequence[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(cell.replace("|", "/") for cell in row) + " |" for row in rows)
