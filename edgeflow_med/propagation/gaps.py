"""Which slices propagation may write: the gaps between slices that must not change."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import pairwise

from edgeflow_med.errors import UsageError
from edgeflow_med.predictors.base import Prediction


@dataclass(frozen=True)
class Reach:
    """How far from a start propagation may go.

    Attributes:
        directions: -1, +1 or both.
        limit: At most so many slices; None for no limit.
        limit_mm: At most so many millimetres; None for no limit.
        thickness: Millimetres between slices.
    """

    directions: Collection[int] = (-1, 1)
    limit: int | None = None
    limit_mm: float | None = None
    thickness: float = 1.0

    def __post_init__(self) -> None:
        if not self.directions or not set(self.directions) <= {-1, 1}:
            raise UsageError(f"Directions {tuple(self.directions)} are not -1 and 1; give -1, 1 or both.")
        for name, value in (("limit", self.limit), ("limit_mm", self.limit_mm)):
            if value is not None and not value >= 0:
                raise UsageError(f"The range {name}={value:g} is not usable; give 0 or more, or None for no limit.")
        if not self.thickness > 0:
            raise UsageError(f"The distance between slices, {self.thickness:g} mm, is not usable; give more than 0.")

    def slices(self, count: int) -> int:
        """The range in slices of a volume of ``count`` slices."""
        reach = count
        if self.limit is not None:
            reach = min(reach, self.limit)
        if self.limit_mm is not None:
            reach = min(reach, int(self.limit_mm / self.thickness + 1e-6))
        return reach


@dataclass(frozen=True)
class Gap:
    """Slices between two that must not change, or between one and an end of the volume.

    Attributes:
        low: The slice before the first; -1 at the beginning of the volume.
        high: The slice after the last; the number of slices at the end of the volume.
        up: Slices that the run from ``low`` may write, in its order; empty if there is none.
        down: Slices that the run from ``high`` may write, in its order; empty if there is none.
    """

    low: int
    high: int
    up: range
    down: range

    @property
    def bridged(self) -> bool:
        """Whether both runs go all the way."""
        return len(self.up) == len(self.down) == self.high - self.low - 1

    @property
    def slices(self) -> list[range]:
        """All that may be written, in the volume's order: one range, or two where the runs do not meet."""
        down = range(self.down[-1], self.down.start + 1) if self.down else range(0)
        if self.up and down and down.start <= self.up.stop:
            return [range(self.up.start, down.stop)]
        return [numbers for numbers in (self.up, down) if numbers]


def find_gaps(
    count: int,
    known: Mapping[int, Prediction],
    starts: Collection[int] | None,
    anchors: Collection[int],
    reach: Reach,
) -> list[Gap]:
    """The gaps next to a start, from the first slice to the last.

    A gap between two slices that hold something gets a run from each, also if only one of them is a start, as long as
    the start's range covers the gap.

    Args:
        count: How many slices the volume has.
        known: Answers on slices that must not change.
        starts: Those to set out from; None for all that hold something.
        anchors: Further slices that must not change.
        reach: How far from a start.

    Raises:
        UsageError: A start that is not known, or a slice outside the volume.
    """
    outside = [n for n in (*known, *anchors) if not 0 <= n < count]
    unknown = [] if starts is None else [n for n in starts if n not in known]
    if outside or unknown:
        what = f"Slice {outside[0]} lies outside" if outside else f"Start {unknown[0]} is not a known slice of"
        raise UsageError(f"{what} the volume of {count} slices; start from slices that have an answer.")
    holding = {n for n, answer in known.items() if answer.mask.any()}
    origins = holding if starts is None else holding & set(starts)
    far = reach.slices(count)
    gaps = []
    for low, high in pairwise([-1, *sorted({*known, *anchors}), count]):
        length = high - low - 1
        up = far if low in origins and 1 in reach.directions else 0
        down = far if high in origins and -1 in reach.directions else 0
        if length <= up and high in holding:
            down = length
        if length <= down and low in holding:
            up = length
        ranges = range(low + 1, low + 1 + min(up, length)), range(high - 1, high - 1 - min(down, length), -1)
        if ranges[0] or ranges[1]:
            gaps.append(Gap(low, high, *ranges))
    return gaps


def touched(
    count: int,
    known: Mapping[int, Prediction],
    starts: Collection[int] | None = None,
    directions: Collection[int] = (-1, 1),
    limit: int | None = None,
    limit_mm: float | None = None,
    thickness: float = 1.0,
    anchors: Collection[int] = (),
) -> list[range]:
    """Which slices :func:`edgeflow_med.propagation.walk` may write; arguments as there.

    Raises:
        UsageError: As there.
    """
    reach = Reach(directions, limit, limit_mm, thickness)
    return [numbers for gap in find_gaps(count, known, starts, anchors, reach) for numbers in gap.slices]
