"""The append-only file in which a session lives: JSON lines, each with a checksum, each on disk before it counts.

A line is written, flushed to the disk, and only then acted upon. What a crash leaves of the last line is cut off when
the file is opened again; damage anywhere else is an error.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from edgeflow_med.errors import ReadError, WriteError

FILE_NAME = "journal.jsonl"
_CHECKSUM = b',"crc32":"'


class Journal:
    """An open journal; ``number`` is that of the last record.

    Args:
        folder: The case; it is made if it is not there.
        new: Start a journal instead of continuing one.

    Attributes:
        records: What was in the file when it was opened.
        torn: Whether the last line was cut short by a crash.
        reader: Pseudonym that every record gets.

    Raises:
        WriteError: The folder cannot be written to, or another program has the case open.
        ReadError: There is no journal, or a line before the last is damaged.
    """

    def __init__(self, folder: Path, *, new: bool) -> None:
        self.path = folder / FILE_NAME
        if new and self.path.exists():
            raise WriteError(f"{folder} already holds a case; resume it, or give another folder.")
        if not new and not self.path.is_file():
            raise ReadError(f"There is no case at {folder}: it has no {FILE_NAME}; give the folder of a case.")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            flags = os.O_RDWR | os.O_APPEND | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
            self._file = os.open(self.path, flags | (os.O_CREAT | os.O_EXCL if new else 0), 0o600)
        except OSError as error:
            raise WriteError(f"Cannot write a journal to {folder}: {error.strerror}; choose another folder.") from None
        try:
            _lock(self._file, folder)
            self.records, self._size, self.torn = ([], 0, False) if new else _read(self.path)
            if self.torn:
                os.ftruncate(self._file, self._size)
            _sync_folder(folder)
        except BaseException:
            os.close(self._file)
            raise
        self.number = len(self.records)
        self.reader = ""

    def append(self, kind: str, /, *, sync: bool = True, **values: Any) -> int:
        """Write a record and have it on disk; returns its number.

        Args:
            kind: Its type.
            sync: False to hand it over to the system only; :meth:`sync`, or the next record, has it on disk.
            **values: What else it says.

        Raises:
            WriteError: It could not be written; the file is as it was.
        """
        record = {"n": self.number + 1, "type": kind, "time": _now(), "reader": self.reader, **values}
        line = _line(record)
        try:
            os.ftruncate(self._file, self._size)  # an earlier failure may have left the start of a line
            written = 0
            while written < len(line):
                written += os.write(self._file, line[written:])
            if sync:
                os.fsync(self._file)
        except BaseException as error:
            self._cut()  # an interrupted record has not happened either
            if not isinstance(error, OSError):
                raise
            raise WriteError(
                f"Cannot write the journal {self.path}: {error.strerror}; the last action was not recorded and is "
                "not done. Make room or give access, then repeat it."
            ) from None
        self._size += len(line)
        self.number += 1
        return self.number

    def sync(self) -> None:
        """Have all records on disk; any thread may do that, since a disk may take long.

        Raises:
            WriteError: They could not be written.
        """
        try:
            os.fsync(self._file)
        except OSError as error:
            raise WriteError(
                f"Cannot write the journal {self.path}: {error.strerror}; the last action may not be recorded. "
                "Make room or give access, then repeat it."
            ) from None

    def close(self) -> None:
        """Let others open the case."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _cut(self) -> None:
        try:
            os.ftruncate(self._file, self._size)
        except OSError:
            return  # tried again before the next record; a reader cuts it off as well


def read_journal(folder: Path | str) -> Iterator[dict[str, Any]]:
    """The records of a case, oldest first, without opening it for writing.

    Raises:
        ReadError: There is none, or it is damaged before its last line.
    """
    return iter(read_records(Path(folder))[0])


def read_records(folder: Path) -> tuple[list[dict[str, Any]], bool]:
    """The same as a list, and whether the last record was cut short by a crash.

    Raises:
        ReadError: There is none, or it is damaged before its last line.
    """
    path = folder / FILE_NAME
    if not path.is_file():
        raise ReadError(f"There is no case at {folder}: it has no {FILE_NAME}; give the folder of a case.")
    records, _, torn = _read(path)
    return records, torn


def _line(record: dict[str, Any]) -> bytes:
    body = json.dumps(record, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode("utf-8")
    return body[:-1] + _CHECKSUM + b'%08x"}\n' % zlib.crc32(body)


def _parse(line: bytes) -> dict[str, Any] | None:
    """A record; None if the line is not one that was written whole."""
    body, mark, checksum = line.rpartition(_CHECKSUM)
    body += b"}"
    if not mark or checksum != b'%08x"}' % zlib.crc32(body):
        return None
    return dict(json.loads(body))


def _read(path: Path) -> tuple[list[dict[str, Any]], int, bool]:
    """All records, how many bytes they take, and whether something torn follows them."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ReadError(f"Cannot read {path}: {error.strerror}; give the folder of a case.") from None
    records: list[dict[str, Any]] = []
    size = 0
    *lines, rest = data.split(b"\n")
    for number, line in enumerate(lines, 1):
        record = _parse(line)
        if record is None or record["n"] != number:
            if number == len(lines) and not rest:
                return records, size, True
            raise ReadError(f"{path} is damaged at line {number}; restore that file from a backup.")
        records.append(record)
        size += len(line) + 1
    return records, size, bool(rest)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _lock(file: int, folder: Path) -> None:
    """Keep other programs from writing to the same case; given up when the process ends, however it ends."""
    try:
        if os.name == "nt":
            import msvcrt

            os.lseek(file, 0x7FFFFFF0, os.SEEK_SET)  # far behind the end: a locked byte cannot be read
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        raise WriteError(f"The case {folder} is open in another program; close it there first.") from None
    except OSError:
        return  # a file system without locks, e.g. some network shares


def _sync_folder(folder: Path) -> None:
    """Have the file's name on disk too, where that is possible."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError:
        return
    finally:
        os.close(handle)
