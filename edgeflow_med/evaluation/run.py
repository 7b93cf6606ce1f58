"""The evaluation from data sets to report; a run that was killed goes on where it stopped."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeflow_med.errors import UsageError, WriteError
from edgeflow_med.evaluation.datasets import DataSet, evaluation_window, read_dataset, read_image
from edgeflow_med.evaluation.protocol import SliceRecord, SliceTask, run_slice
from edgeflow_med.evaluation.report import (
    Report,
    SetInfo,
    describe_environment,
    describe_predictor,
    slice_record_from,
    to_line,
    write_json,
)
from edgeflow_med.evaluation.settings import Settings
from edgeflow_med.evaluation.targets import Sample, Target, sample_targets
from edgeflow_med.evaluation.volumes import ObjectRun, ObjectTarget, VolumeRecord, run_object, sample_objects
from edgeflow_med.predictors.base import Predictor
from edgeflow_med.simulation import ROBOTS, RobotKind
from edgeflow_med.terminology import names_lesion

Progress = Callable[[int, int, str], None]
"""Called with what is done, what there is to do, and what was done last."""


def evaluate(
    datasets: Sequence[Path | str],
    predictor: Predictor,
    settings: Settings | None = None,
    *,
    report: Path | str | None = None,
    accept: Callable[[str], bool] | None = None,
    progress: Progress | None = None,
    robots: Mapping[str, RobotKind] = ROBOTS,
    seen: str = "",
) -> Report:
    """Let robot users outline a sample of the labelled structures of data sets.

    Args:
        datasets: Folders in the Decathlon layout.
        predictor: What is evaluated.
        settings: Robots, sample and limits; None for the defaults.
        report: Where the JSON goes. While running, ``<report>.partial`` beside it holds one line per finished target;
            a run with the same predictor, data and settings starts behind those.
        accept: Which cases to use, by name, e.g. a validation split; None for all.
        progress: Told after every target.
        robots: The robot users that ``settings.robots`` can name.
        seen: Whether the predictor's training may have held these data, for the tables; empty if nothing is to be said.

    Raises:
        ReadError: A data set that cannot be read.
        UsageError: Nothing to evaluate, an unknown robot user, two data sets of one name, or a partial file of
            another run.
        WriteError: The report cannot be written.
    """
    settings = settings or Settings()
    unknown = next((name for name in settings.robots if name not in robots), None)
    if unknown is not None:
        raise UsageError(f"Unknown robot user {unknown!r}; give one of {', '.join(robots)}.")
    drawn = [_draw(read_dataset(folder), settings, accept) for folder in datasets]
    names = [dataset.name for dataset, _, _ in drawn]
    if len(set(names)) != len(names):
        raise UsageError(
            f"Two data sets have the same name ({', '.join(sorted(names))}); rename one in its dataset.json."
        )
    result = Report(
        describe_predictor(predictor, seen), settings, describe_environment(), [_set_info(*entry) for entry in drawn]
    )
    total = sum(len(s.targets) * len(settings.robots) + len(objects) for _, s, objects in drawn)
    if total == 0:
        raise UsageError("There is nothing to evaluate: no labelled structure is large enough; check the label files.")
    journal = _Journal(None if report is None else Path(report), result)
    run = _Run(predictor, settings, robots, journal)
    done = len(journal)
    for dataset, sample, objects in drawn:
        for text in run.dataset(dataset, sample, objects):
            done += 1
            if progress is not None:
                progress(done, total, text)
    journal.fill(result)
    if report is not None:
        write_json(result, report)
        journal.remove()
    return result


def robot_seed(seed: int, robot: str, target: str) -> int:
    """Every target gets a robot with a seed of its own, the same in every run whatever else is sampled."""
    return zlib.crc32(f"{seed}/{robot}/{target}".encode())


def _draw(
    dataset: DataSet, settings: Settings, accept: Callable[[str], bool] | None
) -> tuple[DataSet, Sample, list[ObjectTarget]]:
    sample = sample_targets(dataset, settings.targets_per_set, settings.seed, accept)
    objects = sample_objects(dataset, settings.objects_per_set, settings.seed, accept)
    return dataset, sample, objects


def _set_info(dataset: DataSet, sample: Sample, objects: Sequence[ObjectTarget]) -> SetInfo:
    return SetInfo(
        dataset.name,
        dataset.modality,
        dataset.unit,
        sample.cases,
        sample.eligible,
        sample.tiny,
        [target.id for target in sample.targets],
        [target.id for target in objects],
        dataset.note,
    )


@dataclass(frozen=True, eq=False)
class _Run:
    """What stays the same for all targets of a run."""

    predictor: Predictor
    settings: Settings
    robots: Mapping[str, RobotKind]
    journal: _Journal

    def dataset(self, dataset: DataSet, sample: Sample, objects: Sequence[ObjectTarget]) -> Iterator[str]:
        """Everything that is left to do on one data set; yields what was done."""
        images = _Images(dataset)
        # Robots take turns on the whole set, not on each slice: a predictor that remembers slices would make the second
        # robot's first prompt look fast.
        for robot in self.settings.robots:
            for target in sample.targets:
                key = (dataset.name, robot, target.id)
                if key not in self.journal:
                    record = self.slice(target, robot, images, dataset.true_spacing)
                    self.journal.add(key, asdict(record))
                    yield f"{dataset.name} {robot} {target.id}: IoU {record.iou[-1]:.2f} after {len(record.iou)}"
        for item in objects:
            key = (dataset.name, "propagation", item.id)
            if key not in self.journal:
                volume = self.volume(item, images, lesion=names_lesion(dataset.labels.get(item.label, "")))
                self.journal.add(key, asdict(volume))
                yield f"{dataset.name} propagation {item.id}: Dice {volume.dice:.2f}"

    def slice(self, target: Target, robot: str, images: _Images, true_spacing: bool) -> SliceRecord:
        """One target."""
        scan, spacing, _ = images.load(target.case)
        image = scan[target.slice_index].copy()
        task = SliceTask(image, target.on_slice(image.shape), spacing, true_spacing)
        names = (target.dataset, target.case, target.id, robot)
        kind = self.robots[robot]
        user = kind.make(robot_seed(self.settings.seed, robot, target.id))
        limit = self.settings.max_interactions - kind.interactions + 1
        return run_slice(self.predictor, task, user, max_prompts=limit, cost=kind.interactions, names=names)

    def volume(self, item: ObjectTarget, images: _Images, *, lesion: bool) -> VolumeRecord:
        """One whole object."""
        scan, spacing, thickness = images.load(item.case)
        mask = np.zeros(scan.shape, bool)
        mask[item.box] = item.mask
        robot = self.settings.robots[0]
        user = self.robots[robot].make(robot_seed(self.settings.seed, robot, item.id))
        return run_object(
            ObjectRun(self.predictor, user, scan, mask, spacing, thickness, lesion),
            (item.dataset, item.case, item.id),
            max_start_interactions=self.settings.max_start_interactions,
            max_interactions=self.settings.max_object_interactions,
        )


class _Images:
    """Windowed scans of a data set, the last few kept."""

    def __init__(self, dataset: DataSet) -> None:
        self._dataset = dataset
        self._files = {case.name: case for case in dataset.cases}
        self.load = lru_cache(maxsize=2)(self._load)

    def _load(self, case: str) -> tuple[NDArray[np.float32], tuple[float, float], float]:
        """``(K, H, W)`` float32 in [0, 1], row and column spacing, distance between slices."""
        volume = read_image(self._dataset, self._files[case])
        return evaluation_window(volume).apply(volume.array), volume.spacing[1:], volume.spacing[0]


class _Journal:
    """Finished records, by data set, robot and target, each on disk as soon as it is there."""

    def __init__(self, report: Path | None, result: Report) -> None:
        self._path = None if report is None else report.with_name(report.name + ".partial")
        self._records: dict[tuple[str, ...], dict[str, Any]] = {}
        header = to_line(
            {
                "predictor": result.predictor,
                "settings": asdict(result.settings),
                "sets": [asdict(info) for info in result.sets],
            }
        )
        if self._path is None:
            return
        try:
            lines = self._path.read_text("utf-8").split("\n") if self._path.exists() else []
            if lines and lines[0] != header:
                raise UsageError(
                    f"{self._path} belongs to a run with another predictor, data or settings; delete it, or give "
                    "another --report."
                )
            self._path.parent.mkdir(parents=True, exist_ok=True)
            whole = lines[:-1] or [header]  # what follows the last line break was cut off by the kill
            for line in whole[1:]:
                entry = json.loads(line)
                self._records[tuple(entry["key"])] = entry["record"]
            self._path.write_text("\n".join(whole) + "\n", encoding="utf-8")
        except OSError as error:
            raise WriteError(f"Cannot write {self._path}: {error.strerror or error}; give another --report.") from None

    def __contains__(self, key: Iterable[str]) -> bool:
        return tuple(key) in self._records

    def __len__(self) -> int:
        return len(self._records)

    def add(self, key: tuple[str, ...], record: dict[str, Any]) -> None:
        """Keep a record, on disk first."""
        line = to_line({"key": key, "record": record})
        if self._path is not None:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
        self._records[key] = json.loads(line)["record"]

    def fill(self, result: Report) -> None:
        """Put all records into a report, in the order of its sample."""
        for info in result.sets:
            for robot in result.settings.robots:
                for target in info.targets:
                    result.slices.append(slice_record_from(self._records[info.name, robot, target]))
            for item in info.objects:
                result.volumes.append(VolumeRecord(**self._records[info.name, "propagation", item]))

    def remove(self) -> None:
        """The report is written: the partial file has done its work."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)
