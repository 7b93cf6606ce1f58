"""Adding, naming, locking, clearing and removing segments."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeflow_med.errors import UsageError
from edgeflow_med.segmentation import PALETTE, AlgorithmType, Code, Segment, Segmentation
from edgeflow_med.session.core import Core
from edgeflow_med.session.draft import Draft
from edgeflow_med.session.ledger import Change
from edgeflow_med.session.rules import Outcome
from edgeflow_med.session.state import Origin, SegmentInfo, SegmentState

MAX_SEGMENTS = 255


class SegmentActions(Core):
    """The part of a session that is about segments as a whole."""

    def add_segment(
        self,
        label: str,
        mask: NDArray[Any] | None = None,
        *,
        colour: tuple[int, int, int] | None = None,
        category: Code | None = None,
        type: Code | None = None,  # noqa: A002 - DICOM's word
        tracking_uid: str | None = None,
        algorithm_type: AlgorithmType | None = None,
    ) -> SegmentState:
        """Add a segment, empty or started from an existing mask ``(K, J, I)``, which is taken as it is.

        Args:
            label: Its name, 1 to 64 characters.
            mask: True or not zero where the segment is; it is copied.
            colour: RGB, 0 to 255; by default the next one of the palette.
            category: Coded property category; by default a morphologically abnormal structure.
            type: Coded property type; by default a lesion.
            tracking_uid: Identifies the same finding over time; by default a new UID.
            algorithm_type: How ``mask`` came to be; by default AUTOMATIC.

        Raises:
            GeometryError: The mask is not on the volume's grid.
            UsageError: An empty or overlong label, or too many segments.
        """
        segment = Segment(
            1,
            label,
            category or SegmentInfo.category,
            type or SegmentInfo.type,
            algorithm_type=algorithm_type or AlgorithmType.AUTOMATIC,
            tracking_uid=tracking_uid or "",
            colour=colour or PALETTE[self._ledger.last_id % len(PALETTE)],
        )
        return self._add("Add Segment", [(segment, mask)])[0]

    def add_segments(self, segmentation: Segmentation) -> tuple[SegmentState, ...]:
        """Add all segments of an existing segmentation, with what it says about them, in one step.

        Raises:
            GeometryError: It is not on the volume's grid.
            UsageError: Too many segments.
        """
        return self._add("Add Segments", list(zip(segmentation.segments, segmentation.masks, strict=True)))

    def _add(self, name: str, given: list[tuple[Segment, NDArray[Any] | None]]) -> tuple[SegmentState, ...]:
        if len(self.segments) + len(given) > MAX_SEGMENTS:
            raise UsageError(f"A session holds at most {MAX_SEGMENTS} segments; start another one.")
        draft, ids = self._draft(), []
        for number, (segment, mask) in enumerate(given, self._ledger.last_id + 1):
            _check_label(segment.label)
            if mask is not None:
                self._check_grid(mask)
            info = SegmentInfo(
                segment.label,
                segment.colour,
                segment.category,
                segment.type,
                segment.tracking_uid or f"2.25.{uuid.uuid4().int}",
                origins=frozenset() if mask is None else frozenset({Origin.IMPORT}),
                imported_type=segment.algorithm_type,
                model=(segment.algorithm_name, segment.algorithm_version),
                tracking_id=segment.tracking_id,
                region=segment.region,
            )
            draft.set_info(number, info)
            if mask is not None:
                draft.fill_new(number, mask)
            ids.append(number)
        self._ledger.commit(draft.step(name, "segment"))
        return tuple(self._handle(number) for number in ids)

    def remove_segment(self, segment: SegmentState | int | None = None) -> Change:
        """Remove a segment; undo brings it back with all that it had.

        Raises:
            UsageError: It is locked.
        """
        state, draft = self._unlocked(segment), self._draft()
        self._empty(draft, state, editable_only=False)
        draft.set_info(state.id, None)
        return self._ledger.commit(draft.step("Remove Segment", "segment"))

    def clear_segment(self, segment: SegmentState | int | None = None) -> Change:
        """Empty a segment and forget its prompts; where nothing may be edited its voxels stay.

        Raises:
            UsageError: It is locked.
        """
        state, draft = self._unlocked(segment), self._draft()
        self._empty(draft, state, editable_only=True)
        if self.editable_region is None and self.editable_range is None:
            draft.set_info(state.id, replace(state.info, origins=frozenset()))
        return self._ledger.commit(draft.step("Clear Segment", "segment"))

    def rename_segment(self, segment: SegmentState | int | None, label: str) -> Change:
        """Give a segment another name.

        Raises:
            UsageError: An empty or overlong label.
        """
        _check_label(label)
        return self._describe(segment, "Rename Segment", label=label)

    def set_segment(
        self,
        segment: SegmentState | int | None = None,
        *,
        colour: tuple[int, int, int] | None = None,
        category: Code | None = None,
        type: Code | None = None,  # noqa: A002 - DICOM's word
        tracking_uid: str | None = None,
    ) -> Change:
        """Change what is said about a segment; what is None stays."""
        given = {"colour": colour, "category": category, "type": type, "tracking_uid": tracking_uid}
        return self._describe(segment, "Describe Segment", **{k: v for k, v in given.items() if v is not None})

    def lock(self, segment: SegmentState | int | None = None, locked: bool = True) -> Change:
        """Lock a segment, so that nothing changes its voxels, or unlock it."""
        return self._describe(segment, "Lock Segment" if locked else "Unlock Segment", locked=locked)

    def _describe(self, segment: SegmentState | int | None, name: str, **values: Any) -> Change:
        state, draft = self._segment(segment), self._draft()
        draft.set_info(state.id, replace(state.info, **values))
        return self._commit_if_any(draft, name, "segment")

    def _commit_if_any(self, draft: Draft, name: str, kind: str, warnings: tuple[str, ...] = ()) -> Change:
        """Commit a step, unless it changes nothing: then there is nothing to undo either."""
        step = draft.step(name, kind)
        if not step.patches and not step.assigns:
            return Change(name, kind, warnings=warnings)
        return self._ledger.commit(step, warnings=warnings)

    def _unlocked(self, segment: SegmentState | int | None) -> SegmentState:
        state = self._segment(segment)
        if state.locked:
            raise UsageError(f"Segment {state.label!r} is locked; unlock it first.")
        return state

    def _empty(self, draft: Draft, state: SegmentState, *, editable_only: bool) -> None:
        ledger = self._ledger
        filled = {*np.flatnonzero(state.mask.any((1, 2))).tolist(), *ledger.state.fixed(state.id).slices()}
        for index in sorted(filled):
            key = (0, index)
            draft.empty(state.id, key, draft.ground(state.id, key).editable if editable_only else None)
        if not (editable_only and (self.editable_region is not None or self.editable_range is not None)):
            for key in state.slices:
                draft.set_slice(state.id, key, None)


def refusals(outcome: Outcome, what: str) -> list[str]:
    """What is said when an act came to nothing at some of its voxels."""
    told = []
    if outcome.locked_out.any():
        told.append(f"The {what} lies in a locked segment; nothing changes there.")
    if outcome.not_editable.any():
        told.append(f"The {what} lies outside the editable region or range; nothing changes there.")
    return told


def takings(taken: int) -> list[str]:
    """What is said when an act took voxels from other segments."""
    return [f"{taken} voxels were taken from other segments."] if taken else []


def _check_label(label: str) -> None:
    if not label.strip() or len(label) > 64:
        raise UsageError(f"A label has 1 to 64 characters, got {label!r}; give another.")
