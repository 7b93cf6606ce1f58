"""A reader's hand: mouse and keyboard on the window, and eyes for what it shows."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import slicer
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest

from tests.slicer.l2 import desktop

SCREENSHOTS = Path(__file__).resolve().parents[3] / "docs" / "images" / "slicer"


def until(condition: Callable[[], Any], seconds: float = 60) -> None:
    """Let the application work until something is so."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s"
        slicer.app.processEvents()
        time.sleep(0.002)


def rest(seconds: float = 0.15) -> None:
    """Let the application work for a while, for what must not happen."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        slicer.app.processEvents()
        time.sleep(0.005)


class Hand:
    """Mouse and keyboard on the window, from events to pixels.

    Positions are world positions (RAS, mm); the view is turned to their slice first, unless it shows it already.
    """

    def __init__(self, window: desktop.MainWindow) -> None:
        self.window = window

    def view(self, name: str) -> desktop.qMRMLSliceView:
        """A slice view."""
        return slicer.app.layoutManager().sliceWidget(name).sliceView()

    def at(self, name: str, ras: Sequence[float]) -> QPoint:
        """Where a world position is on the view's widget."""
        view = slicer.app.layoutManager().sliceWidget(name)._view
        x, y = view.xy(ras)
        return QPoint(x, view.size[1] - 1 - y)

    def click(self, ras: Sequence[float], name: str = "Red", *, ctrl: bool = False) -> None:
        """Click with the left button."""
        held = Qt.KeyboardModifier.ControlModifier if ctrl else Qt.KeyboardModifier.NoModifier
        QTest.mouseMove(self.view(name), self.at(name, ras))
        QTest.mouseClick(self.view(name), Qt.MouseButton.LeftButton, held, self.at(name, ras))

    def drag(self, path: Sequence[Sequence[float]], name: str = "Red", *, ctrl: bool = False) -> None:
        """Press, move along, release."""
        held = Qt.KeyboardModifier.ControlModifier if ctrl else Qt.KeyboardModifier.NoModifier
        places = [self.at(name, ras) for ras in path]
        QTest.mousePress(self.view(name), Qt.MouseButton.LeftButton, held, places[0])
        for place in places:
            QTest.mouseMove(self.view(name), place)
        QTest.mouseRelease(self.view(name), Qt.MouseButton.LeftButton, held, places[-1])

    def press(self, button: Any) -> None:
        """Click on a button of the panel; it must be one that a reader could click on."""
        assert button.enabled, f"{button.objectName} is disabled"
        place = QPoint(min(12, button.width // 2), button.height // 2)  # where a check box has its box
        QTest.mouseClick(button, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, place)

    def key(self, key: Any, *, ctrl: bool = False) -> None:
        """Press a key while the pointer is over the views."""
        self.window.activateWindow()
        self.view("Red").setFocus()
        held = Qt.KeyboardModifier.ControlModifier if ctrl else Qt.KeyboardModifier.NoModifier
        QTest.keyClick(self.view("Red"), key, held)

    def pixels(self, name: str = "Red") -> np.ndarray:
        """What the view shows once it has come to rest: ``(height, width, 3)``."""
        for _ in range(3):
            slicer.app.processEvents()
        view = self.view(name)
        image = view.grab().toImage().convertToFormat(desktop.QImage.Format.Format_RGB888)
        rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine())
        return rows[:, : 3 * image.width()].reshape(image.height(), image.width(), 3).copy()

    def colour(self, ras: Sequence[float], name: str = "Red") -> np.ndarray:
        """The colour shown at a world position."""
        place = self.at(name, ras)
        return self.pixels(name)[place.y(), place.x()].astype(int)

    def screenshot(self, name: str) -> Path:
        """Save a picture of the window; into the documentation if ``EDGEFLOW_SCREENSHOTS`` is set."""
        folder = SCREENSHOTS if os.environ.get("EDGEFLOW_SCREENSHOTS") else Path(slicer.app.temporaryPath)
        folder.mkdir(parents=True, exist_ok=True)
        for _ in range(5):
            slicer.app.processEvents()
        path = folder / f"{name}.png"
        assert self.window.grab().save(str(path))
        return path


def show(volume: Any) -> None:
    """Show a volume in all views."""
    for name in slicer.app.layoutManager().sliceViewNames():
        slicer.app.layoutManager().sliceWidget(name)._view.show(volume)
    slicer.app.processEvents()
