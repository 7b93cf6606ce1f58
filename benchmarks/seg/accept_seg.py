"""Acceptance of the DICOM-SEG files that we write: judged by five independent readers and validators.

    python -m benchmarks.seg.accept_seg            # writes benchmarks/results/accept_seg.json

Every case must be free of complaints from every judge that can read it, and of the defects planted in a good file all
but one must be found.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydicom import dcmread

from benchmarks.seg.cases import SMALL, cases, two
from benchmarks.seg.defects import DEFECTS
from benchmarks.seg.judges import READERS, Case, Judge, judges
from benchmarks.seg.machine import RESULTS, provenance
from edgeflow_med.io import save
from edgeflow_med.io.deidentify import deidentified

# How many of the planted defects may slip through.
MISSED_ALLOWED = 1
# Cheapest first: a defect counts as found with the first judge that complains.
_ORDER = ("identity", "dciodvfy", "dcmqi", "ohif", "pixelmed")


def accept(case: Case, folder: Path, found: Mapping[str, Judge]) -> dict[str, list[str]]:
    """Write a case and hear all judges that can read it and are here: complaints by judge."""
    path = folder / "case.dcm"
    save(case.segmentation, path, encoding=case.encoding, deidentify=case.deidentify)
    if case.deidentify:  # the same UIDs are replaced by the same throughout a process
        case = replace(case, segmentation=deidentified(case.segmentation))
    return {name: found[name](path, case) for name in case.readers if name in found}


def find_defects(folder: Path, found: Mapping[str, Judge], names: Sequence[str] = ()) -> dict[str, str]:
    """Plant defects, all or those named; the first complaint about each, empty if nobody complains."""
    case = Case("two segments", two(SMALL), READERS)
    good, bad = folder / "good.dcm", folder / "bad.dcm"
    save(case.segmentation, good)
    complaints = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom says what is wrong with the values that are planted
        for name in names or DEFECTS:
            dataset = dcmread(good)
            DEFECTS[name](dataset)
            dataset.save_as(bad, enforce_file_format=False)
            complaints[name] = _first_complaint(bad, case, found)
    return complaints


def _first_complaint(path: Path, case: Case, found: Mapping[str, Judge]) -> str:
    for judge in _ORDER:
        if judge in found:
            try:
                complaints = found[judge](path, case)
            except Exception as error:  # noqa: BLE001 - a judge that cannot read the file has found something
                return f"{judge}: {type(error).__name__} {error}"[:160]
            if complaints:
                return complaints[0][:160]
    return ""


def main() -> int:
    """Judge everything and write the result; exit status 1 if anything is amiss."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=RESULTS / "accept_seg.json")
    parser.add_argument("--small", action="store_true", help="leave out the volumes of 512 x 512 x 300 voxels")
    given = parser.parse_args()
    results: dict[str, Any] = {}
    with judges() as found, tempfile.TemporaryDirectory() as name:
        missing = [judge for judge in READERS if judge not in found]
        if missing:
            print(f"Not installed: {', '.join(missing)}; run scripts/test-deps and scripts/ohif-reader.")
            return 1
        folder = Path(name)
        for case in cases(folder, large=not given.small):
            began = time.perf_counter()
            complaints = accept(case, folder, found)
            results[case.name] = {judge: told or "agrees" for judge, told in complaints.items()}
            wrong = [line for told in complaints.values() for line in told]
            print(f"{case.name:40} {', '.join(wrong) or 'all agree'} ({time.perf_counter() - began:.0f} s)", flush=True)
        defects = find_defects(folder, found)
    missed = [name for name, complaint in defects.items() if not complaint]
    print(
        f"{len(defects) - len(missed)} of {len(defects)} planted defects found; missed: {', '.join(missed) or 'none'}"
    )
    agreed = all(told == "agrees" for told_by in results.values() for told in told_by.values())
    accepted = agreed and len(missed) <= MISSED_ALLOWED
    document = {
        **provenance(),
        "accepted": accepted,
        "cases": results,
        "defects_planted": len(defects),
        "defects_found": len(defects) - len(missed),
        "defects": {name: complaint or "not found" for name, complaint in defects.items()},
    }
    given.output.write_text(json.dumps(document, indent=2) + "\n", "utf-8")
    return 0 if accepted else 1


if __name__ == "__main__":
    sys.exit(main())
