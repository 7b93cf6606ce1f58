"""Slicer's scene as the library sees it: a volume's geometry, and segments with their voxels. No Qt.

Each segment keeps a label map of its own over the whole volume, and changed boxes are written into it in place: 1 ms
for a slice of 512x512x300 where Slicer's own ways take 0.2 to 1.6 s. Types stand in the protocols of edgeflow_med.gui.
"""

from pathlib import Path

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

LABELMAP = "Binary labelmap"  # vtkSegmentationConverter's names; the class has no Python wrapping everywhere
SURFACE = "Closed surface"
CASE, JOURNAL = "EdgeFlow.case", "EdgeFlow.journal"  # where the journal is; the node that carries it in a saved scene


def shown_volume():
    """The volume in the slice views, or else the first of the scene; no label map or colour picture, None if none."""
    kind = "vtkMRMLScalarVolumeNode"
    volumes = [node for node in slicer.util.getNodesByClass(kind) if node.GetClassName() == kind]
    views = [node.GetBackgroundVolumeID() for node in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")]
    return next((node for node in volumes if node.GetID() in views), next(iter(volumes), None))


def volume_from_node(node):
    """The volume that a node shows; voxels are shared, a parent transform is left out."""
    from edgeflow_med.gui.frame import volume_of

    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    item = hierarchy.GetItemByDataNode(node) if hierarchy else 0
    modality = hierarchy.GetItemAttribute(item, "DICOM.Modality") if item else ""
    return volume_of(slicer.util.arrayFromVolume(node), ijk_to_ras(node), modality, node.GetName())


def ijk_to_ras(volume_node):
    """``(4, 4)``, index (i, j, k, 1) to RAS mm, without the transform that the volume may be under."""
    matrix = vtk.vtkMatrix4x4()
    volume_node.GetIJKToRASMatrix(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)


def new_image(volume_node):
    """A label map on the volume's grid, all zero, and its voxels ``(K, J, I)`` uint8 as a view."""
    i, j, k = volume_node.GetImageData().GetDimensions()
    image = slicer.vtkOrientedImageData()
    image.SetExtent(0, i - 1, 0, j - 1, 0, k - 1)
    image.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 1)
    image.SetGeometryFromImageToWorldMatrix(slicer.util.vtkMatrixFromArray(ijk_to_ras(volume_node)))
    array = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(k, j, i)
    array[:] = 0
    return image, array


class Bridge:
    """A volume's geometry, and a segmentation node as a :class:`edgeflow_med.gui.case.Scene`.

    Args:
        volume_node: What is segmented.
        segmentation_node: Shows the segments.

    Attributes:
        volume: The volume.
        frame: Where it lies in Slicer's world.
    """

    def __init__(self, volume_node, segmentation_node):
        from edgeflow_med.gui.frame import Frame

        self.volume_node, self.node = volume_node, segmentation_node
        self.volume = volume_from_node(volume_node)
        self.frame = Frame(self.volume, self._through)
        self._images = {}  # MRML id -> our label map, its voxels
        if segmentation_node.GetDisplayNode() is None:
            segmentation_node.CreateDefaultDisplayNodes()
            segmentation_node.GetDisplayNode().SetOpacity2DFill(0.3)  # the scan must be seen through it
        segmentation_node.SetReferenceImageGeometryParameterFromVolumeNode(volume_node)

    def _through(self, point, inward):
        """A point of the world where the volume lies by itself, or back."""
        transform, parent = vtk.vtkGeneralTransform(), self.volume_node.GetParentTransformNode()
        between = (None, parent) if inward else (parent, None)
        slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(*between, transform)
        return transform.TransformPoint(point)

    def remembered(self):
        """Folder of the case, text of the journal that the scene carries, folder for new cases beside a saved scene."""
        folder, carrier = self.node.GetAttribute(CASE), self.node.GetNodeReference(JOURNAL)
        scene = Path(slicer.mrmlScene.GetURL() or "")
        beside = scene.with_name(f"{scene.stem}-edgeflow") if scene.is_file() else None
        return Path(folder) if folder else None, None if carrier is None else carrier.GetText(), beside

    def remember(self, folder):
        """Keep the folder of the case."""
        self.node.SetAttribute(CASE, str(folder))

    def carry(self, journal):
        """Keep the journal's text, in a node of its own: whoever saves the scene, Slicer does not announce it."""
        name = f"{self.node.GetName()} journal"
        carrier = self.node.GetNodeReference(JOURNAL) or slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTextNode", name)
        self.node.SetNodeReferenceID(JOURNAL, carrier.GetID())
        carrier.SetText(journal)

    def sources(self):
        """The files in Slicer's DICOM database that the volume was loaded from."""
        uids = (self.volume_node.GetAttribute("DICOM.instanceUIDs") or "").split()
        return [Path(file) for file in map(slicer.dicomDatabase.fileForInstance, uids) if file]

    def identifiers(self):
        """MRML ids of all segments, in order."""
        return self.node.GetSegmentation().GetSegmentIDs()

    def _segment(self, identifier):
        return self.node.GetSegmentation().GetSegment(identifier)

    def time(self, identifier):
        """When a segment was changed last, by VTK's clock."""
        segment = self._segment(identifier)
        image = segment.GetRepresentation(LABELMAP)
        return max(segment.GetMTime(), image.GetMTime() if image is not None else 0)

    def look(self, identifier):
        """What is said about a segment; one that is marked completed in the segments table is locked."""
        from edgeflow_med.gui.twin import TAGS, Look

        segment, logic = self._segment(identifier), slicer.vtkSlicerSegmentationsModuleLogic
        tags = {tag: vtk.mutable("") for tag in TAGS}
        for tag, text in tags.items():
            segment.GetTag(tag, text)
        colour = tuple(round(channel * 255) for channel in segment.GetColor())
        locked = logic.GetSegmentStatus(segment) == logic.Completed
        return Look(segment.GetName(), colour, locked, {tag: str(text) for tag, text in tags.items()})

    def mask(self, identifier):
        """Voxels ``(K, J, I)`` bool of a segment, resampled if it is on another grid."""
        from edgeflow_med.gui.twin import pasted

        segment = self._segment(identifier)
        image, here = segment.GetRepresentation(LABELMAP), vtk.vtkMatrix4x4()
        if image is None or image.IsEmpty():
            return np.zeros(self.volume.shape, bool)
        image.GetImageToWorldMatrix(here)
        if not np.allclose(slicer.util.arrayFromVTKMatrix(here), ijk_to_ras(self.volume_node), atol=1e-4):
            return slicer.util.arrayFromSegmentBinaryLabelmap(self.node, identifier, self.volume_node) > 0
        values = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(image.GetDimensions()[::-1])
        return pasted(values == segment.GetLabelValue(), image.GetExtent()[::2][::-1], self.volume.shape)

    def add(self, name):
        """Add an empty segment."""
        self._images = {each: own for each, own in self._images.items() if self._segment(each) is not None}
        return self.node.GetSegmentation().AddEmptySegment("", name)

    def remove(self, identifier):
        """Remove a segment."""
        self.node.GetSegmentation().RemoveSegment(identifier)

    def describe(self, identifier, look):
        """Say this about a segment."""
        segment, logic = self._segment(identifier), slicer.vtkSlicerSegmentationsModuleLogic
        if self.look(identifier).locked != look.locked:
            logic.SetSegmentStatus(segment, logic.Completed if look.locked else logic.InProgress)
        segment.SetName(look.name)
        segment.SetColor(*(channel / 255 for channel in look.colour))
        for tag, text in look.tags.items():
            segment.SetTag(tag, text)

    def draw(self, identifier, mask, boxes):
        """Write voxels into a segment's label map; whatever else holds that is replaced by our own, over the volume."""
        segment = self._segment(identifier)
        image, array = self._images.get(identifier, (None, None))
        whole = image is not None and image.GetDimensions() == mask.shape[::-1] and segment.GetLabelValue() == 1
        if not whole or segment.GetRepresentation(LABELMAP) is not image:
            image, array = self._images[identifier] = new_image(self.volume_node)
            segment.SetLabelValue(1)
            segment.AddRepresentation(LABELMAP, image)
            boxes = None
        elif boxes and self.in_3d:
            self.toggle_3d()  # keeping surfaces up to date would take seconds for every click
        for box in [...] if boxes is None else boxes:
            array[box] = mask[box]
        if boxes is None or boxes:
            image.GetPointData().GetScalars().Modified()
            image.Modified()
            segment.Modified()
        self.node.SetAndObserveTransformNodeID(self.volume_node.GetTransformNodeID())

    @property
    def in_3d(self):
        """Whether there are surfaces."""
        return self.node.GetSegmentation().ContainsRepresentation(SURFACE)

    def toggle_3d(self):
        """Make surfaces, or drop them."""
        if self.in_3d:
            self.node.RemoveClosedSurfaceRepresentation()
        else:
            self.node.CreateClosedSurfaceRepresentation()

    def toggle_visibility(self):
        """Show or hide the segments."""
        self.node.SetDisplayVisibility(not self.node.GetDisplayVisibility())
