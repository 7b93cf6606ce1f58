"""Propagation against what a reader would do without it, and the order of review: ``python -m benchmarks.propagation``.

Each object is annotated by the robot user on one slice, its middle, and on two, at a quarter and three quarters of its
extent (3 clicks each at most, fewer if the IoU reaches 0.9). All methods get the same annotations.

- *one slice*: ours over all of the volume, its ends unknown; against copying the slice to all slices of the object,
  which is told where the object ends.
- *between two slices*: ours, copying the nearer slice, and ITK's morphological contour interpolation (package
  ``itk-morphologicalcontourinterpolation``, Zukic et al., Insight Journal 2016), all on the slices in between.
- *review*: how many of the slices proposed from one slice have to be looked at to find those with Dice below 0.9, in
  the order of expected Dice and in the order of the volume.

Writes ``propagation.json`` and ``propagation.png``. A run that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray

from benchmarks.objects import Mask, Object, contour_interpolation
from edgeflow_med import metrics
from edgeflow_med.evaluation.datasets import read_dataset
from edgeflow_med.evaluation.targets import MIN_PIXELS
from edgeflow_med.evaluation.volumes import middle_slice, overrun, sample_objects
from edgeflow_med.predictors.base import Predictor

mpl.use("Agg")
import matplotlib.pyplot as plt

GOOD = 0.9
METHODS = {
    "edgeflow": "EdgeFlow-Med",
    "interpolation": "contour interpolation (ITK)",
    "nearest": "nearest slice copied",
}


def from_one(scan: Object, predictor: Predictor) -> dict[str, Any]:
    """Propagate the middle slice."""
    middle = middle_slice(scan.truth)
    known = scan.annotate(predictor, middle)
    steps = scan.propagate(predictor, {middle: known})
    ours = {middle: known.mask} | {n: s.prediction.mask for n, s in steps.items() if s.prediction is not None}
    extent = np.flatnonzero(scan.truth.any(axis=(1, 2))).tolist()
    copied = dict.fromkeys(extent, known.mask)
    dices = scan.dices(ours)
    return {
        "start": dices[middle],
        "edgeflow": _figures(scan, ours, [n for n in extent if n != middle]),
        "nearest": _figures(scan, copied, [n for n in extent if n != middle]),
        "ends": overrun(scan.volume(ours), scan.truth),
        "review": [[n, steps[n].quality, dices[n]] for n in sorted(steps)],
    }


def between_two(scan: Object, predictor: Predictor) -> dict[str, Any] | None:
    """Fill what lies between two slices; None if the object is too short, or a slice was not understood at all."""
    large = np.flatnonzero(scan.truth.sum(axis=(1, 2)) >= MIN_PIXELS)
    low, high = int(large[len(large) // 4]), int(large[(3 * len(large)) // 4])
    known = {n: scan.annotate(predictor, n) for n in (low, high)}
    if high - low < 3 or not all(answer.mask.any() for answer in known.values()):
        return None
    steps = scan.propagate(predictor, known, directions=(1,), anchors=[high + 1] if high + 1 < len(scan.images) else [])
    one, other = known[low].mask, known[high].mask
    empty = np.zeros_like(one)
    inner = range(low + 1, high)
    masks = {
        "edgeflow": {n: s.prediction.mask if (s := steps.get(n)) and s.prediction else empty for n in inner},
        "interpolation": contour_interpolation(low, one, high, other),
        "nearest": {n: one if n - low <= high - n else other for n in inner},
    }
    return {name: _figures(scan, found, list(inner)) for name, found in masks.items()}


def _figures(scan: Object, masks: dict[int, Mask], slices: Sequence[int]) -> dict[str, float]:
    """3-D Dice of what was found, over ``slices`` and all others that were filled, and the share of good slices."""
    looked_at = sorted({*slices, *masks})
    found, truth = scan.volume(masks)[looked_at], scan.truth[looked_at]
    good = [metrics.dice(scan.volume(masks)[n], scan.truth[n]) >= GOOD for n in slices]
    return {"dice": metrics.dice(found, truth), "good": float(np.mean(good))}


def positions(records: Sequence[dict[str, Any]]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of all bad slices, how many slices were looked at when each was found: by expected Dice, and in order.

    In order, all objects are read at the same pace, so that it does not matter which of them comes first.
    """
    rows = np.array(
        [
            (quality, (n + 0.5) / len(record["one"]["review"]), dice)
            for record in records
            for n, (_, quality, dice) in enumerate(record["one"]["review"])
        ]
    )
    bad = rows[:, 2] < GOOD
    found, in_order = (np.flatnonzero(bad[np.argsort(rows[:, n], kind="stable")]).astype(float) + 1 for n in (0, 1))
    return found, in_order


def summary(records: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Means over objects; medians of the ends; how much sooner bad slices are found."""
    ends = np.array([end for record in records for end in record["one"]["ends"]])
    bridged = [record["between"] for record in records if record["between"]]
    found, in_order = positions(records)
    slices = sum(len(record["one"]["review"]) for record in records)
    half = (len(found) + 1) // 2 - 1

    def mean(rows: Sequence[dict[str, Any]], name: str) -> dict[str, float]:
        return {key: round(float(np.mean([row[name][key] for row in rows])), 4) for key in ("dice", "good")}

    return {
        "objects": len(records),
        "one_slice": {
            "start_dice": round(float(np.mean([record["one"]["start"] for record in records])), 4),
            **{name: mean([record["one"] for record in records], name) for name in ("edgeflow", "nearest")},
            "overrun_median": float(np.median(np.maximum(ends, 0))),
            "underrun_median": float(np.median(np.maximum(-ends, 0))),
            "ends_within_1": round(float(np.mean(np.abs(ends) <= 1)), 4),
        },
        "between_two": {name: mean(bridged, name) for name in METHODS} | {"objects": len(bridged)} if bridged else {},
        "review": {
            "slices": slices,
            "bad": len(found),
            "looked_at_for_half_of_the_bad": [float(found[half]), float(in_order[half])] if len(found) else [],
            "times_sooner": round(float(in_order[half] / found[half]), 2) if len(found) else None,
            "times_sooner_at_best": round(float(in_order[half] / (half + 1)), 2) if len(found) else None,
        },
    }


def draw(records: Sequence[dict[str, Any]], path: Path) -> None:
    """Dice by method and data set, and the curve of review."""
    sets = sorted({record["dataset"] for record in records})
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(14, 4.2), width_ratios=[1, 1, 1])
    for axes, part, title in ((left, "one", "From one slice"), (middle, "between", "Between two slices")):
        for number, (name, label) in enumerate(METHODS.items()):
            if part == "one" and name == "interpolation":
                continue
            values = [
                np.mean([r[part][name]["dice"] for r in records if r["dataset"] == s and r[part]] or [0]) for s in sets
            ]
            where = np.arange(len(sets)) + 0.27 * (number - 1)
            told = ", told the ends" if part == "one" and name == "nearest" else ""
            bars = axes.bar(where, values, 0.25, label=label + told, color=("#1b6ca8", "#e08e2b", "#9aa5ad")[number])
            axes.bar_label(bars, fmt="%.2f", fontsize=7)
        axes.set(title=title, ylabel="mean 3-D Dice", ylim=(0, 1.18), xticks=range(len(sets)), xticklabels=sets)
        axes.legend(fontsize=7, loc="upper left", ncols=2)
    found, in_order = positions(records)
    slices = sum(len(record["one"]["review"]) for record in records)
    for places, label, colour in ((found, "least expected Dice first", "#1b6ca8"), (in_order, "in order", "#9aa5ad")):
        share = np.arange(1, len(places) + 1) / len(places)
        right.plot([0, *places / slices], [0, *share], label=label, color=colour)
    right.plot([0, len(found) / slices, 1], [0, 1, 1], ":", color="black", label="best possible")
    right.set(
        title=f"Review of {slices} proposed slices", xlabel="share of slices looked at", xlim=(0, 1), ylim=(0, 1.02)
    )
    right.set_ylabel(f"share of the {len(found)} slices with Dice < {GOOD} found")
    right.legend(fontsize=8, loc="lower right")
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def measure(
    folders: Sequence[Path], count: int, predictor: Predictor, done: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    """Records of all objects, those in ``done`` not measured again."""
    for folder in folders:
        dataset = read_dataset(folder)
        for target in sample_objects(dataset, count, seed=0):
            name = f"{dataset.name}/{target.id}"
            if name not in done:
                scan = Object.read(dataset, target)
                done[name] = {
                    "dataset": dataset.name,
                    "object": target.id,
                    "one": from_one(scan, predictor),
                    "between": between_two(scan, predictor),
                }
            yield done[name]


def load(model: str) -> Predictor:
    """A model by its name, or the running average of a training run by its checkpoint."""
    if not model.endswith(".pt"):
        from edgeflow_med.predictors import load_predictor

        return load_predictor(model, "cpu")
    import torch

    from edgeflow_med.network import EdgeFlow, EdgeFlowConfig
    from edgeflow_med.predictors.torch import TorchPredictor
    from edgeflow_med.training.loop import load_into, read_checkpoint

    state = read_checkpoint(Path(model))
    network = EdgeFlow(EdgeFlowConfig(**json.loads(state["config"])["network"]))
    load_into(network, Path(model))
    return TorchPredictor(network, Path(model).parent.name, f"step {state['step']}", torch.device("cpu"))


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/bench"), help="folder of data sets")
    parser.add_argument("--model", default="edgeflow_w18", help="name of a model, or a training run's checkpoint")
    parser.add_argument("--objects", type=int, default=3, help="objects per data set")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/propagation.json"))
    given = parser.parse_args()
    predictor = load(given.model)
    folders = sorted(path.parent for path in given.data.glob("*/dataset.json"))
    version = f"{predictor.name} {predictor.version}"
    old = json.loads(given.out.read_text("utf-8")) if given.out.exists() else {}
    done = {f"{r['dataset']}/{r['object']}": r for r in old.get("records", [])} if old.get("model") == version else {}
    records: list[dict[str, Any]] = []
    for record in measure(folders, given.objects, predictor, done):
        records.append(record)
        print(f"{record['dataset']} {record['object']}: {record['one']['edgeflow']['dice']:.3f}", flush=True)
        write(given.out, version, records)
    draw(records, given.out.with_suffix(".png"))
    print(json.dumps(summary(records), indent=1))


def write(path: Path, model: str, records: Sequence[dict[str, Any]]) -> None:
    """Everything, as JSON."""
    sets = sorted({record["dataset"] for record in records})
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True)
    document = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "commit": commit.stdout.strip(),
        "machine": f"2 cores, {cpu_model()}",
        "model": model,
        "figures": {"all": summary(records)}
        | {name: summary([r for r in records if r["dataset"] == name]) for name in sets},
        "records": list(records),
    }
    path.write_text(json.dumps(document, indent=1) + "\n", "utf-8")


def cpu_model() -> str:
    """What the kernel calls the processor."""
    lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


if __name__ == "__main__":
    main()
