"""Asking about a slice and taking the answer: prompts, apart from who predicts and when."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edgeflow_med.errors import GeometryError, PromptError, StaleQuestion, UsageError, WriteError
from edgeflow_med.predictors.base import Prediction, Predictor, SliceRequest
from edgeflow_med.predictors.obey import voxels
from edgeflow_med.predictors.strokes import stroke_of
from edgeflow_med.prompts import Box, Click, Lasso, Line, Prompt, Scribble, check_prompt, to_document
from edgeflow_med.session.changes import Layer, PackedPrediction, SliceKey, Step
from edgeflow_med.session.ledger import Change
from edgeflow_med.session.rules import Act, Outcome, decide, excluded
from edgeflow_med.session.segments import SegmentActions, refusals, takings
from edgeflow_med.session.state import Fixed, Origin, SegmentState, SliceState, SliceStatus, plane_of
from edgeflow_med.volume import Plane

Points = Sequence[Sequence[float]]


@dataclass(frozen=True, eq=False)
class Question:
    """A prompt that is on record and waits for its answer.

    Attributes:
        request: What the predictor is asked.
        segment: Id of the segment.
        key: Axis and number of the slice.
        prompts: All of the slice's prompts, the new one last.
        act: What the prompt fixes.
        revision: The state it was asked in.
        number: Its record.
        name: What a menu says after "Undo" once it is answered.
        released: ``(H, W)``, voxels whose constraint goes with a deleted prompt; None if none does.
    """

    request: SliceRequest
    segment: int
    key: SliceKey
    prompts: tuple[Prompt, ...]
    act: Act | None
    revision: int
    number: int
    name: str
    asked: float
    released: NDArray[np.bool_] | None = None


class PromptActions(SegmentActions):
    """The part of a session that is about prompts."""

    def click(
        self,
        index: Sequence[float],
        positive: bool = True,
        segment: SegmentState | int | None = None,
        plane: Plane | str | None = None,
    ) -> Change:
        """Answer a click at voxel (k, j, i).

        Raises:
            PromptError: The click lies outside the volume.
        """
        k, j, i = (round(v) for v in three(index))
        return self.prompt(Click((k, j, i), positive), segment, plane)

    def scribble(
        self,
        points: Points,
        positive: bool = True,
        width_mm: float = 3.0,
        segment: SegmentState | int | None = None,
        plane: Plane | str | None = None,
    ) -> Change:
        """Answer a stroke through voxels (k, j, i), all on one slice.

        Raises:
            PromptError: A point outside the volume, fewer than two points, or points on several slices.
        """
        return self.prompt(Scribble(_line(points), positive, width_mm), segment, plane)

    def box(
        self,
        corner: Sequence[float],
        opposite: Sequence[float],
        segment: SegmentState | int | None = None,
        plane: Plane | str | None = None,
    ) -> Change:
        """Answer a rectangle that holds the segment on one slice; both corners are voxels (k, j, i).

        Raises:
            PromptError: A corner outside the volume, or corners on two slices.
        """
        return self.prompt(Box(*_line([corner, opposite])), segment, plane)

    def lasso(
        self, points: Points, segment: SegmentState | int | None = None, plane: Plane | str | None = None
    ) -> Change:
        """Answer a closed line round the segment through voxels (k, j, i), all on one slice.

        Raises:
            PromptError: A point outside the volume, fewer than three points, or points on several slices.
        """
        return self.prompt(Lasso(_line(points)), segment, plane)

    def line(
        self,
        start: Sequence[float],
        end: Sequence[float],
        segment: SegmentState | int | None = None,
        plane: Plane | str | None = None,
    ) -> Change:
        """Answer a line measured across the segment from outline to outline, like the long axis of RECIST.

        Raises:
            PromptError: An end outside the volume, both ends the same, or ends on two slices.
        """
        return self.prompt(Line(*_line([start, end])), segment, plane)

    def prompt(
        self, prompt: Prompt, segment: SegmentState | int | None = None, plane: Plane | str | None = None
    ) -> Change:
        """Answer one prompt; the slice it lies on is replaced in the segment's mask.

        Raises:
            PromptError: It does not lie on one slice of the volume.
            UsageError: The session has no predictor, or the segment is not told.
            WriteError: The journal could not be written; nothing has changed.
        """
        predictor = self._need_predictor()
        question = self.ask(prompt, segment, plane)
        return self._refused(question) or self._answer_now(question, predictor)

    def ask(
        self,
        prompt: Prompt,
        segment: SegmentState | int | None = None,
        plane: Plane | str | None = None,
        *,
        sync: bool = True,
    ) -> Question:
        """Put a prompt on record and make the request for its answer, which any thread may then predict.

        Args:
            prompt: What the reader says.
            segment: What it is about; may be left out if there is only one.
            plane: Of the slice that it lies on; the session's plane if None.
            sync: Wait until the record is on disk. Where waiting would freeze a window, the thread that predicts calls
                :meth:`sync` first instead.

        Raises:
            PromptError: It does not lie on one slice of the volume.
            WriteError: The journal could not be written; nothing has changed.
        """
        state, (axis, _) = self._segment(segment), self._key(plane)
        key = (axis, check_prompt(prompt, self.volume, axis))
        known = state.slices.get(key)
        prompts = (*(known.prompts if known else ()), prompt)
        act = self._act(prompt, key)
        previous = self._previous(state.id, key)
        return self._make_question(state, key, prompts, prompt, act=act, previous=previous, sync=sync)

    def sync(self) -> None:
        """Have on disk what was asked without waiting for that; any thread may do it.

        Raises:
            WriteError: It could not be written.
        """
        self._ledger.sync()

    def answer(self, question: Question, prediction: Prediction | PackedPrediction) -> Change:
        """Take the answer to a question into the state.

        Args:
            question: From :meth:`ask`.
            prediction: The answer; packed already where the thread that predicts has time for that.

        Raises:
            StaleQuestion: The session has moved on since; ask again.
            WriteError: The journal could not be written; nothing has changed.
        """
        ledger = self._ledger
        if question.number not in ledger.pending:
            raise StaleQuestion("This question was answered or dropped already; ask again.")
        if question.revision != ledger.revision:
            raise StaleQuestion("The session has moved on since this question was asked; ask again.")
        packed = prediction if isinstance(prediction, PackedPrediction) else PackedPrediction.of(prediction)
        if packed.shape != question.request.image.shape:
            raise GeometryError(
                f"The answer has shape {packed.shape}, its slice {question.request.image.shape}; "
                "predict for the request as it is."
            )
        if refused := self._refused(question):
            return refused
        seconds = time.perf_counter() - question.asked
        stored = packed.unpack()
        segment, key = question.segment, question.key
        draft = self._draft()
        ground = draft.ground(segment, key)
        if question.released is not None:
            ground = replace(ground, fixed=np.where(question.released, np.uint8(Fixed.FREE), ground.fixed))
        outcome = decide(ground, stored.mask, question.act)
        taken = draft.put(segment, key, outcome, Origin.NETWORK)
        model = self._model()
        draft.set_info(segment, replace(draft.info(segment), model=model))
        known = ledger.state.slice_state(segment, key) or SliceState(SliceStatus.ANNOTATED)
        annotated = SliceStatus.ANNOTATED if question.prompts or known.edited else SliceStatus.PROPOSED
        draft.set_slice(
            segment,
            key,
            replace(known, status=annotated, prompts=question.prompts, packed=packed, quality=packed.quality),
        )
        return ledger.commit(
            draft.step(question.name, "prompt", seconds),
            question=question.number,
            warnings=[*refusals(outcome, question.name.lower()), *takings(taken)],
            answer=stored,
            model=list(model),
            window=str(self.window),
            digest=slice_digest(outcome),
        )

    def drop(self, question: Question) -> None:
        """Give up a question, e.g. because a newer one took its place."""
        self._ledger.drop(question.number)

    def delete_prompt(
        self, segment: SegmentState | int | None, plane: Plane | str | None, index: int, number: int
    ) -> Change:
        """Take back one prompt of a slice, the ``number``-th from 0; the slice is answered anew from what is left.

        Raises:
            PromptError: There is no such prompt.
            UsageError: The segment is locked, or the session has no predictor and prompts are left.
        """
        asked = self.ask_without(segment, plane, index, number)
        return asked if isinstance(asked, Change) else self._answer_now(asked, self._need_predictor())

    def ask_without(
        self,
        segment: SegmentState | int | None,
        plane: Plane | str | None,
        index: int,
        number: int,
        *,
        sync: bool = True,
    ) -> Question | Change:
        """The same without predicting: the question about what is left, or the change if nothing is left to ask.

        Arguments and errors as :meth:`delete_prompt`, ``sync`` as :meth:`ask`.
        """
        state, key = self._unlocked(segment), self._key(plane, index)
        known = state.slices.get(key)
        if known is None or not 0 <= number < len(known.prompts):
            count = 0 if known is None else len(known.prompts)
            raise PromptError(f"Slice {index} has {count} prompts, not a number {number}; count from 0.")
        gone = known.prompts[number]
        rest = (*known.prompts[:number], *known.prompts[number + 1 :])
        released = self._released(state, key, gone, rest)
        name = f"Delete {type(gone).__name__}"
        mask, first = self._before_prompts(state.id, key)
        if rest:
            self._need_predictor()
            previous = _agreeing(first.packed if first else None, mask)
            question = self._make_question(
                state, key, rest, gone, act=None, previous=previous, deletes=number, sync=sync
            )
            return replace(question, released=released)
        draft = self._draft()
        ground = draft.ground(state.id, key)
        ground = replace(ground, fixed=np.where(released, np.uint8(Fixed.FREE), ground.fixed))
        draft.put(state.id, key, decide(ground, mask), Origin.NETWORK)
        if known.edited or known.flagged or known.comment:
            status = SliceStatus.ANNOTATED if known.edited else SliceStatus.PROPOSED
            first = replace(first or SliceState(status), edited=known.edited, status=status)
            first = replace(first, flagged=known.flagged, comment=known.comment)
        draft.set_slice(state.id, key, first)
        return self._ledger.commit(draft.step(name, "prompt"))

    def prompt_seconds(self, segment: SegmentState | int | None = None) -> list[float]:
        """How long each of a segment's prompts took to answer, oldest first; what was undone does not count."""
        state = self._segment(segment)
        parts = (part for node in self._ledger.history.done for part in node.parts)
        return [part.seconds for part in parts if part.kind == "prompt" and part.seconds and _asked(part, state.id)]

    def _make_question(
        self,
        state: SegmentState,
        key: SliceKey,
        prompts: tuple[Prompt, ...],
        prompt: Prompt,
        *,
        act: Act | None,
        previous: Prediction | None,
        deletes: int | None = None,
        sync: bool,
    ) -> Question:
        spacing = self._spacing(key[0])
        strokes = tuple(stroke_of(given, key[0], spacing) for given in prompts)
        ground = self._draft().ground(state.id, key)
        image = self.slice_image(key[1], self._plane_on(key[0]))
        request = SliceRequest(image, spacing, strokes, previous, excluded=excluded(ground, act))
        number = self._ledger.ask(
            sync=sync,
            segment=state.id,
            plane=self._plane_on(key[0]).value,
            axis=key[0],
            slice=key[1],
            prompt=to_document(prompt),
            deletes=deletes,
        )
        name = type(prompt).__name__ if deletes is None else f"Delete {type(prompt).__name__}"
        return Question(request, state.id, key, prompts, act, self._ledger.revision, number, name, time.perf_counter())

    def _refused(self, question: Question) -> Change | None:
        """A question about a locked segment is on record and needs no answer; None for any other."""
        info = self._ledger.state.infos[question.segment]
        if not info.locked:
            return None
        self.drop(question)
        told = f"Segment {info.label!r} is locked; the {question.name.lower()} is on record, but changes nothing."
        return Change(question.name, "prompt", warnings=(told,))

    def _answer_now(self, question: Question, predictor: Predictor) -> Change:
        try:
            return self.answer(question, predictor.predict(question.request))
        except BaseException:
            with suppress(WriteError):  # the first error says it all
                self.drop(question)
            raise

    def _need_predictor(self) -> Predictor:
        if self.predictor is None:
            raise UsageError("The session has no predictor; set session.predictor = edgeflow_med.load_predictor().")
        return self.predictor

    def _model(self) -> tuple[str, str]:
        return ("", "") if self.predictor is None else (self.predictor.name, self.predictor.version)

    def _act(self, prompt: Prompt, key: SliceKey) -> Act | None:
        """What a prompt fixes: a click its voxel, a scribble its line; a region or a measured line none."""
        if not isinstance(prompt, Click | Scribble):
            return None
        axis = key[0]
        rows, columns = (n for a, n in enumerate(self.volume.shape) if a != axis)
        said, nothing = np.zeros((rows, columns), np.bool_), np.zeros((rows, columns), np.bool_)
        for pixel in voxels(stroke_of(prompt, axis, self._spacing(axis)), (rows, columns)):
            said[pixel] = True
        return Act(said, nothing) if prompt.positive else Act(nothing, said)

    def _released(
        self, state: SegmentState, key: SliceKey, gone: Prompt, rest: tuple[Prompt, ...]
    ) -> NDArray[np.bool_]:
        """Voxels that only a deleted prompt fixed."""
        act = self._act(gone, key)
        fixed = self._ledger.state.fixed(state.id).at(key)
        if act is None:
            return np.zeros(fixed.shape, np.bool_)
        released = (act.inside & (fixed == Fixed.PROMPTED_IN)) | (act.outside & (fixed == Fixed.PROMPTED_OUT))
        for prompt in rest:
            other = self._act(prompt, key)
            if other is not None and prompt.positive == gone.positive:
                released &= ~(other.inside | other.outside)
        return released

    def _before_prompts(self, segment: int, key: SliceKey) -> tuple[NDArray[np.bool_], SliceState | None]:
        """Mask and state of a slice before the first of its prompts: imported, proposed, or nothing."""
        mask = plane_of(self._ledger.state.mask(segment), key).copy()
        parts = [part for node in self._ledger.history.done for part in node.parts]
        for part in reversed(parts):
            for patch in part.patches:
                if patch.segment == segment and patch.layer is Layer.MASK:
                    patch.flip_slice(mask, key)
            for assign in part.assigns:
                if assign.key == ("slice", segment, *key):
                    before = assign.before if isinstance(assign.before, SliceState) else None
                    if before is None or not before.prompts:
                        return mask, before
        return mask, None

    def _previous(self, segment: int, key: SliceKey) -> Prediction | None:
        """The last answer on a slice, made to agree with the mask that stands; for a mask from elsewhere, that mask."""
        known = self._ledger.state.slice_state(segment, key)
        return _agreeing(known.packed if known else None, plane_of(self._ledger.state.mask(segment), key))


def _agreeing(packed: PackedPrediction | None, mask: NDArray[np.bool_]) -> Prediction | None:
    """An answer made to agree with a mask; without one the mask alone, and nothing for an empty mask."""
    if packed is None:
        return Prediction(mask.astype(np.float32), np.zeros(mask.shape, np.float32), 1.0) if mask.any() else None
    answer = packed.unpack()
    np.copyto(answer.probability, mask.astype(np.float32), where=answer.mask != mask)
    return answer


def _asked(step: Step, segment: int) -> bool:
    """Whether a step answered a prompt of a segment, and did not merely take voxels from it."""
    slices = [assign for assign in step.assigns if assign.key[:2] == ("slice", segment)]
    return any(_prompts(assign.before) != _prompts(assign.after) for assign in slices)


def _prompts(value: object) -> tuple[Prompt, ...]:
    return value.prompts if isinstance(value, SliceState) else ()


def slice_digest(outcome: Outcome) -> str:
    """The first half of the SHA-256 of a slice's mask, packed to bits."""
    return hashlib.sha256(np.packbits(outcome.mask).tobytes()).hexdigest()[:32]


def three(index: Sequence[float]) -> Sequence[float]:
    """An index, if it has three finite numbers.

    Raises:
        PromptError: It has not.
    """
    if len(index) != 3 or not np.isfinite(index).all():
        raise PromptError(f"An index has three numbers, got {list(index)}; give zero-based (k, j, i).")
    return index


def _line(points: Points) -> tuple[tuple[float, float, float], ...]:
    return tuple((float(k), float(j), float(i)) for k, j, i in map(three, points))
