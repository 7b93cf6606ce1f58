"""A real PACS: Debian's Orthanc with its DICOMweb plugin, on a free port of the loopback interface."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
INSTALLED = shutil.which("Orthanc") is not None and PLUGIN.exists()
# Must not turn up in anything that is printed, logged or written. UTF-8, because hospitals have umlauts.
USER, PASSWORD, TOKEN = "canary-user", 'canary-Pässwort" 7', "canary.token-8~9+/A=="
PATIENT = "CANARY^PATIENT"


@dataclass(frozen=True)
class Orthanc:
    """A running server."""

    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/dicom-web"


@contextlib.contextmanager
def started(folder: Path, **settings: object) -> Iterator[Orthanc]:
    """Start a server that keeps its data in a folder, and stop it."""
    port = free_port()
    (folder / "settings.json").write_text(
        json.dumps(
            {
                "StorageDirectory": str(folder / "storage"),
                "IndexDirectory": str(folder / "storage"),
                "HttpPort": port,
                "DicomServerEnabled": False,
                "RemoteAccessAllowed": False,
                "Plugins": [str(PLUGIN)],
                **settings,
            }
        )
    )
    with (folder / "log").open("w") as log:
        command = ["Orthanc", str(folder / "settings.json")]
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    try:
        for _ in range(300):
            if "Orthanc has started" in (folder / "log").read_text(errors="replace"):
                break
            assert process.poll() is None, (folder / "log").read_text(errors="replace")
            time.sleep(0.1)
        yield Orthanc(port)
    finally:
        process.kill()  # it takes seconds to put its data in order, which nobody needs
        process.wait(30)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def make_certificates(folder: Path) -> tuple[Path, Path]:
    """An authority of our own, and the certificate and key that it gave to 127.0.0.1: two PEM files."""

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    (folder / "san").write_text("subjectAltName=IP:127.0.0.1")
    new = ("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl(*new, "-x509", "-days", "2", "-subj", "/CN=Hospital CA", "-keyout", "ca.key", "-out", "ca.pem")
    openssl(*new, "-subj", "/CN=pacs", "-keyout", "pacs.key", "-out", "pacs.csr")
    openssl(
        *("x509", "-req", "-in", "pacs.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2"),
        *("-extfile", "san", "-out", "pacs.crt"),
    )
    both = folder / "pacs.pem"
    both.write_text((folder / "pacs.crt").read_text() + (folder / "pacs.key").read_text())
    return folder / "ca.pem", both
