"""Carry an answer to the neighbouring slice along the apparent motion of the image, and join it with the network's."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.registration import optical_flow_ilk

from edgeflow_med.predictors.base import Prediction

Picture = NDArray[np.float32]

MARGIN = 24  # pixels around the mask that take part: what the structure may move by, and what it moves against
RADIUS = 7  # pixels: half the window in which the motion is taken for uniform
WARPS = 4  # times that the motion is refined
NOISE = 1.0  # pixels by which the images are smoothed before
SOFTNESS = 1.5  # most pixels by which the outline of a carried mask is blurred, as in training
SOFT_SHARE = 0.125  # of its radius: a small one is magnified for the network, and would melt
CONSTANT = 0.2  # of the window: pixels that differ more are not the same tissue, whatever the flow says
SURE = 0.15  # what was carried counts as no surer than this, so that a network that is surer wins
EDGE = 0.8  # edge probability along the outline of a carried mask, as in training


def carry(answer: Prediction, image: Picture, neighbour: Picture) -> Prediction:
    """Take an answer on ``image`` to ``neighbour``, along the optical flow between the two.

    A limb changes its cross-section and a vessel its place from slice to slice; the flow (iterative Lucas-Kanade, as
    in scikit-image) takes the outline along, so that the network is asked about what is different and not about what
    has merely moved. Mask and edge are drawn anew, as the network saw them in training: answers handed on as they are
    fade or spread from slice to slice.

    Args:
        answer: On ``image``.
        image: ``(H, W)`` in [0, 1].
        neighbour: ``(H, W)`` in [0, 1].

    Returns:
        What the answer says about ``neighbour``; its mask may be empty.
    """
    mask = answer.mask
    moved = np.zeros(mask.shape, bool)
    if mask.any():
        box = around(mask, MARGIN)
        before, after = (ndimage.gaussian_filter(picture[box], NOISE) for picture in (image, neighbour))
        flow = optical_flow_ilk(after, before, radius=RADIUS, num_warp=WARPS)
        places = np.indices(before.shape, np.float32) + flow
        arrived = ndimage.map_coordinates(answer.probability[box], places, order=1, mode="nearest") >= 0.5
        # Where nothing shows, as in air, the flow is arbitrary: only tissue that looks the same has moved.
        alike = np.abs(ndimage.map_coordinates(before, places, order=1, mode="nearest") - after) < CONSTANT
        moved[box] = np.where(alike, arrived, mask[box])
    return draw(moved, answer.quality)


def draw(mask: NDArray[np.bool_], quality: float = 1.0) -> Prediction:
    """A mask ``(H, W)`` as an answer of the network would look: soft, with an edge two pixels wide."""
    radius = float(np.sqrt(mask.sum() / np.pi))
    soft = ndimage.gaussian_filter(mask.astype(np.float32), min(SOFTNESS, SOFT_SHARE * radius))
    outline = ndimage.binary_dilation(mask) & ~ndimage.binary_erosion(mask, border_value=1)
    edge = ndimage.gaussian_filter(outline.astype(np.float32), 0.6).astype(np.float32)
    return Prediction(soft, edge * np.float32(EDGE), quality)


def join(carried: Prediction, answer: Prediction, excluded: NDArray[np.bool_] | None = None) -> Prediction:
    """What stands on a slice: the mean of what was carried there and of what the network says, with its edge.

    Where the image shows an outline the network moves the mask there; where it shows none its answers tend to copy
    what they are given, a little larger, and the mean keeps the shape. Chosen on validation volumes: see
    ``docs/explanation/propagation.md``.

    Args:
        carried: What the network was given.
        answer: What it said.
        excluded: ``(H, W)`` pixels of other segments, on which the network's word counts.
    """
    probability = (carried.probability.clip(SURE, 1 - SURE) + answer.probability) * np.float32(0.5)
    if excluded is not None:
        probability[excluded] = np.minimum(probability, answer.probability)[excluded]
    return Prediction(probability, answer.edge, answer.quality)


def around(mask: NDArray[np.bool_], margin: int) -> tuple[slice, slice]:
    """The bounding box of a mask, ``margin`` pixels larger on each side, cut at the slice's borders."""
    spans = []
    for axis in (0, 1):
        filled = np.flatnonzero(mask.any(1 - axis))
        spans.append(slice(max(0, int(filled[0]) - margin), int(filled[-1]) + margin + 1))
    return spans[0], spans[1]
