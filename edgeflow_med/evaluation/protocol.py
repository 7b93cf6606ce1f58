"""One target, one robot user: prompts and answers in turn, until it is good enough or the prompts are used up."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from edgeflow_med import metrics
from edgeflow_med.errors import GeometryError
from edgeflow_med.predictors.base import Prediction, Predictor, SliceRequest, Stroke
from edgeflow_med.predictors.obey import enlarged
from edgeflow_med.simulation import RobotUser

MARKS = (1, 2, 3, 5, 10)
"""Numbers of interactions after which all measures are taken."""
STOP_IOU = 0.90
"""A robot stops at this IoU, as in the click literature, though not before ALWAYS interactions."""
ALWAYS = 5
TOLERANCE = 2.0
"""Of the surface Dice: mm, or pixels where the spacing is nominal."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class SliceRecord:
    """What happened on one target, in plain numbers.

    Attributes:
        dataset: Name of the data set.
        case: Name of the case.
        target: Identifies the target within its set.
        robot: Name of the robot user.
        pixels: Area of the target.
        cost: How many interactions the first prompt counts as; each later one counts as one.
        iou: After each prompt.
        quality: What the predictor expected the IoU to be, after each prompt.
        obeyed: Whether each answer agreed with the prompt just given, at all of its points.
        kept: Share of all points given so far that each answer agreed with.
        seconds: What each answer took.
        measures: All measures after 1, 2, 3, 5 and 10 interactions, by that number; where the robot had stopped
            before, those of the last answer, and before the first answer those of an empty one.
    """

    dataset: str
    case: str
    target: str
    robot: str
    pixels: int
    cost: int
    iou: list[float]
    quality: list[float]
    obeyed: list[bool]
    kept: list[float]
    seconds: list[float]
    measures: dict[int, dict[str, float]] = field(default_factory=dict)

    def interactions_to(self, threshold: float, limit: int) -> int:
        """The first interaction that reached an IoU (NoC), ``limit`` if none did."""
        return next((n for n, value in enumerate(self.iou, start=self.cost) if value >= threshold), limit)

    def iou_after(self, interactions: int) -> float:
        """IoU after so many interactions; the last one if the robot had stopped before, 0 before the first answer."""
        answers = min(interactions - self.cost + 1, len(self.iou))
        return self.iou[answers - 1] if answers > 0 else 0.0


@dataclass(frozen=True, eq=False)
class SliceTask:
    """A slice and what is to be outlined on it.

    Attributes:
        image: ``(H, W)`` float32 in [0, 1].
        target: ``(H, W)`` bool.
        spacing: Row and column spacing in mm, true or nominal.
        true_spacing: Measure distances in mm, not in pixels.
    """

    image: NDArray[np.float32]
    target: Mask
    spacing: tuple[float, float]
    true_spacing: bool

    def measure(self, answer: Mask) -> dict[str, float]:
        """All measures of an answer."""
        spacing = self.spacing if self.true_spacing else None
        return metrics.slice_metrics(answer, self.target, tolerance=TOLERANCE, spacing=spacing)


@dataclass(eq=False)
class Dialogue:
    """Prompts and answers on one slice so far; each prompt is answered with all those before it."""

    predictor: Predictor
    task: SliceTask
    strokes: tuple[Stroke, ...] = ()
    answer: Prediction | None = None
    propagated: bool = False
    seconds: list[float] = field(default_factory=list)

    @property
    def mask(self) -> Mask:
        """The present answer; empty before the first."""
        return np.zeros(self.task.target.shape, bool) if self.answer is None else self.answer.mask

    def step(self, robot: RobotUser) -> bool:
        """Let the robot give one prompt and the predictor answer it; False if the robot has nothing to say."""
        stroke = robot.next_prompt(self.task.target, self.mask, self.strokes, self.task.spacing)
        if stroke is None:
            return False
        self.strokes += (stroke,)
        request = SliceRequest(self.task.image, self.task.spacing, self.strokes, self.answer, self.propagated)
        started = time.perf_counter()
        answer = self.predictor.predict(request)
        self.seconds.append(time.perf_counter() - started)
        if answer.probability.shape != self.task.target.shape:
            raise GeometryError(
                f"{self.predictor.name} answered with shape {answer.probability.shape} for an image of shape "
                f"{self.task.target.shape}; a predictor must answer on the grid of the request."
            )
        self.answer, self.propagated = answer, False
        return True


def run_slice(
    predictor: Predictor,
    task: SliceTask,
    robot: RobotUser,
    *,
    max_prompts: int,
    names: tuple[str, str, str, str],
    cost: int = 1,
) -> SliceRecord:
    """Outline one target.

    Args:
        predictor: Answers.
        task: The slice and the target.
        robot: Gives the prompts.
        max_prompts: After so many it gives up.
        names: Data set, case, target and robot, for the record.
        cost: How many interactions the first prompt counts as; each later one counts as one.
    """
    talk = Dialogue(predictor, task)
    record = SliceRecord(*names, int(task.target.sum()), cost, [], [], [], [], talk.seconds)
    record.measures.update({mark: task.measure(talk.mask) for mark in MARKS if mark < cost})
    while len(record.iou) < max_prompts and talk.step(robot):
        mask = talk.mask
        record.iou.append(metrics.iou(mask, task.target))
        record.quality.append(0.0 if talk.answer is None else float(talk.answer.quality))
        record.obeyed.append(agreement(mask, talk.strokes[-1:]) == 1.0)
        record.kept.append(agreement(mask, talk.strokes))
        number = len(record.iou) + cost - 1
        if number in MARKS:
            record.measures[number] = task.measure(mask)
        if number >= ALWAYS and record.iou[-1] >= STOP_IOU:
            break
    last = task.measure(talk.mask)
    record.measures.update({mark: last for mark in MARKS if mark not in record.measures})
    return record


def agreement(mask: Mask, strokes: Sequence[Stroke]) -> float:
    """Share of the strokes' points that a mask agrees with: foreground where positive, background where negative.

    A closed stroke counts as one point; the mask agrees as far as it lies inside.
    """
    agreed = [
        mask[round(row), round(column)] == stroke.positive
        for stroke in strokes
        if not stroke.closed
        for row, column in stroke.points
    ]
    shape = (mask.shape[0], mask.shape[1])
    inside = [np.mean(enlarged(s, shape)[mask]) if mask.any() else 0.0 for s in strokes if s.closed]
    return float(np.mean([*agreed, *inside]))
