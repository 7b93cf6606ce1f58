"""What every method drew on every target after one and after three interactions, for the pictures."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.field.plan import LOOK_MARKS, Folder, Plan
from benchmarks.field.processes import processor_time
from benchmarks.quality.run import Method
from edgeflow_med.evaluation.datasets import evaluation_window, read_dataset, read_image
from edgeflow_med.evaluation.protocol import Dialogue, SliceTask
from edgeflow_med.evaluation.run import robot_seed
from edgeflow_med.evaluation.targets import sample_targets
from edgeflow_med.predictors.base import Prediction, Predictor, SliceRequest
from edgeflow_med.predictors.seeds import certain


class Memory:
    """A predictor that remembers the masks of its first few answers on a slice, and what each answer cost.

    Robots are deterministic: asked by the same one again, it has the masks without computing them.

    Attributes:
        cost: Processor seconds of each answer, and whether it was the first on its slice.
    """

    def __init__(self, predictor: Predictor) -> None:
        self.name, self.version, self.device = predictor.name, predictor.version, predictor.device
        self._predictor = predictor
        self._masks: dict[bytes, NDArray[np.uint8]] = {}
        self.cost: list[tuple[bool, float]] = []

    def predict(self, request: SliceRequest) -> Prediction:
        """Answer one request, and remember."""
        with processor_time() as work:
            answer = self._predictor.predict(request)
        self.cost.append((request.previous is None, work.seconds))
        if len(request.strokes) <= LOOK_MARKS[-1]:
            self._masks[_digest(request)] = np.packbits(answer.mask, axis=1)
        return answer

    def recall(self, request: SliceRequest) -> Prediction:
        """The mask that was answered before; where none was, it is computed."""
        packed = self._masks.get(_digest(request))
        if packed is None:
            return self.predict(request)
        return certain(np.unpackbits(packed, axis=1, count=request.image.shape[1]).astype(bool))


@dataclass(frozen=True)
class Recalling:
    """A memory as a predictor."""

    memory: Memory

    @property
    def name(self) -> str:
        """Of the predictor behind it."""
        return self.memory.name

    version = device = ""

    def predict(self, request: SliceRequest) -> Prediction:
        """What was answered before."""
        return self.memory.recall(request)


def _digest(request: SliceRequest) -> bytes:
    asked = repr((request.image.shape, request.strokes)).encode()
    return hashlib.blake2b(np.ascontiguousarray(request.image).tobytes() + asked).digest()


@dataclass(frozen=True, eq=False)
class Scene:
    """A target on its slice; ``key`` identifies it."""

    key: str
    target: str
    task: SliceTask


def scenes(plan: Plan, number: int, sets: Sequence[Path], keys: Sequence[str] | None = None) -> Iterator[Scene]:
    """The targets of a round; all, or those with these keys."""
    for path in sets:
        dataset = read_dataset(path)
        for target in sample_targets(dataset, plan.targets, seed=number).targets:
            key = f"{dataset.name}/{target.id}"
            if keys is None or key in keys:
                volume = read_image(dataset, next(case for case in dataset.cases if case.name == target.case))
                image = evaluation_window(volume).apply(volume.array)[target.slice_index].copy()
                task = SliceTask(image, target.on_slice(image.shape), volume.spacing[1:], dataset.true_spacing)
                yield Scene(key, target.id, task)


def robot_of(method: Method) -> str:
    """The robot whose prompts a method's pictures show: clicks where it takes them, else scribbles, else a box."""
    prompts = ("clicks",) if method.peer is None else method.peer.prompts
    return next(robot for robot in ("clicks", "scribbles", "box") if robot in prompts)


def keep_outlines(
    method: Method, memory: Memory, plan: Plan, number: int, sets: Sequence[Path], folder: Folder
) -> None:
    """Store a method's masks and prompts on the targets of a round."""
    robot = robot_of(method)
    kind = method.robots()[robot]
    stored: dict[str, Any] = {}
    for scene in scenes(plan, number, sets):
        talk = Dialogue(Recalling(memory), scene.task)
        user = kind.make(robot_seed(number, robot, scene.target))
        for count in range(1, LOOK_MARKS[-1] + 1):
            if count % kind.interactions == 0:
                talk.step(user)
            if count in LOOK_MARKS:
                stored[f"{scene.key}@{count}"] = np.packbits(talk.mask, axis=1)
                strokes = [{"points": s.points, "positive": s.positive} for s in talk.strokes]
                stored[f"{scene.key}@{count}/strokes"] = np.array(json.dumps(strokes))
    path = folder.outlines(method.name, number)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, **stored)


@dataclass(frozen=True, eq=False)
class Drawn:
    """A method's mask and prompts at a moment."""

    mask: NDArray[np.bool_]
    strokes: list[dict[str, Any]]


def read_outline(path: Path, key: str, count: int, width: int) -> Drawn:
    """What :func:`keep_outlines` stored of a target after so many interactions; ``width`` is that of the slice."""
    with np.load(path) as stored:
        mask = np.unpackbits(stored[f"{key}@{count}"], axis=1, count=width).astype(bool)
        return Drawn(mask, json.loads(str(stored[f"{key}@{count}/strokes"])))
