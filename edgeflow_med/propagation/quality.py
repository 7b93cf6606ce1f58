"""Expected Dice of a propagated slice, and the order in which to review."""

from __future__ import annotations

from edgeflow_med.propagation.evidence import Evidence


def expected_dice(evidence: Evidence) -> float:
    """Dice that the answer of one run is expected to reach."""
    return evidence.quality


def expected_dice_blended(up: float, down: float, agreement: float) -> float:
    """Dice that a blended answer is expected to reach.

    Args:
        up: What the run from one side expects.
        down: What the run from the other side expects.
        agreement: Dice of the two answers.
    """
    return (max(up, down) + agreement) / 2
