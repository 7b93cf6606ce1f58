"""Stand-ins for Slicer's two widgets that show and edit segments, on a real segmentation node."""

from __future__ import annotations

import slicer
import vtk
from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QColor
from PySide6.QtWidgets import (
    QAbstractItemView,
    QGridLayout,
    QHeaderView,
    QLabel,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from tests.slicer.l2.pythonqt import custom
from tests.slicer.l2.standins import kept, qMRMLWidget


@custom
class qMRMLSegmentsTableView(qMRMLWidget):
    """Visibility, colour, status and name of each segment; the selection."""

    selectionChanged = Signal(object, object)
    segmentAboutToBeModified = Signal(str)
    signals = (
        *qMRMLWidget.signals,
        "selectionChanged(QItemSelection,QItemSelection)",
        "segmentAboutToBeModified(QString)",
    )
    headerVisible, visibilityColumnVisible, colorColumnVisible = kept(True), kept(True), kept(True)
    opacityColumnVisible, statusColumnVisible, layerColumnVisible = kept(True), kept(False), kept(False)
    readOnly, filterBarVisible, jumpToSelectedSegmentEnabled = kept(False), kept(False), kept(False)
    selectionMode = kept(QAbstractItemView.SelectionMode.ExtendedSelection.value, int)
    COLUMNS = ("", "", "", "Name")
    EVENTS = ("SegmentAdded", "SegmentRemoved", "SegmentModified", "SegmentsOrderModified")

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._node: slicer.vtkMRMLSegmentationNode | None = None
        self._tags: list[tuple[vtk.vtkObject, int]] = []
        self._filling = False
        self._table = QTableWidget(0, len(self.COLUMNS), self)
        self._table.setHorizontalHeaderLabels(self.COLUMNS)
        self._table.verticalHeader().visible = False
        self._table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        self._table.horizontalHeader().stretchLastSection = True
        self._table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self._table.connect("itemSelectionChanged()", self._selected)
        self._table.connect("cellClicked(int,int)", self._clicked)
        self._table.connect("cellChanged(int,int)", self._renamed)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._table)

    def tableWidget(self) -> QTableWidget:
        """The table itself."""
        return self._table

    def segmentationNode(self) -> slicer.vtkMRMLSegmentationNode | None:
        """The node shown."""
        return self._node

    def setSegmentationNode(self, node: slicer.vtkMRMLSegmentationNode | None) -> None:
        """Show a node's segments and follow them."""
        for watched, tag in self._tags:
            watched.RemoveObserver(tag)
        self._node, self._tags = node, []
        if node is not None:
            events = [getattr(slicer.vtkSegmentation, name) for name in self.EVENTS]
            watched = node.GetSegmentation()
            self._tags = [(watched, watched.AddObserver(event, lambda *_: self._fill())) for event in events]
            self._tags.append((node, node.AddObserver(node.DisplayModifiedEvent, lambda *_: self._fill())))
        self._fill()

    def segmentIDForRow(self, row: int) -> str:
        """Identifier of the segment in a row."""
        return str(self._table.item(row, 3).data(Qt.ItemDataRole.UserRole))

    def rowForSegmentID(self, identifier: str) -> int:
        """Row of a segment, -1 if it is not shown."""
        return next((row for row in range(self._table.rowCount) if self.segmentIDForRow(row) == identifier), -1)

    def selectedSegmentIDs(self) -> tuple[str, ...]:
        """Identifiers of the selected segments; PythonQt hands a QStringList over as a tuple."""
        rows = sorted({index.row() for index in self._table.selectedIndexes()})
        return tuple(self.segmentIDForRow(row) for row in rows)

    def setSelectedSegmentIDs(self, identifiers: list[str]) -> None:
        """Select segments."""
        self._table.clearSelection()
        for row in range(self._table.rowCount):
            if self.segmentIDForRow(row) in identifiers:
                self._table.selectRow(row)

    def clearSelection(self) -> None:
        """Select nothing."""
        self._table.clearSelection()

    def _fill(self) -> None:
        selected, self._filling = self.selectedSegmentIDs(), True
        segmentation = self._node.GetSegmentation() if self._node else None
        identifiers = segmentation.GetSegmentIDs() if segmentation else ()
        self._table.setRowCount(len(identifiers))
        logic = slicer.vtkSlicerSegmentationsModuleLogic
        for row, identifier in enumerate(identifiers):
            segment, display = segmentation.GetSegment(identifier), self._node.GetDisplayNode()
            shown = display is None or display.GetSegmentVisibility(identifier)
            texts = (
                "●" if shown else "○",
                "",
                logic.GetSegmentStatusAsHumanReadableString(logic.GetSegmentStatus(segment)),
            )
            for column, text in enumerate((*texts, segment.GetName())):
                item = QTableWidgetItem(text)
                item.setData(Qt.ItemDataRole.UserRole, identifier)
                if column < 3:
                    item.setFlags(item.flags() & ~Qt.ItemFlag.ItemIsEditable)
                self._table.setItem(row, column, item)
            self._table.item(row, 1).setBackground(QColor.fromRgbF(*segment.GetColor()))
        self._table.setColumnHidden(0, not self.visibilityColumnVisible)
        self._table.setColumnHidden(2, not self.statusColumnVisible)
        self._table.horizontalHeader().visible = self.headerVisible
        self.setSelectedSegmentIDs(list(selected))
        self._filling = False

    def _selected(self) -> None:
        if not self._filling:
            self.selectionChanged.emit(None, None)

    def _clicked(self, row: int, column: int) -> None:
        if column == 0:
            identifier, display = self.segmentIDForRow(row), self._node.GetDisplayNode()
            display.SetSegmentVisibility(identifier, not display.GetSegmentVisibility(identifier))

    def _renamed(self, row: int, column: int) -> None:
        if column == 3 and not self._filling:
            name = self._table.item(row, column).text()
            self._node.GetSegmentation().GetSegment(self.segmentIDForRow(row)).SetName(name)


@custom
class qMRMLSegmentEditorWidget(qMRMLWidget):
    """The Segment Editor's buttons on a real editor node; the effects themselves are Slicer's and are not here."""

    currentSegmentIDChanged = Signal(str)
    signals = (*qMRMLWidget.signals, "currentSegmentIDChanged(QString)")
    EFFECTS = ("Paint", "Draw", "Erase", "Scissors")
    segmentationNodeSelectorVisible, sourceVolumeNodeSelectorVisible = kept(True), kept(True)
    maskingSectionVisible, specifyGeometryButtonVisible, show3DButtonVisible = kept(True), kept(True), kept(True)
    addRemoveSegmentButtonsVisible, switchToSegmentationsButtonVisible = kept(True), kept(True)
    undoEnabled, readOnly, unorderedEffectsVisible = kept(True), kept(False), kept(True)
    autoShowSourceVolumeNode, jumpToSelectedSegmentEnabled = kept(True), kept(False)
    maximumNumberOfUndoStates, effectColumnCount = kept(10, int), kept(2, int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._node: slicer.vtkMRMLSegmentEditorNode | None = None
        self._segmentation = self._volume = None
        self._buttons: dict[str, QPushButton] = {}
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(QLabel("Effects"), 0, 0, 1, 4)
        for column, name in enumerate(self.EFFECTS):
            button = self._buttons[name] = QPushButton(name)
            button.checkable = True
            button.connect("clicked(bool)", lambda on, name=name: self.setActiveEffectByName(name if on else ""))
            layout.addWidget(button, 1, column)

    def mrmlSegmentEditorNode(self) -> slicer.vtkMRMLSegmentEditorNode | None:
        """The parameter node."""
        return self._node

    def setMRMLSegmentEditorNode(self, node: slicer.vtkMRMLSegmentEditorNode | None) -> None:
        """Take a parameter node."""
        self._node = node

    def segmentationNode(self) -> slicer.vtkMRMLSegmentationNode | None:
        """What is edited."""
        return self._segmentation

    def setSegmentationNode(self, node: slicer.vtkMRMLSegmentationNode | None) -> None:
        """Say what to edit."""
        self._segmentation = node
        if self._node is not None:
            self._node.SetAndObserveSegmentationNode(node)

    def sourceVolumeNode(self) -> slicer.vtkMRMLScalarVolumeNode | None:
        """The image under it."""
        return self._volume

    def setSourceVolumeNode(self, node: slicer.vtkMRMLScalarVolumeNode | None) -> None:
        """Say on which image."""
        self._volume = node
        if self._node is not None:
            self._node.SetAndObserveSourceVolumeNode(node)

    def currentSegmentID(self) -> str:
        """The segment edited."""
        return (self._node.GetSelectedSegmentID() or "") if self._node else ""

    def setCurrentSegmentID(self, identifier: str) -> None:
        """Say which segment."""
        if self._node is not None and identifier != self.currentSegmentID():
            self._node.SetSelectedSegmentID(identifier)
            self.currentSegmentIDChanged.emit(identifier)

    def availableEffectNames(self) -> tuple[str, ...]:
        """The effects that have a button."""
        return self.EFFECTS

    def setEffectNameOrder(self, names: list[str]) -> None:
        """Order of the buttons; those not named vanish if ``unorderedEffectsVisible`` is off."""
        for name, button in self._buttons.items():
            button.visible = name in names or self.unorderedEffectsVisible

    def activeEffect(self) -> str | None:
        """The effect at work: its name stands for it here."""
        return (self._node.GetActiveEffectName() or None) if self._node else None

    def setActiveEffectByName(self, name: str) -> None:
        """Begin with an effect; an empty name or "None" ends it."""
        name = "" if name == "None" else name
        for each, button in self._buttons.items():
            button.checked = each == name
        if self._node is not None:
            self._node.SetActiveEffectName(name)

    def setupViewObservations(self) -> None:
        """Nothing is watched here."""

    def removeViewObservations(self) -> None:
        """Nothing is watched here."""

    def installKeyboardShortcuts(self, parent: QWidget | None = None) -> None:
        """None here."""

    def uninstallKeyboardShortcuts(self) -> None:
        """None here."""

    def rotateSliceViewsToSegmentation(self) -> None:
        """Nothing is turned here."""
