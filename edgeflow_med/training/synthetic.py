"""Images that no scanner made: the same anatomy in other contrasts, and lesions that nobody has.

Labelled data hold few contrasts, and few small lesions of few kinds. So tissue classes are painted anew, and blobs
lighter or darker than what is around them, sharp or vague, are painted in; several lie about, one of them is the
target.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Mask = NDArray[np.bool_]
AIR = 0.08  # darker pixels are left alone: no lesion floats there
MOST = 6  # blobs on an image
RADII = (0.012, 0.1)  # smallest and largest radius of a blob over the side of the image
CONTRAST = (0.08, 0.5)
DARK_SHARE = 0.35


def repaint(image: NDArray[np.float32], structures: Sequence[Mask], rng: np.random.Generator) -> NDArray[np.float32]:
    """The same anatomy in another contrast, as SynthSeg does with label maps (Billot et al., arXiv 2107.09559).

    Tissue classes, cut from the image's own grey at random quantiles, and structures get a random grey each.
    """
    cuts = np.quantile(image, np.sort(rng.uniform(0.05, 0.95, int(rng.integers(1, 5)))))
    classes = np.digitize(image, cuts)
    painted = rng.uniform(0, 1, len(cuts) + 1)[classes]
    for structure in structures:
        painted[structure] = rng.uniform(0, 1)
    painted = ndimage.gaussian_filter(painted, rng.uniform(0.4, 1.2))
    texture = ndimage.gaussian_filter(rng.normal(size=image.shape), rng.uniform(0.5, 3.0))
    painted += rng.uniform(0.0, 0.1) * texture / (texture.std() + 1e-6) + rng.uniform(0, 0.5) * (image - image.mean())
    return np.clip(painted, 0, 1).astype(np.float32)


def plant_lesions(image: NDArray[np.float32], rng: np.random.Generator) -> tuple[NDArray[np.float32], Mask] | None:
    """Paint some blobs into an image.

    Args:
        image: ``(S, S)`` in [0, 1].
        rng: Chance.

    Returns:
        The new image, and which of its pixels belong to the first blob; None where none has a place.
    """
    places = np.argwhere(ndimage.uniform_filter(image, 5) > AIR)
    if not len(places):
        return None
    side = image.shape[0]
    radius = side * float(np.exp(rng.uniform(*np.log(RADII))))
    contrast = float(rng.uniform(*CONTRAST)) * (-1 if rng.random() < DARK_SHARE else 1)
    vagueness = float(rng.uniform(0.4, 1 + 0.15 * radius))
    count = int(rng.integers(1, MOST + 1))
    painted = image.copy()
    blobs: list[Mask] = []
    taken = np.zeros(image.shape, bool)
    for _ in range(2 * MOST):  # attempts
        if len(blobs) == count:
            break
        blob = draw_blob(side, places[rng.integers(len(places))], radius * float(rng.uniform(0.6, 1.4)), rng)
        change = contrast * float(rng.uniform(0.7, 1.3))
        if not blob.any() or not 0 <= float(image[blob].mean()) + change <= 1:
            continue  # nothing would show
        if (ndimage.binary_dilation(blob, iterations=2) & taken).any():
            continue  # two that touch would be one
        taken |= blob
        depth = ndimage.gaussian_filter(blob.astype(np.float32), vagueness)
        painted += change * depth / max(float(depth.max()), 0.1)
        blobs.append(blob)
    return (np.clip(painted, 0, 1).astype(np.float32), blobs[0]) if blobs else None


def draw_blob(side: int, centre: NDArray[np.int_], radius: float, rng: np.random.Generator) -> Mask:
    """A stretched and dented disk, in one piece: ``(side, side)`` bool."""
    rows, columns = np.mgrid[:side, :side].astype(np.float64)
    rows, columns = rows - centre[0], columns - centre[1]
    turn, stretch = rng.uniform(0, np.pi), float(np.exp(rng.uniform(0, 0.7)))
    along = (rows * np.cos(turn) + columns * np.sin(turn)) / np.sqrt(stretch)
    across = (columns * np.cos(turn) - rows * np.sin(turn)) * np.sqrt(stretch)
    angle = np.arctan2(across, along)
    waves = sum(rng.normal(0, 0.3 / n) * np.cos(n * angle + rng.uniform(0, 2 * np.pi)) for n in range(2, 6))
    blob = np.hypot(along, across) <= radius * np.clip(1 + waves, 0.4, 1.6)
    return np.asarray(blob)
