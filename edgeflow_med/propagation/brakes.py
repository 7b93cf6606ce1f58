"""When to stop: how likely the structure is still there, given the evidence of a step."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

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
        weight: Change of the log odds per unit.
        low: Smaller values count as this one.
        high: Greater values count as this one.
        usual: Mean where the structure is there, on validation volumes.
        stop: What it means when this term is what is missing.
    """

    weight: float
    low: float
    high: float
    usual: float
    stop: Stop


# Logistic regression on steps of propagation in and out of structures of the validation split, made by
# `python -m benchmarks.propagation_calibration`; docs/explanation/propagation.md shows how well it separates them.
BIAS = -4.3
TERMS = {
    "consent": Term(2.7, 0.5, 1.0, 0.94, Stop.CHANGED),
    "edge": Term(0.13, 0.0, 1.2, 0.57, Stop.EDGE),
    "tissue": Term(-0.31, 0.0, 3.0, 0.37, Stop.TISSUE),
    "contrast": Term(0.43, -0.5, 1.2, 0.84, Stop.TISSUE),
    "quality": Term(2.6, 0.3, 0.9, 0.64, Stop.UNSURE),
    "growth": Term(1.2, 0.0, 1.2, 0.99, Stop.ENDED),
}


def presence(evidence: Evidence) -> float:
    """Probability that the structure is on the slice."""
    logit = BIAS + sum(_contributions(evidence).values())
    return 1 / (1 + math.exp(-logit))


def _contributions(evidence: Evidence, *, beyond_usual: bool = False) -> dict[str, float]:
    """Each term of the log odds, or by how much it exceeds its usual value."""
    found = {}
    for name, term in TERMS.items():
        value = min(max(getattr(evidence, name), term.low), term.high)
        found[name] = term.weight * (value - (term.usual if beyond_usual else 0.0))
    return found


@dataclass(frozen=True)
class Brakes:
    """When to stop; each limit is the worst value with which propagation goes on.

    Attributes:
        presence: Least :func:`presence`.
        shrink: Least :attr:`Evidence.growth`; below, the structure has ended.
        grow: Greatest :attr:`Evidence.growth`.
        smallest: Least :attr:`Evidence.area`; below, the structure has ended.
    """

    presence: float = 0.5
    shrink: float = 0.2
    grow: float = 2.5
    smallest: int = 4

    def check(self, evidence: Evidence) -> Stop | None:
        """Which brake a step triggers, None if it may stand."""
        if evidence.area < self.smallest or evidence.growth < self.shrink:
            return Stop.ENDED
        if evidence.growth > self.grow:
            return Stop.CHANGED
        if presence(evidence) < self.presence:
            missing = _contributions(evidence, beyond_usual=True)
            return TERMS[min(missing, key=lambda name: missing[name])].stop
        return None
