"""The module's self-test and the names that it uses, in the Slicer that runs this."""

from __future__ import annotations

import sys
import unittest
from pathlib import Path

import pytest
import slicer

from tests.slicer.test_contract import MODULE, used

ROOT = Path(__file__).resolve().parents[4]


def test_the_modules_own_test_passes() -> None:
    sys.path.insert(0, str(MODULE / "Testing" / "Python"))
    tests = unittest.defaultTestLoader.loadTestsFromName("EdgeFlowSelfTest")
    result = unittest.TestResult()
    tests.run(result)
    assert result.testsRun > 0
    assert [text for _test, text in (*result.errors, *result.failures)] == []
    if result.skipped:
        pytest.skip(result.skipped[0][1])


@pytest.mark.parametrize("path", sorted(MODULE.rglob("*.py")), ids=lambda path: path.name)
def test_names_of_the_module_exist_in_this_slicer(path: Path) -> None:
    lacking = []
    for name in used(path.read_text("utf-8")):
        root, *rest = name.split("()")[0].split(".")
        if root != "slicer" or name.startswith(("slicer.dicomDatabase", "slicer.modules")):
            continue
        found = slicer
        for part in rest:
            try:
                found = getattr(found, part)
            except AttributeError:
                lacking.append(name)
                break
    assert lacking == []
