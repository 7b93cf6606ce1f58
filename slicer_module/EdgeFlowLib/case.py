"""A volume that is being segmented: session, scene, mouse and worker tied together. No Qt, so tests run all of it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import slicer

from EdgeFlowLib.bridge import Bridge, volume_from_node
from EdgeFlowLib.interaction import Gesture, Interaction
from EdgeFlowLib.overlays import Overlays

if TYPE_CHECKING:
    from edgeflow_med.predictors.base import Predictor
    from edgeflow_med.session import Change, Session
    from edgeflow_med.session.state import SegmentState
    from edgeflow_med.volume import Plane
    from edgeflow_med.worker import Worker

SURFACE = "Closed surface"
CASE, JOURNAL = "EdgeFlow.case", "EdgeFlow.journal"  # where the journal is; the node that carries it in a saved scene


class Case:
    """Everything that the panel's buttons and the mouse do.

    Args:
        volume_node: What is segmented.
        segmentation_node: Where the segments go.
        views: Slice node and interactor of each slice view.
        worker: Where the network runs.
        report: Told in one line what happens.
        changed: Called after every change.
    """

    def __init__(
        self,
        volume_node: Any,
        segmentation_node: Any,
        views: Sequence[tuple[Any, Any]],
        worker: Worker,
        *,
        report: Callable[[str], None],
        changed: Callable[[], None],
    ) -> None:
        from edgeflow_med.live import Live
        from edgeflow_med.session import Overlap

        self.report, self._changed, self._views = report, changed, views
        self.volume_node, self.node, self._worker = volume_node, segmentation_node, worker
        self.session = self._open()
        self.bridge = Bridge(self.session, volume_node, self.node)
        self.overlays = Overlays(self.bridge)
        self.live = Live(self.session, worker, report)
        self.interaction = Interaction(views, self._gesture)
        self.policies = tuple(Overlap)
        self.current: SegmentState | None = None
        self.plane = self.session.plane  # of the last prompt; propagation and review go along it
        self.tool, self.positive, self.width_mm = "Scribble", True, 3.0
        self._boxes: dict[int, list[Any]] = {}
        self._unsubscribe = self.session.subscribe(self._on_change)
        self.bridge.pull()
        self.show()

    def close(self) -> None:
        """Leave views and scene; the segmentation stays."""
        self.live.close()
        self.interaction.close()
        self._unsubscribe()
        self.overlays.close()
        self.session.close()

    # The session and the scene

    def _open(self) -> Session:
        """The session that the scene remembers, or a new one; its journal lies beside a scene that has been saved."""
        from edgeflow_med.live import open_session

        folder, carrier = self.node.GetAttribute(CASE), self.node.GetNodeReference(JOURNAL)
        scene = Path(slicer.mrmlScene.GetURL() or "")
        session, told = open_session(
            volume_from_node(self.volume_node),
            folder=Path(folder) if folder else None,
            carried=None if carrier is None else carrier.GetText(),
            beside=scene.with_name(f"{scene.stem}-edgeflow") if scene.is_file() else None,
        )
        self.node.SetAttribute(CASE, str(session.case_dir))
        self.report(told)
        return session

    def store(self) -> None:
        """Put the journal into the scene, which is about to be saved."""
        from edgeflow_med.live import journal_text

        name = f"{self.node.GetName()} journal"
        carrier = self.node.GetNodeReference(JOURNAL) or slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTextNode", name)
        carrier.SetText(journal_text(self.session))
        self.node.SetNodeReferenceID(JOURNAL, carrier.GetID())

    def poll(self, effect: str = "") -> None:
        """Hand over answers and look for changes in the scene; to be called often from the main thread.

        Args:
            effect: The Segment Editor's active effect.
        """
        from edgeflow_med.errors import EdgeFlowError

        self.live.poll()
        try:
            self.bridge.pull(effect)
        except EdgeFlowError as error:
            self.report(str(error))
            self.show()
        if self._boxes:
            boxes, self._boxes = self._boxes, {}
            self.show(boxes)

    def _on_change(self, change: Change) -> None:
        for segment in change.segments:
            self._boxes.setdefault(segment, [])
        for segment, box in change.regions:
            self._boxes[segment].append(box)

    def show(self, boxes: dict[int, list[Any]] | None = None) -> None:
        """Bring scene and views up to date; by default with everything."""
        if self.current is None or not self.current.exists:
            self.current = next(iter(self.session.segments), None)
        if self.in_3d and boxes is not None:
            self.show_3d(False)
        self.bridge.show(boxes)
        self.overlays.show(boxes, self.current)
        self._changed()

    # The mouse

    def _gesture(self, gesture: Gesture) -> None:
        from edgeflow_med.live import drawn_prompt

        path = np.array([self.bridge.index(point) for point in gesture.points])
        plane = self.bridge.plane(gesture.points[0], gesture.across, gesture.down)
        if len(path) == 1 and self.overlays.select(path[0], gesture.near_mm):
            self.report("Prompt selected; Delete takes it back.")
            return
        positive = self.positive != gesture.inverted
        with self.told():
            prompt = drawn_prompt(self.tool, path, self.session.volume, plane, positive, self.width_mm)
            self.plane = plane
            self.live.ask(prompt, self.current or self.add_segment(), plane)

    # The buttons

    def set_model(self, name: str, device: str) -> None:
        """Use a model from now on, and have it loaded before the first click."""
        from edgeflow_med.predictors.lazy import LazyPredictor

        self.session.predictor = predictor = LazyPredictor(name, device)
        self.live.warm_up(predictor)

    @contextlib.contextmanager
    def told(self) -> Iterator[None]:
        """What the session refuses becomes a line for the reader; nothing has changed then."""
        from edgeflow_med.errors import EdgeFlowError

        try:
            yield
        except EdgeFlowError as error:
            self.report(str(error))

    def add_segment(self) -> SegmentState:
        """Add an empty segment and make it the current one."""
        count = sum(state.label.startswith("Lesion") for state in self.session.segments)
        self.current = self.session.add_segment(f"Lesion {count + 1}" if count else "Lesion")
        return self.current

    def delete_prompt(self) -> None:
        """Take back the prompt that is selected."""
        if self.overlays.selected is not None:
            segment, (axis, index), number = self.overlays.selected
            self.session.delete_prompt(segment, self.session.volume.plane(axis), index, number)

    def propagate(self, directions: Sequence[int], limit: int = 0) -> None:
        """Carry the current segment to its neighbours, at most ``limit`` slices; 0 for no limit."""
        self.live.propagate(self.current, self.plane, directions=directions, limit=limit or None)

    def accept(self) -> None:
        """Accept the slice in view and go to the next one."""
        self.session.accept(self.here(), self.current, self.plane)
        self.next_to_review()

    def next_to_review(self) -> None:
        """Go to the slice that is most likely wrong."""
        here = None if self.current is None else (self.current.id, self.plane, self.here())
        place = self.session.next_to_review(after=here)
        if place is None:
            self.report("Nothing is left to review.")
            return
        segment, self.plane, index = place
        self.current = next(state for state in self.session.segments if state.id == segment)
        self.jump(index)

    def set_policy(self, number: int) -> None:
        """What happens where segments meet."""
        self.session.policy = self.policies[number]

    def toggle_visibility(self) -> None:
        """Show or hide the segments."""
        self.node.SetDisplayVisibility(not self.node.GetDisplayVisibility())

    @property
    def in_3d(self) -> bool:
        """Whether there are surfaces."""
        return self.node.GetSegmentation().ContainsRepresentation(SURFACE)

    def show_3d(self, shown: bool) -> None:
        """Make surfaces, or drop them; every change drops them too, since keeping them up to date takes seconds."""
        if shown:
            self.node.CreateClosedSurfaceRepresentation()
        else:
            self.node.RemoveClosedSurfaceRepresentation()

    def here(self) -> int:
        """Number of the slice that the view along the present plane shows; of the middle slice if none does."""
        volume = self.session.volume
        for node, _ in self._views:
            matrix = slicer.util.arrayFromVTKMatrix(node.GetSliceToRAS())
            if self.bridge.plane(matrix[:3, 3], matrix[:3, 0], matrix[:3, 1]) == self.plane:
                index = self.bridge.index(matrix[:3, 3])[volume.axis(self.plane)]
                return int(np.clip(np.round(index), 0, volume.shape[volume.axis(self.plane)] - 1))
        return volume.shape[volume.axis(self.plane)] // 2

    def jump(self, index: int) -> None:
        """Show a slice of the present plane in all views, at the segment if it is there."""
        at = np.subtract(self.session.volume.shape, 1) / 2.0
        axis = self.session.volume.axis(self.plane)
        at[axis] = index
        if self.current is not None:
            found = np.argwhere(self.current.mask.take(index, axis))
            if len(found):
                at[[a for a in range(3) if a != axis]] = found.mean(0)
        slicer.vtkMRMLSliceNode.JumpAllSlices(slicer.mrmlScene, *self.bridge.world(at))

    def export(self, path: Path, then: Callable[[Path], None], accepted_only: bool = False) -> None:
        """Write a file, a DICOM-SEG with references to the files that the volume was loaded from."""
        uids = (self.volume_node.GetAttribute("DICOM.instanceUIDs") or "").split()
        files = [slicer.dicomDatabase.fileForInstance(uid) for uid in uids] if path.suffix == ".dcm" else []
        self.live.export(path, then, accepted_only=accepted_only, sources=[Path(file) for file in files if file])
