"""What Slicer's catalogue asks of a module's entry file, read from its source; it runs in Slicer only."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULE = ROOT / "slicer_module"
ALLOWED = {*sys.stdlib_module_names, "numpy", "vtk", "qt", "ctk", "slicer", "EdgeFlowLib"}


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
