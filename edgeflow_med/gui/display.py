"""What a program with a window draws of a session besides its masks; brought up to date slice by slice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgeflow_med.session.state import SliceStatus, plane_of

if TYPE_CHECKING:
    from edgeflow_med.prompts import Prompt
    from edgeflow_med.session import Session
    from edgeflow_med.session.changes import Box, PackedPrediction, SliceKey
    from edgeflow_med.session.state import SegmentState, SliceState
    from edgeflow_med.volume import Volume

UNSURE = 0.75  # proposed slices below this expected IoU are marked
STROKE_STEP_MM = 2.0  # a stroke is drawn as a row of dots

Which = tuple[int, tuple[int, int], int]  # segment id, slice, number of the prompt on it


class Mark(StrEnum):
    """What a reader wants to know of a slice at a glance."""

    NONE = "none"
    ANNOTATED = "annotated"
    ACCEPTED = "accepted"
    PROPOSED = "proposed"
    UNSURE = "unsure"


def mark(known: SliceState | None) -> Mark:
    """The mark of one slice."""
    if known is None:
        return Mark.NONE
    if known.flagged or (known.status is SliceStatus.PROPOSED and (known.quality or 0.0) < UNSURE):
        return Mark.UNSURE
    return Mark(known.status.value)


def review_bar(segment: SegmentState | None, axis: int, count: int) -> list[tuple[Mark, int]]:
    """Marks of all slices along an axis, as runs: mark and length."""
    known: Mapping[int, SliceState] = {} if segment is None else dict(segment.on_axis(axis))
    marks = [mark(known.get(index)) for index in range(count)]
    return [(each, len(list(run))) for each, run in groupby(marks)]


@dataclass(frozen=True)
class Dot:
    """A place where a prompt is drawn.

    Attributes:
        position: LPS mm.
        positive: What the prompt says.
    """

    position: tuple[float, float, float]
    positive: bool


class PromptMap:
    """All prompts of a session as dots: a click is one, a stroke a row of them.

    Attributes:
        dots: By prompt.
    """

    def __init__(self) -> None:
        self.dots: dict[Which, list[Dot]] = {}
        self._known: dict[tuple[int, SliceKey], tuple[Prompt, ...]] = {}

    def update(self, session: Session) -> tuple[list[Which], list[Which]]:
        """Bring the dots up to date; tells which prompts are gone and which are new, a changed one being both."""
        now = {
            (segment.id, key): known.prompts
            for segment in session.segments
            for key, known in segment.slices.items()
            if known.prompts
        }
        gone, new = list[Which](), list[Which]()
        for place in [each for each in {**self._known, **now} if self._known.get(each) is not now.get(each)]:
            before, after = self._known.get(place, ()), now.get(place, ())
            for number in range(max(len(before), len(after))):
                if before[number : number + 1] != after[number : number + 1]:
                    gone += [(*place, number)] if number < len(before) else []
                    new += [(*place, number)] if number < len(after) else []
        for which in gone:
            del self.dots[which]
        for which in new:
            self.dots[which] = _dots(now[which[0], which[1]][which[2]], session.volume)
        self._known = now
        return gone, new

    def at(self, position: ArrayLike, near_mm: float) -> Which | None:
        """The prompt drawn nearest to an LPS position, if that is within ``near_mm``."""
        gaps = [
            (float(np.linalg.norm(np.subtract(position, dot.position))), which)
            for which, dots in self.dots.items()
            for dot in dots
        ]
        gap, which = min(gaps, default=(np.inf, None))
        return which if gap <= near_mm else None


def _dots(prompt: Prompt, volume: Volume) -> list[Dot]:
    line = volume.position(prompt.points)
    lengths = np.linalg.norm(np.diff(line, axis=0), axis=1)
    steps = np.floor(np.concatenate([[0.0], lengths.cumsum()]) / STROKE_STEP_MM)
    shown = line[np.unique(steps, return_index=True)[1]].tolist()
    return [Dot((x, y, z), prompt.positive) for x, y, z in shown]


class ProposalMap:
    """Voxels that nobody has accepted yet.

    Args:
        array: ``(K, J, I)`` uint8, all zero; 1 where a proposed slice holds something.
    """

    def __init__(self, array: NDArray[np.uint8]) -> None:
        self.array = array
        self._drawn: set[tuple[int, SliceKey]] = set()

    def update(self, segments: Iterable[SegmentState], boxes: Mapping[int, list[Box]] | None = None) -> bool:
        """Draw what changed; tells whether anything did.

        Args:
            segments: All of them.
            boxes: By segment id, where voxels changed; None for everywhere.
        """
        proposed = {(segment.id, key): segment for segment in segments for key in segment.proposed}
        changed = {
            (number, key)
            for number, key in proposed
            if boxes is None or any(_crosses(key, box) for box in boxes.get(number, []))
        }
        stale = {key for _, key in (set(proposed) ^ self._drawn) | changed}
        for key in stale:
            masks = [plane_of(segment.mask, key) for (_, other), segment in proposed.items() if other == key]
            plane_of(self.array, key)[...] = np.any(masks, axis=0) if masks else 0
        self._drawn = set(proposed)
        return bool(stale)


class EdgeMap:
    """The network's edges on the slices of one segment that it answered.

    Args:
        array: ``(K, J, I)`` uint8, all zero; 255 for a certain edge.
    """

    def __init__(self, array: NDArray[np.uint8]) -> None:
        self.array = array
        self._drawn: dict[SliceKey, PackedPrediction] = {}

    def update(self, segment: SegmentState | None) -> bool:
        """Draw what changed; tells whether anything did."""
        slices = {} if segment is None else segment.slices
        answers = {key: known.packed for key, known in slices.items() if known.packed is not None}
        stale = [key for key in {**answers, **self._drawn} if answers.get(key) is not self._drawn.get(key)]
        for key in stale:
            packed = answers.get(key)
            plane_of(self.array, key)[...] = 0 if packed is None else np.round(packed.unpack().edge * 255)
        self._drawn = answers
        return bool(stale)


def _crosses(key: SliceKey, box: Box) -> bool:
    return box[key[0]].start <= key[1] < box[key[0]].stop
