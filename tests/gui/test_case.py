"""A case in a program that is made of dictionaries: answers are shown, the mouse is heard, the scene remembers."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgeflow_med.gui.case import Case
from edgeflow_med.gui.display import Canvas
from edgeflow_med.gui.worker import Worker
from edgeflow_med.predictors.base import Prediction, SliceRequest
from edgeflow_med.volume import Plane, Volume
from tests.gui import test_twin
from tests.gui.seat import AFFINE, DISK, SHAPE
from tests.region_growing import RegionGrower


class Scene(test_twin.Scene):
    """Segments, a volume, and what is saved."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        array = np.zeros(SHAPE, np.float32)
        array[1:8] = DISK
        self.volume, self.beside = Volume(array, AFFINE), folder
        self.folder: Path | None = None
        self.journal: str | None = None

    def put(self, name: str, mask: NDArray[np.bool_] | None = None, **tags: str) -> str:
        return super().put(name, np.zeros(SHAPE, np.bool_) if mask is None else mask, **tags)

    def remembered(self) -> tuple[Path | None, str | None, Path | None]:
        return self.folder, self.journal, self.beside

    def remember(self, folder: Path) -> None:
        self.folder = folder

    def carry(self, journal: str) -> None:
        self.journal = journal

    def sources(self) -> list[Path]:
        return []


class Views:
    """Nothing but a mouse."""

    def __init__(self) -> None:
        self.adds = True
        self.on_gesture: Callable[..., None]

    def here(self, axis: int) -> int:
        return SHAPE[axis] // 2

    def jump(self, index: tuple[float, ...]) -> None: ...

    def close(self) -> None: ...

    def click(self, *index: float, inverted: bool = False) -> None:
        self.on_gesture([np.array(index)], Plane.AXIAL, 2.0, inverted)


class Paper(Canvas):
    """Dots by a number each."""

    def __init__(self) -> None:
        self.proposals = np.zeros(SHAPE, np.uint8)
        self.edges = np.zeros(SHAPE, np.uint8)
        self.dots: dict[int, tuple[tuple[float, float, float], bool]] = {}
        self.selected: set[int] = set()
        self.shown, self.redrawn, self._last = False, [(False, False)], 0

    def add_dot(self, ras: tuple[float, float, float], positive: bool) -> Any:
        self._last += 1
        self.dots[self._last] = ras, positive
        return self._last

    def remove_dot(self, dot: Any) -> None:
        del self.dots[dot]
        self.selected.discard(dot)

    def select_dot(self, dot: Any, selected: bool) -> None:
        self.selected = self.selected | {dot} if selected else self.selected - {dot}

    def redraw(self, proposals: bool, edges: bool) -> None:
        self.redrawn.append((proposals, edges))

    def show_edges(self, shown: bool) -> NDArray[np.uint8]:
        self.shown = shown
        return self.edges

    def close(self) -> None:
        self.dots.clear()


class Slow(RegionGrower):
    """Answers when its gate is open, and knows what was on the disk by then."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()
        self.gate.set()

    def predict(self, request: SliceRequest) -> Prediction:
        assert self.gate.wait(10)
        return super().predict(request)


class Program:
    """All of it."""

    def __init__(self, folder: Path, scene: Scene | None = None) -> None:
        self.scene, self.views, self.paper = scene or Scene(folder), Views(), Paper()
        self.worker, self.told, self.network = Worker(), list[str](), Slow()
        self.case = Case(self.scene, self.views, self.paper, self.worker, self.told.append, lambda: None)
        self.case.session.predictor, self.case.session.window = self.network, "0,1"

    def settle(self) -> None:
        end = time.monotonic() + 20
        self.case.poll()
        while self.case.desk.asking or self.case.desk.walking or self.worker.unfinished:
            assert time.monotonic() < end
            time.sleep(0.001)
            self.case.poll()

    def click(self, *index: float, inverted: bool = False) -> None:
        self.views.click(*index, inverted=inverted)
        self.settle()

    def mask(self) -> NDArray[np.bool_]:
        return self.scene.mask("S0")

    def close(self) -> None:
        self.network.gate.set()
        self.case.close()
        self.worker.stop()


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    made = Program(tmp_path)
    yield made
    made.close()


def test_a_click_is_answered_in_the_scene(program: Program) -> None:
    program.click(4, 20, 24)
    np.testing.assert_array_equal(program.mask()[4], DISK)
    assert program.mask().sum() == DISK.sum()
    assert list(program.paper.dots.values()) == [((-24.0, -20.0, 4.0), True)]
    assert program.case.current == "S0"


def test_the_poll_that_takes_an_answer_shows_it(program: Program) -> None:
    program.case.desk.add_segment()
    program.settle()
    program.views.click(4, 20, 24)
    end = time.monotonic() + 20
    while program.case.desk.asking and time.monotonic() < end:
        assert not program.mask().any()
        program.case.poll()
    assert program.mask().any()


def test_the_prompt_is_on_the_disk_before_it_is_answered_and_nobody_waits(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    program.click(4, 20, 24)
    done = list[tuple[str, bool]]()
    sync, predict = os.fsync, program.network.predict
    here = threading.main_thread()
    monkeypatch.setattr(
        os, "fsync", lambda file: (done.append(("sync", threading.current_thread() is here)), sync(file))
    )
    monkeypatch.setattr(program.network, "predict", lambda asked: (done.append(("predict", False)), predict(asked))[1])
    program.network.gate.clear()
    program.views.click(5, 25, 24)
    assert ("sync", True) not in done
    assert program.scene.folder is not None
    assert '"type":"prompt"' in (program.scene.folder / "journal.jsonl").read_text("utf-8").splitlines()[-1]
    program.network.gate.set()
    program.settle()
    assert done[:2] == [("sync", False), ("predict", False)]
    assert ("sync", True) in done[2:], "the answer, before it is shown"


def test_a_disk_that_fails_is_told_and_nothing_is_shown(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    program.click(4, 20, 24)
    before, asked, sync = program.mask().copy(), program.network.requests, os.fsync

    def fail(file: int) -> None:
        if threading.current_thread() is not threading.main_thread():
            raise OSError(28, "No space left on device")
        sync(file)

    monkeypatch.setattr(os, "fsync", fail)
    program.click(5, 25, 24)
    assert "No space left on device" in program.told[-1]
    assert program.network.requests == asked
    np.testing.assert_array_equal(program.mask(), before)
    monkeypatch.setattr(os, "fsync", sync)
    program.click(5, 25, 24)
    np.testing.assert_array_equal(program.mask()[5], DISK)


def test_a_click_on_a_marker_selects_it_and_with_ctrl_it_draws(program: Program) -> None:
    program.click(4, 20, 24)
    program.click(4, 20, 25)
    assert program.case.desk.selected == (1, (0, 4), 0)
    assert program.paper.selected == set(program.paper.dots)
    assert program.told[-1] == "Prompt selected; Delete takes it back."
    program.click(4, 20, 25, inverted=True)
    assert program.case.desk.selected is None
    assert program.paper.selected == set()
    assert [positive for _, positive in program.paper.dots.values()] == [True, False]
    program.case.desk.undo()
    program.settle()
    assert len(program.paper.dots) == 1


def test_a_click_beside_the_volume_is_told(program: Program) -> None:
    program.click(-3, 20, 24)
    assert "lies outside the volume" in program.told[-1]


def test_proposals_and_edges_are_drawn_until_they_are_not(program: Program) -> None:
    program.click(4, 20, 24)
    program.case.show_edges(True)
    assert program.paper.shown
    assert program.paper.redrawn[-1] == (False, True)
    assert program.paper.edges[4].max() > 200
    program.case.desk.propagate_up()
    program.settle()
    assert program.paper.proposals.any((1, 2)).nonzero()[0].tolist() == [5, 6, 7]
    program.case.show_edges(False)
    edges = program.paper.edges.copy()
    program.case.desk.undo()
    program.settle()
    assert not program.paper.proposals.any()
    np.testing.assert_array_equal(program.paper.edges, edges)  # nobody sees them
    program.case.show_edges(True)
    assert not program.paper.edges[5].any()


def test_a_segment_is_chosen_in_the_scene(program: Program) -> None:
    program.case.desk.add_segment()
    program.case.desk.add_segment()
    program.settle()
    assert program.case.current == "S1"
    assert program.case.select("S0")
    assert program.case.current == "S0"
    assert not program.case.select("S0")
    assert not program.case.select("another program's")


def test_the_scene_brings_the_case_back(program: Program, tmp_path: Path) -> None:
    program.click(4, 20, 24)
    assert program.scene.journal is not None
    kinds = [json.loads(line)["type"] for line in program.scene.journal.splitlines()]
    assert kinds == ["open", "step", "step", "prompt", "step"]
    program.case.close()
    again = Program(tmp_path, program.scene)
    assert again.case.opened == "Resumed; 3 steps can be undone."
    np.testing.assert_array_equal(again.case.desk.current.mask[4], DISK)
    assert len(again.scene.segments) == len(again.paper.dots) == 1
    again.close()


def test_what_the_session_refuses_is_told_and_set_back(program: Program) -> None:
    program.case.desk.add_segment()
    program.settle()
    program.scene.change("S0", name="x" * 65)
    program.settle()
    program.case.poll()
    assert "1 to 64 characters" in program.told[-1]
    assert program.scene.look("S0").name == "Lesion"
