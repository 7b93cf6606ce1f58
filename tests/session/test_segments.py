"""Segments of a session: where they meet, their review, what they say of themselves, and what the journal keeps."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgeflow_med.errors import EdgeFlowError, GeometryError, PromptError, UsageError
from edgeflow_med.prompts import Click
from edgeflow_med.segmentation import AlgorithmType, Code
from edgeflow_med.session import Overlap, Session, SliceStatus
from edgeflow_med.volume import Volume
from tests.session.watched import MIDDLE, Watcher, status
from tests.strategies import SHAPE, Grower, box_mask, scan, snapshot

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
