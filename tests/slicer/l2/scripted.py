"""Stand-ins for what Slicer's own Python adds to ``slicer``: scripted modules, the parameter node wrapper, translation.

Slicer's Python files are not on the registry. Where ``SLICER_PYTHON_DIR`` names the folder that holds them (in an
installed Slicer ``bin/Python/slicer``), they are used instead, so that the stand-ins can be judged by the originals.
"""

from __future__ import annotations

import enum
import sys
import types
import typing
import unittest
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import qt
import slicer
import vtk

from tests.slicer import slicer_packaging

CONNECTED = {  # widget class -> property and signal, as Slicer's connectors read and write them
    "QCheckBox": ("checked", "toggled(bool)"),
    "QPushButton": ("checked", "toggled(bool)"),
    "QSpinBox": ("value", "valueChanged(int)"),
    "QSlider": ("value", "valueChanged(int)"),
    "QDoubleSpinBox": ("value", "valueChanged(double)"),
    "QLineEdit": ("text", "textChanged(QString)"),
    "QComboBox": ("currentIndex", "currentIndexChanged(int)"),
    "qMRMLNodeComboBox": ("", "currentNodeChanged(vtkMRMLNode*)"),
}


class ScriptedLoadableModule:
    """What Slicer lists: ``parent`` takes title, categories and the like."""

    def __init__(self, parent: Any) -> None:
        self.parent = parent
        self.moduleName = type(self).__name__

    def resourcePath(self, name: str) -> str:
        """A file in ``Resources`` beside the module."""
        return str(Path(self.parent.path).parent / "Resources" / name)


class ScriptedLoadableModuleWidget:
    """The panel: ``parent`` is a ``qMRMLWidget`` with a layout."""

    def __init__(self, parent: Any = None) -> None:
        self.moduleName = type(self).__name__.removesuffix("Widget")
        self.developerMode = False
        self.parent = parent
        self.layout = parent.layout()

    def resourcePath(self, name: str) -> str:
        """A file in ``Resources`` beside the module."""
        return str(Path(slicer.util.modulePath(self.moduleName)).parent / "Resources" / name)

    def setup(self) -> None:
        """Called once; the panel is built here."""

    def cleanup(self) -> None:
        """Called before the module goes."""


class ScriptedLoadableModuleLogic:
    """Finds and makes the module's parameter node."""

    def __init__(self, parent: Any = None) -> None:
        self.parent = parent
        self.moduleName = type(self).__name__.removesuffix("Logic")
        self.isSingletonParameterNode = True

    def getParameterNode(self) -> slicer.vtkMRMLScriptedModuleNode:
        """The one parameter node of this module in the scene."""
        found = slicer.mrmlScene.GetSingletonNode(self.moduleName, "vtkMRMLScriptedModuleNode")
        node = found or slicer.mrmlScene.AddNode(self.createParameterNode())
        node.SetAttribute("ModuleName", self.moduleName)
        return node

    def createParameterNode(self) -> slicer.vtkMRMLScriptedModuleNode:
        """A new one, not yet in the scene."""
        node = slicer.vtkMRMLScriptedModuleNode()
        node.SetSingletonTag(self.moduleName)
        node.SetModuleName(self.moduleName)
        node.SetName(self.moduleName)
        return node


class ScriptedLoadableModuleTest(unittest.TestCase):
    """Self-test of a module."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*(arguments or ("runTest",)))
        self.messageDelay = 0

    def delayDisplay(self, message: str, *_rest: Any, **_more: Any) -> None:
        """Tell what comes; nobody watches here."""

    def runTest(self) -> None:
        """To be overridden."""


class Default:
    """Annotation: the value that a new parameter has."""

    def __init__(self, value: Any) -> None:
        self.value = value


class Choice:
    """Annotation: the values that are allowed."""

    def __init__(self, choices: Any) -> None:
        self.choices = list(choices)


class Minimum:
    """Annotation: the smallest value."""

    def __init__(self, minimum: float) -> None:
        self.minimum = minimum


class Maximum:
    """Annotation: the largest value."""

    def __init__(self, maximum: float) -> None:
        self.maximum = maximum


class WithinRange:
    """Annotation: the smallest and the largest value."""

    def __init__(self, minimum: float, maximum: float) -> None:
        self.minimum, self.maximum = minimum, maximum


class Decimals:
    """Annotation: digits after the point."""

    def __init__(self, value: int) -> None:
        self.value = value


class SingleStep:
    """Annotation: the step of the arrows."""

    def __init__(self, value: float) -> None:
        self.value = value


class _Parameter:
    """One field of a wrapped parameter node, as a descriptor."""

    def __init__(self, name: str, hint: Any, given: Any) -> None:
        self.name = name
        self.kind = typing.get_args(hint)[0] if typing.get_origin(hint) is Annotated else hint
        self.notes = typing.get_args(hint)[1:] if typing.get_origin(hint) is Annotated else ()
        if typing.get_origin(self.kind) in (typing.Union, types.UnionType):
            self.kind = next(each for each in typing.get_args(self.kind) if each is not type(None))
        self.is_node = isinstance(self.kind, type) and issubclass(self.kind, slicer.vtkMRMLNode)
        default = next((note.value for note in self.notes if isinstance(note, Default)), given)
        if default is None and not self.is_node:
            default = next(iter(self.kind)) if issubclass(self.kind, enum.Enum) else self.kind()
        self.default = default

    def __get__(self, owner: Any, _kind: type) -> Any:
        node = owner.parameterNode
        if self.is_node:
            return node.GetNodeReference(self.name)
        if not node.HasParameter(self.name):
            return self.default
        text = node.GetParameter(self.name)
        if issubclass(self.kind, enum.Enum):
            return self.kind[text]
        return text == "true" if self.kind is bool else self.kind(text)

    def __set__(self, owner: Any, value: Any) -> None:
        if self.is_node:
            owner.parameterNode.SetNodeReferenceID(self.name, value.GetID() if value else None)
            return
        if not isinstance(value, (self.kind, int) if self.kind is float else self.kind):
            raise TypeError(f"{self.name} must be {self.kind.__name__}, not {value!r}")
        for note in self.notes:
            if isinstance(note, Choice) and value not in note.choices:
                raise ValueError(f"{self.name} must be one of {note.choices}, not {value!r}")
            if value < getattr(note, "minimum", value) or value > getattr(note, "maximum", value):
                raise ValueError(f"{self.name} is out of range: {value!r}")
        text = value.name if isinstance(value, enum.Enum) else str(value).lower() if self.kind is bool else str(value)
        owner.parameterNode.SetParameter(self.name, text)

    def choices(self) -> list[Any]:
        """What a combo box offers."""
        if issubclass(self.kind, enum.Enum):
            return list(self.kind)
        return next(note.choices for note in self.notes if isinstance(note, Choice))


class _Wrapped:
    """Methods of every wrapped parameter node."""

    _parameters: typing.ClassVar[dict[str, _Parameter]] = {}

    def __init__(self, parameterNode: Any) -> None:
        self.parameterNode = parameterNode
        self._guis: dict[int, list[Callable[[], Any]]] = {}
        self._updating = False
        for name, each in self._parameters.items():
            if not each.is_node and not parameterNode.HasParameter(name):
                setattr(self, name, each.default)

    def connectGui(self, gui: Any) -> int:
        """Bind the widgets whose dynamic property ``SlicerParameterName`` names a parameter."""
        children = gui.findChildren(qt.QWidget) if isinstance(gui, qt.QWidget) else vars(gui).values()
        pairs = [(each, each.property("SlicerParameterName")) for each in children]
        bound = [self._bind(widget, self._parameters[name]) for widget, name in pairs if name]
        shows = [show for show, _unbind in bound]

        def update(*_event: Any) -> None:
            if not self._updating:
                self._updating = True
                for show in shows:
                    show()
                self._updating = False

        update()
        tag = self.parameterNode.AddObserver(vtk.vtkCommand.ModifiedEvent, update)
        self._guis[tag] = [lambda: self.parameterNode.RemoveObserver(tag), *(unbind for _show, unbind in bound)]
        return tag

    def _bind(self, widget: Any, parameter: _Parameter) -> tuple[Callable[[], Any], Callable[[], Any]]:
        attribute, signal = CONNECTED[type(widget).__name__]
        if type(widget).__name__ == "QComboBox":
            widget.clear()
            for choice in parameter.choices():
                widget.addItem(getattr(choice, "label", lambda c=choice: getattr(c, "name", str(c)))())
        for note in parameter.notes:
            for name in ("minimum", "maximum"):
                if hasattr(note, name):
                    setattr(widget, name, getattr(note, name))

        def read() -> Any:
            if parameter.is_node:
                return widget.currentNode()
            value = getattr(widget, attribute)
            return parameter.choices()[value] if attribute == "currentIndex" else value

        def show() -> None:
            value = parameter.__get__(self, type(self))
            if parameter.is_node:
                widget.setCurrentNode(value)
            else:
                setattr(widget, attribute, parameter.choices().index(value) if attribute == "currentIndex" else value)

        def changed(*_value: Any) -> None:
            if not self._updating:
                parameter.__set__(self, read())

        widget.connect(signal, changed)
        return show, lambda: widget.disconnect(signal, changed)

    def disconnectGui(self, tag: int) -> None:
        """Undo :meth:`connectGui`."""
        for unbind in self._guis.pop(tag, []):
            unbind()

    def getValue(self, name: str) -> Any:
        """A parameter by its name."""
        return getattr(self, name)

    def setValue(self, name: str, value: Any) -> None:
        """Set a parameter by its name."""
        setattr(self, name, value)

    def AddObserver(self, event: Any, callback: Any, priority: float = 0.0) -> int:
        """Watch the node."""
        return int(self.parameterNode.AddObserver(event, callback, priority))

    def RemoveObserver(self, tag: int) -> None:
        """Watch it no more."""
        self.parameterNode.RemoveObserver(tag)

    def StartModify(self) -> int:
        """Hold events back."""
        return int(self.parameterNode.StartModify())

    def EndModify(self, before: int) -> None:
        """Let them go."""
        self.parameterNode.EndModify(before)

    def Modified(self) -> None:
        """Tell that it changed."""
        self.parameterNode.Modified()


def parameterNodeWrapper(kind: type) -> type:
    """Decorate a class whose annotated fields become parameters of a node."""
    hints = typing.get_type_hints(kind, include_extras=True)
    fields = {name: _Parameter(name, hint, getattr(kind, name, None)) for name, hint in hints.items()}
    return type(kind.__name__, (_Wrapped,), {**fields, "_parameters": fields, "__doc__": kind.__doc__})


def translate(_context: str, text: str) -> str:
    """The text in the reader's language: English here."""
    return text


def tr(text: str) -> str:
    """The text in the reader's language: English here."""
    return text


WRAPPER = (parameterNodeWrapper, Default, Choice, Minimum, Maximum, WithinRange, Decimals, SingleStep)
MODULES = {
    "slicer.ScriptedLoadableModule": (
        ScriptedLoadableModule, ScriptedLoadableModuleWidget, ScriptedLoadableModuleLogic, ScriptedLoadableModuleTest
    ),
    "slicer.parameterNodeWrapper": WRAPPER,
    "slicer.i18n": (tr, translate),
}  # fmt: skip


def install(originals: Path | None = None) -> None:
    """Make ``from slicer.X import Y`` work, from Slicer's own files where there are any."""
    if originals is not None:
        sys.modules.pop("slicer.i18n", None)
        slicer.__path__.append(str(originals))
        return
    for name, members in MODULES.items():
        module = types.ModuleType(name)
        for member in members:
            setattr(module, member.__name__, member)
        sys.modules[name] = module
        setattr(slicer, name.partition(".")[2], module)
    slicer.packaging = sys.modules["slicer.packaging"] = slicer_packaging
