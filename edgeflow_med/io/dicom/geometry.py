"""Where the slices of a stack lie: sorted along their normal, checked to be even, turned into one affine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeflow_med.errors import GeometryError
from edgeflow_med.io.dicom.frames import Frame

# A slice may lie this far from the even grid: 0.01 mm for rounded decimals plus 1 % of the distance between slices.
TOLERANCE_MM, TOLERANCE = 0.01, 0.01


# How many missing slices are named one by one.
MOST_NAMED = 10


@dataclass(frozen=True)
class Grid:
    """A stack of frames in the order of k, None where a slice is missing, and the affine from (k, j, i) to LPS mm."""

    frames: tuple[Frame | None, ...]
    affine: NDArray[np.float64]
    warnings: tuple[str, ...] = ()


def along_normal(frames: Sequence[Frame]) -> NDArray[np.float64]:
    """Distance in mm of each frame from the patient's origin along the normal of the first."""
    rows, columns = frames[0].orientation
    normal = np.cross(rows, columns)
    return np.array([frame.position for frame in frames]) @ normal


def build_grid(frames: Sequence[Frame], *, allow_gaps: bool = False) -> Grid:
    """Sort frames of one orientation along their normal and lay a grid through them.

    A gantry tilt stays what it is, a shear in the affine; nothing is resampled.

    Args:
        frames: One or more, in any order.
        allow_gaps: Keep the place of missing slices free instead of refusing the stack.

    Raises:
        GeometryError: Frames without position, orientation or spacing, two at one position, a missing slice, or uneven
            distances; the message names the place.
    """
    distances = along_normal(frames)
    order = np.argsort(distances, kind="stable")
    ordered = tuple(frames[n] for n in order)
    distances = distances[order]
    positions = np.array([frame.position for frame in ordered])
    orientation = np.mean([frame.orientation for frame in ordered], axis=0)
    orientation /= np.linalg.norm(orientation, axis=1, keepdims=True)
    normal = np.cross(*orientation)
    places: NDArray[np.intp] = np.arange(len(ordered))
    if len(ordered) == 1:
        step, notes = _single_step(ordered[0], normal)
    else:
        _check_doubles(ordered, distances, positions)
        if allow_gaps:
            places = _places_with_gaps(distances)
        else:
            _check_gaps(ordered, distances, positions)
        step = (positions[-1] - positions[0]) / places[-1]
        notes = _check_line(ordered, positions, places, step)
    slots: list[Frame | None] = [None] * (int(places[-1]) + 1)
    for k, frame in zip(places.tolist(), ordered, strict=True):
        slots[k] = frame
    tilt = _tilt_degrees(step, normal)
    if tilt > 0.5:
        notes.append(f"The slices are sheared by {tilt:.1f} degrees (gantry tilt); the true geometry is kept.")
    affine = np.eye(4)
    affine[:3, 0] = step
    affine[:3, 1] = orientation[1] * ordered[0].spacing[0]
    affine[:3, 2] = orientation[0] * ordered[0].spacing[1]
    affine[:3, 3] = positions[0]
    return Grid(tuple(slots), affine, (*notes, *_told_missing(slots, affine)))


def _check_doubles(frames: Sequence[Frame], distances: NDArray[np.float64], positions: NDArray[np.float64]) -> None:
    """Refuse two slices at one place."""
    same = np.flatnonzero(np.diff(distances) <= TOLERANCE_MM / 10)
    if same.size:
        first, second = frames[same[0]], frames[same[0] + 1]
        raise GeometryError(
            f"{same.size} slice position(s) are taken twice, first at {_place(positions[same[0]])} by {_file(first)} "
            f"and {_file(second)}, and nothing in the headers tells the stacks apart; give the files of one stack."
        )


def _check_gaps(frames: Sequence[Frame], distances: NDArray[np.float64], positions: NDArray[np.float64]) -> None:
    """Refuse any hole, naming where it is."""
    gaps = np.diff(distances)
    typical = float(np.median(gaps))
    holes = np.flatnonzero(gaps > 1.5 * typical)
    if holes.size and np.count_nonzero(np.abs(gaps - typical) > 0.05 * typical) <= max(1, gaps.size // 3):
        first, second, gap = frames[holes[0]], frames[holes[0] + 1], gaps[holes[0]]
        missing = round(gap / typical) - 1
        others = ", ".join(_place(positions[hole]) for hole in holes[1:MOST_NAMED])
        raise GeometryError(
            f"{'A slice is' if missing == 1 else f'{missing} slices are'} missing after {_place(positions[holes[0]])}: "
            f"{gap:.3g} mm from {_file(first)} to {_file(second)}, elsewhere {typical:.3g} mm"
            f"{f'; {holes.size} such gaps, the others after {others}' if others else ''}; add the missing files, or "
            "allow gaps (--allow-gaps)."
        )


def _places_with_gaps(distances: NDArray[np.float64]) -> NDArray[np.intp]:
    """The slice number of each frame, where gaps may be any multiple of the usual distance between slices.

    Raises:
        GeometryError: More slices would be missing than there are, so these are not a series with gaps.
    """
    gaps = np.diff(distances)
    usual = float(np.median(gaps[gaps < 1.5 * gaps.min()]))
    if distances[-1] - distances[0] > 2 * len(distances) * usual:
        raise GeometryError(
            f"{len(distances)} slices, the nearest {usual:.3g} mm apart, are spread over "
            f"{distances[-1] - distances[0]:.4g} mm: more are missing than are there; give the missing files."
        )
    return np.concatenate([[0], np.cumsum(np.maximum(1, np.round(gaps / usual)))]).astype(np.intp)


def _told_missing(slots: Sequence[Frame | None], affine: NDArray[np.float64]) -> list[str]:
    missing = [k for k, frame in enumerate(slots) if frame is None]
    if not missing:
        return []
    named = ", ".join(f"{k} at {_place(affine[:3, 0] * k + affine[:3, 3])}" for k in missing[:MOST_NAMED])
    more = f" and {len(missing) - MOST_NAMED} more" if len(missing) > MOST_NAMED else ""
    return [f"Missing, filled with air: slice {named}{more}."]


def _check_line(
    frames: Sequence[Frame], positions: NDArray[np.float64], places: NDArray[np.intp], step: NDArray[np.float64]
) -> list[str]:
    """Refuse slices off the even grid; up to 5 % of the slice distance, as rounded positions give, is only told."""
    even = positions[0] + places[:, None] * step
    off = np.linalg.norm(positions - even, axis=1)
    worst, distance = int(off.argmax()), float(np.linalg.norm(step))
    if off[worst] <= TOLERANCE_MM + TOLERANCE * distance:
        return []
    if off[worst] <= 0.05 * distance:
        return [f"Slices lie up to {off[worst]:.2g} mm off an even grid of {distance:.3g} mm (rounded positions)."]
    gaps = np.linalg.norm(np.diff(positions, axis=0), axis=1)
    raise GeometryError(
        f"The slices are not evenly spaced: gaps from {gaps.min():.3g} to {gaps.max():.3g} mm, worst at "
        f"{_place(positions[worst])} ({_file(frames[worst])}, {off[worst]:.2g} mm off); one grid would be wrong."
    )


def _single_step(frame: Frame, normal: NDArray[np.float64]) -> tuple[NDArray[np.float64], list[str]]:
    for keyword in ("SpacingBetweenSlices", "SliceThickness"):
        if frame.header.get(keyword):
            thickness = abs(float(frame.numbers(keyword, 1)[0]))
            if thickness > 0:
                return normal * thickness, []
    return normal, ["One slice of unknown thickness; 1 mm is assumed, so volumes in ml mean nothing."]


def _tilt_degrees(step: NDArray[np.float64], normal: NDArray[np.float64]) -> float:
    cosine = abs(step @ normal) / np.linalg.norm(step) / np.linalg.norm(normal)
    return float(np.degrees(np.arccos(min(1.0, cosine))))


def _place(position: NDArray[np.float64]) -> str:
    return "position (" + ", ".join(f"{v:.2f}" for v in position) + ") mm"


def _file(frame: Frame) -> str:
    return frame.path.name if "ReferencedFrameNumber" not in frame.header else f"frame {frame.number + 1}"
