"""What the project's pages promise: their Python runs, the files that they link to exist, so do the make targets."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "sample_data").glob("*.md")])
README_EXAMPLES = re.findall(
    r"^```python\n(.*?)^```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL | re.MULTILINE
)


def test_readme_has_an_example() -> None:
    assert README_EXAMPLES


@pytest.mark.parametrize("code", README_EXAMPLES)
def test_readme_example_runs(code: str, tmp_path: Path) -> None:
    """Run where a reader would, beside ``sample_data/``, in a folder of its own for what it writes."""
    (tmp_path / "sample_data").symlink_to(ROOT / "sample_data")
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_to_files_of_the_repository_resolve(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text("utf-8"))
    local = [target for target in targets if not re.match(r"[a-z]+:", target)]
    assert [target for target in local if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_named_make_targets_exist(page: str) -> None:
    named = set(
        re.findall(r"(?:^    |^|`)make (?:[A-Z]+=\S+ )*([a-z-]+)", (ROOT / page).read_text("utf-8"), re.MULTILINE)
    )
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    assert "test" in named
    assert named <= targets
