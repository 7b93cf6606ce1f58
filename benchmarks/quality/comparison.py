"""The page that lays peers and models side by side, and the JSON file behind it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.quality.peer import Peer
from edgeflow_med.errors import WriteError
from edgeflow_med.evaluation import Report, markdown
from edgeflow_med.evaluation.report import rounded
from edgeflow_med.evaluation.summary import Figures
from edgeflow_med.io.atomic import write_verified
from edgeflow_med.simulation import BOX_JITTER, TWO_POINTS
from edgeflow_med.weights import find_bundle

OVERVIEW: tuple[tuple[str, str, int], ...] = (
    ("NoC@80", "noc80", 1),
    ("NoC@85", "noc85", 1),
    ("NoC@90", "noc90", 1),
    ("never @85", "failures85", 2),
    ("IoU after 1", "iou@1", 2),
    ("3", "iou@3", 2),
    ("5", "iou@5", 2),
    ("10", "iou@10", 2),
    ("obeyed", "obeyed", 2),
    ("s first", "seconds_first", 2),
    ("s later", "seconds_later", 2),
)


@dataclass(frozen=True, eq=False)
class Entry:
    """What one method did.

    Attributes:
        title: As the tables call it.
        peer: What is known about it; None for a model of ours.
        report: Of its evaluation, on the same targets as the others.
    """

    title: str
    peer: Peer | None
    report: Report


def page(entries: Sequence[Entry]) -> str:
    """The whole page as Markdown: what was compared, short tables for each robot, then every figure."""
    parts = ["# Side by side", _remarks(entries), methods_table(entries)]
    for robot in dict.fromkeys(robot for entry in entries for robot in entry.report.settings.robots):
        figures = {entry.title: entry.report.slice_figures(robot) for entry in entries}
        kept = {title: found for title, found in figures.items() if found}
        parts += [f"## {robot.capitalize()}: means over data sets", _overview(kept)]
        parts += ["NoC@85 by data set:", _by_set(kept, "noc85", 1)]
    details = (
        markdown([entry.report for entry in entries]).replace("\n## ", "\n### ").replace("# How", "## Details: how", 1)
    )
    return "\n\n".join([*parts, details])


def write(entries: Sequence[Entry], path: Path) -> None:
    """Write the JSON file, and the page beside it (.md).

    Raises:
        WriteError: One could not be written.
    """
    document = {entry.title: {"peer": _record(entry.peer), "report": entry.report.document()} for entry in entries}
    text = json.dumps(rounded(document), allow_nan=False, indent=1) + "\n"
    write_text(text, path)
    write_text(page(entries), path.with_suffix(".md"))


def write_text(text: str, path: Path) -> None:
    """Write a text file, whole or not at all.

    Raises:
        WriteError: It could not be written.
    """

    def put(temporary: Path) -> None:
        temporary.write_text(text, encoding="utf-8")

    def verify(temporary: Path) -> None:
        if temporary.read_text("utf-8") != text:
            raise WriteError(f"{path} did not read back as written.")

    write_verified(path, put, verify)


def _record(peer: Peer | None) -> Mapping[str, object] | None:
    if peer is None:
        return None
    names = (
        "name",
        "code_licence",
        "weights_licence",
        "parameters",
        "megabytes",
        "prompts",
        "seen",
        "version",
        "adapts",
    )
    return {name: getattr(peer, name) for name in names}


def _remarks(entries: Sequence[Entry]) -> str:
    threads = {str(entry.report.environment["threads"]["torch"]) for entry in entries}
    return (
        f"Same targets, same robots, same machine, one after the other, on {' and '.join(sorted(threads))} threads. "
        "Seconds are medians, to be compared within this page only; a first answer includes the encoding of the image. "
        f"A method that takes nothing but a box gets one from every robot, with {BOX_JITTER:.0%} jitter: it counts as "
        f"{TWO_POINTS} interactions, has no answer after one, and cannot be corrected; *obeyed* means nothing there."
    )


def methods_table(entries: Sequence[Entry]) -> str:
    """What is known of the methods, as a table."""
    rows = [
        [
            "method",
            "parameters",
            "size",
            "licence of code",
            "of weights",
            "prompts",
            "may have seen the data",
            "adapted",
        ]
    ]
    rows.append(["---", "--:", "--:", "---", "---", "---", "---", "---"])
    for entry in entries:
        peer = entry.peer
        if peer is None:
            weights = find_bundle(entry.title).model_file.stat().st_size / 1e6
            seen = entry.report.predictor.get("seen", "")
            size = [f"{weights / 2:.1f} M", f"{weights:.1f} MB"]  # float16
            rows.append([entry.title, *size, "Apache-2.0", "Apache-2.0", "clicks, scribbles, box, lasso", seen, ""])
            continue
        parameters = f"{peer.parameters:g} M" if peer.parameters else "–"
        size = [parameters, f"{peer.megabytes:g} MB" if peer.megabytes else "–"]
        licences = [peer.code_licence, peer.weights_licence or "–"]
        rows.append([entry.title, *size, *licences, ", ".join(peer.prompts), peer.seen, peer.adapts])
    return lines(rows)


def _overview(figures: Mapping[str, Mapping[str, Figures]]) -> str:
    rows = [["method", *(title for title, _, _ in OVERVIEW)], ["---", *["--:"] * len(OVERVIEW)]]
    for title, found in figures.items():
        rows.append([title, *(_cell(found["mean"], name, digits) for _, name, digits in OVERVIEW)])
    return lines(rows)


def _by_set(figures: Mapping[str, Mapping[str, Figures]], name: str, digits: int) -> str:
    sets = list(dict.fromkeys(key for found in figures.values() for key in found if key != "mean"))
    rows = [["method", *sets, "mean"], ["---", *["--:"] * (len(sets) + 1)]]
    for title, found in figures.items():
        rows.append([title, *(_cell(found.get(key, {}), name, digits) for key in (*sets, "mean"))])
    return lines(rows)


def _cell(figures: Figures, name: str, digits: int) -> str:
    return f"{figures[name]:.{digits}f}" if name in figures else "–"


def lines(rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    return "\n".join("| " + " | ".join(cell.replace("|", "/") for cell in row) + " |" for row in rows)
