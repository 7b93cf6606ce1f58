"""Addresses of servers, and the credentials that go with them: from the environment or from a private file.

They never come from the command line, which every user of a machine can list, and never go into a message or a repr.
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from edgeflow_med.errors import ReadError, UsageError

USER, PASSWORD, TOKEN = "EDGEFLOW_PACS_USER", "EDGEFLOW_PACS_PASSWORD", "EDGEFLOW_PACS_TOKEN"
_DEFAULT_PORTS = {"http": 80, "https": 443}
# RFC 6750: what a bearer token may consist of. Anything else would end up in an error message of the HTTP library.
_BEARER = re.compile(r"[A-Za-z0-9._~+/-]+=*")


@dataclass(frozen=True)
class Credentials:
    """A user's name and password, or a bearer token; its repr shows neither."""

    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)

    def check(self, origin: str) -> None:
        """Check that they can be sent.

        Args:
            origin: Where they come from, for the message.

        Raises:
            UsageError: Half of a pair, both kinds, or characters that HTTP cannot carry.
        """
        if self.token and (self.user or self.password):
            raise UsageError(f"{origin} holds a token and also a user or password; give one of the two.")
        if bool(self.user) != bool(self.password):
            missing = "password" if self.user else "user"
            raise UsageError(f"{origin} holds half of a pair, the {missing} is missing; give both, or a token.")
        if ":" in self.user:
            raise UsageError(f"The user in {origin} contains a colon, which basic authentication cannot carry.")
        if self.token and not _BEARER.fullmatch(self.token):
            raise UsageError(f"The token in {origin} is not a bearer token; give letters, digits and ._~+/-= alone.")


def parse_address(text: str) -> str:
    """The address of a server in one form: lower-case host, no default port, no slash at the end.

    Raises:
        UsageError: Not http or https, or with a user, password, query or fragment in it; the message does not repeat
            what could be a password.
    """
    if "@" in text:
        raise UsageError(
            f"The server's address holds a user or password; give them in {USER} and {PASSWORD}, or in a file by "
            "--credentials."
        )
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    odd = parts.scheme not in _DEFAULT_PORTS or not parts.hostname or parts.query or parts.fragment
    if odd or not text.isprintable() or " " in text:
        raise UsageError(f"{text!r} is not the address of a server; give e.g. https://pacs.example.org/dicom-web.")
    host = f"[{parts.hostname}]" if ":" in str(parts.hostname) else str(parts.hostname)
    colon = f":{port}" if port and port != _DEFAULT_PORTS[parts.scheme] else ""
    return f"{parts.scheme}://{host}{colon}{parts.path.rstrip('/')}"


def is_private(address: str) -> bool:
    """Whether nobody in between can read what goes to a server: it is encrypted, or does not leave this machine."""
    parts = urlsplit(address)
    host = parts.hostname or ""
    try:
        local = ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = host == "localhost"
    return local or parts.scheme == "https"


def find_credentials(
    address: str, file: Path | None = None, environment: Mapping[str, str] = os.environ
) -> Credentials | None:
    """The credentials for a server; None if there are none.

    Args:
        address: As `parse_address` gives it.
        file: A private JSON file: for each address ``{"user": ..., "password": ...}``, ``{"token": ...}`` or ``{}``.
            It wins over the environment.
        environment: Where the three variables are looked for.

    Raises:
        ReadError: The file cannot be read, or is not in that form.
        UsageError: Others may read the file, it does not name the server, or the credentials cannot be sent.
    """
    if file is not None:
        entries = _read(file)
        if address not in entries:
            raise UsageError(f"{file} names no credentials for {address}; add them, or {{}} for a server without.")
        found, origin = entries[address], str(file)
    else:
        found = Credentials(*(environment.get(name, "").strip("\r\n") for name in (USER, PASSWORD, TOKEN)))
        origin = "The environment"
    found.check(origin)
    if found == Credentials():
        return None
    if not is_private(address):
        raise UsageError(f"{address} is not encrypted and would show the credentials to others; give an https address.")
    return found


def _read(file: Path) -> dict[str, Credentials]:
    """Address to credentials; no message repeats what stands in the file."""
    try:
        with file.open("rb") as stream:
            rights = stat.S_IMODE(os.fstat(stream.fileno()).st_mode)
            content = stream.read()
    except OSError as error:
        raise ReadError(f"Cannot read {file}: {error.strerror or error}; give a file by --credentials.") from None
    if os.name == "posix" and rights & 0o077:
        raise UsageError(f"Others may read the credentials in {file}; run: chmod 600 {file}")
    try:
        return {parse_address(address): _entry(words) for address, words in json.loads(content).items()}
    except (ValueError, AttributeError, TypeError, RecursionError):
        form = '{"https://server/path": {"user": "...", "password": "..."}}'
        raise ReadError(f"{file} is not a file of credentials; write {form}.") from None


def _entry(words: dict[str, str]) -> Credentials:
    if not all(isinstance(text, str) for text in words.values()):
        raise TypeError
    return Credentials(**words)
