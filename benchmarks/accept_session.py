"""Acceptance of the journal: a scripted session is killed at random moments, and must be there again.

    python -m benchmarks.accept_session            # writes benchmarks/results/accept_session.json

The kills (SIGKILL) hit a process of its own in the middle of its work; each time the resumed state must be the one that
was last shown, or the one that was just being written. The tests of a full disk, of a file that may not grow and of a
read-only folder run once.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from benchmarks.seg.machine import RESULTS, ROOT, provenance
from tests.session.crashing import Crash, crash, expected

SCRIPTS = 10
WITHIN_SECONDS = 0.6  # about how long a script takes


class _Outcomes:
    """Collects what became of each test."""

    def __init__(self) -> None:
        self.found: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the worst phase of a test."""
        name = report.nodeid.rpartition("::")[2]
        if report.when == "call" or report.outcome != "passed":
            self.found[name] = report.outcome


def kill(count: int, folder: Path) -> list[Crash]:
    """Kill so many sessions before they are done."""
    dice = random.Random(0)  # noqa: S311 - moments, no secrets
    digests = [expected(seed) for seed in range(SCRIPTS)]
    crash(folder / "first", 0, 0.0, digests[0])  # starts the server that starts the others
    crashes: list[Crash] = []
    number = 0
    while len(crashes) < count:
        seed = number % SCRIPTS
        found = crash(folder / str(number), seed, dice.uniform(0, WITHIN_SECONDS), digests[seed])
        number += 1
        if not found.finished:  # a kill after the end proves nothing
            crashes.append(found)
            if len(crashes) % 20 == 0:
                print(f"{len(crashes)} kills, {sum(c.good for c in crashes)} resumed rightly", flush=True)
    return crashes


def summarise(crashes: list[Crash]) -> dict[str, Any]:
    """The figures of all kills."""
    return {
        "kills": len(crashes),
        "state_of_the_last_shown_change": sum(c.kept == c.shown for c in crashes),
        "state_with_the_change_that_was_on_disk_but_not_shown_yet": sum(c.kept == c.shown + 1 for c in crashes),
        "any_other_state": sum(not c.good for c in crashes),
        "prompt_in_flight_lost_and_told": sum(c.lost is not None and "not answered" in c.lost for c in crashes),
        "line_cut_short_and_told": sum(c.lost is not None and "cut short" in c.lost for c in crashes),
        "changes_shown_before_the_kill": dict(sorted(Counter(c.shown // 10 * 10 for c in crashes).items())),
        "seconds_to_the_kill": [round(c.after, 3) for c in crashes],
    }


def main() -> int:
    """Run everything; the exit status is 1 if anything was lost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200, metavar="N")
    parser.add_argument("--output", type=Path, default=RESULTS / "accept_session.json", metavar="PATH")
    options = parser.parse_args()
    outcomes = _Outcomes()
    chosen = "full_disk or may_not_grow or read_only or torn"
    where = str(ROOT / "tests" / "session" / "test_crash.py")
    pytest.main([where, "-q", "-k", chosen, "-p", "no:cacheprovider"], plugins=[outcomes])
    with tempfile.TemporaryDirectory() as folder:
        kills = summarise(kill(options.kills, Path(folder)))
    found = {**provenance(), "kills": kills, "other": outcomes.found}
    options.output.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    print(json.dumps({**kills, "seconds_to_the_kill": "..."}, indent=1), outcomes.found, sep="\n")
    return int(kills["any_other_state"] > 0 or "failed" in outcomes.found.values())


if __name__ == "__main__":
    sys.exit(main())
