"""Does the tool get better with its readers' work? Clicks on held-out cases before and after finetuning on a dozen.

A robot reader outlines a few slices of a dozen cases in real sessions and accepts them; `export-dataset` makes a data
set of the cases and `finetune` a model of that. Both models are then measured on the validation cases of the same data
set, which neither session nor finetuning has seen::

    python -m benchmarks.finetune DATASET --label 1 --minutes 6
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np

from edgeflow_med import Session, evaluation, load_predictor, read_volume
from edgeflow_med.evaluation.report import describe_environment
from edgeflow_med.io import read_segmentation
from edgeflow_med.metrics import iou
from edgeflow_med.predictors.base import Predictor
from edgeflow_med.prompts import Click
from edgeflow_med.simulation import Clicks
from edgeflow_med.training.cases import validation_names
from edgeflow_med.training.export_dataset import export_dataset
from edgeflow_med.training.finetune import finetune
from edgeflow_med.weights import DEFAULT_MODEL, find_bundle

GOOD_ENOUGH = 0.9
MOST_CLICKS = 8
KEYS = ("noc80", "noc85", "noc90", "iou@1", "iou@2", "iou@3", "iou@5")


def outline(image: Path, labels: Path, label: int, slices: int, case: Path, predictor: Predictor) -> int:
    """Let a robot outline some slices of one image and accept them; returns its clicks."""
    volume = read_volume(image, modality="MR")
    truth = read_segmentation(labels, volume).masks[label - 1]
    given = 0
    with Session(volume, predictor, case_dir=case, reader="robot") as session:
        segment = session.add_segment("Structure")
        truth = np.moveaxis(truth, session.axis, 0)
        filled = np.flatnonzero(truth.any((1, 2)))
        for index in np.unique(filled[np.linspace(0, len(filled) - 1, slices + 2).round().astype(int)[1:-1]]):
            given += outline_slice(session, truth[index], int(index))
            session.accept(int(index), segment)
    return given


def outline_slice(session: Session, truth: np.ndarray, index: int) -> int:
    """Click until the outline is good enough, as the evaluation's robot does; returns the clicks."""
    history = []
    while len(history) < MOST_CLICKS:
        mask = np.take(session.mask(), index, session.axis)
        if iou(mask, truth) >= GOOD_ENOUGH:
            break
        stroke = Clicks().next_prompt(truth, mask, history, session.slice_spacing)
        if stroke is None:
            break
        history.append(stroke)
        (point,) = stroke.points
        k, j, i = np.insert(np.rint(point), session.axis, index).astype(int).tolist()
        session.prompt(Click((k, j, i), stroke.positive))
    return len(history)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", type=Path, help="a folder of MR images in the Decathlon layout")
    parser.add_argument("--label", type=int, default=1)
    parser.add_argument("--cases", type=int, default=12, help="cases that the robot reader works on")
    parser.add_argument("--slices", type=int, default=3, help="slices of each that it outlines")
    parser.add_argument("--minutes", type=float, default=6.0, help="of finetuning")
    parser.add_argument("--targets", type=int, default=40, help="held-out targets to measure on")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/finetune.json"))
    given = parser.parse_args()
    names = sorted(path.name.removesuffix(".nii.gz") for path in (given.dataset / "imagesTr").glob("*.nii.gz"))
    held_out = validation_names(names)
    chosen = [name for name in names if name not in held_out][:: max(1, len(names) // given.cases)][: given.cases]
    settings = evaluation.Settings(("clicks",), targets_per_set=given.targets, objects_per_set=0)
    with tempfile.TemporaryDirectory() as folder:
        work, start = Path(folder), find_bundle(DEFAULT_MODEL)
        predictor = load_predictor(DEFAULT_MODEL, "cpu")
        clicks = 0
        for name in chosen:
            parts = (given.dataset / part / f"{name}.nii.gz" for part in ("imagesTr", "labelsTr"))
            clicks += outline(*parts, given.label, given.slices, work / "cases" / name, predictor)
        exported = export_dataset(
            sorted((work / "cases").iterdir()),
            work / "Exported",
            layout="decathlon",
            licence="as the source",
            reference=given.dataset.name,
        )
        finetune([exported.folder], start, work / "tuned", work / "run", seconds=60 * given.minutes, threads=1)
        figures = {}
        for model in (DEFAULT_MODEL, str(work / "tuned")):
            report = evaluation.evaluate(
                [given.dataset], load_predictor(model, "cpu", "torch"), settings, accept=held_out.__contains__
            )
            mean = report.slice_figures("clicks")["mean"]
            figures["before" if model == DEFAULT_MODEL else "after"] = {key: round(mean[key], 3) for key in KEYS}
    result = {
        "environment": describe_environment(),
        "dataset": given.dataset.name,
        "model": start.version,
        "exported": {"cases": len(chosen), "slices": exported.slices, "clicks": clicks},
        "finetuning_minutes": given.minutes,
        "held_out": {"cases": len(held_out), "targets": given.targets},
        "figures": figures,
    }
    given.out.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
