"""A session that is answered from a thread: nothing waits, order is kept, undo reaches what is not answered yet."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edgeflow_med.gui.live import Live, journal_text, open_session
from edgeflow_med.gui.worker import Worker
from edgeflow_med.io import read_volume
from edgeflow_med.predictors.base import Prediction, SliceRequest
from edgeflow_med.prompts import Click
from edgeflow_med.resources import resource
from edgeflow_med.session import Session
from edgeflow_med.volume import Volume
from tests.region_growing import RegionGrower

SHAPE = (9, 40, 48)
AFFINE = np.eye(4)[[2, 1, 0, 3]]  # k runs along z
BALL = np.hypot(*(np.ogrid[: SHAPE[1], : SHAPE[2]][n] - c for n, c in ((0, 20), (1, 24)))) < 8


class Gated(RegionGrower):
    """Answers when the test lets it."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Semaphore(0)
        self.threads: set[int] = set()

    def predict(self, request: SliceRequest) -> Prediction:
        assert self.gate.acquire(timeout=10)
        self.threads.add(threading.get_ident())
        return super().predict(request)


class Desk:
    """A live session with what it told."""

    def __init__(self) -> None:
        array = np.zeros(SHAPE, np.float32)
        array[1:8] = BALL
        self.predictor, self.worker, self.told = Gated(), Worker(), list[str]()
        self.session = Session(Volume(array, AFFINE), self.predictor, window="0,1", journal=False)
        self.segment = self.session.add_segment("Lesion")
        self.live = Live(self.session, self.worker, self.told.append)

    def click(self, k: int, j: int = 20, i: int = 24, positive: bool = True) -> None:
        plane = self.session.plane
        self.live.ask(Click((k, j, i), positive), self.segment, plane)

    def allow(self, answers: int) -> None:
        self.predictor.gate.release(answers)

    def settle(self) -> None:
        deadline = time.monotonic() + 10
        while (self.live.asking or self.live.walking or self.worker.unfinished) and time.monotonic() < deadline:
            self.live.poll()
            time.sleep(0.001)
        assert not self.live.asking
        assert not self.live.walking


@pytest.fixture
def desk() -> Iterator[Desk]:
    desk = Desk()
    yield desk
    desk.allow(100)
    desk.live.close()
    desk.worker.stop()


def test_asking_returns_at_once_and_the_answer_comes_with_a_poll(desk: Desk) -> None:
    desk.click(4)
    assert desk.live.asking
    assert not desk.segment.mask.any()
    desk.allow(1)
    desk.settle()
    np.testing.assert_array_equal(desk.segment.mask[4], BALL)
    assert desk.predictor.threads.isdisjoint({threading.get_ident()})
    assert desk.told[-1].startswith("Lesion, axial slice 4: quality ")


def test_clicks_made_while_one_is_out_are_all_answered_in_order(desk: Desk) -> None:
    desk.click(4)
    desk.click(4, 15, 24, positive=False)
    desk.click(2)
    desk.allow(3)
    desk.settle()
    assert [len(desk.segment.slices[0, k].prompts) for k in (2, 4)] == [1, 2]
    assert desk.session.history[-3:] == ("Click",) * 3
    assert not desk.segment.mask[4, 15, 24]
    assert desk.segment.mask[4, 20, 24]


def test_undo_takes_back_what_is_not_answered_yet(desk: Desk) -> None:
    desk.click(4)
    desk.click(5)
    desk.live.undo()  # the click that waits
    desk.live.undo()  # the question that is out
    desk.allow(2)
    desk.settle()
    assert desk.session.history == ("Add Segment",)
    assert not desk.segment.mask.any()
    desk.click(6)
    desk.allow(1)
    desk.settle()
    desk.live.undo()
    assert desk.told[-1] == "Undone: Click."
    desk.live.redo()
    assert desk.segment.mask[6].any()


def test_an_answer_that_comes_too_late_is_asked_for_again(desk: Desk) -> None:
    desk.click(4)
    desk.session.paint((2, BALL), desk.segment)
    desk.allow(2)
    desk.settle()
    assert desk.predictor.requests == 2
    np.testing.assert_array_equal(desk.segment.mask[4], BALL)


def test_deleting_a_prompt_asks_anew_without_waiting(desk: Desk) -> None:
    desk.allow(2)
    desk.click(4)
    desk.click(4, 15, 24, positive=False)
    desk.settle()
    plane = desk.session.plane
    desk.live.delete(1, plane, 4, 1)
    assert desk.live.asking
    desk.live.delete(1, plane, 4, 7)  # waits, and is refused when its turn comes
    desk.allow(1)
    desk.settle()
    assert desk.segment.mask[4, 15, 24]
    assert "has 1 prompts, not a number 7" in desk.told[-1]
    desk.live.delete(1, plane, 4, 0)  # nothing is left to ask about
    assert not desk.live.asking
    assert not desk.segment.mask.any()


def test_propagation_walks_without_waiting_and_is_one_step(desk: Desk) -> None:
    desk.allow(100)
    desk.click(4)
    desk.settle()
    desk.live.propagate(desk.segment, desk.session.plane)
    assert desk.live.walking
    desk.settle()
    assert desk.segment.mask.any((1, 2)).tolist() == [False, *[True] * 7, False]
    desk.live.undo()
    assert desk.segment.mask.any((1, 2)).sum() == 1


def test_a_click_stops_a_propagation_and_keeps_what_it_did(desk: Desk) -> None:
    desk.allow(1)
    desk.click(4)
    desk.settle()
    desk.live.propagate(desk.segment, desk.session.plane, directions=(1,))
    desk.allow(1)
    deadline = time.monotonic() + 10
    while not desk.segment.mask[5].any() and time.monotonic() < deadline:
        desk.live.poll()
    desk.click(2)
    assert not desk.live.walking
    desk.allow(2)
    desk.settle()
    assert desk.segment.mask.any((1, 2)).nonzero()[0].tolist() == [2, 4, 5]


def test_a_failing_network_is_told_and_forgotten(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    desk.predictor.infer = lambda *_: 1 / 0  # type: ignore[method-assign]
    desk.allow(1)
    desk.click(4)
    desk.settle()
    assert desk.told[-1] == "That failed: ZeroDivisionError('division by zero'); the log says more."
    assert "ZeroDivisionError" in caplog.text
    assert not desk.segment.mask.any()


def test_measuring(desk: Desk) -> None:
    found: list[str] = []
    desk.live.measure(desk.segment, found.append)
    desk.settle()
    desk.allow(1)
    desk.click(4)
    desk.settle()
    desk.live.measure(desk.segment, found.append)
    desk.settle()
    assert found[0] == "empty"
    assert found[1].startswith(f"{BALL.sum() / 1000:.2f} ml, 1")


def test_a_case_goes_on_from_its_folder_or_from_what_a_scene_carries(tmp_path: Path) -> None:
    session, told, _ = open_session(VOLUME, beside=tmp_path)
    assert told == "A new case."
    session.paint((2, BALL), session.add_segment("Lesion"))
    folder, carried = session.case_dir, journal_text(session)
    session.close()
    assert folder is not None
    assert folder.parent == tmp_path

    for gone in (False, True):
        if gone:
            shutil.rmtree(folder)
        again, told, ahead = open_session(VOLUME, folder=folder, carried=carried, beside=tmp_path)
        assert not ahead
        assert told == "Resumed; 2 steps can be undone."
        np.testing.assert_array_equal(again.segments[0].mask[2], BALL)
        assert (again.case_dir == folder) is not gone
        again.close()


def test_a_case_that_went_on_after_the_scene_was_saved_is_ahead_of_it(tmp_path: Path) -> None:
    session = open_session(VOLUME, beside=tmp_path).session
    carried = journal_text(session)
    session.add_segment("Lesion")
    session.close()
    for _ in range(2):  # that it was opened before changes nothing
        again = open_session(VOLUME, folder=session.case_dir, carried=carried, beside=tmp_path)
        again.session.close()
        assert again.ahead
        again = open_session(VOLUME, folder=session.case_dir, carried=journal_text(session), beside=tmp_path)
        again.session.close()
        assert not again.ahead


def test_a_case_of_another_volume_is_left_alone(tmp_path: Path) -> None:
    session = open_session(VOLUME, beside=tmp_path).session
    session.close()
    other = Volume(np.ones(SHAPE), AFFINE)
    fresh, told, _ = open_session(other, folder=session.case_dir, beside=tmp_path)
    assert told.startswith("This is not the volume of the case")
    assert fresh.segments == ()
    assert fresh.case_dir != session.case_dir
    fresh.close()


VOLUME = Volume(np.zeros(SHAPE), AFFINE)


def test_an_export_of_a_case_lays_down_how_the_mask_came_to_be(tmp_path: Path) -> None:
    array = np.zeros(SHAPE, np.float32)
    array[1:8] = BALL
    worker, saved = Worker(), list[Path]()
    with Session(Volume(array, AFFINE), RegionGrower(), window="0,1", case_dir=tmp_path / "case") as session:
        session.add_segment("Lesion")
        session.click((4, 20, 24))
        live = Live(session, worker, lambda _: None)
        live.export(tmp_path / "lesion.nii", saved.append)
        deadline = time.monotonic() + 20
        while not saved and time.monotonic() < deadline:
            live.poll()
            time.sleep(0.001)
        live.close()
    worker.stop()
    assert saved == [tmp_path / "lesion.nii"]
    assert '"PromptCounts"' in (tmp_path / "lesion.nii.provenance.json").read_text("utf-8")


def test_what_an_export_had_to_change_is_told(tmp_path: Path) -> None:
    volume = read_volume(resource("sample_data") / "sts_003_ct" / "series")
    for header in volume.headers:
        del header.SliceThickness
    mask = np.zeros(volume.shape, bool)
    mask[20:22, 60:80, 60:80] = True
    worker, told, saved = Worker(), list[str](), list[Path]()
    with Session(volume, RegionGrower(), journal=False) as session:
        session.add_segment("Lesion", mask)
        Live(session, worker, told.append).export(tmp_path / "lesion.dcm", saved.append)
        deadline = time.monotonic() + 60
        while not saved and time.monotonic() < deadline:
            worker.poll()
            time.sleep(0.001)
    worker.stop()
    assert told[-1].startswith(f"Saved and read back: {tmp_path / 'lesion.dcm'}. The images have no SliceThickness;")
