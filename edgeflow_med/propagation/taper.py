"""How a lesion gets smaller from slice to slice: what its shape lets expect where nobody has outlined it.

Where a tumour and the tissue around it look alike, an outline that is carried on keeps its size, and a little more;
tumours taper. Their shape is regular enough to say so: see ``docs/explanation/propagation.md``, which also tells how
the numbers below were found.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.special import expit, logit

from edgeflow_med.predictors.base import Prediction

HALF_LENGTH = 1.6  # from a lesion's middle to its end, in radii of its largest section: the median of lesions
SPREAD = 0.3  # of the natural logarithm of that from lesion to lesion
POWER = 1.6  # of the way to the end, in what the section has lost of its area there
PROBE = 0.5  # radii on either side over which it is found out towards which side the lesion gets smaller
PROBES = 8  # most slices that are asked about on either side
GAIN = 0.5  # of the true lean, as much as carried outlines show
AREA_ERROR = 0.1  # of the natural logarithm of an area that the reader stands behind
LEAN_ERROR = 0.12  # of the logarithm of the ratio of two carried areas
OFF_MIDDLE = 0.5  # half lengths by which a reader's only slice may lie off the middle
TRUST = 0.3  # weight of the shape against the image in the logarithm of an area
LEAST = 0.01  # smaller shares of the largest area are all alike when a shape is sought
SUREST = 0.8  # foreground that is surer than this, in the mean with what was carried, stays whatever the shape says


@dataclass(frozen=True)
class Lean:
    """How the areas of outlines carried to either side of a slice differ.

    Attributes:
        reach: Millimetres to each of the two sections.
        difference: Natural logarithm of the area above over that below.
    """

    reach: float
    difference: float


@dataclass(frozen=True)
class Taper:
    """A lesion along the axis of its slices.

    Attributes:
        middle: Where its largest section is, in mm.
        half: Millimetres from there to either end.
    """

    middle: float
    half: float

    @classmethod
    def fit(cls, areas: Mapping[float, float], ends: Collection[float] = (), lean: Lean | None = None) -> Self:
        """The lesion that is most likely, given some of its sections.

        Args:
            areas: Areas in mm2, more than 0, by the positions in mm of slices that the reader stands behind.
            ends: Positions where the reader has said that it is not.
            lean: Of the only section, if there is but one.
        """
        places, sizes = np.array(list(areas)), np.log(list(areas.values()))
        start = [float(np.average(places, weights=np.exp(sizes))), float(sizes.max())]
        usual = math.log(HALF_LENGTH / math.sqrt(math.pi))

        def errors(guess: NDArray[np.float64]) -> NDArray[np.float64]:
            middle, size, longer = guess
            shape = cls(middle, math.exp(usual + size / 2 + longer))
            found = (sizes - size - np.log([max(shape.share(place), LEAST) for place in places])) / AREA_ERROR
            beyond = [max(0.0, shape.half - abs(end - middle)) / (AREA_ERROR * shape.half) for end in ends]
            off = (middle - places.mean()) / (OFF_MIDDLE * shape.half)
            leaning = 0.0
            if lean is not None:
                above, below = (max(shape.share(places[0] + side * lean.reach), LEAST) for side in (1, -1))
                leaning = (lean.difference - GAIN * math.log(above / below)) / LEAN_ERROR
            return np.array([*found, *beyond, longer / SPREAD, off, leaning])

        middle, size, longer = least_squares(errors, [*start, 0.0]).x
        return cls(float(middle), math.exp(usual + size / 2 + longer))

    def share(self, place: float) -> float:
        """Area at a position in mm, as a share of the largest section's; 0 beyond the ends."""
        return max(0.0, 1 - (abs(place - self.middle) / self.half) ** POWER)

    def lessen(self, answer: Prediction, before: int, place: float, step: float) -> Prediction:
        """Take the least sure foreground from an answer that is larger than its neighbour lets expect.

        Args:
            answer: On the slice at ``place``.
            before: Pixels of the outline on the neighbouring slice, from which it was carried.
            place: In mm.
            step: Millimetres from the neighbouring slice to this one, negative where it lies above.
        """
        found = int(answer.mask.sum())
        there = self.share(place - step)
        expected = before * self.share(place) / there if there else 0.0
        if expected >= found:
            return answer
        wanted = round(found ** (1 - TRUST) * expected**TRUST)
        threshold = np.sort(answer.probability, axis=None)[-max(wanted, 1)]
        lowered = logit(answer.probability) - logit(np.float32(min(threshold, SUREST)))
        return Prediction(expit(lowered), answer.edge, answer.quality)
