"""How long writing a large DICOM-SEG takes, and how much memory, next to highdicom alone in the same run.

A CT of 512 x 512 x 600 voxels with ten segments in one label map. Each way runs in a process of its own, which tells
its peak memory, volume and masks included; the ways take turns. Times are compared in
seconds of the processor, of each way the run with the fewest: other work on the machine stretches only the others.

    python -m benchmarks.seg.speed            # writes benchmarks/results/seg_speed.json
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.seg.cases import ellipsoids
from benchmarks.seg.machine import RESULTS, provenance
from edgeflow_med.segmentation import Segmentation

SHAPE, SEGMENTS, ROUNDS = (600, 512, 512), 10, 3
WAYS = ("highdicom", "unchecked", "checked")
# Times of highdicom's own, and gigabytes, that must not be passed.
LIMITS = {"unchecked": 1.2, "checked": 2.5, "peak_gb": 1.5}


def once(way: str, shape: tuple[int, int, int]) -> dict[str, float]:
    """Write in one way; seconds and peak memory of this process."""
    import highdicom

    from edgeflow_med.io import dicom_seg
    from edgeflow_med.io.atomic import write_together
    from edgeflow_med.io.dicom_sources import normalised_sources

    segmentation = ellipsoids(shape, SEGMENTS)
    assert highdicom.__version__
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "seg.dcm")
        began, began_cpu = time.perf_counter(), time.process_time()
        if way == "highdicom":
            _by_highdicom(segmentation).save_as(path)
        elif way == "unchecked":
            sources = normalised_sources(segmentation.volume)
            dicom_seg.build_dicom_seg(segmentation, sources).save_as(path, enforce_file_format=True)
        else:
            part, _ = dicom_seg.dicom_seg_part(segmentation, path)
            write_together([part])
        seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - began_cpu
        size = path.stat().st_size
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"seconds": seconds, "cpu_seconds": cpu_seconds, "peak_gb": peak / 1e9, "file_mb": size / 1e6}


def _by_highdicom(segmentation: Segmentation) -> Any:
    """What a user of highdicom alone would write: all slices as they are, empty frames left out by highdicom."""
    from highdicom.seg import Segmentation as HighdicomSegmentation
    from pydicom.uid import generate_uid

    from edgeflow_med.io.dicom_seg import describe_segment

    return HighdicomSegmentation(
        source_images=list(segmentation.volume.headers),
        pixel_array=segmentation.labelmap(),
        segmentation_type="BINARY",
        segment_descriptions=[describe_segment(segment, segmentation) for segment in segmentation.segments],
        series_instance_uid=generate_uid(),
        series_number=1,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer="x",
        manufacturer_model_name="x",
        software_versions="1",
        device_serial_number="1",
    )


def main() -> int:
    """Measure all ways and write the result; exit status 1 if a limit is passed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--way", choices=WAYS, help="measure one way in this process and print it")
    parser.add_argument("--slices", type=int, default=SHAPE[0])
    parser.add_argument("--output", type=Path, default=RESULTS / "seg_speed.json")
    given = parser.parse_args()
    shape = (given.slices, *SHAPE[1:])
    if given.way:
        print(json.dumps(once(given.way, shape)))
        return 0
    runs: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    for _ in range(ROUNDS):
        for way in WAYS:
            command = [sys.executable, "-m", "benchmarks.seg.speed", "--way", way, "--slices", str(given.slices)]
            runs[way].append(json.loads(subprocess.check_output(command, text=True)))
    best = {way: min(results, key=lambda result: result["cpu_seconds"]) for way, results in runs.items()}
    times = {way: best[way]["cpu_seconds"] / best["highdicom"]["cpu_seconds"] for way in ("unchecked", "checked")}
    held = all(times[way] <= LIMITS[way] for way in times) and best["checked"]["peak_gb"] <= LIMITS["peak_gb"]
    document = {
        **provenance(),
        "shape": list(shape),
        "segments": SEGMENTS,
        "best_of": ROUNDS,
        "ways": {way: {key: round(value, 3) for key, value in result.items()} for way, result in best.items()},
        "load": os.getloadavg()[0],
        "times_highdicom": {way: round(value, 3) for way, value in times.items()},
        "limits": LIMITS,
        "held": held,
    }
    given.output.write_text(json.dumps(document, indent=2) + "\n", "utf-8")
    print(json.dumps(document, indent=2))
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
