"""Addresses and credentials: where they come from, who gets them, and that no message repeats them."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from edgeflow_med.errors import EdgeFlowError, ReadError, UsageError
from edgeflow_med.io.credentials import PASSWORD, TOKEN, USER, Credentials, find_credentials, is_private, parse_address
from edgeflow_med.io.server import _session

CANARY = "canary-Wört"
SERVER = "https://pacs.example.org/dicom-web"


def write(folder: Path, document: object, mode: int = 0o600) -> Path:
    file = folder / "credentials.json"
    file.write_text(document if isinstance(document, str) else json.dumps(document))
    file.chmod(mode)
    return file


@pytest.mark.parametrize(
    ("text", "address"),
    [
        (SERVER, SERVER),
        ("HTTPS://PACS.Example.org:443/dicom-web/", SERVER),
        ("http://127.0.0.1:80", "http://127.0.0.1"),
        ("http://[::1]:8042/a", "http://[::1]:8042/a"),
        ("https://h/Case/Matters", "https://h/Case/Matters"),
    ],
)
def test_addresses_have_one_form(text: str, address: str) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "pacs",
        "ftp://h",
        "https://",
        "https://h:x",
        "https://h:99999",
        "https://h?q",
        "https://h#f",
        "https://h/a b",
    ],
)
def test_other_addresses_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"^'.*' is not the address of a server; give e\.g\."):
        parse_address(text)


@pytest.mark.parametrize("text", [f"https://u:{CANARY}@h", f"//{CANARY}@h", f"https:/u:{CANARY}@h"])
def test_an_address_with_a_password_is_not_repeated(text: str) -> None:
    with pytest.raises(UsageError, match="holds a user or password") as caught:
        parse_address(text)
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize(
    ("address", "private"),
    [
        (SERVER, True),
        ("http://127.0.0.3:1", True),
        ("http://[::1]", True),
        ("http://localhost", True),
        ("http://10.0.0.1", False),
    ],
)
def test_private_is_encrypted_or_on_this_machine(address: str, private: bool) -> None:
    assert is_private(address) == private


def test_from_the_environment() -> None:
    assert find_credentials(SERVER, environment={}) is None
    assert find_credentials(SERVER, environment={USER: "u", PASSWORD: " p\n"}) == Credentials("u", " p")
    assert find_credentials(SERVER, environment={TOKEN: "t"}) == Credentials(token="t")


def test_from_a_file_each_server_gets_its_own(tmp_path: Path) -> None:
    other = "http://127.0.0.1:8042"
    document = {SERVER + "/": {"user": "u", "password": CANARY}, other: {"token": "t"}, "https://open": {}}
    file = write(tmp_path, document)
    environment = {TOKEN: "from-the-environment"}
    assert find_credentials(SERVER, file, environment) == Credentials("u", CANARY)
    assert find_credentials(other, file, environment) == Credentials(token="t")
    assert find_credentials("https://open", file, environment) is None
    with pytest.raises(UsageError, match="names no credentials for https://third"):
        find_credentials("https://third", file, environment)


@pytest.mark.skipif(os.name != "posix", reason="Windows keeps rights in another way")
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666, 0o601])
def test_a_file_that_others_may_touch_is_refused(tmp_path: Path, mode: int) -> None:
    file = write(tmp_path, {SERVER: {"token": CANARY}}, mode)
    with pytest.raises(UsageError, match=f"run: chmod 600 {re.escape(str(file))}"):
        find_credentials(SERVER, file)


@pytest.mark.parametrize(
    "document",
    [
        CANARY,
        [CANARY],
        {SERVER: CANARY},
        {SERVER: {"token": [CANARY]}},
        {SERVER: {CANARY: "x"}},
        {CANARY: {"token": "t"}},
        {SERVER: {"token": CANARY + "\n"}},
        {SERVER: {"user": CANARY}},
        {SERVER: {"password": CANARY}},
        {SERVER: {"user": CANARY, "password": "p", "token": "t"}},
        {SERVER: {"user": CANARY + ":", "password": "p"}},
        "[" * 100_000,
    ],
    ids=lambda document: str(document)[:20],
)
def test_what_cannot_be_used_is_refused_and_not_repeated(tmp_path: Path, document: object) -> None:
    file = write(tmp_path, document)
    with pytest.raises((ReadError, UsageError), match=r"credentials\.json") as caught:
        find_credentials(SERVER, file)
    assert CANARY not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match=r"Cannot read .*none\.json: No such file"):
        find_credentials(SERVER, tmp_path / "none.json")


def test_credentials_do_not_go_unencrypted_to_another_machine() -> None:
    with pytest.raises(UsageError, match="give an https address") as caught:
        find_credentials("http://10.0.0.1/dicom-web", environment={USER: "u", PASSWORD: CANARY})
    assert CANARY not in str(caught.value)


def test_a_repr_shows_nothing() -> None:
    assert repr(Credentials(CANARY, CANARY, CANARY)) == "Credentials()"


def test_files_of_other_programs_add_no_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import requests

    netrc = tmp_path / "netrc"
    netrc.write_text(f"machine pacs.example.org login u password {CANARY}")
    monkeypatch.setenv("NETRC", str(netrc))
    request = requests.Request("GET", SERVER)
    assert "Authorization" in requests.Session().prepare_request(request).headers, "the trap is set"
    assert "Authorization" not in _session(SERVER, None, None).prepare_request(request).headers
    token = _session(SERVER, Credentials(token="mine"), None).prepare_request(request)
    assert token.headers["Authorization"] == "Bearer mine"


def test_certificates_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(EdgeFlowError, match=r"Cannot use the certificates in .*: No such file"):
        _session(SERVER, None, tmp_path / "none.pem")
