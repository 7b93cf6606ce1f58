"""Who has looked at what: accept, flag, comment, and which slice to look at next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from edgeflow_med.errors import UsageError
from edgeflow_med.session.changes import SliceKey
from edgeflow_med.session.ledger import Change
from edgeflow_med.session.propagating import PropagationActions
from edgeflow_med.session.state import SegmentState, SliceState, SliceStatus, plane_of
from edgeflow_med.volume import Plane

Place = tuple[int, Plane, int]  # segment id, plane, slice number


def suspicion_order(slices: Mapping[SliceKey, SliceState]) -> list[SliceKey]:
    """Slices that nobody has accepted, most likely wrong first: flagged ones, then by expected quality."""
    waiting = {key: known for key, known in slices.items() if known.status is SliceStatus.PROPOSED}
    return sorted(waiting, key=lambda key: (not waiting[key].flagged, waiting[key].quality or 0.0, key))


class ReviewActions(PropagationActions):
    """The part of a session that is about review."""

    def accept(
        self,
        index: int | Sequence[int] | None = None,
        segment: SegmentState | int | None = None,
        plane: Plane | str | None = None,
    ) -> Change:
        """Stand behind slices as they are; they become anchors and leave the order of review. One step for undo.

        Args:
            index: Number of the slice, or of several; None for all proposed slices of the segment, of any plane.
            segment: Which one; may be left out if there is only one.
            plane: Which slices are meant; the session's plane if None.
        """
        state, draft = self._segment(segment), self._draft()
        numbers = [index] if isinstance(index, int | np.integer) else index
        keys = state.proposed if numbers is None else [self._key(plane, number) for number in numbers]
        for key in keys:
            known = state.slices.get(key) or SliceState(SliceStatus.PROPOSED)
            draft.set_slice(state.id, key, replace(known, status=SliceStatus.ACCEPTED, flagged=False))
        return self._commit_if_any(draft, "Accept" if index is not None else "Accept All", "accept")

    def flag(
        self,
        index: int,
        segment: SegmentState | int | None = None,
        plane: Plane | str | None = None,
        *,
        flagged: bool = True,
        comment: str | None = None,
    ) -> Change:
        """Mark a slice for another look, or unmark it, with a remark if given."""
        name = "Flag" if flagged else "Unflag"
        return self._remark(name, index, segment, plane, flagged=flagged, comment=comment)

    def comment(
        self,
        index: int,
        text: str,
        segment: SegmentState | int | None = None,
        plane: Plane | str | None = None,
    ) -> Change:
        """Leave a remark on a slice; an empty one removes it."""
        return self._remark("Comment", index, segment, plane, comment=text)

    def review_order(self, segment: SegmentState | int | None = None) -> list[tuple[Plane, int]]:
        """A segment's slices that nobody has accepted, most likely wrong first."""
        return [(plane, index) for _, plane, index in self._places(self._segment(segment))]

    def next_to_review(self, segment: SegmentState | int | None = None, after: Place | None = None) -> Place | None:
        """The slice that is most likely wrong.

        Args:
            segment: Which one; all of them if None.
            after: Go on from here instead of from the start; the first one follows the last.

        Returns:
            Segment id, plane and slice number; None if there is nothing to review.
        """
        states = self.segments if segment is None else (self._segment(segment),)
        places = [place for state in states for place in self._places(state)]
        if not places:
            return None
        return places[(places.index(after) + 1) % len(places)] if after in places else places[0]

    def _places(self, state: SegmentState) -> list[Place]:
        slices = {key: known for key, known in state.slices.items() if plane_of(state.mask, key).any()}
        return [(state.id, self._plane_on(axis), index) for axis, index in suspicion_order(slices)]

    def _remark(
        self,
        name: str,
        index: int,
        segment: SegmentState | int | None,
        plane: Plane | str | None,
        *,
        flagged: bool | None = None,
        comment: str | None = None,
    ) -> Change:
        state, key, draft = self._segment(segment), self._key(plane, index), self._draft()
        if comment is not None and len(comment) > 1000:
            raise UsageError(f"A comment has at most 1000 characters, got {len(comment)}; shorten it.")
        known = state.slices.get(key) or SliceState(SliceStatus.PROPOSED)
        known = replace(
            known,
            flagged=known.flagged if flagged is None else flagged,
            comment=known.comment if comment is None else comment,
        )
        draft.set_slice(state.id, key, known)
        return self._commit_if_any(draft, name, "review")
