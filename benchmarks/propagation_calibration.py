"""Find out when propagation should stop, for the weights of one model, on the validation split.

    python -m benchmarks.propagation_calibration --model edgeflow_w18 --write      # or: make calibrate-brakes

Objects of the training sets' validation cases are annotated on their middle slice by the robot user and propagated
without brakes, some slices beyond their ends. Each step is then either in the structure or out of it; a logistic
regression of that on the evidence gives the :class:`edgeflow_med.propagation.Calibration`, and leaving out each patient
in turn tells how well it does on others. Signs are fixed (a sharper edge never speaks against a structure), every data
set weighs the same.

Prints how well it separates (for ``docs/explanation/propagation.md``) and the calibration itself; ``--write`` puts it
into the model's ``configs/metadata.json``, from where propagation takes it. Stopped and started again it goes on.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.stats import spearmanr

from benchmarks.objects import Object
from benchmarks.propagation import load
from edgeflow_med import metrics
from edgeflow_med.evaluation.datasets import read_dataset
from edgeflow_med.evaluation.volumes import middle_slice, sample_objects
from edgeflow_med.predictors.base import Predictor
from edgeflow_med.propagation import Brakes, Calibration, Evidence, expected_dice
from edgeflow_med.propagation.brakes import TERMS
from edgeflow_med.training.cases import is_validation
from edgeflow_med.weights import DEFAULT_MODEL, find_bundle

SETS = ("SarcomaMR", "SarcomaCT", "LungNoduleCT", "Hippocampus", "GliomaMR")
BEYOND = 4
LIMITS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
RELEASED = Brakes(presence=0.0, shrink=0.0, grow=np.inf, smallest=1)
AS_GOOD = 0.005  # of 3-D Dice: less of a difference is none, on so few objects
PENALTY = 0.1  # of squared weights per standard deviation: measures that say the same share the weight

Array = NDArray[np.float64]


def steps_of(scan: Object, predictor: Predictor) -> Iterator[dict[str, Any]]:
    """Each step away from the middle slice, up to some slices beyond the object."""
    middle = middle_slice(scan.truth)
    extent = np.flatnonzero(scan.truth.any(axis=(1, 2)))
    known = {middle: scan.annotate(predictor, middle)}
    ends = (int(extent[0]) - BEYOND - 1, int(extent[-1]) + BEYOND + 1)
    anchors = [n for n in ends if 0 <= n < len(scan.images)]
    for step in scan.steps(predictor, known, anchors=anchors, brakes=RELEASED):
        if step.evidence is not None:
            truth = scan.truth[step.index]
            mask = step.prediction.mask if step.prediction is not None else np.zeros_like(truth)
            yield {
                "set": scan.dataset,
                "object": scan.name,
                "direction": step.direction,
                "inside": bool(truth.any()),
                "dice": metrics.dice(mask, truth),
                "pixels": [int((mask & truth).sum()), int(mask.sum()), int(truth.sum())],
                **asdict(step.evidence),
            }


def inputs(steps: Sequence[dict[str, Any]]) -> Array:
    """``(N, terms)`` clipped measures."""
    return np.array([[np.clip(s[name], term.low, term.high) for name, term in TERMS.items()] for s in steps])


def fit(measures: Array, inside: Array, weights: Array) -> Array:
    """Coefficients of a logistic regression, the bias last."""
    scale = measures.std(axis=0) + 1e-6
    design = np.c_[measures / scale, np.ones(len(measures))]

    def loss(coefficients: Array) -> float:
        logits = design @ coefficients
        likelihood = inside * logits - np.logaddexp(0.0, logits)
        return float(-(weights * likelihood).sum() / weights.sum() + PENALTY * (coefficients[:-1] ** 2).sum())

    bounds = [(0, None) if term.sign > 0 else (None, 0) for term in TERMS.values()]
    found = minimize(loss, np.zeros(design.shape[1]), bounds=[*bounds, (None, None)]).x
    return np.array([*(found[:-1] / scale), found[-1]])


def probabilities(measures: Array, coefficients: Array) -> Array:
    """Of being in the structure."""
    return np.asarray(1 / (1 + np.exp(-(measures @ coefficients[:-1] + coefficients[-1]))))


def left_out(steps: Sequence[dict[str, Any]], measures: Array, inside: Array, weights: Array) -> Array:
    """Probabilities by regressions that have not seen the patient."""
    patients = np.array([s["object"].split("/")[0] for s in steps])
    result = np.zeros(len(steps))
    for patient in set(patients.tolist()):
        own = patients == patient
        result[own] = probabilities(measures[own], fit(measures[~own], inside[~own], weights[~own]))
    return result


def consequences(steps: Sequence[dict[str, Any]], going_on: NDArray[np.bool_]) -> dict[str, float]:
    """3-D Dice and ends if propagation stops where ``going_on`` is first false."""
    runs: dict[tuple[str, str, int], list[int]] = {}
    for number, step in enumerate(steps):
        runs.setdefault((step["set"], step["object"], step["direction"]), []).append(number)
    ends: list[int] = []
    pixels: dict[tuple[str, str], Array] = {}
    for (dataset, name, _), numbers in runs.items():
        stop = next((place for place, n in enumerate(numbers) if not going_on[n]), len(numbers))
        ends.append(stop - sum(steps[n]["inside"] for n in numbers))
        total = pixels.setdefault((dataset, name), np.zeros(3))
        for place, n in enumerate(numbers):
            total += np.array(steps[n]["pixels"]) * ([1, 1, 1] if place < stop else [0, 0, 1])
    errors = np.array(ends)
    return {
        "dice": round(float(np.mean([2 * both / max(a + b, 1) for both, a, b in pixels.values()])), 3),
        "overrun_median": float(np.median(np.maximum(errors, 0))),
        "overrun_mean": round(float(np.mean(np.maximum(errors, 0))), 2),
        "underrun_median": float(np.median(np.maximum(-errors, 0))),
        "underrun_mean": round(float(np.mean(np.maximum(-errors, 0))), 2),
        "ends_within_1": round(float(np.mean(np.abs(errors) <= 1)), 2),
    }


def choose(by_limit: Mapping[float, Mapping[str, float]]) -> float:
    """Below what to stop: of the limits that are as good as the best, the one that misses fewest slices at the ends."""
    best = max(found["dice"] for found in by_limit.values())
    good = [limit for limit, found in by_limit.items() if found["dice"] >= best - AS_GOOD]

    def missed(limit: float) -> tuple[float, float]:
        found = by_limit[limit]
        return round(found["overrun_mean"] + found["underrun_mean"], 1), -found["dice"]

    return min(good, key=missed)


def separation(values: Array, inside: Array) -> float:
    """Area under the ROC curve."""
    ranks = np.argsort(np.argsort(values)) + 1.0
    positive = inside > 0
    count = int(positive.sum())
    return float((ranks[positive].sum() - count * (count + 1) / 2) / (count * (len(inside) - count)))


def report(steps: Sequence[dict[str, Any]]) -> Calibration:
    """Print everything."""
    measures, inside = inputs(steps), np.array([float(s["inside"]) for s in steps])
    sets = [s["set"] for s in steps]
    weights = np.array([1 / sets.count(name) for name in sets])
    coefficients = fit(measures, inside, weights)
    print(f"{len(steps)} steps of {len({(s['set'], s['object']) for s in steps})} objects, {inside.mean():.0%} inside")
    usual = np.average(measures, axis=0, weights=weights * inside)
    for number, (name, term) in enumerate(TERMS.items()):
        area = separation(measures[:, number] * term.sign, inside)
        print(f"  {name:9s} weight {coefficients[number]:+6.2f}  usual {usual[number]:.2f}  AUC alone {area:.2f}")
    others = left_out(steps, measures, inside, weights)
    print(f"  bias {coefficients[-1]:+.2f}; AUC of all, patients left out: {separation(others, inside):.3f}")
    print("no brakes", consequences(steps, np.ones(len(steps), bool)))
    by_limit = {limit: consequences(steps, others >= limit) for limit in LIMITS}
    for limit, what in by_limit.items():
        print(f"presence {limit}", what)
    best = choose(by_limit)
    print("ends known", consequences(steps, inside > 0))
    for dataset in dict.fromkeys(sets):
        own = [s for s in steps if s["set"] == dataset and s["inside"]]
        fields = Evidence.__dataclass_fields__
        expected = [expected_dice(Evidence(**{name: s[name] for name in fields})) for s in own]
        true = [s["dice"] for s in own]
        print(
            f"{dataset}: expected Dice {np.mean(expected):.2f}, true {np.mean(true):.2f}, "
            f"rank correlation {spearmanr(expected, true)[0]:.2f}, of quality alone "
            f"{spearmanr([s['quality'] for s in own], true)[0]:.2f}"
        )
    weighed, means = (
        {name: float(f"{value:.3g}") for name, value in zip(TERMS, values, strict=True)}
        for values in (coefficients[:-1] + 0.0, usual)  # + 0.0: no minus before zero
    )
    return Calibration(float(f"{coefficients[-1]:.3g}"), weighed, means, best)


def collect(given: argparse.Namespace) -> list[dict[str, Any]]:
    """The steps of all objects, those in the file of steps not walked again if they are of the same weights."""
    predictor = load(given.model)
    version = f"{predictor.name} {predictor.version}"
    known = json.loads(given.steps.read_text("utf-8")) if given.steps.exists() else {}
    steps: list[dict[str, Any]] = known["steps"] if known.get("model") == version else []
    done = {(s["set"], s["object"]) for s in steps}
    given.steps.parent.mkdir(parents=True, exist_ok=True)
    for dataset in (read_dataset(given.data / name) for name in SETS):
        for target in sample_objects(dataset, given.objects, seed=0, accept=is_validation):
            if (dataset.name, target.id) not in done:
                began = time.monotonic()
                steps.extend(steps_of(Object.read(dataset, target), predictor))
                given.steps.write_text(json.dumps({"model": version, "steps": steps}), "utf-8")
                print(f"{dataset.name} {target.id}: {time.monotonic() - began:.0f} s", flush=True)
    return steps


def write(model: str, brakes: dict[str, Any]) -> Path:
    """Put the calibration into a bundle's metadata."""
    path = find_bundle(model).path / "configs" / "metadata.json"
    content = json.loads(path.read_text("utf-8"))
    content["edgeflow"]["brakes"] = brakes
    path.write_text(json.dumps(content, indent=1) + "\n", "utf-8")
    return path


def main() -> None:
    """Collect steps, report, and write if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/train"), help="folder of training sets")
    parser.add_argument("--model", default=DEFAULT_MODEL, help="name of a model, or a training run's checkpoint")
    parser.add_argument("--objects", type=int, default=4, help="objects per data set")
    parser.add_argument(
        "--steps", type=Path, default=Path("out/brakes.json"), help="where the steps are kept for another run"
    )
    parser.add_argument("--write", action="store_true", help="put the calibration into the model's metadata.json")
    given = parser.parse_args()
    brakes = asdict(report(collect(given)))
    print(json.dumps({"brakes": brakes}, indent=1))
    if given.write:
        print(write(given.model, brakes))


if __name__ == "__main__":
    main()
