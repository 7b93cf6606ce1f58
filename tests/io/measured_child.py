"""The reading child, which lays its own peak memory beside its answer.

The parent cannot measure it: what `getrusage` says of a child includes the parent's own memory at the time of forking.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from edgeflow_med.io import child

PROGRAM = child._PROGRAM.replace("edgeflow_med.io.child", "tests.io.measured_child")
PEAK_FILE = "EDGEFLOW_TEST_PEAK_FILE"


def serve() -> None:
    """Serve one request; before the answer is sent the peak (KB) is in a file that the environment names, on Linux."""
    answer_to = child.answer_to

    def measured(request: dict[str, Any]) -> child.Answer:
        answer = answer_to(request)
        status = Path("/proc/self/status")
        if status.exists():  # Linux
            peak = next(line.split()[1] for line in status.read_text("ascii").splitlines() if line.startswith("VmHWM"))
            Path(os.environ[PEAK_FILE]).write_text(peak, "ascii")
        return answer

    child.answer_to = measured
    child.serve()
