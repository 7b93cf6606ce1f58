"""A scripted session in a process of its own, to be killed at any moment, and what it must have left behind."""

from __future__ import annotations

import hashlib
import multiprocessing
import random
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from edgeflow_med.errors import EdgeFlowError
from edgeflow_med.session import Session
from tests.strategies import ACTIONS, SHAPE, Action, Grower, play, scan, snapshot

STEPS = 40
_COMMON = ("click", "click", "click", "stroke", "region", "paint", "propagate", "accept", "undo", "redo")


def script(seed: int) -> list[Action]:
    """What the reader of a run does, the same for the same seed."""
    dice = random.Random(seed)

    def voxel() -> tuple[int, ...]:
        return tuple(dice.randrange(n) for n in SHAPE)

    def plane() -> str:
        return dice.choice(["axial", "coronal", "sagittal"])

    make: dict[str, Callable[[], tuple[Any, ...]]] = {
        "add": lambda: (dice.choice([None, (voxel(), voxel())]),),
        "lock": lambda: (dice.randrange(3), dice.random() < 0.5),
        "click": lambda: (dice.randrange(3), voxel(), dice.random() < 0.7, plane()),
        "stroke": lambda: (dice.randrange(3), voxel(), voxel(), dice.random() < 0.7, plane()),
        "region": lambda: (dice.randrange(3), voxel(), voxel(), dice.choice(["box", "lasso", "line"]), plane()),
        "paint": lambda: (dice.randrange(3), (voxel(), voxel()), dice.random() < 0.5, plane()),
        "propagate": lambda: (dice.randrange(3), plane(), None, None),
        "accept": lambda: (dice.randrange(3), plane(), dice.choice([None, dice.randrange(7)])),
        "undo": lambda: (dice.randrange(1, 4),),
        "redo": lambda: (dice.randrange(1, 4),),
        "switch": lambda: (dice.randrange(4),),
    }
    assert make.keys() <= ACTIONS.keys()
    names = ["add", "add", *(dice.choice([*_COMMON, *make]) for _ in range(STEPS))]
    return [Action(name, make[name]()) for name in names]


def digest(session: Session) -> str:
    """Of all that the session knows; tracking UIDs apart, which are new in every run, and sets in their order."""
    known = snapshot(session)
    infos = [
        (n, sorted(info.origins), replace(info, tracking_uid="", origins=())) for n, info in known["infos"].items()
    ]
    slices = [(n, sorted(slices.items())) for n, slices in known["slices"].items()]
    told = (infos, slices, sorted(known["options"].items()), known["masks"], known["fixed"])
    return hashlib.sha256(repr((told, session.history, session.redo_names)).encode()).hexdigest()


def expected(seed: int) -> list[str]:
    """The digest after each change of a run that nothing disturbs, that of the start first."""
    session = Session(scan(), Grower(), window="0,1000", journal=False)
    digests = [digest(session)]
    session.subscribe(lambda _: digests.append(digest(session)))
    _play(session, seed)
    return digests


def run(case: str, seed: int, told: Connection) -> None:
    """The process: tells the time of its start, then every change, once it is shown."""
    session = Session(scan(), Grower(), window="0,1000", case_dir=case)
    session.subscribe(lambda _: told.send("changed"))
    told.send("started")
    _play(session, seed)
    told.send("done")


def _play(session: Session, seed: int) -> None:
    for action in script(seed):
        with suppress(EdgeFlowError):
            play(session, action)


@dataclass(frozen=True)
class Crash:
    """What was found after a kill.

    Attributes:
        after: Seconds after the start.
        shown: How many changes the process had shown.
        kept: How many of them, and of those in flight, were there again; -1 if the state was none of the expected.
        lost: What the resumed session says was in flight.
        finished: The script was over before the kill.
    """

    after: float
    shown: int
    kept: int
    lost: str | None
    finished: bool

    @property
    def good(self) -> bool:
        """Everything that was shown is there, and at most what was being written besides."""
        return self.kept in (self.shown, self.shown + 1)


def crash(case: Path, seed: int, after: float, digests: list[str]) -> Crash:
    """Run the script in a process, kill it after some seconds, and resume."""
    told, teller = _CONTEXT.Pipe(duplex=False)
    process = _CONTEXT.Process(target=run, args=(str(case), seed, teller))
    process.start()
    teller.close()
    assert told.recv() == "started"
    time.sleep(after)
    process.kill()
    process.join()
    messages = []
    with suppress(EOFError, ConnectionResetError):
        while True:
            messages.append(told.recv())
    shown = messages.count("changed")
    with Session.resume(case, volume=scan()) as resumed:
        found = digest(resumed)
        lost = resumed.lost
    kept = next((n for n in (shown, shown + 1) if n < len(digests) and digests[n] == found), -1)
    return Crash(after, shown, kept, lost, "done" in messages)


def _context() -> Any:
    """Processes that start in milliseconds: forked from a clean one that has everything imported."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.session.crashing"])
    return context


_CONTEXT = _context()
