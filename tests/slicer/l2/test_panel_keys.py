"""Keys of the panel: all are listed, can be changed, and leave those alone that are somebody else's."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import qt
from PySide6.QtCore import Qt

from tests.slicer.l2.hand import rest, until
from tests.slicer.l2.reader import CENTRE, Reader, world


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    """Keys that a test has chosen are forgotten."""
    yield
    qt.QSettings().clear()


def row_of(reader: Reader, words: str) -> int:
    table = reader.ui.shortcutsTable
    return next(row for row in range(table.rowCount) if words in table.item(row, 0).text())


def test_all_keys_are_listed(reader: Reader) -> None:
    table, case = reader.ui.shortcutsTable, reader.panel.case
    actions = table.property("actions")
    listed = {table.item(row, 1).text(): table.item(row, 0).text() for row in range(table.rowCount)}
    assert list(listed) == ["Ctrl+Z", "Ctrl+Y", "Del", "T", "E", "R", "V", "Space", "Right", "Esc"]
    assert len(actions) == len(set(listed.values()))
    assert all(
        any(hasattr(owner, action) for owner in (reader.panel, case, case.desk, case.scene)) for action in actions
    )
    assert not table.item(0, 0).flags() & Qt.ItemFlag.ItemIsEditable
    assert table.item(0, 1).flags() & Qt.ItemFlag.ItemIsEditable


def test_a_key_can_be_changed_and_is_remembered(reader: Reader) -> None:
    row = row_of(reader, "add or remove")
    reader.ui.shortcutsTable.item(row, 1).setText("k")
    reader.key(Qt.Key.Key_T)
    rest()
    assert not reader.ui.signButton.checked
    reader.key(Qt.Key.Key_K)
    until(lambda: reader.ui.signButton.checked)
    assert qt.QSettings().value("EdgeFlow/Shortcuts/change_sign") == "K"
    reader.ui.shortcutsTable.item(row, 1).setText("")  # none
    reader.key(Qt.Key.Key_K)
    rest()
    assert reader.ui.signButton.checked


@pytest.mark.parametrize("typed", ["V", "ctrl+z", "Wheel up"])
def test_a_key_that_is_taken_or_none_is_set_back(reader: Reader, typed: str) -> None:
    item = reader.ui.shortcutsTable.item(row_of(reader, "add or remove"), 1)
    item.setText(typed)
    assert item.text() == "T"
    assert f"'{typed}' is taken or is not a key" in reader.ui.statusLabel.text
    reader.key(Qt.Key.Key_T)
    until(lambda: reader.ui.signButton.checked)


def test_a_selected_prompt_is_deleted_by_its_key(reader: Reader) -> None:
    mask = reader.clicked(*CENTRE)
    reader.clicked(12, 24, 40, ctrl=True)
    assert not reader.ui.deletePromptButton.enabled
    reader.click(world(12, 24, 40))
    until(lambda: reader.ui.deletePromptButton.enabled)
    reader.key(Qt.Key.Key_Delete)
    until(lambda: (reader.mask() == mask).all())


@pytest.mark.parametrize("leave", ["Esc", "module"])
def test_an_effect_of_the_segment_editor_ends_with_its_time(reader: Reader, leave: str) -> None:
    """While it is at work the mouse is its own, and so is Del, which takes back the last point of Draw."""
    reader.clicked(*CENTRE)
    reader.click(world(*CENTRE))  # selects the prompt
    reader.ui.segmentEditor.setActiveEffectByName("Draw")
    until(lambda: not reader.panel.case.views.armed)
    reader.key(Qt.Key.Key_Delete)
    rest()
    assert reader.mask().any()
    if leave == "Esc":
        reader.key(Qt.Key.Key_Escape)
    else:
        reader.panel.exit()
    until(lambda: reader.ui.segmentEditor.activeEffect() is None)
    assert not reader.ui.armButton.checked
