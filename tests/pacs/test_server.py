"""A server that is not there, not one, or not well: one clear line and status 2."""

from __future__ import annotations

import json

import pytest
from pydicom.uid import generate_uid

from edgeflow_med.io import server
from edgeflow_med.io.credentials import Credentials
from edgeflow_med.io.server import Server
from tests.cli.conftest import Run
from tests.pacs.conftest import needs_orthanc, refused
from tests.pacs.orthanc import PASSWORD, PATIENT, USER, Orthanc, free_port
from tests.pacs.proxy import Exchange, Proxy

pytestmark = [needs_orthanc, pytest.mark.usefixtures("password", "quickly", "nothing_is_left")]


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


def test_a_list_without_end_is_left(run: Run, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    def fault(exchange: Exchange) -> None:
        entries = [{"0020000D": {"vr": "UI", "Value": [generate_uid()]}} for _ in range(10)]
        exchange.status, exchange.body = 200, json.dumps(entries).encode()

    monkeypatch.setattr(server, "MOST_ENTRIES", 45)
    proxy.fault = fault
    refused(run("pacs", "find", proxy.url, "--limit", "1000"), "lists more than 45 entries")
    assert proxy.count("GET") == 5


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


def test_servers_say_nothing_of_their_credentials() -> None:
    known = Credentials(USER, PASSWORD)
    assert USER not in repr((known, vars(Server("https://127.0.0.1", known))))
