"""What Slicer's catalogue asks of a module's entry file, read from its source; it runs in Slicer only."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULE = ROOT / "slicer_module"
ALLOWED = {*sys.stdlib_module_names, "numpy", "vtk", "qt", "ctk", "slicer"}


def imports(body: list[ast.stmt]) -> set[str]:
    names = {alias.name for node in body if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in body if isinstance(node, ast.ImportFrom)}
    return {name.split(".")[0] for name in names}


def test_entry_is_the_only_module_and_short() -> None:
    assert [path.name for path in MODULE.glob("*.py")] == ["EdgeFlow.py"]
    assert len((MODULE / "EdgeFlow.py").read_text("utf-8").splitlines()) <= 100


@pytest.mark.parametrize("path", sorted(MODULE.rglob("*.py")), ids=lambda path: path.name)
def test_file_scope_imports_only_what_slicer_brings_and_runs_nothing(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))
    assert imports(tree.body) <= ALLOWED
    calls = [node for node in tree.body if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)]
    assert calls == []


def test_entry_defines_the_classes_that_slicer_looks_up() -> None:
    tree = ast.parse((MODULE / "EdgeFlow.py").read_text("utf-8"))
    classes = {node.name for node in tree.body if isinstance(node, ast.ClassDef)}
    assert classes == {"EdgeFlow", "EdgeFlowWidget", "EdgeFlowLogic", "EdgeFlowTest"}


def test_installation_report_names_what_is_missing(tmp_path: Path) -> None:
    """From a checkout the library is found beside the module; a package that is hidden is named."""
    code = (
        f"import sys; sys.path[:0] = [{str(MODULE)!r}]; sys.modules['nibabel'] = None\n"
        "import importlib.util as util; find = util.find_spec\n"
        "from EdgeFlowLib import installation\n"
        "installation.find_spec = lambda name: None if name == 'nibabel' else find(name)\n"
        "print('\\n'.join(installation.report()))"
    )
    told = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    library, packages = told.stdout.splitlines()
    assert str(ROOT / "edgeflow_med") in library
    assert packages == "Missing packages: nibabel"


def test_packages_asked_for_are_requirements_of_the_library() -> None:
    tree = ast.parse((MODULE / "EdgeFlowLib/installation.py").read_text("utf-8"))
    needed = next(
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "NEEDED"
    )
    requirements = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["dependencies"]
    for name in needed:
        assert any(line.startswith(name) for line in requirements), name
