"""Measure the whole field and write the report: ``python -m benchmarks.field`` (``make field-report``).

Rows that were measured are not measured again; one that cannot be measured stands in the report with the reason and is
tried again next time. ``--quick`` goes through everything once, on one target a set, and writes into the parts' folder.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from benchmarks.field.plan import FULL, QUICK, Folder, Plan, Row, cores, find_sets, rows
from benchmarks.field.report import write_report
from edgeflow_med.cli.output import make_console, make_progress
from edgeflow_med.errors import EdgeFlowError, UsageError

ROOT = Path(__file__).resolve().parents[2]


def measure(row: Row, plan: Plan, data: Path, folder: Folder, show: Callable[[int, int], None]) -> str:
    """Measure a row in a process of its own; what went wrong, empty if nothing did."""
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.field.measure", row.kind, row.name, str(row.number)]
    command += ["--data", str(data), "--parts", str(folder.path), "--plan", json.dumps(asdict(plan))]
    # Not by torch.set_num_threads: what needs no torch is not to be charged for its memory.
    environment = {**os.environ, "OMP_NUM_THREADS": str(plan.threads)}
    errors = folder.path / "errors.txt"
    with errors.open("w", encoding="utf-8") as sink:
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=sink, text=True, cwd=ROOT, env=environment)
        assert child.stdout is not None  # it was asked for
        for line in child.stdout:
            if line.startswith("{"):
                step = json.loads(line)
                show(step["done"], step["total"])
        status = child.wait()
    said = errors.read_text("utf-8").strip()
    if status == 0:
        return ""
    return said if status == 2 else f"Its process ended with status {status}: {said.splitlines()[-1] if said else ''}"


def choose(everything: Sequence[Row], only: Sequence[str]) -> list[Row]:
    """The rows asked for by name, or by kind and name (``propagation/flow``), in that order; all if none is.

    Raises:
        UsageError: There is no such row.
    """
    if not only:
        return list(everything)
    chosen = []
    for name in only:
        found = [row for row in everything if name in {row.name, f"{row.kind}/{row.name}"}]
        if not found:
            known = ", ".join(dict.fromkeys(f"{row.kind}/{row.name}" for row in everything))
            raise UsageError(f"No row {name!r}; there are {known}.")
        chosen += [row for row in found if row not in chosen]
    return chosen


def run(plan: Plan, data: Path, folder: Folder, only: Sequence[str] = ()) -> dict[Row, str]:
    """Measure what is missing; returns what could not be measured, and why.

    Raises:
        UsageError: No data, parts of another plan, or no such row.
    """
    folder.keep(plan, data)
    wanted = choose(rows(plan), only)
    console = make_console()
    failed = {}
    with make_progress(console) as bar:
        whole = bar.add_task("rows", total=len(wanted))
        for row in wanted:
            if not folder.part(row).is_file():
                task = bar.add_task(row.title, total=None)
                reason = measure(
                    row, plan, data, folder, lambda d, n, task=task: bar.update(task, completed=d, total=n)
                )
                bar.remove_task(task)
                console.print(f"{row.title}: {reason or 'measured'}")
                if reason:
                    failed[row] = reason
            bar.advance(whole)
    return failed


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.field", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data/bench"), help="folder of data sets")
    parser.add_argument("--quick", action="store_true", help="one target a set; nothing of the repository is replaced")
    parser.add_argument("--parts", type=Path, help="where rows are kept [default: build/field, build/field-quick]")
    parser.add_argument("--rounds", type=int, help="how often to draw a target from each data set")
    parser.add_argument("--interactions", type=int, help="at most so many on each target")
    parser.add_argument("--threads", type=int, default=cores(), help="cores for every row alike")
    parser.add_argument(
        "--rows", default="", metavar="A,B", help="only these, in this order; others that were measured are shown too"
    )
    parser.add_argument("--render", action="store_true", help="measure nothing, write the report of what there is")
    given = parser.parse_args(arguments)
    plan = replace(QUICK if given.quick else FULL, threads=given.threads)
    asked = {name: value for name in ("rounds", "interactions") if (value := getattr(given, name))}
    plan = replace(plan, **asked)
    folder = Folder((given.parts or ROOT / "build" / ("field-quick" if given.quick else "field")).resolve())
    home = folder.path / "report" if given.quick or given.parts else ROOT
    try:
        failed = {} if given.render else run(plan, given.data, folder, [n for n in given.rows.split(",") if n])
        written = write_report(plan, find_sets(given.data), folder, home, failed)
    except EdgeFlowError as error:
        print(error, file=sys.stderr)
        return 2
    print(*written, sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
