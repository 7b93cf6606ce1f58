"""Stand-ins for the widgets of CTK and of Slicer's own Qt libraries that the module's panel uses, on the real scene.

They have the names, properties, signals and slots of the originals, as far as the module uses them, and act on real
MRML nodes. How they look is not the point, but the panel is laid out with them, and they are what the tests click on.
"""

from __future__ import annotations

import itertools
from typing import Any

import slicer
import vtk
from PySide6.QtCore import Property, QEvent, Qt, Signal
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QToolButton, QWidget

from tests.slicer.l2.pythonqt import custom

SCENE_EVENTS = ("NodeAddedEvent", "NodeRemovedEvent", "EndCloseEvent", "EndImportEvent", "EndBatchProcessEvent")


_names = (f"_kept{number}" for number in itertools.count())


def kept(default: object, kind: object = bool) -> Any:
    """A Qt property that only remembers what it was set to."""
    name = next(_names)
    return Property(kind, lambda self: getattr(self, name, default), lambda self, value: setattr(self, name, value))


@custom
class ctkCollapsibleButton(QWidget):
    """A section with a title that folds its contents away."""

    contentsCollapsed = Signal(bool)

    def __init__(self, text: str | QWidget | None = None, parent: QWidget | None = None) -> None:
        super().__init__(text if isinstance(text, QWidget) else parent)
        self._button = QToolButton(self)
        self._button.toolButtonStyle = Qt.ToolButtonStyle.ToolButtonTextBesideIcon
        self._button.autoRaise = True
        self._button.connect("clicked()", lambda: self._fold(not self._folded))
        self._folded = False
        self.setContentsMargins(2, self._button.sizeHint().height() + 2, 2, 2)
        self._set_text(text if isinstance(text, str) else "")

    def _set_text(self, text: str) -> None:
        self._button.text = text
        self._button.arrowType = Qt.ArrowType.RightArrow if self._folded else Qt.ArrowType.DownArrow
        self._button.adjustSize()

    def _fold(self, folded: bool) -> None:
        changed, self._folded = folded != self._folded, folded
        self._set_text(self._button.text)
        for child in self.children():
            if isinstance(child, QWidget) and child is not self._button:
                child.setVisible(not folded)
        self.setMaximumHeight(self._button.sizeHint().height() + 4 if folded else 16777215)
        if changed:
            self.contentsCollapsed.emit(folded)

    def childEvent(self, event: QEvent) -> None:
        """What comes in later is folded too."""
        super().childEvent(event)
        if event.added() and self.__dict__.get("_folded") and isinstance(event.child(), QWidget):
            event.child().setVisible(False)

    text = Property(str, lambda self: self._button.text, _set_text)
    collapsed = Property(bool, lambda self: self._folded, _fold, notify=contentsCollapsed)


@custom
class qMRMLWidget(QWidget):
    """The root of a module's panel: hands the scene on."""

    mrmlSceneChanged = Signal(object)
    signals = ("mrmlSceneChanged(vtkMRMLScene*)",)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._scene: slicer.vtkMRMLScene | None = None

    def mrmlScene(self) -> slicer.vtkMRMLScene | None:
        """The scene set last."""
        return self._scene

    def setMRMLScene(self, scene: slicer.vtkMRMLScene | None) -> None:
        """Take a scene and tell."""
        if scene is not self._scene:
            self._scene = scene
            self.mrmlSceneChanged.emit(scene)


@custom
class qSlicerScriptedLoadableModuleWidget(qMRMLWidget):
    """What Slicer hands to a module's widget class as its parent; ``enter`` and ``exit`` of the module follow it."""

    isEntered = kept(False)


@custom
class qMRMLNodeComboBox(QWidget):
    """Lets one choose a node of the scene; follows nodes that come, go and are renamed."""

    currentNodeChanged = Signal(object)
    currentNodeIDChanged = Signal(str)
    nodeAddedByUser = Signal(object)
    nodeActivated = Signal(object)
    signals = (
        "currentNodeChanged(vtkMRMLNode*)",
        "currentNodeChanged(bool)",
        "currentNodeIDChanged(QString)",
        "nodeAddedByUser(vtkMRMLNode*)",
        "nodeActivated(vtkMRMLNode*)",
    )
    nodeTypes = kept([], "QStringList")
    showHidden, showChildNodeTypes, noneEnabled = kept(False), kept(True), kept(False)
    addEnabled, removeEnabled, editEnabled, renameEnabled = kept(True), kept(True), kept(False), kept(False)
    selectNodeUponCreation, baseName, noneDisplay = kept(True), kept("", str), kept("None", str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._scene: slicer.vtkMRMLScene | None = None
        self._current: slicer.vtkMRMLNode | None = None
        self._tags: list[tuple[vtk.vtkObject, int]] = []
        self._box = QComboBox(self)
        self._box.connect("activated(int)", self._activated)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._box)

    def setMRMLScene(self, scene: slicer.vtkMRMLScene | None) -> None:
        """Follow a scene."""
        for watched, tag in self._tags:
            watched.RemoveObserver(tag)
        self._scene, self._tags = scene, []
        if scene is not None:
            events = [getattr(scene, name) for name in SCENE_EVENTS]
            self._tags = [(scene, scene.AddObserver(event, lambda *_: self._refresh())) for event in events]
        self._refresh()

    def mrmlScene(self) -> slicer.vtkMRMLScene | None:
        """The scene set last."""
        return self._scene

    def nodes(self) -> list[slicer.vtkMRMLNode]:
        """The nodes offered."""
        if self._scene is None:
            return []
        found = [node for kind in self.nodeTypes for node in slicer.util.getNodesByClass(kind, self._scene)]
        exact = [node for node in found if self.showChildNodeTypes or node.GetClassName() in self.nodeTypes]
        return [node for node in exact if self.showHidden or not node.GetHideFromEditors()]

    def nodeCount(self) -> int:
        """How many nodes are offered."""
        return len(self.nodes())

    def currentNode(self) -> slicer.vtkMRMLNode | None:
        """The node chosen."""
        return self._current

    def setCurrentNode(self, node: slicer.vtkMRMLNode | str | None) -> None:
        """Choose a node, by itself or by its identifier."""
        node = self._scene.GetNodeByID(node) if isinstance(node, str) and self._scene else node
        if node is self._current:
            return
        self._current = node if node in self.nodes() else None
        self._refresh()
        self.currentNodeChanged.emit(self._current)
        self.currentNodeIDChanged.emit(self.currentNodeID)

    def addNode(self) -> slicer.vtkMRMLNode:
        """What the entry "Create new ..." does."""
        name = self._scene.GenerateUniqueName(self.baseName or self.nodeTypes[0].removeprefix("vtkMRML"))
        node = self._scene.AddNewNodeByClass(self.nodeTypes[0], name)
        if self.selectNodeUponCreation:
            self.setCurrentNode(node)
        self.nodeAddedByUser.emit(node)
        return node

    def _activated(self, row: int) -> None:
        data = self._box.itemData(row)
        if data == "add":
            self.addNode()
        else:
            self.setCurrentNode(data)
        self._refresh()
        self.nodeActivated.emit(self._current)

    def _refresh(self) -> None:
        nodes = self.nodes()
        if self._current is not None and self._current not in nodes:
            self.setCurrentNode(None)
            return
        if self._current is None and not self.noneEnabled and nodes:
            self.setCurrentNode(nodes[0])
            return
        self._box.clear()
        if self.noneEnabled or not nodes:
            self._box.addItem(self.noneDisplay, None)
        for node in nodes:
            self._box.addItem(node.GetName(), node.GetID())
        if self.addEnabled and self.nodeTypes:
            self._box.addItem("Create new …", "add")
        self._box.currentIndex = max(self._box.findData(self._current.GetID() if self._current else None), 0)

    currentNodeID = Property(str, lambda self: self._current.GetID() if self._current else "", setCurrentNode)
