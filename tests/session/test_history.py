"""The tree of what was done and undone."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeflow_med.errors import UsageError
from edgeflow_med.session import Branch, Change, Session
from tests.strategies import Grower, scan, snapshot


@pytest.fixture
def session() -> Session:
    at_work = Session(scan(), Grower(), window="0,1000", journal=False)
    at_work.add_segment("One")
    return at_work


def test_undo_and_redo_tell_what_they_did(session: Session) -> None:
    assert session.history == ("Add Segment",)
    session.click((3, 4, 5))
    undone = session.undo()
    assert isinstance(undone, Change)
    assert (undone.name, undone.kind, undone.segments) == ("Click", "undo", (1,))
    assert {segment for segment, _ in undone.regions} == {1}
    assert session.redo_names == ("Click",)
    redone = session.redo()
    assert redone
    assert redone.kind == "redo"
    assert session.redo() is False
    while session.undo():
        pass
    assert session.segments == ()
    assert session.undo() is False


def test_redo_follows_the_branch_that_was_left_last(session: Session) -> None:
    session.rename_segment(1, "Two")
    session.undo()
    session.rename_segment(1, "Three")
    session.rename_segment(1, "Four")
    session.undo()
    session.undo()
    session.redo()
    assert session.segments[0].label == "Three"


def test_an_abandoned_branch_is_kept_and_can_be_gone_back_to(session: Session) -> None:
    session.click((3, 4, 5))
    session.paint((3, session.mask()[3] ^ True))
    left = snapshot(session)
    session.undo()
    session.undo()
    session.rename_segment(1, "Two")
    new = snapshot(session)
    (branch,) = session.branches()
    assert branch == Branch(branch.number, ("Click", "Paint"))
    change = session.switch_branch(branch.number)
    assert change
    assert change.kind == "switch"
    assert snapshot(session) == left
    assert session.history == ("Add Segment", "Click", "Paint")
    (other,) = session.branches()
    assert other.names == ("Rename Segment",)
    session.switch_branch(other.number)
    assert snapshot(session) == new
    with pytest.raises(UsageError, match="no branch 99"):
        session.switch_branch(99)


def test_what_changes_nothing_is_no_step(session: Session) -> None:
    session.click((3, 4, 5))
    session.accept(3)
    steps = session.history
    session.accept(3)
    session.accept()
    session.rename_segment(1, "One")
    session.lock(1, locked=False)
    session.policy = session.policy
    assert session.history == steps


def test_propagation_is_one_step_also_when_it_is_cancelled(session: Session) -> None:
    session.click((3, 4, 5))
    before = snapshot(session)
    steps = session.propagate()
    next(steps)
    next(steps)
    steps.close()  # type: ignore[attr-defined]
    assert session.history[-1] == "Propagate"
    assert len(session.segments[0].proposed) == 2
    session.undo()
    assert snapshot(session) == before


def test_a_cancelled_run_leaves_earlier_proposals_where_it_has_not_been(session: Session) -> None:
    session.click((3, 4, 5))
    list(session.propagate())
    first = session.segments[0].slices
    session.click((3, 6, 6))
    steps = session.propagate()
    reached = next(steps).index
    steps.close()  # type: ignore[attr-defined]
    after = session.segments[0].slices
    assert after.keys() == first.keys()
    assert {key for key in first if after[key] is not first[key]} == {(0, 3), (0, reached)}


def test_propagation_ends_when_something_else_is_done_meanwhile(session: Session) -> None:
    session.click((3, 4, 5))
    steps = session.propagate()
    first = next(steps)
    session.rename_segment(1, "Two")
    assert list(steps) == []
    assert session.segments[0].proposed == [(0, first.index)]
    assert session.history[-2:] == ("Propagate", "Rename Segment")


def test_the_tree_survives_a_resume(tmp_path: Path) -> None:
    case = tmp_path / "case"
    with Session(scan(), Grower(), window="0,1000", case_dir=case) as session:
        session.add_segment("One")
        session.click((3, 4, 5))
        session.undo()
        session.click((2, 4, 5))
        session.undo()
    with Session.resume(case, Grower(), scan()) as resumed:
        assert resumed.redo_names == ("Click",)
        (branch,) = resumed.branches()
        resumed.switch_branch(branch.number)
        assert list(resumed.segments[0].slices) == [(0, 3)]
    with Session.resume(case, volume=scan()) as again:
        assert list(again.segments[0].slices) == [(0, 3)]
        assert again.add_segment("Two").id == 2
