"""Every name of Slicer, CTK, Qt and VTK that the module uses exists in Slicer 5.12.

``slicer_names.txt`` holds the names, taken from Slicer's own sources and documentation. What the tests' stand-ins offer
is held against the same list in ``l2/``, so neither the module nor they can use a name that Slicer does not have.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULE = ROOT / "slicer_module"
PANEL = MODULE / "Resources/UI/EdgeFlow.ui"
ROOTS = {"slicer", "qt", "ctk", "vtk", "DICOMLib", "SampleData", "PyTorchUtils"}
# What calls return, where the members of that are listed under another name.
RETURNED = {
    "slicer.app.layoutManager().sliceWidget()": "qMRMLSliceWidget",
    "qMRMLSliceWidget.sliceView()": "qMRMLSliceView",
}
# Objects and classes whose members the list does not hold: VTK's own, which the tests run for real.
OPEN = ("slicer.mrmlScene.", "slicer.vtk", "vtk.", "qt.Q", "slicer.modules.")


def names() -> set[str]:
    """All names of the list."""
    lines = (Path(__file__).parent / "slicer_names.txt").read_text("utf-8").splitlines()
    return {name for line in lines if line.startswith("    ") for name in line.split()}


LISTED = names()


def dotted(node: ast.expr, aliases: dict[str, str]) -> str:
    """``slicer.app.layoutManager().sliceWidget()`` for such an expression, empty for any other."""
    if isinstance(node, ast.Name):
        return aliases.get(node.id, "")
    if isinstance(node, ast.Attribute):
        base = dotted(node.value, aliases)
        return f"{base}.{node.attr}" if base else ""
    if isinstance(node, ast.Call):
        base = dotted(node.func, aliases)
        called = f"{base}()" if base else ""
        return RETURNED.get(called, called)
    return ""


def imported(tree: ast.AST) -> dict[str, str]:
    """What each imported name of :data:`ROOTS` stands for."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {each.asname or each.name.split(".")[0]: each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {each.asname or each.name: f"{node.module}.{each.name}" for each in node.names}
    return {name: stands for name, stands in found.items() if stands.split(".")[0] in ROOTS}


def used(source: str) -> Iterator[str]:
    """Names of Slicer, CTK, Qt and VTK in a Python source, as the list writes them."""
    tree = ast.parse(source)
    aliases = imported(tree)
    yield from aliases.values()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            name = dotted(node, aliases)
            if name:
                yield name


def known(name: str) -> bool:
    """Whether the list has the name, or has what it is a member of and does not list members of that."""
    if name in LISTED or name in ROOTS or name.startswith("PyTorchUtils"):  # that extension is not part of Slicer
        return True
    if any(each.startswith(f"{name}.") for each in LISTED):
        return True  # a module
    parent, _, last = name.rpartition(".")
    if last in {"connect", "disconnect"} or last.startswith("__"):
        return known(parent)  # of every Qt object; of every class
    if "()" in parent and not any(each.startswith(f"{parent}.") for each in LISTED):
        return True  # a member of what a call returned: MRML nodes and the like
    return name.startswith(OPEN) and known(parent) and parent not in ROOTS


def widgets() -> dict[str, str]:
    """Class of each widget of the panel, by its name."""
    return {each.get("name", ""): each.get("class", "") for each in ET.parse(PANEL).iter("widget")}


def is_custom(kind: str) -> bool:
    return kind.startswith(("qMRML", "qSlicer", "ctk"))


def member(kind: str, name: str) -> bool:
    """Whether a widget class of Slicer or CTK has a property, method or signal."""
    return f"{kind}.{name}" in LISTED or f"QWidget.{name}" in LISTED


@pytest.mark.parametrize("path", sorted(MODULE.rglob("*.py")), ids=lambda path: path.name)
def test_every_name_exists_in_slicer(path: Path) -> None:
    unknown = sorted({name for name in used(path.read_text("utf-8")) if not known(name)})
    assert unknown == [], "not in slicer_names.txt"


@pytest.mark.parametrize("path", sorted(MODULE.rglob("*.py")), ids=lambda path: path.name)
def test_every_member_of_a_widget_of_slicer_exists(path: Path) -> None:
    kinds, wrong = widgets(), []
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if not isinstance(node, ast.Attribute) or not isinstance(node.value, ast.Attribute):
            continue
        kind = kinds.get(node.value.attr, "")
        if is_custom(kind) and not member(kind, node.attr) and node.attr not in {"connect", "disconnect"}:
            wrong.append(f"{node.value.attr}.{node.attr} of {kind}")
    assert wrong == []


@pytest.mark.parametrize("path", sorted(MODULE.rglob("*.py")), ids=lambda path: path.name)
def test_every_signal_of_a_widget_of_slicer_exists(path: Path) -> None:
    kinds, wrong = widgets(), []
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "connect"):
            continue
        kind = kinds.get(node.func.value.attr, "") if isinstance(node.func.value, ast.Attribute) else ""
        if is_custom(kind) and isinstance(node.args[0], ast.Constant) and f"{kind}.{node.args[0].value}" not in LISTED:
            wrong.append(f"{node.args[0].value} of {kind}")
    assert wrong == []


def test_the_panel_uses_widgets_and_properties_that_exist() -> None:
    tree = ET.parse(PANEL)
    for widget in tree.iter("widget"):
        kind = widget.get("class", "")
        if is_custom(kind):
            assert {f"slicer.{kind}", f"ctk.{kind}"} & LISTED, kind
            given = [each.get("name", "") for each in widget.findall("property") if each.get("stdset") != "0"]
            assert [name for name in given if not member(kind, name)] == [], kind
    for wire in tree.iter("connection"):
        sender, signal, slot = (wire.findtext(tag, "") for tag in ("sender", "signal", "slot"))
        kind = widgets()[sender]
        assert f"{kind}.{signal}" in LISTED or not is_custom(kind), signal
        receiver = widgets()[wire.findtext("receiver", "")]
        assert member(receiver, slot.partition("(")[0]) or not is_custom(receiver), slot


@pytest.mark.parametrize(
    ("source", "wrong"),
    [
        ("import slicer\nslicer.util.addVolumeFromArrays(1)", "slicer.util.addVolumeFromArrays"),
        ("import slicer\nslicer.app.layoutManager().sliceWidget('Red').sliceViews()", "qMRMLSliceWidget.sliceViews"),
        ("from slicer import vtkMRMLSegmentNode", "slicer.vtkMRMLSegmentNode"),
        ("import qt\nqt.QTimers()", "qt.QTimers"),
        ("from slicer.i18n import translated", "slicer.i18n.translated"),
        ("def f():\n    from slicer import packaging\n    packaging.pip_ensured()", "slicer.packaging.pip_ensured"),
    ],
)
def test_a_name_that_slicer_does_not_have_is_found(source: str, wrong: str) -> None:
    assert wrong in [name for name in used(source) if not known(name)]
