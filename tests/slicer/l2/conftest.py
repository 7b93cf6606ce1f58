"""The module's panel in a window, with a mouse and a keyboard."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")  # before Qt is imported
from tests.slicer.l2 import pythonqt

pythonqt.install()  # before anything says `import qt`

import slicer  # noqa: E402

from tests.slicer import headless  # noqa: E402
from tests.slicer.l1.bench import ball  # noqa: E402
from tests.slicer.l2 import desktop  # noqa: E402
from tests.slicer.l2.hand import Hand, show, until  # noqa: E402
from tests.slicer.l2.reader import CENTRE, GRID, Reader, Slow, world  # noqa: E402

MODULE = Path(__file__).resolve().parents[3] / "slicer_module"
sys.path.insert(0, str(MODULE))


@pytest.fixture(scope="session")
def window(tmp_path_factory: pytest.TempPathFactory) -> desktop.MainWindow:
    """Slicer's window, one for all tests."""
    originals = os.environ.get("SLICER_PYTHON_DIR")
    return desktop.start(tmp_path_factory.mktemp("slicer"), Path(originals) if originals else None)


@pytest.fixture(autouse=True)
def complaints(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Exceptions in slots and observers, which Qt and VTK would only print, fail the test."""
    found: list[str] = []
    monkeypatch.setattr(sys, "excepthook", lambda *error: found.append("".join(traceback.format_exception(*error))))
    monkeypatch.setattr(sys, "unraisablehook", lambda error: found.append(repr(error)))
    yield found
    assert found == []


@pytest.fixture
def hand(window: desktop.MainWindow) -> Iterator[Hand]:
    """The window with an empty scene, before and after."""
    yield Hand(window)
    slicer.mrmlScene.Clear(0)
    for _ in range(3):
        slicer.app.processEvents()


@pytest.fixture
def panel(hand: Hand) -> Iterator[Any]:
    """The module's widget, loaded and entered as Slicer does it."""
    widget = desktop.load_module(hand.window, MODULE)
    parent = widget.parent
    parent.isEntered = True
    widget.enter()
    slicer.app.processEvents()
    yield widget
    parent.isEntered = False
    widget.exit()
    widget.cleanup()
    hand.window.show_panel(None)
    parent.deleteLater()


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Slow:
    """Answers without a network; journals go to a folder of the test."""
    grower = Slow()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr("edgeflow_med.predictors.lazy.load_predictor", lambda *_choice: grower)
    return grower


@pytest.fixture
def ct(hand: Hand, network: Slow) -> Any:  # noqa: ARG001 - a case opens when the panel sees it
    """A bright ball, shown in all views at its centre."""
    assert hand.window.visible
    node = headless.volume_node(ball(), GRID)
    node.CreateDefaultDisplayNodes()
    show(node)
    slicer.vtkMRMLSliceNode.JumpAllSlices(slicer.mrmlScene, *world(*CENTRE))
    return node


@pytest.fixture
def reader(hand: Hand, ct: Any, panel: Any, network: Slow) -> Reader:
    """Somebody whose model is loaded."""
    made = Reader(hand, panel, ct)
    until(lambda: panel.case is not None and not panel.worker.unfinished)
    network.thread = None  # it has been warmed up
    return made
