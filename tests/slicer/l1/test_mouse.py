"""Mouse events on the interactor of a real slice view, through to pixels."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tests.slicer.l1.bench import Reader, ball

BALL = ball() > 0


def test_a_click_is_seen_in_all_views(reader: Callable[..., Reader]) -> None:
    desk = reader()
    desk.look_at(12, 30, 40)
    assert not desk.painted(12, 33, 43)
    desk.click(12, 30, 40)
    np.testing.assert_array_equal(desk.mask()[12], BALL[12])
    assert desk.mask().sum() == BALL[12].sum()
    assert desk.painted(12, 33, 43)
    assert not desk.painted(12, 33, 55)
    assert desk.painted(12, 30, 43, view="Green")
    assert not desk.painted(10, 30, 43, view="Green")
    assert desk.painted(12, 33, 40, view="Yellow")
