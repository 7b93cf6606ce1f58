"""One target, one robot: what is recorded, against answers written by hand."""

from __future__ import annotations

import numpy as np
import pytest

from edgeflow_med import metrics
from edgeflow_med.errors import GeometryError
from edgeflow_med.evaluation.protocol import MARKS, SliceTask, agreement, run_slice
from edgeflow_med.predictors.base import Prediction, Stroke
from edgeflow_med.predictors.strokes import box_corners, box_stroke
from edgeflow_med.simulation import Boxes, Clicks

TARGET = np.zeros((30, 30), bool)
TARGET[5:15, 5:25] = True  # 200 pixels
TASK = SliceTask(TARGET.astype(np.float32), TARGET, (1.0, 1.0), True)
NAMES = ("set", "case", "target", "clicks")


class Scripted:
    """Answers with so many columns of the target, one number after the other, the last one for ever."""

    name, version, device = "scripted", "1", "cpu"

    def __init__(self, *columns):
        self.columns, self.requests = list(columns), []

    def predict(self, request):
        self.requests.append(request)
        wide = self.columns.pop(0) if len(self.columns) > 1 else self.columns[0]
        mask = np.zeros(TARGET.shape, np.float32)
        mask[5:15, 5 : 5 + wide] = 1.0
        return Prediction(mask, mask, 0.5)


def run(*columns, max_prompts=20, cost=1):
    predictor = Scripted(*columns)
    return run_slice(predictor, TASK, Clicks(), max_prompts=max_prompts, names=NAMES, cost=cost), predictor


def test_interactions_to_reach_a_threshold():
    record, _ = run(8, 16, 17, 18, 18, 18)
    assert record.iou == pytest.approx([0.40, 0.80, 0.85, 0.90, 0.90])
    assert [record.interactions_to(t, 20) for t in (0.8, 0.85, 0.9, 0.95)] == [2, 3, 4, 20]


def test_never_stops_before_five_interactions():
    record, _ = run(19, 19, 19, 19, 19, 20)
    assert len(record.iou) == 5


def test_gives_up_at_the_limit():
    record, _ = run(4, max_prompts=7)
    assert len(record.iou) == len(record.seconds) == 7
    assert record.interactions_to(0.85, 7) == 7


def test_stops_when_nothing_is_wrong():
    record, _ = run(10, 20)
    assert record.iou == [0.5, 1.0]
    assert record.iou_after(1) == 0.5
    assert record.iou_after(10) == 1.0  # the last answer stands
    assert record.measures[10]["dice"] == 1.0


def test_all_measures_at_every_mark():
    record, _ = run(10, 12, 14, 16, 18)
    assert set(record.measures) == set(MARKS)
    assert record.measures[3] == pytest.approx(
        metrics.slice_metrics(TARGET & (np.arange(30) < 19), TARGET, tolerance=2.0, spacing=(1.0, 1.0))
    )


def test_requests_carry_all_strokes_and_the_previous_answer():
    _, predictor = run(4, 8, 20)
    assert [len(r.strokes) for r in predictor.requests] == [1, 2, 3]
    assert predictor.requests[0].previous is None
    assert predictor.requests[2].previous.mask.sum() == 80
    assert not any(r.propagated for r in predictor.requests)


def test_obeyed_and_kept():
    """Clicks at columns 9 and 13: the first answer reaches column 8, the second column 12."""
    record, predictor = run(4, 8, 20)
    assert predictor.requests[0].strokes[0].points == ((9.0, 9.0),)
    assert record.obeyed == [False, False, True]
    assert record.kept == [0.0, 0.5, 1.0]


def test_a_first_prompt_that_counts_twice():
    record, _ = run(10, 17, 20, cost=2)
    assert record.interactions_to(0.85, 20) == 3
    assert [record.iou_after(n) for n in (1, 2, 3, 4, 5)] == pytest.approx([0, 0.5, 0.85, 1, 1])
    assert [record.measures[n]["iou"] for n in MARKS] == pytest.approx([0, 0.5, 0.85, 1, 1])


def test_a_box_counts_as_two_interactions_and_a_click_after_it_as_one():
    class FillsTheBox(Scripted):
        """Its left half, then all of it."""

        def predict(self, request):
            super().predict(request)
            (top, left), (bottom, right) = (np.rint(corner).astype(int) for corner in box_corners(request.strokes[0]))
            mask = np.zeros(TARGET.shape, np.float32)
            mask[top : bottom + 1, left : right + 1 if request.previous else (left + right + 1) // 2] = 1.0
            return Prediction(mask, mask, 0.5)

    record = run_slice(FillsTheBox(0), TASK, Boxes(jitter=0), max_prompts=19, names=NAMES, cost=2)
    assert record.iou == [0.5, 1.0]
    assert record.interactions_to(0.85, 20) == 3
    assert [record.iou_after(n) for n in (1, 2, 3, 5)] == [0.0, 0.5, 1.0, 1.0]
    assert record.obeyed == [True, True]


def test_agreement_counts_points():
    mask = np.zeros((4, 4), bool)
    mask[:, :2] = True
    scribble = Stroke(((0, 0), (0, 1), (0, 2), (0, 3)))
    assert agreement(mask, [scribble]) == 0.5
    assert agreement(mask, [Stroke(((1, 3),), positive=False)]) == 1.0


def test_agreement_with_a_box_is_the_share_of_the_mask_inside():
    """A box is obeyed within the pixel or the tenth of its size by which hands miss."""
    mask = np.zeros((60, 60), bool)
    mask[10:30, 10:30] = True
    assert agreement(mask, [box_stroke((10, 10), (29, 29))]) == 1.0
    assert agreement(mask, [box_stroke((10, 10), (29, 18))]) == pytest.approx(0.5, abs=0.02)
    assert agreement(np.zeros((60, 60), bool), [box_stroke((10, 10), (29, 29))]) == 0.0


def test_answer_of_another_shape_is_refused():
    class Wrong(Scripted):
        def predict(self, request):
            super().predict(request)
            return Prediction(np.zeros((5, 5), np.float32), np.zeros((5, 5), np.float32), 0.0)

    with pytest.raises(GeometryError, match="must answer on the grid of the request"):
        run_slice(Wrong(1), TASK, Clicks(), max_prompts=3, names=NAMES)
