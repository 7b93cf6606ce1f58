"""The panel: connects buttons, keys and Slicer's events to the case, and shows how it stands. Everything Qt is here."""

from __future__ import annotations

from pathlib import Path

import qt
import slicer
import vtk
from EdgeFlowLib import installation
from slicer.i18n import tr as _
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleWidget
from slicer.util import VTKObservationMixin

POLL_MS = 20
# Action: its default keys. What it does is the method of the same name in Widget.ACTIONS.
SHORTCUTS = {
    "undo": "Ctrl+Z",
    "redo": "Ctrl+Y",
    "delete prompt": "Del",
    "change sign": "T",
    "new segment": "E",
    "clear segment": "R",
    "show or hide": "V",
    "accept slice": "Space",
    "next to review": "Right",
    "let go of the mouse": "Esc",
}
FORMATS = (".dcm", ".dcm", ".nii.gz", ".seg.nrrd")  # in the order of exportFormatCombo; the first goes to the database
NEED_CASE = (
    "newSegmentButton clearSegmentButton removeSegmentButton lockButton overlapCombo undoButton redoButton show3DButton "
    "deletePromptButton reviewGroup exportButton edgesCheck segmentEditor"
).split()
GROOVE = (
    "QSlider::groove:horizontal {height: 14px; background: qlineargradient(x1:0, y1:0, x2:1, y2:0, %s)}"
    "QSlider::handle:horizontal {width: 5px; margin: -3px 0; background: #fff; border: 1px solid #000}"
)
BAR_COLOURS = {
    "none": "#555",
    "annotated": "#3b82f6",
    "accepted": "#22a35a",
    "proposed": "#f2b134",
    "unsure": "#e5484d",
}


class Widget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel of the module.

    Attributes:
        logic: Gives the parameter node; set by the entry file.
        case: What is being segmented; None until a volume is chosen and everything is installed.
    """

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.case = self.worker = self.editor = self._parameters = self._gui = self._opened = None
        self._keys = []

    def setup(self):
        """Build the panel, once."""
        ScriptedLoadableModuleWidget.setup(self)
        root = slicer.util.loadUI(self.resourcePath("UI/EdgeFlow.ui"))
        self.layout.addWidget(root)
        self.ui = ui = slicer.util.childWidgetVariables(root)
        root.setMRMLScene(slicer.mrmlScene)
        ui.segmentEditor.undoEnabled = False  # the session's undo knows more
        self.actions = {
            "undo": lambda: self.case.live.undo(),
            "redo": lambda: self.case.live.redo(),
            "delete prompt": lambda: self.case.delete_prompt(),
            "change sign": ui.signButton.toggle,
            "new segment": lambda: self.case.add_segment(),
            "clear segment": lambda: self.case.session.clear_segment(self.case.current),
            "show or hide": lambda: self.case.toggle_visibility(),
            "accept slice": lambda: self.case.accept(),
            "next to review": lambda: self.case.next_to_review(),
            "let go of the mouse": lambda: ui.armButton.setChecked(False),
        }
        buttons = {
            "undoButton": self.actions["undo"],
            "redoButton": self.actions["redo"],
            "deletePromptButton": self.actions["delete prompt"],
            "newSegmentButton": self.actions["new segment"],
            "clearSegmentButton": self.actions["clear segment"],
            "acceptButton": self.actions["accept slice"],
            "nextButton": self.actions["next to review"],
            "removeSegmentButton": lambda: self.case.session.remove_segment(self.case.current),
            "lockButton": lambda: self.case.session.lock(self.case.current, ui.lockButton.checked),
            "propagateDownButton": lambda: self.case.propagate((-1,), ui.rangeSpin.value),
            "propagateBothButton": lambda: self.case.propagate((-1, 1), ui.rangeSpin.value),
            "propagateUpButton": lambda: self.case.propagate((1,), ui.rangeSpin.value),
            "stopButton": lambda: self.case.live.stop(),
            "acceptAllButton": lambda: self.case.session.accept(None, self.case.current),
            "show3DButton": lambda: self.case.show_3d(ui.show3DButton.checked),
            "exportButton": self._export,
        }
        for name, action in buttons.items():
            getattr(ui, name).connect("clicked(bool)", lambda _checked, action=action: self._do(action))
        ui.checkButton.connect("clicked(bool)", lambda _checked: self._check())
        ui.installButton.connect("clicked(bool)", lambda _checked: self._install())
        ui.armButton.connect("toggled(bool)", lambda armed: armed and self.editor.SetActiveEffectName(""))
        ui.signButton.connect("toggled(bool)", lambda minus: ui.signButton.setText(_("Remove") if minus else _("Add")))
        ui.reviewSlider.connect("valueChanged(int)", lambda index: self._do(lambda: self.case.jump(index)))
        ui.overlapCombo.connect("activated(int)", lambda index: self._do(lambda: self.case.set_policy(index)))
        ui.segmentsTable.connect("selectionChanged(QItemSelection,QItemSelection)", lambda *_: self._select())
        ui.modelCombo.connect("activated(int)", lambda _index: self._choose("model", ui.modelCombo.currentText))
        ui.windowCombo.connect("activated(int)", lambda _index: self._choose("window", ui.windowCombo.currentText))
        self._list_shortcuts()
        self.timer = qt.QTimer()
        self.timer.setInterval(POLL_MS)
        self.timer.connect("timeout()", self._poll)
        slicer.app.layoutManager().connect(
            "layoutChanged(int)", lambda _layout: self.case and self.case.watch(_views())
        )
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, lambda *_: self._attach(None))
        self.addObserver(scene, scene.EndCloseEvent, lambda *_: self._attach_if_entered())
        self.addObserver(scene, scene.EndImportEvent, lambda *_: self._attach_if_entered())
        self.addObserver(scene, scene.StartSaveEvent, lambda *_: self.case and self.case.store())

    def enter(self):
        """The module comes into view: the mouse is ours, the network warms up."""
        self._attach(self.logic.getParameterNode())
        self.ui.armButton.checked = True
        for keys in self._keys:
            keys.setEnabled(True)
        self.timer.start()

    def exit(self):
        """Another module comes into view: views and keys are free again, the case goes on where it was."""
        for keys in self._keys:
            keys.setEnabled(False)
        if self.case:
            self.case.interaction.armed = False

    def cleanup(self):
        """The panel is destroyed."""
        self.timer.stop()
        self._attach(None)
        if self.worker:
            self.worker.stop()
        self.removeObservers()

    # Parameters and case

    def _attach_if_entered(self):
        if self.parent.isEntered:
            self.enter()

    def _attach(self, parameters):
        """Follow a parameter node, or none while the scene closes."""
        if self._parameters:
            self._parameters.disconnectGui(self._gui)
            self.removeObserver(self._parameters, vtk.vtkCommand.ModifiedEvent, self._open)
        self._parameters = parameters
        if parameters:
            if not parameters.volume:
                parameters.volume = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode")
            self._gui = parameters.connectGui(self.ui)
            self.addObserver(parameters, vtk.vtkCommand.ModifiedEvent, self._open)
        self._open()

    def _open(self, *_args):
        """Make the case fit the parameters."""
        p = self._parameters
        if self.case and p and (p.volume, p.segmentation) == (self.case.volume_node, self.case.node):
            self.case.overlays.show_edges(self.case.current if p.edges else None)
            return
        if self.case:
            self.case.close()
            self.case = None
        self.ui.segmentsTable.setSegmentationNode(None)
        if not p or not p.volume:
            self._report(_("Choose a volume."))
        elif installation.missing():
            self._report(_("Python packages are missing: see Advanced, Install packages."))
        else:
            self._do(self._open_case)
        self._refresh()

    def _open_case(self):
        from edgeflow_med.weights import DEFAULT_MODEL, bundle_names
        from edgeflow_med.windows import CT_PRESETS
        from edgeflow_med.worker import Worker
        from EdgeFlowLib.case import Case

        p, ui = self._parameters, self.ui
        self.worker = self.worker or Worker()
        node = p.segmentation or slicer.mrmlScene.AddNewNodeByClass(
            "vtkMRMLSegmentationNode", f"{p.volume.GetName()} segmentation"
        )
        self.case = Case(p.volume, node, _views(), self.worker, report=self._report, changed=self._refresh)
        for combo, names, chosen in (
            (ui.modelCombo, bundle_names(), p.model or DEFAULT_MODEL),
            (ui.windowCombo, ["automatic", *CT_PRESETS], p.window or self.case.session.window.name),
        ):
            combo.clear()
            combo.addItems(names)
            combo.setCurrentText(chosen)
        self.case.set_model(ui.modelCombo.currentText, p.device)
        ui.segmentsTable.setSegmentationNode(node)
        self.editor = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentEditorNode", "EdgeFlow editor")
        ui.segmentEditor.setMRMLSegmentEditorNode(self.editor)
        ui.segmentEditor.setSegmentationNode(node)
        ui.segmentEditor.setSourceVolumeNode(p.volume)
        p.segmentation = node

    def _choose(self, name, value):
        """Take over a choice of the model or of its window."""
        setattr(self._parameters, name, value)
        if name == "window":
            self._do(lambda: setattr(self.case.session, "window", value))
        else:
            self._do(lambda: self.case.set_model(value, self._parameters.device))

    # What the reader sees

    def _report(self, line):
        self.ui.statusLabel.text = line

    def _do(self, action):
        """Do what a button or key says; what the library refuses is told in the status line."""
        from edgeflow_med.errors import EdgeFlowError

        try:
            action()
        except EdgeFlowError as error:
            self._report(str(error))

    def _poll(self):
        """Every 20 ms: what the panel says goes to the case, what the worker has done to the scene."""
        if not self.case:
            return
        case, ui, effect = self.case, self.ui, self.editor.GetActiveEffectName() or ""
        case.interaction.armed = ui.armButton.checked and not effect
        case.positive, case.tool, case.width_mm = (
            not ui.signButton.checked,
            ui.toolCombo.currentText,
            ui.strokeWidthSpin.value,
        )
        case.poll(effect)
        ui.stopButton.enabled = case.live.walking
        ui.progressBar.visible = case.live.walking or case.live.asking
        if not ui.reviewSlider.isSliderDown():
            ui.reviewSlider.blockSignals(True)
            ui.reviewSlider.value = case.here()
            ui.reviewSlider.blockSignals(False)

    def _refresh(self):
        """Show how the case stands; after every change."""
        case, ui = self.case, self.ui
        for name in NEED_CASE:
            getattr(ui, name).enabled = case is not None
        if not case:
            return
        session, current = case.session, case.current
        for button, names in ((ui.undoButton, session.history[::-1]), (ui.redoButton, session.redo_names)):
            button.enabled = bool(names)
            button.toolTip = names[0] if names else ""
        ui.deletePromptButton.enabled = case.overlays.selected is not None
        ui.lockButton.checked = current is not None and current.locked
        ui.overlapCombo.currentIndex = case.policies.index(session.policy)
        identifier = case.bridge.identifier(current) if current else ""
        if identifier and list(ui.segmentsTable.selectedSegmentIDs()) != [identifier]:
            ui.segmentsTable.setSelectedSegmentIDs([identifier])
        ui.show3DButton.checked = case.in_3d
        self._show_bar()

    def _show_bar(self):
        """The bar along the slices: the groove of the slider is painted in the colours of their marks."""
        from edgeflow_med.display import review_bar

        count, stops, at = self.case.slice_count, [], 0
        for mark, length in review_bar(self.case.current, self.case.axis, count):
            stops += [
                f"stop:{at / count:.5f} {BAR_COLOURS[mark]}",
                f"stop:{(at + length) / count - 1e-5:.5f} {BAR_COLOURS[mark]}",
            ]
            at += length
        self.ui.reviewSlider.maximum = count - 1
        self.ui.reviewSlider.setStyleSheet(GROOVE % ", ".join(stops))
        waiting = len(self.case.current.proposed) if self.case.current else 0
        legend = " ".join(
            f"<span style='color:{colour}'>\u25a0</span> {_(mark)}" for mark, colour in BAR_COLOURS.items()
        )
        self.ui.reviewLabel.text = f"{legend}<br>" + _("{count} slices wait for review").format(count=waiting)
        if self.case.current:
            self.case.live.measure(self.case.current, self.ui.measureLabel.setText)

    def _select(self):
        """The reader chose a row of the segments table."""
        chosen = list(self.ui.segmentsTable.selectedSegmentIDs())
        state = self.case.bridge.state(chosen[0]) if self.case and chosen else None
        if state is not None and state is not self.case.current:
            self.case.current = state
            self._refresh()

    # Keys

    def _list_shortcuts(self):
        """Fill the table of shortcuts, which can be edited, and listen to the keys."""
        table, settings = self.ui.shortcutsTable, qt.QSettings()
        table.setRowCount(len(SHORTCUTS))
        for row, (action, default) in enumerate(SHORTCUTS.items()):
            keys = settings.value(f"EdgeFlow/Shortcuts/{action}", default)
            table.setItem(row, 0, qt.QTableWidgetItem(_(action)))
            table.setItem(row, 1, qt.QTableWidgetItem(keys))
            self._keys.append(qt.QShortcut(qt.QKeySequence(keys), slicer.util.mainWindow()))
            self._keys[-1].connect("activated()", lambda action=action: self.case and self._do(self.actions[action]))
        table.connect("cellChanged(int,int)", self._change_shortcut)

    def _change_shortcut(self, row, _column):
        keys = self.ui.shortcutsTable.item(row, 1).text()
        self._keys[row].setKey(qt.QKeySequence(keys))
        qt.QSettings().setValue(f"EdgeFlow/Shortcuts/{list(SHORTCUTS)[row]}", keys)

    # Files and installation

    def _export(self):
        number = self.ui.exportFormatCombo.currentIndex
        name = f"{self.case.node.GetName()}{FORMATS[number]}"
        folder = slicer.app.temporaryPath if number == 0 else qt.QFileDialog.getExistingDirectory(None, _("Folder"))
        if folder:
            then = (
                (lambda path: slicer.dicomDatabase.insert(str(path), True, False))
                if number == 0
                else lambda _path: None
            )
            self.case.export(Path(folder) / name, then, self.ui.acceptedOnlyCheck.checked)

    def _check(self):
        lines = installation.report()
        self.ui.installationLabel.text = "\n".join(
            lines if installation.missing() else [*lines, *installation.doctor()]
        )

    def _install(self):
        self.ui.installationLabel.text = "\n".join(installation.report() if installation.install() else [])
        self._open()


def _views():
    """Slice node and interactor of each slice view on the screen."""
    manager = slicer.app.layoutManager()
    widgets = [manager.sliceWidget(name) for name in manager.sliceViewNames()]
    return [(widget.mrmlSliceNode(), widget.sliceView().interactor()) for widget in widgets]
