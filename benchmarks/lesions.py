"""The shape of lesions, and what knowing it brings to propagation.

    python -m benchmarks.lesions ../shared/data/train --model edgeflow_w18

- *shape*: of the lesions of the training cases, how far it is from the middle slice to either end, in radii of the
  circle that has the middle section's area, and how large the sections on the way are. The numbers at the top of
  ``edgeflow_med/propagation/taper.py`` are theirs.
- *effect*: lesions annotated by the robot user on one slice, with three clicks at most, and carried from there with and
  without ``lesion``: from their middle slice, and from one at :data:`OFF_MIDDLE` of their extent. Sarcomas are those of
  the validation cases; nodules and gliomas, of which hardly any are kept out, those of all cases.

Writes ``results/lesions.json`` and ``results/lesions.png``; a model that is not named keeps its rows.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray

from benchmarks.objects import Object
from benchmarks.propagation import load
from benchmarks.seg.machine import provenance
from edgeflow_med import metrics
from edgeflow_med.evaluation.datasets import DataSet, read_dataset
from edgeflow_med.evaluation.volumes import accepted_share, middle_slice, overrun, sample_objects
from edgeflow_med.predictors.base import Predictor
from edgeflow_med.propagation.taper import HALF_LENGTH, Taper
from edgeflow_med.training.cases import is_validation
from edgeflow_med.weights import DEFAULT_MODEL

mpl.use("Agg")
import matplotlib.pyplot as plt

SETS = {"SarcomaMR": True, "SarcomaCT": True, "LungNoduleCT": False, "GliomaMR": False}
"""Sets of lesions, and whether the effect is measured on their validation cases only."""
ALL = 1000  # more objects than any set has
PLACES = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0, 2.5)
"""Radii from the middle slice at which sections are compared."""
OFF_MIDDLE = 0.35
OBJECTS = 10

Array = NDArray[np.float64]


def halves(dataset: DataSet) -> Iterator[tuple[float, Array]]:
    """Of each half of each lesion of the training cases: its length in radii, and its area at :data:`PLACES`."""
    for target in sample_objects(dataset, ALL, seed=0, accept=lambda name: not is_validation(name)):
        scan = Object.read(dataset, target)
        areas = scan.truth.sum(axis=(1, 2)) * scan.spacing[0] * scan.spacing[1]
        extent = np.flatnonzero(areas)
        middle = int(extent[len(extent) // 2])
        radius = np.sqrt(areas[middle] / np.pi)
        for half in (areas[middle : extent[-1] + 1], areas[extent[0] : middle + 1][::-1]):
            slices = np.array(PLACES) * radius / scan.thickness
            shares = np.interp(slices, np.arange(len(half) + 1), [*half, 0.0], right=0.0) / areas[middle]
            yield (len(half) - 0.5) * scan.thickness / radius, shares


def shape(dataset: DataSet) -> dict[str, Any]:
    """Quartiles of the half lengths, their spread, and the quartiles of the areas at :data:`PLACES`."""
    lengths, shares = zip(*halves(dataset), strict=True)
    return {
        "lesions": len(lengths) // 2,
        "half_length_quartiles": np.quantile(lengths, [0.25, 0.5, 0.75]).round(2).tolist(),
        "spread_of_logarithm": round(float(np.log(lengths).std()), 2),
        "share_of_area_quartiles": np.quantile(shares, [0.25, 0.5, 0.75], axis=0).round(2).tolist(),
    }


def effect(dataset: DataSet, predictor: Predictor, *, validation: bool) -> dict[str, Any]:
    """Means over the lesions of a set, by where they were annotated and by whether their shape was used."""
    found: dict[str, list[dict[str, float]]] = {}
    for target in sample_objects(dataset, OBJECTS, seed=0, accept=is_validation if validation else None):
        scan = Object.read(dataset, target)
        extent = np.flatnonzero(scan.truth.any(axis=(1, 2)))
        off = int(extent[round(OFF_MIDDLE * (len(extent) - 1))])
        for where, start in (("middle", middle_slice(scan.truth)), ("off_middle", off)):
            known = scan.annotate(predictor, start)
            for lesion in (False, True):
                steps = scan.propagate(predictor, {start: known}, lesion=lesion)
                masks = {n: step.prediction.mask for n, step in steps.items() if step.prediction is not None}
                whole = scan.volume({start: known.mask} | masks)
                ends = np.array(overrun(whole, scan.truth))
                figures = {
                    "dice": metrics.dice(whole, scan.truth),
                    "accepted": accepted_share(whole, scan.truth, start),
                    "overrun": float(np.maximum(ends, 0).mean()),
                    "underrun": float(np.maximum(-ends, 0).mean()),
                    "ends_within_1": float((abs(ends) <= 1).mean()),
                }
                found.setdefault(f"{where}, {'lesion' if lesion else 'anything'}", []).append(figures)
    return {
        "lesions": len(next(iter(found.values()))),
        **{
            name: {key: round(float(np.mean([r[key] for r in rows])), 3) for key in rows[0]}
            for name, rows in found.items()
        },
    }


def draw(document: dict[str, Any], path: Path) -> None:
    """The sections of lesions beside what propagation expects, and the 3-D Dice with and without."""
    models = list(document["effect"])
    figure, (left, *others) = plt.subplots(1, 1 + len(models), figsize=(4 + 3.4 * len(models), 3.6), sharey=True)
    for name, found in document["shape"].items():
        low, median, high = found["share_of_area_quartiles"]
        (line,) = left.plot(PLACES, median, label=name)
        left.fill_between(PLACES, low, high, color=line.get_color(), alpha=0.12)
    way = np.linspace(0, PLACES[-1], 200)
    expected = Taper(0.0, HALF_LENGTH)
    left.plot(way, [expected.share(place) for place in way], "k--", label="expected")
    left.set(xlabel="radii from the middle slice", ylim=(0, 1.15), title="Sections: share of the middle one's area")
    left.legend(fontsize=7)
    for axes, model in zip(others, models, strict=True):
        sets = document["effect"][model]["sets"]
        for number, (how, colour) in enumerate((("anything", "#9aa5ad"), ("lesion", "#1b6ca8"))):
            for where, hatch in (("middle", ""), ("off_middle", "///")):
                places = np.arange(len(sets)) + 0.4 * (where == "off_middle") + 0.18 * number
                values = [found[f"{where}, {how}"]["dice"] for found in sets.values()]
                label = f"{'with' if number else 'without'} the shape, {where.replace('_', ' the ')}"
                axes.bar(places, values, 0.17, color=colour, hatch=hatch, edgecolor="white", label=label)
        axes.set_xticks(np.arange(len(sets)) + 0.3, [f"{name}\n({found['lesions']})" for name, found in sets.items()])
        axes.tick_params(axis="x", labelsize=6.5)
        axes.set_title(f"{model}: 3-D Dice")
    others[0].legend(fontsize=6, loc="upper center", ncols=2)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder of training sets")
    parser.add_argument("--model", action="append", help="name of a model; may be given again")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/lesions.json"))
    given = parser.parse_args()
    known = json.loads(given.out.read_text("utf-8"))["effect"] if given.out.exists() else {}
    document: dict[str, Any] = {"shape": {}, "effect": known}
    datasets = {name: read_dataset(given.data / name) for name in SETS}
    for name, dataset in datasets.items():
        document["shape"][name] = shape(dataset)
        print(name, json.dumps(document["shape"][name]), flush=True)
    for model in given.model or [DEFAULT_MODEL]:
        predictor = load(model)
        rows = {**provenance(), "version": predictor.version, "sets": {}}
        for name, dataset in datasets.items():
            rows["sets"][name] = effect(dataset, predictor, validation=SETS[name])
            print(model, name, json.dumps(rows["sets"][name], indent=1), flush=True)
        document["effect"][predictor.name] = rows
    given.out.write_text(json.dumps(document, indent=1) + "\n", "utf-8")
    draw(document, given.out.with_suffix(".png"))


if __name__ == "__main__":
    main()
