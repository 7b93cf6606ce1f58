from __future__ import annotations

import pytest

from edgeflow_med.session import Session
from tests.session.watched import Watcher
from tests.strategies import scan


@pytest.fixture
def session() -> Session:
    at_work = Session(scan(), Watcher(), window="0,1000", journal=False)
    at_work.add_segment("One")
    return at_work
