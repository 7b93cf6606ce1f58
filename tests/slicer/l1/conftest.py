"""The module without its panel, on Slicer's real scene and real slice views."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import slicer
from tests.slicer import headless

ROOT = Path(__file__).resolve().parents[3]
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
