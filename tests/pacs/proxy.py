"""A reverse proxy that passes everything on to a real server, except for the faults that a test asks for."""

from __future__ import annotations

import contextlib
import http.client
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


@dataclass
class Exchange:
    """One request, and the answer that a fault may change.

    Attributes:
        cut_request: Which part of the request's body is read before the connection breaks; nothing is passed on.
        cut_answer: Which part of the answer's body is sent before the connection breaks.
    """

    method: str
    path: str
    number: int
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    cut_request: float | None = None
    cut_answer: float | None = None
    delay: float = 0.0

    @property
    def content(self) -> bytes:
        """The one part of an answer in parts."""
        return self.body.split(b"\r\n\r\n", 1)[1].rsplit(b"\r\n--", 1)[0]

    def send_parts(self, *contents: bytes) -> None:
        """Answer with other parts, correctly put together."""
        boundary = self.headers["Content-Type"].split("boundary=")[1].strip('"').encode()
        parts = b"".join(
            b"--" + boundary + b"\r\nContent-Type: application/dicom\r\n\r\n" + part + b"\r\n" for part in contents
        )
        self.body = parts + b"--" + boundary + b"--"


# Called before a request is passed on, when `status` is 0 (setting it answers at once), and again with the answer.
Fault = Callable[[Exchange], None]


@dataclass
class Proxy:
    """A running proxy and what it has seen."""

    url: str
    fault: Fault
    seen: list[tuple[str, str]] = field(default_factory=list)

    def count(self, method: str) -> int:
        return sum(known == method for known, _ in self.seen)


@contextlib.contextmanager
def proxied(port: int, certificate: Path | None = None) -> Iterator[Proxy]:
    """A proxy in front of a port of this machine; with a certificate and key, callers must speak TLS."""
    server = _Server(("127.0.0.1", 0), _Handler)
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    scheme = "http" if certificate is None else "https"
    proxy = Proxy(f"{scheme}://127.0.0.1:{server.server_address[1]}/dicom-web", lambda _: None)
    server.proxy, server.behind = proxy, port  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Say nothing: clients that hang up are what the tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Any

    def do_GET(self) -> None:
        self._pass_on()

    def do_POST(self) -> None:
        self._pass_on()

    def _pass_on(self) -> None:
        proxy: Proxy = self.server.proxy
        exchange = Exchange(self.command, self.path, len(proxy.seen))
        proxy.seen.append((self.command, self.path))
        proxy.fault(exchange)
        time.sleep(exchange.delay)
        body = self._read(exchange.cut_request)
        if exchange.cut_request is not None:
            return self._break()
        if not exchange.status:
            behind = http.client.HTTPConnection("127.0.0.1", self.server.behind, timeout=30)
            kept = {key: text for key, text in self.headers.items() if key.lower() != "transfer-encoding"}
            behind.request(self.command, exchange.path, body, kept | {"Content-Length": str(len(body))})
            answer = behind.getresponse()
            exchange.status, exchange.body = answer.status, answer.read()
            exchange.headers = {"Content-Type": answer.headers.get("Content-Type", "")}
            behind.close()
            proxy.fault(exchange)
        self.send_response(exchange.status)
        for key, text in {**exchange.headers, "Content-Length": str(len(exchange.body))}.items():
            self.send_header(key, text)
        self.end_headers()
        if exchange.cut_answer is not None:
            self.wfile.write(exchange.body[: int(exchange.cut_answer * len(exchange.body))])
            return self._break()
        self.wfile.write(exchange.body)
        return None

    def _read(self, part: float | None) -> bytes:
        """The request's body, or its first part."""
        length = int(self.headers.get("Content-Length") or 0)
        if part is not None:
            return self.rfile.read(int(part * length))
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(length)
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _break(self) -> None:
        self.wfile.flush()
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Say nothing."""
