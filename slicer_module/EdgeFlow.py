"""Entry of the 3D Slicer module EdgeFlow: what Slicer looks up by name. The rest is in EdgeFlowLib and edgeflow_med."""

from pathlib import Path

import qt
import slicer
from EdgeFlowLib.installation import add_checkout_to_path, report
from EdgeFlowLib.parameters import EdgeFlowParameterNode
from EdgeFlowLib.widget import Widget
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
)


class EdgeFlow(ScriptedLoadableModule):
    """What the module's list, help and acknowledgement show."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        add_checkout_to_path()
        self.parent.title = _("EdgeFlow")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Segmentation")]
        self.parent.dependencies = ["SegmentEditor"]
        self.parent.contributors = ["EdgeFlow-Med contributors"]
        self.parent.helpText = _(
            "Click on a structure of a CT or MR: EdgeFlow outlines it, carries it to the neighbouring slices and saves "
            "a verified DICOM-SEG. Left click adds, Ctrl+click removes, a drag scribbles. "
            "Not a medical device: for research only, not for clinical use."
        )
        self.parent.acknowledgementText = _(
            "The network follows EdgeFlow (Hao et al., ICCV Workshops 2021); inference is built on PyTorch and MONAI."
        )
        if slicer.app.palette().color(qt.QPalette.Window).lightness() < 128:
            self.parent.icon = qt.QIcon(self.resourcePath("Icons/EdgeFlow-dark.svg"))
        slicer.app.connect("startupCompleted()", register_sample_data)


def register_sample_data():
    """Offer the scans that ship with the extension in the Sample Data module; nothing is downloaded."""
    from SampleData import SampleDataLogic

    from edgeflow_med.resources import resource

    scans = {"rider_lung_ct": _("CT, lung tumour"), "sts_003_ct": _("CT, sarcoma"), "sts_003_mr_t1": _("MR, sarcoma")}
    SampleDataLogic.registerCustomSampleDataCategory("EdgeFlow", title=_("EdgeFlow"))
    for name, title in scans.items():
        series = resource("sample_data") / name / "series"
        SampleDataLogic.registerCustomSampleDataSource(
            category="EdgeFlow",
            sampleName=title,
            uris=series.as_uri(),
            fileNames=name,
            thumbnailFileName=str(Path(__file__).parent / "Resources" / "Icons" / f"{name}.png"),
            customDownloader=lambda _source, series=series: load_series(series),
        )


def load_series(folder):
    """Load a DICOM series by way of Slicer's DICOM database, so that a DICOM-SEG can refer to it."""
    from DICOMLib import DICOMUtils

    DICOMUtils.importDicom(str(folder))
    uids = DICOMUtils.seriesUIDsForFiles([str(file) for file in folder.iterdir()])
    return [slicer.mrmlScene.GetNodeByID(node) for node in DICOMUtils.loadSeriesByUID(list(uids))]


class EdgeFlowLogic(ScriptedLoadableModuleLogic):
    """What the module does without its panel."""

    def getParameterNode(self):
        """The parameters of the present scene."""
        return EdgeFlowParameterNode(super().getParameterNode())


class EdgeFlowWidget(Widget):
    """The panel of the module."""

    def __init__(self, parent=None):
        Widget.__init__(self, parent)
        self.logic = EdgeFlowLogic()


class EdgeFlowTest(ScriptedLoadableModuleTest):
    """Self-test, run by Slicer's "Reload and Test" and by ctest."""

    def runTest(self):
        """The library that ships with the module is found, whether or not its requirements are installed."""
        first = report()[0]
        self.assertTrue(first.startswith("edgeflow_med "), first)
