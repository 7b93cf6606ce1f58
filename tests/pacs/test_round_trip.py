"""A real series through a real PACS: store, find, fetch, segment, store the result, fetch that back, compare."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import numpy as np
import pydicom
import pytest
import requests

from tests.cli.conftest import Run
from tests.io.here import read_segmentation, read_volume
from tests.pacs.conftest import needs_orthanc, refused
from tests.pacs.orthanc import PASSWORD, TOKEN, USER, Orthanc
from tests.pacs.proxy import Proxy

SAMPLE = Path(__file__).resolve().parents[2] / "sample_data" / "sts_003_ct"
FILES = sorted((SAMPLE / "series").iterdir())
HEADER = pydicom.dcmread(FILES[0], stop_before_pixels=True)
STUDY, SERIES = HEADER.StudyInstanceUID, HEADER.SeriesInstanceUID

pytestmark = [needs_orthanc, pytest.mark.usefixtures("password")]


@pytest.fixture
def filled(run: Run, orthanc: Orthanc) -> Orthanc:
    """The server with the sample in it."""
    ran = run("pacs", "store", orthanc.url, *FILES)
    assert (ran.status, ran.err) == (0, "")
    assert len(ran.out.splitlines()) == len(FILES)
    return orthanc


def test_find_lists_the_series(run: Run, filled: Orthanc) -> None:
    ran = run("pacs", "find", filled.url, "--patient-id", HEADER.PatientID, "--modality", "CT", "--json")
    (found,) = json.loads(ran.out)
    assert (found["study_uid"], found["series_uid"], found["instances"]) == (STUDY, SERIES, len(FILES))
    assert (found["patient_id"], found["modality"], found["study_date"]) == (HEADER.PatientID, "CT", HEADER.StudyDate)
    ran = run("pacs", "find", filled.url, "--study", STUDY, "--date", HEADER.StudyDate)
    assert SERIES in ran.out
    assert run("pacs", "find", filled.url, "--patient-id", "nobody").out == "No series matches.\n"


def test_fetch_gives_the_files_under_names_that_tell_nothing(run: Run, filled: Orthanc, tmp_path: Path) -> None:
    command = ("pacs", "fetch", filled.url, "--study", STUDY, "--series", SERIES, "--output-dir", tmp_path / "in")
    ran = run(*command)
    assert (ran.status, ran.err) == (0, "")
    folder = Path(ran.out.strip())
    assert list((tmp_path / "in").iterdir()) == [folder]
    assert {path.read_bytes() for path in folder.iterdir()} == {path.read_bytes() for path in FILES}
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in folder.iterdir())
    names = " ".join(path.name for path in (folder, *folder.iterdir()))
    assert "." not in names.replace(".dcm", "")
    assert not [path for path in FILES if pydicom.dcmread(path).SOPInstanceUID in names]
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert run(*command).out == ran.out
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    next(iter(before)).unlink()
    refused(run(*command), "is not what the server has now")


def test_segment_from_and_to_the_server(
    run: Run, filled: Orthanc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The SEG that comes back, by a way of its own, is the one that was written and lies on the local files."""
    options = ("--prompts", f"{SAMPLE}.clicks.json", "--propagate", "--range", "1", "--output")
    servers = ("--from-pacs", filled.url, "--study", STUDY, "--to-pacs", filled.url)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    ran = run("segment", *servers, *options, tmp_path / "remote.dcm")
    assert (ran.status, ran.err) == (0, "")
    assert list((tmp_path / "temporary").iterdir()) == []
    assert ran.out.endswith("remote.dcm: stored, read back and compared\n")

    written = pydicom.dcmread(tmp_path / "remote.dcm")
    place = (STUDY, "series", written.SeriesInstanceUID, "instances", written.SOPInstanceUID)
    answer = requests.get(
        "/".join((filled.url, "studies", *place)), auth=(USER.encode(), PASSWORD.encode()), timeout=30
    )
    content = answer.content.split(b"\r\n\r\n", 1)[1]
    (tmp_path / "back.dcm").write_bytes(content[: content.rindex(b"\r\n--")])
    back = pydicom.dcmread(tmp_path / "back.dcm")
    assert back == written
    assert back.PatientID == HEADER.PatientID
    assert np.array_equal(back.pixel_array, written.pixel_array)

    volume = read_volume(SAMPLE / "series")
    ours, theirs = (read_segmentation(tmp_path / name, volume) for name in ("remote.dcm", "back.dcm"))
    assert np.array_equal(ours.masks[0], theirs.masks[0])
    assert np.flatnonzero(theirs.masks[0].any(axis=(1, 2))).tolist() == [22, 23, 24]
    assert ours.segments == theirs.segments

    ran = run("pacs", "store", filled.url, tmp_path / "remote.dcm")
    assert ran.out == "remote.dcm: was there already, and the same\n"
    ran = run("pacs", "fetch", filled.url, "--study", STUDY, "--output-dir", tmp_path)
    assert len(list(Path(ran.out.strip()).iterdir())) == len(FILES), "the scan is meant, not its segmentation"


def test_tls_and_a_token(
    run: Run, secure: Proxy, authority: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("USER", "PASSWORD"):
        monkeypatch.delenv(f"EDGEFLOW_PACS_{name}")
    trusted = ("--ca-file", authority[0])
    refused(run("pacs", "find", secure.url, *trusted), "does not allow this without credentials")
    monkeypatch.setenv("EDGEFLOW_PACS_TOKEN", TOKEN[:-3])
    refused(run("pacs", "find", secure.url, *trusted), "does not allow this")
    monkeypatch.setenv("EDGEFLOW_PACS_TOKEN", TOKEN)
    refused(run("pacs", "find", secure.url), "is not trusted (")
    refused(run("pacs", "find", secure.url, "--ca-file", SAMPLE / "LICENSE.txt"), "Cannot use the certificates")
    elsewhere = secure.url.replace("127.0.0.1", "localhost")
    refused(run("pacs", "find", elsewhere, *trusted), "not valid for 'localhost'")
    assert run("pacs", "store", secure.url, *FILES[:3], *trusted).status == 0
    ran = run("pacs", "fetch", secure.url, "--study", STUDY, "--output-dir", tmp_path, *trusted)
    assert {path.read_bytes() for path in Path(ran.out.strip()).iterdir()} == {p.read_bytes() for p in FILES[:3]}
