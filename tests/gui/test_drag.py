"""A hand that trembles clicks, one that moves draws."""

from __future__ import annotations

import pytest

from edgeflow_med.gui.drag import Drag


@pytest.mark.parametrize(
    ("moves", "path"),
    [
        ([], [(10, 20)]),
        ([(13, 20), (10, 17)], [(10, 20)]),  # less than four pixels
        ([(11, 20), (14, 20), (12, 20)], [(10, 20), (11, 20), (14, 20), (12, 20)]),
        ([(10, 24), (10, 24)], [(10, 20), (10, 24)]),  # staying is not moving
    ],
)
def test_what_the_button_draws(moves: list[tuple[int, int]], path: list[tuple[int, int]]) -> None:
    drag = Drag()
    drag.press((10, 20))
    for at in moves:
        drag.move(at)
    assert drag.release() == path
    assert drag.path == []


def test_a_stroke_is_told_as_soon_as_it_is_one() -> None:
    drag = Drag()
    assert not drag.move((1, 1))
    drag.press((0, 0))
    assert [drag.move(at) for at in ((1, 1), (5, 1), (5, 1), (2, 1))] == [False, True, False, True]


def test_without_a_press_there_is_nothing_to_release() -> None:
    drag = Drag()
    drag.move((50, 50))
    assert drag.release() == []


def test_a_second_press_begins_anew() -> None:
    drag = Drag()
    drag.press((0, 0))
    drag.move((9, 9))
    drag.press((30, 30))
    assert drag.release() == [(30, 30)]
