"""``segment`` with servers: what does not fit together is refused at once; without them, no network."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.cli.scans import CENTRE, write_ball
from tests.pacs.conftest import refused
from tests.pacs.orthanc import PASSWORD, TOKEN, USER

CLICK = ("--click", ",".join(str(v) for v in CENTRE))
FROM, TO = ("--from-pacs", "https://a.invalid"), ("--to-pacs", "https://b.invalid")
# Runs at the start of every interpreter, children included, and writes down what is done with sockets. pydicom imports
# urllib3, which on import binds one to its own machine, asks nobody and closes it, to see whether IPv6 is there.
_WITNESS = """
import os, sys

def witness(event, arguments):
    probe = event == "socket.__new__" or (event == "socket.bind" and arguments[1] == ("::1", 0))
    if event.startswith("socket.") and not probe:
        with open(os.environ["WITNESS"], "a") as file:
            file.write(f"{event} {arguments[1:]}\\n")

sys.addaudithook(witness)
with open(os.environ["WITNESS"] + ".started", "a") as file:
    file.write("once\\n")
"""


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_ball(tmp_path_factory.mktemp("scan") / "series")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([*CLICK, "--output", "a.dcm"], "Missing INPUT"),
        (["SERIES", *FROM, *CLICK, "--output", "a.dcm"], "both given"),
        ([*FROM, *CLICK, "--output", "a.dcm"], "--from-pacs needs --study"),
        (["SERIES", "--study", "1.2", *CLICK, "--output", "a.dcm"], "give --from-pacs"),
        (["SERIES", *TO, *CLICK, "--output", "a.nii.gz"], "give --output NAME.dcm once"),
        (["SERIES", *TO, *CLICK, "--output", "a.dcm", "--output", "b.dcm"], "give --output NAME.dcm once"),
        ([*FROM, *TO, "--study", "1.2", *CLICK, "--output", "a.dcm"], "for one server, two are named"),
        ([*FROM, "--study", "1.2", "--output", "a.dcm"], "No prompts were given"),
        ([*FROM, "--study", "1.2", *CLICK, "--output", "a.png"], "unknown suffix"),
        ([*FROM, "--study", "x", *CLICK, "--output", "a.dcm"], "'x' is not a UID"),
        (["SERIES", *TO, *CLICK, "--output", "a.dcm"], "https://b.invalid cannot be reached"),
        (["SERIES", "--to-pacs", "http://b.invalid", *CLICK, "--output", "a.dcm"], "give an https address"),
    ],
)
def test_refusals(
    run: Run, series: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EDGEFLOW_PACS_TOKEN", TOKEN)
    ran = run("segment", *(str(series) if argument == "SERIES" else argument for argument in arguments))
    refused(ran, said)
    assert "quality" not in ran.out, "the network ran first"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["PASSWORD", "TOKEN"])
def test_credentials_have_no_option(run: Run, name: str) -> None:
    for command in (["segment"], ["pacs", "find"], ["pacs", "fetch"], ["pacs", "store"]):
        assert f"--{name.lower()}" not in run(*command, "--help").out
    refused(run("pacs", "find", "https://a.invalid", f"--{name.lower()}", "x"), "No such option")


def test_an_unencrypted_server_elsewhere_is_warned_of(run: Run) -> None:
    ran = run("pacs", "find", "http://a.invalid/dicom-web")
    assert ran.err.startswith("Warning: http://a.invalid/dicom-web is not encrypted")
    assert (ran.status, len(ran.err.splitlines())) == (2, 2)


def test_the_extra_is_named_where_it_is_missing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "edgeflow_med.io.dicomweb", raising=False)
    monkeypatch.delitem(sys.modules, "edgeflow_med.io.server", raising=False)
    monkeypatch.setitem(sys.modules, "dicomweb_client", None)
    monkeypatch.delitem(sys.modules, "dicomweb_client.uri", raising=False)
    monkeypatch.delitem(sys.modules, "dicomweb_client.web", raising=False)
    refused(run("pacs", "find", "https://a.invalid"), 'pip install "edgeflow-med[dicomweb]"')


def test_without_servers_the_network_is_not_touched(series: Path, tmp_path: Path) -> None:
    """By this process or the one that reads files, whatever credentials lie around."""
    (tmp_path / "sitecustomize.py").write_text(_WITNESS)
    log = tmp_path / "witness"
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(tmp_path), str(Path(__file__).resolve().parents[2])]),
        "WITNESS": str(log),
        "OMP_NUM_THREADS": "1",  # threads that wait for each other on a busy machine take minutes
        "EDGEFLOW_PACS_USER": USER,
        "EDGEFLOW_PACS_PASSWORD": PASSWORD,
    }

    def python(*arguments: object) -> int:
        command = [sys.executable, *map(str, arguments)]
        return subprocess.run(command, env=environment, capture_output=True, check=False).returncode

    outputs = ("--output", tmp_path / "a.dcm", "--report", tmp_path / "a.json")
    assert python("-m", "edgeflow_med", "segment", series, *CLICK, *outputs) == 0
    assert not log.exists(), log.read_text()
    assert Path(f"{log}.started").read_text().count("once") >= 2, "the reading child is watched as well"
    assert python("-c", "import requests; requests.get('http://127.0.0.1:1')") == 1
    assert "socket.connect" in log.read_text(), "the witness sees"
