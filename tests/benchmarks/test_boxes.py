import numpy as np
import pytest

from benchmarks.quality.boxes import INTERACTIONS, Boxes
from benchmarks.quality.grids import outline
from edgeflow_med.evaluation.protocol import SliceTask, run_slice
from edgeflow_med.predictors.base import Prediction

TARGET = np.zeros((60, 80), bool)
TARGET[10:30, 20:60] = True  # 20 rows, 40 columns


class FillsTheBox:
    name, version, device = "box", "1", "cpu"

    def predict(self, request):
        mask = np.zeros(request.image.shape, bool)
        (top, left), (bottom, right) = request.strokes[-1].points
        mask[round(top) : round(bottom) + 1, round(left) : round(right) + 1] = True
        return Prediction(mask.astype(np.float32), outline(mask), 1.0)


def test_without_jitter_the_corners_are_the_outermost_pixels():
    box = Boxes(jitter=0).next_prompt(TARGET, ~TARGET, ())
    assert box.points == ((10.0, 20.0), (29.0, 59.0))


@pytest.mark.parametrize("seed", range(20))
def test_jitter_moves_every_side_by_up_to_a_twentieth_of_the_length_across_it(seed):
    box = np.array(Boxes(seed).next_prompt(TARGET, ~TARGET, ()).points)
    moved = np.abs(box - [[10, 20], [29, 59]])
    assert (moved <= [1.0, 2.0]).all()
    assert moved.any()


def test_a_box_stays_on_the_slice():
    full = np.ones((20, 20), bool)
    corners = [Boxes(seed).next_prompt(full, ~full, ()).points for seed in range(20)]
    assert np.min(corners) >= 0
    assert np.max(corners) <= 19


def test_there_is_one_box_and_nothing_after_it():
    robot = Boxes()
    box = robot.next_prompt(TARGET, ~TARGET, ())
    assert robot.next_prompt(TARGET, ~TARGET, (box,)) is None
    assert robot.next_prompt(np.zeros((5, 5), bool), np.zeros((5, 5), bool), ()) is None


def test_a_box_counts_as_two_interactions():
    task = SliceTask(np.zeros((60, 80), np.float32), TARGET, (1.0, 1.0), true_spacing=True)
    record = run_slice(
        FillsTheBox(), task, Boxes(jitter=0), max_prompts=10, names=("set", "case", "target", "box"), cost=INTERACTIONS
    )
    assert record.interactions_to(0.85, 20) == 2
    assert [record.iou_after(n) for n in (1, 2, 5)] == [0.0, 1.0, 1.0]
    assert record.measures[1]["iou"] == 0.0
    assert record.measures[2]["iou"] == 1.0
