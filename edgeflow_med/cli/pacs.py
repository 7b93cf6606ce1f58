"""``edgeflow-med pacs find | fetch | store``, and the way of ``segment`` to and from a server.

The network libraries are imported only when a command names a server.
"""

from __future__ import annotations

import contextlib
import json
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from edgeflow_med.cli.output import heading, make_console, make_progress, row
from edgeflow_med.errors import EdgeFlowError, UsageError, WriteError
from edgeflow_med.io import check_writable
from edgeflow_med.io.credentials import find_credentials, is_private, parse_address

if TYPE_CHECKING:
    from edgeflow_med.io.dicomweb import DicomWeb, RemoteSeries

EXTRA = "dicomweb"
_PACKAGES = ("dicomweb_client", "requests", "retrying")

app = typer.Typer(help="Find, fetch and store images on a DICOMweb server.")

Address = Annotated[
    str, typer.Argument(metavar="URL", help="Where /studies lies, e.g. https://pacs.example.org/dicom-web.")
]
CaFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE.pem", envvar="EDGEFLOW_PACS_CA_FILE", help="Certificates to trust instead of the public ones."
    ),
]
CredentialsFile = Annotated[
    Path | None,
    typer.Option(
        "--credentials",
        metavar="FILE.json",
        envvar="EDGEFLOW_PACS_CREDENTIALS",
        help="Credentials, in a file that only you can read. [default: EDGEFLOW_PACS_USER and EDGEFLOW_PACS_PASSWORD, "
        "or EDGEFLOW_PACS_TOKEN]",
    ),
]
Study = Annotated[str, typer.Option(metavar="UID", help="Study Instance UID.")]
Series = Annotated[
    str | None, typer.Option(metavar="UID", help="Series Instance UID. [default: the study's only scan]")
]


@app.command()
def find(  # noqa: PLR0913 - one parameter per option
    url: Address,
    *,
    patient_id: Annotated[str | None, typer.Option(metavar="ID", help="Whose studies.")] = None,
    patient_name: Annotated[str | None, typer.Option(metavar="NAME", help="DOE^JANE, or with wildcards: DOE*.")] = None,
    study: Annotated[str | None, typer.Option(metavar="UID", help="Study Instance UID.")] = None,
    accession: Annotated[str | None, typer.Option(metavar="NUMBER", help="Accession number.")] = None,
    date: Annotated[str | None, typer.Option(metavar="DATE[-DATE]", help="20261122 or 20261101-20261122.")] = None,
    modality: Annotated[str | None, typer.Option(metavar="CT|MR|...", help="Only series of this modality.")] = None,
    limit: Annotated[int, typer.Option(metavar="N", min=1, help="At most so many studies.")] = 100,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list, for programs.")] = False,
    credentials: CredentialsFile = None,
    ca_file: CaFile = None,
) -> None:
    """List the series on a server that match."""
    if date is not None and not re.fullmatch(r"\d{8}(-(\d{8})?)?|-\d{8}", date):
        raise UsageError(f"{date!r} is not a date; give 20261122, or a range: 20261101-20261122.")
    asked = {
        "PatientID": patient_id,
        "PatientName": patient_name,
        "StudyInstanceUID": study,
        "AccessionNumber": accession,
        "StudyDate": date,
        "ModalitiesInStudy": modality,
    }
    filters = {keyword: value for keyword, value in asked.items() if value}
    found = connect(url, credentials, ca_file).find(filters, modality=modality, limit=limit)
    if as_json:
        typer.echo(json.dumps([entry.to_json() for entry in found], indent=2))
        return
    console = make_console()
    for entry in found:
        _print(console, entry)
    console.print(f"{len(found)} series" if found else "No series matches.")
    if len({entry.study_uid for entry in found}) == limit:
        console.print(f"There may be more than {limit} studies; narrow the search, or give --limit.")


@app.command()
def fetch(
    url: Address,
    *,
    study: Study,
    series: Series = None,
    output_dir: Annotated[Path, typer.Option(metavar="PATH", help="Where the series' folder is made.")],
    credentials: CredentialsFile = None,
    ca_file: CaFile = None,
) -> None:
    """Fetch a series, whole or not at all; given again, it goes on where it was interrupted."""
    server = connect(url, credentials, ca_file)
    console = make_console()
    console.print(str(_fetch(server, study, series, output_dir, console)))


@app.command()
def store(
    url: Address,
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="DICOM files, e.g. a Segmentation.")],
    *,
    credentials: CredentialsFile = None,
    ca_file: CaFile = None,
) -> None:
    """Store DICOM files, and read each back to compare it."""
    for path in files:
        if not path.is_file():
            raise UsageError(f"{path} is not a file; give DICOM files.")
    _store(connect(url, credentials, ca_file), files, make_console())


def connect(url: str, credentials: Path | None, ca_file: Path | None) -> DicomWeb:
    """A server, not spoken to yet.

    Raises:
        EdgeFlowError: The address, the credentials or the certificates cannot be used, or the extra is missing.
    """
    address = parse_address(url)
    known = find_credentials(address, credentials)
    try:
        from edgeflow_med.io.dicomweb import DicomWeb
    except ModuleNotFoundError as error:
        missing = str(error.name).split(".")[0]
        if missing not in _PACKAGES:
            raise
        raise UsageError(f'DICOMweb needs {missing}; run: pip install "edgeflow-med[{EXTRA}]"') from None
    if not is_private(address):
        typer.echo(f"Warning: {address} is not encrypted, others on the network can read along.", err=True)
    return DicomWeb(address, known, ca_file)


@dataclass(frozen=True)
class Exchange:
    """What ``segment`` was told about servers; see its help."""

    from_pacs: str | None = None
    to_pacs: str | None = None
    study: str | None = None
    series: str | None = None
    credentials: Path | None = None
    ca_file: Path | None = None


@contextlib.contextmanager
def exchanged(input: Path | None, asked: Exchange, outputs: Sequence[Path], console: Console) -> Iterator[Path]:  # noqa: A002
    """What to segment: a path, or a series fetched into a private folder that goes when the work is done.

    If the work succeeds, its DICOM-SEG is stored where that was asked for.

    Raises:
        EdgeFlowError: What was asked for does not fit together, a server cannot be used, or storing failed; the
            outputs are still there then.
    """
    _check_asked(input, asked)
    result = _find_result(outputs) if asked.to_pacs is not None else None
    source, target = _connect_both(asked)
    if source is None:
        assert input is not None
        yield input
    else:
        assert asked.study is not None
        for path in outputs:
            check_writable(path)
        with tempfile.TemporaryDirectory(prefix="edgeflow-") as folder:
            series = asked.series and asked.series.split("#")[0]  # which of its stacks is meant is for the reader
            yield _fetch(source, asked.study, series, Path(folder), console)
    if target is not None and result is not None:
        heading(console, "PACS")
        try:
            _store(target, [result], console)
        except EdgeFlowError as error:
            reason = str(error).rstrip(".")
            raise WriteError(f"{reason}; {result} is kept, `edgeflow-med pacs store` sends it again.") from None


def _check_asked(input: Path | None, asked: Exchange) -> None:  # noqa: A002
    if input is None and asked.from_pacs is None:
        raise UsageError("Missing INPUT: give a scan, or --from-pacs URL and --study UID.")
    if input is not None and asked.from_pacs is not None:
        raise UsageError("INPUT and --from-pacs were both given; give one of them.")
    if asked.from_pacs is not None and asked.study is None:
        raise UsageError("--from-pacs needs --study UID; `edgeflow-med pacs find` lists them.")
    if asked.study is not None and asked.from_pacs is None:
        raise UsageError("--study names a study on a server; give --from-pacs URL too.")


def _connect_both(asked: Exchange) -> tuple[DicomWeb | None, DicomWeb | None]:
    """The servers to read from and to write to; the latter is asked beforehand whether it lets us in."""
    urls = [url for url in (asked.from_pacs, asked.to_pacs) if url is not None]
    addresses = {parse_address(url) for url in urls}
    if len(addresses) > 1 and asked.credentials is None and any(find_credentials(address) for address in addresses):
        raise UsageError("The credentials in the environment are for one server, two are named; give --credentials.")
    known = {url: connect(url, asked.credentials, asked.ca_file) for url in dict.fromkeys(urls)}
    source, target = (known[url] if url is not None else None for url in (asked.from_pacs, asked.to_pacs))
    if target is not None:
        target.check()
    return source, target


def _find_result(outputs: Sequence[Path]) -> Path:
    """Which of the outputs goes to a server."""
    found = [path for path in outputs if path.suffix.lower() == ".dcm"]
    if len(found) != 1:
        raise UsageError(
            f"--to-pacs stores one DICOM-SEG, {len(found)} were asked for; give --output NAME.dcm once, "
            "it stays if the server fails."
        )
    return found[0]


def _fetch(server: DicomWeb, study: str, series: str | None, folder: Path, console: Console) -> Path:
    chosen = server.choose_series(study, series)
    with make_progress(console) as progress:
        task = progress.add_task("Fetching", total=None)
        return server.fetch(
            chosen, folder, told=lambda count, total: progress.update(task, completed=count, total=total)
        )


def _store(server: DicomWeb, files: Sequence[Path], console: Console) -> None:
    for path, new in server.store(files):
        what = "stored, read back and compared" if new else "was there already, and the same"
        console.print(f"{path.name}: {what}")


def _print(console: Console, entry: RemoteSeries) -> None:
    title = " ".join(filter(None, (entry.modality or "unknown modality", entry.description)))
    console.print(Text(title, style="bold"))
    row(console, "Patient", ", ".join(filter(None, (entry.patient_name, entry.patient_id))))
    row(console, "Date", " ".join(filter(None, (entry.study_date, entry.study_description))))
    row(console, "Study", entry.study_uid)
    row(console, "Series", entry.series_uid)
    row(console, "Images", str(entry.instances or "not told"))
    console.print()
