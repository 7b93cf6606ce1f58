"""Objects that nobody labelled, found in the image itself: pieces of one grey with an outline that shows.

Labels name few of the things on a slice. A graph-based segmentation (Felzenszwalb and Huttenlocher, IJCV 2004) at a
random coarseness names others: muscles, vessels, fluid, fat. They are no anatomy, but what a click on them means is
clear enough to learn from: up to where the image changes.
"""

from __future__ import annotations

import numpy as np
from monai.transforms.utils import get_largest_connected_component_mask
from numpy.typing import NDArray
from scipy import ndimage
from skimage.segmentation import clear_border, felzenszwalb

Mask = NDArray[np.bool_]
AIR = 0.05  # nothing darker is an object
COARSENESS = (40.0, 1000.0)
AREA = (0.0015, 0.2)  # smallest and largest share of the image
DEPTH = 0.25  # deepest point over the root of the area: 0.56 for a disk, 0.16 for a strip ten times as long as wide
CONTRAST = 0.1  # grey across the outline
EVENNESS = 1.5  # contrast over the spread of the grey inside
ATTEMPTS = 6  # pieces looked at before it is given up


def draw_superpixel(image: NDArray[np.float32], rng: np.random.Generator) -> Mask | None:
    """One object, small ones as likely as large ones.

    Args:
        image: ``(S, S)`` in [0, 1].
        rng: Chance.

    Returns:
        Which pixels belong to it, ``(S, S)``; None where nothing stands out.
    """
    coarseness = float(np.exp(rng.uniform(*np.log(COARSENESS))))
    smallest = max(12, round(AREA[0] * image.size))
    pieces = felzenszwalb(image, scale=coarseness, sigma=float(rng.uniform(0.5, 1.2)), min_size=smallest)
    pieces = clear_border(pieces + 1)  # the crop cuts those off, and nothing is called 0
    areas = np.bincount(pieces.ravel())
    areas[0] = 0
    found = np.flatnonzero((areas >= smallest) & (areas <= AREA[1] * image.size))
    for label in rng.permutation(found)[:ATTEMPTS]:
        mask = smooth(snap(image, pieces == label))
        if mask.sum() >= smallest and stands_out(image, mask):
            return mask
    return None


def snap(image: NDArray[np.float32], mask: Mask) -> Mask:
    """The outline moved, by a few pixels at most, to where the grey is halfway between inside and outside.

    The segmentation makes strips of the slopes between two greys and gives them to either side.
    """
    core = ndimage.binary_erosion(mask, iterations=2)
    ring = ndimage.binary_dilation(mask, iterations=5) & ~ndimage.binary_dilation(mask, iterations=2)
    if not core.any():
        return mask
    inside, outside = float(image[core].mean()), float(image[ring].mean())
    likelier = np.abs(ndimage.gaussian_filter(image, 0.6) - inside) < abs(inside - outside) / 2
    return core | (likelier & ndimage.binary_dilation(mask, iterations=3))


def smooth(mask: Mask) -> Mask:
    """Without holes, hairs and crumbs."""
    opened = ndimage.binary_opening(ndimage.binary_fill_holes(mask), np.ones((3, 3)))
    return np.asarray(get_largest_connected_component_mask(opened, connectivity=1))


def stands_out(image: NDArray[np.float32], mask: Mask) -> bool:
    """Whether an object is brighter than air, no thread, even, and of another grey than what is around it."""
    depth = float(ndimage.distance_transform_edt(np.pad(mask, 1)).max())
    if depth < DEPTH * np.sqrt(mask.sum()) or float(image[mask].mean()) < AIR:
        return False
    outer = ndimage.binary_dilation(mask, iterations=4) & ~ndimage.binary_dilation(mask)
    contrast = abs(float(image[mask].mean()) - float(image[outer].mean()))
    return contrast >= max(CONTRAST, EVENNESS * float(image[mask].std()))
