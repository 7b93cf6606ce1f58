"""Entry of the 3D Slicer module EdgeFlow: title, help, and a panel that tells whether the library is there.

Segmenting in the slice views is not part of the module yet.
"""

import logging

import ctk
import qt
import slicer
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)


class EdgeFlow(ScriptedLoadableModule):
    """What the module's list, help and acknowledgement show."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("EdgeFlow")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Segmentation")]
        self.parent.dependencies = []
        self.parent.contributors = ["EdgeFlow-Med contributors"]
        self.parent.helpText = _(
            "Click-based segmentation of CT and MR with EdgeFlow. This version tells whether the library edgeflow_med "
            "is installed; clicking in the slice views is not there yet. "
            "Not a medical device: for research only."
        )
        self.parent.acknowledgementText = _(
            "The network follows EdgeFlow (Hao et al., ICCV Workshops 2021); inference is built on PyTorch and MONAI."
        )


class EdgeFlowWidget(ScriptedLoadableModuleWidget):
    """The panel of the module."""

    def setup(self):
        """Build the panel."""
        ScriptedLoadableModuleWidget.setup(self)
        panel = ctk.ctkCollapsibleButton()
        panel.text = _("Installation")
        self.layout.addWidget(panel)
        form = qt.QVBoxLayout(panel)
        self.noteLabel = qt.QLabel(_("Segmenting in the slice views is not there yet. Not for clinical use."))
        self.noteLabel.wordWrap = True
        form.addWidget(self.noteLabel)
        self.checkButton = qt.QPushButton(_("Check installation"))
        self.checkButton.toolTip = _("Tell whether edgeflow_med and the packages that it needs can be imported.")
        self.checkButton.connect("clicked(bool)", self.onCheckInstallation)
        form.addWidget(self.checkButton)
        self.resultLabel = qt.QLabel("")
        self.resultLabel.wordWrap = True
        form.addWidget(self.resultLabel)
        self.layout.addStretch(1)

    def onCheckInstallation(self, _checked=False):
        """Show what is installed."""
        self.resultLabel.text = "\n".join(EdgeFlowLogic().check())


class EdgeFlowLogic(ScriptedLoadableModuleLogic):
    """What the module does without its panel."""

    def check(self):
        """Tell, one line each, what is installed and what is missing; the lines go to the log too."""
        from EdgeFlowLib.installation import report

        lines = report()
        logging.getLogger("EdgeFlow").info("%s", "; ".join(lines))
        return lines


class EdgeFlowTest(ScriptedLoadableModuleTest):
    """Self-test, run by Slicer's "Reload and Test" and by ctest."""

    def runTest(self):
        """Run all tests of the module."""
        slicer.mrmlScene.Clear()
        self.test_library_is_found()

    def test_library_is_found(self):
        """The library that ships with the module is found, whether or not its requirements are installed."""
        first = EdgeFlowLogic().check()[0]
        self.assertTrue(first.startswith("edgeflow_med "), first)
