"""Slicer's window without Slicer: a Qt application around the real scene, whose slice views render and take the mouse.

The views are those of ``tests/slicer/headless.py``. Here each stands in a Qt widget that hands mouse and wheel to the
VTK interactor, as the desktop does, and shows what VTK rendered.
"""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import qt
import slicer
import vtk
from PySide6.QtCore import Property, QEvent, QObject, Qt, Signal
from PySide6.QtGui import QImage, QPainter

from tests.slicer import headless
from tests.slicer.l2 import (
    pythonqt,
    scripted,
    segment_standins,  # noqa: F401 - registers its classes
    standins,
)

COLOURS = {"Red": "#f34a33", "Green": "#6eb04b", "Yellow": "#edd54c"}
PRESSES = {
    Qt.MouseButton.LeftButton: "Left",
    Qt.MouseButton.MiddleButton: "Middle",
    Qt.MouseButton.RightButton: "Right",
}


@pythonqt.custom
class qMRMLSliceView(qt.QWidget):
    """A slice view on the screen."""

    def __init__(self, view: headless.SliceView, parent: qt.QWidget | None = None) -> None:
        super().__init__(parent)
        self._view = view
        self._picture: QImage | None = None
        self.mouseTracking = True
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMinimumSize(*view.size)
        self.setMaximumSize(*view.size)
        self._timer = qt.QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.connect("timeout()", self.forceRender)
        view.managers.AddObserver(vtk.vtkCommand.UpdateEvent, lambda *_: self.scheduleRender())
        view.logic.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_: self.scheduleRender())

    def interactor(self) -> Any:
        """VTK's interactor."""
        return self._view.interactor

    def renderWindow(self) -> Any:
        """VTK's window."""
        return self._view.window

    def mrmlSliceNode(self) -> Any:
        """The slice node."""
        return self._view.node

    def scheduleRender(self) -> None:
        """Render soon, once for all that asks until then."""
        if not self._timer.active:
            self._timer.start(0)

    def forceRender(self) -> None:
        """Render now."""
        self._timer.stop()
        pixels = np.ascontiguousarray(self._view.render())
        height, width, _ = pixels.shape
        self._picture = QImage(pixels.data, width, height, 3 * width, QImage.Format.Format_RGB888).copy()
        self.update()

    def setViewCursor(self, cursor: Any) -> None:
        """Shape of the pointer over the view."""
        self.setCursor(cursor)

    def unsetViewCursor(self) -> None:
        """The usual pointer again."""
        self.unsetCursor()

    def paintEvent(self, _event: QEvent) -> None:
        """Show the last picture."""
        if self._picture is None:
            self.forceRender()
        QPainter(self).drawImage(0, 0, self._picture)

    def _tell(self, event: Any, name: str) -> None:
        place, held = event.position(), event.modifiers()
        at = int(place.x()), self._view.size[1] - 1 - int(place.y())
        self._view.interactor.SetAltKey(bool(held & Qt.KeyboardModifier.AltModifier))
        ctrl, shift = (
            bool(held & key) for key in (Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier)
        )
        self._view.event(name, at, ctrl=ctrl, shift=shift)

    def mousePressEvent(self, event: Any) -> None:
        """A button went down."""
        self._tell(event, f"{PRESSES[event.button()]}ButtonPressEvent")

    def mouseDoubleClickEvent(self, event: Any) -> None:
        """A button went down twice."""
        self._tell(event, f"{PRESSES[event.button()]}ButtonDoubleClickEvent")

    def mouseReleaseEvent(self, event: Any) -> None:
        """A button came up."""
        self._tell(event, f"{PRESSES[event.button()]}ButtonReleaseEvent")

    def mouseMoveEvent(self, event: Any) -> None:
        """The pointer moved."""
        self._tell(event, "MouseMoveEvent")

    def wheelEvent(self, event: Any) -> None:
        """The wheel turned."""
        self._tell(event, f"MouseWheel{'Forward' if event.angleDelta().y() > 0 else 'Backward'}Event")


@pythonqt.custom
class qMRMLSliceWidget(qt.QWidget):
    """A slice view with its coloured bar."""

    def __init__(self, name: str, size: tuple[int, int], parent: qt.QWidget | None = None) -> None:
        super().__init__(parent)
        self._view = headless.SliceView(name, size)
        self._bar = qt.QLabel()
        self._bar.setStyleSheet(f"background: {COLOURS[name]}; color: black; padding: 1px 6px")
        self._slice_view = qMRMLSliceView(self._view)
        layout = qt.QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self._bar)
        layout.addWidget(self._slice_view)
        self._view.node.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_: self._label())
        self._label()

    def _label(self) -> None:
        node = self._view.node
        self._bar.text = f"{node.GetName()[0]}   {node.GetOrientation()}   {node.GetSliceOffset():.1f} mm"

    def sliceView(self) -> qMRMLSliceView:
        """The picture."""
        return self._slice_view

    def sliceLogic(self) -> Any:
        """What decides what is shown."""
        return self._view.logic

    def mrmlSliceNode(self) -> Any:
        """The slice node."""
        return self._view.node

    def mrmlSliceCompositeNode(self) -> Any:
        """Which volumes are shown."""
        return self._view.logic.GetSliceCompositeNode()

    def fitSliceToBackground(self) -> None:
        """Show all of the volume."""
        self._view.logic.FitSliceToAll(*self._view.size)


class LayoutManager(QObject):
    """Three slice views: a large one and two small ones."""

    layoutChanged = Signal(int)
    SIZES = {"Red": (600, 820), "Yellow": (400, 399), "Green": (400, 399)}  # noqa: RUF012

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._widgets = {name: qMRMLSliceWidget(name, size) for name, size in self.SIZES.items()}

    def sliceViewNames(self) -> tuple[str, ...]:
        """Names of the views; PythonQt hands a QStringList over as a tuple."""
        return tuple(self._widgets)

    def sliceWidget(self, name: str) -> qMRMLSliceWidget:
        """A view by its name."""
        return self._widgets[name]

    def mrmlSliceLogics(self) -> Any:
        """The logics of all slice views."""
        return slicer.app.applicationLogic().GetSliceLogics()

    def resetSliceViews(self) -> None:
        """Show all of what is shown."""
        for widget in self._widgets.values():
            widget.fitSliceToBackground()

    threeDViewCount = Property(int, lambda _self: 0)


class ModuleManager(QObject):
    """Knows the modules that were loaded."""

    moduleAboutToBeUnloaded = Signal(str)

    def module(self, name: str) -> Any:
        """A module by its name."""
        return getattr(slicer.modules, name.lower())


class Application(qt.QApplication):
    """``slicer.app``: the Qt application, and the application logic behind it."""

    startupCompleted = Signal()

    def __init__(self, core: headless.Application) -> None:
        super().__init__(["Slicer"])
        self._core, self._paused = core, 0
        self.temporaryPath = core.temporaryPath
        self._modules = ModuleManager(self)
        qt.QSettings.setDefaultFormat(qt.QSettings.IniFormat)
        qt.QSettings.setPath(qt.QSettings.IniFormat, qt.QSettings.UserScope, core.temporaryPath)
        self.setOrganizationName("EdgeFlow")
        self.setApplicationName("Tests")
        self._settings = qt.QSettings()

    def applicationLogic(self) -> Any:
        """Slicer's application logic."""
        return self._core.applicationLogic()

    def layoutManager(self) -> LayoutManager:
        """The slice views."""
        return self._layout

    def moduleManager(self) -> ModuleManager:
        """The modules."""
        return self._modules

    def settings(self) -> qt.QSettings:
        """What the user chose; a file of the test."""
        return self._settings

    userSettings = settings

    def testingEnabled(self) -> bool:
        """Slicer would answer its own questions; these tests answer them."""
        return False

    def pauseRender(self) -> None:
        """Views wait; they render from the event loop anyway."""
        self._paused += 1

    def resumeRender(self) -> None:
        """Views go on."""
        self._paused -= 1


class MainWindow(qt.QMainWindow):
    """The views, and on their left the panel of a module."""

    def __init__(self, application: Application) -> None:
        super().__init__()
        self.objectName = "qSlicerMainWindow"
        self.windowTitle = "3D Slicer"
        centre = qt.QWidget()
        grid = qt.QGridLayout(centre)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(2)
        manager = application._layout = LayoutManager(application)
        grid.addWidget(manager.sliceWidget("Red"), 0, 0, 2, 1)
        grid.addWidget(manager.sliceWidget("Yellow"), 0, 1)
        grid.addWidget(manager.sliceWidget("Green"), 1, 1)
        self.setCentralWidget(centre)
        self._dock = qt.QDockWidget(self)
        self._dock.windowTitle = "Module"
        self._area = qt.QScrollArea()
        self._area.widgetResizable = True
        self._dock.setWidget(self._area)
        self.addDockWidget(Qt.DockWidgetArea.LeftDockWidgetArea, self._dock)

    def show_panel(self, panel: qt.QWidget | None) -> None:
        """Put a module's panel where Slicer puts it."""
        self._area.takeWidget()
        if panel is not None:
            self._area.setWidget(panel)
            bar = self._area.verticalScrollBar().sizeHint().width()
            self._area.setMinimumWidth(max(panel.minimumSizeHint().width() + bar + 4, 430))

    def scroll_to(self, widget: qt.QWidget) -> None:
        """Bring a part of the panel into view."""
        self._area.ensureWidgetVisible(widget)


def _unknown_widget(name: str) -> type:
    if not name.startswith(("ctk", "qMRML", "qSlicer")):
        raise AttributeError(name)
    return type(name, (qt.QWidget,), {})


def start(folder: Path, originals: Path | None = None) -> MainWindow:
    """Make ``slicer`` what it is in the desktop, as far as the module goes; the window is shown.

    Args:
        folder: For settings and temporary files.
        originals: Folder with Slicer's own Python files, to use them instead of the stand-ins.
    """
    headless.start(folder)
    scripted.install(originals)
    application = slicer.app = Application(slicer.app)
    for kind in pythonqt.CUSTOM.values():
        if kind.__name__.startswith("q"):
            setattr(slicer, kind.__name__, kind)
    ctk = sys.modules["ctk"] = types.ModuleType("ctk")
    ctk.ctkCollapsibleButton = standins.ctkCollapsibleButton
    if originals is not None:  # these name classes that the module does not use
        ctk.__getattr__ = slicer.__getattr__ = _unknown_widget
    window = MainWindow(application)
    window.show()
    window.activateWindow()
    return window


def load_module(window: MainWindow, folder: Path) -> Any:
    """Load the module of a folder as Slicer does at its start, up to its panel in the window; its widget."""
    import EdgeFlow

    info = types.SimpleNamespace(path=str(folder / "EdgeFlow.py"), icon=None)
    slicer.modules.edgeflow = types.SimpleNamespace(path=info.path, module=EdgeFlow.EdgeFlow(info))
    parent = slicer.qSlicerScriptedLoadableModuleWidget()
    qt.QVBoxLayout(parent)
    parent.setMRMLScene(slicer.mrmlScene)
    widget = slicer.modules.EdgeFlowWidget = EdgeFlow.EdgeFlowWidget(parent)
    widget.setup()
    window.show_panel(parent)
    return widget
