"""``edgeflow-med effort``: how much work cases took."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def effort(
    cases: Annotated[
        list[Path], typer.Argument(metavar="CASE...", help="Folders of cases; their scans are not needed.")
    ],
    output: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help=".csv or .json. May be given again.")
    ] = None,
    idle: Annotated[float, typer.Option(metavar="SECONDS", help="A pause counts for at most so long.")] = 60.0,
) -> None:
    """Count clicks, strokes, active time and slices, per segment and case, from the journals."""
    from edgeflow_med.cli.output import make_console
    from edgeflow_med.effort import case_effort
    from edgeflow_med.tables import check_tables, write_table

    check_tables(output or [])
    console = make_console()
    found = [entry for folder in cases for entry in case_effort(folder, idle)]
    for entry in found:
        name = f"{entry.case}: all" if entry.segment is None else f"{entry.case}: {entry.label}"
        console.print(
            f"{name}: {entry.clicks} clicks, {entry.strokes} strokes, {entry.edits} edits, "
            f"{entry.active_seconds:.0f} s active, {entry.slices_touched} slices touched, "
            f"{entry.slices_accepted_unmodified} of {entry.slices_accepted} accepted slices unmodified"
            + (" (removed)" if entry.removed else "")
        )
    for path in output or []:
        write_table(path, [entry.row() for entry in found])
        console.print(str(path))
