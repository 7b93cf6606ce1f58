"""Stands in for ``slicer.packaging`` of Slicer 5.12, as far as the module uses it: the same names, and the real pip.

Only the standard library and ``packaging`` are imported, both of which Slicer brings.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement


def load_pyproject_dependencies(path: str | Path) -> list[Requirement]:
    """The requirements of a project."""
    return [
        Requirement(line) for line in tomllib.loads(Path(path).read_text("utf-8"))["project"].get("dependencies", [])
    ]


def pip_check(requirement: Requirement) -> bool:
    """Whether a requirement is met, and those of its extras."""
    try:
        found = metadata.distribution(requirement.name)
    except metadata.PackageNotFoundError:
        return False
    if not requirement.specifier.contains(found.version, prereleases=True):
        return False
    further = [Requirement(line) for line in found.requires or []]
    return all(
        pip_check(each)
        for each in further
        if each.marker
        and not each.marker.evaluate({"extra": ""})
        and any(each.marker.evaluate({"extra": extra}) for extra in requirement.extras)
    )


def pip_install(
    requirements: Sequence[str], constraints: str | Path | None = None, requester: str | None = None
) -> None:
    """Run pip, by itself or, where ``PIP_OF`` names an interpreter that has it, by that one's."""
    pinned = ["--constraint", str(constraints)] if constraints else []
    pip = [os.environ.get("PIP_OF", sys.executable), "-m", "pip", "--python", sys.executable, "--quiet"]
    print(f"pip for {requester}")
    subprocess.run([*pip, "install", "--disable-pip-version-check", "--no-compile", *pinned, *requirements], check=True)
