"""Propagation as one step of a session: anchors stay, the rest is proposed, what is done when it stops is kept."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from edgeflow_med.errors import PromptError
from edgeflow_med.predictors.base import Prediction, SliceRequest
from edgeflow_med.propagation import Brakes, SliceStep, touched, walk
from edgeflow_med.session.changes import PackedPrediction, SliceKey, Step
from edgeflow_med.session.history import Node
from edgeflow_med.session.painting import PaintActions
from edgeflow_med.session.prompting import slice_digest
from edgeflow_med.session.rules import Pixels, decide, excluded
from edgeflow_med.session.state import Origin, SegmentState, SliceState, SliceStatus, plane_of
from edgeflow_med.terminology import is_abnormal, look_up
from edgeflow_med.volume import Plane

Walk = Generator[SliceRequest | SliceStep, Prediction | None, None]


class PropagationActions(PaintActions):
    """The part of a session that is about propagation."""

    def propagate(
        self,
        segment: SegmentState | int | None = None,
        *,
        plane: Plane | str | None = None,
        starts: Sequence[int] | None = None,
        directions: Sequence[int] = (-1, 1),
        limit: int | None = None,
        limit_mm: float | None = None,
        lesion: bool | None = None,
    ) -> Iterator[SliceStep]:
        """Carry a segment from the slices that the reader stands behind to their neighbours, which become *proposed*.

        Annotated, accepted and edited slices are anchors: they are never changed, whatever plane they lie in. All is
        one step for undo, also when the iteration is cancelled, which leaves what is done.

        Args:
            segment: Which one; may be left out if there is only one.
            plane: Along which slices; the session's plane if None.
            starts: Numbers of the slices to set out from; all anchors that hold something if None.
            directions: -1, 1 or both.
            limit: At most this many slices from each start.
            limit_mm: At most this far from each start.
            lesion: It gets smaller away from its middle, as lesions do, which long structures do not; if None, what
                the segment is said to show decides: a category other than an abnormal structure's, or a name that
                DICOM's table has under another one ("Aorta"), mean that it is none.

        Yields:
            A step once its slice is in the state and in the journal.

        Raises:
            PromptError: Nothing has been annotated yet.
            UsageError: The segment is locked, or the session has no predictor.
        """
        predictor = self._need_predictor()
        walk = self.walk(
            segment, plane=plane, starts=starts, directions=directions, limit=limit, limit_mm=limit_mm, lesion=lesion
        )

        def drive() -> Iterator[SliceStep]:
            sent: Prediction | None = None
            try:
                while True:
                    item = walk.send(sent)
                    sent = None
                    if isinstance(item, SliceRequest):
                        sent = predictor.predict(item)
                    else:
                        yield item
            except StopIteration:
                return
            finally:
                walk.close()

        return drive()

    def walk(
        self,
        segment: SegmentState | int | None = None,
        *,
        plane: Plane | str | None = None,
        starts: Sequence[int] | None = None,
        directions: Sequence[int] = (-1, 1),
        limit: int | None = None,
        limit_mm: float | None = None,
        lesion: bool | None = None,
    ) -> Walk:
        """The same without a predictor: yields requests, to be sent their predictions, and steps once they are done.

        It ends by itself when the session is changed by anything else meanwhile. Arguments and errors as
        :meth:`propagate`.
        """
        state, (axis, _) = self._unlocked(segment), self._key(plane)
        known = {
            index: self._stands(state.id, (axis, index))
            for index, value in state.on_axis(axis)
            if value.status is not SliceStatus.PROPOSED
        }
        holding = [index for index, prediction in known.items() if prediction.mask.any()]
        if not holding:
            raise PromptError(f"Segment {state.label!r} has nothing to propagate; click on it first.")
        if starts is not None and not set(starts) & set(holding):
            raise PromptError(
                f"Segment {state.label!r} has nothing to propagate on slice {', '.join(map(str, starts))}; "
                f"set out from what you annotated or accepted: {', '.join(map(str, holding))}."
            )
        lesion = _shows_lesion(state) if lesion is None else lesion
        return self._walk(state, axis, known, starts, directions, limit, limit_mm, lesion)

    def _walk(
        self,
        state: SegmentState,
        axis: int,
        known: dict[int, Prediction],
        starts: Sequence[int] | None,
        directions: Sequence[int],
        limit: int | None,
        limit_mm: float | None,
        lesion: bool,
    ) -> Walk:
        ledger, count = self._ledger, self.volume.shape[axis]
        plane = self._plane_on(axis)
        gaps = touched(count, known, starts, directions, limit, limit_mm, self.volume.spacing[axis])
        stale = {index for gap in gaps for index in gap}  # a proposal of an earlier run stays until this one is past it
        node: Node | None = None
        inner = walk(
            lambda index: self.slice_image(index, plane),
            count,
            known,
            starts=starts,
            spacing=self._spacing(axis),
            thickness=self.volume.spacing[axis],
            directions=directions,
            limit=limit,
            limit_mm=limit_mm,
            excluded=lambda index: self._excluded(state.id, (axis, index)),
            brakes=Brakes.of(self.predictor),
            lesion=lesion,
        )
        sent: Prediction | None = None
        began, revision = time.perf_counter(), ledger.revision
        try:
            while True:
                item = inner.send(sent)
                if isinstance(item, SliceStep) and item.prediction is not None:
                    node = self._propose(state, (axis, item.index), item, node, time.perf_counter() - began)
                    stale.discard(item.index)
                    began, revision = time.perf_counter(), ledger.revision
                sent = yield item
                if ledger.revision != revision:
                    return
        except StopIteration:
            self._clear_proposals(state, [(axis, index) for index in sorted(stale)], node)
        finally:
            inner.close()

    def _clear_proposals(self, state: SegmentState, keys: list[SliceKey], node: Node | None) -> None:
        """Take back what an earlier run proposed where this one, run to its end, proposes nothing."""
        draft = self._draft()
        for key in keys:
            known = draft.slice_state(state.id, key)
            if known is not None and known.status is SliceStatus.PROPOSED and known.packed is not None:
                ground = draft.ground(state.id, key, propagating=True)
                draft.put(state.id, key, decide(ground, np.zeros_like(ground.mask)), Origin.NETWORK)
                draft.set_slice(state.id, key, None)
        self._add_part(draft.step("Propagate", "propagate"), node)

    def _propose(
        self, state: SegmentState, key: SliceKey, step: SliceStep, node: Node | None, seconds: float
    ) -> Node | None:
        assert step.prediction is not None
        packed = PackedPrediction.of(step.prediction)
        draft = self._draft()
        outcome = decide(draft.ground(state.id, key, propagating=True), step.prediction.mask)
        draft.put(state.id, key, outcome, Origin.NETWORK)
        draft.set_slice(state.id, key, SliceState(SliceStatus.PROPOSED, packed=packed, quality=step.quality))
        model = self._model()
        info = draft.info(state.id)
        if info.model != model:
            draft.set_info(state.id, replace(info, model=model))
        return self._add_part(
            draft.step("Propagate", "propagate", seconds),
            node,
            slice=key[1],
            axis=key[0],
            model=list(model),
            window=str(self.window),
            digest=slice_digest(outcome),
        )

    def _add_part(self, step: Step, node: Node | None, **values: Any) -> Node | None:
        """Make a step part of the propagation that began with ``node``, or begin one."""
        if not step.patches and not step.assigns:
            return node
        self._ledger.commit(step, extends=node is not None, **values)
        return self._ledger.history.head

    def _stands(self, segment: int, key: SliceKey) -> Prediction:
        """An anchor as a prediction: its answer where there is one, made to agree with the mask."""
        previous = self._previous(segment, key)
        if previous is not None:
            return previous
        mask = plane_of(self._ledger.state.mask(segment), key)
        return Prediction(mask.astype(np.float32), np.zeros(mask.shape, np.float32), 1.0)

    def _excluded(self, segment: int, key: SliceKey) -> Pixels | None:
        return excluded(self._draft().ground(segment, key, propagating=True))


def _shows_lesion(state: SegmentState) -> bool:
    named = look_up(state.label)
    return is_abnormal(state.category) and (named is None or is_abnormal(named.category))
