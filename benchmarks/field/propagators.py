"""Ways to get from annotated slices to the others, behind one interface.

Each takes the object's scan, the masks of the slices that are known, and the slices that it is to fill; it returns
masks by slice. All but ours are told by those slices where the object ends; ours finds out, as a reader's session
would.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from benchmarks.objects import Mask, Object, contour_interpolation
from benchmarks.quality.graphcut import PEER as GRAPH_CUT
from benchmarks.quality.growcut import BACKGROUND, FOREGROUND, SlicerGrowCut
from benchmarks.quality.growcut import PEER as GROWCUT
from edgeflow_med.metrics import bounding_box
from edgeflow_med.predictors.base import Predictor
from edgeflow_med.predictors.graphcut import cut, likelihoods, load_maxflow
from edgeflow_med.predictors.seeds import Seeds
from edgeflow_med.propagation.blend import between
from edgeflow_med.propagation.carry import carry, draw

Known = Mapping[int, Mask]
Propagator = Callable[[Object, Known, range], dict[int, Mask]]
MARGIN = 24  # pixels around the annotation in which the object is looked for


@dataclass(frozen=True)
class Ours:
    """Our own propagation with a model; it is not told where the object ends, only what is annotated."""

    predictor: Predictor

    def __call__(self, scan: Object, known: Known, where: range) -> dict[int, Mask]:  # noqa: ARG002  not told
        """See the module."""
        answers = {number: draw(mask) for number, mask in known.items()}
        options = {}
        if len(known) > 1:  # only between them
            beyond = max(known) + 1
            options = {"directions": (1,), "anchors": [beyond] if beyond < len(scan.images) else []}
        steps = scan.propagate(self.predictor, answers, **options)
        return {number: step.prediction.mask for number, step in steps.items() if step.prediction is not None}


def nearest(scan: Object, known: Known, where: range) -> dict[int, Mask]:  # noqa: ARG001  no image needed
    """The nearest annotated slice, copied."""
    return {n: known[min(known, key=lambda other: abs(other - n))] for n in where}


def interpolated(scan: Object, known: Known, where: range) -> dict[int, Mask]:  # noqa: ARG001  nor here
    """ITK's morphological contour interpolation between two slices."""
    low, high = sorted(known)
    return contour_interpolation(low, known[low], high, known[high])


def flowed(scan: Object, known: Known, where: range) -> dict[int, Mask]:
    """Carried along the optical flow from slice to slice; between two, both runs are blended by distance."""
    runs = {start: _run(scan, known[start], start, where) for start in known}
    if len(runs) == 1:
        return next(iter(runs.values()))
    low, high = sorted(known)
    found = {}
    for n in where:
        one, other = runs[low][n], runs[high][n]
        share = (n - low) / (high - low)
        both = one.any() and other.any()
        found[n] = between(one, other, share) >= 0.5 if both else (one if share < 0.5 else other)
    return found


def _run(scan: Object, mask: Mask, start: int, where: range) -> dict[int, Mask]:
    found = {start: mask}
    for direction in (1, -1):
        here = draw(mask)
        n = start + direction
        while where.start <= n < where.stop:
            here = carry(here, scan.images[n - direction], scan.images[n])
            found[n] = here.mask
            n += direction
    return found


def graph_cut(scan: Object, known: Known, where: range) -> dict[int, Mask]:
    """Boykov and Jolly's graph cut in three dimensions: the code of ``--model graphcut``, its seeds the annotations."""
    with GRAPH_CUT.on_path():
        load_maxflow()
    block = Block.around(scan, known, where)
    sample = {"positive_sample": block.positive, "negative_sample": block.negative & block.shown}
    seeds = Seeds(block.positive, block.negative, **sample)
    return block.spread(_reached(cut(block.images, likelihoods(block.images, seeds)), block.positive))


class GrowCutVolume:
    """3D Slicer's GrowCut in three dimensions, its seeds the annotations."""

    def __init__(self) -> None:
        self._grow = SlicerGrowCut()

    def __call__(self, scan: Object, known: Known, where: range) -> dict[int, Mask]:
        """See the module."""
        block = Block.around(scan, known, where)
        seeds = np.zeros(block.images.shape, np.uint8)
        seeds[block.negative], seeds[block.positive] = BACKGROUND, FOREGROUND
        return block.spread(self._grow(block.images, seeds) == FOREGROUND)


@dataclass(frozen=True, eq=False)
class Block:
    """The part of a scan in which a method in three dimensions looks for the object.

    Attributes:
        images: ``(K, H, W)``, the slices to fill and one beyond at either end, cut around the annotations.
        positive: Voxels of the annotations.
        negative: Voxels around the annotations on their slices, and all of the slices beyond.
        shown: Voxels on annotated slices.
        first: Number of the first slice in the scan.
        box: Where the block lies on a slice.
        shape: Of a slice.
        where: The slices to fill.
    """

    images: NDArray[np.float32]
    positive: Mask
    negative: Mask
    shown: Mask
    first: int
    box: tuple[slice, ...]
    shape: tuple[int, ...]
    where: range

    @classmethod
    def around(cls, scan: Object, known: Known, where: range) -> Block:
        """Cut it out."""
        box = bounding_box(np.any(list(known.values()), axis=0), margin=MARGIN)
        slices = [*known, *where]
        low, high = min(slices), max(slices)
        first, last = max(0, low - 1), min(len(scan.images) - 1, high + 1)
        images = np.ascontiguousarray(scan.images[first : last + 1, box[0], box[1]])
        positive, negative, shown = (np.zeros(images.shape, bool) for _ in range(3))
        for n in (first, last):
            negative[n - first] = not low <= n <= high
        for n, mask in known.items():
            positive[n - first] = mask[box]
            negative[n - first] = ~mask[box]
            shown[n - first] = True
        return cls(images, positive, negative, shown, first, box, scan.images.shape[1:], where)

    def spread(self, found: Mask) -> dict[int, Mask]:
        """Masks of the block -> masks of whole slices."""
        masks = {}
        for n in self.where:
            whole = np.zeros(self.shape, bool)
            whole[self.box] = found[n - self.first]
            masks[n] = whole
        return masks


def _reached(mask: Mask, seeds: Mask) -> Mask:
    """The connected pieces that touch an annotation."""
    pieces, _ = ndimage.label(mask)
    touched = np.unique(pieces[seeds & mask])
    return np.isin(pieces, touched[touched > 0])


@dataclass(frozen=True)
class Way:
    """A row of the propagation table.

    Attributes:
        title: As tables call it.
        licence: Of the code.
        make: Makes the propagator.
        modes: ``"one"``, from one slice, ``"two"``, between two.
        missing: What to run if it cannot be made here; empty if it can.
    """

    title: str
    licence: str
    make: Callable[[], Propagator]
    modes: tuple[str, ...] = ("one", "two")
    missing: Callable[[], str] = lambda: ""


def _itk_missing() -> str:
    from importlib.util import find_spec

    return "" if find_spec("itk") else "pip install -c constraints.txt -e .[benchmarks]"


WAYS: dict[str, Way] = {
    "nearest": Way("nearest slice copied", "–", lambda: nearest),
    "interpolation": Way(
        "morphological contour interpolation (ITK)", "Apache-2.0", lambda: interpolated, ("two",), _itk_missing
    ),
    "flow": Way("optical flow (scikit-image)", "BSD-3-Clause", lambda: flowed),
    "graphcut3d": Way(
        "graph cut in 3-D (numpymaxflow)",
        "BSD-3-Clause",
        lambda: graph_cut,
        missing=lambda: "" if GRAPH_CUT.installed else GRAPH_CUT.install_command,
    ),
    "growcut3d": Way(
        "GrowCut in 3-D (3D Slicer)",
        GROWCUT.code_licence,
        GrowCutVolume,
        missing=lambda: "" if GROWCUT.installed else GROWCUT.install_command,
    ),
}
"""All ways but our own, by name."""
