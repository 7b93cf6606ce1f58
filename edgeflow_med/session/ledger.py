"""State, history and journal kept in step: what is not on disk has not happened."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeflow_med.errors import ReadError, WriteError
from edgeflow_med.predictors.base import Prediction
from edgeflow_med.session.changes import Box, Layer, Step
from edgeflow_med.session.codec import decode_step, encode_step
from edgeflow_med.session.history import History
from edgeflow_med.session.journal import Journal
from edgeflow_med.session.state import State

VERSION = 1


@dataclass(frozen=True, eq=False)
class Change:
    """What an action did.

    Attributes:
        name: What a menu says after "Undo", e.g. ``"Paint"``.
        kind: ``"prompt"``, ``"paint"``, ``"edit"``, ``"propagate"``, ``"accept"``, ``"segment"``, ``"option"``, or
            ``"undo"``, ``"redo"``, ``"switch"``.
        segments: Ids of the segments that it touched.
        regions: Segment id and box ``(K, J, I)`` of all voxels that changed.
        warnings: What came out otherwise than asked for, one line each.
        answer: The prediction behind it, if there was one.
        seconds: How long the answer took.
    """

    name: str
    kind: str
    segments: tuple[int, ...] = ()
    regions: tuple[tuple[int, Box], ...] = ()
    warnings: tuple[str, ...] = ()
    answer: Prediction | None = None
    seconds: float = 0.0


class Ledger:
    """Where every change passes: first the journal, then history and state, then whoever listens.

    Attributes:
        state: What stands now.
        history: How it came about.
        journal: None for a session in memory.
        pending: Prompts that are journalled and not answered yet, by record number.
        revision: Grows with every change; never goes back.
        last_id: The highest segment id ever given.
    """

    def __init__(self, shape: tuple[int, int, int], journal: Journal | None = None) -> None:
        self.state, self.history, self.journal = State(shape), History(), journal
        self.pending: dict[int, dict[str, Any]] = {}
        self.revision = 0
        self.last_id = 0
        self._questions = 0
        self._broken = False
        self._listeners: list[Callable[[Change], None]] = []

    def subscribe(self, listener: Callable[[Change], None]) -> Callable[[], None]:
        """Have every change told; returns what ends it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener) if listener in self._listeners else None

    def note(self, kind: str, /, **values: Any) -> None:
        """Journal something that changes no state.

        Raises:
            WriteError: It could not be written.
        """
        if self.journal is not None:
            self.journal.append(kind, **values)

    def ask(self, *, sync: bool = True, **values: Any) -> int:
        """Journal a prompt before it is answered; returns the number that the answer refers to.

        Args:
            sync: False if the caller sees to it that :meth:`sync` is called before the answer is shown.
            **values: What was asked.
        """
        number = self.journal.append("prompt", sync=sync, **values) if self.journal is not None else self._questions + 1
        self._questions = number
        self.pending[number] = values
        return number

    def sync(self) -> None:
        """Have on disk what :meth:`ask` only handed over; any thread may do that.

        Raises:
            WriteError: It could not be written.
        """
        if self.journal is not None:
            self.journal.sync()

    def drop(self, question: int) -> None:
        """A prompt that nobody will answer."""
        if question in self.pending:
            self.note("drop", prompt=question)
            del self.pending[question]

    def commit(
        self,
        step: Step,
        *,
        extends: bool = False,
        question: int | None = None,
        warnings: Sequence[str] = (),
        answer: Prediction | None = None,
        **values: Any,
    ) -> Change:
        """Make a step, or refuse it as a whole.

        Args:
            step: From the state that stands now.
            extends: Undo it together with the step before.
            question: The prompt that it answers.
            warnings: For the change.
            answer: For the change.
            **values: What else the journal should say.

        Raises:
            WriteError: The journal could not be written; nothing has changed.
        """
        with self._whole():
            if self.journal is not None:
                self.journal.append("step", **encode_step(step), extends=extends, prompt=question, **values)
            self._do(step, extends=extends, question=question)
        return self._tell(step.name, step.kind, [step], tuple(warnings), answer)

    def undo(self) -> Change | None:
        """Take back the last step; None if there is none."""
        return self._move("undo", self.history.head.name if self.history.head.parent else None)

    def redo(self) -> Change | None:
        """Do the next step again; None if there is none."""
        return self._move("redo", self.history.head.next.name if self.history.head.next else None)

    def switch(self, number: int) -> Change | None:
        """Go to another state by its number; None if it is the present one."""
        return None if number == self.history.head.number else self._move("switch", "Switch Branch", to=number)

    def _move(self, kind: str, name: str | None, **values: Any) -> Change | None:
        if name is None:
            return None
        with self._whole():
            self.note(kind, **values)
            steps = self._travel(kind, values.get("to", 0))
        return self._tell(name, kind, steps)

    @contextmanager
    def _whole(self) -> Iterator[None]:
        """A change that is on disk and in the state, or in neither."""
        if self._broken:
            raise WriteError("The session was interrupted in the middle of a change; resume its case to go on.")
        before = self.journal.number if self.journal is not None else None
        try:
            yield
        except BaseException:
            # What failed before the record was on disk has changed nothing; later, only the journal is right.
            self._broken = self.journal is None or self.journal.number != before
            raise

    def _travel(self, kind: str, target: int) -> list[Step]:
        moves = {"undo": self.history.back, "redo": self.history.forward}
        steps = self.history.switch(target) if kind == "switch" else moves[kind]()
        for step in steps:
            self.state.apply(step)
        self.revision += 1
        return steps

    def _do(self, step: Step, *, extends: bool, question: int | None) -> None:
        self.state.apply(step)
        if extends:
            self.history.extend(step)
        else:
            self.history.add(step)
        self.pending.pop(question or 0, None)
        self.last_id = max([self.last_id, *step.segments])
        self.revision += 1

    def _tell(
        self,
        name: str,
        kind: str,
        steps: Sequence[Step],
        warnings: tuple[str, ...] = (),
        answer: Prediction | None = None,
    ) -> Change:
        ids = tuple(sorted({segment for step in steps for segment in step.segments}))
        regions = tuple(
            (patch.segment, patch.box) for step in steps for patch in step.patches if patch.layer is Layer.MASK
        )
        change = Change(name, kind, ids, regions, warnings, answer, sum(step.seconds for step in steps))
        for listener in tuple(self._listeners):
            listener(change)
        return change

    def replay(self, records: Sequence[dict[str, Any]], folder: Path) -> None:
        """Come to the state that a journal tells of.

        Raises:
            ReadError: A record that makes no sense.
        """
        for record in records:
            try:
                self._replay_one(record)
            except (KeyError, ValueError, TypeError, IndexError) as error:
                raise ReadError(
                    f"Record {record.get('n')} of the case {folder} makes no sense ({type(error).__name__}: {error}); "
                    "was it written by a newer version?"
                ) from error

    def lost(self, *, torn: bool) -> str | None:
        """After a replay, in words: what was in flight when the session ended; None if nothing was."""
        told = []
        for record in self.pending.values():
            info = self.state.infos.get(record["segment"])
            place = f"slice {record['slice']} along {'kji'[record['axis']]}"
            label = f"{info.label!r}" if info is not None else "a segment that is gone"
            told.append(f"a {record['prompt']['type']} for {label} on {place} was not answered")
        if torn:
            told.append("the last action was cut short while it was written")
        return (
            f"When the session ended {', and '.join(told)}; nothing else is lost. Please repeat it." if told else None
        )

    def _replay_one(self, record: dict[str, Any]) -> None:
        match record["type"]:
            case "prompt":
                self.pending[record["n"]] = record
            case "resume":
                self.pending.clear()
            case "drop":
                self.pending.pop(record["prompt"], None)
            case "step":
                step = decode_step(record, self.state)
                self._do(step, extends=record["extends"], question=record["prompt"])
            case "undo" | "redo" | "switch":
                self._travel(record["type"], record.get("to", 0))


def new_case_folder() -> Path:
    """A folder for a case that nobody named: in the user's state folder, named after the moment and nothing else."""
    from datetime import UTC, datetime

    import platformdirs

    root = platformdirs.user_state_path("edgeflow-med", appauthor=False) / "cases"
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    return root / f"{stamp}-{os.urandom(3).hex()}"
