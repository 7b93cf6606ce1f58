"""Expected Dice of a propagated slice: what the order of review goes by."""

from __future__ import annotations

import numpy as np

from edgeflow_med.propagation.evidence import Evidence


def expected_dice(evidence: Evidence) -> float:
    """Dice that the answer of one run is expected to reach, in [0, 1].

    The network's own opinion of its answer, and what has been lost on the way to it: each step on which it changes
    what was carried there is a chance to be wrong. On validation volumes the order by this product agrees better with
    the order of the true Dice than the opinion alone; see ``docs/explanation/propagation.md``.
    """
    own = 2 * evidence.quality / (1 + evidence.quality)  # expected IoU -> Dice
    return float(np.clip(own * np.exp(-evidence.drift), 0.0, 1.0))


def expected_dice_blended(up: float, down: float, agreement: float) -> float:
    """Dice that a blended answer is expected to reach.

    Args:
        up: What the run from one side is expected to reach.
        down: What the run from the other side is expected to reach.
        agreement: Dice of the two answers; where they agree they are seldom both wrong.
    """
    return float(np.sqrt(max(up, down) * agreement))
