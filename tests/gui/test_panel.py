"""What a panel shows of a desk: the values of its widgets, and how a button finds its method."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from edgeflow_med.errors import UsageError
from edgeflow_med.gui.panel import moment, perform, standing
from edgeflow_med.volume import Plane
from tests.gui.seat import Seat
from tests.slicer.test_contract import PANEL


def test_every_widget_that_is_set_is_in_the_panel(seat: Seat) -> None:
    widgets = {each.get("name") for each in ET.parse(PANEL).iter("widget")}
    assert {*standing(seat.desk), *moment(seat.desk)} <= widgets


def test_nothing_to_undo_at_first_then_the_last_step(seat: Seat) -> None:
    assert standing(seat.desk)["undoButton"] == {"enabled": False, "toolTip": ""}
    seat.click(4, 20, 24)
    assert standing(seat.desk)["undoButton"] == {"enabled": True, "toolTip": "Click"}
    assert standing(seat.desk)["redoButton"] == {"enabled": False, "toolTip": ""}
    seat.desk.undo()
    assert standing(seat.desk)["undoButton"]["toolTip"] == "Add Segment"
    assert standing(seat.desk)["redoButton"] == {"enabled": True, "toolTip": "Click"}


def test_lock_policy_and_selection_are_shown(seat: Seat) -> None:
    seat.click(4, 20, 24)
    assert standing(seat.desk)["lockButton"] == {"checked": False}
    assert standing(seat.desk)["overlapCombo"] == {"currentIndex": 0}
    seat.desk.toggle_lock()
    seat.desk.set_policy(2)
    seat.desk.selected = (1, (0, 4), 0)
    shown = standing(seat.desk)
    assert shown["lockButton"] == {"checked": True}
    assert shown["overlapCombo"] == {"currentIndex": 2}
    assert shown["deletePromptButton"] == {"enabled": True}


def test_the_bar_has_a_place_for_every_slice_and_a_translated_legend(seat: Seat) -> None:
    seat.click(4, 20, 24)
    seat.do(seat.desk.propagate_up)
    shown = standing(seat.desk, lambda text: f"<{text}>")
    assert shown["reviewSlider"]["maximum"] == 8
    assert "stop:0.44444 #3b82f6, stop:0.55555 #3b82f6" in str(shown["reviewSlider"]["styleSheet"])
    legend = str(shown["reviewLabel"]["text"])
    assert legend.endswith("<br><3 slices wait for review>")
    assert all(f"<{mark}>" in legend for mark in ("none", "annotated", "accepted", "proposed", "unsure"))


def test_the_moment_tells_where_the_reader_is_and_what_is_going_on(seat: Seat) -> None:
    assert moment(seat.desk)["sliceLabel"] == {"text": "axial 4"}
    seat.view[0] = 2.0
    assert moment(seat.desk)["reviewSlider"] == {"value": 2}
    assert moment(seat.desk)["progressBar"] == {"visible": False}
    seat.desk.draw([(4, 20, 24)], Plane.AXIAL)
    assert moment(seat.desk)["progressBar"] == {"visible": True}
    assert moment(seat.desk)["stopButton"] == {"enabled": False}
    seat.do(lambda: None)
    seat.desk.propagate_up()
    assert moment(seat.desk)["stopButton"] == {"enabled": True}
    seat.desk.stop()


class Owner:
    """Has one action."""

    def __init__(self) -> None:
        self.done: list[object] = []

    def act(self, *arguments: object) -> None:
        self.done.append(arguments)


def test_the_first_owner_of_an_action_performs_it() -> None:
    first, second, told = Owner(), Owner(), list[str]()
    perform("act", [object(), first, second], told.append, 3)
    perform("nothing_of_that_name", [first], told.append)
    assert (first.done, second.done, told) == ([(3,)], [], [])


def test_what_is_refused_is_told_and_what_fails_is_not_hidden() -> None:
    class Refusing:
        def act(self) -> None:
            raise UsageError("Not now.")

        def fail(self) -> None:
            raise ZeroDivisionError

    told: list[str] = []
    perform("act", [Refusing()], told.append)
    assert told == ["Not now."]
    with pytest.raises(ZeroDivisionError):
        perform("fail", [Refusing()], told.append)
