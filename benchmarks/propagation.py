"""Propagation against what a reader would do without it, and the order of review.

    python -m benchmarks.propagation --model edgeflow_w18      # or: make bench-propagation MODEL=edgeflow_w18

Each object is annotated by the robot user on one slice, its middle, and on two, at a quarter and three quarters of its
extent (3 clicks each at most, fewer if the IoU reaches 0.9). All methods get the same annotations.

- *one slice*: ours over all of the volume, its ends unknown; against copying the slice to all slices of the object,
  which is told where the object ends.
- *between two slices*: ours, copying the nearer slice, and ITK's morphological contour interpolation (package
  ``itk-morphologicalcontourinterpolation``, Zukic et al., Insight Journal 2016), all on the slices in between.
- *review*: how many of the slices proposed from one slice have to be looked at to find those with Dice below 0.9, in
  the order of expected Dice, in the order of the volume, and at best; over all objects together, as in a list of work,
  and in each by itself, as in one case.

Writes ``propagation.json`` and ``propagation.png``. A run that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray

from benchmarks.objects import Mask, Object, contour_interpolation
from benchmarks.seg.machine import provenance
from edgeflow_med import metrics
from edgeflow_med.evaluation.datasets import read_dataset
from edgeflow_med.evaluation.targets import MIN_PIXELS
from edgeflow_med.evaluation.volumes import middle_slice, overrun, sample_objects
from edgeflow_med.predictors.base import Predictor
from edgeflow_med.propagation import Brakes
from edgeflow_med.weights import DEFAULT_MODEL

mpl.use("Agg")
import matplotlib.pyplot as plt

GOOD = 0.9
SHARES = {"half": 0.5, "three_quarters": 0.75, "nine_tenths": 0.9, "all": 1.0}
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
    ).reshape(-1, 3)  # also where nothing was proposed
    bad = rows[:, 2] < GOOD
    found, in_order = (np.flatnonzero(bad[np.argsort(rows[:, n], kind="stable")]).astype(float) + 1 for n in (0, 1))
    return found, in_order


def summary(records: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Means over objects; medians of the ends; how much sooner bad slices are found."""
    ends = np.array([end for record in records for end in record["one"]["ends"]])
    bridged = [record["between"] for record in records if record["between"]]

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
        "review": review(records),
    }


def review(records: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """How many slices are looked at until shares of the bad ones are found, and how many times sooner that is.

    No order finds bad slices sooner than one that has them all in front: where every second slice is bad, half as many
    looks as in order are the best possible. Within objects, those count whose slices are partly good and partly bad.
    """
    found, in_order = positions(records)
    told: dict[str, Any] = {"slices": sum(len(record["one"]["review"]) for record in records), "bad": len(found)}
    if not len(found):
        return told
    for name, share in SHARES.items():
        last = int(np.ceil(share * len(found))) - 1
        told[f"looked_at_for_{name}"] = {
            "by_expected_dice": int(found[last]),
            "in_order": int(in_order[last]),
            "at_best": last + 1,
            "times_sooner": round(float(in_order[last] / found[last]), 2),
            "times_sooner_at_best": round(float(in_order[last] / (last + 1)), 2),
        }
    each = [(positions([record]), len(record["one"]["review"])) for record in records]
    mixed = [places for places, slices in each if 0 < len(places[0]) < slices]
    if mixed:
        ours, theirs, best = np.array([(f.mean(), o.mean(), (len(f) + 1) / 2) for f, o in mixed]).T
        told["mean_place_of_a_bad_slice_within_its_object"] = {
            "objects": len(mixed),
            "by_expected_dice": round(float(ours.mean()), 1),
            "in_order": round(float(theirs.mean()), 1),
            "at_best": round(float(best.mean()), 1),
        }
    return told


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


def measure(folders: Sequence[Path], count: int, predictor: Predictor, partial: Path) -> list[dict[str, Any]]:
    """Records of all objects; those that ``partial`` holds from a run that was stopped are not measured again."""
    about = model_of(predictor)
    known = json.loads(partial.read_text("utf-8")) if partial.exists() else {}
    done = {(r["dataset"], r["object"]): r for r in known.get("records", []) if known["of"] == about}
    datasets = [read_dataset(folder) for folder in folders]
    targets = [(dataset, target) for dataset in datasets for target in sample_objects(dataset, count, seed=0)]
    records: list[dict[str, Any]] = []
    for dataset, target in targets:
        began, record = time.monotonic(), done.get((dataset.name, target.id))
        if record is None:
            scan = Object.read(dataset, target)
            record = {"dataset": dataset.name, "object": target.id, "one": from_one(scan, predictor)}
            record["between"] = between_two(scan, predictor)
        records.append(record)
        partial.write_text(json.dumps({"of": about, "records": records}), "utf-8")
        dice, seconds = record["one"]["edgeflow"]["dice"], time.monotonic() - began
        print(f"{len(records)} of {len(targets)} {dataset.name} {target.id}: {dice:.3f}, {seconds:.0f} s", flush=True)
    return records


def model_of(predictor: Predictor) -> dict[str, Any]:
    """What the figures depend on: the model, and when propagation with it stops."""
    return {
        "model": f"{predictor.name} {predictor.version}",
        "brakes": asdict(Brakes.of(predictor).calibration),
    }


def load(model: str) -> Predictor:
    """A model by its name, or the running average of a training run by its checkpoint."""
    if not model.endswith(".pt"):
        from edgeflow_med.predictors import load_predictor

        return load_predictor(model, "cpu")
    import torch

    from edgeflow_med.network import EdgeFlow, EdgeFlowConfig
    from edgeflow_med.predictors.torch import TorchPredictor
    from edgeflow_med.training.checkpoints import load_into, read_checkpoint

    state = read_checkpoint(Path(model))
    network = EdgeFlow(EdgeFlowConfig(**json.loads(state["config"])["network"]))
    load_into(network, Path(model))
    return TorchPredictor(network, Path(model).parent.name, f"step {state['step']}", torch.device("cpu"))


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/bench"), help="folder of data sets")
    parser.add_argument("--model", default=DEFAULT_MODEL, help="name of a model, or a training run's checkpoint")
    parser.add_argument("--objects", type=int, default=3, help="objects per data set")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/propagation.json"))
    given = parser.parse_args()
    predictor, began = load(given.model), provenance()
    folders = sorted(path.parent for path in given.data.glob("*/dataset.json"))
    if not folders:
        parser.error(f"{given.data} holds no data sets; give --data FOLDER")
    partial = given.out.with_name(f"{given.out.name}.partial")
    records = measure(folders, given.objects, predictor, partial)
    sets = dict.fromkeys(record["dataset"] for record in records)
    figures = {"all": summary(records)} | {name: summary([r for r in records if r["dataset"] == name]) for name in sets}
    document = {**began, **model_of(predictor), "figures": figures, "records": records}
    given.out.write_text(json.dumps(document, indent=1) + "\n", "utf-8")
    draw(records, given.out.with_suffix(".png"))
    partial.unlink()
    print(json.dumps(figures["all"], indent=1))


if __name__ == "__main__":
    main()
