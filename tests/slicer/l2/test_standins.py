"""The stand-ins for Slicer's Qt side offer only what Slicer has, and behave as it does where the module can tell."""

import enum
from typing import Annotated

import pytest
import qt
import slicer

from tests.slicer.l2 import desktop, pythonqt, scripted
from tests.slicer.l2.hand import until
from tests.slicer.test_contract import LISTED, member

pytestmark = pytest.mark.usefixtures("hand")
OBJECTS = {
    "LayoutManager": "slicer.app.layoutManager()",
    "ModuleManager": "slicer.app.moduleManager()",
    "Application": "slicer.app",
}
OURS = {
    "signals",
    "EFFECTS",
    "COLUMNS",
    "EVENTS",
    "SIZES",
    "nodes",
}  # ours to work with; the module has no use for them


def offered(kind: type) -> set[str]:
    """Names that a stand-in offers beyond those of Qt's classes."""
    own = [each for each in kind.__mro__ if each.__module__.startswith("tests.")]
    found = {name for each in own for name in vars(each) if not name.startswith("_")}
    return {name for name in found - OURS - {"staticMetaObject"} if not hasattr(qt.QWidget, name)}


@pytest.mark.parametrize("kind", pythonqt.CUSTOM.values(), ids=lambda kind: kind.__name__)
def test_widgets_offer_only_what_slicers_have(kind: type) -> None:
    assert [name for name in offered(kind) if not member(kind.__name__, name)] == []
    assert [name for name in getattr(kind, "signals", ()) if f"{kind.__name__}.{name}" not in LISTED] == []


@pytest.mark.parametrize(
    "kind", [desktop.LayoutManager, desktop.ModuleManager, desktop.Application], ids=lambda kind: kind.__name__
)
def test_the_application_offers_only_what_slicers_has(kind: type) -> None:
    assert [name for name in offered(kind) if f"{OBJECTS[kind.__name__]}.{name}" not in LISTED] == []


@pytest.mark.parametrize("module", scripted.MODULES)
def test_python_stand_ins_offer_only_what_slicers_has(module: str) -> None:
    for each in scripted.MODULES[module]:
        assert f"{module}.{each.__name__}" in LISTED


def test_properties_are_attributes_and_misspelt_ones_fail() -> None:
    button = qt.QPushButton("Accept")
    assert button.text == "Accept"
    with pytest.raises(TypeError):
        button.text()
    with pytest.raises(AttributeError, match="chekable"):
        button.chekable = True


def test_connecting_to_a_signal_that_does_not_exist_fails() -> None:
    with pytest.raises(ValueError, match=r"clicked\(int\)"):
        qt.QPushButton().connect("clicked(int)", lambda: None)


def test_slots_get_as_many_arguments_as_they_take() -> None:
    button, told = qt.QPushButton(), []
    one, none = told.append, lambda: told.append("none")
    button.connect("clicked(bool)", one)
    button.connect("clicked(bool)", none)
    button.click()
    assert told == [False, "none"]
    button.disconnect("clicked(bool)", none)
    button.click()
    assert told == [False, "none", False]


def test_exceptions_in_slots_are_noticed(complaints: list[str]) -> None:
    button = qt.QPushButton()
    button.connect("clicked()", lambda: 1 / 0)
    button.click()
    assert "ZeroDivisionError" in complaints.pop()


def test_node_selector_follows_the_scene() -> None:
    box, told = slicer.qMRMLNodeComboBox(), []
    box.nodeTypes = ["vtkMRMLTextNode"]
    box.noneEnabled = True
    box.connect("currentNodeChanged(vtkMRMLNode*)", told.append)
    box.setMRMLScene(slicer.mrmlScene)
    assert box.currentNode() is None
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTextNode", "Note")
    box.setCurrentNode(node)
    assert box.currentNodeID == node.GetID()
    slicer.mrmlScene.RemoveNode(node)
    assert box.currentNode() is None
    assert told == [node, None]
    box.setMRMLScene(None)


class Mode(enum.Enum):
    ONE = 1
    TWO = 2


def test_parameters_and_widgets_follow_each_other() -> None:
    from slicer.parameterNodeWrapper import Choice, WithinRange, parameterNodeWrapper

    @parameterNodeWrapper
    class Parameters:
        node: slicer.vtkMRMLTextNode
        mode: Mode = Mode.TWO
        device: Annotated[str, Choice(["cpu", "cuda"])] = "cpu"
        width: Annotated[float, WithinRange(0.5, 50)] = 3.0
        edges: bool = False

    gui = qt.QWidget()
    layout = qt.QVBoxLayout(gui)
    widgets = {"mode": qt.QComboBox(), "device": qt.QComboBox(), "width": qt.QDoubleSpinBox(), "edges": qt.QCheckBox()}
    for name, widget in widgets.items():
        widget.setProperty("SlicerParameterName", name)
        layout.addWidget(widget)
    storage = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode")
    parameters = Parameters(storage)
    tag = parameters.connectGui(gui)
    assert (widgets["mode"].currentText, widgets["device"].currentText, widgets["width"].value) == ("TWO", "cpu", 3.0)

    widgets["edges"].checked = True
    widgets["device"].currentIndex = 1
    assert (parameters.edges, parameters.device) == (True, "cuda")
    assert Parameters(storage).edges is True

    parameters.width = 7.5
    until(lambda: widgets["width"].value == 7.5)
    with pytest.raises(ValueError, match="60"):
        parameters.width = 60.0

    parameters.disconnectGui(tag)
    widgets["edges"].checked = False
    assert parameters.edges is True


def test_what_the_ui_file_does_not_know_is_an_error(tmp_path) -> None:
    path = tmp_path / "a.ui"
    path.write_text('<ui version="4.0"><class>A</class><widget class="qMRMLNothing" name="A"/></ui>', "utf-8")
    with pytest.raises(RuntimeError, match="qMRMLNothing"):
        slicer.util.loadUI(str(path))
