"""A volume that is being segmented: desk, scene and mouse tied together. No Qt, so tests run all of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import slicer
from slicer.i18n import tr as _

from EdgeFlowLib.bridge import Bridge, volume_from_node
from EdgeFlowLib.interaction import Gesture, Interaction
from EdgeFlowLib.overlays import Overlays

if TYPE_CHECKING:
    from edgeflow_med.gui.live import Opened
    from edgeflow_med.gui.worker import Worker
    from edgeflow_med.session import Change

SURFACE = "Closed surface"
CASE, JOURNAL = "EdgeFlow.case", "EdgeFlow.journal"  # where the journal is; the node that carries it in a saved scene


class Case:
    """Everything between the desk and Slicer.

    Args:
        volume_node: What is segmented.
        segmentation_node: Where the segments go.
        views: Slice node and interactor of each slice view.
        worker: Where the network runs.
        report: Told in one line what happens.
        changed: Called after every change.

    Attributes:
        desk: What buttons and keys do, by name.
        opened: Whether the case is new or goes on, in one line.
    """

    def __init__(
        self,
        volume_node: Any,
        segmentation_node: Any,
        views: Sequence[tuple[Any, Any]],
        worker: Worker,
        report: Callable[[str], None],
        changed: Callable[[], None],
    ) -> None:
        from edgeflow_med.gui.desk import Desk

        self.volume_node, self.node = volume_node, segmentation_node
        self._report, self._changed, self._worker = report, changed, worker
        self._boxes, self._seen = dict[int, list[Any]](), (tuple[Any, ...](), 0)
        self.session, self.opened, ahead = self._open()
        self.bridge = Bridge(self.session, volume_node, segmentation_node, ahead=ahead)
        self.overlays = Overlays(self.bridge)
        self.desk = Desk(self.session, worker, report, self._here, self._jump)
        self.interaction: Interaction | None = None
        self.watch(views)
        self._unsubscribe = self.session.subscribe(self._note)
        self.bridge.pull()
        self.show()

    def close(self) -> None:
        """Leave views and scene; the segmentation stays."""
        self.desk.close()
        self.interaction.close()
        self._unsubscribe()
        self.overlays.close()
        self.session.close()

    def watch(self, views: Sequence[tuple[Any, Any]]) -> None:
        """Listen to the mouse in these views, and no longer in others."""
        if self.interaction is not None:
            self.interaction.close()
        self._views = views
        self.interaction = Interaction(views, self._gesture)

    def _open(self) -> Opened:
        """The session that the scene remembers, or a new one; its journal lies beside a scene that has been saved."""
        from edgeflow_med.gui.live import open_session

        folder, carrier = self.node.GetAttribute(CASE), self.node.GetNodeReference(JOURNAL)
        scene = Path(slicer.mrmlScene.GetURL() or "")
        opened = open_session(
            volume_from_node(self.volume_node),
            folder=Path(folder) if folder else None,
            carried=None if carrier is None else carrier.GetText(),
            beside=scene.with_name(f"{scene.stem}-edgeflow") if scene.is_file() else None,
        )
        self.node.SetAttribute(CASE, str(opened.session.case_dir))
        return opened

    def _carry(self) -> None:
        """Have the journal put into the scene, so that whoever saves that saves it too: Slicer does not announce it."""
        from edgeflow_med.gui.live import journal_text

        name = f"{self.node.GetName()} journal"
        carrier = self.node.GetNodeReference(JOURNAL) or slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTextNode", name)
        self.node.SetNodeReferenceID(JOURNAL, carrier.GetID())
        then = lambda text: isinstance(text, str) and carrier.SetText(text)  # noqa: E731 - no exception
        self._worker.submit("journal", partial(journal_text, self.session), then, priority=3)

    def poll(self, effect: str = "") -> None:
        """Hand over answers and look for changes in the scene; to be called often from the main thread.

        Args:
            effect: The Segment Editor's active effect.
        """
        from edgeflow_med.errors import EdgeFlowError

        self.interaction.adds = self.desk.positive
        self.desk.poll()
        try:
            if self.bridge.pull(effect):
                self._boxes.setdefault(0, [])  # even if the session took nothing of it over
        except EdgeFlowError as error:
            self._report(str(error))
            self.show()
        if self._boxes:
            boxes, self._boxes = self._boxes, {}
            self.show(boxes)
            self._carry()

    def _note(self, change: Change) -> None:
        """Remember what to draw at the next poll; tell what came out otherwise than meant."""
        if change.warnings and change.kind != "prompt":  # the desk tells those
            self._report(" ".join(change.warnings))
        for segment in (*change.segments, 0):  # 0 for changes of no segment: the overlap policy, the window
            self._boxes.setdefault(segment, [])
        for segment, box in change.regions:
            self._boxes[segment].append(box)

    def show(self, boxes: dict[int, list[Any]] | None = None) -> None:
        """Bring scene and views up to date; by default with everything."""
        if self.in_3d and boxes and any(boxes.values()):
            self.toggle_3d()  # keeping surfaces up to date would take seconds for every click
        self.bridge.show(boxes)
        self.overlays.show(self.desk.current, self.desk.selected, boxes)
        self._changed()

    @property
    def in_3d(self) -> bool:
        """Whether there are surfaces."""
        return self.node.GetSegmentation().ContainsRepresentation(SURFACE)

    def toggle_3d(self) -> None:
        """Make surfaces, or drop them."""
        if self.in_3d:
            self.node.RemoveClosedSurfaceRepresentation()
        else:
            self.node.CreateClosedSurfaceRepresentation()

    def show_edges(self, shown: bool) -> None:
        """Show the edge map of the current segment, or hide it."""
        self.overlays.show_edges(shown)
        self.show({})

    def toggle_visibility(self) -> None:
        """Show or hide the segments."""
        self.node.SetDisplayVisibility(not self.node.GetDisplayVisibility())

    def export(self, path: Path, then: Callable[[Path], None], accepted_only: bool) -> None:
        """Write a file, a DICOM-SEG with references to the files that the volume was loaded from."""
        uids = (self.volume_node.GetAttribute("DICOM.instanceUIDs") or "").split()
        files = [slicer.dicomDatabase.fileForInstance(uid) for uid in uids] if path.suffix == ".dcm" else []
        self.desk.export(path, then, accepted_only=accepted_only, sources=[Path(file) for file in files if file])

    # The views

    def _gesture(self, gesture: Gesture) -> None:
        """A plain click on a marker selects its prompt; all else asks the network."""
        from edgeflow_med.errors import EdgeFlowError

        path = np.array([self.bridge.index(point) for point in gesture.points])
        plain = len(path) == 1 and not gesture.inverted
        self.desk.selected = self.overlays.prompt_at(path[0], gesture.near_mm) if plain else None
        if self.desk.selected is None:
            try:
                plane = self.bridge.plane(gesture.points[0], gesture.across, gesture.down)
                self.desk.draw(path, plane, inverted=gesture.inverted)
            except EdgeFlowError as error:
                self._report(str(error))
        else:
            self._report(_("Prompt selected; Delete takes it back."))
        self._boxes.setdefault(0, [])

    def _here(self, axis: int) -> int:
        """Number of the slice in view; found anew only if a view or the volume has moved, as it is asked for often."""
        parent = self.volume_node.GetParentTransformNode()
        moved = axis, parent and parent.GetTransformToWorldMTime(), *(node.GetMTime() for node, _ in self._views)
        if moved != self._seen[0]:
            self._seen = moved, self._look(axis)
        return self._seen[1]

    def _look(self, axis: int) -> int:
        """Number of the slice that the view nearest to an axis' slices shows; of the middle slice if there is none."""
        volume = self.session.volume
        for node, _interactor in self._views:
            matrix = slicer.util.arrayFromVTKMatrix(node.GetSliceToRAS())
            if volume.axis(self.bridge.plane(matrix[:3, 3], matrix[:3, 0], matrix[:3, 1])) == axis:
                index = self.bridge.index(matrix[:3, 3])[axis]
                return int(np.clip(np.round(index), 0, volume.shape[axis] - 1))
        return volume.shape[axis] // 2

    def _jump(self, index: Sequence[float]) -> None:
        slicer.vtkMRMLSliceNode.JumpAllSlices(slicer.mrmlScene, *self.bridge.world(index))
