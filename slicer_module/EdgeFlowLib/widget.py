"""The panel: connects buttons, keys and Slicer's events to the case, and shows how it stands. Everything Qt is here."""

from __future__ import annotations

from pathlib import Path

import qt
import slicer
import vtk
from slicer.i18n import tr as _
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleWidget
from slicer.util import VTKObservationMixin

from EdgeFlowLib import installation

POLL_MS = 20
# Actions and their keys, which the reader can change. An action is a method of the widget, the case or the desk; the
# buttons name theirs in EdgeFlow.ui.
SHORTCUTS = {
    "undo": "Ctrl+Z",
    "redo": "Ctrl+Y",
    "delete_prompt": "Del",
    "change_sign": "T",
    "add_segment": "E",
    "clear_segment": "R",
    "toggle_visibility": "V",
    "accept_slice": "Space",
    "next_to_review": "Right",
    "disarm": "Esc",
}
FORMATS = (".dcm", ".dcm", ".nii.gz", ".seg.nrrd")  # in the order of exportFormatCombo; the first goes to the database
NEED_CASE = (
    *("segmentsTable", "segmentGroup", "reviewGroup", "exportButton", "edgesCheck", "segmentEditor"),
    *("undoButton", "redoButton", "deletePromptButton"),
)
COLOURS = {"none": "#555", "annotated": "#3b82f6", "accepted": "#22a35a", "proposed": "#a855f7", "unsure": "#e5484d"}
GROOVE = (
    "QSlider::groove:horizontal {height: 14px; background: qlineargradient(x1:0, y1:0, x2:1, y2:0, %s)}"
    "QSlider::handle:horizontal {width: 3px; margin: -3px 0; background: transparent; border: 1px solid #fff}"
)


class Widget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel of the module.

    Attributes:
        logic: Gives the parameter node; set by the entry file.
        case: What is being segmented; None until a volume is chosen and everything is installed.
    """

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic = self.case = self.worker = self.editor = self._parameters = self._gui = None
        self._keys = []

    def setup(self):
        """Build the panel, once."""
        ScriptedLoadableModuleWidget.setup(self)
        root = slicer.util.loadUI(self.resourcePath("UI/EdgeFlow.ui"))
        self.layout.addWidget(root)
        self.ui = ui = slicer.util.childWidgetVariables(root)
        root.setMRMLScene(slicer.mrmlScene)
        ui.segmentEditor.undoEnabled = False  # the session's undo knows more
        for button in vars(ui).values():
            action = button.property("action")
            if action:
                button.connect("clicked(bool)", lambda _on, action=action: self.act(action))
        ui.armButton.connect("toggled(bool)", lambda on: on and self.editor and self.editor.SetActiveEffectName(""))
        ui.signButton.connect("toggled(bool)", lambda minus: ui.signButton.setText(_("Remove") if minus else _("Add")))
        ui.reviewSlider.connect("valueChanged(int)", lambda index: self.act("show_slice", index))
        ui.overlapCombo.connect("activated(int)", lambda index: self.act("set_policy", index))
        ui.segmentsTable.connect("selectionChanged(QItemSelection,QItemSelection)", lambda *_args: self._select())
        for combo in (ui.modelCombo, ui.deviceCombo, ui.windowCombo):
            combo.connect("activated(int)", lambda _index: self.act("set_model"))
        self._list_shortcuts()
        self.timer = qt.QTimer()
        self.timer.setInterval(POLL_MS)
        self.timer.connect("timeout()", self._poll)
        slicer.app.layoutManager().connect("layoutChanged(int)", lambda _now: self.case and self.case.watch(_views()))
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, lambda *_args: self._attach(None))
        for event in (scene.EndCloseEvent, scene.EndImportEvent):
            self.addObserver(scene, event, lambda *_args: self.parent.isEntered and self.enter())
        self.addObserver(scene, scene.StartSaveEvent, lambda *_args: self.case and self.case.store())

    def enter(self):
        """The module comes into view: the mouse is ours, the network warms up."""
        self._attach(self.logic.getParameterNode())
        self.ui.armButton.checked = True
        self._listen(True)
        self.timer.start()

    def exit(self):
        """Another module comes into view: views and keys are free again, the case goes on where it was."""
        self._listen(False)
        self.ui.armButton.checked = False

    def cleanup(self):
        """The panel is destroyed."""
        self.timer.stop()
        self._listen(False)
        self._attach(None)
        if self.worker:
            self.worker.stop()
        self.removeObservers()

    def act(self, action, *arguments):
        """Do what a button or key says; what the library refuses is told in the status line."""
        from edgeflow_med.errors import EdgeFlowError

        self._take_choices()
        owners = [self, self.case, self.case.desk] if self.case else [self]
        method = next((getattr(owner, action) for owner in owners if hasattr(owner, action)), None)
        if method is not None:
            try:
                method(*arguments)
            except EdgeFlowError as error:
                self._report(str(error))

    # Parameters and case

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
            self.case.show_edges(p.edges)
            return
        if self.case:
            self.case.close()
            self.case = None
            self.ui.segmentsTable.setSegmentationNode(None)
            self.ui.segmentEditor.setSegmentationNode(None)
        if not p or not p.volume:
            self._report(_("Choose a volume."))
        elif installation.missing():
            self._report(_("Python packages are missing: see Advanced, Install packages."))
        else:
            self.act("_open_case")
        self._refresh()

    def _open_case(self):
        from edgeflow_med.gui.worker import Worker
        from edgeflow_med.weights import DEFAULT_MODEL, bundle_names
        from edgeflow_med.windows import CT_PRESETS
        from EdgeFlowLib.case import Case

        p, ui = self._parameters, self.ui
        name = f"{p.volume.GetName()} segmentation"
        node = p.segmentation or slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
        self.worker = self.worker or Worker()
        self.case = Case(p.volume, node, _views(), self.worker, self._report, self._refresh)
        p.segmentation = node
        for combo, names, chosen in (
            (ui.modelCombo, bundle_names(), p.model or DEFAULT_MODEL),
            (ui.windowCombo, ["automatic", *CT_PRESETS], p.window or self.case.session.window.name),
        ):
            combo.clear()
            combo.addItems(names)
            combo.setCurrentText(chosen)
        self.set_model()
        ui.segmentsTable.setSegmentationNode(node)
        editor = slicer.vtkMRMLSegmentEditorNode()
        editor.SetSingletonTag("EdgeFlow")
        self.editor = slicer.mrmlScene.AddNode(editor)  # the one that is there already, if it is
        ui.segmentEditor.setMRMLSegmentEditorNode(self.editor)
        ui.segmentEditor.setSegmentationNode(node)
        ui.segmentEditor.setSourceVolumeNode(p.volume)
        self.case.show_edges(p.edges)

    def set_model(self):
        """Take over what is chosen in the advanced section."""
        p, ui, desk = self._parameters, self.ui, self.case.desk
        p.model, p.window = ui.modelCombo.currentText, ui.windowCombo.currentText
        if (p.model, p.device) != desk.model:
            desk.set_model(p.model, p.device)
        if p.window not in ("", self.case.session.window.name):
            self.case.session.window = p.window

    # What the reader sees and does

    def _report(self, line):
        self.ui.statusLabel.text = line

    def _take_choices(self):
        """What the panel says goes to the desk."""
        if self.case:
            from edgeflow_med.gui.desk import TOOLS

            desk, ui = self.case.desk, self.ui
            self.case.interaction.armed = ui.armButton.checked and not self.editor.GetActiveEffectName()
            desk.positive, desk.tool = not ui.signButton.checked, TOOLS[ui.toolCombo.currentIndex]
            desk.width_mm, desk.limit = ui.strokeWidthSpin.value, ui.rangeSpin.value

    def _poll(self):
        """Every 20 ms: what the worker has done goes to the scene, what was done in the scene to the session."""
        if not self.case:
            return
        case, desk, ui = self.case, self.case.desk, self.ui
        self._take_choices()
        case.poll(self.editor.GetActiveEffectName() or "")
        ui.stopButton.enabled = desk.walking
        ui.progressBar.visible = desk.walking or desk.asking
        if not ui.reviewSlider.isSliderDown():
            ui.reviewSlider.blockSignals(True)
            ui.reviewSlider.value = desk.here
            ui.reviewSlider.blockSignals(False)

    def _refresh(self):
        """Show how the case stands; after every change."""
        case, ui = self.case, self.ui
        for name in NEED_CASE:
            getattr(ui, name).enabled = case is not None
        if not case:
            return
        session, desk = case.session, case.desk
        for button, names in ((ui.undoButton, session.history[::-1]), (ui.redoButton, session.redo_names)):
            button.enabled = bool(names)
            button.toolTip = names[0] if names else ""
        ui.deletePromptButton.enabled = desk.selected is not None
        ui.lockButton.checked = desk.current is not None and desk.current.locked
        ui.show3DButton.checked = case.in_3d
        ui.overlapCombo.currentIndex = desk.policy_number
        identifier = case.bridge.identifier(desk.current) if desk.current else ""
        if identifier and list(ui.segmentsTable.selectedSegmentIDs()) != [identifier]:
            ui.segmentsTable.setSelectedSegmentIDs([identifier])
        self._show_bar(desk)
        desk.measure_current(ui.measureLabel.setText)

    def _show_bar(self, desk):
        """The bar along the slices: the groove of the slider is painted in the colours of their marks."""
        count, at, stops = desk.slice_count, 0, []
        for mark, length in desk.bar():
            stops += [f"stop:{place:.5f} {COLOURS[mark]}" for place in (at / count, (at + length) / count - 1e-5)]
            at += length
        self.ui.reviewSlider.maximum = count - 1
        self.ui.reviewSlider.setStyleSheet(GROOVE % ", ".join(stops))
        legend = " ".join(f"<span style='color:{colour}'>\u25a0</span> {_(mark)}" for mark, colour in COLOURS.items())
        told = _("{count} slices wait for review").format(count=desk.waiting_for_review)
        self.ui.reviewLabel.text = f"{legend}<br>{told}"

    def _select(self):
        """The reader chose a row of the segments table."""
        chosen = list(self.ui.segmentsTable.selectedSegmentIDs())
        state = self.case.bridge.state(chosen[0]) if self.case and chosen else None
        if state is not None and state is not self.case.desk.current:
            self.case.desk.current = state
            self._refresh()

    def change_sign(self):
        """Prompts that added remove from now on, and the other way round."""
        self.ui.signButton.toggle()

    def disarm(self):
        """The left mouse button is Slicer's again."""
        self.ui.armButton.checked = False

    def _list_shortcuts(self):
        table, settings = self.ui.shortcutsTable, qt.QSettings()
        table.setRowCount(len(SHORTCUTS))
        for row, (action, default) in enumerate(SHORTCUTS.items()):
            table.setItem(row, 0, qt.QTableWidgetItem(_(action.replace("_", " "))))
            table.setItem(row, 1, qt.QTableWidgetItem(settings.value(f"EdgeFlow/Shortcuts/{action}", default)))
        table.connect("cellChanged(int,int)", lambda row, _column: self._change_shortcut(row))

    def _change_shortcut(self, row):
        qt.QSettings().setValue(
            f"EdgeFlow/Shortcuts/{list(SHORTCUTS)[row]}", self.ui.shortcutsTable.item(row, 1).text()
        )
        self._listen(True)

    def _listen(self, on):
        """Listen to the keys in the table, or to none."""
        for keys in self._keys:
            keys.setParent(None)
        self._keys = []
        for row, action in enumerate(SHORTCUTS if on else ()):
            keys = qt.QKeySequence(self.ui.shortcutsTable.item(row, 1).text())
            self._keys.append(qt.QShortcut(keys, slicer.util.mainWindow()))
            self._keys[-1].connect("activated()", lambda action=action: self.act(action))

    # Files and installation

    def export(self):
        """Write the segments in the format that is chosen."""
        number, accepted_only = self.ui.exportFormatCombo.currentIndex, self.ui.acceptedOnlyCheck.checked
        to_database = number == 0
        folder = slicer.app.temporaryPath if to_database else qt.QFileDialog.getExistingDirectory()
        if folder:
            path = Path(folder) / f"{self.case.node.GetName()}{FORMATS[number]}"
            then = (lambda file: slicer.dicomDatabase.insert(str(file), True, False)) if to_database else str
            self.case.export(path, then, accepted_only)

    def check(self):
        """Say what is installed and whether it works."""
        lines = installation.report()
        self.ui.installationLabel.text = "\n".join(lines if installation.missing() else lines + installation.doctor())

    def install_from_folder(self):
        """Install what is missing without a network, from a folder of wheels."""
        if folder := qt.QFileDialog.getExistingDirectory():
            self.install(Path(folder))

    def install(self, wheels=None):
        """Install what is missing, if the reader agrees."""
        installation.install(wheels)
        self.ui.installationLabel.text = "\n".join(installation.report())
        self._open()


def _views():
    """Slice node and interactor of each slice view on the screen."""
    manager = slicer.app.layoutManager()
    widgets = [manager.sliceWidget(name) for name in manager.sliceViewNames()]
    return [(widget.mrmlSliceNode(), widget.sliceView().interactor()) for widget in widgets]
