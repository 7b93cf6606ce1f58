"""Write all that is made from `benchmarks/results/`, so that no text differs from what was measured.

python -m benchmarks.publish

That is the table and the curves of all methods, the table of boxes and lines, the figures in the README, and those in
the models' cards and metadata.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgeflow_med.evaluation import Report, markdown, read_report, write_plot
from edgeflow_med.training.model_card import figures_text, headline_figures, read_reports, with_figures
from edgeflow_med.weights import DEFAULT_MODEL, bundle_names, find_bundle

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
BEGIN, END = "<!-- figures: made by `python -m benchmarks.publish` -->", "<!-- end of figures -->"
FIELD_BEGIN, FIELD_END = "<!-- field: made by `python -m benchmarks.publish` -->", "<!-- end of field -->"
FIELD_PAGE = "docs/explanation/field.md"
FIELD_ROWS = 8
PICTURES = "docs/images/field"
NOTHING = "–"
MARKS = ("noc85", "iou@1", "iou@3", "iou@5", "obeyed")


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, first column left, the others right."""
    lines = [head, ["---"] + ["--:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def numbers(figures: dict[str, float], *, boxes: bool = False) -> list[str]:
    """NoC, IoU after 1, 3, 5 clicks, and the share of clicks obeyed; a box, which counts as two, leaves some out."""
    effort, first, *overlaps, obeyed = (figures[mark] for mark in MARKS)
    after = [NOTHING if boxes else f"{first:.2f}", *(f"{value:.2f}" for value in overlaps)]
    return [f"{effort:.1f}", *after, NOTHING if boxes else f"{obeyed:.0%}"]


def figures(ours: Report, others: Sequence[Report]) -> str:
    """The README's section: methods side by side, then the default model by data set, then its propagation."""
    when, machine = ours.environment["date"][:10], ours.environment["cpu"]
    head = ["", "NoC@85", "IoU after 1 click", "3 clicks", "5 clicks", "clicks obeyed"]
    everyone = []
    for report in (*others, ours):
        boxes = any(record.cost > 1 for record in report.slices if record.robot == "clicks")
        everyone.append([report.predictor["name"], *numbers(report.slice_figures("clicks")["mean"], boxes=boxes)])
    drawn = sum(int(entry["targets"]) for name, entry in ours.slice_figures("clicks").items() if "mean" not in name)
    by_set = [
        [name, *numbers(entry)] for name, entry in ours.slice_figures("clicks").items() if name != "mean of larger"
    ]
    volumes = [
        [
            name,
            f"{entry['objects']:.0f}",
            f"{entry['dice']:.2f}",
            f"{entry['accepted']:.0%}",
            f"{entry['ends_within_1']:.0%}",
        ]
        for name, entry in ours.volume_figures().items()
        if "mean" not in name
    ]
    elsewhen: dict[str, list[str]] = {}
    for report in others:
        day = report.environment["date"][:10]
        if day != when:
            elsewhen.setdefault(f"on {day}, {report.environment['cpu']}", []).append(report.predictor["name"])
    elsewhere = "; ".join(f"{', '.join(names)} {place}" for place, names in elsewhen.items())
    dates = f" ({elsewhere})" if elsewhere else ""
    caption = (
        f"Measured {when} on {machine}{dates}, {ours.cores}, on {drawn} targets of "
        f"{len(ours.sets)} data sets of other patients, none seen in our training; robot clicks, mean over the data "
        "sets. NoC@85: clicks to an IoU of 0.85, at most 20; a box counts as two."
    )
    return "\n\n".join(
        [
            caption,
            table(head, everyone),
            f"{DEFAULT_MODEL}, the default model, by data set:",
            table(head, by_set),
            "Its propagation from one slice with at most three clicks:",
            table(["", "objects", "3-D Dice", "slices with Dice over 0.9", "ends within one slice"], volumes),
        ]
    )


def field(document: dict[str, Any]) -> str:
    """The section on the whole field: a picture, and the methods that come first, ours among them, with a link."""
    plan, methods = document["plan"], document["slices"]
    targets = sum(len(info["targets"]) for info in document["sets"])

    def mean(entry: dict[str, Any], robot: str) -> dict[str, float]:
        found = entry["figures"]
        return found.get(robot, found.get("box", {})).get("mean", {})

    def best(entry: dict[str, Any]) -> float:
        return max(mean(entry, robot).get("iou@3", 0) for robot in ("clicks", "scribbles"))

    ranked = sorted(methods.values(), key=lambda entry: -best(entry))
    rows = []
    for entry in ranked[:FIELD_ROWS]:
        clicks, strokes = mean(entry, "clicks"), mean(entry, "scribbles")
        seconds = entry["answer_cpu_seconds"]["later"] or entry["answer_cpu_seconds"]["first"]
        cost = [f"{seconds:.2f}" if seconds else NOTHING, f"{entry['peak_megabytes'] or 0:.0f}" if seconds else NOTHING]
        title = f"**{entry['title']}**" if entry["title"] in bundle_names() else entry["title"]
        first = NOTHING if "box" in entry["figures"] else f"{clicks['iou@1']:.2f}"  # a box takes two
        values = [f"{clicks['noc85']:.1f}", first, f"{clicks['iou@3']:.2f}"]
        rows.append([title, *values, f"{strokes['iou@3']:.2f}" if strokes else NOTHING, *cost])
    shown = max((ROOT / PICTURES).glob("*.jpg"), key=lambda path: path.name)  # one of the worst of ours
    alt = "What every method draws after one interaction and after three"
    picture = f"[![{alt}]({shown.relative_to(ROOT).as_posix()})]({FIELD_PAGE})"
    head = ["", "NoC@85", "IoU after 1 click", "3 clicks", "3 scribbles", "processor s a later answer", "memory MB"]
    caption = (
        f"[The whole field side by side]({FIELD_PAGE}): {len(methods)} methods, from graph cuts to SAM 2, on the same "
        f"{targets} targets with at most {plan['interactions']} interactions, where we lose to them and why, and what "
        f"each draws. The {len(rows)} best by the IoU after three interactions (a box counts as two):"
    )
    return "\n\n".join([caption, table(head, rows), picture])


def between(text: str, begin: str, end: str, content: str) -> str:
    """A text with what stands between two markers replaced."""
    before, rest = text.split(begin)
    return f"{before}{begin}\n{content}\n{end}{rest.split(end)[1]}"


def texts() -> dict[Path, str]:
    """All texts that quote results, by file."""
    ours, models, peers = read_results()
    readme = ROOT / "README.md"
    text = between(readme.read_text("utf-8"), BEGIN, END, figures(ours, [*peers, *models]))
    whole = RESULTS / "field.json"
    if whole.is_file():
        text = between(text, FIELD_BEGIN, FIELD_END, field(json.loads(whole.read_text("utf-8"))))
    made = {readme: text, RESULTS / "side_by_side.md": markdown([ours, *models, *peers])}
    sizes = [RESULTS / f"{name}_boxes_and_lines.json" for name in bundle_names()]
    if all(map(Path.is_file, sizes)):
        made[RESULTS / "boxes_and_lines.md"] = markdown([read_report(path) for path in sizes])
    for bundle in map(find_bundle, bundle_names()):
        measured = read_reports(RESULTS, bundle.name, bundle.version)
        card = bundle.path / "docs" / "README.md"
        made[card] = with_figures(card.read_text("utf-8"), figures_text(measured))
        content = {**bundle.metadata, "eval_metrics": headline_figures(measured)}
        made[bundle.path / "configs" / "metadata.json"] = json.dumps(content, indent=1) + "\n"
    return made


def read_results() -> tuple[Report, list[Report], list[Report]]:
    """The reports of the default model, of the other models and of the peers."""
    files = [RESULTS / f"{name}.json" for name in bundle_names() if name != DEFAULT_MODEL]
    peers = sorted(RESULTS.glob("peer_*.json"))
    ours = read_report(RESULTS / f"{DEFAULT_MODEL}.json")
    return ours, [read_report(path) for path in files if path.is_file()], [read_report(path) for path in peers]


def main() -> int:
    """Write them, and the curves."""
    for path, text in texts().items():
        path.write_text(text, "utf-8")
    ours, models, peers = read_results()
    write_plot([ours, *models, *peers], RESULTS / "side_by_side.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
