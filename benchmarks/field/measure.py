"""Measure one row of the field report, in a process of its own: ``python -m benchmarks.field.measure KIND NAME ...``.

Prints a line of JSON for each step done, for the progress bar. What is wrong is one line on standard error, status 2.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.field.outlines import Memory, keep_outlines
from benchmarks.field.plan import Folder, Plan, Row, find_sets, methods
from benchmarks.field.processes import peak_megabytes, processor_seconds, processor_time
from benchmarks.field.propagators import WAYS, Ours, Propagator
from benchmarks.objects import Mask, Object
from benchmarks.quality import PEERS
from benchmarks.quality.run import Method
from edgeflow_med import metrics
from edgeflow_med.errors import EdgeFlowError, ModelError
from edgeflow_med.evaluation import evaluate
from edgeflow_med.evaluation.datasets import read_dataset
from edgeflow_med.evaluation.report import describe_environment, rounded
from edgeflow_med.evaluation.targets import MIN_PIXELS
from edgeflow_med.evaluation.volumes import ACCEPTED_DICE, middle_slice, sample_objects
from edgeflow_med.predictors import load_predictor
from edgeflow_med.weights import DEFAULT_MODEL

SEEN_OURS = "no: other patients (model card)"


def told(done: int, total: int, _last: str = "") -> None:
    """Tell the parent how far this is."""
    print(json.dumps({"done": done, "total": total}), flush=True)


def measure_slices(row: Row, plan: Plan, sets: list[Path], folder: Folder) -> None:
    """Clicks and scribbles (or boxes); the outlines are kept for the pictures."""
    method = Method(row.name, PEERS.get(row.name))
    if method.peer is not None and not method.peer.installed:
        raise ModelError(f"Its files are not installed; run `{method.peer.install_command}`.")
    before = os.getloadavg()[0]
    predictor = Memory(method.load(plan.threads))
    path = folder.part(row)
    working = path.with_suffix(".report")
    report = evaluate(
        sets,
        predictor,
        plan.settings(method, row.number),
        report=working,
        progress=told,
        robots=method.robots(),
        seen=SEEN_OURS if method.peer is None else method.peer.seen,
    )
    peak = peak_megabytes()
    keep_outlines(method, predictor, plan, row.number, sets, folder)
    cost = {
        name: float(np.median(seconds))
        if (seconds := [s for is_first, s in predictor.cost if is_first == first])
        else None
        for name, first in (("first", True), ("later", False))
    }
    write(path, {**account(before, peak), "answer_cpu_seconds": cost, "report": report.document()})
    working.unlink()


def account(load_before: float, peak: float) -> dict[str, Any]:
    """What a row took; the load before and after says how far its wall-clock seconds can be trusted."""
    loads = [load_before, os.getloadavg()[0]]
    return {"peak_megabytes": peak, "load_averages": loads, "cpu_seconds": processor_seconds()}


def objects(plan: Plan, sets: list[Path]) -> Iterator[tuple[str, Object]]:
    """All objects to propagate, with their keys."""
    for folder in sets:
        dataset = read_dataset(folder)
        for target in sample_objects(dataset, plan.objects, seed=0):
            yield f"{dataset.name}/{target.id}", Object.read(dataset, target)


def measure_annotations(row: Row, plan: Plan, sets: list[Path], folder: Folder) -> None:
    """Annotate the middle slice of each object, and those at a quarter and three quarters of its extent."""
    predictor = load_predictor(DEFAULT_MODEL, "cpu")
    masks: dict[str, Mask] = {}
    dices = {}
    for done, (key, scan) in enumerate(objects(plan, sets), start=1):
        for n in sorted({middle_slice(scan.truth), *quarters(scan)}):
            masks[f"{key}@{n}"] = mask = scan.annotate(predictor, n).mask
            dices[f"{key}@{n}"] = metrics.dice(mask, scan.truth[n])
        told(done, done)
    np.savez_compressed(folder.annotations, **{key: np.packbits(mask, axis=1) for key, mask in masks.items()})
    write(folder.part(row), {"model": DEFAULT_MODEL, "dice": dices})


def quarters(scan: Object) -> tuple[int, int]:
    """The slices at a quarter and three quarters of the object's extent."""
    large = np.flatnonzero(scan.truth.sum(axis=(1, 2)) >= MIN_PIXELS)
    return int(large[len(large) // 4]), int(large[(3 * len(large)) // 4])


def measure_propagation(row: Row, plan: Plan, sets: list[Path], folder: Folder) -> None:
    """Fill what lies around one annotated slice, and between two."""
    modes = ("one", "two")
    if row.name in WAYS:
        way = WAYS[row.name]
        if missing := way.missing():
            raise ModelError(f"What it needs is not installed; run `{missing}`.")
        propagator, modes = way.make(), way.modes
    else:
        propagator = Ours(load_predictor(row.name, "cpu"))
    known = read_annotations(folder)
    before = os.getloadavg()[0]
    path = folder.part(row)
    path.parent.mkdir(parents=True, exist_ok=True)
    journal = path.with_suffix(".partial")  # one line for each object: a row that was stopped goes on behind them
    lines = journal.read_text("utf-8").splitlines() if journal.exists() else []
    records = {line["object"]: line["records"] for line in map(json.loads, lines)}
    for done, (key, scan) in enumerate(objects(plan, sets), start=1):
        if key not in records:
            records[key] = around(scan, key, propagator, modes, known[key])
            with journal.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"object": key, "records": rounded(records[key])}) + "\n")
        told(done, len(known))
    flat = [record for found in records.values() for record in found]
    write(path, {**account(before, peak_megabytes()), "environment": describe_environment(), "records": flat})
    journal.unlink(missing_ok=True)


def around(
    scan: Object, key: str, propagator: Propagator, modes: Sequence[str], slices: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Both tasks on one object."""
    asked = {"one": (middle_slice(scan.truth),), "two": quarters(scan)}
    width = scan.truth.shape[2]
    found = []
    for mode in modes:
        known = {n: np.unpackbits(slices[str(n)], axis=1, count=width).astype(bool) for n in asked[mode]}
        if record := propagated(scan, propagator, known, mode):
            found.append({"dataset": scan.dataset, "object": key, "mode": mode, **record})
    return found


def propagated(scan: Object, propagator: Propagator, known: Mapping[int, Mask], mode: str) -> dict[str, Any] | None:
    """What came of one object; None where there is nothing between, or a slice was not understood at all."""
    extent = np.flatnonzero(scan.truth.any(axis=(1, 2)))
    where = range(int(extent[0]), int(extent[-1]) + 1) if mode == "one" else range(min(known), max(known) + 1)
    if len(where) < 4 or not all(mask.any() for mask in known.values()):
        return None
    began = time.perf_counter()
    with processor_time() as work:
        found = propagator(scan, known, where)
    seconds = time.perf_counter() - began
    asked = [n for n in where if n not in known]
    looked_at = sorted({*asked, *found} - set(known))
    answer = scan.volume(found)[looked_at]
    truth = scan.truth[looked_at]
    diagonal = float(np.linalg.norm(np.multiply(truth.shape, (scan.thickness, *scan.spacing))))
    distance = metrics.hausdorff95(answer, truth, (scan.thickness, *scan.spacing))
    good = [metrics.dice(scan.volume(found)[n], scan.truth[n]) >= ACCEPTED_DICE for n in asked]
    return {
        "slices": len(looked_at),
        "dice": metrics.dice(answer, truth),
        "iou": metrics.iou(answer, truth),
        "precision": metrics.precision(answer, truth),
        "recall": metrics.recall(answer, truth),
        "accuracy": metrics.accuracy(answer, truth),
        "hd95_mm": min(distance, diagonal),
        "good": float(np.mean(good)),
        "seconds_per_slice": seconds / max(1, len(looked_at)),
        "cpu_seconds_per_slice": work.seconds / max(1, len(looked_at)),
    }


def read_annotations(folder: Folder) -> dict[str, dict[str, Any]]:
    """Packed masks by object and slice."""
    found: dict[str, dict[str, Any]] = {}
    with np.load(folder.annotations) as stored:
        for name in stored.files:
            key, _, n = name.rpartition("@")
            found.setdefault(key, {})[n] = stored[name]
    return found


def write(path: Path, document: Mapping[str, Any]) -> None:
    """A part, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps(rounded(document), allow_nan=False) + "\n", "utf-8")
    temporary.replace(path)


KINDS = {"slices": measure_slices, "annotations": measure_annotations, "propagation": measure_propagation}


def main() -> int:
    """The command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.field.measure", description=__doc__)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("name", help=f"one of {', '.join((*methods(), *WAYS))}")
    parser.add_argument("number", type=int, help="of the round, from 0")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--parts", type=Path, required=True)
    parser.add_argument("--plan", type=json.loads, required=True, help="a Plan as JSON")
    given = parser.parse_args()
    plan = Plan(**given.plan)
    try:
        row = Row(given.kind, given.name, given.number)
        KINDS[row.kind](row, plan, list(find_sets(given.data)), Folder(given.parts))
    except EdgeFlowError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
