"""How good a model is on the validation cases of the sets it was trained on: what weights are chosen by.

    python -m benchmarks.validation ../shared/data/train --model edgeflow_lite

The benchmark's own data are for reporting; nothing is chosen on them. Every data set keeps an eighth of its cases, by
their names, out of training, and robot users are let loose on those. With `--seen` they are let loose on the others: a
model that is no better there has not learnt its data by heart, it has not learnt enough.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from edgeflow_med.cli.output import make_console, make_progress
from edgeflow_med.errors import EdgeFlowError
from edgeflow_med.evaluation import Settings, evaluate
from edgeflow_med.predictors import load_predictor
from edgeflow_med.training.cases import validation_names

KEYS = ("noc85", "iou@1", "iou@2", "iou@3", "iou@5")


def validation_sets(data: Path, folder: Path, *, seen: bool = False) -> list[Path]:
    """Data sets of links to the validation cases of those in ``data``; with ``seen`` to all but those."""
    made = []
    for source in sorted(path.parent for path in data.glob("*/dataset.json")):
        names = [case_name(path) for path in (source / "imagesTr").glob("*.nii.gz")]
        held_out = validation_names(names)
        used = sorted(set(names) - held_out if seen else held_out)
        for part in ("imagesTr", "labelsTr") if used else ():
            (folder / source.name / part).mkdir(parents=True)
            for name in used:
                link = folder / source.name / part / f"{name}.nii.gz"
                link.symlink_to((source / part / f"{name}.nii.gz").resolve())
        if used:
            manifest = json.loads((source / "dataset.json").read_text("utf-8"))
            manifest["training"] = [entry for entry in manifest["training"] if case_name(entry["image"]) in used]
            (folder / source.name / "dataset.json").write_text(json.dumps(manifest), "utf-8")
            made.append(folder / source.name)
    return made


def case_name(image: Path | str) -> str:
    """A case's name from its image's path."""
    return Path(image).name.removesuffix(".nii.gz")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.validation", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("data", type=Path, metavar="DATA", help="folder of data sets that the model was trained on")
    parser.add_argument("--model", default="edgeflow_lite", metavar="NAME", help="a model, or a bundle's folder")
    parser.add_argument(
        "--robots", default="clicks,scribbles", metavar="A,B", help="clicks, noisy, scribbles, boxes, lines"
    )
    parser.add_argument("--targets", type=int, default=10, metavar="N", help="of each data set")
    parser.add_argument("--prompts", type=int, default=10, metavar="N", help="after so many a robot gives up")
    parser.add_argument("--seen", action="store_true", help="on cases that the model was trained on")
    parser.add_argument("--seed", type=int, default=3, help="of the sample and of the robots")
    given = parser.parse_args(arguments)
    asked = Settings(
        robots=tuple(given.robots.split(",")),
        max_interactions=given.prompts,
        targets_per_set=given.targets,
        objects_per_set=0,
        seed=given.seed,
    )
    try:
        with tempfile.TemporaryDirectory() as folder, make_progress(make_console()) as bar:
            task = bar.add_task(given.model, total=None)
            report = evaluate(
                validation_sets(given.data, Path(folder), seen=given.seen),
                load_predictor(given.model, "cpu"),
                asked,
                progress=lambda done, total, _: bar.update(task, completed=done, total=total),
            )
    except EdgeFlowError as error:
        print(error, file=sys.stderr)
        return 2
    for robot in asked.robots:
        mean = report.slice_figures(robot)["mean"]
        targets = sum(record.robot == robot for record in report.slices)
        print(f"{robot:10} {targets} targets", *(f"{key} {mean[key]:.3f}" for key in KEYS), sep="  ")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
