"""The panel: connects buttons, keys and Slicer's events to the case, and shows how it stands. Everything Qt is here.

EdgeFlow.ui names the actions of buttons and keys; an action is a method of the panel, the case, its desk or its scene.
"""

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
from EdgeFlowLib.bridge import Bridge, shown_volume
from EdgeFlowLib.overlays import Overlays
from EdgeFlowLib.views import Views


class Widget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel of the module.

    Attributes:
        logic: Gives the parameter node; set by the entry file.
        case: What is being segmented; None until a volume is chosen and everything is installed.
    """

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic = self.case = self.editor = self._parameters = self._gui = None
        self._keys = {}

    def setup(self):
        """Build the panel, once."""
        from edgeflow_med.gui.worker import Worker

        self.worker = Worker()
        ScriptedLoadableModuleWidget.setup(self)
        root = slicer.util.loadUI(self.resourcePath("UI/EdgeFlow.ui"))
        self.layout.addWidget(root)
        self.ui = ui = slicer.util.childWidgetVariables(root)
        root.setMRMLScene(slicer.mrmlScene)
        widgets = list(vars(ui).values())
        self._need_case = [widget for widget in widgets if widget.property("needsCase")]
        for each in widgets:
            if action := each.property("action"):
                each.connect("clicked(bool)", lambda _on, action=action: self.act(action))
        ui.armButton.connect("toggled(bool)", lambda _on: self._end_effect())
        ui.reviewSlider.connect("valueChanged(int)", lambda index: self.act("show_slice", index))
        ui.overlapCombo.connect("activated(int)", lambda index: self.act("set_policy", index))
        for combo in (ui.modelCombo, ui.deviceCombo, ui.windowCombo):
            combo.connect("activated(int)", lambda _index: self.act("set_model"))
        table, editor = ui.segmentsTable, ui.segmentEditor
        selected = "selectionChanged(QItemSelection,QItemSelection)"
        table.connect(selected, lambda *_args: self._select(*table.selectedSegmentIDs()))
        editor.connect("currentSegmentIDChanged(QString)", self._select)
        self._set_up_shortcuts()
        self.timer = qt.QTimer()
        self.timer.setInterval(20)
        self.timer.connect("timeout()", self._poll)
        layouts = slicer.app.layoutManager()
        layouts.connect("layoutChanged(int)", lambda _now: self.case and self.case.views.watch(_views()))
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, lambda *_args: self._attach(None))
        for event in (scene.EndCloseEvent, scene.EndImportEvent):
            self.addObserver(scene, event, lambda *_args: self.parent.isEntered and self.enter())

    def enter(self):
        """The module comes into view: the mouse is ours, the network warms up."""
        self._attach(self.logic.getParameterNode())
        self.ui.armButton.checked = True
        for keys in self._keys.values():
            keys.enabled = True
        self.timer.start()

    def exit(self):
        """Another module comes into view: views and keys are free again, the case goes on where it was."""
        for keys in self._keys.values():
            keys.enabled = False
        self.disarm()

    def cleanup(self):
        """The panel is destroyed."""
        self.timer.stop()
        for keys in self._keys.values():
            keys.setParent(None)
        self._attach(None)
        self.worker.stop()
        self.removeObservers()

    def act(self, action, *arguments):
        """Do what a button or key says; what the library refuses is told in the status line."""
        from edgeflow_med.gui.panel import perform

        self._take_choices()
        owners = [self, self.case, self.case.desk, self.case.scene] if self.case else [self]
        perform(action, owners, self._report, *arguments)

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
        if self.case and p and (p.volume, p.segmentation) == (self.case.scene.volume_node, self.case.scene.node):
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
        from edgeflow_med.gui.case import Case
        from edgeflow_med.gui.panel import choices

        p, ui = self._parameters, self.ui
        name = f"{p.volume.GetName()} segmentation"
        node = p.segmentation or slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
        scene = Bridge(p.volume, node)
        views = Views(scene, _views())
        self.case = Case(scene, views, Overlays(scene), self.worker, self._report, self._refresh)
        p.segmentation = node
        for combo, (names, chosen) in choices(self.case.desk, p.model, p.window).items():
            getattr(ui, combo).clear()
            getattr(ui, combo).addItems(names)
            getattr(ui, combo).setCurrentText(chosen)
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
        p, ui = self._parameters, self.ui
        p.model, p.window = ui.modelCombo.currentText, ui.windowCombo.currentText
        self.case.desk.choose(p.model, p.device, p.window, told)

    # What the reader sees and does

    def _report(self, line):
        self.ui.statusLabel.text = line

    def _take_choices(self):
        """What the panel says goes to the desk."""
        if self.case:
            ui = self.ui
            self.case.views.armed = ui.armButton.checked and not self.editor.GetActiveEffectName()
            self.case.desk.take(ui.toolCombo.currentIndex, ui.strokeWidthSpin.value, ui.rangeSpin.value)

    def _poll(self):
        """Every 20 ms: what the worker has done goes to the scene, what was done in the scene to the session."""
        from edgeflow_med.gui.panel import moment

        if not self.case:
            self.worker.poll()  # an examination of the installation
            return
        self._take_choices()
        effect = self.editor.GetActiveEffectName() or ""
        self.case.poll(effect)
        self._keys["delete_prompt"].enabled = self._keys["undo"].enabled and not effect  # Draw has its own Del
        values = moment(self.case.desk, _)
        if self.ui.reviewSlider.isSliderDown():
            del values["reviewSlider"]
        self._set(values)

    def _refresh(self):
        """Show how the case stands; after every change."""
        from edgeflow_med.gui.panel import standing

        case, ui = self.case, self.ui
        for widget in self._need_case:
            widget.enabled = case is not None
        if not case:
            return
        self._set({**standing(case.desk, _), "show3DButton": {"checked": case.scene.in_3d}})
        if identifier := case.current:
            if list(ui.segmentsTable.selectedSegmentIDs()) != [identifier]:
                ui.segmentsTable.setSelectedSegmentIDs([identifier])
            ui.segmentEditor.setCurrentSegmentID(identifier)
        case.desk.measure_current(ui.measureLabel.setText)

    def _set(self, values):
        """Set those properties of widgets that are otherwise; no signal tells of it."""
        for name, properties in values.items():
            widget = getattr(self.ui, name)
            blocked = widget.blockSignals(True)
            for key, value in properties.items():
                if getattr(widget, key) != value:
                    setattr(widget, key, value)
            widget.blockSignals(blocked)

    def _select(self, identifier="", *_more):
        """The reader chose a segment, in our table or in the Segment Editor's."""
        if self.case and self.case.select(identifier):
            self._refresh()

    def disarm(self):
        """The left mouse button is Slicer's again: neither prompts nor an effect of the Segment Editor take it."""
        self.ui.armButton.checked = False
        self._end_effect()

    def _end_effect(self):
        if self.editor:
            self.editor.SetActiveEffectName("")

    def _set_up_shortcuts(self):
        table, settings, window = self.ui.shortcutsTable, qt.QSettings(), slicer.util.mainWindow()
        for row, action in enumerate(table.property("actions")):
            item = table.item(row, 1)
            item.setText(settings.value(f"EdgeFlow/Shortcuts/{action}", item.text()))
            keys = self._keys[action] = qt.QShortcut(qt.QKeySequence(item.text()), window)
            keys.enabled = False
            keys.connect("activated()", lambda action=action: self.act(action))
        table.connect("cellChanged(int,int)", lambda row, _column: self._change_shortcut(row))

    def _change_shortcut(self, row):
        """Take over what the reader typed into the table, nothing for no key; what cannot be is set back."""
        item, (action, keys) = self.ui.shortcutsTable.item(row, 1), list(self._keys.items())[row]
        typed, wanted = item.text(), qt.QKeySequence(item.text()).toString()
        taken = any(other is not keys and other.key.toString() == wanted for other in self._keys.values())
        if typed and (taken or not wanted):
            self._report(_("'{keys}' is taken or is not a key; give another, such as Ctrl+K.").format(keys=typed))
            item.setText(keys.key.toString())
        else:
            keys.key = qt.QKeySequence(wanted)
            qt.QSettings().setValue(f"EdgeFlow/Shortcuts/{action}", wanted)

    # Files and installation

    def export(self):
        """Write the segments in the format that is chosen; the first goes into Slicer's DICOM database."""
        from edgeflow_med.gui.desk import export_name

        number, accepted_only = self.ui.exportFormatCombo.currentIndex, self.ui.acceptedOnlyCheck.checked
        if not number and not slicer.dicomDatabase.isOpen:
            self._report(_("There is no DICOM database; open the module DICOM, which makes one."))
            return
        folder = qt.QFileDialog.getExistingDirectory() if number else tempfile.mkdtemp(dir=slicer.app.temporaryPath)
        if folder:
            path = Path(folder) / export_name(self.case.scene.node.GetName(), number)
            self.case.export(path, str if number else self._take_into_database, accepted_only)

    def _take_into_database(self, file):
        slicer.dicomDatabase.insert(str(file), True, False)  # copies it
        shutil.rmtree(file.parent)
        self._report(f"{self.ui.statusLabel.text} {_('It is in the DICOM database.')}")

    def check(self):
        """Say what is installed and, from the worker's thread, whether it works."""
        lines, label = installation.report(), self.ui.installationLabel
        label.text = "\n".join(lines)
        if not installation.missing():
            from edgeflow_med.cli.doctor import told

            label.text += "\n" + _("Trying it out ...")
            self.worker.submit("doctor", told, lambda found: label.setText("\n".join([*lines, *found])))

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
