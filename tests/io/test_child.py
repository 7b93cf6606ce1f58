"""Reading in a child process: the same answers, the same errors, and no file that takes the parent with it."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
from pydicom import Dataset

from edgeflow_med.errors import EdgeFlowError, GeometryError, ReadError, UsageError
from edgeflow_med.io import child, list_series, read_segmentation, read_volume, save
from tests.io import bombs, here, measured_child
from tests.io.edits import put
from tests.phantoms import Phantom, ellipsoid, one_segment, write_enhanced, write_series

# What the phantoms do wrong on purpose, pydicom says while it writes them.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
pytest.importorskip("resource", reason="Windows has no limit on a child's memory")
PHANTOM = Phantom(shape=(6, 34, 40))


@pytest.mark.parametrize("kind", ["series", "enhanced", "NIfTI"])
def test_the_child_gives_what_the_reader_gives(kind: str, tmp_path: Path) -> None:
    if kind == "series":
        write_series(tmp_path, PHANTOM, lambda dataset, _: setattr(dataset, "PatientName", "Müller^J"))
    elif kind == "enhanced":
        write_enhanced(tmp_path / "all.dcm", PHANTOM)
    path = tmp_path
    if kind == "NIfTI":
        path = tmp_path / "image.nii.gz"
        nibabel.save(nibabel.Nifti1Image(np.arange(60, dtype=np.float32).reshape(3, 4, 5), None), path)
    one, other = here.read_volume(path), read_volume(path)
    np.testing.assert_array_equal(one.array, other.array)
    assert one.array.dtype == other.array.dtype
    np.testing.assert_array_equal(one.affine, other.affine)
    assert (one.name, one.modality, one.warnings) == (other.name, other.modality, other.warnings)
    assert [header.to_json() for header in one.headers] == [header.to_json() for header in other.headers]
    assert here.list_series(path) == list_series(path)


def test_headers_that_break_the_rules_pass_unchanged(tmp_path: Path) -> None:
    """Attributes that nobody needs may hold anything; they are not a reason to refuse a series."""

    def edit(dataset: Dataset, _: int) -> None:
        dataset.SpecificCharacterSet, dataset.WindowCenter, dataset.StudyID = "ISO_IR 999", "7.5", "M\xfcller"
        dataset.WindowWidth, dataset.StudyDate, dataset.InstanceNumber = "9.5", "yesterday", None

    for path in write_series(tmp_path, PHANTOM, edit):
        path.write_bytes(path.read_bytes().replace(b"7.5 ", b"7,5 ").replace(b"9.5 ", b"wide"))
    one, other = here.read_volume(tmp_path), read_volume(tmp_path)
    assert [list(header.keys()) for header in one.headers] == [list(header.keys()) for header in other.headers]
    assert bytes(other.headers[0].get_item("WindowCenter").value) == b"7,5 "
    save(one_segment(other, ellipsoid(PHANTOM)), tmp_path / "lesion.dcm")


@pytest.mark.parametrize("suffix", [".dcm", ".seg.nrrd"])
def test_segmentations_too(suffix: str, tmp_path: Path) -> None:
    write_series(tmp_path / "in", PHANTOM)
    volume, path = here.read_volume(tmp_path / "in"), tmp_path / f"lesion{suffix}"
    save(one_segment(volume, ellipsoid(PHANTOM)), path)
    one, other = here.read_segmentation(path, volume), read_segmentation(path, volume)
    assert one.segments == other.segments
    np.testing.assert_array_equal(one.masks, other.masks)
    with pytest.raises(GeometryError, match="lies on another grid"):
        read_segmentation(path, replace(volume, affine=volume.affine + 0.5 * np.eye(4)[3] * np.eye(4)[:, :1]))
    if suffix == ".dcm":
        write_series(tmp_path / "other", PHANTOM, put(FrameOfReferenceUID="1.2.3"))
        with pytest.raises(GeometryError, match="another frame of reference"):
            read_segmentation(path, here.read_volume(tmp_path / "other"))


def test_errors_keep_their_kind_and_their_one_line(tmp_path: Path) -> None:
    write_series(tmp_path, PHANTOM)[2].unlink()
    with pytest.raises(GeometryError, match="A slice is missing after") as caught:
        read_volume(tmp_path)
    assert "\n" not in str(caught.value)
    write_series(tmp_path, PHANTOM)
    with pytest.raises(UsageError, match="modality MR was given"):
        read_volume(tmp_path / "slice000.dcm", modality="MR")
    with pytest.raises(ReadError, match="none does not exist"):
        read_volume(tmp_path / "none")
    with pytest.raises(ReadError, match="No input was given"):
        read_volume([])


def test_a_child_that_dies_is_a_read_error(tmp_path: Path, monkeypatch) -> None:
    write_series(tmp_path, PHANTOM)
    monkeypatch.setattr(child, "_PROGRAM", "import os; os.abort()")
    with pytest.raises(ReadError, match="crashed its reader"):
        read_volume(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs a file that never ends")
def test_a_child_that_hangs_is_ended(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(child, "BASE_SECONDS", 1.0)
    monkeypatch.setattr(child, "PATIENCE", 1)
    os.mkfifo(tmp_path / "endless.dcm")
    with pytest.raises(ReadError, match=r"endless\.dcm took longer than 1 s"):
        read_volume(tmp_path / "endless.dcm")


def test_a_child_that_never_stops_working_is_ended_by_its_own_time(tmp_path: Path, monkeypatch) -> None:
    """Seconds of the processor count, so that a busy machine refuses nothing."""
    write_series(tmp_path, PHANTOM)
    monkeypatch.setattr(child, "BASE_SECONDS", 0.5)
    monkeypatch.setattr(child, "PATIENCE", 1000)
    endless = (
        "import json, sys; from edgeflow_med.io.child import limit_time; limit_time(json.load(sys.stdin)['seconds'])"
    )
    monkeypatch.setattr(child, "_PROGRAM", f"{endless}\nwhile True: pass")
    with pytest.raises(ReadError, match="took longer than 1 s; it is broken, or made to do harm"):
        read_volume(tmp_path)


def test_lower_limits_of_the_machine_are_kept() -> None:
    """Only root may raise them, so the child must not try."""
    program = (
        "import resource as r; from edgeflow_med.io import child\n"
        "for kind in (r.RLIMIT_AS, r.RLIMIT_CPU): r.setrlimit(kind, (2**30, 2**30 + 1))\n"
        "child.limit_memory(2**31), child.limit_time(9.5)\n"
        "print(r.getrlimit(r.RLIMIT_AS), r.getrlimit(r.RLIMIT_CPU))"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300, check=True)
    assert ran.stdout == f"({2**30}, {2**30 + 1}) (10, 11)\n"


@pytest.mark.parametrize("name", bombs.BOMBS)
def test_bombs_are_refused_within_the_childs_memory(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bombs, "GIGABYTES", 1)
    monkeypatch.setattr(child, "BASE_MEMORY", 3 * 2**28)
    make, read, reason = bombs.BOMBS[name]
    make(tmp_path / name)
    peak = tmp_path / "peak"
    monkeypatch.setattr(child, "_PROGRAM", measured_child.PROGRAM)
    monkeypatch.setenv(measured_child.PEAK_FILE, str(peak))
    with pytest.raises(EdgeFlowError, match=reason) as caught:
        read(tmp_path / name)
    assert "\n" not in str(caught.value)
    assert "crashed" not in str(caught.value)
    if peak.exists():  # some files are refused before a child is asked, and not every system tells
        assert int(peak.read_text("ascii")) <= 0.8 * 2**20  # KB
