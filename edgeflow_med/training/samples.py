"""One training sample: a crop, its target, a starting state and the reader's first prompts.

Three situations are drawn, as they occur in use: a first prompt on an empty slice, the correction of an imperfect mask,
and propagation from the neighbouring slice (whose structure may have ended).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from monai.transforms import (
    Compose,
    RandAdjustContrast,
    RandBiasField,
    RandGaussianNoise,
    RandGaussianSmooth,
    RandHistogramShift,
)
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import find_contours
from torch.utils.data import Dataset

from edgeflow_med.measurements import convex_corners, farthest_pair
from edgeflow_med.predictors.base import Stroke
from edgeflow_med.predictors.crop import Crop, draw_prompts, fill_regions
from edgeflow_med.predictors.strokes import box_stroke, line_stroke
from edgeflow_med.predictors.zoom import ZoomPolicy, exclude
from edgeflow_med.simulation import Scribbles
from edgeflow_med.training.cases import Case, Value, plane
from edgeflow_med.training.superpixels import draw_superpixel
from edgeflow_med.training.synthetic import plant_lesions, repaint
from edgeflow_med.windows import CT_PRESETS

CLICK_SPREAD = 0.1  # of the logarithm of a crop's side where training looks as the predictor does: at a first click,
KNOWN_SPREAD, GUESSED_SPREAD = 0.2, 0.45  # about a known mask, about an own first answer
BEND = 8  # pixels of a crop to one of the noise that bends a mask

Mask = NDArray[np.bool_]
Slice = tuple[Case, int, int]


@dataclass(frozen=True)
class SampleConfig:
    """How samples are drawn; shares are probabilities.

    Attributes:
        size: Side of the crop at the network.
        propagate_share: Samples that start from the neighbouring slice.
        end_share: Of those, steps out of the structure, where the right answer is empty.
        correct_share: Samples that start from a corrupted mask.
        silent_share: Of the corrections, those without any prompt: the image alone tells what is wrong.
        pseudo_share: Samples of a case with class-free objects that use one.
        scribble_share: Readers who scribble; they keep to it, in corrections of the network's answers too.
        region_share: First prompts on an empty slice that are a box or a lasso.
        line_share: First prompts on an empty slice that are a measured line.
        excluded_share: Samples that know of other labelled structures on the slice.
        synthetic_share: Samples whose image is painted anew from labels and tissue classes, in contrasts of no scanner.
        lesion_share: First prompts and corrections that mean a blob painted into the image.
        superpixel_share: First prompts and corrections, of those that mean no such blob, that mean a piece of one grey.
        piece_share: Samples that mean one island of a structure, as a click does; the others mean all on the slice.
        look_share: Samples in a crop that the predictor would choose; the others show the target at a random size.
        extent: Smallest and largest ratio of the target's extent to the crop's side, where that is random.
        weights: Relative weight of data sets that should not count 1.
    """

    size: int = 192
    propagate_share: float = 0.45
    end_share: float = 0.3
    correct_share: float = 0.3
    silent_share: float = 0.4
    pseudo_share: float = 0.25
    scribble_share: float = 0.2
    region_share: float = 0.12
    line_share: float = 0.06
    excluded_share: float = 0.2
    synthetic_share: float = 0.0
    lesion_share: float = 0.0
    superpixel_share: float = 0.0
    piece_share: float = 0.5
    look_share: float = 0.0
    extent: tuple[float, float] = (0.12, 0.85)
    weights: dict[str, float] = field(default_factory=dict)


def boundary(mask: Mask, radius: int = 1) -> Mask:
    """Pixels within ``radius`` of the outline on either side: ``(..., H, W)`` bool."""
    outer = ndimage.binary_dilation(mask, iterations=radius)
    return outer & ~ndimage.binary_erosion(mask, iterations=radius, border_value=1)


class Samples(Dataset[dict[str, torch.Tensor]]):
    """An endless-enough stream of samples; sample ``n`` depends on the seed and ``n`` alone.

    Each item holds float32 tensors: ``image (1, S, S)`` in [0, 1], ``target (1, S, S)`` and its outline ``edge``, two
    pixels wide, ``previous (2, S, S)`` mask and edge, ``guidance (2, S, S)`` positive and negative; and ``scribbles``,
    bool, whether the reader scribbles instead of clicking.
    """

    def __init__(self, cases: Sequence[Case], config: SampleConfig, length: int, seed: int) -> None:
        self.config, self.length, self.seed = config, length, seed
        self.slices: dict[str, list[Slice]] = {}
        for case in cases:
            for axis in case.axes:
                labelled = {int(k) for slices in case.presence[axis].values() for k in slices}
                labelled |= {k for a, k in case.objects if a == axis}
                self.slices.setdefault(case.dataset, []).extend((case, axis, k) for k in sorted(labelled))
        self.slices = {name: slices for name, slices in self.slices.items() if slices}
        self.names = sorted(self.slices)
        weights = np.array([config.weights.get(name, 1.0) for name in self.names])
        self.probabilities = weights / weights.sum()
        self.augment = Compose(
            [
                RandBiasField(prob=0.2, coeff_range=(0.0, 0.3)),
                RandAdjustContrast(prob=0.4, gamma=(0.6, 1.7)),
                RandHistogramShift(prob=0.15, num_control_points=6),
                RandGaussianSmooth(sigma_x=(0.3, 1.2), sigma_y=(0.3, 1.2), prob=0.15),
                RandGaussianNoise(prob=0.3, std=0.05),
            ]
        )

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, n: int) -> dict[str, torch.Tensor]:
        rng = np.random.default_rng((self.seed, n))
        self.augment.set_random_state(seed=int(rng.integers(2**31)))
        while (sample := self._draw(rng)) is None:
            pass
        return sample

    def _draw(self, rng: np.random.Generator) -> dict[str, torch.Tensor] | None:
        name = self.names[rng.choice(len(self.names), p=self.probabilities)]
        case, axis, k = self.slices[name][rng.integers(len(self.slices[name]))]
        scene = pick_scene(case, axis, k, self.config, rng)
        target, neighbour = scene.target, scene.neighbour
        seen = target if target.any() else neighbour
        if seen is None or seen.sum() < 12:
            return None
        corrects = neighbour is None and rng.random() < self.config.correct_share
        known = corrects or neighbour is not None
        crop = draw_crop(seen, plane_spacing(case, axis), self.config, rng, known=known)
        picture = self.picture(case, axis, scene.number, crop, rng)
        turn = int(rng.integers(8))
        patch = np.stack([orient(channel, turn) for channel in picture])
        wanted = orient(crop.extract(target) >= 0.5, turn)
        others = orient(crop.extract((plane(case.labels, axis, scene.number) > 0) & ~target) >= 0.5, turn) & ~wanted
        if rng.random() < self.config.synthetic_share:
            patch = repaint(patch[0], (wanted, others), rng)[None]
        planted = neighbour is None and rng.random() < self.config.lesion_share and plant_lesions(patch[0], rng)
        if planted:
            patch, wanted, others = planted[0][None], planted[1], others & ~planted[1]
        elif neighbour is None and rng.random() < self.config.superpixel_share:
            found = draw_superpixel(patch[0], rng)
            if found is not None:
                wanted, others = found, others & ~found
        patch = np.asarray(self.augment(patch)).clip(0, 1)
        previous = np.zeros((2, *wanted.shape), np.float32)
        strokes: list[Stroke] = []
        scribbles = bool(rng.random() < self.config.scribble_share)
        if neighbour is not None:
            previous = state_of(corrupt(orient(crop.extract(neighbour) >= 0.5, turn), rng, mild=True), rng)
        elif corrects:
            previous = state_of(corrupt(wanted, rng, mild=False), rng)
        alone = neighbour is not None or (previous.any() and rng.random() < self.config.silent_share)
        if not alone or rng.random() < 0.1:
            strokes = first_prompts(wanted, previous[0] >= 0.5, scribbles, self.config, rng)
        identity = Crop.whole(wanted.shape)
        if not previous.any():
            previous[0] = fill_regions(strokes, identity)
        guidance = draw_prompts(strokes, identity)
        if rng.random() < self.config.excluded_share:
            exclude(guidance, others)
        return {
            "image": torch.from_numpy(np.ascontiguousarray(patch, np.float32)),
            "target": torch.from_numpy(wanted[None].astype(np.float32)),
            "edge": torch.from_numpy(boundary(wanted)[None].astype(np.float32)),
            "previous": torch.from_numpy(previous),
            "guidance": torch.from_numpy(guidance),
            "scribbles": torch.tensor(scribbles),
        }

    def picture(self, case: Case, axis: int, number: int, crop: Crop, rng: np.random.Generator) -> NDArray[np.float32]:
        """What the network sees of slice ``number``: windowed crop ``(1, S, S)`` in [0, 1]."""
        return crop.extract_region(window_slice(case, plane(case.image, axis, number)[crop.region], rng))[None]


def plane_spacing(case: Case, axis: int) -> tuple[float, float]:
    """Millimetres between rows and columns of a slice across ``axis``."""
    first, second = (s for a, s in enumerate(case.spacing) if a != axis)
    return first, second


class Scene(NamedTuple):
    """What is to be outlined: the slice's number, the target on it, and for propagation the mask on a slice nearby."""

    number: int
    target: Mask
    neighbour: Mask | None = None


def pick_scene(case: Case, axis: int, k: int, config: SampleConfig, rng: np.random.Generator) -> Scene:
    """A structure on slice ``k`` or, for propagation, a step of one or two slices nearby, also out of the structure."""
    objects = case.objects.get((axis, k))
    labels = plane(case.labels, axis, k)
    values = [value for value, slices in case.presence[axis].items() if k in slices]
    if objects and (len(values) == 0 or rng.random() < config.pseudo_share):
        return Scene(k, objects[rng.integers(len(objects))])
    value = values[rng.integers(len(values))]
    if rng.random() < config.propagate_share:
        scene = _pick_step(case, value, axis, k, config, rng)
        if scene is not None:
            return scene
    mask = labels == value
    if rng.random() < config.piece_share:
        parts, count = ndimage.label(mask, np.ones((3, 3)))
        if count > 1:
            mask = parts == rng.integers(1, count + 1)
    return Scene(k, mask)


def _pick_step(
    case: Case, value: int, axis: int, k: int, config: SampleConfig, rng: np.random.Generator
) -> Scene | None:
    """A step from one slice of a structure to another, or out of the structure; None at the end of the volume."""
    step = int(rng.choice([1, 1, 2, 3, 4])) * int(rng.choice([-1, 1]))  # far steps, or copying would do
    target = k
    if rng.random() < config.end_share:  # a structure has many slices and two ends: those must be looked for
        filled = case.presence[axis][value]
        target = int(filled[-1] + abs(step) if step > 0 else filled[0] - abs(step))
        step = -step
    if not (0 <= target < case.labels.shape[axis] and 0 <= target + step < case.labels.shape[axis]):
        return None
    neighbour = plane(case.labels, axis, target + step) == value
    return Scene(target, plane(case.labels, axis, target) == value, neighbour) if neighbour.any() else None


def draw_crop(
    mask: Mask, spacing: tuple[float, float], config: SampleConfig, rng: np.random.Generator, *, known: bool
) -> Crop:
    """Where the network looks: as the predictor would (``config.look_share``), or so that sizes are log-uniform.

    The predictor looks in pixels of the scan about a first click, from which a network can learn how large things are;
    then about its own answer, which may be far too large or too small; and, where it knows a mask, about that.

    Args:
        mask: The target, or on a slice without it the neighbour's.
        spacing: Millimetres between rows and columns.
        config: Size of the crop, and how it is chosen.
        rng: Where chance comes from.
        known: Whether the predictor has a mask, a neighbour's or one to correct.
    """
    policy, finest = ZoomPolicy(), min(spacing)
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    middle = ((rows[0] + rows[-1]) / 2, (columns[0] + columns[-1]) / 2)
    longer = max((rows[-1] - rows[0] + 1) * spacing[0], (columns[-1] - columns[0] + 1) * spacing[1]) / finest
    whole = max(mask.shape[0] * spacing[0], mask.shape[1] * spacing[1]) / finest
    if rng.random() >= config.look_share:
        low, high = np.log(config.extent)
        side = float(np.clip(longer / np.exp(rng.uniform(low, high)), 24, 1.15 * whole))
        slack = max(0.0, side - longer) * 0.5 + 0.1 * longer
    elif known or rng.random() < 0.5:
        off = rng.normal(0, KNOWN_SPREAD if known else GUESSED_SPREAD)
        side = float(np.clip(longer * policy.expansion * np.exp(off), policy.smallest_side, whole))
        slack = 0.1 * longer
    else:
        side = min(policy.first_side * float(np.exp(rng.normal(0, CLICK_SPREAD))), whole)
        middle, slack = draw_point(mask, rng), 0.0
    shift = rng.uniform(-slack, slack, 2) * finest / np.asarray(spacing)
    return Crop.around((middle[0] + shift[0], middle[1] + shift[1]), side, config.size, mask.shape, spacing)


def window_slice(case: Case, values: NDArray[np.generic], rng: np.random.Generator) -> NDArray[np.float32]:
    """Windowed to [0, 1], the window jittered; for HU it is drawn around a preset."""
    if case.hounsfield:
        preset = (
            CT_PRESETS["soft-tissue"]
            if rng.random() < 0.6
            else list(CT_PRESETS.values())[rng.integers(len(CT_PRESETS))]
        )
        low, high = preset.low, preset.high
    elif case.image.dtype == np.uint8:
        low, high = 0.0, 255.0
    else:
        low, high = case.window.low, case.window.high
    spread = high - low
    low += spread * rng.normal(0, 0.05)
    high += spread * rng.normal(0, 0.1)
    return np.clip((values.astype(np.float32) - low) / max(high - low, 0.2 * spread), 0, 1).astype(np.float32)


def orient(image: NDArray[Value], turn: int) -> NDArray[Value]:
    """One of the eight flips and quarter turns of a square."""
    image = np.rot90(image, turn % 4)
    return image[:, ::-1] if turn >= 4 else image


def corrupt(mask: Mask, rng: np.random.Generator, *, mild: bool) -> Mask:
    """A mask as a neighbour's or an imperfect answer: shifted, bent, grown or shrunk, parts missing or added."""
    size = mask.shape[0]
    extent = max(4.0, float(np.sqrt(mask.sum())))
    strength = (0.06 if mild else 0.12) * extent
    rough = rng.normal(size=(2, size // BEND, size // BEND))  # smooth is smooth on every BENDth pixel too
    noise = ndimage.gaussian_filter(rough, (0, size / 12 / BEND, size / 12 / BEND))
    noise = ndimage.zoom(noise, (1, size / (size // BEND), size / (size // BEND)), order=1)
    noise *= strength / (np.abs(noise).max() + 1e-6)
    shift = rng.normal(0, 0.4 * strength, 2)
    grid = np.mgrid[:size, :size].astype(np.float64) + noise + shift[:, None, None]
    bent = ndimage.map_coordinates(mask.astype(np.float32), grid, order=1) >= 0.5
    if rng.random() < (0.3 if mild else 0.6):
        distance = ndimage.distance_transform_edt(bent) - ndimage.distance_transform_edt(~bent)
        bent = distance > rng.normal(0, 0.7 * strength)
    if not mild:
        for _ in range(int(rng.integers(0, 3))):
            bent = _toggle_blob(bent, mask, extent, rng)
    return bent


def _toggle_blob(mask: Mask, near: Mask, extent: float, rng: np.random.Generator) -> Mask:
    """Cut a disk out of the mask or add one to it, centred near the outline."""
    candidates = np.argwhere(boundary(near, 2))
    if len(candidates) == 0:
        return mask
    row, column = candidates[rng.integers(len(candidates))]
    rows, columns = np.ogrid[: mask.shape[0], : mask.shape[1]]
    radius = extent * rng.uniform(0.1, 0.4)
    disk = (rows - row) ** 2 + (columns - column) ** 2 <= radius**2
    return mask & ~disk if rng.random() < 0.5 else mask | disk


def state_of(mask: Mask, rng: np.random.Generator) -> NDArray[np.float32]:
    """A mask as the network would have answered it: soft probability and edge, ``(2, S, S)``."""
    blur = rng.uniform(0.5, 3.0)
    probability = ndimage.gaussian_filter(mask.astype(np.float32), blur)
    edge = ndimage.gaussian_filter(boundary(mask).astype(np.float32), 0.6) * rng.uniform(0.5, 1.0)
    return np.stack([probability, edge]).astype(np.float32)


def first_prompts(
    wanted: Mask, current: Mask, scribbles: bool, config: SampleConfig, rng: np.random.Generator
) -> list[Stroke]:
    """What a reader would give first: on an empty slice inside the target, else where the mask is wrong."""
    if wanted.any() and not current.any():
        kind = rng.random()
        if kind < config.region_share:
            return [draw_box(wanted, rng) if rng.random() < 0.5 else draw_lasso(wanted, rng)]
        if kind < config.region_share + config.line_share:
            return [draw_line(wanted, rng)]
        region = wanted
        positive = True
    else:
        missing, excess = wanted & ~current, current & ~wanted
        positive = bool(missing.sum() >= excess.sum())
        region = missing if positive else excess
    if not region.any():
        return []
    if scribbles:
        return [draw_scribble(region, positive, rng)]
    strokes = [Stroke((draw_point(region, rng),), positive)]
    if rng.random() < 0.15:
        outside = ndimage.binary_dilation(wanted, iterations=12) & ~ndimage.binary_dilation(wanted, iterations=2)
        if outside.any():
            strokes.append(Stroke((draw_point(outside, rng),), positive=False))
    return strokes


def draw_box(wanted: Mask, rng: np.random.Generator) -> Stroke:
    """The bounding box, each side off by about 5 % of its length."""
    rows, columns = np.flatnonzero(wanted.any(1)), np.flatnonzero(wanted.any(0))
    height, width = rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1
    top, bottom = rows[[0, -1]] + rng.normal(0, 0.05 * height, 2)
    left, right = columns[[0, -1]] + rng.normal(0, 0.05 * width, 2)
    return box_stroke((float(top), float(left)), (float(bottom), float(right)))


def draw_lasso(wanted: Mask, rng: np.random.Generator) -> Stroke:
    """A bent line round the object, at a few per cent of its size from the outline."""
    extent = float(np.sqrt(wanted.sum()))
    outside = np.pad(corrupt(wanted, rng, mild=True) | wanted, 1)
    distance = ndimage.gaussian_filter(ndimage.distance_transform_edt(~outside), 0.03 * extent + 0.5)
    contours = find_contours(np.pad(distance, 1, constant_values=1e3), rng.uniform(0.5, 1 + 0.08 * extent))
    longest = max(contours, key=len)[:: max(1, round(extent / 15))] - 2
    return Stroke(tuple((float(r), float(c)) for r, c in longest), closed=True)


def draw_line(wanted: Mask, rng: np.random.Generator) -> Stroke:
    """The longest diameter of the largest piece, its ends off by a few per cent of its length."""
    pieces, _ = ndimage.label(wanted)
    points = np.argwhere(pieces == np.bincount(pieces[pieces > 0]).argmax()).astype(np.float64)
    ends, length = farthest_pair(convex_corners(points))
    (r0, c0), (r1, c1) = ends + rng.normal(0, 0.03 * length, (2, 2))
    return line_stroke((r0, c0), (r1, c1))


def draw_point(region: Mask, rng: np.random.Generator) -> tuple[float, float]:
    """A pixel drawn from the inner half of a region, half of the time its deepest one."""
    top, left, depths = depths_of(region)
    candidates = np.argwhere(depths >= depths.max() * (0.95 if rng.random() < 0.5 else 0.4))
    row, column = candidates[rng.integers(len(candidates))]
    return float(top + row), float(left + column)


def depths_of(region: Mask) -> tuple[int, int, NDArray[np.float64]]:
    """How far pixels are from the outside: the box that holds a region, its first row and column, and the depths."""
    found = ndimage.find_objects(region.astype(np.uint8))
    if not found:
        return 0, 0, np.zeros((1, 1))
    rows, columns = found[0]
    depths = ndimage.distance_transform_edt(np.pad(region[rows, columns], 1))[1:-1, 1:-1]
    return rows.start, columns.start, depths


def draw_scribble(region: Mask, positive: bool, rng: np.random.Generator) -> Stroke:
    """A stroke through a region: the robot user's along its middle or its rim, or a hasty one between a few points."""
    width = float(rng.uniform(3, 12))
    if rng.random() < 0.6:
        nothing = np.zeros_like(region)
        wrong = (region, nothing) if positive else (nothing, region)
        stroke = Scribbles(int(rng.integers(2**31)), width).next_prompt(*wrong, ())
        if stroke is not None:
            return stroke
    anchors = np.array([draw_point(region, rng) for _ in range(int(rng.integers(2, 5)))])
    ends = np.argwhere(region)
    anchors[-1] = ends[rng.integers(len(ends))]
    dense = np.concatenate([np.linspace(a, b, 12) for a, b in pairwise(anchors)])
    dense = dense + ndimage.gaussian_filter(rng.normal(0, 2.0, dense.shape), (2, 0))
    inside = [
        (float(r), float(c))
        for r, c in dense
        if 0 <= round(r) < region.shape[0] and 0 <= round(c) < region.shape[1] and region[round(r), round(c)]
    ]
    return Stroke(tuple(inside or [draw_point(region, rng)]), positive, width)
