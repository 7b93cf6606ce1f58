"""From one annotated slice to the whole object: propagation, then corrections of the worst slice.

1. The robot annotates the object's middle slice with a few prompts.
2. The answer is propagated both ways, as a lesion's where the data set's name for the structure is one of a lesion.
   What is found here: the 3-D Dice, the share of the object's other slices that could be accepted unmodified, and by
   how many slices the answer runs over or under the object's two ends.
3. The robot gives one more prompt on the slice with most wrong pixels; the new answer replaces that slice and is
   propagated again, both ways, up to the next slices that the robot has annotated (where it is blended with what comes
   from them). Corrected to nothing, a slice becomes an end of the object: it and all beyond it, seen from the middle,
   are emptied.
4. Again from 3, until nothing is wrong or the prompts are used up. This gives the Dice against the number of prompts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from edgeflow_med import metrics
from edgeflow_med.evaluation.datasets import DataSet, read_labels
from edgeflow_med.evaluation.protocol import STOP_IOU, Dialogue, SliceTask
from edgeflow_med.evaluation.summary import Figures
from edgeflow_med.evaluation.targets import MIN_PIXELS, pieces, take_turns
from edgeflow_med.predictors.base import Prediction, Predictor
from edgeflow_med.propagation import propagate, touched
from edgeflow_med.simulation import RobotUser

Mask = NDArray[np.bool_]
MIN_SLICES = 5
"""Objects on fewer slices are not propagated: there is nothing to gain."""
ACCEPTED_DICE = 0.9
"""A propagated slice with this Dice counts as accepted unmodified."""
OBJECT_MARKS = (3, 5, 10)


@dataclass(frozen=True, eq=False)
class ObjectTarget:
    """One connected piece of a labelled structure.

    Attributes:
        dataset: Name of the data set.
        case: Name of the case.
        label: Its label value.
        piece: Its number among the connected pieces of the label, from 1 in scan order.
        box: Where ``mask`` lies in the volume.
        mask: Its voxels, cut to ``box``.
    """

    dataset: str
    case: str
    label: int
    piece: int
    box: tuple[slice, ...]
    mask: Mask

    @property
    def id(self) -> str:
        """Identifies the object within its data set."""
        return f"{self.case}/label{self.label}/piece{self.piece}"


@dataclass(frozen=True)
class VolumeRecord:
    """What happened on one object, in plain numbers.

    Attributes:
        dataset: Name of the data set.
        case: Name of the case.
        target: Identifies the object within its set.
        slices: On how many slices it lies.
        start_interactions: Prompts given on the middle slice.
        start_iou: IoU there before propagation.
        dice: 3-D Dice after propagation.
        accepted: Share of the object's other slices with Dice at least 0.9 after propagation.
        ends: Slices by which the answer runs over the object's lower and upper end (under it where negative).
        dice_by_interactions: Number of prompts in all and the 3-D Dice then, from the first propagation on.
        seconds_per_slice: Time of the first propagation by the slices that it answered; 0 if it answered none.
    """

    dataset: str
    case: str
    target: str
    slices: int
    start_interactions: int
    start_iou: float
    dice: float
    accepted: float
    ends: list[int]
    dice_by_interactions: list[list[float]]
    seconds_per_slice: float

    def dice_after(self, interactions: int) -> float:
        """3-D Dice after so many prompts, the last one reached by then."""
        reached = max(interactions, self.start_interactions)
        return [dice for number, dice in self.dice_by_interactions if number <= reached][-1]


def sample_objects(
    dataset: DataSet, count: int, seed: int, accept: Callable[[str], bool] | None = None
) -> list[ObjectTarget]:
    """Draw objects on at least :data:`MIN_SLICES` slices so that every structure, then every case, is seen evenly.

    Arguments as in :func:`edgeflow_med.evaluation.targets.sample_targets`.
    """
    rng = np.random.default_rng([seed, 3, *dataset.name.encode()])
    cases = [case for case in dataset.cases if accept is None or accept(case.name)]
    pools: dict[int, list[list[ObjectTarget]]] = {}
    for index in rng.permutation(len(cases))[:count]:
        labels = read_labels(cases[index])
        if labels.shape[0] < MIN_SLICES:
            continue
        for value in sorted(set(np.unique(labels).tolist()) - {0}):
            numbers, _ = pieces(labels == value)
            found = []
            for piece, box in enumerate(ndimage.find_objects(numbers), start=1):
                mask = numbers[box] == piece
                if int((mask.sum(axis=(1, 2)) >= MIN_PIXELS).sum()) >= MIN_SLICES:
                    found.append(ObjectTarget(dataset.name, cases[index].name, value, piece, box, mask))
            if found:
                pools.setdefault(value, []).append([found[n] for n in rng.permutation(len(found))])
    drawn = take_turns([pools[value] for value in sorted(pools)], count)
    return sorted(drawn, key=lambda target: (target.case, target.label, target.piece))


@dataclass(eq=False)
class ObjectRun:
    """The state of one object's outlining.

    Attributes:
        predictor: Answers.
        robot: Gives the prompts.
        images: ``(K, H, W)`` float32 in [0, 1].
        target: ``(K, H, W)`` bool.
        spacing: Row and column spacing in mm.
        thickness: Distance between slices in mm.
        lesion: The reader knows that it is one, see :func:`edgeflow_med.propagation.walk`.
        answers: The present answer by slice; slices without one are empty.
        talks: The prompts and answers on the slices that the robot has annotated.
    """

    predictor: Predictor
    robot: RobotUser
    images: NDArray[np.float32]
    target: Mask
    spacing: tuple[float, float]
    thickness: float = 1.0
    lesion: bool = False
    answers: dict[int, Prediction] = field(default_factory=dict)
    talks: dict[int, Dialogue] = field(default_factory=dict)

    @property
    def mask(self) -> Mask:
        """The present answer ``(K, H, W)``."""
        mask = np.zeros(self.target.shape, bool)
        for number, answer in self.answers.items():
            mask[number] = answer.mask
        return mask

    def prompt(self, number: int) -> bool:
        """One prompt on a slice; False if the robot has nothing to say there."""
        if number not in self.talks:
            task = SliceTask(self.images[number], self.target[number], self.spacing, true_spacing=True)
            self.talks[number] = Dialogue(self.predictor, task, answer=self.answers.get(number))
        if not self.talks[number].step(self.robot):
            return False
        answer = self.talks[number].answer
        assert answer is not None  # a step that was answered leaves one
        self.answers[number] = answer
        return True

    def carry(self, number: int, middle: int) -> int:
        """Propagate from an annotated slice up to the next annotated ones; how many slices were answered."""
        known = {other: self.answers[other] for other in self.talks}
        if not known[number].mask.any():  # an end of the object
            beyond = range(number) if number < middle else range(number + 1, len(self.images))
            for other in beyond if number != middle else ():
                if other not in self.talks:  # what the robot annotated stands
                    self.answers.pop(other, None)
            return 0
        for gap in touched(len(self.images), known, [number]):
            for other in gap:
                self.answers.pop(other, None)
        steps = propagate(
            self.predictor,
            self.images.__getitem__,
            len(self.images),
            known,
            starts=[number],
            spacing=self.spacing,
            thickness=self.thickness,
            lesion=self.lesion,
        )
        reached = {step.index: step.prediction for step in steps if step.prediction is not None}
        self.answers |= reached
        return len(reached)

    def worst(self, middle: int) -> int:
        """The slice with most wrong pixels; of equally wrong ones the nearest to the middle."""
        wrong = (self.mask != self.target).sum(axis=(1, 2))
        return min(range(len(wrong)), key=lambda number: (-wrong[number], abs(number - middle)))


def run_object(
    run: ObjectRun, names: tuple[str, str, str], *, max_start_interactions: int, max_interactions: int
) -> VolumeRecord:
    """Outline one object.

    Args:
        run: The object, the robot and the predictor, nothing answered yet.
        names: Data set, case and target, for the record.
        max_start_interactions: Prompts on the middle slice; fewer if its IoU reaches 0.9 before.
        max_interactions: Prompts in all.
    """
    middle = middle_slice(run.target)
    start = 0
    while start < max_start_interactions and run.prompt(middle):
        start += 1
        if metrics.iou(run.answers[middle].mask, run.target[middle]) >= STOP_IOU:
            break
    start_iou = metrics.iou(run.answers[middle].mask, run.target[middle])
    started = time.perf_counter()
    reached = run.carry(middle, middle)
    seconds = time.perf_counter() - started
    mask = run.mask
    record = VolumeRecord(
        *names,
        slices=int(run.target.any(axis=(1, 2)).sum()),
        start_interactions=start,
        start_iou=start_iou,
        dice=metrics.dice(mask, run.target),
        accepted=accepted_share(mask, run.target, middle),
        ends=overrun(mask, run.target),
        dice_by_interactions=[[start, metrics.dice(mask, run.target)]],
        seconds_per_slice=seconds / reached if reached else 0.0,
    )
    for number in range(start + 1, max_interactions + 1):
        worst = run.worst(middle)
        if not run.prompt(worst):
            break
        run.carry(worst, middle)
        record.dice_by_interactions.append([number, metrics.dice(run.mask, run.target)])
    return record


def middle_slice(target: Mask) -> int:
    """The middle one of the slices on which the object has at least :data:`MIN_PIXELS` pixels."""
    large = np.flatnonzero(target.sum(axis=(1, 2)) >= MIN_PIXELS)
    return int(large[len(large) // 2])


def accepted_share(mask: Mask, target: Mask, middle: int) -> float:
    """Share of the object's slices other than ``middle`` whose Dice is at least :data:`ACCEPTED_DICE`."""
    others = [n for n in np.flatnonzero(target.any(axis=(1, 2))).tolist() if n != middle]
    return float(np.mean([metrics.dice(mask[n], target[n]) >= ACCEPTED_DICE for n in others]))


def overrun(mask: Mask, target: Mask) -> list[int]:
    """Slices by which a mask runs over the target's lower and upper end; negative where it ends before.

    A mask that is empty everywhere runs under both ends by all slices.
    """
    true, answered = (np.flatnonzero(m.any(axis=(1, 2))) for m in (target, mask))
    if answered.size == 0:
        return [-int(true.size), -int(true.size)]
    return [int(true[0] - answered[0]), int(answered[-1] - true[-1])]


def volume_summary(records: Sequence[VolumeRecord]) -> Figures:
    """Figures over objects: means, but medians of the overrun and of the time."""
    ends = np.array([end for record in records for end in record.ends])
    figures: Figures = {
        "objects": len(records),
        "start_interactions": float(np.mean([r.start_interactions for r in records])),
        "start_iou": float(np.mean([r.start_iou for r in records])),
        "dice": float(np.mean([r.dice for r in records])),
        "accepted": float(np.mean([r.accepted for r in records])),
        "overrun_median": float(np.median(np.maximum(ends, 0))),
        "underrun_median": float(np.median(np.maximum(-ends, 0))),
        "ends_within_1": float(np.mean(np.abs(ends) <= 1)),
        "seconds_per_slice": float(np.median([r.seconds_per_slice for r in records])),
    }
    for mark in OBJECT_MARKS:
        figures[f"dice@{mark}"] = float(np.mean([r.dice_after(mark) for r in records]))
    return figures
