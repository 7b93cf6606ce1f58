"""Carry a segment from annotated slices to their neighbours, with brakes."""

from __future__ import annotations

from edgeflow_med.propagation.brakes import Brakes, Calibration, Stop
from edgeflow_med.propagation.evidence import Evidence, edge_agreement
from edgeflow_med.propagation.gaps import touched
from edgeflow_med.propagation.quality import expected_dice
from edgeflow_med.propagation.walk import SliceStep, propagate, walk

__all__ = [
    "Brakes",
    "Calibration",
    "Evidence",
    "SliceStep",
    "Stop",
    "edge_agreement",
    "expected_dice",
    "propagate",
    "touched",
    "walk",
]
