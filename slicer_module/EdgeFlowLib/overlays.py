"""What is drawn besides the segments: prompts, which slices nobody has accepted yet, and the edge map. No Qt.

All of it is made from the session, hidden from the node selectors and left out of saved scenes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import slicer
import vtk

from EdgeFlowLib.bridge import LABELMAP, TO_LPS, new_image

if TYPE_CHECKING:
    from edgeflow_med.gui.display import Which
    from edgeflow_med.session.changes import Box
    from edgeflow_med.session.state import SegmentState
    from EdgeFlowLib.bridge import Bridge

COLOURS = {True: (0.2, 1.0, 0.2), False: (1.0, 0.2, 0.2)}  # of prompts that add and that remove
SELECTED = (1.0, 0.9, 0.1)
PROPOSED = (0.66, 0.33, 0.97)  # as in the bar along the slices; neither white nor black, which a scan may be
EDGE_FROM, EDGE_FULL = 0.05, 0.4  # weaker edges are not drawn, stronger ones are not brighter


class Overlays:
    """Draws them.

    Args:
        bridge: Gives the session, the scene's nodes and the geometry.
    """

    def __init__(self, bridge: Bridge) -> None:
        from edgeflow_med.gui.display import PromptMap, ProposalMap

        self._bridge, self._nodes = bridge, list[Any]()
        self._points = {positive: self._add_points(colour) for positive, colour in COLOURS.items()}
        self._prompts, self._selected = PromptMap(), None
        self._markers: dict[Which, tuple[Any, list[str]]] = {}  # which control points of which node
        node = self._add("vtkMRMLSegmentationNode", "EdgeFlow proposed")
        node.GetDisplayNode().SetOpacity2DFill(0.5)
        identifier = node.GetSegmentation().AddEmptySegment("proposed", "Proposed", PROPOSED)
        self._proposal_image, array = new_image(bridge.volume_node)
        node.GetSegmentation().GetSegment(identifier).AddRepresentation(LABELMAP, self._proposal_image)
        self._proposals = ProposalMap(array)
        self._edges: tuple[Any, Any] | None = None  # the node and what draws into it
        self._filled = True  # whether segments were filled before
        self._behind: dict[str, tuple[str, float]] = {}  # foregrounds that the edge map has displaced

    def close(self) -> None:
        """Take everything out of the scene."""
        self.show_edges(False)
        while self._nodes:
            self._remove(self._nodes[0])

    def show(
        self, current: SegmentState | None, selected: Which | None, boxes: dict[int, list[Box]] | None = None
    ) -> None:
        """Draw what changed.

        Args:
            current: The segment whose edges are shown.
            selected: The prompt that stands out.
            boxes: By segment id, where voxels changed; None for everywhere.
        """
        gone, new = self._prompts.update(self._bridge.session)
        for which in gone:
            node, identifiers = self._markers.pop(which)
            for identifier in identifiers:
                node.RemoveNthControlPoint(node.GetNthControlPointIndexByID(identifier))
        for which in new:
            dots = self._prompts.dots[which]
            node = self._points[dots[0].positive]
            places = [vtk.vtkVector3d(*(TO_LPS[:3, :3] @ dot.position)) for dot in dots]
            self._markers[which] = node, [node.GetNthControlPointID(node.AddControlPoint(place)) for place in places]
        for which in {*new, selected, self._selected} & set(self._markers):
            node, identifiers = self._markers[which]
            for identifier in identifiers:
                node.SetNthControlPointSelected(node.GetNthControlPointIndexByID(identifier), which == selected)
        self._selected = selected
        if self._proposals.update(self._bridge.session.segments, boxes):
            self._proposal_image.GetPointData().GetScalars().Modified()
            self._proposal_image.Modified()
        if self._edges is not None and self._edges[1].update(current):
            slicer.util.arrayFromVolumeModified(self._edges[0])
        for node in self._nodes:
            node.SetAndObserveTransformNodeID(self._bridge.volume_node.GetTransformNodeID())

    def prompt_at(self, index: Any, near_mm: float) -> Which | None:
        """The prompt drawn within ``near_mm`` of an index (k, j, i), if there is one."""
        return self._prompts.at(self._bridge.session.volume.position(index), near_mm)

    def _add(self, kind: str, name: str) -> Any:
        node = slicer.mrmlScene.CreateNodeByClass(kind)
        node.SetName(name)
        node.SetHideFromEditors(True)
        node.SetSaveWithScene(False)
        node.UnRegister(None)
        self._nodes.append(slicer.mrmlScene.AddNode(node))
        node.CreateDefaultDisplayNodes()
        node.GetDisplayNode().SetSaveWithScene(False)
        return node

    def _remove(self, node: Any) -> None:
        slicer.mrmlScene.RemoveNode(node.GetDisplayNode())
        slicer.mrmlScene.RemoveNode(node)
        self._nodes.remove(node)

    def _add_points(self, colour: tuple[float, float, float]) -> Any:
        node = self._add("vtkMRMLMarkupsFiducialNode", "EdgeFlow prompts")
        node.SetLocked(True)  # a click beside a marker is ours and must not drag it
        display = node.GetDisplayNode()
        display.SetColor(*colour)
        display.SetSelectedColor(*SELECTED)
        display.SetPointLabelsVisibility(False)
        display.SetPropertiesLabelVisibility(False)
        display.SetGlyphType(display.Circle2D)
        display.SetGlyphScale(3.0)
        return node

    def show_edges(self, shown: bool) -> None:
        """Have the edge map in front of the volume in all slice views, or give them back what was there.

        Segments are outlines meanwhile, since what fills them would lie over the edges.
        """
        from edgeflow_med.gui.display import EdgeMap

        display = self._bridge.node.GetDisplayNode()
        if not shown and self._edges is not None:
            self._restore_foregrounds()
            display.SetVisibility2DFill(self._filled)
            self._remove(self._edges[0])
            self._edges = None
        elif shown and self._edges is None:
            self._filled = display.GetVisibility2DFill()
            display.SetVisibility2DFill(False)
            node = self._add_edges()
            self._edges = node, EdgeMap(slicer.util.arrayFromVolume(node))
            for composite in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
                self._behind[composite.GetID()] = composite.GetForegroundVolumeID(), composite.GetForegroundOpacity()
                composite.SetForegroundVolumeID(node.GetID())
                composite.SetForegroundOpacity(1.0)

    def _restore_foregrounds(self) -> None:
        for identifier, (volume, opacity) in self._behind.items():
            composite = slicer.mrmlScene.GetNodeByID(identifier)
            if composite is not None:
                composite.SetForegroundVolumeID(volume)
                composite.SetForegroundOpacity(opacity)
        self._behind.clear()

    def _add_edges(self) -> Any:
        node = self._add("vtkMRMLScalarVolumeNode", "EdgeFlow edges")
        node.CopyOrientation(self._bridge.volume_node)
        image = vtk.vtkImageData()
        image.SetDimensions(*self._bridge.volume_node.GetImageData().GetDimensions())
        image.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 1)
        image.GetPointData().GetScalars().Fill(0)
        node.SetAndObserveImageData(image)
        display = node.GetDisplayNode()
        display.SetAndObserveColorNodeID("vtkMRMLColorTableNodeCyan")
        display.SetAutoWindowLevel(False)
        display.SetWindowLevelMinMax(-255 * EDGE_FULL / 2, 255 * EDGE_FULL)  # weak ones are seen on black as well
        display.SetThreshold(EDGE_FROM * 255, 255)
        display.SetApplyThreshold(True)
        return node
