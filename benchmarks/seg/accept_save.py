"""kill -9 at random moments of saving: whatever the moment, the file holds the old result or the new one, whole.

    python -m benchmarks.seg.accept_save            # writes benchmarks/results/accept_save.json

Each trial forks a process that saves a second result over a first one, and kills it at a moment drawn evenly from the
time that such a save takes. The libraries are loaded once, before the forks, so that moments are those of saving.
"""

from __future__ import annotations

import argparse
import importlib
import itertools
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.seg.cases import SMALL, one, phantom_volume
from benchmarks.seg.machine import RESULTS, provenance
from edgeflow_med.io import MeasuredSegment, local, save, save_measurements
from edgeflow_med.segmentation import Segmentation
from tests.phantoms import ellipsoid

# Names of the target and of the files that are written along with it, by what is saved.
JOBS: dict[str, tuple[str, ...]] = {
    "DICOM-SEG": ("lesion.dcm",),
    "DICOM-SEG, deflated": ("deflated.dcm",),
    "NIfTI with sidecars": ("x_dseg.nii.gz", "x_dseg.json", "x_dseg.tsv"),
    "Slicer segmentation": ("lesion.seg.nrrd",),
    "measurement report": ("report.dcm",),
}


# Loaded before the forks: what is killed is to be saving, not loading.
_LIBRARIES = (
    "highdicom.seg",
    "highdicom.sr",
    "nibabel",
    "SimpleITK",
    *(f"edgeflow_med.io.{name}" for name in ("bids", "dicom_seg", "dicom_sr", "labelmap", "nifti", "nrrd")),
)


@dataclass
class Tally:
    """What the trials came to.

    Attributes:
        trials: How many processes were to be killed.
        killed: How many of them were in the middle of saving; the others had just finished.
        new: How often the new result was there, else the old one.
        lost: Files that held neither the old nor the new result.
        leftovers: Temporary files that the killed left behind.
    """

    trials: int = 0
    killed: int = 0
    new: int = 0
    lost: int = 0
    leftovers: int = 0


def kill_saves(count: int, folder: Path, seed: int = 0) -> dict[str, Tally]:
    """Kill saves, the jobs taking turns, until ``count`` of them were killed in the middle; a tally for each job."""
    for library in _LIBRARIES:
        importlib.import_module(library)
    trials = _Trials(folder, np.random.default_rng(seed))
    for job in itertools.cycle(JOBS):
        trials.kill(job)
        if sum(tally.killed for tally in trials.tallies.values()) == count:
            break
    return trials.tallies


class _Trials:
    """Saves over old results, killed.

    Attributes:
        tallies: What they came to, by job.
    """

    def __init__(self, folder: Path, random: np.random.Generator) -> None:
        volume, mask = phantom_volume(SMALL), ellipsoid(SMALL)
        self._folder, self._random = folder, random
        self._old, self._new = one(volume, mask), one(volume, np.roll(mask, 5, axis=2))
        self._seg = folder / "measured.dcm"
        save(self._old, self._seg)
        self._seconds: dict[str, float] = {}
        self.tallies = {job: Tally() for job in JOBS}

    def kill(self, job: str) -> None:
        """One trial; where the new result is there afterwards, the next one begins by saving the old one again."""
        if job not in self._seconds:
            self._save_old(job)
        killed = _killed_after(
            self._random.uniform(0, self._seconds[job]), lambda: _write(job, self._folder, self._new, self._seg)
        )
        state = _in_fork(lambda: _state(job, self._folder, self._old, self._new))
        tally = self.tallies[job]
        tally.trials += 1
        tally.killed += killed
        tally.new += state == _NEW
        tally.lost += state not in (_OLD, _NEW)
        for left in self._folder.glob(".????????.*"):
            tally.leftovers += 1
            left.unlink()
        if state != _OLD:
            del self._seconds[job]

    def _save_old(self, job: str) -> None:
        began = time.perf_counter()
        if _in_fork(lambda: _write(job, self._folder, self._old, self._seg)):
            raise RuntimeError(f"{job} could not be saved at all")
        self._seconds[job] = time.perf_counter() - began


def _write(job: str, folder: Path, segmentation: Segmentation, seg: Path) -> None:
    target = folder / JOBS[job][0]
    if job == "measurement report":
        volume_ml = float(np.flatnonzero(segmentation.masks[0])[0])  # tells the two apart
        save_measurements(target, seg, [MeasuredSegment(1, volume_ml, 20.0, 10.0)])
    elif job == "NIfTI with sidecars":
        save(segmentation, target, bids=True)
    else:
        save(segmentation, target, encoding="deflated" if "deflated" in job else "binary")


_OLD, _NEW, _LOST = 0, 1, 2


def _state(job: str, folder: Path, old: Segmentation, new: Segmentation) -> int:
    """Which result all files of a job hold."""
    target = folder / JOBS[job][0]
    for name in JOBS[job][1:]:
        text = (folder / name).read_text("utf-8")
        if name.endswith(".json"):
            json.loads(text)
        elif not text.endswith("\n"):
            return _LOST
    if job == "measurement report":
        from edgeflow_med.io.dicom.files import read_dataset
        from edgeflow_med.io.dicom_sr import groups

        (group,) = groups(read_dataset(target))
        volume_ml = group[3]["118565006"][0]
        volumes = [float(np.flatnonzero(segmentation.masks[0])[0]) for segmentation in (old, new)]
        return volumes.index(volume_ml) if volume_ml in volumes else _LOST
    (mask,) = local.read_segmentation([target], old.volume).masks
    for state, segmentation in ((_OLD, old), (_NEW, new)):
        if np.array_equal(mask, segmentation.masks[0]):
            return state
    return _LOST


def _in_fork(work: Callable[[], Any]) -> int:
    """Do something in a forked process and wait; the whole number that it returns, or 0, or 255 if it raised."""
    child = os.fork()
    if child == 0:
        status = 255
        try:
            result = work()
            status = result if isinstance(result, int) else 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _killed_after(seconds: float, work: Callable[[], None]) -> bool:
    """Start something in a forked process and kill it after a while; whether it was still at it."""
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(0)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def main() -> int:
    """Kill and write the result; exit status 1 if anything was lost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--output", type=Path, default=RESULTS / "accept_save.json")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        tallies = kill_saves(given.kills, Path(folder))
    total = {
        name: sum(getattr(tally, name) for tally in tallies.values()) for name in ("trials", "killed", "new", "lost")
    }
    document = {**provenance(), "total": total, "jobs": {job: vars(tally) for job, tally in tallies.items()}}
    given.output.write_text(json.dumps(document, indent=2) + "\n", "utf-8")
    print(f"{total['killed']} of {total['trials']} killed while saving, {total['lost']} previous results lost")
    return 1 if total["lost"] else 0


if __name__ == "__main__":
    sys.exit(main())
