"""What is drawn besides the segments: prompts, which slices nobody has accepted yet, and the edge map. No Qt.

All of it is made from the session, hidden from the node selectors and left out of saved scenes.
"""

import numpy as np
import slicer
import vtk

from EdgeFlowLib.bridge import LABELMAP, new_image


class Overlays:
    """Draws in Slicer's scene, as :class:`edgeflow_med.gui.display.Canvas`.

    Args:
        bridge: Gives the scene's nodes.

    Attributes:
        proposals: Voxels ``(K, J, I)`` uint8 of the proposed slices.
    """

    def __init__(self, bridge):
        from edgeflow_med.gui import display

        self._bridge, self._nodes = bridge, []
        self._points = {adds: self._add_points(colour, display.SELECTED) for adds, colour in display.PROMPT.items()}
        node = self._add("vtkMRMLSegmentationNode", "EdgeFlow proposed")
        node.GetDisplayNode().SetOpacity2DFill(0.5)
        identifier = node.GetSegmentation().AddEmptySegment("proposed", "Proposed", display.PROPOSED)
        self._image, self.proposals = new_image(bridge.volume_node)
        node.GetSegmentation().GetSegment(identifier).AddRepresentation(LABELMAP, self._image)
        self._edges, self._before = None, []  # what the edge map has displaced, by view

    def close(self):
        """Take everything out of the scene."""
        for node in self._nodes:
            slicer.mrmlScene.RemoveNode(node.GetDisplayNode())
            slicer.mrmlScene.RemoveNode(node)

    def add_dot(self, ras, positive):
        """Draw a dot of a prompt; returns its node and the id of its control point."""
        node = self._points[positive]
        number = node.AddControlPoint(vtk.vtkVector3d(ras))
        node.SetNthControlPointSelected(number, False)
        return node, node.GetNthControlPointID(number)

    def remove_dot(self, dot):
        """Draw it no more."""
        dot[0].RemoveNthControlPoint(dot[0].GetNthControlPointIndexByID(dot[1]))

    def select_dot(self, dot, selected):
        """Have it stand out, or not."""
        dot[0].SetNthControlPointSelected(dot[0].GetNthControlPointIndexByID(dot[1]), selected)

    def redraw(self, proposals, edges):
        """Bring everything to where the volume is now, and show which maps have changed."""
        if proposals:
            self._image.GetPointData().GetScalars().Modified()
            self._image.Modified()
        if edges:
            slicer.util.arrayFromVolumeModified(self._edges)
        for node in self._nodes:
            node.SetAndObserveTransformNodeID(self._bridge.volume_node.GetTransformNodeID())

    def show_edges(self, shown):
        """Have the edge map in front of the volume in all slice views, or give them back what was there.

        Segments are outlines meanwhile, since what fills them would lie over the edges.
        """
        display = self._bridge.node.GetDisplayNode()
        if shown:
            self._edges = self._edges or self._add_edges()
            self._filled = display.GetVisibility2DFill()
            views = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")
            self._before = [(view, view.GetForegroundVolumeID(), view.GetForegroundOpacity()) for view in views]
            slicer.util.setSliceViewerLayers(foreground=self._edges, foregroundOpacity=1.0)
        for view, volume, opacity in [] if shown else self._before:
            view.SetForegroundVolumeID(volume)
            view.SetForegroundOpacity(opacity)
        display.SetVisibility2DFill(not shown and self._filled)
        return slicer.util.arrayFromVolume(self._edges)

    def _add(self, kind, name):
        node = slicer.mrmlScene.CreateNodeByClass(kind)
        node.SetName(name)
        node.SetHideFromEditors(True)
        node.SetSaveWithScene(False)
        node.UnRegister(None)
        self._nodes.append(slicer.mrmlScene.AddNode(node))
        node.CreateDefaultDisplayNodes()
        node.GetDisplayNode().SetSaveWithScene(False)
        return node

    def _add_points(self, colour, selected):
        node = self._add("vtkMRMLMarkupsFiducialNode", "EdgeFlow prompts")
        node.SetLocked(True)  # a click beside a marker is ours and must not drag it
        display = node.GetDisplayNode()
        display.SetColor(*colour)
        display.SetSelectedColor(*selected)
        display.SetPointLabelsVisibility(False)
        display.SetPropertiesLabelVisibility(False)
        display.SetGlyphType(display.Circle2D)
        display.SetGlyphScale(3.0)
        return node

    def _add_edges(self):
        from edgeflow_med.gui.display import EDGE_WINDOW, WEAKEST_EDGE

        node = self._add("vtkMRMLScalarVolumeNode", "EdgeFlow edges")
        node.CopyOrientation(self._bridge.volume_node)
        slicer.util.updateVolumeFromArray(node, np.zeros(self._bridge.volume.shape, np.uint8))
        display = node.GetDisplayNode()
        display.SetAndObserveColorNodeID("vtkMRMLColorTableNodeCyan")
        display.SetAutoWindowLevel(False)
        display.SetWindowLevelMinMax(*EDGE_WINDOW)
        display.SetThreshold(WEAKEST_EDGE, 255)
        display.SetApplyThreshold(True)
        return node
