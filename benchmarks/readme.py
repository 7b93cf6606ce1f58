"""Write the README's figures from `benchmarks/results/`, so that they never differ from what was measured.

python -m benchmarks.readme
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from edgeflow_med.evaluation import Report, read_report

ROOT = Path(__file__).resolve().parents[1]
BEGIN, END = "<!-- figures: made by `python -m benchmarks.readme` -->", "<!-- end of figures -->"
OURS = "edgeflow_w18"
MARKS = ("noc85", "iou@1", "iou@3", "iou@5", "obeyed")


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, first column left, the others right."""
    lines = [head, ["---"] + ["--:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def numbers(figures: dict[str, float]) -> list[str]:
    """NoC, IoU after 1, 3, 5 clicks, and the share of clicks obeyed."""
    effort, *overlaps, obeyed = (figures[mark] for mark in MARKS)
    return [f"{effort:.1f}", *(f"{value:.2f}" for value in overlaps), f"{obeyed:.0%}"]


def figures(ours: Report, peers: Sequence[Report]) -> str:
    """The README's section: methods side by side, then ours by data set, then propagation."""
    when, machine = ours.environment["date"][:10], ours.environment["cpu"]
    head = ["", "NoC@85", "IoU after 1 click", "3 clicks", "5 clicks", "clicks obeyed"]
    everyone = [(report.predictor["name"], report.slice_figures("clicks")["mean"]) for report in (*peers, ours)]
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
    caption = (
        f"Measured {when} on {machine}, {ours.environment['cores']} cores, on {drawn} targets of {len(ours.sets)} data "
        "sets of other patients, none seen in our training; robot clicks, mean over the data sets. NoC@85: clicks to "
        "an IoU of 0.85, at most 20."
    )
    return "\n\n".join(
        [
            caption,
            table(head, [[name, *numbers(entry)] for name, entry in everyone]),
            "Ours by data set:",
            table(head, by_set),
            "Propagation from one slice with at most three clicks:",
            table(["", "objects", "3-D Dice", "slices with Dice over 0.9", "ends within one slice"], volumes),
        ]
    )


def main() -> int:
    """Replace what stands between the markers."""
    results = ROOT / "benchmarks" / "results"
    ours = read_report(results / f"{OURS}.json")
    peers = [read_report(path) for path in sorted(results.glob("peer_*.json"))]
    readme = ROOT / "README.md"
    before, rest = readme.read_text("utf-8").split(BEGIN)
    after = rest.split(END)[1]
    readme.write_text(f"{before}{BEGIN}\n{figures(ours, peers)}\n{END}{after}", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
