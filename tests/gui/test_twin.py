"""Segments of a session and of a program's scene stay alike, whoever changes them; the scene is a dictionary here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from numpy.typing import NDArray

from edgeflow_med.errors import UsageError
from edgeflow_med.gui.twin import CODES, NUMBER, TAGS, Look, Twin, pasted
from edgeflow_med.session import Session
from edgeflow_med.session.changes import Box
from edgeflow_med.session.state import SegmentState
from edgeflow_med.volume import Volume

SHAPE = (4, 10, 12)
LIVER = "General Anatomy list~SCT^123037004^Anatomical Structure~SCT^10200004^Liver~^^~Anatomic codes~^^~^^"


@dataclass
class Shown:
    """A segment of the scene."""

    look: Look
    mask: NDArray[np.bool_]
    time: int = 0
    drawn: list[Sequence[Box] | None] = field(default_factory=list)


class Scene:
    """Segments by name of a drawer."""

    def __init__(self) -> None:
        self.segments: dict[str, Shown] = {}
        self.described = 0

    def put(self, name: str, mask: NDArray[np.bool_] | None = None, **tags: str) -> str:
        """What a program does by itself."""
        identifier = f"S{len(self.segments)}"
        look = Look(name, (1, 2, 3), False, dict.fromkeys(TAGS, "") | tags)
        self.segments[identifier] = Shown(look, np.zeros(SHAPE, np.bool_) if mask is None else mask)
        return identifier

    def change(self, identifier: str, **values: object) -> None:
        """What a reader does in the program's own tables and tools."""
        shown = self.segments[identifier]
        shown.time += 1
        if "mask" in values:
            shown.mask = np.asarray(values.pop("mask"))
        shown.look = replace(shown.look, **values)

    def identifiers(self) -> list[str]:
        return list(self.segments)

    def time(self, identifier: str) -> int:
        return self.segments[identifier].time

    def look(self, identifier: str) -> Look:
        return self.segments[identifier].look

    def mask(self, identifier: str) -> NDArray[np.bool_]:
        return self.segments[identifier].mask.copy()

    def add(self, name: str) -> str:
        return self.put(name)

    def remove(self, identifier: str) -> None:
        del self.segments[identifier]

    def describe(self, identifier: str, look: Look) -> None:
        self.segments[identifier].look = look
        self.segments[identifier].time += 1
        self.described += 1

    def draw(self, identifier: str, mask: NDArray[np.bool_], boxes: Sequence[Box] | None) -> None:
        shown = self.segments[identifier]
        shown.drawn.append(boxes)
        for box in [...] if boxes is None else boxes:
            shown.mask[box] = mask[box]
            shown.time += 1


@pytest.fixture
def session() -> Session:
    return Session(Volume(np.zeros(SHAPE), np.eye(4)), journal=False, window="0,1")


@pytest.fixture
def scene() -> Scene:
    return Scene()


def square(k: int = 1) -> NDArray[np.bool_]:
    mask = np.zeros(SHAPE, np.bool_)
    mask[k, 2:6, 3:8] = True
    return mask


def only(session: Session) -> SegmentState:
    (state,) = session.segments
    return state


def test_what_the_session_has_is_shown_and_is_no_news(session: Session, scene: Scene) -> None:
    twin, state = Twin(session, scene), session.add_segment("Lesion", square())
    twin.show()
    (identifier,) = scene.identifiers()
    assert scene.look(identifier) == Look.of(state)
    np.testing.assert_array_equal(scene.mask(identifier), square())
    assert twin.identifier(state) == identifier
    assert twin.state(identifier) is state
    assert twin.state("") is None
    assert not twin.pull()
    assert session.history == ("Add Segment",)


def test_only_changed_boxes_are_drawn_and_only_changed_words_said(session: Session, scene: Scene) -> None:
    twin, state = Twin(session, scene), session.add_segment("Lesion", square())
    twin.show()
    session.paint((2, square()[1]), state)
    box = (slice(2, 3), slice(2, 6), slice(3, 8))
    described = scene.described
    twin.show({state.id: [box], 0: []})
    assert scene.segments["S0"].drawn == [None, [box]]
    np.testing.assert_array_equal(scene.mask("S0"), state.mask)
    assert scene.described == described + 1  # it was imported, and now some of it is by hand
    twin.show({0: []})
    assert scene.described == described + 1
    assert scene.segments["S0"].drawn[-1] == []


def test_removed_by_the_session(session: Session, scene: Scene) -> None:
    twin, state = Twin(session, scene), session.add_segment("Lesion")
    twin.show()
    session.remove_segment(state)
    twin.show({})
    assert scene.identifiers() == []
    session.undo()
    twin.show({})
    assert [scene.look(each).name for each in scene.identifiers()] == ["Lesion"]


def test_removed_in_the_scene(session: Session, scene: Scene) -> None:
    twin = Twin(session, scene)
    session.add_segment("Lesion", square())
    twin.show()
    scene.remove("S0")
    assert twin.pull()
    assert session.history[-1] == "Remove Segment"
    session.undo()
    twin.show({})
    np.testing.assert_array_equal(scene.mask("S0"), square())


def test_a_locked_segment_that_is_removed_comes_back(session: Session, scene: Scene) -> None:
    twin, state = Twin(session, scene), session.add_segment("Lesion", square())
    session.lock(state)
    twin.show()
    scene.remove("S0")
    with pytest.raises(UsageError, match="is locked"):
        twin.pull()
    twin.show()
    np.testing.assert_array_equal(scene.mask(twin.identifier(state)), square())


@pytest.mark.parametrize(("name", "label"), [("Organ", "Organ"), ("", "Segment"), ("x" * 70, "x" * 64)])
def test_what_the_scene_has_is_taken_over(session: Session, scene: Scene, name: str, label: str) -> None:
    scene.put(name, square(), **{CODES: LIVER})
    twin = Twin(session, scene)
    assert twin.pull()
    state = only(session)
    assert (state.label, state.colour, state.type.meaning, state.algorithm_type) == (
        label,
        (1, 2, 3),
        "Liver",
        "AUTOMATIC",
    )
    np.testing.assert_array_equal(state.mask, square())
    twin.show()
    assert scene.identifiers() == ["S0"]
    assert not twin.pull()


@pytest.mark.parametrize(
    ("change", "told", "step"),
    [
        ({"name": "Metastasis"}, lambda state: state.label == "Metastasis", "Rename Segment"),
        ({"colour": (9, 8, 7)}, lambda state: state.colour == (9, 8, 7), "Describe Segment"),
        ({"locked": True}, lambda state: state.locked, "Lock Segment"),
    ],
)
def test_what_is_said_in_the_scene_is_a_step(
    session: Session, scene: Scene, change: dict[str, object], told: Callable[[SegmentState], bool], step: str
) -> None:
    twin, state = Twin(session, scene), session.add_segment("Lesion")
    twin.show()
    scene.change("S0", **change)
    assert twin.pull()
    assert told(state)
    assert session.history[1:] == (step,)
    session.undo()
    twin.show({})
    assert scene.look("S0") == Look.of(state)


def test_codes_in_other_words_are_the_same(session: Session, scene: Scene) -> None:
    twin, state = Twin(session, scene), session.add_segment("Lesion")
    twin.show()
    scene.change("S0", tags={**scene.look("S0").tags, CODES: LIVER})
    twin.pull()
    assert state.type.meaning == "Liver"
    twin.show({})
    scene.change("S0", tags={**scene.look("S0").tags, CODES: LIVER})
    twin.pull()
    assert session.history == ("Add Segment", "Describe Segment")
    scene.change("S0", tags={**scene.look("S0").tags, CODES: ""})  # none at all says nothing
    twin.pull()
    assert state.type.meaning == "Liver"


@pytest.mark.parametrize("tool", ["Paint", "Islands", ""])
def test_what_another_tool_draws_is_one_step_and_by_hand_only_if_it_is(
    session: Session, scene: Scene, tool: str
) -> None:
    twin, state = Twin(session, scene), session.add_segment("Lesion")
    twin.show()
    scene.change("S0", mask=square(2))
    assert twin.pull(tool)
    np.testing.assert_array_equal(state.mask, square(2))
    assert session.history[-1] == (tool or "Edit")
    assert (state.algorithm_type == "MANUAL") == (tool == "Paint")


def test_what_the_session_refuses_is_drawn_over(session: Session, scene: Scene) -> None:
    twin = Twin(session, scene)
    session.add_segment("First", square())
    session.add_segment("Second")
    twin.show()
    scene.change("S1", mask=np.ones(SHAPE, np.bool_))  # over its neighbour, which keeps what it has
    assert twin.pull("Threshold")
    twin.show({})
    np.testing.assert_array_equal(scene.mask("S1"), ~square())


@pytest.mark.parametrize("ahead", [False, True])
def test_who_is_right_after_a_scene_was_read(session: Session, scene: Scene, ahead: bool) -> None:
    state = session.add_segment("Lesion", square())
    scene.put("Lesion", square(2), **{NUMBER: str(state.id)})
    twin = Twin(session, scene, ahead=ahead)
    twin.pull()
    twin.show()
    right = square() if ahead else square(2)
    np.testing.assert_array_equal(state.mask, right)
    np.testing.assert_array_equal(scene.mask("S0"), right)
    assert len(session.segments) == len(scene.segments) == 1


def test_a_number_of_another_session_is_no_number(session: Session, scene: Scene) -> None:
    scene.put("Old", square(), **{NUMBER: "7"})
    scene.put("Odd", square(2), **{NUMBER: "?"})
    Twin(session, scene).pull()
    assert [state.label for state in session.segments] == ["Old", "Odd"]


@pytest.mark.parametrize("corner", [(0, 0, 0), (2, 3, 4), (-1, -2, 3), (-2, -2, -2), (3, 9, 11), (9, 0, 0)])
def test_a_part_is_pasted_where_it_belongs(corner: tuple[int, int, int]) -> None:
    part = np.random.default_rng(0).random((2, 3, 4)) < 0.5
    wanted = np.zeros((20, 20, 20), np.bool_)
    inside = tuple(slice(5 + c, 5 + c + n) for c, n in zip(corner, part.shape, strict=True))
    wanted[inside] = part
    np.testing.assert_array_equal(pasted(part, corner, SHAPE), wanted[5:9, 5:15, 5:17])
