"""Whatever goes wrong on the way: one clear line, status 2, nothing half-written, and no result sent twice."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import ImplicitVRLittleEndian, generate_uid

from edgeflow_med.io import child, dicomweb, local, server
from edgeflow_med.io.credentials import Credentials
from edgeflow_med.io.dicomweb import DicomWeb
from edgeflow_med.io.server import Server
from tests.cli.conftest import Run
from tests.cli.scans import write_ball
from tests.pacs.conftest import needs_orthanc, refused
from tests.pacs.orthanc import PASSWORD, PATIENT, USER, Orthanc, free_port
from tests.pacs.proxy import Exchange, Proxy

pytestmark = [needs_orthanc, pytest.mark.usefixtures("password")]
# Looking at files in a child has tests of its own; most of these do without.
IN_A_CHILD = {"identify": child.identify, "differences": child.differences}
TENTHS = [part / 10 for part in range(10)]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A series of 12 files of a patient who must not turn up."""
    paths = sorted(write_ball(tmp_path_factory.mktemp("ball")).iterdir())[:12]
    for path in paths:
        dataset = pydicom.dcmread(path)
        dataset.PatientName = dataset.PatientID = PATIENT
        dataset.save_as(path)
    return paths


@pytest.fixture(scope="module")
def there(orthanc: Orthanc, files: list[Path]) -> tuple[str, str]:
    """Study and series of those files, on the server."""
    assert len(list(DicomWeb(orthanc.url, Credentials(USER, PASSWORD)).store(files))) == len(files)
    header = pydicom.dcmread(files[0], stop_before_pixels=True)
    return header.StudyInstanceUID, header.SeriesInstanceUID


@pytest.fixture
def new(files: list[Path], tmp_path: Path) -> Path:
    """A file that the server does not know, with noise that no compression makes small."""
    dataset = pydicom.dcmread(files[0])
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset.add_new((0x0009, 0x0010), "LO", "EDGEFLOW TEST")
    dataset.add_new((0x0009, 0x1001), "OB", secrets.token_bytes(100_000))
    dataset.save_as(tmp_path / "new.dcm")
    return tmp_path / "new.dcm"


def fetching(proxy: Proxy, there: tuple[str, str], folder: Path) -> tuple[object, ...]:
    return ("pacs", "fetch", proxy.url, "--study", there[0], "--series", there[1], "--output-dir", folder)


def kept(folder: Path) -> list[str]:
    """Visible files and folders."""
    return [path.name for path in folder.rglob("*") if not any(part.startswith(".") for part in path.parts)]


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in IN_A_CHILD:
        monkeypatch.setattr(child, name, getattr(local, name))


@pytest.fixture(autouse=True)
def _nothing_is_left(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Temporary files go, whatever happens."""
    folder = tmp_path_factory.mktemp("temporary")
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    yield
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (401, "refused the credentials"),
        (403, "does not allow this"),
        (404, "does not know this; check the address"),
        (500, "answered 500 (Internal Server Error)"),
        (503, "answered 503 (Service Unavailable)"),
        (599, "answered 599 (an unknown status)"),
    ],
)
def test_statuses(run: Run, proxy: Proxy, status: int, said: str) -> None:
    def fault(exchange: Exchange) -> None:
        exchange.status = status

    proxy.fault = fault
    refused(run("pacs", "find", proxy.url, "--patient-id", PATIENT), f"{proxy.url} {said}")
    assert proxy.count("GET") == (3 if status == 503 else 1)


def test_a_safe_question_is_asked_again_when_the_server_says_so(
    run: Run, proxy: Proxy, there: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fault(exchange: Exchange) -> None:
        if exchange.number == 0 and not exchange.status:
            exchange.status, exchange.headers["Retry-After"] = 429, "1000"

    waited: list[float] = []
    monkeypatch.setattr("time.sleep", waited.append)
    proxy.fault = fault
    ran = run("pacs", "find", proxy.url, "--study", there[0])
    assert (ran.status, ran.err) == (0, "")
    assert server.MOST_PAUSE_S in waited


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://127.0.0.1:{free}/dicom-web", "cannot be reached, or broke off (Connection refused)"),
        ("http://nowhere.invalid/dicom-web", "nowhere.invalid"),
        ("http://127.0.0.1:{port}/dicomweb", "check the address"),
        ("http://127.0.0.1:{port}/dicom-web?x=1", "is not the address of a server"),
        ("https://127.0.0.1:{port}/dicom-web", "is not trusted ("),
        ("http://someone:secret@127.0.0.1/dicom-web", "holds a user or password"),
        ("ftp://127.0.0.1/dicom-web", "is not the address of a server"),
        ("127.0.0.1", "is not the address of a server"),
        ("http://127.0.0.1:99999", "is not the address of a server"),
        ("http:///dicom-web", "is not the address of a server"),
    ],
)
def test_wrong_addresses(run: Run, orthanc: Orthanc, url: str, said: str) -> None:
    ran = run("pacs", "find", url.format(port=orthanc.port, free=free_port()), "--patient-id", PATIENT)
    refused(ran, said)
    assert "secret" not in ran.err
    assert PATIENT not in ran.err


@pytest.mark.parametrize(
    "body", [b"<html>Log in", b"{", b"[1]", b'[{"0020000D": {"Value": ["../x"]}}]', b"[" * 100_000]
)
def test_answers_that_are_not_dicomweb(run: Run, proxy: Proxy, body: bytes) -> None:
    def fault(exchange: Exchange) -> None:
        exchange.status, exchange.body = 200, body

    proxy.fault = fault
    refused(run("pacs", "find", proxy.url), "is not DICOMweb")


def test_a_redirect_is_not_followed(run: Run, proxy: Proxy) -> None:
    def fault(exchange: Exchange) -> None:
        exchange.status, exchange.headers["Location"] = 302, "/dicom-web/elsewhere"

    proxy.fault = fault
    refused(run("pacs", "find", proxy.url), "sends its callers elsewhere")
    assert proxy.count("GET") == 1


def test_silence(run: Run, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    def fault(exchange: Exchange) -> None:
        exchange.delay = 0.4

    monkeypatch.setattr(server, "TIMEOUTS_S", (0.2, 0.2))
    proxy.fault = fault
    refused(run("pacs", "find", proxy.url), "did not answer within 0.2 s")


@pytest.mark.parametrize(("most", "said"), [("MOST_LISTED", "more than 0 MB at once"), ("MOST_SECONDS", "0 s to send")])
def test_endless_answers(run: Run, proxy: Proxy, monkeypatch: pytest.MonkeyPatch, most: str, said: str) -> None:
    monkeypatch.setattr(server, most, 0)
    refused(run("pacs", "find", proxy.url), said)


def test_credentials(run: Run, orthanc: Orthanc, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEFLOW_PACS_PASSWORD", PASSWORD[:-1])
    refused(run("pacs", "find", orthanc.url), "refused the credentials")
    monkeypatch.delenv("EDGEFLOW_PACS_PASSWORD")
    refused(run("pacs", "find", orthanc.url), "half of a pair, the password is missing")
    monkeypatch.delenv("EDGEFLOW_PACS_USER")
    refused(run("pacs", "find", orthanc.url), "asks for credentials")


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


def test_a_list_without_end_is_left(run: Run, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    def fault(exchange: Exchange) -> None:
        entries = [{"0020000D": {"vr": "UI", "Value": [generate_uid()]}} for _ in range(10)]
        exchange.status, exchange.body = 200, json.dumps(entries).encode()

    monkeypatch.setattr(server, "MOST_ENTRIES", 45)
    proxy.fault = fault
    refused(run("pacs", "find", proxy.url, "--limit", "1000"), "lists more than 45 entries")
    assert proxy.count("GET") == 5


def test_a_folder_that_cannot_be_used(run: Run, proxy: Proxy, there: tuple[str, str], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    refused(run(*fetching(proxy, there, tmp_path / "file")), "Not a directory")
    (tmp_path / dicomweb.hashed(there[1])).touch()
    refused(run(*fetching(proxy, there, tmp_path)), "Not a directory; give another folder")


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


def test_cut_uploads_are_sent_once_and_store_nothing(run: Run, proxy: Proxy, new: Path) -> None:
    def fault(exchange: Exchange) -> None:
        if exchange.method == "POST":
            exchange.cut_request = parts[-1]

    parts: list[float] = []
    proxy.fault = fault
    for count, part in enumerate(TENTHS, 1):
        parts.append(part)
        refused(run("pacs", "store", proxy.url, new), "new.dcm was not stored: ")
        assert proxy.count("POST") == count
    proxy.fault = lambda _: None
    assert run("pacs", "store", proxy.url, new).out == "new.dcm: stored, read back and compared\n"
    assert run("pacs", "store", proxy.url, new).out == "new.dcm: was there already, and the same\n"
    assert proxy.count("POST") == len(TENTHS) + 1


@pytest.mark.parametrize("status", [200, 503])
def test_a_lost_answer_to_an_upload_is_no_failure(run: Run, proxy: Proxy, new: Path, status: int) -> None:
    """It was stored; looking shows it, and nothing is sent twice."""

    def fault(exchange: Exchange) -> None:
        if exchange.method == "POST" and exchange.status:
            exchange.cut_answer, exchange.status = (None if status == 503 else 0.0), status

    proxy.fault = fault
    ran = run("pacs", "store", proxy.url, new)
    assert (ran.out, ran.err) == ("new.dcm: stored, read back and compared\n", "")
    assert proxy.count("POST") == 1


def test_a_server_that_dies_while_it_stores(run: Run, proxy: Proxy, new: Path) -> None:
    def fault(exchange: Exchange) -> None:
        if exchange.method == "POST" or proxy.count("POST"):
            exchange.status = 500

    proxy.fault = fault
    refused(run("pacs", "store", proxy.url, new), "Whether new.dcm was stored is not known")


def test_a_server_that_takes_and_loses(run: Run, proxy: Proxy, new: Path) -> None:
    def fault(exchange: Exchange) -> None:
        if exchange.method == "POST":
            exchange.status, exchange.body = 200, b"{}"
            exchange.headers["Content-Type"] = "application/dicom+json"

    proxy.fault = fault
    refused(run("pacs", "store", proxy.url, new), "took it and lost it")


def test_a_refusal_says_its_reason(run: Run, proxy: Proxy, new: Path) -> None:
    failed = {"00081198": {"vr": "SQ", "Value": [{"00081197": {"vr": "US", "Value": [0xA700]}}]}}

    def fault(exchange: Exchange) -> None:
        if exchange.method == "POST":
            exchange.status, exchange.body = 202, json.dumps(failed).encode()
            exchange.headers["Content-Type"] = "application/dicom+json"

    proxy.fault = fault
    refused(run("pacs", "store", proxy.url, new), "refused it (DICOM failure reason A700H)")


def test_a_server_that_is_slow_to_give_what_it_stored(run: Run, proxy: Proxy, new: Path) -> None:
    def fault(exchange: Exchange) -> None:
        if exchange.number == 2 and not exchange.status:
            exchange.status = 404

    proxy.fault = fault
    assert run("pacs", "store", proxy.url, new).out == "new.dcm: stored, read back and compared\n"
    assert [method for method, _ in proxy.seen] == ["GET", "POST", "GET", "GET"]


def test_what_has_the_same_uid_is_never_replaced(run: Run, orthanc: Orthanc, new: Path) -> None:
    assert run("pacs", "store", orthanc.url, new).status == 0
    dataset = pydicom.dcmread(new)
    dataset.PixelData = bytes(len(dataset.PixelData))
    dataset.save_as(new)
    refused(run("pacs", "store", orthanc.url, new), "is not replaced: new.dcm differs in PixelData")


def test_an_altered_copy_is_noticed(run: Run, proxy: Proxy, new: Path) -> None:
    pixels = pydicom.dcmread(new).PixelData

    def fault(exchange: Exchange) -> None:
        if exchange.status == 200 and proxy.count("POST") and exchange.method == "GET":
            exchange.body = exchange.body.replace(PATIENT.encode(), PATIENT[::-1].encode())
            exchange.body = exchange.body.replace(pixels, bytes([pixels[0] ^ 1]) + pixels[1:])

    proxy.fault = fault
    ran = run("pacs", "store", proxy.url, new)
    refused(ran, "altered what it stored: new.dcm differs in PatientName, PatientID, PixelData")
    assert PATIENT not in ran.err


def test_another_encoding_and_what_a_server_adds_are_no_difference(run: Run, proxy: Proxy, new: Path) -> None:
    def fault(exchange: Exchange) -> None:
        if exchange.status == 200 and proxy.count("POST") and exchange.method == "GET":
            dataset, buffer = pydicom.dcmread(BytesIO(exchange.content)), BytesIO()
            dataset.InstitutionName = "Added"
            dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
            dataset.save_as(buffer, implicit_vr=True, little_endian=True, enforce_file_format=True)
            exchange.send_parts(buffer.getvalue())

    proxy.fault = fault
    assert run("pacs", "store", proxy.url, new).out == "new.dcm: stored, read back and compared\n"


@pytest.mark.parametrize("content", [b"", b"no DICOM", bytes(128) + b"DICM", None])
def test_only_dicom_is_sent(run: Run, proxy: Proxy, files: list[Path], tmp_path: Path, content: bytes | None) -> None:
    bad = tmp_path / "bad.dcm"
    if content is None:
        bad.mkdir()
    else:
        bad.write_bytes(content)
    refused(run("pacs", "store", proxy.url, files[0], bad), "bad.dcm")
    assert proxy.seen == []


def test_a_full_disk_leaves_nothing(
    run: Run, proxy: Proxy, there: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    refused(run(*fetching(proxy, there, tmp_path)), "No space left on device")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_search_logs_tell_no_patient(
    run: Run, proxy: Proxy, there: tuple[str, str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert run("pacs", "find", proxy.url, "--patient-id", PATIENT).status == 0
    assert run(*fetching(proxy, there, tmp_path)).status == 0
    assert PATIENT not in caplog.text
    assert there[0] not in caplog.text
    assert PATIENT not in repr(DicomWeb(proxy.url, Credentials(USER, PASSWORD)).choose_series(there[0]))


def test_servers_say_nothing_of_their_credentials() -> None:
    known = Credentials(USER, PASSWORD)
    assert USER not in repr((known, vars(Server("https://127.0.0.1", known))))
