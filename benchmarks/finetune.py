"""Does the tool get better with its readers' work? Clicks on held-out cases before and after finetuning on a dozen.

A robot reader outlines a few slices of every structure in a dozen cases, in real sessions, by clicks and, where eight
are not enough, by paint, and accepts them; `export-dataset` makes a data set of the cases and `finetune` a model of
that. Both models are then measured on the validation cases of the same data set, which neither session nor finetuning
has seen, and on those of another set, which tells what was forgotten::

    python -m benchmarks.finetune DATASET --also OTHER

Writes `benchmarks/results/finetune.json`. Stopped and started again it goes on, from what it keeps in `--work`.
NoC is the number of clicks to an IoU, 20 where it was not reached.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeflow_med import Session, evaluation, load_predictor, read_volume
from edgeflow_med.effort import case_effort
from edgeflow_med.evaluation.datasets import CaseFiles, DataSet, read_dataset
from edgeflow_med.evaluation.report import Report, describe_environment, read_report
from edgeflow_med.evaluation.summary import slice_intervals, slice_values
from edgeflow_med.io import read_segmentation
from edgeflow_med.metrics import iou
from edgeflow_med.predictors.base import Predictor
from edgeflow_med.prompts import Click
from edgeflow_med.simulation import Clicks
from edgeflow_med.training.cases import validation_names
from edgeflow_med.training.checkpoints import read_checkpoint
from edgeflow_med.training.export_dataset import export_dataset
from edgeflow_med.training.finetune import finetune
from edgeflow_med.weights import DEFAULT_MODEL, Bundle, find_bundle

GOOD_ENOUGH = 0.9
MOST_CLICKS = 8
KEYS = ("noc80", "noc85", "noc90", "iou@1", "iou@2", "iou@3", "iou@5")
RESAMPLES = 2000


def outline(dataset: DataSet, files: CaseFiles, slices: int, case: Path, predictor: Predictor) -> None:
    """Let a robot outline some slices of every structure of one image and accept them."""
    volume = read_volume(files.image, modality=dataset.modality or None)
    window = "0,255" if volume.array.dtype == np.uint8 else None  # as in the evaluation: windowed by its publisher
    labelled = read_segmentation(files.label, volume)
    with Session(volume, predictor, case_dir=case, reader="robot", window=window) as session:
        for structure, mask in zip(labelled.segments, labelled.masks, strict=True):
            segment = session.add_segment(structure.label)
            truth = np.moveaxis(mask, session.axis, 0)
            filled = np.flatnonzero(truth.any((1, 2)))
            for index in np.unique(filled[np.linspace(0, len(filled) - 1, slices + 2).round().astype(int)[1:-1]]):
                outline_slice(session, segment.id, truth[index], int(index))
                session.accept(int(index), segment)


def outline_slice(session: Session, segment: int, truth: NDArray[np.bool_], index: int) -> None:
    """Click as the evaluation's robot does, then paint what is still wrong."""
    history = []
    while True:
        mask = np.take(session.mask(segment), index, session.axis)
        if iou(mask, truth) >= GOOD_ENOUGH:
            return
        if len(history) == MOST_CLICKS:
            break
        stroke = Clicks().next_prompt(truth, mask, history, session.slice_spacing)
        if stroke is None:
            break
        history.append(stroke)
        (point,) = stroke.points
        k, j, i = np.insert(np.rint(point), session.axis, index).astype(int).tolist()
        session.prompt(Click((k, j, i), stroke.positive), segment)
    session.paint((index, truth & ~mask), segment)
    session.paint((index, mask & ~truth), segment, erase=True)


def figures(report: Report, name: str) -> dict[str, Any]:
    """Means over the targets of a data set, and their 95 % intervals."""
    settings = report.settings
    records = report.slice_records("clicks", name)
    means = report.slice_figures("clicks")[name]
    intervals = slice_intervals(records, settings.max_interactions, "mm", settings.seed)
    return {key: [round(means[key], 3), *(round(end, 3) for end in intervals[key])] for key in KEYS}


def change(before: Report, after: Report, name: str) -> dict[str, list[float]]:
    """Mean difference on the same targets, and its 95 % bootstrap interval, cases resampled."""
    limit = before.settings.max_interactions
    one, other = (report.slice_records("clicks", name) for report in (before, after))
    assert [r.target for r in one] == [r.target for r in other]  # the same data, settings and seed
    values = [slice_values(records, limit, "mm") for records in (one, other)]
    cases = np.array([record.case for record in one])
    groups = [np.flatnonzero(cases == case) for case in np.unique(cases)]
    rng = np.random.default_rng(0)
    drawn = [np.concatenate([groups[n] for n in rng.integers(len(groups), size=len(groups))]) for _ in range(RESAMPLES)]
    found = {}
    for key in KEYS:
        difference = values[1][key] - values[0][key]
        ends = np.percentile([difference[chosen].mean() for chosen in drawn], (2.5, 97.5))
        found[key] = [round(float(value), 3) for value in (difference.mean(), *ends)]
    return found


def measure(model: str, folders: Sequence[Path], targets: int, report: Path) -> Report:
    """Let the robot click on the validation cases of some data sets."""
    settings = evaluation.Settings(("clicks",), targets_per_set=targets, objects_per_set=0)
    held_out = {name for folder in folders for name in validation_names([c.name for c in read_dataset(folder).cases])}

    def tell(done: int, total: int, _: str) -> None:
        if done % 10 == 0:
            print(f"{model}: {done} of {total} targets", flush=True)

    predictor = load_predictor(model, "cpu", "torch")
    if report.exists() and (known := read_report(report)).predictor["version"] == predictor.version:
        return known
    return evaluation.evaluate(folders, predictor, settings, report=report, accept=held_out.__contains__, progress=tell)


def exported_cases(given: argparse.Namespace, start: Bundle) -> tuple[Path, dict[str, int]]:
    """The data set of a dozen cases, and how much work it was."""
    dataset = read_dataset(given.dataset)
    held_out = validation_names([case.name for case in dataset.cases])
    seen = [case for case in dataset.cases if case.name not in held_out]
    chosen = seen[:: max(1, len(seen) // given.cases)][: given.cases]
    predictor = load_predictor(str(start.path), "cpu", "torch")
    folders, efforts = [given.work / "cases" / case.name for case in chosen], []
    for case, folder in zip(chosen, folders, strict=True):
        if not folder.exists():
            half_done = folder.with_name(f".{case.name}")
            shutil.rmtree(half_done, ignore_errors=True)
            outline(dataset, case, given.slices, half_done, predictor)
            half_done.rename(folder)
        efforts.append(case_effort(folder)[-1])
        print(f"{case.name}: {efforts[-1].clicks} clicks", flush=True)
    exported = export_dataset(
        folders,
        given.work / "Exported",
        layout="decathlon",
        licence="as the source",
        reference=given.dataset.name,
        replace=True,
    )
    return exported.folder, {
        "cases": len(folders),
        "outlines": sum(effort.slices_accepted for effort in efforts),
        "clicks": sum(effort.clicks for effort in efforts),
        "strokes_of_paint": sum(effort.strokes for effort in efforts),
        "images": exported.images,
        "images_kept_from_finetuning": exported.validation,
        "slices": exported.slices,
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path, help="a folder of labelled images in the Decathlon layout")
    parser.add_argument("--also", type=Path, action="append", default=[], help="measure on this data set, too")
    parser.add_argument("--model", default=DEFAULT_MODEL, help="where to start")
    parser.add_argument("--cases", type=int, default=12, help="cases that the robot reader works on")
    parser.add_argument("--slices", type=int, default=3, help="slices of each structure that it outlines")
    parser.add_argument("--minutes", type=float, default=6.0, help="of finetuning")
    parser.add_argument("--targets", type=int, default=40, help="held-out targets of each data set to measure on")
    parser.add_argument("--work", type=Path, default=Path("out/finetune"), help="what is kept for another run")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/finetune.json"))
    given = parser.parse_args()
    folders = [given.dataset, *given.also]
    environment, start = describe_environment(), find_bundle(given.model)
    exported, work = exported_cases(given, start)
    tuned = finetune(
        [exported], start, given.work / "tuned", given.work / "run", seconds=60 * given.minutes, threads=1,
        progress=lambda report: print(report, flush=True),
    )  # fmt: skip
    before = measure(str(start.path), folders, given.targets, given.work / "before.json")
    after = measure(str(tuned.path), folders, given.targets, given.work / "after.json")
    work["steps_of_finetuning"] = read_checkpoint(given.work / "run" / "checkpoint.pt")["step"]
    result = {
        "environment": environment,
        "model": f"{start.name} {start.version}",
        "dataset": given.dataset.name,
        "exported": work,
        "finetuning_minutes": given.minutes,
        "figures": "mean and 95 % interval",
        "held_out": {
            info.name: {
                "cases": info.cases,
                "targets": len(info.targets),
                "before": figures(before, info.name),
                "after": figures(after, info.name),
                "change": change(before, after, info.name),
            }
            for info in before.sets
        },
    }
    given.out.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    print(json.dumps(result["held_out"], indent=1))


if __name__ == "__main__":
    main()
