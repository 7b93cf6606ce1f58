"""A session whose questions are answered in a worker's thread, for programs with a window that must never wait.

All methods are called from one thread, the window's, and return at once; what they brought about arrives while
:meth:`Live.poll` runs. One question is out at a time: a prompt that comes before the last one is answered waits for its
turn, so that every answer knows of all prompts before it.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from edgeflow_med.errors import EdgeFlowError, StaleQuestion
from edgeflow_med.gui.worker import Worker
from edgeflow_med.io import Saved, read_volume, save
from edgeflow_med.measurements import longest_diameters, volume_ml
from edgeflow_med.predictors.base import Prediction, Predictor, SliceRequest
from edgeflow_med.prompts import Prompt
from edgeflow_med.session.changes import PackedPrediction
from edgeflow_med.session.journal import FILE_NAME
from edgeflow_med.session.ledger import new_case_folder
from edgeflow_med.session.provenance import provenance
from edgeflow_med.volume import Plane, Volume

if TYPE_CHECKING:
    from edgeflow_med.predictors.lazy import LazyPredictor
    from edgeflow_med.session import Change, Question, Session
    from edgeflow_med.session.propagating import Walk
    from edgeflow_med.session.state import SegmentState

_LOG = logging.getLogger(__name__)


class Opened(NamedTuple):
    """A session that was opened.

    Attributes:
        session: The session.
        told: In one line what happened; why, if a case could not be opened.
        ahead: Whether it knows of more than the saved scene that it was opened for, as after a crash. If not, what is
            otherwise in the scene was done there since.
    """

    session: Session
    told: str
    ahead: bool = False


def open_session(
    volume: Volume,
    *,
    predictor: Predictor | None = None,
    folder: Path | None = None,
    carried: str | None = None,
    beside: Path | None = None,
    window: str | None = None,
) -> Opened:
    """Go on with a volume's case, or start one.

    Args:
        volume: What is segmented.
        predictor: What answers; it may be set later.
        folder: Where the case was kept; it may be gone.
        carried: The text of its journal, as a saved scene carries it; used where ``folder`` is gone.
        beside: Folder for cases; None for the user's state folder.
        window: The model's window of a new case.

    Raises:
        WriteError: There is no place for a journal.
    """
    from edgeflow_med.session import Session

    home = new_case_folder() if beside is None else beside / new_case_folder().name
    told = "A new case."
    try:
        if carried and (folder is None or not (folder / FILE_NAME).is_file()):
            home.mkdir(parents=True)
            (home / FILE_NAME).write_text(carried, "utf-8")
            folder = home
        if folder is not None and (folder / FILE_NAME).is_file():
            ahead = _records((folder / FILE_NAME).read_text("utf-8")) > _records(carried or "")
            session = Session.resume(folder, predictor, volume)
            return Opened(session, session.lost or f"Resumed; {len(session.history)} steps can be undone.", ahead)
    except EdgeFlowError as error:
        told = str(error)
        home = home.with_name(f"{home.name}-new")
    return Opened(Session(volume, predictor, window=window, case_dir=home), told)


def _records(journal: str) -> int:
    """How many there are, but for those that only tell of a resume."""
    return sum('"type":"resume"' not in line for line in journal.splitlines())


def journal_text(session: Session) -> str:
    """The journal as a saved scene carries it."""
    assert session.case_dir is not None  # open_session always gives one
    return (session.case_dir / FILE_NAME).read_text("utf-8")


Asking = Callable[[], "Question | Change"]


class Live:
    """Asks, walks and measures without waiting.

    Args:
        session: With a predictor.
        worker: Where that predictor works; may be shared.
        report: Told in one line what happens.
    """

    def __init__(self, session: Session, worker: Worker, report: Callable[[str], None]) -> None:
        self.session, self._worker, self._report = session, worker, report
        self._waiting: deque[Asking] = deque()
        self._out: tuple[Asking, Question] | None = None
        self._walk: Walk | None = None

    @property
    def asking(self) -> bool:
        """Whether a prompt is not answered yet."""
        return self._out is not None

    @property
    def walking(self) -> bool:
        """Whether a propagation is under way."""
        return self._walk is not None

    def warm_up(self, predictor: LazyPredictor, told: str = "") -> None:
        """Have a model loaded before it is asked; ``told`` stays in front of what is reported meanwhile."""
        before = f"{told} " if told else ""
        self._report(f"{before}Loading {predictor.name} ...")
        ready = f"{before}{predictor.name} is ready on "
        self._worker.submit(
            "warm-up",
            predictor.warm_up,
            lambda result: self._report(_told(result) if isinstance(result, Exception) else f"{ready}{result}."),
        )

    def poll(self) -> None:
        """Take what the worker has finished; to be called often."""
        self._worker.poll()

    def ask(self, prompt: Prompt, segment: SegmentState, plane: Plane) -> None:
        """Give a prompt; a propagation under way stops for it.

        Raises:
            PromptError: It does not lie on one slice of the volume.
            WriteError: The journal could not be written; nothing has changed.
        """
        self._queue(lambda: self.session.ask(prompt, segment, plane, sync=False))

    def delete(self, segment: int, plane: Plane, index: int, number: int) -> None:
        """Take back a prompt; the slice is asked about anew if others are left.

        Raises:
            PromptError: There is no such prompt.
            UsageError: The segment is locked.
        """
        self._queue(lambda: self.session.ask_without(segment, plane, index, number, sync=False))

    def _queue(self, asking: Asking) -> None:
        self.stop()
        if self._out is None:
            self._send(asking)
        else:
            self._waiting.append(asking)

    def _send(self, asking: Asking) -> None:
        from edgeflow_med.session import Change

        question = asking()
        if isinstance(question, Change):
            return
        self._out = asking, question
        self._report(f"{self._label(question)}: asking ...")
        self._worker.submit("prompt", partial(self._answer, question.request), partial(self._answered, question))

    def _send_next(self) -> None:
        while self._waiting and self._out is None:
            try:
                self._send(self._waiting.popleft())
            except EdgeFlowError as error:
                self._report(str(error))

    def _answer(self, request: SliceRequest) -> PackedPrediction:
        """In the thread: the prompt comes to the disk before its answer comes to anybody."""
        self.session.sync()
        return PackedPrediction.of(self._predict(request))

    def _predict(self, request: SliceRequest) -> Prediction:
        assert self.session.predictor is not None  # session.ask has refused otherwise
        return self.session.predictor.predict(request)

    def _answered(self, question: Question, result: PackedPrediction | BaseException) -> None:
        if self._out is None or self._out[1] is not question:
            return  # undone in the meantime
        asking, self._out = self._out[0], None
        try:
            change = self.session.answer(question, _or_raise(result))
        except StaleQuestion:
            self.session.drop(question)
            self._waiting.appendleft(asking)
        except Exception as error:  # noqa: BLE001 - see _told
            self.session.drop(question)
            self._report(_told(error))
        else:
            quality = "done" if change.answer is None else f"quality {change.answer.quality:.2f}"
            self._report(" ".join([f"{self._label(question)}: {quality}.", *change.warnings]))
        self._send_next()

    def _label(self, question: Question) -> str:
        label = next((each.label for each in self.session.segments if each.id == question.segment), "")
        axis, index = question.key
        return f"{label}, {self.session.volume.plane(axis)} slice {index}"

    def propagate(self, segment: SegmentState, plane: Plane, **limits: Any) -> None:
        """Carry a segment from slice to slice; ``limits`` as in :meth:`edgeflow_med.session.Session.propagate`.

        Raises:
            PromptError: Nothing has been annotated yet.
            UsageError: The segment is locked.
        """
        self.stop()
        self._walk = self.session.walk(segment, plane=plane, **limits)
        self._proceed(self._walk, None)

    def _proceed(self, walk: Walk, result: Any) -> None:
        if walk is not self._walk:
            return  # stopped in the meantime
        try:
            item = walk.send(_or_raise(result))
            while not isinstance(item, SliceRequest):
                self._report(f"Slice {item.index}: {item.why or 'proposed'}.")
                item = walk.send(None)
        except StopIteration:
            self._walk = None
        except Exception as error:  # noqa: BLE001 - see _told
            self._walk = None
            self._report(_told(error))
        else:
            self._worker.submit("walk", partial(self._predict, item), partial(self._proceed, walk), priority=1)

    def stop(self) -> None:
        """End a propagation; what it has done stays, and is undone in one step."""
        if self._walk is not None:
            self._worker.cancel("walk")
            walk, self._walk = self._walk, None
            walk.close()
            self._report("Propagation stopped; what it has proposed stays.")

    def measure(self, segment: SegmentState, then: Callable[[str], None]) -> None:
        """Have a segment's volume and diameters put into words.

        The thread reads the mask while it may change. That does no harm: a change is followed by another measurement.
        """
        volume, mask, plane = self.session.volume, segment.mask, self.session.plane

        def measured() -> str:
            diameters = longest_diameters(mask, volume, plane)
            if diameters is None:
                return "empty"
            across = f"{diameters.longest_mm:.1f} x {diameters.perpendicular_mm:.1f} mm"
            return f"{volume_ml(mask, volume):.2f} ml, {across} on slice {diameters.slice_index}"

        self._worker.submit("measure", measured, lambda told: then(_told(told)), priority=2)

    def read_journal(self, then: Callable[[str], object]) -> None:
        """Have the journal read, as a saved scene carries it; ``then`` hears of success only."""
        job = partial(journal_text, self.session)
        self._worker.submit("journal", job, lambda text: isinstance(text, str) and then(text), priority=3)

    def export(
        self, path: Path, then: Callable[[Path], object], *, accepted_only: bool = False, sources: Sequence[Path] = ()
    ) -> None:
        """Write all segments to a file, see :meth:`edgeflow_med.session.Session.save`; ``then`` hears of success only.

        Args:
            path: Its suffix decides the format.
            then: Called with the path once the file was read back.
            accepted_only: Leave out what nobody has looked at.
            sources: The DICOM files that the volume came from, for a DICOM-SEG of a volume without headers.

        Raises:
            UsageError: There are no segments.
        """
        segmentation = self.session.segmentation(accepted_only)
        sidecar = None
        if self.session.case_dir is not None:
            sidecar = provenance(self.session, accepted_only=accepted_only)

        waiting = 0 if accepted_only else sum(map(self.session.unreviewed, self.session.segments))
        unreviewed = f"; nobody has accepted {waiting} of its slices" if waiting else ""

        def write() -> Saved:
            return save(segmentation.on(read_volume(sources)) if sources else segmentation, path, sidecar=sidecar)

        def written(result: Any) -> None:
            if isinstance(result, Saved):
                self._report(" ".join([f"Saved and read back: {path}{unreviewed}.", *result.warnings]))
                then(path)
            else:
                self._report(_told(result))

        self._report(f"Writing {path.name} ...")
        self._worker.submit(("export", path), write, written, priority=1)

    def undo(self) -> None:
        """Take back the last thing said: a prompt that waits, the question that is out, or the last step."""
        self.stop()
        if self._waiting:
            self._waiting.pop()
        elif self._out is not None:
            (_, question), self._out = self._out, None
            self._worker.cancel("prompt")
            self.session.drop(question)
        else:
            name = next(reversed(self.session.history), "")
            self._report(f"Undone: {name}." if self.session.undo() else "There is nothing to undo.")

    def redo(self) -> None:
        """Do again what was undone last."""
        self.stop()
        name = next(iter(self.session.redo_names), "")
        self._report(f"Done again: {name}." if self.session.redo() else "There is nothing to redo.")

    def close(self) -> None:
        """Ask and walk no more; a question that is out stays unanswered."""
        self.stop()
        self._waiting.clear()
        if self._out is not None:
            (_, question), self._out = self._out, None
            self._worker.cancel("prompt")
            self.session.drop(question)


def _told(result: Any) -> str:
    """What a worker brought back in one line; an error that nobody meant goes to the log as well."""
    if isinstance(result, Exception) and not isinstance(result, EdgeFlowError):
        _LOG.error("In the worker: %r", result, exc_info=result)
        return f"That failed: {result!r}; the log says more."
    return str(result)


def _or_raise(result: Any) -> Any:
    """A worker's result; what it raised is raised here."""
    if isinstance(result, BaseException):
        raise result
    return result
