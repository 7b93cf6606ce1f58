"""Between Slicer's scene and a session: geometry, voxels and what is said about segments. No Qt.

Each segment keeps a label map of its own over the whole volume, and changed boxes are written into it in place: 1 ms
for a slice of 512x512x300 where Slicer's own ways take 0.2 to 1.6 s. What others change in the scene (Segment Editor,
segments table, scripts) is found by comparing and becomes a step of the session.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

if TYPE_CHECKING:
    from edgeflow_med.segmentation import Code
    from edgeflow_med.session import Session
    from edgeflow_med.session.changes import Box
    from edgeflow_med.session.state import SegmentState
    from edgeflow_med.volume import Plane, Volume

LABELMAP = "Binary labelmap"  # vtkSegmentationConverter's name; the class has no Python wrapping everywhere
TAG = "EdgeFlow.segment"  # which segment of the session an MRML segment shows
TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
BY_HAND = ("Paint", "Draw", "Erase", "Scissors")  # Segment Editor effects whose strokes no prediction overrules


def shown_volume() -> Any:
    """The volume in the slice views, or else the first of the scene; no label map or colour picture, None if none."""
    kind = "vtkMRMLScalarVolumeNode"
    volumes = [node for node in slicer.util.getNodesByClass(kind) if node.GetClassName() == kind]
    views = [node.GetBackgroundVolumeID() for node in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")]
    return next((node for node in volumes if node.GetID() in views), next(iter(volumes), None))


def volume_from_node(node: Any) -> Volume:
    """The volume that a node shows; voxels are shared, a parent transform is left out."""
    from edgeflow_med.volume import Volume

    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    item = hierarchy.GetItemByDataNode(node) if hierarchy else 0
    modality = hierarchy.GetItemAttribute(item, "DICOM.Modality") if item else ""
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    affine = TO_LPS @ slicer.util.arrayFromVTKMatrix(matrix)
    known = modality if modality in ("CT", "MR") else ""
    return Volume(slicer.util.arrayFromVolume(node), affine[:, [2, 1, 0, 3]], modality=known, name=node.GetName())


def new_image(volume_node: Any) -> tuple[Any, Any]:
    """A label map on the volume's grid, all zero, and its voxels ``(K, J, I)`` uint8 as a view."""
    i, j, k = volume_node.GetImageData().GetDimensions()
    matrix = vtk.vtkMatrix4x4()
    volume_node.GetIJKToRASMatrix(matrix)
    image = slicer.vtkOrientedImageData()
    image.SetExtent(0, i - 1, 0, j - 1, 0, k - 1)
    image.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 1)
    image.SetGeometryFromImageToWorldMatrix(matrix)
    array = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(k, j, i)
    array[:] = 0
    return image, array


class Bridge:
    """Keeps a segmentation node and a session alike.

    Args:
        session: Its volume came from :func:`volume_from_node`.
        volume_node: That node.
        segmentation_node: Shows the session's segments; segments that it already has are taken over.
        ahead: The session is newer than the scene: where a segment differs, the session is right.
    """

    def __init__(self, session: Session, volume_node: Any, segmentation_node: Any, *, ahead: bool = False) -> None:
        self.session, self.volume_node, self.node = session, volume_node, segmentation_node
        self._shown: dict[int, tuple[str, Any, Any]] = {}  # segment id -> MRML id, image, its voxels
        self._times: dict[str, int] = {}  # MRML id -> modification time that we know of
        if segmentation_node.GetDisplayNode() is None:
            segmentation_node.CreateDefaultDisplayNodes()
            segmentation_node.GetDisplayNode().SetOpacity2DFill(0.3)  # the scan must be seen through it
        segmentation_node.SetReferenceImageGeometryParameterFromVolumeNode(volume_node)
        known = {str(state.id): state.id for state in session.segments}
        for identifier in self._identifiers():
            tag = vtk.mutable("")
            if self._segment(identifier).GetTag(TAG, tag) and str(tag) in known:
                self._shown[known[str(tag)]] = identifier, None, None
                self._times |= {identifier: self._time(identifier)} if ahead else {}

    # Geometry

    def index(self, world: Any) -> np.ndarray:
        """Fractional index (k, j, i) of a world point (RAS, mm), through any transform that the volume is under."""
        return self.session.volume.index(TO_LPS[:3, :3] @ self._through(world, inward=True))

    def world(self, index: Any) -> np.ndarray:
        """World point (RAS, mm) of an index (k, j, i)."""
        return self._through(TO_LPS[:3, :3] @ self.session.volume.position(index), inward=False)

    def plane(self, at: Any, across: Any, down: Any) -> Plane:
        """The volume's plane nearest to a view's, given a world point in it and its two directions."""
        start, *ends = (self._through(np.add(at, step), inward=True) for step in ((0, 0, 0), across, down))
        return self.session.volume.plane_along(*(TO_LPS[:3, :3] @ (end - start) for end in ends))

    def _through(self, point: Any, inward: bool) -> np.ndarray:
        transform, parent = vtk.vtkGeneralTransform(), self.volume_node.GetParentTransformNode()
        between = (None, parent) if inward else (parent, None)
        slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(*between, transform)
        return np.array(transform.TransformPoint(tuple(float(v) for v in point)))

    # Session -> scene

    def show(self, boxes: dict[int, list[Box]] | None = None) -> None:
        """Make the scene show the session: names, colours and codes of all segments, and voxels.

        Args:
            boxes: By segment id, which voxels changed; None for all.
        """
        present = {segment.id for segment in self.session.segments}
        with slicer.util.NodeModify(self.node):
            for gone in set(self._shown) - present:
                self.node.GetSegmentation().RemoveSegment(self._shown.pop(gone)[0])
            for state in self.session.segments:
                array = self._own(state)
                for box in [(slice(None),) * 3] if boxes is None else boxes.get(state.id, []):
                    array[box] = state.mask[box]
                if boxes is None or state.id in boxes:
                    self._shown[state.id][1].GetPointData().GetScalars().Modified()
                    self._shown[state.id][1].Modified()
                    self._segment(self._shown[state.id][0]).Modified()
                self._describe(state)
                self._times[self.identifier(state)] = self._time(self.identifier(state))
            self.node.SetAndObserveTransformNodeID(self.volume_node.GetTransformNodeID())

    def identifier(self, state: SegmentState) -> str:
        """The MRML id of a segment, empty if it is not shown."""
        return self._shown[state.id][0] if state.id in self._shown else ""

    def state(self, identifier: str) -> SegmentState | None:
        """The session's segment behind an MRML id."""
        return next((state for state in self.session.segments if self.identifier(state) == identifier), None)

    def _own(self, state: SegmentState) -> Any:
        """The voxels ``(K, J, I)`` behind a segment; whatever else holds its label map is replaced by our own."""
        segmentation = self.node.GetSegmentation()
        identifier, image, array = self._shown.get(state.id, ("", None, None))
        if segmentation.GetSegment(identifier) is None:
            identifier = segmentation.AddEmptySegment("", state.label)
            image = None
        segment = segmentation.GetSegment(identifier)
        full = image is not None and image.GetExtent()[1::2] == tuple(n - 1 for n in state.mask.shape[::-1])
        if not full or segment.GetRepresentation(LABELMAP) is not image or segment.GetLabelValue() != 1:
            image, array = new_image(self.volume_node)
            np.copyto(array, state.mask)
            segment.SetLabelValue(1)
            segment.AddRepresentation(LABELMAP, image)
        self._shown[state.id] = identifier, image, array
        return array

    def _describe(self, state: SegmentState) -> None:
        from edgeflow_med.io.nrrd import terminology

        segment, logic = self._segment(self.identifier(state)), slicer.vtkSlicerSegmentationsModuleLogic
        if segment.GetName() != state.label:
            segment.SetName(state.label)
        if _colour(segment) != state.colour:
            segment.SetColor(*(channel / 255 for channel in state.colour))
        if _locked(segment) != state.locked:
            logic.SetSegmentStatus(segment, logic.Completed if state.locked else logic.InProgress)
        if not _coded(segment, state):
            segment.SetTag("TerminologyEntry", terminology(state.category, state.type))
        segment.SetTag(TAG, str(state.id))
        segment.SetTag("DICOM.SegmentAlgorithmType", state.algorithm_type.value)
        segment.SetTag("DICOM.TrackingUID", state.tracking_uid)

    # Scene -> session

    def pull(self, effect: str = "") -> bool:
        """Turn what others changed in the scene into steps of the session; tell whether there was anything.

        Args:
            effect: The Segment Editor's active effect, if any.

        Raises:
            EdgeFlowError: The session refuses a change (a locked segment, an overlong name); call :meth:`show` then.
        """
        known = {identifier: segment for segment, (identifier, _, _) in self._shown.items()}
        found = False
        for identifier in set(known) - set(self._identifiers()):
            self._shown.pop(known[identifier])
            self.session.remove_segment(known[identifier])
            found = True
        for identifier in self._identifiers():
            segment, state = self._segment(identifier), self.state(identifier)
            if identifier not in known:
                self._adopt(identifier)
            elif state is not None and self._time(identifier) != self._times.get(identifier):
                self._times[identifier] = self._time(identifier)
                self._compare(state, segment, effect)
            else:
                continue
            found = True
        return found

    def _adopt(self, identifier: str) -> None:
        segment = self._segment(identifier)
        mask, codes = self._read(identifier), _codes(segment)
        coded = {} if codes is None else {"category": codes[0], "type": codes[1]}
        name, colour = segment.GetName(), _colour(segment)
        state = self.session.add_segment(name[:64] or "Segment", mask if mask.any() else None, colour=colour, **coded)
        self._shown[state.id] = identifier, None, None

    def _compare(self, state: SegmentState, segment: Any, effect: str) -> None:
        if segment.GetName() != state.label:
            self.session.rename_segment(state, segment.GetName())
        if _colour(segment) != state.colour or not _coded(segment, state):
            category, kind = _codes(segment) or (state.category, state.type)
            self.session.set_segment(state, colour=_colour(segment), category=category, type=kind)
        if _locked(segment) != state.locked:
            self.session.lock(state, _locked(segment))
        mask = self._read(self._shown[state.id][0])
        if not np.array_equal(mask, state.mask):
            self.session.edit(mask, state, effect or "Edit", hard=effect in BY_HAND)
            self._shown[state.id] = self.identifier(state), None, None  # what was refused must not stay in the scene

    def _read(self, identifier: str) -> np.ndarray:
        """The mask ``(K, J, I)`` bool that stands in the scene, resampled if it is on another grid."""
        shape, segment = self.session.volume.shape, self._segment(identifier)
        mask, image = np.zeros(shape, bool), segment.GetRepresentation(LABELMAP)
        if image is None or image.IsEmpty():
            return mask
        here, there = vtk.vtkMatrix4x4(), vtk.vtkMatrix4x4()
        image.GetImageToWorldMatrix(here)
        self.volume_node.GetIJKToRASMatrix(there)
        if not np.allclose(slicer.util.arrayFromVTKMatrix(here), slicer.util.arrayFromVTKMatrix(there), atol=1e-4):
            return slicer.util.arrayFromSegmentBinaryLabelmap(self.node, identifier, self.volume_node) > 0
        extent = np.reshape(image.GetExtent(), (3, 2))[::-1]  # first and last of k, j and i
        values = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(extent[:, 1] - extent[:, 0] + 1)
        low, high = np.maximum(extent[:, 0], 0), np.minimum(extent[:, 1], np.subtract(shape, 1)) + 1
        inside = tuple(map(slice, low, high))
        mask[inside] = values[tuple(map(slice, low - extent[:, 0], high - extent[:, 0]))] == segment.GetLabelValue()
        return mask

    def _identifiers(self) -> list[str]:
        return list(self.node.GetSegmentation().GetSegmentIDs())

    def _segment(self, identifier: str) -> Any:
        return self.node.GetSegmentation().GetSegment(identifier)

    def _time(self, identifier: str) -> int:
        segment = self._segment(identifier)
        image = segment.GetRepresentation(LABELMAP)
        return max(segment.GetMTime(), image.GetMTime() if image is not None else 0)


def _locked(segment: Any) -> bool:
    """A segment that is marked completed in the segments table is locked."""
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    return logic.GetSegmentStatus(segment) == logic.Completed


def _colour(segment: Any) -> tuple[int, int, int]:
    red, green, blue = (round(channel * 255) for channel in segment.GetColor())
    return red, green, blue


def _coded(segment: Any, state: SegmentState) -> bool:
    """Whether a segment carries the session's codes."""
    from edgeflow_med.io.nrrd import terminology

    codes = _codes(segment)
    return codes is not None and terminology(*codes) == terminology(state.category, state.type)


def _codes(segment: Any) -> tuple[Code, Code] | None:
    from edgeflow_med.io.labelmap import codes_of

    entry = vtk.mutable("")
    return codes_of(str(entry)) if segment.GetTag("TerminologyEntry", entry) else None
