"""What is drawn follows the session through prompts, propagation, review and undo, and touches changed slices only."""

from __future__ import annotations

import numpy as np
import pytest

from edgeflow_med.gui.display import EdgeMap, Mark, PromptMap, ProposalMap, review_bar
from edgeflow_med.session import Session
from edgeflow_med.volume import Volume
from tests.gui.seat import DISK, SHAPE
from tests.region_growing import RegionGrower

AFFINE = np.array([[0, 0, 0.8, -20], [0, 0.8, 0, 9], [3.0, 0, 0, 40], [0, 0, 0, 1]])


@pytest.fixture
def session() -> Session:
    array = np.zeros(SHAPE, np.float32)
    array[1:8] = DISK
    session = Session(Volume(array, AFFINE), RegionGrower(), window="0,1", journal=False)
    session.add_segment("Lesion")
    return session


def test_the_bar_marks_every_slice(session: Session) -> None:
    segment = session.segments[0]
    assert review_bar(None, 0, 9) == review_bar(segment, 0, 9) == [(Mark.NONE, 9)]
    session.click((4, 20, 24))
    list(session.propagate())
    session.accept(5)
    session.flag(6)
    proposed = {key[1]: known.quality or 0 for key, known in segment.slices.items() if key[1] in (1, 2, 3, 7)}
    sure = {index: Mark.PROPOSED if quality >= 0.75 else Mark.UNSURE for index, quality in proposed.items()}
    wanted = [Mark.NONE, sure[1], sure[2], sure[3], Mark.ANNOTATED, Mark.ACCEPTED, Mark.UNSURE, sure[7], Mark.NONE]
    assert [mark for mark, length in review_bar(segment, 0, 9) for _ in range(length)] == wanted


def test_dots_lie_on_their_prompts(session: Session) -> None:
    drawn = PromptMap()
    session.click((4, 20, 24))
    session.scribble([(2, 20, 20), (2, 20, 21), (2, 20, 30)], positive=False)
    click, scribble = (1, (0, 4), 0), (1, (0, 2), 0)
    assert drawn.update(session) == ([], [click, scribble])
    (only,), (first, second) = drawn.dots[click], drawn.dots[scribble]
    assert (only.positive, first.positive, second.positive) == (True, False, False)
    for dot, index in ((only, (4, 20, 24)), (first, (2, 20, 20)), (second, (2, 20, 30))):
        np.testing.assert_allclose(dot.position, session.volume.position(index))
    near = session.volume.position((4, 20, 25))
    assert drawn.at(near, 1.0) == click
    assert drawn.at(near, 0.5) is None


def test_dots_follow_the_session(session: Session) -> None:
    drawn = PromptMap()
    session.click((4, 20, 24))
    session.click((4, 14, 24), positive=False)
    session.click((4, 26, 24), positive=False)
    drawn.update(session)
    session.delete_prompt(None, None, 4, 1)
    gone, new = drawn.update(session)
    assert gone == [(1, (0, 4), 1), (1, (0, 4), 2)]
    assert new == [(1, (0, 4), 1)]
    np.testing.assert_allclose(drawn.dots[1, (0, 4), 1][0].position, session.volume.position((4, 26, 24)))
    assert drawn.update(session) == ([], [])
    session.undo()
    session.undo()
    drawn.update(session)
    assert set(drawn.dots) == {(1, (0, 4), 0), (1, (0, 4), 1)}
    session.remove_segment()
    drawn.update(session)
    assert drawn.dots == {}
    assert drawn.at((0, 0, 0), 1e9) is None


def test_proposals_follow_the_session(session: Session) -> None:
    drawn = ProposalMap(np.zeros(SHAPE, np.uint8))
    segment = session.segments[0]

    def check() -> None:
        drawn.update(session.segments, boxes)
        boxes.clear()
        wanted = np.zeros(SHAPE, bool)
        for _, index in segment.proposed:
            wanted[index] = segment.mask[index]
        np.testing.assert_array_equal(drawn.array, wanted)

    boxes: dict[int, list[tuple[slice, slice, slice]]] = {}
    session.subscribe(lambda change: [boxes.setdefault(s, []).append(box) for s, box in change.regions] and None)
    session.click((4, 20, 24))
    check()
    assert not drawn.array.any()
    list(session.propagate())
    check()
    assert drawn.array.any((1, 2)).sum() == 6
    session.accept(5)
    check()
    session.click((6, 20, 24))
    check()
    for _ in range(3):
        session.undo()
        check()
    session.redo()
    check()
    assert drawn.update(session.segments, {}) is False


def test_edges_follow_the_answers(session: Session) -> None:
    drawn = EdgeMap(np.zeros(SHAPE, np.uint8))
    change = session.click((4, 20, 24))
    assert change.answer is not None
    assert drawn.update(session.segments[0])
    np.testing.assert_array_equal(drawn.array[4], np.round(change.answer.edge * 255))
    assert drawn.array[4].max() > 200
    assert not drawn.update(session.segments[0])
    session.undo()
    assert drawn.update(session.segments[0])
    assert not drawn.array.any()
    session.redo()
    drawn.update(session.segments[0])
    drawn.update(None)
    assert not drawn.array.any()
