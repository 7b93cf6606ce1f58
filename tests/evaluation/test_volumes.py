"""From one slice to the whole object."""

from __future__ import annotations

import numpy as np
import pytest

from edgeflow_med import metrics
from edgeflow_med.evaluation.datasets import read_dataset
from edgeflow_med.evaluation.volumes import (
    ObjectRun,
    accepted_share,
    middle_slice,
    overrun,
    run_object,
    sample_objects,
    volume_summary,
)
from edgeflow_med.predictors.base import Prediction
from edgeflow_med.simulation import Clicks
from tests.region_growing import Follower

NAMES = ("set", "case", "object")


def block(low: int, high: int, count: int = 20) -> np.ndarray:
    mask = np.zeros((count, 30, 30), bool)
    mask[low:high, 8:20, 8:20] = True
    return mask


def start(predictor, target, image=None, *, lesion=False) -> ObjectRun:
    images = (target if image is None else image).astype(np.float32)
    return ObjectRun(predictor, Clicks(), images, target, (1.0, 1.0), lesion=lesion)


def finish(run, start_prompts=3, prompts=10):
    return run_object(run, NAMES, max_start_interactions=start_prompts, max_interactions=prompts)


def test_one_click_and_propagation_outline_a_bright_block(bright):
    record = finish(start(bright, block(5, 14)))
    assert (record.slices, record.start_interactions, record.start_iou) == (9, 1, 1.0)
    assert (record.dice, record.accepted, record.ends) == (1.0, 1.0, [0, 0])
    assert record.dice_by_interactions == [[1, 1.0]]  # nothing is wrong, the robot is silent


def test_a_lesion_is_not_carried_on_where_nothing_shows(bright):
    class Vague(Follower):
        """Finds it where it is clicked on, and elsewhere follows."""

        def predict(self, request):
            return bright.predict(request) if request.strokes else super().predict(request)

    nothing = np.full((40, 30, 30), 0.5)
    nothing[20] = block(20, 21, 40)[20]
    runs = {lesion: start(Vague(), block(15, 26, 40), nothing, lesion=lesion) for lesion in (False, True)}
    over = {lesion: sum(finish(run, prompts=3).ends) for lesion, run in runs.items()}
    assert over[True] < 0.6 * over[False]


def test_overrun_is_measured_and_corrected(bright):
    """The bright block goes on two slices below and one above the object: what is wrong there gets negative clicks."""

    class Obedient(type(bright)):
        def predict(self, request):
            if any(not stroke.positive for stroke in request.strokes):
                nothing = np.zeros(request.image.shape, np.float32)
                return Prediction(nothing, nothing, 0.9)
            return super().predict(request)

    record = finish(start(Obedient(), block(5, 14), image=block(3, 15)))
    assert record.ends == [2, 1]
    assert record.dice == pytest.approx(2 * 9 / (12 + 9))
    # Slices 3, 4 and 14 are equally wrong. 4 is nearest to the middle: emptied, it takes 3 with it; then 14.
    assert record.dice_by_interactions == [[1, record.dice], [2, pytest.approx(2 * 9 / (10 + 9))], [3, 1.0]]


def test_emptied_slice_ends_the_object_on_its_side(bright):
    run = start(bright, block(5, 14), image=block(2, 14))
    run.prompt(9)
    run.carry(9, 9)
    assert set(np.flatnonzero(run.mask.any(axis=(1, 2)))) == set(range(2, 14))
    nothing = np.zeros((30, 30), np.float32)
    run.prompt(4)
    run.answers[4] = Prediction(nothing, nothing, 0.9)
    assert run.carry(4, 9) == 0
    assert set(np.flatnonzero(run.mask.any(axis=(1, 2)))) == set(range(5, 14))


def test_what_the_robot_annotated_beyond_an_end_stands(bright):
    run = start(bright, block(2, 14))
    for number in (9, 3, 5):
        run.prompt(number)
        run.carry(number, 9)
    nothing = np.zeros((30, 30), np.float32)
    run.answers[5] = Prediction(nothing, nothing, 0.9)
    assert run.carry(5, 9) == 0
    assert 3 in run.answers
    assert run.carry(9, 9) > 0  # all that is known can still be told


def test_underrun_slice_is_annotated_and_carried_on(bright):
    """Propagation stops at a dim slice; a click there is answered, and carried on to the end."""

    class Shy(type(bright)):
        def predict(self, request):
            if request.propagated and request.image.max() < 1.0:
                nothing = np.zeros(request.image.shape, np.float32)
                return Prediction(nothing, nothing, 0.9)
            return super().predict(request)

    run = start(Shy(), block(2, 18))
    run.images[13] *= 0.95
    record = finish(run)
    assert record.ends == [0, -5]
    assert record.dice == pytest.approx(2 * 11 / (11 + 16))
    assert record.dice_by_interactions == [[1, record.dice], [2, 1.0]]
    assert sorted(run.talks) == [10, 13]


def test_correction_reaches_to_the_next_annotated_slices(bright):
    run = start(bright, block(0, 20))
    for number in (4, 15):
        run.prompt(number)
        run.carry(number, 4)
    marked = dict(run.answers)
    run.prompt(10)
    run.carry(10, 4)
    renewed = {n for n, answer in run.answers.items() if answer is not marked[n]}
    assert renewed == {5, 6, 7, 8, 9, 11, 12, 13, 14}  # 10 needed no prompt


def test_ends_and_accepted_share_by_hand():
    target, mask = block(5, 15), block(3, 14)
    assert overrun(mask, target) == [2, -1]
    assert overrun(np.zeros_like(target), target) == [-10, -10]
    assert accepted_share(mask, target, middle=10) == pytest.approx(8 / 9)
    mask[7, 8:12] = False  # 96 of 144 pixels: Dice 0.8
    assert accepted_share(mask, target, middle=10) == pytest.approx(7 / 9)
    assert metrics.dice(mask[7], target[7]) == pytest.approx(0.8)


def test_middle_slice_leaves_out_thin_ends():
    target = block(5, 10)
    target[10:16, 10, 10] = True  # one pixel a slice
    assert middle_slice(target) == 7


def test_only_objects_on_enough_slices_are_drawn(two_cases):
    objects = sample_objects(read_dataset(two_cases), 10, seed=0)
    assert [item.id for item in objects] == ["a/label1/piece1", "a/label1/piece2", "b/label2/piece1"]
    assert objects[1].mask.shape == (6, 10, 14)


def test_summary_takes_medians_of_the_ends(bright):
    records = [finish(start(bright, block(5, 14), image=block(5 - n, 14)), prompts=3) for n in (0, 1, 4)]
    figures = volume_summary(records)
    assert figures["objects"] == 3
    assert figures["overrun_median"] == 0.0  # of 0, 0, 1, 0, 4, 0
    assert figures["ends_within_1"] == pytest.approx(5 / 6)
    assert figures["dice@10"] >= figures["dice@3"] >= figures["dice"]
