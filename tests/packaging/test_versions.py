"""One version, one list of requirements: what is written in several places agrees."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import edgeflow_med

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"].values()
REQUIREMENTS = [*PROJECT["dependencies"], *(line for extra in EXTRAS for line in extra)]


def constraints() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in pairs}


@pytest.mark.parametrize("line", REQUIREMENTS)
def test_every_requirement_has_a_tested_version_within_its_bounds(line: str) -> None:
    requirement = Requirement(line)
    tested = constraints()
    assert canonicalize_name(requirement.name) in tested
    assert requirement.specifier.contains(tested[canonicalize_name(requirement.name)])


def test_constraints_hold_versions_and_no_addresses() -> None:
    assert constraints()
    assert "/" not in "".join(constraints().values())


@pytest.mark.parametrize(
    ("file", "pattern"),
    [("CITATION.cff", r"^version: (\S+)$"), ("CHANGELOG.md", r"^## \[(\d\S*)\]")],
)
def test_version_is_the_same_everywhere(file: str, pattern: str) -> None:
    found = re.search(pattern, (ROOT / file).read_text("utf-8"), re.MULTILINE)
    assert found is not None
    assert found[1] == edgeflow_med.__version__
