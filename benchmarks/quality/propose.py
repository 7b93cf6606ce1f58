"""Objects without names for training: what SAM 2 finds on slices whose organs nobody labelled.

    python -m benchmarks.quality.install sam2_hiera_tiny
    python -m benchmarks.quality.propose DATASET --output pseudo --every 4

Each slice across the thick axis is asked about a grid of points over the body; of the answers those are kept that the
network is sure of, that hardly change with the threshold, and that are neither specks nor most of the slice. One file a
slice, as `docs/how-to/train.md` describes; slices that have one are skipped, so a stopped run goes on.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from benchmarks.quality.grids import Array, Mask
from benchmarks.quality.sam import NO_MASK, Frame
from benchmarks.quality.sam2_hiera_tiny import SIDE, Sam2HieraTiny
from edgeflow_med.cli.output import make_console, make_progress
from edgeflow_med.errors import EdgeFlowError
from edgeflow_med.training.cases import Case, plane, read_cases
from edgeflow_med.windows import CT_PRESETS

CELLS = 17  # points along each side of the slice
AT_ONCE = 32  # points asked about together
LEAST_QUALITY, LEAST_STABILITY = 0.70, 0.82
LEAST_PIXELS, LARGEST_SHARE, MOST_ON_BORDER = 40, 0.15, 0.15
SAME = 0.75  # IoU from which two objects are one


class Object(NamedTuple):
    """A proposal: ``(H, W)`` mask, the IoU that the network expects of it, and how stable its outline is."""

    mask: Mask
    quality: float
    stability: float


def propose(network: Sam2HieraTiny, image: Array, rng: np.random.Generator) -> list[Object]:
    """Objects on a windowed slice ``(H, W)`` in [0, 1], best first, no two of them the same."""
    shape = (image.shape[0], image.shape[1])
    frame, features = Frame(shape, SIDE, stretch=True), network.encode(image)
    found = []
    points = frame.points(grid(image, rng))
    for start in range(0, len(points), AT_ONCE):
        part = points[start : start + AT_ONCE]
        answer = network.decode(
            **features,
            point_coords=part[:, None],
            point_labels=np.ones((len(part), 1), np.float32),
            mask_input=np.repeat(NO_MASK[None, 0], len(part), 0),
            has_mask_input=np.zeros(1, np.float32),
        )
        for logits, quality in zip(
            answer["masks"].reshape(-1, *NO_MASK.shape[-2:]), answer["iou_predictions"].ravel(), strict=True
        ):
            stability = (logits > 1).sum() / max((logits > -1).sum(), 1)
            if quality > LEAST_QUALITY and stability > LEAST_STABILITY:
                mask = largest_piece(frame.to_slice(logits) >= 0.5)
                if is_object(mask, image):
                    found.append(Object(mask, float(quality), float(stability)))
    return thinned(found)


def grid(image: Array, rng: np.random.Generator) -> list[tuple[float, float]]:
    """One point (row, column) somewhere in each of 17 x 17 cells, where there is body."""
    cells = np.stack(np.meshgrid(np.arange(CELLS), np.arange(CELLS), indexing="ij"), -1).reshape(-1, 2)
    points = (cells + rng.random(cells.shape)) * np.array(image.shape) / CELLS
    return [(float(r), float(c)) for r, c in points if image[int(r), int(c)] > 0.05]


def largest_piece(mask: Mask) -> Mask:
    """The largest piece of a mask (face neighbours)."""
    pieces, count = ndimage.label(mask)
    return mask if count < 2 else pieces == np.bincount(pieces[pieces > 0]).argmax()


def is_object(mask: Mask, image: Array) -> bool:
    """Whether a mask may be a thing: of some size, not background, not cut off by the border of the slice."""
    area = int(mask.sum())
    if not LEAST_PIXELS <= area <= LARGEST_SHARE * mask.size or image[mask].mean() < 0.05:
        return False
    rim = mask & ~ndimage.binary_erosion(mask, border_value=1)
    outer = mask.copy()
    outer[1:-1, 1:-1] = False
    return bool(outer.sum() < MOST_ON_BORDER * (rim | outer).sum())


def thinned(objects: Iterable[Object]) -> list[Object]:
    """Of objects that overlap almost wholly the one of the best quality."""
    kept: list[Object] = []
    for candidate in sorted(objects, key=lambda found: -found.quality):
        if all(overlap(candidate.mask, other.mask) <= SAME for other in kept):
            kept.append(candidate)
    return kept


def overlap(one: Mask, other: Mask) -> float:
    """IoU; 0 of two empty masks."""
    return float((one & other).sum() / max((one | other).sum(), 1))


def pack(objects: Sequence[Object], shape: tuple[int, int]) -> dict[str, NDArray[np.generic]]:
    """The arrays of a file."""
    boxes, bits = [], []
    for found in objects:
        rows, columns = np.flatnonzero(found.mask.any(1)), np.flatnonzero(found.mask.any(0))
        box = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
        boxes.append(box)
        bits.append(np.packbits(found.mask[box[0] : box[1], box[2] : box[3]]))
    return {
        "shape": np.array(shape),
        "boxes": np.array(boxes, np.int16).reshape(-1, 4),
        "bits": np.concatenate([np.zeros(0, np.uint8), *bits]),
        "quality": np.array([(f.quality, f.stability) for f in objects], np.float16).reshape(-1, 2),
    }


def slices(case: Case, every: int) -> Iterator[tuple[int, int]]:
    """Axis and number of the slices to look at: every n-th across the first of the axes that the case is read along."""
    axis = case.axes[-1]
    yield from ((axis, k) for k in range(every // 2, case.image.shape[axis], every))


def windowed(case: Case, values: NDArray[np.generic]) -> Array:
    """A slice in [0, 1]: soft tissue for CT, what the case's own window shows otherwise."""
    window = CT_PRESETS["soft-tissue"] if case.hounsfield else case.window
    return np.asarray(window.apply(values), np.float32)


def run(folder: Path, output: Path, every: int, threads: int) -> int:
    """All slices of a data set; returns how many objects were found."""
    network, count = Sam2HieraTiny(threads), 0
    output.mkdir(parents=True, exist_ok=True)
    cases = read_cases(folder)
    tasks = [(case, axis, k) for case in cases for axis, k in slices(case, every)]
    with make_progress(make_console()) as bar:
        for case, axis, k in bar.track(tasks, description=folder.name):
            path = output / f"{folder.parent.name}_{folder.name}_{case.name}__a{axis}_k{k}.npz"
            if path.exists():
                continue
            image = windowed(case, plane(case.image, axis, k))
            objects = propose(network, image, np.random.default_rng((axis, k)))
            count += len(objects)
            draft = path.with_suffix(".new.npz")
            np.savez_compressed(draft, **pack(objects, (image.shape[0], image.shape[1])))
            draft.replace(path)
    return count


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.quality.propose",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("dataset", type=Path, help="folder in the Decathlon layout; labels are not needed")
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER", help="where the files go")
    parser.add_argument("--every", type=int, default=4, metavar="N", help="every n-th slice")
    parser.add_argument("--threads", type=int, default=2, metavar="N", help="cores")
    given = parser.parse_args(arguments)
    try:
        print(f"{run(given.dataset, given.output, given.every, given.threads)} objects in {given.output}")
    except EdgeFlowError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
