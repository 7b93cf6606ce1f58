"""Carry mask and edge from slice to slice, with brakes, without a predictor in it."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypedDict, Unpack

import numpy as np
from numpy.typing import NDArray

from edgeflow_med.predictors.base import Prediction, Predictor, SliceRequest
from edgeflow_med.propagation.blend import blend
from edgeflow_med.propagation.brakes import Brakes, Stop
from edgeflow_med.propagation.carry import carry, join
from edgeflow_med.propagation.evidence import Evidence, Look, dice, weigh
from edgeflow_med.propagation.gaps import Gap, Reach, find_gaps
from edgeflow_med.propagation.quality import expected_dice, expected_dice_blended
from edgeflow_med.propagation.taper import PROBE, PROBES, Lean, Taper

Picture = NDArray[np.float32]
Walk = Generator["SliceRequest | SliceStep", Prediction | None, None]
Asking = Generator[SliceRequest, Prediction | None, "_Asked | None"]


@dataclass(frozen=True, eq=False)
class SliceStep:
    """One slice that propagation looked at.

    Attributes:
        index: Number of the slice along the plane's axis.
        direction: -1 or +1; 0 for a slice on which the runs from both sides met.
        prediction: The answer; None if nothing is to be written there (a brake, or nothing left to look at).
        stop: Why it went no further, on the last step of each run; else None.
        quality: Dice that the answer is expected to reach, in [0, 1]; see :mod:`edgeflow_med.propagation.quality`.
        presence: Probability that the structure is on the slice, by the brakes' calibration; None where they were not
            asked.
        evidence: What the brakes were shown; None if the network was not asked, and for a blended slice.
        stop_below: Presence below which the brakes stop.
    """

    index: int
    direction: int
    prediction: Prediction | None
    stop: Stop | None = None
    quality: float = 0.0
    presence: float | None = None
    evidence: Evidence | None = None
    stop_below: float = Brakes.presence

    @property
    def why(self) -> str:
        """Why it went no further, in words, and if that decided, how likely the structure goes on; else empty."""
        if self.stop is None or self.presence is None or self.presence >= self.stop_below:
            return self.stop or ""
        return f"{self.stop} ({self.presence:.0%} likely that it goes on; below {self.stop_below:.0%} it stops)"


class Options(TypedDict, total=False):
    """Keywords of :func:`walk`."""

    starts: Collection[int] | None
    spacing: tuple[float, float]
    thickness: float
    directions: Collection[int]
    limit: int | None
    limit_mm: float | None
    anchors: Collection[int]
    excluded: Callable[[int], NDArray[np.bool_] | None] | None
    brakes: Brakes | None
    lesion: bool


def walk(  # noqa: PLR0913 - what is walked, from where, and one keyword per limit
    image: Callable[[int], Picture],
    count: int,
    known: Mapping[int, Prediction],
    *,
    starts: Collection[int] | None = None,
    spacing: tuple[float, float] = (1.0, 1.0),
    thickness: float = 1.0,
    directions: Collection[int] = (-1, 1),
    limit: int | None = None,
    limit_mm: float | None = None,
    anchors: Collection[int] = (),
    excluded: Callable[[int], NDArray[np.bool_] | None] | None = None,
    brakes: Brakes | None = None,
    lesion: bool = False,
) -> Walk:
    """Walk away from slices that are known, through the gaps between them.

    The generator asks and is answered, so that any thread or server can answer: where it yields a request, send it the
    prediction; where it yields a step, go on with ``next``. Closed at any time, the steps so far are what is done.

    A slice between two known ones comes twice, first from the run that reaches it first, then blended with the run
    from the other side (direction 0); the later step counts.

    Args:
        image: Gives the windowed slice ``(H, W)`` of a number.
        count: How many slices there are.
        known: Answers on slices that must not change, at least one; an empty mask says that the structure is not there.
        starts: Which of them to set out from; None for all that hold something. Only gaps next to a start are touched.
        spacing: Millimetres between rows and columns.
        thickness: Millimetres between slices.
        directions: -1, +1 or both, seen from the starts.
        limit: At most this many slices from a start.
        limit_mm: At most this far from a start.
        anchors: Further slices that must not change.
        excluded: Gives the pixels ``(H, W)`` of a slice that belong to other segments, or None.
        brakes: When to stop; see :meth:`edgeflow_med.propagation.Brakes.of`.
        lesion: It is a lesion, which gets smaller away from its middle; see :mod:`edgeflow_med.propagation.taper`. Of a
            single known slice a few neighbours are asked about beforehand, to see where the middle is.

    Yields:
        Requests, to be answered, and steps: one or two per slice, and for each run a last one that says why it stopped.

    Raises:
        UsageError: A start that is not known, a slice outside the volume, or a range that is not usable.
    """
    reach = Reach(directions, limit, limit_mm, thickness)
    course = _Course(image, count, known, spacing, thickness, excluded, brakes or Brakes())
    gaps = find_gaps(count, known, starts, anchors, reach)
    taper = (yield from course.taper(gaps, {*known, *anchors})) if lesion else None
    for gap in gaps:
        yield from course.fill(gap, taper)


def propagate(
    predictor: Predictor,
    image: Callable[[int], Picture],
    count: int,
    known: Mapping[int, Prediction],
    **options: Unpack[Options],
) -> Iterator[SliceStep]:
    """:func:`walk`, answered by a predictor, with its model's brakes if none are given; arguments as there.

    Yields:
        One or two steps per slice, and for each run a last one that says why it stopped.
    """
    options["brakes"] = options.get("brakes") or Brakes.of(predictor)
    steps = walk(image, count, known, **options)
    item = next(steps, None)
    while item is not None:
        if isinstance(item, SliceRequest):
            item = steps.send(predictor.predict(item))
        else:
            yield item
            item = next(steps, None)


class _Asked(NamedTuple):
    """What was found on a slice before it is judged."""

    picture: Picture
    carried: Prediction
    answer: Prediction
    joined: Prediction


@dataclass(frozen=True)
class _Course:
    """What all runs of one walk share; see :func:`walk`."""

    image: Callable[[int], Picture]
    count: int
    known: Mapping[int, Prediction]
    spacing: tuple[float, float]
    thickness: float
    excluded: Callable[[int], NDArray[np.bool_] | None] | None
    brakes: Brakes

    def taper(self, gaps: Sequence[Gap], fixed: set[int]) -> Generator[SliceRequest, Prediction | None, Taper | None]:
        """How the lesion gets smaller; None where no run is so long that it would show.

        Args:
            gaps: Those to be filled.
            fixed: Slices that must not change.
        """
        pixel = self.spacing[0] * self.spacing[1]
        areas = {n * self.thickness: answer.mask.sum() * pixel for n, answer in self.known.items() if answer.mask.any()}
        reach = max(1, round(PROBE * math.sqrt(max(areas.values(), default=0.0) / math.pi) / self.thickness))
        if max((len(run) for gap in gaps if not gap.bridged for run in (gap.up, gap.down)), default=0) <= reach:
            return None
        ends = [n * self.thickness for n, answer in self.known.items() if not answer.mask.any()]
        lean = None
        if len(areas) == 1:
            start = next(n for n, answer in self.known.items() if answer.mask.any())
            beside = range(start - reach, start + reach + 1)
            if beside[0] >= 0 and beside[-1] < self.count and fixed & set(beside) == {start}:
                ways = np.unique(np.linspace(1, reach, min(reach, PROBES)).round().astype(int))
                above = yield from self.carried_area(start + ways, start)
                below = yield from self.carried_area(start - ways, start)
                lean = Lean(reach * self.thickness, math.log(max(above, 1) / max(below, 1)))
        return Taper.fit(areas, ends, lean)

    def carried_area(self, numbers: Iterable[int], start: int) -> Generator[SliceRequest, Prediction | None, int]:
        """Pixels of what is carried from a known slice to the last of ``numbers``."""
        before, seen = self.known[start], self.image(start)
        for index in numbers:
            asked = yield from self.ask(before, seen, int(index))
            if asked is None:
                return 0
            before, seen = asked.joined, asked.picture
        return int(before.mask.sum())

    def ask(self, before: Prediction, seen: Picture, index: int) -> Asking:
        """Carry an answer to a slice and ask about it there; None if nothing arrives."""
        picture = self.image(index)
        carried = carry(before, seen, picture)
        if not carried.mask.any():
            return None
        others = self.excluded(index) if self.excluded else None
        answer = yield SliceRequest(picture, self.spacing, (), carried, propagated=True, excluded=others)
        assert isinstance(answer, Prediction)  # what drives the walk answers each request
        return _Asked(picture, carried, answer, join(carried, answer, others))

    def fill(self, gap: Gap, taper: Taper | None) -> Walk:
        """Run from one side, then from the other."""
        done: dict[int, SliceStep] = {}
        for numbers, direction in ((gap.up, 1), (gap.down, -1)):
            if numbers:
                yield from self.run(gap, numbers, direction, done, None if gap.bridged else taper)

    def run(self, gap: Gap, numbers: range, direction: int, done: dict[int, SliceStep], taper: Taper | None) -> Walk:
        """Walk through ``numbers`` and keep the steps in ``done``; slices that are there already are blended.

        Between two known slices that are bridged the structure is known to go on, and there are no brakes.
        """
        start = numbers.start - direction
        before, seen = self.known[start], self.image(start)
        first = last = Look.of(before, seen)
        drift = 0.0
        for index in numbers:
            asked = yield from self.ask(before, seen, index)
            if asked is None:
                yield SliceStep(index, direction, None, Stop.ENDED)
                return
            joined = asked.joined
            if taper is not None:
                joined = taper.lessen(joined, last.area, index * self.thickness, direction * self.thickness)
            look = Look.of(joined, asked.picture)
            evidence = weigh(asked.answer, asked.carried, last, look, first, drift)
            stop = None if gap.bridged and look.area else self.brakes.check(evidence)
            presence = None if gap.bridged else self.brakes.calibration.presence(evidence)
            if stop is not None:
                least = self.brakes.presence
                yield SliceStep(index, direction, None, stop, presence=presence, evidence=evidence, stop_below=least)
                return
            step = SliceStep(index, direction, joined, None, expected_dice(evidence), presence, evidence)
            yield self.meet(gap, done[index], step) if index in done else step
            done[index] = step
            before, seen, last, drift = joined, asked.picture, look, evidence.drift
        yield SliceStep(numbers.stop, direction, None, self.reason(gap, numbers.stop))

    @staticmethod
    def meet(gap: Gap, up: SliceStep, down: SliceStep) -> SliceStep:
        """One step from those of the two runs on a slice."""
        assert up.prediction is not None  # only steps with an answer are kept
        assert down.prediction is not None
        position = (up.index - gap.low) / (gap.high - gap.low)
        blended = blend(up.prediction, down.prediction, (up.quality, down.quality), position)
        quality = expected_dice_blended(up.quality, down.quality, dice(up.prediction.mask, down.prediction.mask))
        return SliceStep(up.index, 0, blended, None, quality)

    def reason(self, gap: Gap, index: int) -> Stop:
        """Why a run that met no brake ends before a slice."""
        if not 0 <= index < self.count:
            return Stop.VOLUME
        return Stop.REACHED if index in (gap.low, gap.high) else Stop.RANGE
