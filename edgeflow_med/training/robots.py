"""What a reader would add to a wrong answer: the prompts of the rounds that a training step plays first."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeflow_med.predictors.crop import CLICK_RADIUS, Crop, draw_prompts, stamp
from edgeflow_med.training.samples import depths_of, draw_scribble

Masks = NDArray[np.bool_]
Seeds = NDArray[np.int64]
Flags = NDArray[np.bool_]


def draw_round(guess: Masks, truth: Masks, seeds: Seeds, scribbles: Flags) -> Masks:
    """One more prompt for each of some answers, in its larger error region.

    A click is drawn from the deep part of the region, a scribble as in :mod:`edgeflow_med.training.samples`.

    Args:
        guess: Answers ``(N, S, S)``.
        truth: What they should have been, ``(N, S, S)``.
        seeds: ``(N,)``; a prompt depends on its answer, its seed and its tool alone.
        scribbles: Whose prompt is a scribble, ``(N,)``.

    Returns:
        Positive and negative prompts as drawn into the guidance, ``(N, 2, S, S)``; nothing where nothing is wrong.
    """
    drawn = np.zeros((len(guess), 2, *guess.shape[1:]), np.float32)
    for one, wrong, right, seed, scribble in zip(drawn, guess, truth, seeds, scribbles, strict=True):
        rng = np.random.default_rng(seed)
        regions = (right & ~wrong, wrong & ~right)
        boxes = [depths_of(region) for region in regions]
        sign = int(boxes[1][2].max() > boxes[0][2].max())
        top, left, depths = boxes[sign]
        if depths.max() < 1.0:
            continue
        if scribble:
            stroke = draw_scribble(regions[sign], sign == 0, rng)
            one[:] = draw_prompts([stroke], Crop.whole(right.shape))
            continue
        candidates = np.argwhere(depths > 0.5 * depths.max())
        row, column = candidates[rng.integers(len(candidates))]
        stamp(one[sign], (float(top + row), float(left + column)), CLICK_RADIUS)
    return drawn > 0


class Robots:
    """Draw rounds here, or in processes of their own so that a GPU need not wait for them.

    Args:
        processes: How many; 0 for this one.
    """

    def __init__(self, processes: int) -> None:
        self.pool = ProcessPoolExecutor(processes) if processes else None
        self.processes = processes
        if self.pool is not None:  # they start now, before CUDA and data loaders do
            self.pool.submit(int).result()

    def ask(self, guess: Masks, truth: Masks, seeds: Seeds, scribbles: Flags) -> Callable[[], Masks]:
        """Like :func:`draw_round`, but returns at once: what is returned waits for the prompts when it is called."""
        if self.pool is None:
            drawn = draw_round(guess, truth, seeds, scribbles)
            return lambda: drawn
        shape = (2, *guess.shape[1:])
        parts: list[Future[Any]] = [
            self.pool.submit(_draw_packed, guess[part], truth[part], seeds[part], scribbles[part])
            for part in np.array_split(np.arange(len(guess)), min(self.processes, len(guess)))
        ]
        return lambda: np.concatenate([_unpack(part.result(), shape) for part in parts])

    def close(self) -> None:
        """Ends the processes."""
        if self.pool is not None:
            self.pool.shutdown(cancel_futures=True)


def _draw_packed(guess: Masks, truth: Masks, seeds: Seeds, scribbles: Flags) -> NDArray[np.uint8]:
    """Eight pixels a byte: between processes the size is what costs."""
    drawn = draw_round(guess, truth, seeds, scribbles)
    return np.packbits(drawn.reshape(len(drawn), -1), axis=1)


def _unpack(packed: NDArray[np.uint8], shape: tuple[int, ...]) -> Masks:
    return np.unpackbits(packed, axis=1, count=int(np.prod(shape))).reshape(-1, *shape).astype(bool)
