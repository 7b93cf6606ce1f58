"""A module ``qt`` that behaves as Slicer's does: PySide6 with the manners of PythonQt.

PythonQt, through which Slicer's Python sees Qt, differs from PySide6 in what a module's author meets daily. That is
imitated here, so that code which would fail in Slicer fails in the tests:

- Qt properties are attributes: ``button.text``, not ``button.text()``; the latter raises, as in Slicer.
- No other attribute can be set on an object of Qt's own classes, so a misspelt property raises.
- ``object.connect("clicked(bool)", f)`` checks the signature; ``f`` gets as many arguments as it takes.
- ``className()`` and ``delete()`` exist, and ``name`` is the object's name.
"""

from __future__ import annotations

import inspect
import sys
import types
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree as ET

from PySide6 import QtCore, QtGui, QtUiTools, QtWidgets

MODULES = (QtCore, QtGui, QtWidgets)
# Virtual in C++: an attribute of that name would be taken for an override.
METHODS = {"sizeHint", "minimumSizeHint"}
CUSTOM: dict[str, type[QtWidgets.QWidget]] = {}  # classes that a .ui file may name beside Qt's own


class _Property:
    """A Qt property as an attribute; on the class, the static method of that name, such as ``QTimer.singleShot``."""

    def __init__(self, name: str, static: Any) -> None:
        self._name, self._static = name, static

    def __get__(self, instance: QtCore.QObject | None, _owner: type) -> Any:
        return self._static if instance is None else instance.property(self._name)

    def __set__(self, instance: QtCore.QObject, value: Any) -> None:
        if not instance.setProperty(self._name, value):
            raise ValueError(f"{type(instance).__name__}.{self._name} cannot be set to {value!r}")


def _set_attribute(self: QtCore.QObject, name: str, value: Any) -> None:
    found = inspect.getattr_static(type(self), name, None)
    if isinstance(found, QtCore.Property):
        self.setProperty(name, value)
    elif hasattr(type(found), "__set__"):
        found.__set__(self, value)
    elif isinstance(value, QtCore.SignalInstance):
        self.__dict__[name] = value  # PySide6 itself does that when a signal is first used
    elif isinstance(value, QtCore.QObject) and value.property("objectName") == name:
        self.__dict__[name] = value  # a child by its name, which PythonQt offers too; the .ui loader sets these
    elif type(self).__module__.startswith("PySide6.") or (type(self) in CUSTOM.values() and name[0] != "_"):
        raise AttributeError(f"{type(self).__name__} has no property {name!r}, and C++ objects take no new attributes")
    else:
        self.__dict__[name] = value


def _taking(function: Callable[..., Any], offered: int) -> Callable[..., Any]:
    """Drop the arguments that a function does not take, as PythonQt does."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:  # a method written in C++
        return function
    places = sum(each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD) for each in parameters)
    if any(each.kind is each.VAR_POSITIONAL for each in parameters):
        places = offered
    # PySide6 counts the parameters too, so there must be as many as are wanted
    return (lambda: function(), lambda a: function(a), lambda a, b: function(a, b))[min(places, offered)]


def _connect(self: QtCore.QObject, signature: str, function: Callable[..., Any]) -> bool:
    name = signature.partition("(")[0]
    known = getattr(type(self), "signals", ())
    normal = QtCore.QMetaObject.normalizedSignature(signature).toStdString()
    if signature not in known and self.metaObject().indexOfSignal(normal) < 0:
        raise ValueError(f"{type(self).__name__} has no signal {signature}")
    offered = signature.count(",") + 1 if not signature.endswith("()") else 0
    connection = getattr(self, name).connect(_taking(function, offered))
    _connections.setdefault(id(self), []).append((signature, function, connection))
    return True


def _disconnect(self: QtCore.QObject, signature: str, function: Callable[..., Any]) -> bool:
    kept = _connections.get(id(self), [])
    for entry in [each for each in kept if each[:2] == (signature, function)]:
        kept.remove(entry)
        QtCore.QObject.disconnect(entry[2])
    return True


_connections: dict[int, list[tuple[str, Callable[..., Any], QtCore.QMetaObject.Connection]]] = {}


REPLACED = {"connect": _connect, "disconnect": _disconnect}


def adapt(kind: type[QtCore.QObject]) -> type[QtCore.QObject]:
    """Give a class the manners of PythonQt, in place, so that objects which Qt itself makes have them too."""
    meta = kind.staticMetaObject
    own = range(meta.propertyOffset(), meta.propertyCount())
    for name in [str(meta.property(number).name()) for number in own]:
        if name not in METHODS:
            setattr(kind, name, _Property(name, getattr(kind, name, None)))
    kind.__setattr__ = _set_attribute  # type: ignore[method-assign, assignment]
    get = kind.__getattribute__

    def get_attribute(self: QtCore.QObject, name: str) -> Any:
        # PySide6 finds `connect` before it looks at the class, so it cannot be replaced there
        return types.MethodType(REPLACED[name], self) if name in REPLACED else get(self, name)

    kind.__getattribute__ = get_attribute  # type: ignore[method-assign]
    return kind


def custom(kind: type[QtWidgets.QWidget]) -> type[QtWidgets.QWidget]:
    """Decorate a widget class that .ui files may name."""
    CUSTOM[kind.__name__] = kind
    return kind


class QUiLoader(QtUiTools.QUiLoader):
    """Loads a .ui file with the classes in :data:`CUSTOM`; a class that nobody knows is an error."""

    def load(self, source: QtCore.QIODevice, parent: QtWidgets.QWidget | None = None) -> QtWidgets.QWidget:
        """Build the widgets and make the connections of ``mrmlSceneChanged`` that the file asks for."""
        tree = ET.fromstring(source.readAll().data())
        source.close()
        self._unknown: list[str] = []
        wires = [{part.tag: part.text or "" for part in each} for each in tree.iterfind("connections/connection")]
        for each in tree.findall("connections"):
            tree.remove(each)
        buffer = QtCore.QBuffer()
        buffer.setData(ET.tostring(tree))
        buffer.open(QtCore.QIODevice.OpenModeFlag.ReadOnly)
        try:
            widget = super().load(buffer, parent)
        except RuntimeError as error:
            raise RuntimeError(f"{error}; classes that the tests do not know: {self._unknown}") from None
        named = {
            widget.objectName: widget,
            **{each.objectName: each for each in widget.findChildren(QtWidgets.QWidget)},
        }
        for wire in wires:
            receiver, slot = named[wire["receiver"]], wire["slot"].partition("(")[0]
            named[wire["sender"]].connect(wire["signal"], getattr(receiver, slot))
        return widget

    def createWidget(self, kind: str, parent: QtWidgets.QWidget | None = None, name: str = "") -> QtWidgets.QWidget:
        """Called for each widget of the file."""
        if kind in CUSTOM:
            widget = CUSTOM[kind](parent)
            widget.objectName = name
            return widget
        if kind not in self.availableWidgets():
            self._unknown.append(kind)
        return super().createWidget(kind, parent, name)


def install() -> types.ModuleType:
    """Make ``import qt`` work; the module has every public class of Qt's Core, Gui and Widgets."""
    if "qt" in sys.modules:
        return sys.modules["qt"]
    module = types.ModuleType("qt", __doc__)
    QtCore.QObject.className = lambda self: str(self.metaObject().className())
    QtCore.QObject.delete = lambda self: self.deleteLater()
    for source in MODULES:
        for name in dir(source):
            value = getattr(source, name)
            if not name.startswith("_"):
                setattr(module, name, value)
            if isinstance(value, type) and issubclass(value, QtCore.QObject):
                adapt(value)
    QtCore.QObject.name = _Property("objectName", None)
    module.QUiLoader = QUiLoader
    sys.modules["qt"] = module
    return module
