"""One thread, newest job of a key first to count, results only where somebody polls."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from edgeflow_med.gui.worker import Worker


@pytest.fixture
def worker() -> Iterator[Worker]:
    worker = Worker()
    yield worker
    worker.stop()


def finish(worker: Worker) -> None:
    deadline = time.monotonic() + 10
    while worker.unfinished and time.monotonic() < deadline:
        worker.poll()
        time.sleep(0.001)
    assert worker.unfinished == 0


def test_all_jobs_run_in_one_other_thread_and_results_arrive_here(worker: Worker) -> None:
    ran, arrived = [], []
    for number in range(20):
        worker.submit(
            number, lambda: ran.append(threading.get_ident()), lambda _: arrived.append(threading.get_ident())
        )
    finish(worker)
    assert set(ran) == {ran[0]} != {threading.get_ident()}
    assert arrived == [threading.get_ident()] * 20


def test_newest_job_of_a_key_wins_and_others_keep_their_turn(worker: Worker) -> None:
    gate, done = threading.Event(), []
    worker.submit("gate", gate.wait, lambda _: None)
    time.sleep(0.05)  # the thread is in it now
    for key, value in (("slice 1", "old"), ("slice 2", "other"), ("slice 1", "new")):
        worker.submit(key, lambda value=value: value, done.append)
    worker.submit("walk", lambda: "walk", done.append, priority=1)
    worker.submit("late", lambda: "late", done.append)
    worker.submit("never", lambda: "never", done.append)
    worker.cancel("never")
    gate.set()
    finish(worker)
    assert done == ["other", "new", "late", "walk"]


def test_an_exception_is_a_result(worker: Worker) -> None:
    found: list[object] = []
    worker.submit("bad", lambda: 1 / 0, found.append)
    worker.submit("good", lambda: 1, found.append)
    finish(worker)
    assert isinstance(found[0], ZeroDivisionError)
    assert found[1] == 1


def test_stop_ends_the_thread_and_forgets_what_waits() -> None:
    worker, gate, ran = Worker(), threading.Event(), []
    worker.submit("gate", gate.wait, lambda _: None)
    worker.submit("waits", lambda: ran.append(1), lambda _: None)
    worker.stop()
    gate.set()
    worker._thread.join(10)
    assert not worker._thread.is_alive()
    assert ran == []
