"""What each action of a session does to a slice: questions and answers, deleting prompts, paint."""

from __future__ import annotations

import numpy as np
import pytest

from edgeflow_med.errors import GeometryError, PromptError, StaleQuestion, UsageError
from edgeflow_med.predictors.base import Prediction
from edgeflow_med.prompts import Click
from edgeflow_med.session import Change, Session
from edgeflow_med.session.changes import PackedPrediction
from edgeflow_med.session.painting import brush
from edgeflow_med.terminology import find
from edgeflow_med.volume import Volume
from tests.region_growing import Follower, disk
from tests.session.watched import MIDDLE, Watcher
from tests.strategies import SHAPE, Grower, box_mask, scan, snapshot

# ---- answers


def test_an_answer_at_8_bits_keeps_its_mask_exactly() -> None:
    rows = np.array([0, 0.4999, 0.5, 0.5001, 127.4 / 255, 127.6 / 255, 1], np.float32)
    packed = PackedPrediction.of(Prediction(rows[None].repeat(2, 0), np.zeros((2, 7), np.float32), 0.5))
    again = packed.unpack()
    assert again.mask[0].tolist() == (rows >= 0.5).tolist()
    assert np.abs(again.probability[0] - rows).max() <= 0.51 / 255 + 1e-6
    assert PackedPrediction.of(again) == packed


def test_the_previous_answer_is_made_to_agree_with_what_stands(session: Session) -> None:
    session.click(MIDDLE)
    hole = np.zeros(SHAPE[1:], bool)
    hole[4, 6:8] = session.mask()[3, 4, 6:8]
    assert hole.any()
    session.paint((3, hole), erase=True)
    session.click((3, 5, 5))
    assert isinstance(session.predictor, Watcher)
    previous = session.predictor.seen[-1].previous
    assert previous is not None
    assert (previous.probability[hole] == 0).all()
    assert previous.mask.any()


def test_a_question_can_be_answered_elsewhere_and_later(session: Session) -> None:
    heard: list[Change] = []
    end = session.subscribe(heard.append)
    question = session.ask(Click(MIDDLE))
    assert heard == []
    prediction = Grower().predict(question.request)
    change = session.answer(question, prediction)
    assert heard == [change]
    assert change.answer is not None
    np.testing.assert_array_equal(change.answer.mask, session.mask()[3])
    with pytest.raises(StaleQuestion, match="answered"):
        session.answer(question, prediction)
    end()
    session.undo()
    assert len(heard) == 1


def test_a_late_answer_is_refused_and_changes_nothing(session: Session) -> None:
    question, dropped = session.ask(Click(MIDDLE)), session.ask(Click((2, 4, 5)))
    session.drop(dropped)
    with pytest.raises(StaleQuestion, match="dropped"):
        session.answer(dropped, Grower().predict(dropped.request))
    session.rename_segment(None, "Two")
    before = snapshot(session)
    with pytest.raises(StaleQuestion, match="moved on"):
        session.answer(question, Grower().predict(question.request))
    assert snapshot(session) == before


def test_an_answer_of_another_shape_is_refused(session: Session) -> None:
    wrong = np.zeros((2, 2), np.float32)
    with pytest.raises(GeometryError, match=r"\(2, 2\)"):
        session.answer(session.ask(Click(MIDDLE)), Prediction(wrong, wrong, 0.0))


def test_all_prompts_of_a_slice_are_handed_on_in_its_pixels(session: Session) -> None:
    session.box((3, 2, 2), (3, 6, 8))
    session.lasso([(3, 2, 2), (3, 6, 8), (3, 2, 8)])
    session.line((3, 4, 4), (3, 5, 7))
    session.scribble([(3, 4, 4), (3, 5, 7)], positive=False, width_mm=1.6)
    assert isinstance(session.predictor, Watcher)
    box, lasso, line, scribble = session.predictor.seen[-1].strokes
    assert box.closed
    assert box.points == ((1.5, 1.5), (1.5, 8.5), (6.5, 8.5), (6.5, 1.5))
    assert (lasso.closed, lasso.points) == (True, ((2, 2), (6, 8), (2, 8)))
    assert (line.closed, line.positive) == (False, True)
    np.testing.assert_allclose(line.points, [(4.08, 4.24), (4.92, 6.76)])  # off the outline on which its ends lie
    assert (scribble.positive, scribble.width) == (False, pytest.approx(2.0))
    assert session.history[-4:] == ("Box", "Lasso", "Line", "Scribble")


def test_without_a_predictor_all_but_prompts_works() -> None:
    session = Session(scan(), journal=False)
    session.add_segment("One", box_mask(((1, 1, 1), (3, 3, 3))))
    for act in (lambda: session.click(MIDDLE), session.propagate):
        with pytest.raises(UsageError, match="load_predictor"):
            act()
    session.paint((MIDDLE[0], np.ones(SHAPE[1:], bool)))
    session.undo()
    session.predictor = Grower()
    assert session.click(MIDDLE).answer is not None


# ---- propagation


@pytest.fixture
def grey() -> Session:
    """Nothing shows on it, and somebody has painted a disk on the middle slice."""
    volume = Volume(np.full((41, 64, 72), 500, np.int16), np.diag([1.0, 1, 1, 1]), "MR")
    session = Session(volume, Follower(), window="0,1000", journal=False)
    session.add_segment("Lesion")
    session.paint((20, disk((64, 72), (30, 40), 12)))
    return session


def reach(session: Session, **options: bool) -> int:
    """How many slices propagation fills; it is taken back."""
    found = sum(step.prediction is not None for step in session.propagate(**options))
    session.undo()
    return found


def test_what_a_segment_shows_decides_whether_it_gets_smaller_like_a_lesion(grey: Session) -> None:
    lesion, other = reach(grey, lesion=True), reach(grey, lesion=False)
    assert 20 < lesion < other == 40
    assert reach(grey) == lesion
    grey.rename_segment(None, "Aorta")  # DICOM's table knows what that is, whatever the default code says
    assert reach(grey) == other
    assert reach(grey, lesion=True) == lesion
    grey.rename_segment(None, "What Dr. Rossi saw")
    assert reach(grey) == lesion
    kidney = find("kidney")
    grey.set_segment(None, category=kidney.category, type=kidney.type)
    assert reach(grey) == other


# ---- deleting prompts


def test_deleting_a_prompt_answers_the_slice_from_what_is_left(session: Session) -> None:
    fresh = Session(scan(), Grower(), window="0,1000", journal=False)
    fresh.add_segment("One")
    fresh.click(MIDDLE)
    session.click(MIDDLE)
    session.click((3, 1, 1), positive=True)
    assert session.mask()[3, 1, 1]
    change = session.delete_prompt(None, None, 3, 1)
    assert change.name == "Delete Click"
    np.testing.assert_array_equal(session.mask(), fresh.mask())
    assert session.segments[0].slices[0, 3].prompts == (Click(MIDDLE),)
    session.delete_prompt(None, None, 3, 0)
    assert not session.mask().any()
    assert session.segments[0].slices == {}
    with pytest.raises(PromptError, match="0 prompts"):
        session.delete_prompt(None, None, 3, 0)
    session.undo()
    np.testing.assert_array_equal(session.mask(), fresh.mask())


def test_deleting_all_prompts_gives_back_what_was_there_before_them() -> None:
    session = Session(scan(), Watcher(), window="0,1000", journal=False)
    session.add_segment("One", box_mask(((2, 2, 2), (4, 6, 6))))
    before = session.mask()
    session.click((3, 4, 8))
    session.click((3, 1, 1), positive=False)
    session.delete_prompt(None, None, 3, 0)
    assert isinstance(session.predictor, Watcher)
    previous = session.predictor.seen[-1].previous
    assert previous is not None
    np.testing.assert_array_equal(previous.mask, before[3])
    session.paint((5, np.ones(SHAPE[:2], bool)), plane="sagittal")
    session.delete_prompt(None, None, 3, 0)
    painted = before.copy()
    painted[:, :, 5] = True
    np.testing.assert_array_equal(session.mask(), painted)


def test_a_voxel_stays_fixed_while_another_prompt_says_so(session: Session) -> None:
    session.click(MIDDLE)
    session.click((3, 0, 0))
    session.click((3, 0, 0))
    session.delete_prompt(None, None, 3, 1)
    session.edit(np.zeros(SHAPE, bool), name="Clear")
    assert session.mask()[3, 0, 0]


def test_paint_stays_when_the_prompt_beneath_is_deleted(session: Session) -> None:
    session.click(MIDDLE)
    session.paint(([MIDDLE], 0.1))
    session.delete_prompt(None, None, 3, 0)
    assert np.argwhere(session.mask()).tolist() == [list(MIDDLE)]


# ---- paint


def test_paint_is_a_hard_constraint_until_undone(session: Session) -> None:
    rim = np.zeros(SHAPE[1:], bool)
    rim[0] = True
    session.paint((3, rim))
    session.click(MIDDLE)
    session.click((3, 1, 5), positive=False)
    assert session.mask()[3, 0].all()
    session.paint((3, rim), erase=True)
    session.click(MIDDLE)
    assert not session.mask()[3, 0].any()
    assert session.segments[0].slices[0, 3].edited


def test_a_brush_is_round_in_millimetres() -> None:
    painted = brush((21, 41), [(10, 20)], 8.0, (1.0, 0.5))
    rows, columns = np.nonzero(painted)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (6, 14, 12, 28)
    assert painted.sum() * 0.5 == pytest.approx(np.pi * 16, rel=0.05)
    line = brush((21, 41), [(10, 5), (10, 35)], 2.0, (1.0, 0.5))
    assert line.sum(0)[5:36].tolist() == [3] * 31
    np.testing.assert_array_equal(line, line[::-1])
    np.testing.assert_array_equal(line, brush((21, 41), [(10, 35), (10, 5)], 2.0, (1.0, 0.5)))


def test_a_stroke_and_a_mask_paint_the_same(session: Session) -> None:
    points = [(3, 2, 2), (3, 5, 7)]
    session.paint((points, 2.0), plane="axial")
    stroke = session.mask()
    session.undo()
    session.paint(stroke)
    np.testing.assert_array_equal(session.mask(), stroke)
    session.undo()
    session.paint((3, stroke[3]))
    np.testing.assert_array_equal(session.mask(), stroke)


def test_an_edit_by_a_tool_gives_way_to_the_hand(session: Session) -> None:
    corner = np.zeros(SHAPE[1:], bool)
    corner[0, 0] = True
    session.paint((3, corner))
    everything = np.ones(SHAPE, bool)
    session.edit(~everything, name="Threshold")
    assert np.argwhere(session.mask()).tolist() == [[3, 0, 0]]
    session.edit(~everything, name="Scissors", hard=True)
    assert not session.mask().any()
    assert session.history[-1] == "Scissors"
    session.edit(everything, name="Fill")
    assert np.argwhere(~session.mask()).tolist() == [[3, 0, 0]]
