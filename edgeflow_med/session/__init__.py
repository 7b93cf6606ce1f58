"""A session: one volume, its segments, and everything that the reader did to them, journalled and undoable."""

from edgeflow_med.session.history import Branch
from edgeflow_med.session.journal import read_journal
from edgeflow_med.session.ledger import Change
from edgeflow_med.session.prompting import Question
from edgeflow_med.session.segments import MAX_SEGMENTS
from edgeflow_med.session.session import Session
from edgeflow_med.session.state import Overlap, SegmentState, SliceState, SliceStatus

__all__ = [
    "MAX_SEGMENTS",
    "Branch",
    "Change",
    "Overlap",
    "Question",
    "SegmentState",
    "Session",
    "SliceState",
    "SliceStatus",
    "read_journal",
]
