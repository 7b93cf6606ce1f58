"""A killed process, a full disk, a folder that cannot be written to: what was shown is there again."""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edgeflow_med.errors import ReadError, WriteError
from edgeflow_med.session import Session
from edgeflow_med.session.state import State
from tests.session.crashing import crash, digest, expected
from tests.strategies import Grower, scan

KILLS = 10


def test_a_killed_session_goes_on_where_it_was(tmp_path: Path) -> None:
    dice = random.Random(5)
    digests = expected(1)
    # The script's length depends on the machine, so the moments are drawn over several orders of magnitude.
    crashes = [crash(tmp_path / str(n), 1, 10 ** dice.uniform(-3, -0.3), digests) for n in range(KILLS)]
    assert [c for c in crashes if not c.good] == []
    assert len({c.shown for c in crashes}) > 1  # else the moments were all the same


@contextmanager
def mounted(folder: Path, size: str) -> Iterator[Callable[[str], None]]:
    """A small file system in memory; what is yielded mounts it again with other options."""
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], check=False, capture_output=True
    )
    if done.returncode:
        pytest.skip("needs the right to mount a file system")
    try:
        yield lambda options: subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True) and None
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@contextmanager
def short_files(size: int) -> Iterator[Callable[[], None]]:
    """No file of this process may grow beyond a size, until what is yielded is called."""
    resource = pytest.importorskip("resource", reason="needs POSIX limits")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, before)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def fill(session: Session) -> str:
    """Click until the journal cannot take any more; the state when that happened, which is that before the click."""
    session.add_segment("One")
    for number in range(10_000):
        before, refusal = digest(session), ""
        try:
            session.click((number % 7, number % 9, number % 11), positive=number % 3 > 0)
        except WriteError as error:
            refusal = str(error)
        if refusal:
            assert "not recorded" in refusal
            assert "\n" not in refusal
            assert digest(session) == before
            return before
    raise AssertionError("the disk was never full")


def go_on(session: Session, before: str) -> None:
    """A session that a full disk stopped does everything again, once there is room."""
    assert session.click((3, 4, 5))
    assert digest(session) != before
    session.undo()
    assert session.click((3, 4, 5))


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may mount a file system")
def test_a_full_disk_loses_only_the_prompt_in_flight(tmp_path: Path) -> None:
    with mounted(tmp_path / "small", "100k") as remount:
        case = tmp_path / "small" / "case"
        with Session(scan(), Grower(), window="0,1000", case_dir=case) as session:
            before = fill(session)
            remount("size=10m")
            go_on(session, before)
            after = digest(session)
        with Session.resume(case, Grower(), scan()) as resumed:
            assert digest(resumed) == after


def test_a_file_that_may_not_grow_loses_only_the_prompt_in_flight(tmp_path: Path) -> None:
    with short_files(30_000) as allow:
        session = Session(scan(), Grower(), window="0,1000", case_dir=tmp_path / "case")
        before = fill(session)
        session.close()
        allow()
    with Session.resume(tmp_path / "case", Grower(), scan()) as resumed:
        assert digest(resumed) == before
        go_on(resumed, before)
        after = digest(resumed)
    with Session.resume(tmp_path / "case", volume=scan()) as again:
        assert digest(again) == after


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may mount a file system")
def test_a_read_only_folder_is_refused_before_anything_is_done(tmp_path: Path) -> None:
    with mounted(tmp_path / "fixed", "1m") as remount:
        folder = tmp_path / "fixed"
        with Session(scan(), Grower(), window="0,1000", case_dir=folder / "old") as session:
            session.add_segment("One")
        remount("ro")
        for act in (
            lambda: Session(scan(), Grower(), case_dir=folder / "new"),
            lambda: Session.resume(folder / "old", volume=scan()),
        ):
            with pytest.raises(WriteError, match=r"fixed.*Read-only") as caught:
                act()
            assert "\n" not in str(caught.value)
        assert not (folder / "new").exists()


def test_a_torn_line_is_cut_off_and_told_and_other_damage_is_an_error(tmp_path: Path) -> None:
    case = tmp_path / "case"
    with Session(scan(), Grower(), window="0,1000", case_dir=case) as session:
        session.add_segment("One")
        before = digest(session)
        session.click((3, 4, 5))
    journal = case / "journal.jsonl"
    whole = journal.read_bytes()
    journal.write_bytes(whole[:-40])
    with Session.resume(case, volume=scan()) as resumed:
        assert digest(resumed) == before
        assert resumed.lost is not None
        assert "click for 'One' on slice 3" in resumed.lost
        assert "cut short" in resumed.lost
    with Session.resume(case, volume=scan()) as again:  # told once, and the file is whole again
        assert again.lost is None
    lines = whole.splitlines(keepends=True)
    journal.write_bytes(b"".join([lines[0], lines[1].replace(b"One", b"Two"), *lines[2:]]))
    with pytest.raises(ReadError, match="damaged at line 2"):
        Session.resume(case, volume=scan())


def test_two_programs_cannot_write_to_one_case(tmp_path: Path) -> None:
    with Session(scan(), case_dir=tmp_path / "case"):
        with pytest.raises(WriteError, match="open in another program"):
            Session.resume(tmp_path / "case", volume=scan())
        with pytest.raises(WriteError, match="already holds a case"):
            Session(scan(), case_dir=tmp_path / "case")
    Session.resume(tmp_path / "case", volume=scan()).close()


@pytest.mark.parametrize("where", ["fsync", "apply"])
def test_an_interrupt_in_the_middle_of_a_change_leaves_journal_and_state_in_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with Session(scan(), Grower(), window="0,1000", case_dir=tmp_path / "case") as session:
        session.add_segment("One")
        before = digest(session)
        with monkeypatch.context() as patch:
            patch.setattr(*((os, "fsync") if where == "fsync" else (State, "apply")), interrupt)
            with pytest.raises(KeyboardInterrupt):
                session.rename_segment(1, "Two")
        assert digest(session) == before
        if where == "fsync":
            session.rename_segment(1, "Three")
        else:
            with pytest.raises(WriteError, match="resume its case"):
                session.rename_segment(1, "Three")
    with Session.resume(tmp_path / "case", volume=scan()) as resumed:
        assert resumed.segments[0].label == ("Three" if where == "fsync" else "Two")
