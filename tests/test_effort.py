"""Effort is counted from a journal alone: acts that were made, time without pauses, slices as they stand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from edgeflow_med.effort import case_effort
from edgeflow_med.errors import ReadError, UsageError
from edgeflow_med.session import Session
from edgeflow_med.tables import write_table
from tests.strategies import Grower, scan


class Clock:
    """The time that journals are told, in seconds after some moment."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds = 0.0
        monkeypatch.setattr("edgeflow_med.session.journal._now", self.now)

    def now(self) -> str:
        moment = datetime(2026, 1, 1, 23, 59, tzinfo=UTC) + timedelta(seconds=self.seconds)
        return moment.isoformat(timespec="milliseconds")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def begin(tmp_path: Path, *labels: str) -> Session:
    session = Session(scan(), Grower(), window="0,1000", case_dir=tmp_path / "case", reader="r1", policy="allow")
    for label in labels:
        session.add_segment(label)
    return session


def test_acts_count_also_when_they_were_undone(tmp_path: Path) -> None:
    with begin(tmp_path, "One", "Two") as session:
        one, two = session.segments
        session.click((3, 4, 5), segment=one)
        session.click((3, 6, 2), positive=False, segment=one)
        session.scribble([(2, 4, 5), (2, 4, 8)], segment=one)
        session.box((4, 1, 1), (4, 6, 8), segment=two)
        session.undo()
        session.paint(([(4, 4, 4), (4, 4, 6)], 2.0), two)
        session.edit(np.ones(session.volume.shape, bool), two)
        session.delete_prompt(one, None, 3, 1)
    first, second, whole = case_effort(tmp_path / "case")
    assert (first.label, first.clicks, first.strokes, first.edits, first.slices_touched) == ("One", 2, 1, 0, 2)
    assert (second.label, second.clicks, second.strokes, second.edits, second.slices_touched) == ("Two", 0, 2, 1, 7)
    assert (whole.segment, whole.clicks, whole.strokes, whole.edits, whole.undone) == (None, 2, 3, 1, 1)
    assert whole.slices_touched == 9
    assert {entry.reader for entry in (first, second, whole)} == {"r1"}


def test_accepted_slices_count_as_they_stand_and_unmodified_if_no_hand_was_on_them(tmp_path: Path) -> None:
    with begin(tmp_path, "One") as session:
        session.click((3, 4, 5))
        for _ in session.propagate(limit=2):
            pass
        proposed = [index for _, index in session.segments[0].proposed]
        assert len(proposed) >= 2
        session.accept(3)
        session.accept(proposed[0])
        session.accept(proposed[1])
        painted = np.zeros(session.volume.shape[1:], bool)
        painted[0, 0] = True
        session.paint((proposed[1], painted))
        session.accept(proposed[1])
        whole = case_effort(tmp_path / "case")[-1]
        assert (whole.slices_accepted, whole.slices_accepted_unmodified, whole.propagations) == (3, 1, 1)
        session.undo()
        whole = case_effort(tmp_path / "case")[-1]
        assert (whole.slices_accepted, whole.slices_accepted_unmodified) == (2, 1)


def test_a_pause_counts_up_to_the_idle_limit_and_time_goes_to_what_was_done(tmp_path: Path, clock: Clock) -> None:
    with begin(tmp_path, "One", "Two") as session:
        one, two = session.segments
        for seconds, segment in ((10.0, one), (5000.0, two), (7.0, two)):
            clock.seconds += seconds
            session.rename_segment(segment, f"{segment.label} again")
        clock.seconds += 4.0
        session.undo()
    seconds = [entry.active_seconds for entry in case_effort(tmp_path / "case", 60)]
    assert seconds == pytest.approx([10, 60 + 7 + 4, 10 + 60 + 7 + 4])
    assert case_effort(tmp_path / "case", 5)[-1].active_seconds == pytest.approx(5 + 5 + 5 + 4)


def test_a_removed_segment_stays_in_the_count(tmp_path: Path) -> None:
    with begin(tmp_path, "One") as session:
        session.click((3, 4, 5))
        session.remove_segment()
    first, whole = case_effort(tmp_path / "case")
    assert (first.label, first.removed, first.clicks, whole.clicks) == ("One", True, 1, 1)


def test_branches_count_as_they_stand(tmp_path: Path) -> None:
    with begin(tmp_path, "One") as session:
        session.accept(3)
        session.undo()
        session.accept(4)
        session.accept(5)
        session.switch_branch(session.branches()[0].number)
        assert case_effort(tmp_path / "case")[-1].slices_accepted == 1
        session.undo()
        session.redo()
        assert case_effort(tmp_path / "case")[-1].slices_accepted == 1


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="no case"):
        case_effort(tmp_path)
    with begin(tmp_path), pytest.raises(UsageError, match="idle limit"):
        case_effort(tmp_path / "case", 0)


def test_rows_have_no_hidden_columns(tmp_path: Path) -> None:
    begin(tmp_path, "One").close()
    rows = [entry.row() for entry in case_effort(tmp_path / "case")]
    write_table(tmp_path / "e.csv", rows)
    assert (tmp_path / "e.csv").read_text("utf-8").splitlines()[0] == ",".join(rows[0])
