from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.gui.seat import Seat


@pytest.fixture
def seat() -> Iterator[Seat]:
    seat = Seat()
    yield seat
    seat.desk.close()
    seat.worker.stop()
