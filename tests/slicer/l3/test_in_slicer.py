"""Level 3: the module's tests in a real 3D Slicer, if ``SLICER_EXECUTABLE`` names one; anything unclear is a failure.

Where there is none, the way there is tested with stand-ins for it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
SLICER_PYTHON = ROOT / ".venv-slicer" / "bin" / "python"


def problems(executable: list[str], folder: Path, seconds: float = 1800, **variables: str) -> list[str]:
    """Run the tests in a Slicer, and say what is wrong; an empty list means that tests ran and passed.

    Args:
        executable: The Slicer, with arguments that come first.
        folder: For the report.
        seconds: How long it may take.
        variables: More environment variables.
    """
    report = folder / "report.json"
    options = [
        "--testing",
        "--no-splash",
        "--ignore-slicerrc",
        "--additional-module-paths",
        str(ROOT / "slicer_module"),
    ]
    command = [*executable, *options, "--python-script", str(HERE / "run_in_slicer.py")]
    try:
        done = subprocess.run(
            command,
            env={**os.environ, **variables, "EDGEFLOW_L3_REPORT": str(report)},
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return [str(error)]
    last = (done.stdout + done.stderr)[-3000:]
    if not report.is_file():
        return [f"Slicer ended with status {done.returncode} and ran no tests: {last}"]
    told = json.loads(report.read_text("utf-8"))
    if done.returncode or told["status"] or told["failed"] or not told["passed"]:
        return [f"status {done.returncode}, {told}", *told["problems"]]
    return []


@pytest.mark.slow
@pytest.mark.slicer
def test_in_slicer(tmp_path: Path) -> None:
    executable = os.environ.get("SLICER_EXECUTABLE")
    if not executable:
        pytest.skip("SLICER_EXECUTABLE does not name a 3D Slicer")
    assert problems([executable], tmp_path) == []


@pytest.mark.parametrize("code", ["", "raise SystemExit(3)"])
def test_a_slicer_that_runs_no_tests_is_a_failure(tmp_path: Path, code: str) -> None:
    assert "ran no tests" in problems([sys.executable, "-c", code], tmp_path)[0]


def test_a_slicer_that_does_not_exist_is_a_failure(tmp_path: Path) -> None:
    assert problems([str(tmp_path / "Slicer")], tmp_path)


@pytest.mark.skipif(not SLICER_PYTHON.exists(), reason="no .venv-slicer; make test-slicer makes it where it can be had")
class TestPretendedSlicer:
    """The runner from end to end, in a window of the tests' own."""

    SLICER = (str(SLICER_PYTHON), str(HERE / "pretend_slicer.py"))

    def test_passes_when_tests_pass(self, tmp_path: Path) -> None:
        one = {"OMP_NUM_THREADS": "1"}  # threads wait for each other for minutes where a core is taken
        assert problems([*self.SLICER], tmp_path, EDGEFLOW_L3_TESTS="tests/slicer/l3/suite", **one) == []

    def test_nothing_collected_is_a_failure(self, tmp_path: Path) -> None:
        (tmp_path / "test_empty.py").touch()
        assert problems([*self.SLICER], tmp_path, EDGEFLOW_L3_TESTS=str(tmp_path / "test_empty.py"))
