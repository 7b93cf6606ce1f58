"""The main job is run once, for real; many tests look at what it left."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import pytest

from edgeflow_med.cli import main
from edgeflow_med.weights import DEFAULT_MODEL, bundle_names
from tests.cli.scans import CENTRE, write_ball


@dataclass(frozen=True)
class Ran:
    """A finished command."""

    status: int
    out: str
    err: str


Run = Callable[..., Ran]


def run_command(*arguments: object) -> Ran:
    out, err = StringIO(), StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        status = main([str(argument) for argument in arguments])
    return Ran(status, out.getvalue(), err.getvalue())


@pytest.fixture(scope="session")
def run() -> Run:
    """Run a command in this process."""
    assert DEFAULT_MODEL in bundle_names(), "the default model is part of the package"
    return run_command


@pytest.fixture(scope="session")
def series(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CT series with a ball."""
    return write_ball(tmp_path_factory.mktemp("scan") / "series")


@dataclass(frozen=True)
class Job:
    """The main job, done."""

    ran: Ran
    folder: Path


@pytest.fixture(scope="session")
def job(run: Run, series: Path, tmp_path_factory: pytest.TempPathFactory) -> Job:
    """One click in the ball, propagated; everything that can be written."""
    folder = tmp_path_factory.mktemp("job")
    outputs = [part for name in ("ball.dcm", "ball.nii.gz", "ball.seg.nrrd") for part in ("--output", folder / name)]
    k, j, i = CENTRE
    extras = ("--report", folder / "report.json", "--picture", folder / "ball.png")
    options = ("--click", f"{k},{j},{i}", "--label", "Ball", "--propagate", "--device", "cpu")
    return Job(run("segment", series, *options, *outputs, *extras), folder)
