"""A patient's name in the input comes out in no byte of logs, temporary files, reports, label maps or file names.

Only a DICOM-SEG names the patient, as it must. strace shows everything that all processes write, files that are gone
again included.
"""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread

from edgeflow_med.io import local
from tests.cli.conftest import run_command
from tests.cli.scans import BALL, CENTRE, values
from tests.io.edits import compress_lossless_jpeg
from tests.phantoms import write_series

ROOT = Path(__file__).parents[2]
CANARY = b"Kanarienvogel"
ATTRIBUTES = (
    *("PatientName", "PatientID", "OtherPatientIDs", "PatientAddress", "PatientComments", "ReferringPhysicianName"),
    *("InstitutionName", "AccessionNumber", "StudyDescription", "StudyID", "OperatorsName", "RequestingPhysician"),
)
CALLS = (
    "write,pwrite64,writev,pwritev,pwritev2,sendto,sendmsg,open,openat,creat,mkdir,mkdirat,rename,renameat,renameat2,"
    "link,linkat,symlink,symlinkat,memfd_create,execve"
)


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CT of a named patient in lossless JPEG, which is decoded by way of temporary files, and a broken file."""
    folder, array = tmp_path_factory.mktemp("scan") / "series", values()

    def edit(dataset: Dataset, k: int) -> None:
        for keyword in ATTRIBUTES:
            setattr(dataset, keyword, CANARY.decode())
        dataset.private_block(0x0029, "ACME", create=True).add_new(1, "LO", CANARY.decode())
        dataset.PixelData = array[k].tobytes()
        compress_lossless_jpeg(dataset, array[[k]], folder)

    paths = write_series(folder, BALL, edit)
    assert CANARY in paths[0].read_bytes()
    (folder / "broken.dcm").write_bytes(paths[0].read_bytes()[:900])
    return folder


def run(folder: Path, *arguments: object) -> tuple[subprocess.CompletedProcess[bytes], list[bytes]]:
    """Run the command line in a home of its own; returns what it said, and all of its system calls that write."""
    home = folder / "home"
    home.mkdir(exist_ok=True)
    places = dict.fromkeys(("HOME", "TMPDIR", "XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME"), str(home))
    trace = folder / "trace"
    command = ["strace", "-f", "-y", "-qq", "-s", str(2**24), "-e", f"trace={CALLS}", "-o", str(trace)]
    command += [sys.executable, "-m", "edgeflow_med", *map(str, arguments)]
    environment = {**os.environ, **places, "PYTHONPATH": str(ROOT), "EDGEFLOW_DEBUG": ""}
    ran = subprocess.run(command, capture_output=True, check=False, cwd=home, env=environment, timeout=500)
    calls = trace.read_bytes().splitlines()
    trace.unlink()
    return ran, calls


def leaks(calls: list[bytes]) -> list[bytes]:
    """Calls that carry the name anywhere but into a pipe between our own processes, or into a DICOM-SEG."""
    told = [call for call in calls if CANARY in call]
    return [
        call[:300] for call in told if b"<pipe:[" not in call.split(b",")[0] and b".dcm>" not in call.split(b",")[0]
    ]


def test_a_case_with_its_journal_and_exports_does_not_tell_the_name(
    series: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    monkeypatch.setattr("edgeflow_med.io.child.read_volume", local.read_volume)  # the child has tests of its own
    case, centre = ("case", tmp_path / "case"), ",".join(map(str, CENTRE))
    for arguments in (
        (*case, "new", series, "--label", "Ball"),
        (*case, "paint", centre, "--width", "9"),
        (*case, "undo"),
        (*case, "redo"),
        (*case, "export", tmp_path / "ball.seg.nrrd"),
        (*case, "status"),
    ):
        ran = run_command(*arguments)
        assert (ran.status, ran.err) == (0, ""), arguments
        assert CANARY.decode() not in ran.out
    files = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert {path.suffix for path in files} >= {".jsonl", ".nrrd"}, files.keys()
    assert [path for path, content in files.items() if CANARY in content + str(path).encode()] == []


needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")


@needs_strace
def test_info_writes_the_name_nowhere(series: Path, tmp_path: Path) -> None:
    ran, calls = run(tmp_path, "info", series)
    assert ran.returncode == 0, ran.stderr
    assert b"16 x 48 x 96 voxels" in ran.stdout
    assert b"broken.dcm" in ran.stdout
    assert CANARY not in ran.stdout + ran.stderr
    assert len(calls) > 100
    assert leaks(calls) == []


@needs_strace
@pytest.mark.slow
def test_errors_do_not_tell_the_name(series: Path, tmp_path: Path) -> None:
    folder = tmp_path / "cut"
    shutil.copytree(series, folder)
    paths = sorted(folder.glob("slice*"))
    paths[3].unlink()
    paths[5].write_bytes(paths[5].read_bytes()[:-200])
    for arguments in (["info", folder], ["segment", folder, "--click", "1,2,3", "--output", tmp_path / "a.nii"]):
        ran, calls = run(tmp_path, *arguments)
        assert b"missing" in ran.stdout + ran.stderr
        assert CANARY not in ran.stdout + ran.stderr
        assert leaks(calls) == []


@needs_strace
@pytest.mark.slow
def test_segment_writes_the_name_into_the_dicom_seg_alone(series: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    names = ("lesion.nii.gz", "lesion.seg.nrrd", "lesion.dcm")
    arguments = ["segment", series, "--click", ",".join(map(str, CENTRE)), "--propagate", "--device", "cpu"]
    arguments += [part for name in names for part in ("--output", out / name)]
    ran, calls = run(tmp_path, *arguments, "--report", out / "report.json", "--picture", out / "picture.png")
    assert ran.returncode == 0, ran.stderr
    assert CANARY not in ran.stdout + ran.stderr
    assert any(b"frame.dcm" in call for call in calls), "nothing was decoded by way of a temporary file"
    assert any(CANARY in call for call in calls), "strace does not see what is written"
    assert leaks(calls) == []
    assert dcmread(out / "lesion.dcm").PatientName == CANARY.decode()
    left = [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "lesion.dcm"]
    assert {path.name for path in left} >= {"lesion.nii.gz", "lesion.seg.nrrd", "report.json", "picture.png"}
    for path in left:
        content = path.read_bytes()
        unpacked = gzip.decompress(content) if path.suffix == ".gz" else content
        assert CANARY not in content + unpacked + str(path).encode(), path.name
