"""A hundred spoilt files of each format: the reading process lives, and no error is without a name."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.io import fuzz, seeds
from tests.io.guided import explore

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="limits memory by a means that Windows lacks")


@pytest.mark.parametrize("name", seeds.FORMATS)
def test_spoilt_files_are_read_or_refused(name: str, tmp_path: Path) -> None:
    found = fuzz.run(name, 100, 11, tmp_path)
    assert found["unnamed"] == []
    assert found["deaths"] == []
    assert found["messages_of_several_lines"] == 0
    assert found["messages_with_the_patient"] == 0
    assert found["outcomes"].get("read", 0) > 0, "every file is spoilt beyond reading, so little is tested"
    assert found["outcomes"].get("ReadError", 0) + found["outcomes"].get("PromptError", 0) > 10


@pytest.mark.slow
def test_fuzzing_can_be_guided_by_coverage() -> None:
    pytest.importorskip("atheris", reason="atheris is not installed; `make fuzz` installs it")
    found = explore("prompts", 5)
    assert (found["status"], found["wrong"]) == (0, [])
    assert found["files"] > 100


def test_an_escaped_error_and_a_dead_process_are_noticed(tmp_path: Path) -> None:
    """The harness itself: what it must never see, it would see."""
    reader = fuzz.Reader()
    (tmp_path / "x.dcm").write_bytes(b"")
    request = {"verb": "no such verb", "paths": [str(tmp_path / "x.dcm")]}
    assert reader.read(request)["kind"] == "unnamed"
    assert reader._process is not None
    reader._process.kill()
    reader._process.wait()
    with pytest.raises(BrokenPipeError):
        reader._process.stdin.write(b"x" * 10**6)
    reader._process = None
    assert reader.read(request)["kind"] == "unnamed"
    reader.close()
