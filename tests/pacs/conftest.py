"""Two real servers: one with a password, one behind TLS with a bearer token; and what may never be seen."""

from __future__ import annotations

import base64
import logging
import secrets
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import generate_uid

from edgeflow_med.io import child, local, server
from edgeflow_med.io.credentials import Credentials
from edgeflow_med.io.dicomweb import DicomWeb
from tests.cli.conftest import Ran, Run, run_command
from tests.cli.scans import write_ball
from tests.pacs.orthanc import INSTALLED, PASSWORD, PATIENT, TOKEN, USER, Orthanc, make_certificates, started
from tests.pacs.proxy import Proxy, proxied

SECRETS = (PASSWORD, TOKEN, base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode())
needs_orthanc = pytest.mark.skipif(not INSTALLED, reason="Orthanc is not installed; scripts/test-deps installs it")
# Looking at files in a child has tests of its own; most of these do without.
IN_A_CHILD = {"identify": child.identify, "differences": child.differences}
# Lets in who shows the token.
_FILTER = (
    f"function IncomingHttpRequestFilter(m, u, i, n, headers) return headers['authorization'] == 'Bearer {TOKEN}' end"
)


@pytest.fixture(scope="session")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    folder = tmp_path_factory.mktemp("orthanc")
    with started(folder, AuthenticationEnabled=True, RegisteredUsers={USER: PASSWORD}) as running:
        yield running


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The certificate of an authority, and one that it gave to 127.0.0.1."""
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def secure(authority: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """A second server, behind TLS: the proxy's, because Debian's Orthanc 1.10.1 dies in a TLS handshake."""
    folder = tmp_path_factory.mktemp("secure")
    (folder / "filter.lua").write_text(_FILTER)
    with (
        started(folder, AuthenticationEnabled=False, LuaScripts=[str(folder / "filter.lua")]) as running,
        proxied(running.port, authority[1]) as front,
    ):
        yield front


@pytest.fixture
def proxy(orthanc: Orthanc) -> Iterator[Proxy]:
    """Faults on the way to the first server."""
    with proxied(orthanc.port) as running:
        yield running


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "PAUSES_S", (0.0, 0.0))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def password(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials for the first server, in the environment."""
    monkeypatch.setenv("EDGEFLOW_PACS_USER", USER)
    monkeypatch.setenv("EDGEFLOW_PACS_PASSWORD", PASSWORD)


@pytest.fixture
def run(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Run a command; whatever it prints or logs, at the chattiest level, must not hold a secret."""
    monkeypatch.setattr(logging.root.manager, "disable", logging.NOTSET)
    monkeypatch.setattr(logging, "disable", lambda _: None)
    caplog.set_level(logging.DEBUG)
    said: list[str] = []

    def run_and_keep(*arguments: object) -> Ran:
        ran = run_command(*arguments)
        said.extend((ran.out, ran.err))
        return ran

    yield run_and_keep
    assert said
    for secret in SECRETS:
        assert not [text for text in (*said, caplog.text) if secret in text]


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A series of 12 files of a patient who must not turn up."""
    paths = sorted(write_ball(tmp_path_factory.mktemp("ball")).iterdir())[:12]
    for path in paths:
        dataset = pydicom.dcmread(path)
        dataset.PatientName = dataset.PatientID = PATIENT
        dataset.save_as(path)
    return paths


@pytest.fixture(scope="session")
def there(orthanc: Orthanc, files: list[Path]) -> tuple[str, str]:
    """Study and series of those files, on the server."""
    assert len(list(DicomWeb(orthanc.url, Credentials(USER, PASSWORD)).store(files))) == len(files)
    header = pydicom.dcmread(files[0], stop_before_pixels=True)
    return header.StudyInstanceUID, header.SeriesInstanceUID


@pytest.fixture
def new(files: list[Path], tmp_path: Path) -> Path:
    """A file that the server does not know, with noise that no compression makes small."""
    dataset = pydicom.dcmread(files[0])
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = generate_uid(), generate_uid()
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset.add_new((0x0009, 0x0010), "LO", "EDGEFLOW TEST")
    dataset.add_new((0x0009, 0x1001), "OB", secrets.token_bytes(100_000))
    dataset.save_as(tmp_path / "new.dcm")
    return tmp_path / "new.dcm"


@pytest.fixture
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at files in this process."""
    for name in IN_A_CHILD:
        monkeypatch.setattr(child, name, getattr(local, name))


@pytest.fixture
def nothing_is_left(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Temporary files go, whatever happens."""
    folder = tmp_path_factory.mktemp("temporary")
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    yield
    assert list(folder.iterdir()) == []


def refused(ran: Ran, said: str) -> None:
    """One line on stderr and status 2."""
    assert ran.status == 2, ran.out
    assert len(ran.err.splitlines()) == 1, ran.err
    assert said in ran.err, ran.err
    assert "Traceback" not in ran.err
    assert "internal error" not in ran.err
