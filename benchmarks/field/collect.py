"""The parts of a field report put together: one document, which is the JSON file, and all that the page says."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.field.plan import ANNOTATIONS, Folder, Plan, Row, methods, models
from benchmarks.field.propagators import WAYS
from benchmarks.quality import PEERS
from benchmarks.quality.comparison import Entry
from edgeflow_med.evaluation import Report
from edgeflow_med.evaluation.protocol import SliceRecord
from edgeflow_med.evaluation.report import read_report, report_from
from edgeflow_med.evaluation.summary import iou_curve

SCHEMA = 1
RESULTS = Path(__file__).resolve().parents[1] / "results"
MODES = {"one": "from one slice", "two": "between two slices"}
PROPAGATED = ("dice", "iou", "precision", "recall", "accuracy", "hd95_mm", "good")


@dataclass(frozen=True, eq=False)
class Measured:
    """A method on slices.

    Attributes:
        name: Of the model or peer.
        entry: What is known of it, and the records of all its rounds as one report.
        peak_megabytes: Largest memory of its process; None if it was borrowed.
        cpu_seconds: What all of it took.
        answer_cpu_seconds: Median processor time of a first and of a later answer.
        load_averages: Least and greatest load of the machine meanwhile.
        borrowed: Its records come from an earlier evaluation on more targets.
    """

    name: str
    entry: Entry
    peak_megabytes: float | None = None
    cpu_seconds: float = 0.0
    answer_cpu_seconds: Mapping[str, float | None] = dataclasses.field(
        default_factory=lambda: {"first": None, "later": None}
    )
    load_averages: tuple[float, ...] = ()
    borrowed: bool = False


@dataclass(frozen=True, eq=False)
class Field:
    """All that was measured.

    Attributes:
        plan: What was asked for.
        rounds: Rounds that all methods went through.
        slices: Methods on slices; ours first.
        propagation: Parts of the propagation rows by name.
        annotations: Dice of the annotations that propagation started from, and the model that made them.
        missing: What was not measured: kind and name, and why.
    """

    plan: Plan
    rounds: int
    slices: list[Measured]
    propagation: dict[str, dict[str, Any]]
    annotations: dict[str, Any]
    missing: dict[str, str]


def collect(plan: Plan, folder: Folder, failed: Mapping[Row, str]) -> Field:
    """Read the parts."""
    parts = {name: _rounds(folder, name, plan.rounds) for name in methods()}
    rounds = min((len(found) for found in parts.values() if found), default=0)
    slices = [_measured(name, found[:rounds]) for name, found in parts.items() if found]
    slices += [lent for name, found in parts.items() if slices and not found if (lent := borrow(name, slices[0]))]
    ways = {name: folder.part(Row("propagation", name)) for name in (*models(), *WAYS)}
    propagation = {name: json.loads(path.read_text("utf-8")) for name, path in ways.items() if path.is_file()}
    path = folder.part(ANNOTATIONS)
    annotations = json.loads(path.read_text("utf-8")) if path.is_file() else {"model": "nobody", "dice": {}}
    reasons = {f"{row.kind}/{row.name}": reason for row, reason in failed.items()}
    there = {measured.name for measured in slices}
    unmeasured = [f"slices/{name}" for name in parts if name not in there]
    unmeasured += [f"propagation/{name}" for name in ways if name not in propagation]
    missing = {
        row: reasons.get(row, f"not measured in this run; `python -m benchmarks.field --rows {row}`")
        for row in unmeasured
    }
    return Field(plan, rounds, slices, propagation, annotations, missing)


def _rounds(folder: Folder, name: str, count: int) -> list[dict[str, Any]]:
    """The parts of the rounds that a method went through, from the first without a gap."""
    found = []
    for number in range(count):
        path = folder.part(Row("slices", name, number))
        if not path.is_file():
            break
        found.append(json.loads(path.read_text("utf-8")))
    return found


def _measured(name: str, parts: list[dict[str, Any]]) -> Measured:
    peer = PEERS.get(name)
    report = merge([report_from(part["report"]) for part in parts])
    title = name if peer is None else peer.title
    loads = [load for part in parts for load in part["load_averages"]]
    cost = {}
    for which in ("first", "later"):
        seconds = [part["answer_cpu_seconds"][which] for part in parts if part["answer_cpu_seconds"][which] is not None]
        cost[which] = float(np.median(seconds)) if seconds else None
    return Measured(
        name,
        Entry(title, peer, report),
        max(part["peak_megabytes"] for part in parts),
        sum(part["cpu_seconds"] for part in parts),
        cost,
        (min(loads), max(loads)),
    )


def borrow(name: str, like: Measured) -> Measured | None:
    """A peer's records out of an earlier evaluation, if that saw the same targets with the same robots.

    Targets of a smaller sample with the same seed are among those of a larger one, and a robot's prompts depend on its
    seed and the answers alone: a dialogue on a target is the same in both, and the shorter one its beginning.
    """
    path = RESULTS / f"peer_{name}.json"
    if not path.is_file():
        return None
    report, wanted = read_report(path), like.entry.report
    limit, targets = wanted.settings.max_interactions, {info.name: info.targets for info in wanted.sets}
    robots = tuple(robot for robot in report.settings.robots if robot in wanted.settings.robots)
    records = {(r.robot, r.dataset, r.target): r for r in report.slices}
    keys = [(robot, dataset, target) for robot in robots for dataset in targets for target in targets[dataset]]
    if not robots or report.settings.seed != wanted.settings.seed or not all(key in records for key in keys):
        return None
    slices = [shortened(records[key], limit) for key in keys]
    settings = replace(wanted.settings, robots=robots)
    peer = PEERS[name]
    shorter = Report(report.predictor, settings, report.environment, wanted.sets, slices)
    return Measured(name, Entry(peer.title, peer, shorter), borrowed=True)


def shortened(record: SliceRecord, limit: int) -> SliceRecord:
    """A record as it would be had the robot given up earlier."""
    lists = {name: getattr(record, name)[:limit] for name in ("iou", "quality", "obeyed", "kept", "seconds")}
    return replace(record, **lists, measures={mark: m for mark, m in record.measures.items() if mark <= limit})


def merge(reports: list[Report]) -> Report:
    """Several rounds as one report; a target that was drawn twice counts once."""
    first = reports[0]
    sets = []
    for number, info in enumerate(first.sets):
        targets = list(dict.fromkeys(target for report in reports for target in report.sets[number].targets))
        sets.append(type(info)(**{**asdict(info), "targets": targets}))
    slices = {(r.dataset, r.robot, r.target): r for report in reversed(reports) for r in report.slices}
    return Report(first.predictor, first.settings, first.environment, sets, list(slices.values()))


def robot_figures(measured: Measured, robot: str) -> dict[str, dict[str, float]]:
    """Figures by data set and their means; a method that takes nothing but a box has those of boxes."""
    report = measured.entry.report
    return report.slice_figures("box" if report.settings.robots == ("box",) else robot)


def propagation_figures(part: Mapping[str, Any], mode: str) -> dict[str, dict[str, float]]:
    """Figures of a propagation row by data set, and their mean over the sets; seconds are medians over objects."""
    records = [record for record in part["records"] if record["mode"] == mode]
    by_set = {
        name: _mean(r for r in records if r["dataset"] == name) for name in sorted({r["dataset"] for r in records})
    }
    if not by_set:
        return {}
    mean = {figure: float(np.mean([figures[figure] for figures in by_set.values()])) for figure in PROPAGATED}
    mean["objects"] = len(records)
    mean |= {
        name: float(np.median([record[name] for record in records]))
        for name in ("seconds_per_slice", "cpu_seconds_per_slice")
    }
    return {**by_set, "mean": mean}


def _mean(records: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    rows = list(records)
    return {figure: float(np.mean([row[figure] for row in rows])) for figure in PROPAGATED}


def document(field: Field) -> dict[str, Any]:
    """What the JSON file holds."""
    slices = {}
    for measured in field.slices:
        report = measured.entry.report
        robots = report.settings.robots
        peer = measured.entry.peer
        slices[measured.name] = {
            "title": measured.entry.title,
            "version": report.predictor["version"],
            "date": report.environment["date"],
            "commit": report.environment["commit"],
            "load_averages": measured.load_averages,
            "peak_megabytes": measured.peak_megabytes,
            "cpu_seconds": measured.cpu_seconds,
            "answer_cpu_seconds": measured.answer_cpu_seconds,
            "borrowed": measured.borrowed,
            "seen": report.predictor["seen"],
            "licences": ["Apache-2.0"] * 2 if peer is None else [peer.code_licence, peer.weights_licence],
            "figures": {robot: report.slice_figures(robot) for robot in robots},
            "iou_after_each_interaction": {robot: curve(report, robot) for robot in robots},
            "targets": [[r.dataset, r.target, r.robot, r.iou] for r in report.slices],
        }
    propagation = {
        name: {**part, "figures": {mode: propagation_figures(part, mode) for mode in MODES}}
        for name, part in field.propagation.items()
    }
    first = field.slices[0].entry.report if field.slices else None
    return {
        "schema": SCHEMA,
        "plan": {**asdict(field.plan), "rounds": field.rounds},
        "environment": first.environment if first else {},
        "sets": [asdict(info) for info in first.sets] if first else [],
        "slices": slices,
        "annotations": field.annotations,
        "propagation": propagation,
        "missing": field.missing,
    }


def curve(report: Report, robot: str) -> list[float]:
    """Mean over data sets of the mean IoU after each interaction."""
    limit = report.settings.max_interactions
    curves = [iou_curve(records, limit) for info in report.sets if (records := report.slice_records(robot, info.name))]
    return [float(value) for value in np.mean(curves, axis=0)] if curves else []
