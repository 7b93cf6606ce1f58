"""A reader's desk: what the mouse and the buttons of a program with a window do to one session.

It adds to :class:`edgeflow_med.gui.live.Live` what a reader has in mind: a segment, a plane, a tool, a slice in view.
Buttons and keys call its methods by name.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from edgeflow_med.errors import PromptError, UsageError
from edgeflow_med.gui.display import Mark, review_bar
from edgeflow_med.gui.live import Live
from edgeflow_med.gui.worker import Worker
from edgeflow_med.predictors.lazy import LazyPredictor
from edgeflow_med.prompts import Box, Click, Lasso, Line, Prompt, Scribble
from edgeflow_med.session.state import Overlap, SegmentState
from edgeflow_med.volume import Plane, Volume

if TYPE_CHECKING:
    from edgeflow_med.gui.display import Which
    from edgeflow_med.session import Session

TOOLS = ("Scribble", "Lasso", "Box", "Line")  # what a drag of the mouse may mean
POLICIES = tuple(Overlap)
FORMATS = (".dcm", ".dcm", ".nii.gz", ".seg.nrrd")  # of exports; the first is for a database of DICOM files


def export_name(title: str, number: int) -> str:
    """The name of a file in one of :data:`FORMATS`, from a title that may hold what no file can be called."""
    return re.sub(r'[<>:"/\\|?*]', "_", title) + FORMATS[number]


def drawn_prompt(
    tool: str, path: ArrayLike, volume: Volume, plane: Plane, positive: bool = True, width_mm: float = 3.0
) -> Prompt:
    """The prompt that a reader drew in a view.

    Args:
        tool: One of :data:`TOOLS`; a path of one point is a click whatever the tool.
        path: ``(P, 3)`` fractional indices (k, j, i); the first point decides the slice, since an oblique view crosses
            several, and what lies outside the volume is brought to its border.
        volume: Gives the grid.
        plane: The plane of the slice.
        positive: Belongs to the segment, or not; for clicks and scribbles.
        width_mm: Width of a scribble.

    Raises:
        PromptError: It begins outside the volume, or is too short for the tool.
    """
    points = np.atleast_2d(np.asarray(path, dtype=np.float64)).copy()
    axis = volume.axis(plane)
    if not volume.contains(np.round(points[0]).tolist()):
        given = "(" + ", ".join(f"{v:.0f}" for v in points[0]) + ")"
        raise PromptError(f"Point {given} lies outside the volume of shape {volume.shape}; begin inside it.")
    points[:, axis] = np.round(points[0, axis])
    points = np.clip(points, 0, np.subtract(volume.shape, 1))
    if len(points) == 1:
        k, j, i = np.round(points[0]).astype(int).tolist()
        return Click((k, j, i), positive)
    line = tuple((float(k), float(j), float(i)) for k, j, i in points.tolist())
    if tool == "Scribble":
        return Scribble(line, positive, width_mm)
    if tool == "Lasso":
        return Lasso(line)
    return Box(line[0], line[-1]) if tool == "Box" else Line(line[0], line[-1])


class Desk(Live):
    """What one reader does with one session.

    Args:
        session: What is segmented.
        worker: Where the network runs; may be shared.
        report: Told in one line what happens.
        here: Tells which slice along an index axis is in view.
        jump: Shows a slice: given an index (k, j, i), brings it into view.

    Attributes:
        plane: Of the last prompt; propagation and review go along it.
        tool: What a drag means, one of :data:`TOOLS`.
        positive: Whether prompts add.
        width_mm: Width of a scribble.
        limit: How many slices propagation goes in each direction; 0 for no limit.
        selected: The prompt that the reader has selected.
        model: Name and device of the model in use.
    """

    def __init__(
        self,
        session: Session,
        worker: Worker,
        report: Callable[[str], None],
        here: Callable[[int], int],
        jump: Callable[[tuple[float, ...]], None],
    ) -> None:
        super().__init__(session, worker, report)
        self._here, self._jump = here, jump
        self._current: SegmentState | None = None
        self.plane = session.plane
        self.tool, self.positive, self.width_mm, self.limit = TOOLS[0], True, 3.0, 0
        self.selected: Which | None = None
        self.model = ("", "")

    @property
    def axis(self) -> int:
        """The index axis that steps through the slices of :attr:`plane`."""
        return self.session.volume.axis(self.plane)

    @property
    def current(self) -> SegmentState | None:
        """The segment that prompts and buttons are about; None if there is none."""
        if self._current is None or not self._current.exists:
            self._current = next(iter(self.session.segments), None)
        return self._current

    @current.setter
    def current(self, segment: SegmentState | None) -> None:
        self._current = segment

    def _need_current(self) -> SegmentState:
        if self.current is None:
            raise UsageError("There is no segment; click on a structure or add one.")
        return self.current

    @property
    def here(self) -> int:
        """Number of the slice in view along :attr:`plane`."""
        return self._here(self.axis)

    @property
    def slice_count(self) -> int:
        """How many slices there are along :attr:`plane`."""
        return self.session.volume.shape[self.axis]

    def bar(self) -> list[tuple[Mark, int]]:
        """Marks of these slices for the current segment, as runs: mark and length."""
        return review_bar(self.current, self.axis, self.slice_count)

    @property
    def waiting_for_review(self) -> int:
        """How many slices of the current segment nobody has accepted."""
        return 0 if self.current is None else self.session.unreviewed(self.current)

    @property
    def policy_number(self) -> int:
        """Place of the overlap policy in the list: keep others, allow overlap, overwrite."""
        return POLICIES.index(self.session.policy)

    def set_policy(self, number: int) -> None:
        """Choose what happens where segments meet."""
        self.session.policy = POLICIES[number]

    def set_model(self, name: str, device: str, told: str = "") -> None:
        """Use a model from now on, and have it loaded before the first click; ``told`` as in :meth:`warm_up`.

        Raises:
            ModelError: The model is unknown or incomplete.
        """
        predictor = LazyPredictor(name, device)
        self.session.predictor, self.model = predictor, (name, device)
        self.warm_up(predictor, told)

    def choose(self, model: str, device: str, window: str, told: str = "") -> None:
        """Use a model, a device and a window, which may all be those in use; an empty window leaves it as it is.

        Raises:
            ModelError: The model is unknown or incomplete.
            UsageError: The window is unknown.
        """
        if (model, device) != self.model:
            self.set_model(model, device, told)
        if window not in ("", self.session.window.name):
            self.session.window = window

    def take(self, tool: int, width_mm: float, limit: int) -> None:
        """Take over what the reader has chosen; ``tool`` is a place in :data:`TOOLS`."""
        self.tool, self.width_mm, self.limit = TOOLS[tool], width_mm, limit

    def change_sign(self) -> None:
        """Prompts that added remove from now on, and the other way round."""
        self.positive = not self.positive

    def measure_current(self, then: Callable[[str], None]) -> None:
        """Have the current segment's volume and diameters put into words."""
        if self.current is None:
            then("")
        else:
            self.measure(self.current, then)

    def draw(self, path: ArrayLike, plane: Plane, *, inverted: bool = False) -> None:
        """Ask about what the mouse drew; the first time a segment is added for it.

        Args:
            path: ``(P, 3)`` fractional indices (k, j, i), one for a click.
            plane: The volume's plane nearest to the view's.
            inverted: Remove where :attr:`positive` says add, and the other way round.

        Raises:
            PromptError: See :func:`drawn_prompt`.
        """
        positive = self.positive != inverted
        prompt = drawn_prompt(self.tool, path, self.session.volume, plane, positive, self.width_mm)
        self.plane = plane
        self.ask(prompt, self.current or self.add_segment(), plane)

    def add_segment(self) -> SegmentState:
        """Add an empty segment and make it the current one."""
        taken = {state.label for state in self.session.segments}
        labels = ("Lesion" if number == 1 else f"Lesion {number}" for number in range(1, len(taken) + 2))
        self.current = self.session.add_segment(next(label for label in labels if label not in taken))
        return self.current

    def clear_segment(self) -> None:
        """Empty the current segment."""
        self.session.clear_segment(self._need_current())

    def remove_segment(self) -> None:
        """Remove the current segment."""
        self.session.remove_segment(self._need_current())

    def toggle_lock(self) -> None:
        """Lock the current segment, or unlock it."""
        segment = self._need_current()
        self.session.lock(segment, not segment.locked)

    def delete_prompt(self) -> None:
        """Take back the prompt that is selected."""
        if self.selected is None:
            raise UsageError("No prompt is selected; click on its marker.")
        segment, (axis, index), number = self.selected
        self.delete(segment, self.session.volume.plane(axis), index, number)

    def propagate_down(self) -> None:
        """Carry the current segment to lower slice numbers."""
        self.propagate(self._need_current(), self.plane, directions=(-1,), limit=self.limit or None)

    def propagate_up(self) -> None:
        """Carry the current segment to higher slice numbers."""
        self.propagate(self._need_current(), self.plane, directions=(1,), limit=self.limit or None)

    def propagate_both(self) -> None:
        """Carry the current segment both ways."""
        self.propagate(self._need_current(), self.plane, limit=self.limit or None)

    def accept_slice(self) -> None:
        """Accept the slice in view and go to the next one."""
        after = self._need_current().id, self.plane, self.here
        self.session.accept(self.here, self.current, self.plane)
        self._review(after)

    def accept_all(self) -> None:
        """Accept all proposed slices of the current segment."""
        self.session.accept(None, self._need_current())

    def next_to_review(self) -> None:
        """Go to the slice that is most likely wrong, or from there to the next."""
        self._review(None if self.current is None else (self.current.id, self.plane, self.here))

    def _review(self, after: tuple[int, Plane, int] | None) -> None:
        place = self.session.next_to_review(after=after)
        if place is None:
            self._report("Nothing is left to review.")
            return
        segment, self.plane, index = place
        self.current = next(state for state in self.session.segments if state.id == segment)
        self.show_slice(index)

    def show_slice(self, index: int) -> None:
        """Bring a slice of the plane into view, at the middle of the current segment if that is on it."""
        at = (np.array(self.session.volume.shape) - 1) / 2
        at[self.axis] = index
        if self.current is not None:
            found = np.argwhere(self.current.mask.take(index, self.axis))
            if len(found):
                at[np.arange(3) != self.axis] = found.mean(0)
        self._jump(tuple(at.tolist()))
