"""A volume that is being segmented in a program with a window: session, desk, and what the program shows of them.

The program gives three things: a :class:`Scene` with the segments, :class:`Views` with the mouse, and a
:class:`edgeflow_med.gui.display.Canvas` for what is drawn besides.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import ArrayLike

from edgeflow_med.errors import EdgeFlowError
from edgeflow_med.gui import twin
from edgeflow_med.gui.desk import Desk
from edgeflow_med.gui.display import Drawing
from edgeflow_med.gui.live import open_session

if TYPE_CHECKING:
    from edgeflow_med.gui.display import Canvas
    from edgeflow_med.gui.worker import Worker
    from edgeflow_med.session import Change
    from edgeflow_med.session.changes import Box
    from edgeflow_med.volume import Plane, Volume


class Scene(twin.Scene, Protocol):
    """What a program holds and saves: a volume, its segments, and where their journal is."""

    @property
    def volume(self) -> Volume:
        """What is segmented."""

    def remembered(self) -> tuple[Path | None, str | None, Path | None]:
        """Folder of the case, the journal's text that a saved scene carries, and the folder for new cases, if any."""

    def remember(self, folder: Path) -> None:
        """Keep the folder of the case, so that it is found again when the scene is read."""

    def carry(self, journal: str) -> None:
        """Keep the journal's text, so that whoever saves the scene saves it too."""

    def sources(self) -> list[Path]:
        """The DICOM files that the volume came from; none if it came from elsewhere."""


class Views(Protocol):
    """A program's slice views and the mouse in them.

    Attributes:
        adds: Whether strokes add; for the colour in which they are drawn.
        on_gesture: Called with the arguments of :meth:`Case.gesture`.
    """

    adds: bool
    on_gesture: Callable[..., None]

    def here(self, axis: int) -> int:
        """Number of the slice along an index axis that is in view."""

    def jump(self, index: tuple[float, ...]) -> None:
        """Show an index (k, j, i)."""

    def close(self) -> None:
        """Listen to the mouse no more."""


class Case:
    """Brings what happens at a desk into a program, and what happens in the program to the desk.

    Args:
        scene: Shows the segments; those that it has already are taken over. Knows whether there is a session to go on
            with.
        views: Where prompts come from.
        canvas: For prompts, proposals and edges.
        worker: Where the network runs; may be shared.
        report: Told in one line what happens.
        changed: Called after every showing.

    Attributes:
        session: What is segmented.
        desk: What buttons and keys do, by name.
        opened: Whether the case is new or goes on, in one line.

    Raises:
        WriteError: There is no place for a journal.
    """

    def __init__(
        self,
        scene: Scene,
        views: Views,
        canvas: Canvas,
        worker: Worker,
        report: Callable[[str], None],
        changed: Callable[[], None],
    ) -> None:
        folder, carried, beside = scene.remembered()
        self.session, self.opened, ahead = open_session(scene.volume, folder=folder, carried=carried, beside=beside)
        assert self.session.case_dir is not None  # open_session always gives one
        scene.remember(self.session.case_dir)
        self.scene, self.views = scene, views
        self.desk = Desk(self.session, worker, report, views.here, views.jump)
        self._twin, self._drawing = twin.Twin(self.session, scene, ahead=ahead), Drawing(self.session, canvas)
        self._report, self._changed = report, changed
        self._boxes: dict[int, list[Box]] = {}
        self._unsubscribe = self.session.subscribe(self._note)
        views.on_gesture = self.gesture
        self._twin.pull()
        self.show()

    def close(self) -> None:
        """Leave views and scene; the segments stay."""
        self.desk.close()
        self.views.close()
        self._unsubscribe()
        self._drawing.close()
        self.session.close()

    def poll(self, tool: str = "") -> None:
        """Hand over answers and look for changes in the scene; to be called often.

        Args:
            tool: The program's own tool that is in use, if any.
        """
        self.views.adds = self.desk.positive
        self.desk.poll()
        try:
            if self._twin.pull(tool):
                self._boxes.setdefault(0, [])  # even if the session took nothing of it over
        except EdgeFlowError as error:
            self._report(str(error))
            self.show()
        if self._boxes:
            boxes, self._boxes = self._boxes, {}
            self.show(boxes)
            self.desk.read_journal(self.scene.carry)

    def show(self, boxes: Mapping[int, Sequence[Box]] | None = None) -> None:
        """Bring the program up to date; by default with everything, else with voxels by segment id."""
        self._twin.show(boxes)
        self._drawing.show(self.desk.current, self.desk.selected, boxes)
        self._changed()

    def show_edges(self, shown: bool) -> None:
        """Show the edge map of the current segment, or hide it."""
        self._drawing.show_edges(shown)
        self.show({})

    def export(self, path: Path, then: Callable[[Path], object], accepted_only: bool) -> None:
        """Write a file, as :meth:`edgeflow_med.gui.live.Live.export`; a DICOM-SEG refers to the scene's DICOM files."""
        sources = self.scene.sources() if path.suffix == ".dcm" else []
        self.desk.export(path, then, accepted_only=accepted_only, sources=sources)

    def gesture(self, path: Sequence[ArrayLike], plane: Plane, near_mm: float, inverted: bool) -> None:
        """A plain click on a marker selects its prompt; all else asks the network.

        Args:
            path: Fractional indices (k, j, i) that the mouse went through, one for a click.
            plane: The volume's plane nearest to the view's.
            near_mm: What counts as the same place at the view's zoom.
            inverted: Remove where the desk says add, and the other way round.
        """
        plain = len(path) == 1 and not inverted
        self.desk.selected = self._drawing.prompt_at(path[0], near_mm) if plain else None
        if self.desk.selected is not None:
            self._report("Prompt selected; Delete takes it back.")
        else:
            try:
                self.desk.draw(np.array(path), plane, inverted=inverted)
            except EdgeFlowError as error:
                self._report(str(error))
        self._boxes.setdefault(0, [])

    @property
    def current(self) -> str:
        """The scene's identifier of the current segment; empty if there is none."""
        return self._twin.identifier(self.desk.current)

    def select(self, identifier: str) -> bool:
        """Make a segment of the scene the current one; tells whether it was another."""
        state = self._twin.state(identifier)
        if state is None or state is self.desk.current:
            return False
        self.desk.current = state
        return True

    def _note(self, change: Change) -> None:
        """Remember what the poll has to show; tell what came out otherwise than meant."""
        if change.warnings and change.kind != "prompt":  # the desk tells those
            self._report(" ".join(change.warnings))
        for segment in (*change.segments, 0):  # 0 for changes of no segment: the overlap policy, the window
            self._boxes.setdefault(segment, [])
        for segment, box in change.regions:
            self._boxes[segment].append(box)
