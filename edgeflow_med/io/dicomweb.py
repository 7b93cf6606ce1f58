"""A PACS over DICOMweb: find series (QIDO-RS), fetch them (WADO-RS), store results (STOW-RS).

Instances come and go as the bytes that they are: what a server sends is parsed in a child process like any other file
from outside. A result is sent once and then looked for, and counts as stored when it came back the same.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from edgeflow_med.errors import EdgeFlowError, ReadError, UsageError, WriteError
from edgeflow_med.io import child, server
from edgeflow_med.io.atomic import write_verified
from edgeflow_med.io.credentials import Credentials
from edgeflow_med.io.server import Server, value

# Bytes of a whole series.
MOST_BYTES = 16 * 2**30
# What a scan can be segmented from is none of these modalities.
_NOT_SCANS = ("SEG", "RTSTRUCT", "RTDOSE", "RTPLAN", "RTRECORD", "SR", "PR", "KO", "REG", "DOC", "AU", "ECG", "FID")
# How many series or attributes a message names.
_MOST_NAMED = 5


@dataclass(frozen=True)
class RemoteSeries:
    """A series as a server describes it; empty where it does not say.

    Attributes:
        instances: How many it has; 0 if the server does not say.
    """

    study_uid: str
    series_uid: str
    modality: str = ""
    description: str = ""
    number: str = ""
    instances: int = 0
    study_date: str = ""
    study_description: str = ""
    patient_id: str = field(default="", repr=False)
    patient_name: str = field(default="", repr=False)

    def to_json(self) -> dict[str, str | int]:
        """Plain strings and numbers."""
        return asdict(self)


class DicomWeb:
    """One server.

    Args:
        address: The address under which ``/studies`` lies, as `credentials.parse_address` gives it.
        credentials: What to show there.
        ca_file: Certificates to trust instead of the public ones, PEM.

    Raises:
        ReadError: The file of certificates cannot be used.
    """

    def __init__(self, address: str, credentials: Credentials | None = None, ca_file: Path | None = None) -> None:
        self.address = address
        self._server = Server(address, credentials, ca_file)

    def check(self) -> None:
        """Check before long work that the server is there and lets us in.

        Raises:
            ReadError: It is not, or does not.
        """
        self._server.studies({}, 1)

    def find(self, filters: dict[str, str], *, modality: str | None = None, limit: int = 100) -> list[RemoteSeries]:
        """The series of the studies that match.

        Args:
            filters: DICOM keyword to value, e.g. ``{"PatientID": "123", "StudyDate": "20260101-20261231"}``.
            modality: Only series of this modality.
            limit: At most this many studies.

        Raises:
            ReadError: The server cannot be asked, or gives no sensible answer.
        """
        found = []
        for study in self._server.studies(filters, limit):
            found += self._series(value(study, "StudyInstanceUID"), study)
        return [series for series in found if modality in (None, series.modality)]

    def choose_series(self, study_uid: str, series_uid: str | None = None) -> RemoteSeries:
        """The series of a study that is meant; without its UID, the only one that is a scan.

        Raises:
            ReadError: The study or the series is unknown there, or several could be meant.
            UsageError: Not a UID.
        """
        for uid in (study_uid, series_uid):
            if uid is not None and not server.is_uid(uid):
                raise UsageError(f"{uid!r} is not a UID; give one that `edgeflow-med pacs find` lists.")
        known = self._series(study_uid, {})
        if not known:
            raise ReadError(f"{self.address} knows no study {study_uid}; see `edgeflow-med pacs find`.")
        if series_uid is not None:
            chosen = [series for series in known if series.series_uid == series_uid]
            if not chosen:
                raise ReadError(f"Study {study_uid} has no series {series_uid}; it has {_names(known)}.")
            return chosen[0]
        scans = [series for series in known if series.modality not in _NOT_SCANS] or known
        if len(scans) > 1:
            raise ReadError(f"The study has {len(scans)} series, choose one by --series: {_names(scans)}.")
        return scans[0]

    def fetch(
        self, series: RemoteSeries, folder: Path, *, told: Callable[[int, int], None] = lambda _, __: None
    ) -> Path:
        """Fetch a series into a folder of its own, whole or not at all.

        What came before an interruption waits in a hidden folder beside it, and a second call goes on from there.

        Args:
            series: Which.
            folder: Where its folder is made; its name and those of the files are made from hashed UIDs.
            told: Called with the number of instances that are here and that are wanted.

        Returns:
            The series' folder.

        Raises:
            ReadError: The server fails, sends too much, or sends something else.
            WriteError: A file cannot be written, or the folder is there and holds something else.
        """
        wanted = {hashed(uid) + ".dcm": uid for uid in self._instance_uids(series)}
        place = folder / hashed(series.series_uid)
        partial = folder / f".{place.name}.partial"
        with _disk_errors(place):
            if place.exists():
                if {path.name for path in place.iterdir()} != wanted.keys():
                    raise WriteError(f"{place} is there already and is not what the server has now; remove it first.")
                return place
            self._fill(partial, series, wanted, told)
            self._check_fetched(partial, series, wanted)
            partial.replace(place)
        return place

    def store(self, paths: Sequence[Path]) -> Iterator[tuple[Path, bool]]:
        """Store DICOM files one by one, and read each back to compare it value for value.

        Yields:
            Each path as it is done, and False if the server had it already, and the same.

        Raises:
            ReadError: A file is not whole DICOM (nothing is sent then), or the server cannot be asked.
            WriteError: The server refused one, has another one under its UID, or gives it back altered.
        """
        for path, identity in zip(paths, child.identify(paths), strict=True):
            place = (identity["StudyInstanceUID"], identity["SeriesInstanceUID"], identity["SOPInstanceUID"])
            there = self._server.instance(*place)
            if there is None:
                self._send(path, place)
            else:
                self._compare(path, there, "has another instance of the same UID, which is not replaced")
            yield path, there is None

    def _send(self, path: Path, place: tuple[str, str, str]) -> None:
        """Send a file once, and see what came of it."""
        problem = self._server.store(place[0], path.read_bytes())
        try:
            back = self._look_for(place, patiently=not problem)
        except ReadError as error:
            raise WriteError(
                f"Whether {path.name} was stored is not known ({problem or error}); store it again, it is not doubled."
            ) from None
        if back is None:
            raise WriteError(f"{path.name} was not stored: {problem or f'{self.address} took it and lost it'}.")
        self._compare(path, back, "altered what it stored")

    def _look_for(self, place: tuple[str, str, str], *, patiently: bool) -> bytes | None:
        """An instance that was just sent; some servers need a moment before they give it."""
        for pause in (0.0, *server.PAUSES_S) if patiently else (0.0,):
            time.sleep(pause)
            found = self._server.instance(*place)
            if found is not None:
                return found
        return None

    def _compare(self, path: Path, content: bytes, what: str) -> None:
        if content == path.read_bytes():
            return
        with tempfile.TemporaryDirectory(prefix="edgeflow-") as folder:
            back = Path(folder, path.name)
            back.write_bytes(content)
            altered = child.differences(path, back)
        if altered:
            raise WriteError(f"{self.address} {what}: {path.name} differs in {_listed(altered)}; look at it there.")

    def _series(self, study_uid: str, study: dict[str, Any]) -> list[RemoteSeries]:
        return [_describe({**study, **series}, study_uid) for series in self._server.series(study_uid)]

    def _instance_uids(self, series: RemoteSeries) -> list[str]:
        listed = self._server.instances(series.study_uid, series.series_uid)
        if not listed or len(listed) < series.instances:
            raise ReadError(
                f"{self.address} lists {len(listed)} of {series.instances} images of series {series.series_uid}; "
                "fetch it again later."
            )
        return [value(entry, "SOPInstanceUID") for entry in listed]

    def _fill(
        self, partial: Path, series: RemoteSeries, wanted: dict[str, str], told: Callable[[int, int], None]
    ) -> None:
        """Fetch what is not there yet; remove what should not be there."""
        for stray in partial.iterdir() if partial.exists() else ():
            if stray.name not in wanted:
                stray.unlink()
        size = 0
        for count, (name, uid) in enumerate(wanted.items()):
            told(count, len(wanted))
            if not (partial / name).exists():
                content = self._server.instance(series.study_uid, series.series_uid, uid)
                if content is None:
                    raise ReadError(f"{self.address} lists instance {uid} but does not give it; fetch again later.")
                _write(partial / name, content)
            size += (partial / name).stat().st_size
            if size > MOST_BYTES:
                shutil.rmtree(partial)
                raise ReadError(
                    f"Series {series.series_uid} has more than {MOST_BYTES / 2**30:.0f} GB; it was removed."
                )
        told(len(wanted), len(wanted))

    def _check_fetched(self, partial: Path, series: RemoteSeries, wanted: dict[str, str]) -> None:
        """Check by the guarded reader that each file is the instance that it should be; if not, remove them all."""
        try:
            found = child.identify([partial / name for name in wanted])
            for identity, uid in zip(found, wanted.values(), strict=True):
                if (identity["SeriesInstanceUID"], identity["SOPInstanceUID"]) != (series.series_uid, uid):
                    raise ReadError(f"something else came instead of instance {uid}")
        except EdgeFlowError as error:
            shutil.rmtree(partial)
            reason = str(error).rstrip(".")
            raise ReadError(f"{self.address} did not send the series asked for ({reason}); nothing was kept.") from None


@contextlib.contextmanager
def _disk_errors(place: Path) -> Iterator[None]:
    try:
        yield
    except EdgeFlowError:  # a ReadError is an OSError too
        raise
    except OSError as error:
        raise WriteError(f"Cannot write {place}: {error.strerror or error}; give another folder.") from None


def hashed(uid: str) -> str:
    """A name that does not tell the UID."""
    return hashlib.sha256(uid.encode()).hexdigest()[:32]


def _write(path: Path, content: bytes) -> None:
    def verify(temporary: Path) -> None:
        if temporary.read_bytes() != content:
            raise WriteError(f"Cannot write {path}: it did not read back as written.")

    write_verified(path, lambda temporary: _write_private(temporary, content), verify)


def _write_private(path: Path, content: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(content)


def _describe(entry: dict[str, Any], study_uid: str) -> RemoteSeries:
    count = value(entry, "NumberOfSeriesRelatedInstances")
    return RemoteSeries(
        study_uid=study_uid,
        series_uid=value(entry, "SeriesInstanceUID"),
        modality=value(entry, "Modality"),
        description=value(entry, "SeriesDescription"),
        number=value(entry, "SeriesNumber"),
        instances=int(count) if count.isdecimal() else 0,
        study_date=value(entry, "StudyDate"),
        study_description=value(entry, "StudyDescription"),
        patient_id=value(entry, "PatientID"),
        patient_name=value(entry, "PatientName"),
    )


def _names(series: list[RemoteSeries]) -> str:
    return _listed([f"{entry.series_uid} ({entry.modality or '?'}, {entry.instances} images)" for entry in series])


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more
