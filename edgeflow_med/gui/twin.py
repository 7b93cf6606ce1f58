"""Keeps the segments that a program shows and those of a session alike, whoever changed them.

What the session changes is drawn. What others change in the program (its own tools, its tables, scripts) is found by
comparing, and becomes a step of the session.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from edgeflow_med.io.labelmap import codes_of
from edgeflow_med.io.nrrd import terminology

if TYPE_CHECKING:
    from edgeflow_med.segmentation import Code
    from edgeflow_med.session import Session
    from edgeflow_med.session.changes import Box
    from edgeflow_med.session.state import SegmentState

BY_HAND = ("Paint", "Draw", "Erase", "Scissors")  # tools, by 3D Slicer's names, that no prediction overrules
EVERYWHERE: Box = (slice(None), slice(None), slice(None))
# Texts that 3D Slicer keeps with a segment and saves: the session's id, category and type as it serialises them, ...
TAGS = NUMBER, CODES, *_ = ("EdgeFlow.segment", "TerminologyEntry", "DICOM.SegmentAlgorithmType", "DICOM.TrackingUID")


@dataclass(frozen=True)
class Look:
    """What a program says about a segment apart from its voxels.

    Attributes:
        name: Its name.
        colour: RGB, 0 to 255.
        locked: Whether it is marked as done.
        tags: Texts by :data:`TAGS`; empty where there is none.
    """

    name: str
    colour: tuple[int, int, int]
    locked: bool
    tags: Mapping[str, str]

    @classmethod
    def of(cls, state: SegmentState) -> Look:
        """What a session says about a segment."""
        coded = terminology(state.category, state.type)
        texts = str(state.id), coded, state.algorithm_type.value, state.tracking_uid
        return cls(state.label, state.colour, state.locked, dict(zip(TAGS, texts, strict=True)))

    @property
    def number(self) -> int:
        """The session's id of the segment; 0 if it has none."""
        return int(self.tags[NUMBER]) if self.tags[NUMBER].isdecimal() else 0

    @property
    def codes(self) -> tuple[Code, Code] | None:
        """Category and type; None if there are none."""
        return codes_of(self.tags[CODES]) if self.tags[CODES] else None


class Scene(Protocol):
    """A program's segments, by its own identifiers."""

    def identifiers(self) -> Sequence[str]:
        """Of all segments, in order."""

    def time(self, identifier: str) -> int:
        """Another one whenever somebody has changed the segment."""

    def look(self, identifier: str) -> Look:
        """What is said about a segment."""

    def mask(self, identifier: str) -> NDArray[np.bool_]:
        """Its voxels ``(K, J, I)`` on the volume's grid."""

    def add(self, name: str) -> str:
        """Add an empty segment; returns its identifier."""

    def remove(self, identifier: str) -> None:
        """Remove a segment."""

    def describe(self, identifier: str, look: Look) -> None:
        """Say this about a segment."""

    def draw(self, identifier: str, mask: NDArray[np.bool_], boxes: Sequence[Box] | None) -> None:
        """Show voxels ``(K, J, I)``: those in ``boxes`` have changed, none if it is empty; None to show all anew."""


class Twin:
    """A session and a scene that are kept alike.

    Args:
        session: The session.
        scene: Shows its segments; those that it already has are taken over.
        ahead: The session is newer than the scene: where a segment differs, the session is right.
    """

    def __init__(self, session: Session, scene: Scene, *, ahead: bool = False) -> None:
        self._session, self._scene = session, scene
        known = {state.id for state in session.segments}
        numbers = {scene.look(identifier).number: identifier for identifier in scene.identifiers()}
        self._shown = {number: identifier for number, identifier in numbers.items() if number in known}
        self._times = {each: scene.time(each) for each in self._shown.values()} if ahead else {}
        self._anew: set[int] = set()  # segments of which the scene may hold what the session has refused

    def identifier(self, state: SegmentState | None) -> str:
        """The scene's identifier of a segment, empty if it is not shown."""
        return "" if state is None else self._shown.get(state.id, "")

    def state(self, identifier: str) -> SegmentState | None:
        """The session's segment behind an identifier."""
        known = (state for state in self._session.segments if self.identifier(state) == identifier)
        return next(known, None) if identifier else None

    def show(self, boxes: Mapping[int, Sequence[Box]] | None = None) -> None:
        """Make the scene show the session: which segments there are, what is said about them, and voxels.

        Args:
            boxes: By segment id, which voxels changed; None for all.
        """
        segments, present = self._session.segments, set(self._scene.identifiers())
        for gone in set(self._shown) - {state.id for state in segments}:
            identifier = self._shown.pop(gone)
            if identifier in present:
                self._scene.remove(identifier)
        for state in segments:
            identifier = self.identifier(state)
            changed = None if boxes is None else boxes.get(state.id, [])
            if identifier not in present:
                identifier, changed = self._scene.add(state.label), None
                self._shown[state.id] = identifier
            self._scene.draw(identifier, state.mask, [EVERYWHERE] if state.id in self._anew else changed)
            if self._scene.look(identifier) != (look := Look.of(state)):
                self._scene.describe(identifier, look)
            self._times[identifier] = self._scene.time(identifier)
        self._anew.clear()

    def pull(self, tool: str = "") -> bool:
        """Turn what others changed in the scene into steps of the session; tell whether there was anything.

        Args:
            tool: The program's own tool that is in use, if any.

        Raises:
            EdgeFlowError: The session refuses a change (a locked segment, an overlong name); call :meth:`show` then.
        """
        present = self._scene.identifiers()
        gone = [number for number, identifier in self._shown.items() if identifier not in present]
        for number in gone:
            del self._shown[number]
            self._session.remove_segment(number)
        known, found = set(self._shown.values()), bool(gone)
        for identifier in present:
            if identifier not in known:
                self._adopt(identifier)
                found = True
            elif (time := self._scene.time(identifier)) != self._times.get(identifier):
                state = self.state(identifier)
                if state is not None:  # else the next showing removes it
                    self._times[identifier] = time
                    self._compare(state, identifier, tool)
                    found = True
        return found

    def _adopt(self, identifier: str) -> None:
        look, mask = self._scene.look(identifier), self._scene.mask(identifier)
        category, kind = look.codes or (None, None)
        name, voxels = look.name[:64] or "Segment", mask if mask.any() else None
        state = self._session.add_segment(name, voxels, colour=look.colour, category=category, type=kind)
        self._shown[state.id] = identifier

    def _compare(self, state: SegmentState, identifier: str, tool: str) -> None:
        look = self._scene.look(identifier)
        if look.name != state.label:
            self._session.rename_segment(state, look.name)
        codes = look.codes or (state.category, state.type)
        if look.colour != state.colour or terminology(*codes) != terminology(state.category, state.type):
            self._session.set_segment(state, colour=look.colour, category=codes[0], type=codes[1])
        if look.locked != state.locked:
            self._session.lock(state, look.locked)
        mask = self._scene.mask(identifier)
        if not np.array_equal(mask, state.mask):
            self._session.edit(mask, state, tool or "Edit", hard=tool in BY_HAND)
            self._anew.add(state.id)


def pasted(part: NDArray[np.bool_], corner: Sequence[int], shape: Sequence[int]) -> NDArray[np.bool_]:
    """A mask of a shape ``(K, J, I)`` that holds a part of it at a corner; what would lie outside is cut off."""
    mask = np.zeros(tuple(shape), np.bool_)
    low = np.maximum(corner, 0)
    high = np.minimum(np.add(corner, part.shape), shape)
    if (high > low).all():
        mask[tuple(map(slice, low, high))] = part[tuple(map(slice, low - corner, high - corner))]
    return mask
