"""Manual paint and erase, and masks that another tool made: what the reader's hand says stays until it is undone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeflow_med.errors import GeometryError, PromptError
from edgeflow_med.predictors.strokes import on_slice
from edgeflow_med.prompts import Click, Scribble, check_prompt
from edgeflow_med.session.changes import SliceKey
from edgeflow_med.session.draft import Draft
from edgeflow_med.session.ledger import Change
from edgeflow_med.session.prompting import PromptActions, three
from edgeflow_med.session.rules import Act, decide
from edgeflow_med.session.segments import refusals, takings
from edgeflow_med.session.state import Origin, SegmentState, SliceState, SliceStatus, plane_of
from edgeflow_med.volume import Plane

Stroke = tuple[Sequence[Sequence[float]], float]  # points (k, j, i) and a width in mm
OneSlice = tuple[int, NDArray[np.bool_]]
Pixels = NDArray[np.bool_]


class PaintActions(PromptActions):
    """The part of a session that is about what is drawn by hand."""

    def paint(
        self,
        mask_or_stroke: NDArray[np.bool_] | OneSlice | Stroke,
        segment: SegmentState | int | None = None,
        erase: bool = False,
        plane: Plane | str | None = None,
    ) -> Change:
        """Paint or erase by hand; no prediction changes these voxels until this is undone.

        Args:
            mask_or_stroke: ``(K, J, I)`` bool; or a slice's number and its ``(H, W)`` bool; or the points (k, j, i) of
                a stroke on one slice and its width in mm.
            segment: Which one; may be left out if there is only one.
            erase: Take voxels from the segment instead of giving it some.
            plane: Which slices are meant; the session's plane if None.

        Raises:
            GeometryError: A mask that is not on the volume's grid.
            PromptError: A stroke that does not lie on one slice of the volume.
        """
        state, (axis, _) = self._segment(segment), self._key(plane)
        name = "Erase" if erase else "Paint"
        draft, told, taken = self._draft(), dict[str, None](), 0
        for key, pixels in self._painted(mask_or_stroke, axis):
            nothing = np.zeros_like(pixels)
            act = Act(nothing, pixels, painted=True) if erase else Act(pixels, nothing, painted=True)
            outcome = decide(draft.ground(state.id, key), None, act)
            taken += draft.put(state.id, key, outcome, Origin.HAND)
            refused = refusals(outcome, "stroke")
            told |= dict.fromkeys(refused)
            if (pixels & ~(outcome.locked_out | outcome.not_editable)).any():
                _mark_edited(draft, state.id, key)
        warnings = (*told, *takings(taken))
        return self._commit_if_any(draft, name, "paint", warnings)

    def edit(
        self,
        mask: NDArray[np.bool_],
        segment: SegmentState | int | None = None,
        name: str = "Edit",
        *,
        hard: bool = False,
        plane: Plane | str | None = None,
    ) -> Change:
        """Take over a whole mask ``(K, J, I)`` that another tool made of the segment, as one step.

        Args:
            mask: What the segment is to be; locks, the editable region and what is fixed by hand still win.
            segment: Which one; may be left out if there is only one.
            name: What a menu says after "Undo".
            hard: The differences are the reader's own hand: they stay like paint.
            plane: Along which slices it is reviewed; the session's plane if None.

        Raises:
            GeometryError: The mask is not on the volume's grid.
        """
        state, (axis, _) = self._segment(segment), self._key(plane)
        self._check_grid(mask)
        draft, told, taken = self._draft(), dict[str, None](), 0
        for index in range(self.volume.shape[axis]):
            key = (axis, index)
            wanted, stands = plane_of(mask, key), plane_of(state.mask, key)
            if np.array_equal(wanted, stands):
                continue
            act = Act(wanted & ~stands, stands & ~wanted, painted=True) if hard else None
            outcome = decide(draft.ground(state.id, key), wanted.astype(np.bool_), act)
            if np.array_equal(outcome.mask, stands) and not hard:
                told[f"{name} came to nothing where the segment is locked or fixed."] = None
                continue
            taken += draft.put(state.id, key, outcome, Origin.HAND if hard else Origin.TOOL)
            told |= dict.fromkeys(refusals(outcome, "edit"))
            _mark_edited(draft, state.id, key)
        warnings = (*told, *takings(taken))
        return self._commit_if_any(draft, name, "edit", warnings)

    def _painted(self, given: Any, axis: int) -> Iterator[tuple[SliceKey, Pixels]]:
        """Slices and the voxels on them that are meant."""
        if isinstance(given, np.ndarray):
            self._check_grid(given)
            along = tuple(a for a in range(3) if a != axis)
            for index in np.flatnonzero(given.any(along)).tolist():
                key = (axis, index)
                yield key, plane_of(given, key).astype(np.bool_)
            return
        first, second = given
        if isinstance(second, np.ndarray):
            key = self._key(self._plane_on(axis), first)
            shape = plane_of(self.volume.array, key).shape
            if second.shape != shape:
                raise GeometryError(f"The mask of slice {first} has shape {second.shape}; give one of shape {shape}.")
            yield key, second.astype(np.bool_)
            return
        points = tuple((float(k), float(j), float(i)) for k, j, i in map(three, first))
        if not points:
            raise PromptError("A stroke needs at least one point, got none; give its points (k, j, i).")
        index = check_prompt(Click(_rounded(points[0])), self.volume, axis)
        # one point or many, the checks of a scribble hold
        check_prompt(Scribble((*points, points[-1]), width_mm=float(second)), self.volume, axis)
        key = (axis, index)
        shape = plane_of(self.volume.array, key).shape
        line = [on_slice(point, axis) for point in points]
        yield key, brush((shape[0], shape[1]), line, float(second), self._spacing(axis))


def brush(
    shape: tuple[int, int], line: Sequence[tuple[float, float]], width_mm: float, spacing: tuple[float, float]
) -> Pixels:
    """Pixels within half of ``width_mm`` of a polyline (row, column), and those that its points lie on."""
    painted = np.zeros(shape, np.bool_)
    radius = width_mm / 2
    for start, end in pairwise([line[0], *line]):
        window = tuple(
            slice(max(0, int(min(ends) - radius / mm)), min(length, int(max(ends) + radius / mm) + 2))
            for ends, mm, length in zip(zip(start, end, strict=True), spacing, shape, strict=True)
        )
        rows, columns = np.ogrid[window]
        y, x = (rows - start[0]) * spacing[0], (columns - start[1]) * spacing[1]
        dy, dx = (end[0] - start[0]) * spacing[0], (end[1] - start[1]) * spacing[1]
        along = np.clip((y * dy + x * dx) / max(dy * dy + dx * dx, 1e-12), 0, 1)
        painted[window] |= np.hypot(y - along * dy, x - along * dx) <= radius
        painted[round(end[0]), round(end[1])] = True
    return painted


def _mark_edited(draft: Draft, segment: int, key: SliceKey) -> None:
    known = draft.slice_state(segment, key) or SliceState(SliceStatus.ANNOTATED)
    draft.set_slice(segment, key, replace(known, status=SliceStatus.ANNOTATED, edited=True))


def _rounded(point: tuple[float, float, float]) -> tuple[int, int, int]:
    k, j, i = point
    return round(k), round(j), round(i)
