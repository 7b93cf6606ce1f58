"""One thread for everything that would freeze the views; only numpy arrays and plain values go in and come out.

The thread is the same for the life of the module: a GPU keeps its plans per thread, so that changing threads costs a
second per click.
"""

from __future__ import annotations

import itertools
import queue
import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any


@dataclass(order=True)
class Job:
    """Something to compute.

    Attributes:
        priority: Lower ones first; of equal ones the older.
        number: Order of submission.
        key: A newer job with the same key replaces one that has not begun.
        then: Called with the result on the main thread, by :meth:`Worker.poll`.
    """

    priority: int
    number: int
    key: Hashable = field(compare=False)
    function: Callable[[], Any] = field(compare=False)
    then: Callable[[Any], object] = field(compare=False)


class Worker:
    """The thread; it starts with the first job."""

    def __init__(self) -> None:
        self._jobs: dict[Hashable, Job] = {}
        self._changed = threading.Condition()
        self._results: queue.SimpleQueue[tuple[Job, Any]] = queue.SimpleQueue()
        self._numbers = itertools.count()
        self._thread: threading.Thread | None = None
        self._ending = False
        self.unfinished = 0

    def submit(
        self, key: Hashable, function: Callable[[], Any], then: Callable[[Any], object], priority: int = 0
    ) -> None:
        """Compute ``function()`` in the thread and hand its result, or the exception it raised, to ``then``."""
        with self._changed:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="EdgeFlow", daemon=True)
                self._thread.start()
            self.unfinished += key not in self._jobs
            self._jobs[key] = Job(priority, next(self._numbers), key, function, then)
            self._changed.notify()

    def cancel(self, key: Hashable) -> None:
        """Forget a job that has not begun."""
        with self._changed:
            self.unfinished -= self._jobs.pop(key, None) is not None

    def poll(self) -> None:
        """Hand over what is ready; to be called from the main thread, often."""
        while not self._results.empty():
            job, result = self._results.get()
            self.unfinished -= 1
            job.then(result)

    def stop(self) -> None:
        """End the thread after the job in hand; results that nobody fetched are lost."""
        with self._changed:
            self._ending = True
            self._jobs.clear()
            self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._jobs or self._ending)
                if self._ending:
                    return
                job = min(self._jobs.values())
                del self._jobs[job.key]
            try:
                result = job.function()
            except Exception as error:  # noqa: BLE001 - whatever it is, the main thread must hear of it
                result = error
            self._results.put((job, result))
