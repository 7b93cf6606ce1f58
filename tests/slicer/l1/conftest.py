"""The module without its panel, on Slicer's real scene and real slice views."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import slicer

from tests.slicer import headless
from tests.slicer.l1.bench import Reader, ball

ROOT = Path(__file__).resolve().parents[3]
GRID = np.array([[-1.0, 0, 0, 30], [0, -1.0, 0, 40], [0, 0, 2.0, -20], [0, 0, 0, 1]])  # IJK to RAS: 1 x 1 x 2 mm, axial
sys.path.insert(0, str(ROOT / "slicer_module"))


@pytest.fixture(autouse=True)
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[slicer.vtkMRMLScene]:
    """Slicer's one scene, emptied after each test."""
    headless.start(tmp_path_factory.getbasetemp())
    yield slicer.mrmlScene
    slicer.mrmlScene.Clear(0)


@pytest.fixture
def view() -> Iterator[Callable[..., headless.SliceView]]:
    """Makes slice views, and closes them after the test."""
    views: list[headless.SliceView] = []

    def make(name: str = "Red", **options: object) -> headless.SliceView:
        views.append(headless.SliceView(name, **options))
        return views[-1]

    yield make
    for each in views:
        each.close()


@pytest.fixture
def reader(view: Callable[..., headless.SliceView]) -> Iterator[Callable[..., Reader]]:
    """Makes readers, and closes their cases after the test."""
    readers: list[Reader] = []

    def make(volume: object = None, **options: object) -> Reader:
        node = headless.volume_node(ball(), GRID) if volume is None else volume
        readers.append(Reader(node, view, **options))
        return readers[-1]

    yield make
    for each in readers:
        each.close()


@pytest.fixture(autouse=True)
def state_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeps journals away from the reader's own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
