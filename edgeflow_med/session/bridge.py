"""Propagation without a predictor in it, until :mod:`edgeflow_med.propagation` has its own."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from edgeflow_med.predictors.base import Prediction, SliceRequest
from edgeflow_med.propagation import Brakes, Reference, SliceStep, Stop, brake


@dataclass(frozen=True, eq=False)
class RatedStep(SliceStep):
    """A step with its quality."""

    quality: float = 0.0


def touched(
    count: int,
    known: Mapping[int, Prediction],
    starts: Sequence[int] | None = None,
    directions: Sequence[int] = (-1, 1),
) -> list[range]:
    """Gaps next to a start."""
    edges = [-1, *sorted(known), count]
    begins = [i for i, p in known.items() if p.mask.any() and (starts is None or i in starts)]
    gaps = []
    for low, high in pairwise(edges):
        if (low in begins and 1 in directions) or (high in begins and -1 in directions):
            gaps.append(range(low + 1, high))
    return gaps


def walk(  # noqa: PLR0913
    image: Callable[[int], NDArray[np.float32]],
    count: int,
    known: Mapping[int, Prediction],
    *,
    starts: Sequence[int] | None = None,
    spacing: tuple[float, float] = (1.0, 1.0),
    thickness: float = 1.0,
    directions: Sequence[int] = (-1, 1),
    limit: int | None = None,
    limit_mm: float | None = None,
    excluded: Callable[[int], NDArray[np.bool_] | None] | None = None,
) -> Generator[SliceRequest | SliceStep, Prediction | None, None]:
    """Walk from each start in each direction."""
    done: set[int] = set()
    for start, first in sorted(known.items()):
        if not first.mask.any() or (starts is not None and start not in starts):
            continue
        reference = Reference.of(first, image(start))
        for direction in directions:
            before, index = first, start + direction
            while True:
                stop = None
                if not 0 <= index < count:
                    stop = Stop.VOLUME
                elif index in known or index in done:
                    stop = Stop.REACHED
                elif (limit is not None and abs(index - start) > limit) or (
                    limit_mm is not None and abs(index - start) * thickness > limit_mm
                ):
                    stop = Stop.RANGE
                else:
                    seen = image(index)
                    out = excluded(index) if excluded else None
                    answer = yield SliceRequest(seen, spacing, (), before, propagated=True, excluded=out)
                    assert answer is not None
                    last = answer
                    stop = brake(answer, before, Reference.of(answer, seen), reference, Brakes())
                if stop is not None:
                    yield SliceStep(index, direction, None, stop)
                    break
                yield RatedStep(index, direction, last, None, last.quality)
                done.add(index)
                before, index = last, index + direction
