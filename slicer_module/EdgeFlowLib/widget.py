"""The panel: connects buttons, keys and Slicer's events to the case, and shows how it stands. Everything Qt is here."""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path

import qt
import slicer
import vtk
from slicer.i18n import tr as _
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleWidget
from slicer.util import VTKObservationMixin

from EdgeFlowLib import installation
from EdgeFlowLib.bridge import shown_volume

POLL_MS = 20
# Actions in the order of shortcutsTable, which holds their keys. An action is a method of the widget, the case or the
# desk; the buttons name theirs in EdgeFlow.ui.
SHORTCUTS = (
    *("undo", "redo", "delete_prompt", "change_sign", "add_segment", "clear_segment", "toggle_visibility"),
    *("accept_slice", "next_to_review", "disarm"),
)
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
        self._keys = {}

    def setup(self):
        """Build the panel, once."""
        ScriptedLoadableModuleWidget.setup(self)
        root = slicer.util.loadUI(self.resourcePath("UI/EdgeFlow.ui"))
        self.layout.addWidget(root)
        self.ui = ui = slicer.util.childWidgetVariables(root)
        root.setMRMLScene(slicer.mrmlScene)
        for button in vars(ui).values():
            action = button.property("action")
            if action:
                button.connect("clicked(bool)", lambda _on, action=action: self.act(action))
        ui.armButton.connect("toggled(bool)", lambda _on: self._end_effect())
        ui.signButton.connect("toggled(bool)", lambda minus: ui.signButton.setText(_("Remove") if minus else _("Add")))
        ui.reviewSlider.connect("valueChanged(int)", lambda index: self.act("show_slice", index))
        ui.overlapCombo.connect("activated(int)", lambda index: self.act("set_policy", index))
        table, editor = ui.segmentsTable, ui.segmentEditor
        selected = "selectionChanged(QItemSelection,QItemSelection)"
        table.connect(selected, lambda *_args: self._select(*table.selectedSegmentIDs()))
        editor.connect("currentSegmentIDChanged(QString)", self._select)
        for combo in (ui.modelCombo, ui.deviceCombo, ui.windowCombo):
            combo.connect("activated(int)", lambda _index: self.act("set_model"))
        self._set_up_shortcuts()
        self.timer = qt.QTimer()
        self.timer.setInterval(POLL_MS)
        self.timer.connect("timeout()", self._poll)
        slicer.app.layoutManager().connect("layoutChanged(int)", lambda _now: self.case and self.case.watch(_views()))
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, lambda *_args: self._attach(None))
        for event in (scene.EndCloseEvent, scene.EndImportEvent):
            self.addObserver(scene, event, lambda *_args: self.parent.isEntered and self.enter())

    def enter(self):
        """The module comes into view: the mouse is ours, the network warms up."""
        self._attach(self.logic.getParameterNode())
        self.ui.armButton.checked = True
        self._listen(True)
        self.timer.start()

    def exit(self):
        """Another module comes into view: views and keys are free again, the case goes on where it was."""
        self._listen(False)
        self.disarm()

    def cleanup(self):
        """The panel is destroyed."""
        self.timer.stop()
        for keys in self._keys.values():
            keys.setParent(None)
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
                parameters.volume = shown_volume()
            self._gui = parameters.connectGui(self.ui)
            self.addObserver(parameters, vtk.vtkCommand.ModifiedEvent, self._open)
        self._open()

    def _open(self, *_args):
        """Make the case fit the parameters; not while a scene is read, of which the half is not there yet."""
        p = self._parameters
        if slicer.mrmlScene.IsImporting():
            return
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
        elif p.volume.GetImageData() is None:
            self._report(_("This volume is empty; choose another."))
        elif installation.missing():
            self._report(_("Python packages are missing: see Advanced, Install packages."))
        else:
            self.act("_open_case")
        self._refresh()

    def _open_case(self):
        from edgeflow_med.weights import DEFAULT_MODEL, bundle_names
        from edgeflow_med.windows import CT_PRESETS
        from EdgeFlowLib.case import Case

        p, ui = self._parameters, self.ui
        name = f"{p.volume.GetName()} segmentation"
        node = p.segmentation or slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
        self.case = Case(p.volume, node, _views(), self._need_worker(), self._report, self._refresh)
        p.segmentation = node
        for combo, names, chosen in (
            (ui.modelCombo, bundle_names(), p.model or DEFAULT_MODEL),
            (ui.windowCombo, ["automatic", *CT_PRESETS], p.window or self.case.session.window.name),
        ):
            combo.clear()
            combo.addItems(names)
            combo.setCurrentText(chosen)
        self.set_model(self.case.opened)
        ui.segmentsTable.setSegmentationNode(node)
        editor = slicer.vtkMRMLSegmentEditorNode()
        editor.SetSingletonTag("EdgeFlow")
        self.editor = slicer.mrmlScene.AddNode(editor)  # the one that is there already, if it is
        ui.segmentEditor.setMRMLSegmentEditorNode(self.editor)
        ui.segmentEditor.setSegmentationNode(node)
        ui.segmentEditor.setSourceVolumeNode(p.volume)
        self.case.show_edges(p.edges)

    def set_model(self, told=""):
        """Take over what is chosen in the advanced section; ``told`` stays in the status line."""
        p, ui, desk = self._parameters, self.ui, self.case.desk
        p.model, p.window = ui.modelCombo.currentText, ui.windowCombo.currentText
        if (p.model, p.device) != desk.model:
            desk.set_model(p.model, p.device, told)
        if p.window not in ("", self.case.session.window.name):
            self.case.session.window = p.window

    def _need_worker(self):
        from edgeflow_med.gui.worker import Worker

        self.worker = self.worker or Worker()
        return self.worker

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
        if self.worker:
            self.worker.poll()
        if not self.case:
            return
        case, desk, ui, effect = self.case, self.case.desk, self.ui, self.editor.GetActiveEffectName() or ""
        self._take_choices()
        case.poll(effect)
        self._keys["delete_prompt"].enabled = self._keys["undo"].enabled and not effect  # Draw has its own Del
        ui.stopButton.enabled = desk.walking
        ui.progressBar.visible = desk.walking or desk.asking
        here = desk.here
        ui.sliceLabel.text = f"{desk.plane} {here}"
        if not ui.reviewSlider.isSliderDown():
            ui.reviewSlider.blockSignals(True)
            ui.reviewSlider.value = here
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
        if identifier:
            ui.segmentEditor.setCurrentSegmentID(identifier)
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

    def _select(self, identifier="", *_more):
        """The reader chose a segment, in our table or in the Segment Editor's."""
        state = self.case.bridge.state(identifier) if self.case and identifier else None
        if state is not None and state is not self.case.desk.current:
            self.case.desk.current = state
            self._refresh()

    def change_sign(self):
        """Prompts that added remove from now on, and the other way round."""
        self.ui.signButton.toggle()

    def disarm(self):
        """The left mouse button is Slicer's again: neither prompts nor an effect of the Segment Editor take it."""
        self.ui.armButton.checked = False
        self._end_effect()

    def _end_effect(self):
        if self.editor:
            self.editor.SetActiveEffectName("")

    def _set_up_shortcuts(self):
        table, settings, window = self.ui.shortcutsTable, qt.QSettings(), slicer.util.mainWindow()
        for row, action in enumerate(SHORTCUTS):
            item = table.item(row, 1)
            item.setText(settings.value(f"EdgeFlow/Shortcuts/{action}", item.text()))
            keys = self._keys[action] = qt.QShortcut(qt.QKeySequence(item.text()), window)
            keys.enabled = False
            keys.connect("activated()", lambda action=action: self.act(action))
        table.connect("cellChanged(int,int)", lambda row, _column: self._change_shortcut(row))

    def _change_shortcut(self, row):
        """Take over what the reader typed into the table, nothing for no key; what cannot be is set back."""
        item, keys = self.ui.shortcutsTable.item(row, 1), self._keys[SHORTCUTS[row]]
        typed, wanted = item.text(), qt.QKeySequence(item.text()).toString()
        taken = any(other is not keys and other.key.toString() == wanted for other in self._keys.values())
        if typed and (taken or not wanted):
            self._report(_("'{keys}' is taken or is not a key; give another, such as Ctrl+K.").format(keys=typed))
            item.setText(keys.key.toString())
        else:
            keys.key = qt.QKeySequence(wanted)
            qt.QSettings().setValue(f"EdgeFlow/Shortcuts/{SHORTCUTS[row]}", wanted)

    def _listen(self, on):
        """Listen to all keys, or to none."""
        for keys in self._keys.values():
            keys.enabled = on

    # Files and installation

    def export(self):
        """Write the segments in the format that is chosen."""
        number, accepted_only = self.ui.exportFormatCombo.currentIndex, self.ui.acceptedOnlyCheck.checked
        if number:
            folder, then = qt.QFileDialog.getExistingDirectory(), str
        elif slicer.dicomDatabase.isOpen:
            folder, then = tempfile.mkdtemp(dir=slicer.app.temporaryPath), self._take_into_database
        else:
            folder, then = "", str
            self._report(_("There is no DICOM database; open the module DICOM, which makes one."))
        if folder:
            name = re.sub(r'[<>:"/\\|?*]', "_", self.case.node.GetName())
            self.case.export(Path(folder) / f"{name}{FORMATS[number]}", then, accepted_only)

    def _take_into_database(self, file):
        slicer.dicomDatabase.insert(str(file), True, False)  # copies it
        shutil.rmtree(file.parent)
        self._report(f"{self.ui.statusLabel.text} {_('It is in the DICOM database.')}")

    def check(self):
        """Say what is installed and, from the worker's thread, whether it works."""
        lines, label = installation.report(), self.ui.installationLabel
        label.text = "\n".join(lines)
        if not installation.missing():
            label.text += "\n" + _("Trying it out ...")
            then = lambda told: label.setText("\n".join([*lines, *told]))  # noqa: E731
            self._need_worker().submit("doctor", installation.doctor, then)

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
