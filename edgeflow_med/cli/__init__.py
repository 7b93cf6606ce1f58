"""The command line: ``edgeflow-med segment | case | resume | effort | export-dataset | info | demo | ...``.

Whatever goes wrong, a person gets one line on stderr and a program the exit status: 0, or 2, or 130 after Ctrl+C.
"""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

DEBUG = "EDGEFLOW_DEBUG"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: What follows the program's name; by default ``sys.argv[1:]``.

    Returns:
        The exit status.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal that lacks a letter is no reason to fail
    try:
        with _quiet():
            return _run(arguments)
    except KeyboardInterrupt:
        return 130


def _run(arguments: Sequence[str] | None) -> int:
    from typer import TyperException

    from edgeflow_med.cli.app import app
    from edgeflow_med.errors import EdgeFlowError

    try:
        return app(arguments, prog_name="edgeflow-med", standalone_mode=False) or 0
    except EdgeFlowError as error:
        return _refuse(str(error))
    except TyperException as error:
        context = getattr(error, "ctx", None)
        command = context.command_path if context is not None else "edgeflow-med"
        return _refuse(f"{error.format_message().rstrip('.')}; see `{command} --help`.")
    except Exception as error:  # the last line of defence
        if os.environ.get(DEBUG):
            raise
        what = f"{type(error).__name__}: {error}"
        return _refuse(f"internal error ({what}); run again with {DEBUG}=1 for the traceback")


def _refuse(message: str) -> int:
    """Say in one line what is wrong."""
    line = "".join(character if character.isprintable() else " " for character in message)
    print(f"edgeflow-med: {' '.join(line.split())}", file=sys.stderr)
    return 2


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep off the screen what libraries say to developers; what matters to the user is in ``Volume.warnings``."""
    if os.environ.get(DEBUG):
        yield
        return
    level = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
