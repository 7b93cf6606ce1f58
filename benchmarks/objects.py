"""Objects in their scans, annotated by a robot user: what the benchmarks of propagation start from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeflow_med import metrics
from edgeflow_med.evaluation.datasets import DataSet, evaluation_window, read_image
from edgeflow_med.evaluation.protocol import STOP_IOU, Dialogue, SliceTask
from edgeflow_med.evaluation.volumes import ObjectTarget
from edgeflow_med.predictors.base import Prediction, Predictor
from edgeflow_med.propagation import SliceStep, propagate
from edgeflow_med.simulation import Clicks
from edgeflow_med.terminology import names_lesion

Mask = NDArray[np.bool_]
CLICKS = 3


@dataclass(frozen=True, eq=False)
class Object:
    """An object in its scan: ``images`` and ``truth`` are ``(K, H, W)``, spacings in mm; ``lesion`` by its name."""

    dataset: str
    name: str
    images: NDArray[np.float32]
    truth: Mask
    spacing: tuple[float, float]
    thickness: float
    lesion: bool

    @classmethod
    def read(cls, dataset: DataSet, target: ObjectTarget) -> Object:
        """Read the scan of a target."""
        volume = read_image(dataset, next(case for case in dataset.cases if case.name == target.case))
        truth = np.zeros(volume.shape, bool)
        truth[target.box] = target.mask
        images = evaluation_window(volume).apply(volume.array)
        lesion = names_lesion(dataset.labels.get(target.label, ""))
        return cls(dataset.name, target.id, images, truth, volume.spacing[1:], volume.spacing[0], lesion)

    def annotate(self, predictor: Predictor, index: int) -> Prediction:
        """What the robot and the predictor make of a slice."""
        task = SliceTask(self.images[index], self.truth[index], self.spacing, true_spacing=True)
        talk = Dialogue(predictor, task)
        for _ in range(CLICKS):
            if not talk.step(Clicks()) or metrics.iou(talk.mask, task.target) >= STOP_IOU:
                break
        assert talk.answer is not None  # on a slice of the object the robot has something to say
        return talk.answer

    def propagate(self, predictor: Predictor, known: dict[int, Prediction], **options: Any) -> dict[int, SliceStep]:
        """The last step on each slice that got an answer."""
        steps = self.steps(predictor, known, **options)
        return {step.index: step for step in steps if step.prediction is not None}

    def steps(self, predictor: Predictor, known: dict[int, Prediction], **options: Any) -> Iterator[SliceStep]:
        """Each step of propagation; ``options`` as in :func:`edgeflow_med.propagation.propagate`."""
        scale = {"spacing": self.spacing, "thickness": self.thickness, "lesion": self.lesion}
        return propagate(predictor, self.images.__getitem__, len(self.images), known, **(scale | options))

    def dices(self, masks: dict[int, Mask]) -> dict[int, float]:
        """Dice by slice."""
        return {n: metrics.dice(mask, self.truth[n]) for n, mask in masks.items()}

    def volume(self, masks: dict[int, Mask]) -> Mask:
        """Masks by slice -> ``(K, H, W)``."""
        whole = np.zeros_like(self.truth)
        for index, mask in masks.items():
            whole[index] = mask
        return whole


def contour_interpolation(low: int, one: Mask, high: int, other: Mask) -> dict[int, Mask]:
    """ITK's morphological contour interpolation of the slices between two."""
    import itk

    stack = np.zeros((high - low + 1, *one.shape), np.uint8)
    stack[0], stack[-1] = one, other
    filled = itk.morphological_contour_interpolator(itk.image_from_array(stack), axis=2, label=1)
    return {low + n: mask for n, mask in enumerate(itk.array_from_image(filled) > 0) if low < low + n < high}
