"""Memory and processor time of this process together with those that it started and that still run (Linux)."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


def peak_megabytes() -> float:
    """Largest memory so far, added up over the processes."""
    found = 0.0
    for folder in (Path("/proc/self"), *_children()):
        lines = _text(folder / "status").splitlines()
        found += next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), 0.0)
    return found


def processor_seconds() -> float:
    """Processor time so far, of all threads."""
    return time.process_time() + _work_of_children()


@dataclass
class Work:
    """Processor time of what was done meanwhile."""

    seconds: float = 0.0


@contextmanager
def processor_time() -> Iterator[Work]:
    """Measure it."""
    work = Work()
    others, own = _work_of_children(), time.process_time()
    yield work
    own = time.process_time() - own
    work.seconds = own + _work_of_children() - others


def _work_of_children() -> float:
    ticks = sum(int(n) for folder in _children() for n in _status(folder)[11:13])
    return ticks / os.sysconf("SC_CLK_TCK")


def _children() -> list[Path]:
    me = str(os.getpid())
    return [path.parent for path in Path("/proc").glob("[0-9]*/stat") if _status(path.parent)[1:2] == [me]]


def _status(folder: Path) -> list[str]:
    """Of ``/proc/N/stat``, from the state on: state, parent ..."""
    return _text(folder / "stat").rpartition(")")[2].split()


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except OSError:  # it has just ended
        return ""
