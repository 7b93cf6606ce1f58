"""How things are printed: colours and a progress bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

INDENT = 12


def make_console() -> Console:
    """A console on stdout that prints text as it is: no wrapping, no markup, no guessing of colours."""
    return Console(highlight=False, soft_wrap=True, markup=False, emoji=False)


def make_progress(console: Console) -> Progress:
    """A bar that vanishes when it is done, and that is not there at all when nobody can watch it."""
    columns = (TextColumn("  {task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def heading(console: Console, text: str) -> None:
    """A line that starts a part of the output."""
    console.print()
    console.print(Text(text, style="bold"))


def row(console: Console, name: str, value: str, style: str = "") -> None:
    """A name and what is so called."""
    console.print(Text.assemble(("  " + name.ljust(INDENT), "dim"), (value, style)))


def warn(console: Console, line: str) -> None:
    """Something the user should know, though nothing failed."""
    row(console, "Warning", line, "yellow")


def lengths(values: Sequence[float]) -> str:
    """Millimetres with three significant digits, ``3.27 x 0.977 x 0.977 mm``."""
    return " x ".join(f"{value:.3g}" for value in values) + " mm"


def counts(values: Sequence[int]) -> str:
    """``51 x 158 x 154``."""
    return " x ".join(str(value) for value in values)
