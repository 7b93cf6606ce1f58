"""What each action of a session does: paint, locks, neighbours, questions and answers, deleting prompts, review."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgeflow_med.errors import EdgeFlowError, GeometryError, PromptError, StaleQuestion, UsageError
from edgeflow_med.predictors.base import Prediction, SliceRequest
from edgeflow_med.prompts import Click
from edgeflow_med.segmentation import AlgorithmType, Code
from edgeflow_med.session import Change, Overlap, Session, SliceStatus
from edgeflow_med.session.changes import PackedPrediction
from edgeflow_med.session.painting import brush
from edgeflow_med.volume import Plane, Volume
from tests.strategies import SHAPE, Grower, box_mask, scan, snapshot

MIDDLE = (3, 4, 5)


class Watcher(Grower):
    """Keeps the requests."""

    def __init__(self) -> None:
        self.seen: list[SliceRequest] = []

    def predict(self, request: SliceRequest) -> Prediction:
        self.seen.append(request)
        return super().predict(request)


@pytest.fixture
def session() -> Session:
    at_work = Session(scan(), Watcher(), window="0,1000", journal=False)
    at_work.add_segment("One")
    return at_work


def status(session: Session, index: int, plane: Plane = Plane.AXIAL) -> SliceStatus | None:
    known = session.segments[0].slices.get((session.volume.axis(plane), index))
    return None if known is None else known.status


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


# ---- where segments meet


def two(policy: Overlap) -> Session:
    """A segment that fills the left half, and an empty one."""
    session = Session(scan(), Watcher(), window="0,1000", policy=policy, journal=False)
    session.add_segment("Left", box_mask(((0, 0, 0), (6, 8, 5))))
    session.add_segment("New")
    return session


@pytest.mark.parametrize("policy", list(Overlap))
def test_the_network_takes_from_a_neighbour_as_the_policy_says(policy: Overlap) -> None:
    session = two(policy)
    left, new = session.segments
    before = left.mask.copy()
    session.box((3, 0, 0), (3, 8, 10), segment=new)
    session.click((3, 4, 8), segment=new)
    assert new.mask.any()
    overlap, lost = (left.mask & new.mask).any(), (before & ~left.mask).any()
    assert overlap == (policy is Overlap.ALLOW)
    assert lost == (policy is Overlap.OVERWRITE)
    assert isinstance(session.predictor, Watcher)
    excluded = session.predictor.seen[-1].excluded
    assert (excluded is not None and excluded[:, :6].all()) == (policy is Overlap.KEEP_OTHERS)


@pytest.mark.parametrize("policy", list(Overlap))
def test_a_click_in_a_neighbour_is_obeyed_and_told(policy: Overlap) -> None:
    session = two(policy)
    left, new = session.segments
    change = session.click((3, 4, 2), segment=new)
    assert new.mask[3, 4, 2]
    assert left.mask[3, 4, 2] == (policy is Overlap.ALLOW)
    assert any("taken from other segments" in line for line in change.warnings) == (policy is not Overlap.ALLOW)


@pytest.mark.parametrize("policy", [Overlap.KEEP_OTHERS, Overlap.OVERWRITE])
def test_a_click_in_a_locked_voxel_is_on_record_and_told(policy: Overlap) -> None:
    session = two(policy)
    left, new = session.segments
    session.lock(left)
    before = left.mask.copy()
    change = session.click((3, 4, 2), segment=new)
    assert not new.mask[3, 4, 2]
    assert change.warnings == ("The click lies in a locked segment; nothing changes there.",)
    assert new.slices[0, 3].prompts == (Click((3, 4, 2)),)
    np.testing.assert_array_equal(left.mask, before)


def test_a_locked_segment_takes_no_prompt_and_no_paint(session: Session) -> None:
    session.click(MIDDLE)
    session.lock()
    before = snapshot(session)
    assert isinstance(session.predictor, Watcher)
    asked = len(session.predictor.seen)
    question = session.ask(Click((3, 6, 6)))
    answered = session.answer(question, Grower().predict(question.request))
    for change in (answered, session.click((3, 6, 6)), session.paint((3, np.ones(SHAPE[1:], bool)))):
        assert len(change.warnings) == 1
        assert "locked" in change.warnings[0]
        assert change.answer is None
    assert len(session.predictor.seen) == asked  # nobody waits for an answer that changes nothing
    assert snapshot(session) == before
    for act in (session.remove_segment, session.clear_segment, session.propagate):
        with pytest.raises(UsageError, match="unlock it first"):
            act()
    session.lock(locked=False)
    session.remove_segment()
    assert session.segments == ()


def test_the_editable_region_and_range_win_over_all(session: Session) -> None:
    region = np.zeros(SHAPE, bool)
    region[:, :, :5] = True
    session.editable_region = region
    session.editable_range = (300.0, 800.0)
    allowed = region & (session.volume.array >= 300) & (session.volume.array <= 800)
    change = session.paint((3, np.ones(SHAPE[1:], bool)))
    np.testing.assert_array_equal(session.mask()[3], allowed[3])
    assert "editable" in change.warnings[0]
    session.click((3, 4, 8))
    assert not (session.mask() & ~allowed).any()
    session.undo()
    session.undo()
    session.undo()
    assert session.editable_range is None
    assert session.editable_region is not None
    with pytest.raises(UsageError, match="empty"):
        session.editable_range = (2.0, 1.0)


# ---- review


def test_a_click_on_an_accepted_slice_reopens_it_and_undo_accepts_it_again(session: Session) -> None:
    session.click(MIDDLE)
    list(session.propagate(limit=1))
    session.accept()
    session.accept(3)
    assert [status(session, index) for index in (2, 3, 4)] == [SliceStatus.ACCEPTED] * 3
    session.undo()
    session.undo()
    session.accept([2, 3, 4])
    assert [status(session, index) for index in (2, 3, 4)] == [SliceStatus.ACCEPTED] * 3
    session.undo()  # one act, one step
    assert SliceStatus.ACCEPTED not in [status(session, index) for index in (2, 3, 4)]
    session.redo()
    session.click((3, 6, 6))
    assert status(session, 3) is SliceStatus.ANNOTATED
    session.undo()
    assert status(session, 3) is SliceStatus.ACCEPTED


def test_an_accepted_slice_is_reopened_when_another_plane_changes_it(session: Session) -> None:
    session.click(MIDDLE)
    session.accept(3)
    assert session.mask()[3, :, 5].any()
    session.paint((5, np.ones(SHAPE[:2], bool)), erase=True, plane="sagittal")
    assert status(session, 3) is SliceStatus.ANNOTATED
    session.undo()
    session.paint((5, session.mask()[:, :, 5] & (np.arange(7) != 3)[:, None]), plane="sagittal")
    assert status(session, 3) is SliceStatus.ACCEPTED  # nothing on it has changed


def test_review_begins_with_what_is_flagged_then_with_the_least_sure(session: Session) -> None:
    session.click(MIDDLE)
    list(session.propagate())
    known = session.segments[0].slices
    order = session.review_order()
    qualities = [known[0, index].quality for _, index in order]
    assert len(order) > 2
    assert qualities == sorted(qualities)  # type: ignore[type-var]
    last = order[-1]
    session.flag(last[1], comment="the rim")
    assert session.review_order()[0] == last
    first = session.next_to_review()
    assert first == (1, *last)
    second = session.next_to_review(after=first)
    assert second == (1, *order[0])
    session.accept(last[1])
    assert session.next_to_review() == second
    session.accept()
    assert session.next_to_review() is None
    assert known[0, last[1]].comment == ""
    assert session.segments[0].slices[0, last[1]].comment == "the rim"


def test_accepted_slices_alone_can_be_saved(session: Session) -> None:
    session.click(MIDDLE)
    list(session.propagate())
    assert session.segmentation().segments[0].unreviewed_slices == session.unreviewed() > 2
    session.accept(4)
    kept = session.segmentation(accepted_only=True)
    assert np.flatnonzero(kept.masks[0].any((1, 2))).tolist() == [3, 4]
    assert kept.segments[0].unreviewed_slices == 0
    np.testing.assert_array_equal(kept.masks[0][3:5], session.mask()[3:5])


def test_propagation_from_a_corrected_slice_stays_between_anchors() -> None:
    tube = np.where(box_mask(((0, 2, 3), (6, 6, 8))), 900, 100).astype(np.int16)
    session = Session(Volume(tube, scan().affine, "MR"), Grower(), window="0,1000", journal=False)
    session.add_segment("Tube")
    session.click(MIDDLE)
    list(session.propagate())
    session.accept(5)
    beyond = session.mask()[6]
    assert status(session, 6) is SliceStatus.PROPOSED
    session.click((4, 6, 6))
    list(session.propagate(starts=[4]))
    np.testing.assert_array_equal(session.mask()[6], beyond)
    assert status(session, 5) is SliceStatus.ACCEPTED


# ---- segments


def test_segments_say_what_they_are(session: Session) -> None:
    liver = Code("10200004", "SCT", "Liver")
    state = session.segments[0]
    session.set_segment(state, colour=(1, 2, 3), type=liver)
    assert (state.colour, state.type, state.category.value) == ((1, 2, 3), liver, "49755003")
    assert state.tracking_uid.startswith("2.25.")
    session.remove_segment(state)
    assert not state.exists
    assert session.add_segment("New").id == 2
    session.undo()
    session.undo()
    assert session.segments == (state,)
    assert state.colour == (1, 2, 3)


TRUTHS: dict[str, tuple[Callable[[Session], object], AlgorithmType]] = {
    "an import": (lambda _: None, AlgorithmType.AUTOMATIC),
    "an import, clicked": (lambda s: s.click((6, 4, 5)), AlgorithmType.SEMIAUTOMATIC),
    "an import, painted": (lambda s: s.paint((6, np.ones(SHAPE[1:], bool))), AlgorithmType.SEMIAUTOMATIC),
    "an import, locked and renamed": (lambda s: (s.lock(), s.rename_segment(1, "x")), AlgorithmType.AUTOMATIC),
    "paint alone": (lambda s: (s.clear_segment(), s.paint((6, np.ones(SHAPE[1:], bool)))), AlgorithmType.MANUAL),
    "paint undone": (lambda s: (s.paint((6, np.ones(SHAPE[1:], bool))), s.undo()), AlgorithmType.AUTOMATIC),
    "a tool": (lambda s: (s.clear_segment(), s.edit(np.ones(SHAPE, bool))), AlgorithmType.SEMIAUTOMATIC),
}


@pytest.mark.parametrize("case", TRUTHS)
def test_the_algorithm_type_tells_the_truth(case: str) -> None:
    act, expected = TRUTHS[case]
    session = Session(scan(), Grower(), window="0,1000", journal=False)
    session.add_segment("One", box_mask(((1, 1, 1), (3, 3, 3))))
    act(session)
    assert session.segmentation().segments[0].algorithm_type is expected


def test_a_segmentation_becomes_segments_and_comes_back() -> None:
    session = two(Overlap.ALLOW)
    session.click((3, 4, 2), segment=2)
    given = session.segmentation()
    other = Session(scan(), journal=False)
    other.add_segments(given)
    again = other.segmentation()
    for one, two_ in zip(given.segments, again.segments, strict=True):
        assert (one.label, one.colour, one.tracking_uid, one.algorithm_type) == (
            two_.label,
            two_.colour,
            two_.tracking_uid,
            two_.algorithm_type,
        )
    for mask, same in zip(given.masks, again.masks, strict=True):
        np.testing.assert_array_equal(mask, same)
    assert other.history == ("Add Segments",)
    other.undo()
    assert other.segments == ()


WRONG: dict[str, tuple[Callable[[Session], object], type[EdgeFlowError], str]] = {
    "slice too far": (lambda s: s.accept(7), UsageError, "no slice 7"),
    "unknown plane": (lambda s: s.accept(1, plane="oblique"), UsageError, "oblique"),
    "unknown policy": (lambda s: setattr(s, "policy", "fight"), UsageError, "fight"),
    "mask of another slice": (lambda s: s.paint((3, np.ones((2, 2), bool))), GeometryError, r"\(2, 2\)"),
    "mask of another volume": (lambda s: s.paint(np.ones((2, 2, 2), bool)), GeometryError, r"\(2, 2, 2\)"),
    "stroke over two slices": (lambda s: s.paint(([(1, 2, 3), (2, 2, 3)], 2.0)), PromptError, "one slice"),
    "stroke outside": (lambda s: s.paint(([(1, 2, 30)], 2.0)), PromptError, "outside"),
    "stroke of no width": (lambda s: s.paint(([(1, 2, 3)], 0.0)), PromptError, "width 0 mm"),
    "stroke to nowhere": (lambda s: s.paint(([(1, 2, float("nan"))], 2.0)), PromptError, "nan"),
    "stroke of nothing": (lambda s: s.paint(([], 2.0)), PromptError, "at least one point"),
    "no such segment": (lambda s: s.lock(7), UsageError, "does not belong"),
    "region of another volume": (
        lambda s: setattr(s, "editable_region", np.ones((1, 1, 1), bool)),
        GeometryError,
        "grid",
    ),
    "a long comment": (lambda s: s.comment(1, "x" * 1001), UsageError, "1001"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_use_is_refused_in_one_line(session: Session, case: str) -> None:
    act, error, message = WRONG[case]
    before = snapshot(session)
    with pytest.raises(error, match=message) as caught:
        act(session)
    assert "\n" not in str(caught.value)
    assert snapshot(session) == before


# ---- journal


def test_the_journal_says_what_happened_and_nothing_of_the_patient(tmp_path: Path) -> None:
    from pydicom import Dataset

    header = Dataset()
    secrets = {"PatientName": "Canary^Tweety", "PatientID": "CANARY-1", "PatientBirthDate": "19420131"}
    for keyword, value in secrets.items():
        setattr(header, keyword, value)
    header.SeriesInstanceUID = header.StudyInstanceUID = header.SOPInstanceUID = "1.2.3.4.999.777"
    header.AccessionNumber, header.InstitutionName = "CANARY-2", "Canary Hospital"
    volume = Volume(scan().array, scan().affine, "CT", "Canary", headers=(header,), warnings=("Canary warns",))
    with Session(volume, Grower(), case_dir=tmp_path / "case", reader="r07") as session:
        session.add_segment("Lesion")
        session.click(MIDDLE)
        session.paint((3, np.ones(SHAPE[1:], bool)))
        list(session.propagate())
    text = (tmp_path / "case" / "journal.jsonl").read_text("utf-8")
    for secret in (*secrets.values(), "Canary", "Tweety", "CANARY", "1.2.3.4.999.777"):
        assert secret not in text
    records = [json.loads(line) for line in text.splitlines()]
    assert [record["n"] for record in records] == list(range(1, len(records) + 1))
    prompt = next(record for record in records if record["type"] == "prompt")
    assert (prompt["segment"], prompt["plane"], prompt["slice"]) == (1, "axial", 3)
    assert prompt["prompt"] == {"type": "click", "index": list(MIDDLE), "positive": True}
    answered = next(record for record in records if record.get("prompt") == prompt["n"])
    assert answered["model"] == ["grower", "1"]
    assert answered["milliseconds"] > 0
    assert answered["window"] == str(session.window)
    assert len(answered["digest"]) == 32
    assert {record["reader"] for record in records} == {"r07"}


def test_a_volume_is_found_again_beside_its_case_and_another_one_refused(tmp_path: Path) -> None:
    from edgeflow_med import read_volume
    from edgeflow_med.io import save
    from edgeflow_med.segmentation import Segment, Segmentation

    def write(seed: int) -> Volume:
        mask = scan(seed).array > 500
        save(Segmentation(scan(), (Segment(1, "x"),), (mask,)), tmp_path / "data" / "scan.nii.gz")
        return read_volume(tmp_path / "data" / "scan.nii.gz")

    (tmp_path / "data").mkdir()
    with Session(write(0), Grower(), window="0,1", case_dir=tmp_path / "cases" / "a") as session:
        session.add_segment("One")
        session.click(MIDDLE)
        expected = snapshot(session)
    assert "data/scan.nii.gz" in (tmp_path / "cases" / "a" / "journal.jsonl").read_text()
    tmp_path.joinpath("cases").rename(tmp_path / "moved")  # a case and its data may move together
    with Session.resume(tmp_path / "moved" / "a") as resumed:
        assert snapshot(resumed) == expected
    write(1)
    with pytest.raises(GeometryError, match="not the volume of the case"):
        Session.resume(tmp_path / "moved" / "a")
    with pytest.raises(GeometryError, match="not the volume of the case"):
        Session.resume(tmp_path / "moved" / "a", volume=scan(1))


def test_a_case_that_nobody_named_lies_in_the_users_state_folder(state_folder: Path) -> None:
    with Session(scan()) as session:
        assert session.case_dir is not None
        assert session.case_dir.is_relative_to(state_folder)
        assert (session.case_dir / "journal.jsonl").stat().st_mode & 0o77 == 0
