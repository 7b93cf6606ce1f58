"""What Slicer's catalogue asks of a module's entry file, read from its source; it runs in Slicer only."""

from __future__ import annotations

import ast
import re
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


def is_attribute(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)


def test_entry_is_the_only_module_and_short() -> None:
    assert [path.name for path in MODULE.glob("*.py")] == ["EdgeFlow.py"]
    assert len((MODULE / "EdgeFlow.py").read_text("utf-8").splitlines()) <= 100


def test_the_module_is_small() -> None:
    """All of it, with what ctest runs: mathematics, files, state and decisions live in the library."""
    lines = {path: len(path.read_text("utf-8").splitlines()) for path in MODULE.rglob("*.py")}
    assert len(lines) > 5
    assert sum(lines.values()) < 1000, lines


@pytest.mark.parametrize("path", sorted(MODULE.rglob("*.py")), ids=lambda path: path.name)
def test_file_scope_imports_only_what_slicer_brings_and_runs_nothing(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))
    assert imports(tree.body) <= ALLOWED
    calls = [node for node in tree.body if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)]
    assert calls == []
    # Slicer adds what its modules bring to `slicer` after it has read all scripted modules.
    outside = [node for node in tree.body if not isinstance(node, (ast.FunctionDef, ast.ClassDef))]
    names = {node.value.id for part in outside for node in ast.walk(part) if is_attribute(node)}
    assert "slicer" not in names


def test_entry_defines_the_classes_that_slicer_looks_up() -> None:
    tree = ast.parse((MODULE / "EdgeFlow.py").read_text("utf-8"))
    classes = {node.name for node in tree.body if isinstance(node, ast.ClassDef)}
    assert classes == {"EdgeFlow", "EdgeFlowWidget", "EdgeFlowLogic", "EdgeFlowTest"}


def untranslated(source: str) -> list[str]:
    """Sentences, and whatever is reported, that do not go through Slicer's ``tr``."""
    tree = ast.parse(source)
    inside, reported = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node) is not None:
            inside.add(node.body[0].value)
        if isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in {"_", "translate", "error"}:  # the last is the log's
                inside |= set(ast.walk(node))
            if called == "_report":
                reported |= set(ast.walk(node))
    words = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    sentence = re.compile(r"[A-Z].* .*[.:?!]( \.\.\.)?$", re.DOTALL)
    return [
        n.value for n in words if n not in inside and (sentence.match(n.value) or (n in reported and n.value.strip()))
    ]


@pytest.mark.parametrize(
    "path", [MODULE / "EdgeFlow.py", *sorted(MODULE.glob("EdgeFlowLib/*.py"))], ids=lambda path: path.name
)
def test_what_the_reader_reads_can_be_translated(path: Path) -> None:
    assert untranslated(path.read_text("utf-8")) == []


def test_a_sentence_that_cannot_be_translated_is_found() -> None:
    source = 'def f(self):\n    """Say it now."""\n    self._report("Ready")\n    label.text = "All of it is there."\n'
    assert set(untranslated(source)) == {"Ready", "All of it is there."}
    assert (
        untranslated(source.replace('"Ready"', '_("Ready")').replace('"All of it is there."', "_('It is there.')"))
        == []
    )
