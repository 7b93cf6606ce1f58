"""Uploads that go wrong: one clear line and status 2, and no result is sent twice or lost."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import ImplicitVRLittleEndian

from edgeflow_med.cli import pacs as exchanges
from edgeflow_med.cli.output import make_console
from edgeflow_med.errors import WriteError
from tests.cli.conftest import Run
from tests.pacs.conftest import needs_orthanc, refused
from tests.pacs.orthanc import PATIENT, Orthanc
from tests.pacs.proxy import Exchange, Proxy

pytestmark = [needs_orthanc, pytest.mark.usefixtures("password", "quickly", "nothing_is_left")]
TENTHS = [part / 10 for part in range(10)]


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


@pytest.mark.parametrize("what", ["cut", "503", "garbage"])
def test_a_lost_answer_to_an_upload_is_no_failure(run: Run, proxy: Proxy, new: Path, what: str) -> None:
    """It was stored; looking shows it, and nothing is sent twice."""

    def fault(exchange: Exchange) -> None:
        if exchange.method == "POST" and exchange.status:
            exchange.cut_answer = 0.0 if what == "cut" else None
            exchange.status = 503 if what == "503" else 200
            exchange.body = b"garbage" if what == "garbage" else exchange.body
            exchange.headers["Content-Type"] = "application/dicom+json"

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


def test_a_result_that_cannot_be_stored_is_kept(proxy: Proxy, new: Path) -> None:
    def fault(exchange: Exchange) -> None:
        if exchange.method == "POST":
            exchange.status = 403

    proxy.fault = fault
    asked = exchanges.Exchange(to_pacs=proxy.url)
    kept_by = "does not allow this; .*new.dcm is kept, `edgeflow-med pacs store` sends it again"
    with pytest.raises(WriteError, match=kept_by), exchanges.exchanged(new, asked, [new], make_console()):
        assert proxy.count("POST") == 0
    assert new.exists()
