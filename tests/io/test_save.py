"""What must hold for every format: checked early, whole or not there, and nothing lost when a write fails."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from edgeflow_med.errors import EdgeFlowError, WriteError
from edgeflow_med.io import WRITABLE, check_writable, read_segmentation, read_volume, save
from edgeflow_med.io.atomic import write_verified
from edgeflow_med.volume import Volume
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


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "lesion.nii"
    path.write_bytes(b"old")

    def write(temporary: Path) -> None:
        temporary.touch()
        Path("/dev/full").write_bytes(b"new")

    with pytest.raises(WriteError, match="No space left on device; nothing was changed"):
        write_verified(path, write, lambda _: None)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


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


@pytest.mark.skipif(os.name == "nt", reason="kills by a signal")
def test_a_killed_process_never_leaves_a_broken_file(tmp_path: Path) -> None:
    """The file is replaced over and over in a child that is killed at odd moments; each time it is whole."""
    path, sizes = tmp_path / "lesion.bin", (100_000, 200_000)
    path.write_bytes(bytes(sizes[0]))
    program = (
        "import sys; from pathlib import Path; from edgeflow_med.io.atomic import write_verified\n"
        "while True:\n"
        f"    for size in {sizes}:\n"
        "        content = bytes([size % 251]) * size\n"
        "        write_verified(Path(sys.argv[1]), lambda p: p.write_bytes(content), lambda p: None)\n"
        "        print(size, flush=True)\n"
    )
    for delay in np.linspace(0.0, 0.02, 5):
        with subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            child.stdout.readline()
            time.sleep(delay)
            child.send_signal(signal.SIGKILL)
        content = path.read_bytes()
        assert len(content) in sizes
        assert content == content[:1] * len(content)


def test_importing_the_readers_costs_no_library() -> None:
    program = (
        "import sys, edgeflow_med.io\n"
        "heavy = {'pydicom', 'highdicom', 'SimpleITK', 'nibabel', 'torch'} & set(sys.modules)\n"
        "sys.exit(' '.join(heavy) or 0)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
