"""Boxes: for peers that take nothing else, and as a first prompt for those that also take clicks.

A box is drawn with two clicks and therefore counts as two interactions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeflow_med.metrics import bounding_box
from edgeflow_med.predictors.base import Stroke

INTERACTIONS = 2
JITTER = 0.05


@dataclass(frozen=True)
class BoxStroke(Stroke):
    """A box around the segment; ``points`` are its upper left and lower right pixel, both inside."""


@dataclass(frozen=True)
class Boxes:
    """A robot user that draws one box around the target, and has nothing to say after that.

    Attributes:
        seed: Of the jitter.
        jitter: Every side is moved by up to this share of the box's length across it, either way.
    """

    seed: int = 0
    jitter: float = JITTER

    def next_prompt(
        self,
        target: NDArray[np.bool_],
        mask: NDArray[np.bool_],  # noqa: ARG002  part of the interface of robots
        history: Sequence[Stroke],
        spacing: tuple[float, float] = (1.0, 1.0),  # noqa: ARG002
    ) -> BoxStroke | None:
        """See :class:`edgeflow_med.simulation.RobotUser`."""
        if history or not target.any():
            return None
        box = bounding_box(target)
        low = np.array([side.start for side in box], float)
        high = np.array([side.stop - 1 for side in box], float)
        reach = self.jitter * (high - low + 1)
        shifts = np.random.default_rng(self.seed).uniform(-1, 1, (2, 2)) * reach
        last = np.array(target.shape) - 1
        low, high = np.clip(low + shifts[0], 0, last), np.clip(high + shifts[1], 0, last)
        return BoxStroke(tuple((float(row), float(column)) for row, column in (low, high)))
