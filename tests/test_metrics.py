"""Agreement of masks, against figures worked out by hand and against MONAI."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra import numpy as hnp

from edgeflow_med import metrics
from edgeflow_med.errors import GeometryError

EMPTY = np.zeros((6, 8), bool)
MASKS = hnp.arrays(bool, (7, 9))


def block(rows: slice, columns: slice, shape: tuple[int, int] = (6, 8)) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[rows, columns] = True
    return mask


# Two 2 x 3 blocks side by side that share two pixels of six: 2 right, 4 too many, 4 missed, of 48.
TARGET, ANSWER = block(slice(1, 3), slice(1, 4)), block(slice(1, 3), slice(3, 6))


def test_overlaps_and_rates_of_two_blocks():
    assert metrics.count(ANSWER, TARGET) == metrics.Counts(2, 4, 4, 38)
    assert metrics.iou(ANSWER, TARGET) == pytest.approx(2 / 10)
    assert metrics.dice(ANSWER, TARGET) == pytest.approx(4 / 12)
    assert metrics.accuracy(ANSWER, TARGET) == pytest.approx(40 / 48)


def test_precision_and_recall_are_not_mixed_up():
    wide = block(slice(1, 3), slice(1, 7))
    assert metrics.precision(wide, TARGET) == pytest.approx(6 / 12)
    assert metrics.recall(wide, TARGET) == 1.0


def test_accuracy_near_leaves_far_pixels_out():
    target = block(slice(0, 1), slice(0, 1), (1, 40))
    answer = block(slice(0, 1), slice(0, 2), (1, 40))
    answer[0, 30] = True  # 30 pixels away: not seen within 10
    assert metrics.accuracy_near(answer, target, radius=10) == pytest.approx(10 / 11)
    assert metrics.accuracy(answer, target) == pytest.approx(38 / 40)


@pytest.mark.parametrize(
    "measure", [metrics.iou, metrics.dice, metrics.precision, metrics.recall, metrics.accuracy_near]
)
def test_empty_masks_agree_with_empty_masks_only(measure):
    assert measure(EMPTY, EMPTY) == 1.0
    assert measure(TARGET, EMPTY) == 0.0
    if measure is not metrics.accuracy_near:  # an empty answer still leaves the target's surroundings right
        assert measure(EMPTY, TARGET) == 0.0


def test_distances_of_empty_masks():
    assert metrics.hausdorff95(EMPTY, EMPTY) == 0.0
    assert math.isinf(metrics.hausdorff95(EMPTY, TARGET))
    assert math.isinf(metrics.hausdorff95(TARGET, EMPTY))
    assert metrics.surface_dice(EMPTY, EMPTY, 1.0) == 1.0
    assert metrics.surface_dice(TARGET, EMPTY, 1.0) == 0.0


def test_distances_of_shifted_columns():
    """One column of pixels against the same one, three columns to the right."""
    first, second = block(slice(0, 6), slice(1, 2)), block(slice(0, 6), slice(4, 5))
    assert metrics.hausdorff95(first, second) == pytest.approx(3.0)
    assert metrics.hausdorff95(first, second, spacing=(5.0, 0.5)) == pytest.approx(1.5)
    assert metrics.surface_dice(first, second, 2.9) == 0.0
    assert metrics.surface_dice(first, second, 3.0) == 1.0


def test_surface_dice_counts_both_outlines():
    """A 1 x 4 bar against its first three pixels: of 4 + 3 outline pixels one is off by 1."""
    bar, short = block(slice(2, 3), slice(0, 4)), block(slice(2, 3), slice(0, 3))
    assert metrics.surface_dice(short, bar, 0.5) == pytest.approx(6 / 7)


def test_slice_metrics_replaces_an_infinite_distance_by_the_diagonal():
    values = metrics.slice_metrics(EMPTY, TARGET, tolerance=2.0, spacing=(0.5, 0.5))
    assert values["hd95"] == pytest.approx(5.0)  # 6 x 8 pixels of half a millimetre: a 3-4-5 triangle
    assert values["iou"] == values["surface_dice"] == 0.0


def test_bounding_box_is_cut_at_the_border():
    assert metrics.bounding_box(TARGET) == (slice(1, 3), slice(1, 4))
    assert metrics.bounding_box(TARGET, margin=2) == (slice(0, 5), slice(0, 6))
    assert EMPTY[metrics.bounding_box(EMPTY)].size == 0


@pytest.mark.parametrize("other", [np.zeros((6, 7), bool), np.zeros((6, 8), np.uint8)])
def test_masks_that_do_not_fit_are_refused(other):
    with pytest.raises(GeometryError, match="two bool masks of one shape"):
        metrics.iou(TARGET, other)


@settings(deadline=None)
@given(MASKS, MASKS)
def test_laws(answer, target):
    overlap = metrics.iou(answer, target)
    assert overlap == metrics.iou(target, answer)
    assert metrics.dice(answer, target) == pytest.approx(2 * overlap / (1 + overlap))
    assert metrics.hausdorff95(answer, target) == metrics.hausdorff95(target, answer)
    assert metrics.hausdorff95(answer, answer) == 0.0


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.filterwarnings("ignore:.*always_return_as_numpy:FutureWarning")
def test_distances_equal_monai(seed):
    monai = pytest.importorskip("monai.metrics", reason="MONAI is not installed; pip install edgeflow-med[train]")
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(seed)
    answer, target = (rng.random((2, 1, 1, 24, 31)) < 0.05).astype(np.float32)
    spacing = (1.5, 0.7)
    pair = (torch.from_numpy(answer), torch.from_numpy(target))
    distance = monai.compute_hausdorff_distance(*pair, include_background=True, percentile=95, spacing=spacing)
    share = monai.compute_surface_dice(*pair, [2.0], include_background=True, spacing=spacing)
    masks = (answer[0, 0] > 0, target[0, 0] > 0)
    assert metrics.hausdorff95(*masks, spacing) == pytest.approx(distance.item(), rel=1e-5)
    assert metrics.surface_dice(*masks, 2.0, spacing) == pytest.approx(share.item(), rel=1e-5)
