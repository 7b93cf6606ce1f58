"""When to stop: how likely the structure is still there, given the evidence of a step."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple, Self

from edgeflow_med.errors import ModelError
from edgeflow_med.propagation.evidence import Evidence


class Stop(StrEnum):
    """Why propagation went no further."""

    ENDED = "the structure ends"
    CHANGED = "the outline changes too much from one slice to the next"
    TISSUE = "the tissue inside the outline changes"
    EDGE = "mask and edge disagree"
    UNSURE = "the network is too unsure"
    REACHED = "a slice that must not change is reached"
    RANGE = "the range limit is reached"
    VOLUME = "the volume ends"


class Term(NamedTuple):
    """One measure of :class:`Evidence` in the odds that the structure is still there.

    Attributes:
        sign: Whether greater values speak for it (1) or against it (-1).
        low: Smaller values count as this one.
        high: Greater values count as this one.
        stop: What it means when this term is what is missing.
    """

    sign: int
    low: float
    high: float
    stop: Stop


TERMS = {
    "consent": Term(1, 0.5, 1.0, Stop.CHANGED),
    "edge": Term(1, 0.0, 1.2, Stop.EDGE),
    "tissue": Term(-1, 0.0, 3.0, Stop.TISSUE),
    "contrast": Term(1, -0.5, 1.2, Stop.TISSUE),
    "quality": Term(1, 0.3, 0.9, Stop.UNSURE),
    "growth": Term(1, 0.0, 1.2, Stop.ENDED),
}


@dataclass(frozen=True)
class Calibration:
    """What the measures weigh: a logistic regression on steps into and out of structures of the validation split.

    It depends on the model, so a bundle's ``metadata.json`` holds it under ``edgeflow``, ``brakes``;
    ``python -m benchmarks.propagation_calibration`` makes it.

    Attributes:
        bias: Log odds where all measures are 0.
        weights: Change of the log odds per unit, by the names of :data:`TERMS`.
        usual: Mean of each measure where the structure is there.
        stop_below: Probability below which stopping brought the best outlines.
    """

    bias: float
    weights: Mapping[str, float]
    usual: Mapping[str, float]
    stop_below: float = 0.5

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> Self:
        """From what a bundle says.

        Raises:
            ModelError: Measures are missing or unknown, or what is said are no numbers of the right sign.
        """
        try:
            weights, usual = ({n: float(v) for n, v in told[part].items()} for part in ("weights", "usual"))
            found = cls(float(told["bias"]), weights, usual, float(told.get("stop_below", cls.stop_below)))
            numbers = [found.bias, *weights.values(), *usual.values()]
            usable = weights.keys() == usual.keys() == TERMS.keys() and all(map(math.isfinite, numbers))
            usable = usable and 0 <= found.stop_below <= 1
        except (KeyError, TypeError, ValueError, AttributeError):
            usable = False
        if not usable or any(weights[name] * term.sign < 0 for name, term in TERMS.items()):
            raise ModelError(
                f"The model's metadata.json says under brakes what this version cannot use; make it anew with "
                f"benchmarks.propagation_calibration (measures {', '.join(TERMS)})."
            )
        return found

    def presence(self, evidence: Evidence) -> float:
        """Probability that the structure is on the slice."""
        return 1 / (1 + math.exp(-self.bias - sum(self.contributions(evidence).values())))

    def contributions(self, evidence: Evidence, *, beyond_usual: bool = False) -> dict[str, float]:
        """Each term of the log odds, or by how much it exceeds its usual value."""
        found = {}
        for name, term in TERMS.items():
            value = min(max(getattr(evidence, name), term.low), term.high)
            found[name] = self.weights[name] * (value - (self.usual[name] if beyond_usual else 0.0))
        return found


# For models that bring none: made with the first weights; docs/explanation/propagation.md shows how well it separates.
DEFAULT = Calibration(
    bias=-4.3,
    weights={"consent": 2.7, "edge": 0.13, "tissue": -0.31, "contrast": 0.43, "quality": 2.6, "growth": 1.2},
    usual={"consent": 0.94, "edge": 0.57, "tissue": 0.37, "contrast": 0.84, "quality": 0.64, "growth": 0.99},
)


@dataclass(frozen=True)
class Brakes:
    """When to stop; each limit is the worst value with which propagation goes on.

    Attributes:
        presence: Least :meth:`Calibration.presence`.
        shrink: Least :attr:`Evidence.growth`; below, the structure has ended.
        grow: Greatest :attr:`Evidence.growth`.
        smallest: Least :attr:`Evidence.area`; below, the structure has ended.
        calibration: What the measures weigh.
    """

    presence: float = 0.5
    shrink: float = 0.2
    grow: float = 2.5
    smallest: int = 4
    calibration: Calibration = DEFAULT

    @classmethod
    def of(cls, predictor: object) -> Self:
        """The brakes for what a predictor answers: with its model's calibration, where it brings one.

        Raises:
            ModelError: The model's calibration is not usable.
        """
        told = getattr(predictor, "brakes", None)
        if not told:
            return cls()
        calibration = Calibration.read(told)
        return cls(presence=calibration.stop_below, calibration=calibration)

    def check(self, evidence: Evidence) -> Stop | None:
        """Which brake a step triggers, None if it may stand."""
        if evidence.area < self.smallest or evidence.growth < self.shrink:
            return Stop.ENDED
        if evidence.growth > self.grow:
            return Stop.CHANGED
        if self.calibration.presence(evidence) < self.presence:
            missing = self.calibration.contributions(evidence, beyond_usual=True)
            return TERMS[min(missing, key=lambda name: missing[name])].stop
        return None
