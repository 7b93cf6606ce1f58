"""Runs the module's tests inside 3D Slicer, by its ``--python-script``; ``test_in_slicer.py`` starts it and judges.

The report is written in any case, and says how many tests were collected, passed, failed and skipped.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
DEFAULT = "tests/slicer/l1 tests/slicer/l3/suite"


class Counter:
    """A pytest plugin that counts."""

    def __init__(self) -> None:
        self.counts = {"collected": 0, "passed": 0, "failed": 0, "skipped": 0}
        self.problems: list[str] = []

    def pytest_collection_finish(self, session) -> None:
        self.counts["collected"] = len(session.items)

    def pytest_collectreport(self, report) -> None:
        if not report.passed:
            self._count(report)

    def pytest_runtest_logreport(self, report) -> None:
        if report.when == "call" or not report.passed:
            self._count(report)

    def _count(self, report) -> None:
        self.counts[report.outcome] += 1
        if report.failed:
            self.problems.append(f"{report.nodeid}\n{report.longreprtext}")


def main() -> int:
    """Run the tests; the exit status of pytest."""
    report = {
        "status": 1,
        "collected": 0,
        "passed": 0,
        "failed": 0,
        "skipped": 0,
        "problems": ["it did not come that far"],
    }
    try:
        sys.path.insert(0, str(ROOT))
        os.chdir(ROOT)
        import pytest

        counter = Counter()
        tests = os.environ.get("EDGEFLOW_L3_TESTS", DEFAULT).split()
        status = int(pytest.main(["-p", "no:cacheprovider", *tests], plugins=[counter]))
        report = {"status": status, **counter.counts, "problems": counter.problems}
    except ImportError as error:
        report["problems"] = [f"{error}; Slicer's Python needs pytest, hypothesis and what the module needs"]
    except BaseException:  # noqa: BLE001 - whatever it is, it goes into the report
        report["problems"] = [traceback.format_exc()]
    Path(os.environ["EDGEFLOW_L3_REPORT"]).write_text(json.dumps(report), "utf-8")
    return int(report["status"])


if __name__ == "__main__":
    import slicer

    slicer.util.exit(main())
