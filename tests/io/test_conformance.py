"""The table of bad and odd inputs in docs/reference/conformance.md and the tests say the same."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.io.test_dicom_read import RIGHT
from tests.io.test_dicom_refused import REFUSED

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"^\| (?P<input>[^|]+) \| (?P<outcome>[^|]+) \| `(?P<test>test_[^`]+)` \|$", re.MULTILINE)


@pytest.fixture(scope="module")
def rows() -> list[re.Match[str]]:
    text = (ROOT / "docs" / "reference" / "conformance.md").read_text("utf-8")
    table = text.split("## Bad and odd inputs")[1].split("\n## ")[0]
    found = list(ROW.finditer(table))
    assert len(found) == sum(line.startswith("| ") for line in table.splitlines()) - 1, "a row has another form"
    return found


@pytest.fixture(scope="module")
def collected(rows: list[re.Match[str]]) -> set[str]:
    """The ids of all tests in the files that the table names."""
    files = sorted({f"tests/io/{row['test'].split('::')[0]}" for row in rows})
    command = [sys.executable, "-m", "pytest", "--collect-only", "--quiet", *files]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True, cwd=ROOT)
    return {line.removeprefix("tests/io/") for line in result.stdout.splitlines() if "::" in line}


def test_the_table_is_long_enough_and_no_row_stands_twice(rows: list[re.Match[str]]) -> None:
    assert len(rows) >= 40
    for part in ("input", "test"):
        assert len({row[part] for row in rows}) == len(rows)


def test_every_row_is_a_test(rows: list[re.Match[str]], collected: set[str]) -> None:
    wild = {test.split("[")[0] + "[*]" for test in collected}
    assert [row["test"] for row in rows if row["test"] not in collected | wild] == []


def test_every_odd_series_is_a_row_with_the_outcome_that_its_test_wants(rows: list[re.Match[str]]) -> None:
    outcomes = {row["test"]: row["outcome"] for row in rows}
    for cases, test, word in (
        (RIGHT, "test_dicom_read.py::test_is_read_right", "read"),
        (REFUSED, "test_dicom_refused.py::test_is_refused_with_the_reason_in_one_line", "refused"),
    ):
        for case in cases:
            assert re.match(rf"{word}\b", outcomes.get(f"{test}[{case}]", "is not there")), case


def test_every_outcome_begins_with_read_or_refused(rows: list[re.Match[str]]) -> None:
    assert [row["outcome"] for row in rows if not re.match(r"(read|refused)\b", row["outcome"])] == []
