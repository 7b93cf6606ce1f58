"""What is to be outlined: a seeded sample of the labelled structures on the slices of a data set.

A target is the part, on one slice across the scan's own axis k, of one connected piece (26 neighbours) of a labelled
structure. So every MS lesion, nodule or vertebra is a target of its own even where they share a label, and a tumour
whose tongues are joined above or below the slice stays one target. A single slice shows no such joints: there every
island (8 neighbours) is a target.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from edgeflow_med.evaluation.datasets import CaseFiles, DataSet, Labels, read_labels
from edgeflow_med.metrics import bounding_box

T = TypeVar("T")
MIN_PIXELS = 20
"""Targets of fewer pixels are left out and counted: a pixel more or less decides their IoU."""


@dataclass(frozen=True, eq=False)
class Target:
    """One thing to outline on one slice.

    Attributes:
        dataset: Name of the data set.
        case: Name of the case.
        label: Its label value.
        slice_index: Number of the slice along k.
        piece: Number of the connected piece among those of its label in this case, from 1 in scan order.
        box: Where ``mask`` lies on the slice.
        mask: Its pixels, cut to ``box``.
    """

    dataset: str
    case: str
    label: int
    slice_index: int
    piece: int
    box: tuple[slice, ...]
    mask: NDArray[np.bool_]

    @property
    def id(self) -> str:
        """Identifies the target within its data set."""
        return f"{self.case}/label{self.label}/piece{self.piece}/slice{self.slice_index}"

    @property
    def pixels(self) -> int:
        """Its area."""
        return int(self.mask.sum())

    def on_slice(self, shape: tuple[int, int]) -> NDArray[np.bool_]:
        """The mask on the whole slice of this shape."""
        whole = np.zeros(shape, bool)
        whole[self.box] = self.mask
        return whole


@dataclass(frozen=True, eq=False)
class Sample:
    """The targets drawn from a data set, sorted by case, and how many there were to draw from.

    Attributes:
        targets: The sample.
        eligible: Targets large enough in the cases that were read.
        tiny: Targets left out there for having fewer than :data:`MIN_PIXELS` pixels.
        cases: Cases that were read.
    """

    targets: tuple[Target, ...]
    eligible: int
    tiny: int
    cases: int


def sample_targets(
    dataset: DataSet, count: int, seed: int, accept: Callable[[str], bool] | None = None, min_pixels: int = MIN_PIXELS
) -> Sample:
    """Draw targets so that every structure, then every case, is seen as evenly as possible.

    Structures take turns; a structure's turn goes to its next case in a random order; there the target is drawn at
    random. Of more than ``count`` cases a random ``count`` are read.

    Args:
        dataset: Where from.
        count: How many targets at most.
        seed: Of all random choices; the data set's name is mixed in.
        accept: Whether to use a case, by name; None for all.
        min_pixels: Smaller targets are left out and counted.
    """
    rng = np.random.default_rng([seed, *dataset.name.encode()])
    names = [case for case in dataset.cases if accept is None or accept(case.name)]
    order = [names[index] for index in rng.permutation(len(names))[:count]]
    pools: dict[int, list[list[Target]]] = {}
    tiny = eligible = 0
    for case in order:
        labels = read_labels(case)
        for value in sorted(set(np.unique(labels).tolist()) - {0}):
            found = _targets(dataset, case, labels == value, value)
            large = [target for target in found if target.pixels >= min_pixels]
            tiny += len(found) - len(large)
            eligible += len(large)
            if large:
                pools.setdefault(value, []).append([large[index] for index in rng.permutation(len(large))])
    drawn = take_turns([pools[value] for value in sorted(pools)], count)
    drawn.sort(key=lambda target: (target.case, target.slice_index, target.label, target.piece))
    return Sample(tuple(drawn), eligible, tiny, len(order))


def pieces(structure: NDArray[np.bool_]) -> tuple[Labels, int]:
    """Number the connected pieces (26 neighbours) of a structure ``(K, J, I)``; returns the numbers and their count."""
    numbers, count = ndimage.label(structure, np.ones((3, 3, 3)))
    return numbers, int(count)


def _targets(dataset: DataSet, case: CaseFiles, structure: NDArray[np.bool_], value: int) -> list[Target]:
    """All targets of one label in one case, of any size."""
    outer = bounding_box(structure)
    numbers, _ = pieces(structure[outer])
    found = []
    for piece, inner in enumerate(ndimage.find_objects(numbers), start=1):
        part = numbers[inner] == piece
        first, row, column = (o.start + i.start for o, i in zip(outer, inner, strict=True))
        for k in np.flatnonzero(part.any(axis=(1, 2))).tolist():
            tight = bounding_box(part[k])
            box = tuple(slice(b.start + at, b.stop + at) for b, at in zip(tight, (row, column), strict=True))
            found.append(Target(dataset.name, case.name, value, first + k, piece, box, part[k][tight].copy()))
    return found


def take_turns(pools: Sequence[list[list[T]]], count: int) -> list[T]:
    """Structures take turns, within a structure its cases do, until ``count`` are drawn or nothing is left."""
    queues = []
    for cases in pools:
        depth = max(len(targets) for targets in cases)
        queues.append([targets[n] for n in range(depth) for targets in cases if n < len(targets)])
    drawn: list[T] = []
    remaining = sum(len(queue) for queue in queues)
    for queue in cycle(queues):
        if remaining == 0 or len(drawn) == count:
            break
        if queue:
            drawn.append(queue.pop(0))
            remaining -= 1
    return drawn
