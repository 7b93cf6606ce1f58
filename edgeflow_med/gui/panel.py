"""What a panel shows of a desk, as values for its widgets: a program only has to set those that are otherwise.

Names of widgets are those of the Slicer module's ``EdgeFlow.ui``, names of properties Qt's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from edgeflow_med.errors import EdgeFlowError
from edgeflow_med.gui.display import bar_gradient, bar_legend
from edgeflow_med.weights import DEFAULT_MODEL, bundle_names
from edgeflow_med.windows import CT_PRESETS

if TYPE_CHECKING:
    from edgeflow_med.gui.desk import Desk

Values = dict[str, dict[str, object]]  # by widget, then by property

_BAR = (
    "QSlider::groove:horizontal {height: 14px; background: %s}"
    "QSlider::handle:horizontal {width: 3px; margin: -3px 0; background: transparent; border: 1px solid #fff}"
)


def standing(desk: Desk, tr: Callable[[str], str] = str) -> Values:
    """How a case stands, which changes with every change of it; ``tr`` translates."""
    session = desk.session
    undo, redo = next(reversed(session.history), ""), next(iter(session.redo_names), "")
    return {
        "undoButton": {"enabled": bool(undo), "toolTip": undo},
        "redoButton": {"enabled": bool(redo), "toolTip": redo},
        "deletePromptButton": {"enabled": desk.selected is not None},
        "lockButton": {"checked": desk.current is not None and desk.current.locked},
        "overlapCombo": {"currentIndex": desk.policy_number},
        "reviewSlider": {"maximum": desk.slice_count - 1, "styleSheet": _BAR % bar_gradient(desk.bar())},
        "reviewLabel": {"text": bar_legend(desk.waiting_for_review, tr)},
    }


def choices(desk: Desk, model: str, window: str) -> dict[str, tuple[list[str], str]]:
    """What can be chosen in combo boxes, and what is: by widget.

    Args:
        desk: Knows the window in use.
        model: What was chosen before; empty for nothing.
        window: The same.
    """
    return {
        "modelCombo": (bundle_names(), model or DEFAULT_MODEL),
        "windowCombo": (["automatic", *CT_PRESETS], window or desk.session.window.name),
    }


def moment(desk: Desk, tr: Callable[[str], str] = str) -> Values:
    """What is going on, to be asked many times a second; ``tr`` translates."""
    here = desk.here
    return {
        "signButton": {"checked": not desk.positive, "text": tr("Add") if desk.positive else tr("Remove")},
        "stopButton": {"enabled": desk.walking},
        "progressBar": {"visible": desk.walking or desk.asking},
        "sliceLabel": {"text": f"{desk.plane} {here}"},
        "reviewSlider": {"value": here},
    }


def perform(action: str, owners: list[object], report: Callable[[str], object], *arguments: object) -> None:
    """Do what a button or key says: call the method of that name of the first owner that has one.

    Args:
        action: Name of a method; nothing happens if none of the owners has it.
        owners: Who may have it.
        report: Told what the library refuses.
        arguments: For the method.
    """
    method = next((getattr(owner, action) for owner in owners if hasattr(owner, action)), None)
    if method is not None:
        try:
            method(*arguments)
        except EdgeFlowError as error:
            report(str(error))
