"""What must hold for every format: checked early, whole or not there, and nothing lost when a write fails."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from edgeflow_med.errors import EdgeFlowError, WriteError
from edgeflow_med.io import WRITABLE, atomic, check_writable, save
from edgeflow_med.io.atomic import Part, write_together, write_verified
from edgeflow_med.volume import Volume
from tests.io.here import read_segmentation, read_volume
from tests.phantoms import Phantom, ellipsoid, one_segment, write_series

PHANTOM = Phantom()


@pytest.fixture(scope="module")
def volume(tmp_path_factory: pytest.TempPathFactory) -> Volume:
    folder = tmp_path_factory.mktemp("oblique")
    write_series(folder, PHANTOM)
    return read_volume(folder)


@pytest.mark.parametrize("suffix", WRITABLE)
def test_every_format_makes_its_folder_and_reads_back(suffix: str, volume: Volume, tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / f"lesion{suffix}"
    check_writable(path)
    assert not path.parent.exists()
    save(one_segment(volume, ellipsoid(PHANTOM)), path)
    np.testing.assert_array_equal(read_segmentation(path, volume).masks[0], ellipsoid(PHANTOM))
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("suffix", WRITABLE)
def test_an_empty_mask_is_refused_and_the_old_file_stays(suffix: str, volume: Volume, tmp_path: Path) -> None:
    path = tmp_path / f"lesion{suffix}"
    path.write_bytes(b"old")
    with pytest.raises(WriteError, match="the mask of 'Lesion' came out empty"):
        save(one_segment(volume, np.zeros(volume.shape, np.bool_)), path)
    assert path.read_bytes() == b"old"


@pytest.mark.parametrize("name", ["lesion.jpg", "lesion", "lesion.nii.zip", ".dcm.txt"])
def test_an_unknown_suffix_is_refused_with_the_known_ones(name: str, tmp_path: Path) -> None:
    with pytest.raises(WriteError, match=r"unknown suffix; give one of \.dcm, \.nii\.gz"):
        check_writable(tmp_path / name)


def test_a_folder_and_a_place_below_a_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "folder.dcm").mkdir()
    with pytest.raises(WriteError, match="it is a folder"):
        check_writable(tmp_path / "folder.dcm")
    (tmp_path / "file").touch()
    with pytest.raises(WriteError, match=r"Cannot write .*lesion\.dcm: Not a directory"):
        check_writable(tmp_path / "file" / "lesion.dcm")


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is a place where nobody may write")
def test_an_unwritable_place_is_refused_before_and_while_writing(volume: Volume) -> None:
    for act in (check_writable, lambda path: save(one_segment(volume, ellipsoid(PHANTOM)), path)):
        with pytest.raises(WriteError, match=r"Cannot write /proc/lesion\.dcm") as caught:
            act(Path("/proc/lesion.dcm"))
        assert "\n" not in str(caught.value)


FORMATS = ("lesion.dcm", "lesion_dseg.nii.gz", "lesion_dseg.nii", "lesion.seg.nrrd")


@pytest.fixture
def saved(request: pytest.FixtureRequest, volume: Volume, tmp_path: Path) -> Path:
    """A folder with a result saved before."""
    folder = tmp_path / "folder"
    save(one_segment(volume, ellipsoid(PHANTOM)), folder / request.param, bids=True)
    return folder


def save_another(volume: Volume, path: Path) -> None:
    save(one_segment(volume, np.roll(ellipsoid(PHANTOM), 3, axis=2), "Another"), path, bids=True)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.skipif(sys.platform != "linux", reason="limits the size of files")
@pytest.mark.parametrize(("saved", "name"), [(name, name) for name in FORMATS], indirect=["saved"])
def test_a_full_disk_leaves_the_old_files(saved: Path, name: str, volume: Volume) -> None:
    import resource

    before, (_, hard) = contents(saved), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300, hard))
    try:
        with pytest.raises(WriteError, match=r"Cannot write .*: File too large; nothing was changed"):
            save_another(volume, saved / name)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    assert contents(saved) == before


@pytest.mark.parametrize(("saved", "name"), [(name, name) for name in FORMATS], indirect=["saved"])
def test_a_disk_with_no_room_left_leaves_the_old_files(saved: Path, name: str, volume: Volume) -> None:
    """A real disk of 128 kB; needs the right to mount one."""
    disk = saved.parent / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", disk]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("may not mount a disk here; root on Linux may")
    try:
        for path in saved.iterdir():
            shutil.copy(path, disk)
        before = contents(disk)
        with contextlib.suppress(OSError), (disk / "filler").open("wb", buffering=0) as filler:
            while filler.write(bytes(1024)):
                pass
        with pytest.raises(WriteError, match=r"Cannot write .*: No space left on device; nothing was changed"):
            save_another(volume, disk / name)
        (disk / "filler").unlink()
        assert contents(disk) == before
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


@pytest.mark.parametrize(("saved", "name"), [(name, name) for name in FORMATS], indirect=["saved"])
def test_a_folder_that_nobody_may_write_to_keeps_its_files(saved: Path, name: str, volume: Volume) -> None:
    if sys.platform == "win32":
        pytest.skip("folders have other rights on Windows")
    before = contents(saved)
    outer = saved.parent
    outer.chmod(0o755)
    saved.chmod(0o555)
    with as_somebody_else(outer):
        for act in (check_writable, lambda path: save_another(volume, path)):
            with pytest.raises(WriteError, match=r"Cannot write .*: Permission denied"):
                act(saved / name)
    saved.chmod(0o755)
    assert contents(saved) == before


@contextlib.contextmanager
def as_somebody_else(folder: Path) -> Iterator[None]:
    """Root may write anywhere, so it becomes somebody who may not; the way to ``folder`` is opened."""
    if os.geteuid() != 0:
        yield
        return
    closed = [parent for parent in folder.parents if not parent.stat().st_mode & 0o001]
    modes = [parent.stat().st_mode for parent in closed]
    for parent, mode in zip(closed, modes, strict=True):
        parent.chmod(mode | 0o011)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)
        for parent, mode in zip(closed, modes, strict=True):
            parent.chmod(mode)


@pytest.mark.parametrize(("saved", "name"), [(name, name) for name in FORMATS], indirect=["saved"])
def test_a_disk_that_is_unplugged_keeps_its_files(saved: Path, name: str, volume: Volume, monkeypatch) -> None:
    """The folder goes away between writing and reading back."""
    before, plain = contents(saved), atomic._flush

    def unplug(path: Path) -> None:
        plain(path)
        if saved.exists():
            saved.rename(saved.with_name("elsewhere"))

    monkeypatch.setattr(atomic, "_flush", unplug)
    with pytest.raises(WriteError):
        save_another(volume, saved / name)
    now = contents(saved.with_name("elsewhere"))
    assert {name: content for name, content in now.items() if not name.startswith(".")} == before


def test_files_that_belong_together_are_all_old_or_all_new(tmp_path: Path) -> None:
    names = ("a", "b", "c")
    for name in names:
        (tmp_path / name).write_bytes(b"old")

    def refuse(_: Path) -> None:
        raise WriteError("differs")

    def parts(last: Callable[[Path], None]) -> list[Part]:
        checks = (lambda _: None, lambda _: None, last)
        return [
            Part(tmp_path / name, lambda temporary: temporary.write_bytes(b"new"), check)
            for name, check in zip(names, checks, strict=True)
        ]

    with pytest.raises(WriteError, match="differs"):
        write_together(parts(refuse))
    assert contents(tmp_path) == dict.fromkeys(names, b"old")
    write_together(parts(lambda _: None))
    assert contents(tmp_path) == dict.fromkeys(names, b"new")


def test_what_a_killed_process_left_behind_is_removed_a_day_later(tmp_path: Path) -> None:
    fresh, stale = tmp_path / ".12345678.a[1]", tmp_path / ".abcdef01.a[1]"
    other = tmp_path / ".abcdef01.b"
    for path in (fresh, stale, other):
        path.touch()
    for path in (stale, other):
        os.utime(path, (0, 0))
    write_verified(tmp_path / "a[1]", lambda temporary: temporary.write_bytes(b"new"), lambda _: None)
    assert sorted(contents(tmp_path)) == sorted([fresh.name, other.name, "a[1]"])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks the processes that it kills")
def test_no_result_is_lost_when_a_saving_process_is_killed(tmp_path: Path) -> None:
    """Ten random moments; `make accept-save` tries two hundred. In a process of its own, which has no threads."""
    command = [sys.executable, "-m", "benchmarks.seg.accept_save", "--kills", "10", "--output", tmp_path / "out.json"]
    subprocess.run(command, check=True, timeout=300, cwd=Path(__file__).parents[2])
    total = json.loads((tmp_path / "out.json").read_text("utf-8"))["total"]
    assert (total["killed"], total["lost"]) == (10, 0)


@pytest.mark.parametrize(
    "error", [OSError("unplugged"), EdgeFlowError("differs"), RuntimeError("a bug"), KeyboardInterrupt()]
)
def test_whatever_fails_nothing_is_left_and_the_old_file_stays(error: BaseException, tmp_path: Path) -> None:
    path = tmp_path / "lesion.nii"
    path.write_bytes(b"old")

    def verify(_: Path) -> None:
        raise error

    with pytest.raises(WriteError if isinstance(error, (OSError, EdgeFlowError)) else type(error)):
        write_verified(path, lambda temporary: temporary.write_bytes(b"new"), verify)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_importing_the_readers_costs_no_library() -> None:
    program = (
        "import sys, edgeflow_med.io\n"
        "heavy = {'pydicom', 'highdicom', 'SimpleITK', 'nibabel', 'torch'} & set(sys.modules)\n"
        "sys.exit(' '.join(heavy) or 0)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
