"""When to stop: thresholds on the evidence of a step."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

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


@dataclass(frozen=True)
class Brakes:
    """When to stop; each limit is the worst value with which propagation goes on.

    Attributes:
        shrink: Least :attr:`Evidence.growth`; below, the structure has ended.
        grow: Greatest :attr:`Evidence.growth`.
        consent: Least :attr:`Evidence.consent`.
        tissue: Greatest :attr:`Evidence.tissue`.
        edge: Least :attr:`Evidence.edge`.
        quality: Least :attr:`Evidence.quality`.
        smallest: Least :attr:`Evidence.area`; below, the structure has ended.
    """

    shrink: float = 0.2
    grow: float = 2.5
    consent: float = 0.4
    tissue: float = 1.5
    edge: float = 0.35
    quality: float = 0.5
    smallest: int = 4

    def check(self, evidence: Evidence) -> Stop | None:
        """Which brake a step triggers, None if it may stand."""
        if evidence.area < self.smallest or evidence.growth < self.shrink:
            return Stop.ENDED
        if evidence.growth > self.grow or evidence.consent < self.consent:
            return Stop.CHANGED
        if evidence.tissue > self.tissue:
            return Stop.TISSUE
        if evidence.edge < self.edge:
            return Stop.EDGE
        if evidence.quality < self.quality:
            return Stop.UNSURE
        return None
