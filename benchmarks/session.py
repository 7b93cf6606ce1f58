"""What a session costs: 1,000 steps on a volume of 512 x 512 x 600 voxels, in memory and in milliseconds.

    python -m benchmarks.session                   # writes benchmarks/results/session.json

The predictor is quick and its answers are as large and as rough as those of a network, so that what is measured is the
session: rules, packing, journal and history. Memory is what the process takes more after the steps than before, and
of that the masks.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import re
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.seg.machine import RESULTS, provenance
from edgeflow_med.predictors.base import Prediction, SliceRequest
from edgeflow_med.prompts import Click
from edgeflow_med.session import Question, Session
from edgeflow_med.volume import Volume

SHAPE = (600, 512, 512)
SEGMENTS = 4


class Blobs:
    """A disk about the last prompt, some 40 mm wide, with a soft rim of noise and an edge map like a network's."""

    name, version, device = "blobs", "1", "cpu"

    def __init__(self) -> None:
        self.dice = np.random.default_rng(0)

    def predict(self, request: SliceRequest) -> Prediction:
        """Answer at once."""
        row, column = request.strokes[-1].points[0] if request.strokes else (256, 256)
        rows, columns = np.ogrid[: request.image.shape[0], : request.image.shape[1]]
        depth = 28 - np.hypot(rows - row, columns - column) + self.dice.normal(0, 1.5, request.image.shape)
        probability = (1 / (1 + np.exp(-np.clip(depth / 2, -30, 30)))).astype(np.float32)
        edge = np.exp(-((depth / 4) ** 2)).astype(np.float32)
        return Prediction(probability, edge, 0.9)


def resident_mb() -> float:
    """Memory of this process, in MB."""
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * 4096 / 1e6


def large_arrays_mb() -> float:
    """How much of that lies in mappings as large as a mask, in MB."""
    sizes = re.findall(r"^(Size|Rss): +([0-9]+) kB", Path("/proc/self/smaps").read_text("ascii"), re.MULTILINE)
    kilobytes = [int(value) for _, value in sizes]
    one_mask = np.prod(SHAPE) / 1024
    return sum(rss for size, rss in zip(kilobytes[::2], kilobytes[1::2], strict=True) if size >= one_mask) * 1024 / 1e6


def timed(action: Callable[[], object]) -> tuple[float, float]:
    """Milliseconds that something takes: by the clock, disk and other programs included, and of the processor alone."""
    began, worked = time.perf_counter(), time.process_time()
    action()
    return (time.perf_counter() - began) * 1000, (time.process_time() - worked) * 1000


def figures(values: list[tuple[float, float]]) -> dict[str, float]:
    """Median, 95th percentile and maximum by the clock, and the median and maximum of the processor's time."""
    clock, processor = np.array(values).T
    return {
        "median_ms": round(float(np.median(clock)), 2),
        "p95_ms": round(float(np.percentile(clock, 95)), 2),
        "max_ms": round(float(clock.max()), 2),
        "median_processor_ms": round(float(np.median(processor)), 2),
        "max_processor_ms": round(float(processor.max()), 2),
    }


def work(session: Session, steps: int) -> dict[str, list[tuple[float, float]]]:
    """So many steps, most of them clicks; milliseconds of each without the predictor."""
    dice = np.random.default_rng(1)
    took: dict[str, list[tuple[float, float]]] = {"click": [], "paint": [], "accept": []}
    predictor = session.predictor
    assert predictor is not None
    while len(session.history) < steps:
        segment = session.segments[int(dice.integers(SEGMENTS))]
        k, j, i = (int(dice.integers(60, n - 60)) for n in SHAPE)
        plane = ("axial", "axial", "axial", "coronal", "sagittal")[int(dice.integers(5))]
        kind = dice.random()
        if kind < 0.8:
            asked: list[Question] = []
            prompt = Click((k, j, i), bool(dice.random() < 0.7))
            first = timed(lambda p=prompt, s=segment, at=plane, a=asked: a.append(session.ask(p, s, at)))
            prediction = predictor.predict(asked[0].request)
            then = timed(lambda q=asked[0], p=prediction: session.answer(q, p))
            took["click"].append((first[0] + then[0], first[1] + then[1]))
        elif kind < 0.95:
            points = [(k, j, i), (k, j + 20, i + 20)]
            took["paint"].append(timed(lambda p=points, s=segment: session.paint((p, 5.0), s, plane="axial")))
        else:
            took["accept"].append(timed(lambda n=k, s=segment: session.accept(n, s, "axial")))
    return took


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=1000, metavar="N")
    parser.add_argument("--output", type=Path, default=RESULTS / "session.json", metavar="PATH")
    options = parser.parse_args()
    values = np.random.default_rng(2).integers(-1000, 1000, SHAPE, np.int16)
    volume = Volume(values, np.array([[0, 0, 0.7, 0], [0, 0.7, 0, 0], [1.0, 0, 0, 0], [0, 0, 0, 1]]), "CT")
    found: dict[str, Any] = {
        **provenance(),
        "load_average": os.getloadavg(),
        "python": platform.python_version(),
        "shape": SHAPE,
        "segments": SEGMENTS,
    }
    with tempfile.TemporaryDirectory() as folder:
        case = Path(folder) / "case"
        found["open"] = figures([timed(lambda: Session(volume, None, case_dir=Path(folder) / "first").close())])
        session = Session(volume, Blobs(), window="soft-tissue", case_dir=case)
        for number in range(SEGMENTS):
            session.add_segment(f"Segment {number + 1}")
        gc.collect()
        before, arrays_before = resident_mb(), large_arrays_mb()
        took = work(session, options.steps)
        gc.collect()
        after, arrays = resident_mb(), large_arrays_mb() - arrays_before
        filled = sum(int(state.mask.any((1, 2)).sum()) for state in session.segments)
        steps = [part for node in session._ledger.history.done for part in node.parts]  # noqa: SLF001 - to look inside
        packed = [getattr(assign.after, "packed", None) for step in steps for assign in step.assigns]
        found["steps"] = len(session.history)
        found["memory_mb"] = {
            "masks_if_full": round(SEGMENTS * np.prod(SHAPE) / 1e6, 1),
            "masks_as_they_are": round(arrays, 1),
            "all_else": round(after - before - arrays, 1),
            "packed_differences": round(sum(len(patch.data) for step in steps for patch in step.patches) / 1e6, 2),
            "packed_answers": round(sum(len(answer.data) for answer in packed if answer is not None) / 1e6, 2),
            "slices_with_voxels": filled,
        }
        found["actions"] = {name: figures(values) for name, values in took.items() if values}
        found["undo"] = figures([timed(session.undo) for _ in range(options.steps // 2)])
        found["redo"] = figures([timed(session.redo) for _ in range(options.steps // 2)])
        session.close()
        found["journal_mb"] = round((case / "journal.jsonl").stat().st_size / 1e6, 1)
        found["resume"] = figures([timed(lambda: Session.resume(case, volume=volume).close())])
    options.output.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
