"""From a session to the rows of its picture: which slices are shown, and upright."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeflow_med.picture import TILES, Mark, SegmentPicture, SlicePanel
from edgeflow_med.session import SegmentState, Session
from edgeflow_med.volume import Plane, Volume

# The directions in which rows and columns of a radiological picture grow.
_UPRIGHT = {Plane.AXIAL: ("P", "L"), Plane.CORONAL: ("I", "L"), Plane.SAGITTAL: ("I", "P")}
_OPPOSITE = {"L": "R", "R": "L", "P": "A", "A": "P", "S": "I", "I": "S"}


@dataclass(frozen=True)
class View:
    """How slices of a plane are turned to be shown as radiologists expect: the head or the front is up, R or A is left.

    Attributes:
        axis: Index axis that the slices are numbered along.
        axes: Index axes that become rows and columns.
        flipped: Whether rows and columns are reversed.
        counts: Number of rows and columns.
        spacing: Millimetres between them.
        letters: Patient directions at the top, bottom, left and right border.
    """

    axis: int
    axes: tuple[int, int]
    flipped: tuple[bool, bool]
    counts: tuple[int, int]
    spacing: tuple[float, float]
    letters: tuple[str, str, str, str]

    @classmethod
    def of(cls, volume: Volume, plane: Plane) -> View:
        """The view of a plane of a volume."""
        found = []
        for wanted in _UPRIGHT[plane]:
            axis = next(a for a, letter in enumerate(volume.orientation) if letter in (wanted, _OPPOSITE[wanted]))
            found.append((axis, volume.orientation[axis] != wanted))
        (rows, rows_flipped), (columns, columns_flipped) = found
        down, right = _UPRIGHT[plane]
        return cls(
            volume.axis(plane),
            (rows, columns),
            (rows_flipped, columns_flipped),
            (volume.shape[rows], volume.shape[columns]),
            (volume.spacing[rows], volume.spacing[columns]),
            (_OPPOSITE[down], down, _OPPOSITE[right], right),
        )

    def turn(self, array: NDArray[Any]) -> NDArray[Any]:
        """A slice with its axes in index order -> as shown."""
        turned = array if self.axes[0] < self.axes[1] else array.T
        return turned[tuple(slice(None, None, -1 if flipped else 1) for flipped in self.flipped)]

    def point(self, index: Sequence[float]) -> tuple[float, float]:
        """An index (k, j, i) -> row and column as shown."""
        row, column = (
            count - 1 - index[axis] if flipped else index[axis]
            for axis, flipped, count in zip(self.axes, self.flipped, self.counts, strict=True)
        )
        return float(row), float(column)


def picture_rows(session: Session, found: dict[str, Any]) -> list[SegmentPicture]:
    """One row per segment with prompts; ``found`` is what :func:`edgeflow_med.report.describe` says of the session."""
    view = View.of(session.volume, session.plane)
    rows = []
    for state, entry in zip(session.segments, found["segments"], strict=True):
        if any(known.prompts for _, known in state.on_axis(view.axis)) and state.mask.any():
            rows.append(_row(session, state, entry, view))
    return rows


def caption(session: Session, found: dict[str, Any]) -> str:
    """What was read and what answered it."""
    modality = session.volume.modality or "unknown modality"
    return f"{modality}  ·  window {session.window}  ·  {found['model']['name']} {found['model']['version']}"


def _row(session: Session, state: SegmentState, entry: dict[str, Any], view: View) -> SegmentPicture:
    areas = {row["slice"]: row["area_mm2"] for row in entry["slices"]}
    prompts = {index: known.prompts for index, known in state.on_axis(view.axis) if known.prompts}
    main = max([index for index in prompts if index in areas] or areas, key=lambda index: areas[index])
    numbers = sorted(areas)
    marks = tuple(
        Mark(tuple(view.point(point) for point in prompt.points), prompt.positive) for prompt in prompts.get(main, ())
    )
    return SegmentPicture(
        label=state.label,
        colour=state.colour,
        spacing=view.spacing,
        letters=view.letters,
        axis="kji"[view.axis],
        main=_panel(session, state, main, view),
        marks=marks,
        strip=tuple(_panel(session, state, index, view) for index in choose_evenly(numbers, main)),
        facts=_facts(entry),
    )


def choose_evenly(numbers: Sequence[int], main: int) -> list[int]:
    """At most :data:`TILES` of the slices, from the first to the last, and ``main`` among them."""
    chosen = [numbers[n] for n in np.unique(np.linspace(0, len(numbers) - 1, TILES).round().astype(int))]
    if main not in chosen:  # so it is neither the first nor the last slice, and stands in for one between them
        nearest = min(range(1, len(chosen) - 1), key=lambda place: abs(chosen[place] - main))
        chosen[nearest] = main
    return chosen


def _panel(session: Session, state: SegmentState, index: int, view: View) -> SlicePanel:
    known = state.slices.get((view.axis, index))
    answer = None if known is None or known.packed is None else session.answer_on(index, state)
    level = np.take(state.mask, index, view.axis).astype(np.float32) if answer is None else answer.probability
    return SlicePanel(
        index,
        view.turn(session.slice_image(index)),
        view.turn(level),
        None if answer is None else view.turn(answer.edge),
        None if answer is None or known is None else known.quality,
    )


def _facts(entry: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    diameters = entry["diameters"]
    return (
        ("volume", f"{entry['volume_ml']:.4g} ml"),
        ("longest diameters", f"{diameters['longest_mm']:.1f} x {diameters['perpendicular_mm']:.1f} mm"),
        ("slices", str(len(entry["slices"]))),
    )
