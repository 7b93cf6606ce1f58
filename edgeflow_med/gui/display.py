"""What a program with a window draws of a session besides its masks; brought up to date slice by slice."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby
from typing import TYPE_CHECKING, Any, Protocol

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
PROMPT = {True: (0.2, 1.0, 0.2), False: (1.0, 0.2, 0.2)}  # RGB, 0 to 1, of prompts that add and that remove
SELECTED = (1.0, 0.9, 0.1)
WEAKEST_EDGE = 12.75  # of 255; weaker ones are not drawn
EDGE_WINDOW = (-51, 102)  # black and full colour, of 255: weak edges are seen on black as well

Which = tuple[int, tuple[int, int], int]  # segment id, slice, number of the prompt on it


class Mark(StrEnum):
    """What a reader wants to know of a slice at a glance."""

    NONE = "none"
    ANNOTATED = "annotated"
    ACCEPTED = "accepted"
    PROPOSED = "proposed"
    UNSURE = "unsure"


MARK_COLOURS = {
    Mark.NONE: "#555555",
    Mark.ANNOTATED: "#3b82f6",
    Mark.ACCEPTED: "#22a35a",
    Mark.PROPOSED: "#a855f7",  # in the views too; neither white nor black, which a scan may be
    Mark.UNSURE: "#e5484d",
}
PROPOSED = tuple(int(MARK_COLOURS[Mark.PROPOSED][n : n + 2], 16) / 255 for n in (1, 3, 5))


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


def bar_gradient(bar: Iterable[tuple[Mark, int]]) -> str:
    """The bar as a colour gradient, from 0 at its left to 1 at its right end, as Qt's style sheets write it."""
    runs = list(bar)
    count, at, stops = sum(length for _, length in runs), 0, list[str]()
    for mark, length in runs:
        ends = at / count, (at + length) / count - 1e-5  # just before the next run: the colours do not blend
        stops += [f"stop:{end:.5f} {MARK_COLOURS[mark]}" for end in ends]
        at += length
    return f"qlineargradient(x1:0, y1:0, x2:1, y2:0, {', '.join(stops)})"


def bar_legend(waiting: int, tr: Callable[[str], str] = str) -> str:
    """What the bar's colours mean and how many slices wait for review, as HTML; ``tr`` translates."""
    marks = (f"<span style='color:{colour}'>\u25a0</span> {tr(mark.value)}" for mark, colour in MARK_COLOURS.items())
    return f"{' '.join(marks)}<br>{tr('{count} slices wait for review').format(count=waiting)}"


@dataclass(frozen=True)
class Dot:
    """A place where a prompt is drawn.

    Attributes:
        position: LPS mm.
        positive: What the prompt says.
    """

    position: tuple[float, float, float]
    positive: bool

    @property
    def ras(self) -> tuple[float, float, float]:
        """The position for programs that count in RAS mm."""
        x, y, z = self.position
        return -x, -y, z


class PromptMap:
    """All prompts of a session as dots: a click is one, a stroke a row of them.

    Attributes:
        dots: By prompt.
        selected: The prompt that stands out; None if none does.
    """

    def __init__(self) -> None:
        self.dots: dict[Which, list[Dot]] = {}
        self.selected: Which | None = None
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

    def select(self, which: Which | None) -> list[Which]:
        """Have a prompt stand out, and no other; tells which ones are to be drawn otherwise for that."""
        before, self.selected = self.selected, which
        return [each for each in {before, which} if each in self.dots] if before != which else []

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

    def update(self, segments: Iterable[SegmentState], boxes: Mapping[int, Sequence[Box]] | None = None) -> bool:
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


class Canvas(Protocol):
    """What a program draws with besides the segments: dots, and two maps over the volume.

    Attributes:
        proposals: ``(K, J, I)`` uint8, all zero at first; what is 1 is drawn like a proposed segment.
    """

    proposals: NDArray[np.uint8]

    def add_dot(self, ras: tuple[float, float, float], positive: bool) -> Any:
        """Draw the dot of a prompt at a RAS position, not selected; returns what the other methods know it by."""

    def remove_dot(self, dot: Any) -> None:
        """Draw it no more."""

    def select_dot(self, dot: Any, selected: bool) -> None:
        """Have it stand out, or not."""

    def redraw(self, proposals: bool, edges: bool) -> None:
        """Bring everything to where the volume is now, and show which maps have changed."""

    def show_edges(self, shown: bool) -> NDArray[np.uint8]:
        """Draw the edge map, or hide it; returns its voxels ``(K, J, I)``, always the same, all zero at first."""

    def close(self) -> None:
        """Draw nothing any more."""


class Drawing:
    """Draws a session on a canvas.

    Args:
        session: The session.
        canvas: Empty.
    """

    def __init__(self, session: Session, canvas: Canvas) -> None:
        self._session, self._canvas = session, canvas
        self._prompts, self._proposals = PromptMap(), ProposalMap(canvas.proposals)
        self._dots: dict[Which, list[Any]] = {}
        self._edges: EdgeMap | None = None
        self._edges_shown = False

    def show(
        self, current: SegmentState | None, selected: Which | None, boxes: Mapping[int, Sequence[Box]] | None = None
    ) -> None:
        """Draw what changed.

        Args:
            current: The segment whose edges are shown.
            selected: The prompt that stands out.
            boxes: By segment id, where voxels changed; None for everywhere.
        """
        gone, new = self._prompts.update(self._session)
        for which in gone:
            for dot in self._dots.pop(which):
                self._canvas.remove_dot(dot)
        for which in new:
            self._dots[which] = [self._canvas.add_dot(dot.ras, dot.positive) for dot in self._prompts.dots[which]]
        for which in {*self._prompts.select(selected), *(each for each in new if each == selected)}:
            for dot in self._dots[which]:
                self._canvas.select_dot(dot, which == selected)
        edges = self._edges is not None and self._edges_shown and self._edges.update(current)
        self._canvas.redraw(self._proposals.update(self._session.segments, boxes), edges)

    def show_edges(self, shown: bool) -> None:
        """Have the edge map drawn from the next showing on, or hide it."""
        if shown != self._edges_shown:
            self._edges_shown = shown
            array = self._canvas.show_edges(shown)
            self._edges = self._edges or EdgeMap(array)

    def prompt_at(self, index: ArrayLike, near_mm: float) -> Which | None:
        """The prompt drawn within ``near_mm`` of an index (k, j, i), if there is one."""
        return self._prompts.at(self._session.volume.position(index), near_mm)

    def close(self) -> None:
        """Draw nothing any more."""
        self.show_edges(False)
        self._canvas.close()


def _crosses(key: SliceKey, box: Box) -> bool:
    return box[key[0]].start <= key[1] < box[key[0]].stop
