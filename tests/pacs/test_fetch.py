"""Downloads that go wrong: one clear line and status 2, nothing half-written, and the next command goes on."""

from __future__ import annotations

import contextlib
import stat
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import generate_uid

from edgeflow_med.cli import pacs as exchanges
from edgeflow_med.cli.output import make_console
from edgeflow_med.errors import PromptError
from edgeflow_med.io import child, dicomweb, server
from edgeflow_med.io.credentials import Credentials
from edgeflow_med.io.dicomweb import DicomWeb
from tests.cli.conftest import Run
from tests.pacs.conftest import IN_A_CHILD, needs_orthanc, refused
from tests.pacs.orthanc import PASSWORD, PATIENT, USER, Orthanc
from tests.pacs.proxy import Exchange, Proxy

pytestmark = [needs_orthanc, pytest.mark.usefixtures("password", "quickly", "nothing_is_left")]
TENTHS = [part / 10 for part in range(10)]


def fetching(proxy: Proxy, there: tuple[str, str], folder: Path) -> tuple[object, ...]:
    return ("pacs", "fetch", proxy.url, "--study", there[0], "--series", there[1], "--output-dir", folder)


def kept(folder: Path) -> list[str]:
    """Visible files and folders."""
    return [path.name for path in folder.rglob("*") if not any(part.startswith(".") for part in path.parts)]


def test_unknown_studies_and_series(run: Run, orthanc: Orthanc, there: tuple[str, str], tmp_path: Path) -> None:
    command = ("pacs", "fetch", orthanc.url, "--output-dir", tmp_path, "--study")
    refused(run(*command, "1.2.3"), "knows no study 1.2.3")
    refused(run(*command, there[0], "--series", "1.2.3"), f"has no series 1.2.3; it has {there[1]}")
    refused(run(*command, "../instances"), "is not a UID")
    assert list(tmp_path.iterdir()) == []


def test_two_series_are_named(run: Run, orthanc: Orthanc, files: list[Path], tmp_path: Path) -> None:
    dataset = pydicom.dcmread(files[0])
    study = generate_uid()
    paths = []
    for number in (1, 2):
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, generate_uid()
        paths.append(tmp_path / f"{number}.dcm")
        dataset.save_as(paths[-1])
    assert run("pacs", "store", orthanc.url, *paths).status == 0
    ran = run("pacs", "fetch", orthanc.url, "--study", study, "--output-dir", tmp_path / "out")
    refused(ran, "The study has 2 series, choose one by --series")
    assert f"{dataset.SeriesInstanceUID} (CT, 1 images)" in ran.err
    assert not (tmp_path / "out").exists()


def test_cut_downloads_leave_nothing_visible_and_go_on(
    run: Run, proxy: Proxy, files: list[Path], there: tuple[str, str], tmp_path: Path
) -> None:
    """Each command gets one file, then the next breaks off at another tenth; the last command does the rest."""

    def fault(exchange: Exchange) -> None:
        asked = {path for _, path in proxy.seen if "/instances/" in path}
        if "/instances/" in exchange.path and len(asked) > 1:
            exchange.cut_answer = parts[-1]

    parts: list[float] = []
    proxy.fault = fault
    for part in TENTHS:
        parts.append(part)
        proxy.seen.clear()
        refused(run(*fetching(proxy, there, tmp_path)), "broke off")
        assert kept(tmp_path) == []
    proxy.fault = lambda _: None
    proxy.seen.clear()
    (stray,) = tmp_path.iterdir()
    (stray / ".0123.name.dcm").write_bytes(b"half a file, of a process that was killed")
    ran = run(*fetching(proxy, there, tmp_path))
    assert ran.status == 0, ran.err
    assert len([path for _, path in proxy.seen if "/instances/" in path]) == len(files) - len(TENTHS)
    assert {path.read_bytes() for path in Path(ran.out.strip()).iterdir()} == {path.read_bytes() for path in files}
    assert [path.name for path in tmp_path.iterdir()] == [Path(ran.out.strip()).name]


def test_a_download_that_breaks_once_succeeds(
    run: Run, proxy: Proxy, files: list[Path], there: tuple[str, str], tmp_path: Path
) -> None:
    broken: set[str] = set()

    def fault(exchange: Exchange) -> None:
        if exchange.status and exchange.path not in broken:
            broken.add(exchange.path)
            exchange.cut_answer = 0.5

    proxy.fault = fault
    ran = run(*fetching(proxy, there, tmp_path))
    assert ran.status == 0, ran.err
    assert {path.read_bytes() for path in Path(ran.out.strip()).iterdir()} == {path.read_bytes() for path in files}


def test_a_file_without_an_envelope_is_taken(
    run: Run, proxy: Proxy, files: list[Path], there: tuple[str, str], tmp_path: Path
) -> None:
    """Some servers send a single instance as it is, not as the one part of several."""

    def fault(exchange: Exchange) -> None:
        if exchange.status and "/instances/" in exchange.path:
            exchange.body = exchange.content
            exchange.headers["Content-Type"] = "application/dicom"

    proxy.fault = fault
    ran = run(*fetching(proxy, there, tmp_path))
    assert ran.status == 0, ran.err
    assert {path.read_bytes() for path in Path(ran.out.strip()).iterdir()} == {path.read_bytes() for path in files}


def test_pages_are_put_together(
    run: Run, proxy: Proxy, files: list[Path], there: tuple[str, str], tmp_path: Path
) -> None:
    def fault(exchange: Exchange) -> None:
        if not exchange.status and "?" in exchange.path + "?" and exchange.path.split("?")[0].endswith("/instances"):
            exchange.path += ("&" if "?" in exchange.path else "?") + "limit=5"

    proxy.fault = fault
    ran = run(*fetching(proxy, there, tmp_path))
    assert ran.status == 0, ran.err
    assert len(list(Path(ran.out.strip()).iterdir())) == len(files)


def test_a_list_cut_short_is_noticed(run: Run, proxy: Proxy, there: tuple[str, str], tmp_path: Path) -> None:
    """A server that gives the first page again and again."""

    def fault(exchange: Exchange) -> None:
        if not exchange.status and exchange.path.split("?")[0].endswith("/instances"):
            exchange.path = exchange.path.split("?")[0] + "?limit=5"

    proxy.fault = fault
    refused(run(*fetching(proxy, there, tmp_path)), "lists 5 of 12 images")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("another", "something else came instead of instance"),
        ("cut", "did not send the series asked for"),
        ("nested", "did not send the series asked for"),
        ("vanished", "but does not give it"),
        ("two", "sent 2 files instead of one"),
        ("none", "gave an answer that is not DICOMweb"),
    ],
)
def test_something_else_is_sent(
    run: Run, proxy: Proxy, there: tuple[str, str], tmp_path: Path, what: str, said: str
) -> None:
    seen: list[bytes] = []

    def fault(exchange: Exchange) -> None:
        if not exchange.status or "/instances/" not in exchange.path:
            return
        seen.append(exchange.content)
        if len(seen) == 3:
            right = exchange.content
            nested = right[:132] + b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff" * 20_000
            wrong = {"another": [seen[0]], "cut": [right[:600]], "nested": [nested], "two": [right, right], "none": []}
            exchange.send_parts(*wrong.get(what, [right]))
            exchange.status = 404 if what == "vanished" else 200

    proxy.fault = fault
    refused(run(*fetching(proxy, there, tmp_path)), said)
    assert kept(tmp_path) == []
    assert PATIENT not in "".join(path.name for path in tmp_path.rglob("*"))


@pytest.mark.parametrize("module", [server, dicomweb])
def test_too_much_is_not_kept(
    run: Run, proxy: Proxy, there: tuple[str, str], tmp_path: Path, module: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", 5000)
    refused(run(*fetching(proxy, there, tmp_path)), "more than 0")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_folder_that_cannot_be_used(run: Run, proxy: Proxy, there: tuple[str, str], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    refused(run(*fetching(proxy, there, tmp_path / "file")), "Not a directory")
    (tmp_path / dicomweb.hashed(there[1])).touch()
    refused(run(*fetching(proxy, there, tmp_path)), "Not a directory; give another folder")


def test_a_full_disk_leaves_nothing(
    run: Run, proxy: Proxy, there: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    refused(run(*fetching(proxy, there, tmp_path)), "No space left on device")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_work_that_fails_stores_nothing_and_leaves_no_scan(
    proxy: Proxy, files: list[Path], there: tuple[str, str], tmp_path: Path
) -> None:
    asked = exchanges.Exchange(proxy.url, proxy.url, study=there[0], series=f"{there[1]}#2")
    outputs = [tmp_path / "a.dcm"]
    with contextlib.suppress(PromptError), exchanges.exchanged(None, asked, outputs, make_console()) as folder:
        assert len(list(folder.iterdir())) == len(files)
        assert stat.S_IMODE(folder.parent.stat().st_mode) == 0o700
        raise PromptError
    assert not folder.exists()
    assert proxy.count("POST") == 0


def test_nothing_from_outside_is_parsed_in_this_process(
    run: Run, proxy: Proxy, there: tuple[str, str], new: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def parse(*_: object, **__: object) -> None:
        raise AssertionError("a file from outside was parsed here")

    def fault(exchange: Exchange) -> None:
        """Have the copies compared value for value, not as bytes."""
        if exchange.status == 200 and "/instances/" in exchange.path and proxy.count("POST"):
            exchange.send_parts(bytes([0x20]) * 128 + exchange.content[128:])

    proxy.fault = fault
    for name in ("identify", "differences"):
        monkeypatch.setattr(child, name, IN_A_CHILD[name])
    for name in ("dcmread", "filereader.dcmread", "filereader.read_partial", "filereader.read_dataset"):
        monkeypatch.setattr(f"pydicom.{name}", parse)
    assert run(*fetching(proxy, there, tmp_path / "out")).status == 0
    assert run("pacs", "store", proxy.url, new).status == 0


def test_search_logs_tell_no_patient(
    run: Run, proxy: Proxy, there: tuple[str, str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert run("pacs", "find", proxy.url, "--patient-id", PATIENT).status == 0
    assert run(*fetching(proxy, there, tmp_path)).status == 0
    assert PATIENT not in caplog.text
    assert there[0] not in caplog.text
    assert PATIENT not in repr(DicomWeb(proxy.url, Credentials(USER, PASSWORD)).choose_series(there[0]))
