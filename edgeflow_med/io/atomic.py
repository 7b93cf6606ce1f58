"""Files that are whole or not there: write to a temporary name, read back and compare, rename.

`os.replace` within one folder is atomic, so whatever happens before it, the old file stays as it was.
"""

from __future__ import annotations

import contextlib
import errno
import glob
import json
import os
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeflow_med.errors import EdgeFlowError, WriteError

# After how long a temporary file counts as left behind by a process that was killed, in seconds.
_STALE_SECONDS = 24 * 3600


@dataclass(frozen=True)
class Part:
    """One file of what is written together.

    Attributes:
        path: The final name; its folder is made if need be, an existing file is replaced.
        write: Writes to the temporary name it is given, in the same folder and with the same suffixes.
        verify: Reads that file by another way than it was written and raises `WriteError` on any difference.
    """

    path: Path
    write: Callable[[Path], None]
    verify: Callable[[Path], None]


def write_verified(path: Path, write: Callable[[Path], None], verify: Callable[[Path], None]) -> None:
    """Write one file, prove that it reads back, and only then give it its name; see `Part` and `write_together`."""
    write_together([Part(path, write, verify)])


def write_together(parts: Sequence[Part]) -> None:
    """Write several files, prove that all read back, and only then give them their names.

    Raises:
        WriteError: One could not be written or did not read back. Nothing is left behind, and the old files stay.
    """
    temporaries = [part.path.with_name(f".{secrets.token_hex(4)}.{part.path.name}") for part in parts]
    try:
        for part, temporary in zip(parts, temporaries, strict=True):
            with _named_errors(part.path, "; nothing was changed"):
                part.path.parent.mkdir(parents=True, exist_ok=True)
                _sweep(part.path)
                part.write(temporary)
                _flush(temporary)
                part.verify(temporary)
        for part, temporary in zip(parts, temporaries, strict=True):
            with _named_errors(part.path):
                temporary.replace(part.path)
        for part in parts:
            with _named_errors(part.path):
                _flush_folder(part.path.parent)
    finally:
        for temporary in temporaries:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


def json_part(path: Path, document: Mapping[str, object]) -> Part:
    """A JSON file, ready to be written; ``document`` holds JSON values only."""
    return text_part(path, json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def text_part(path: Path, text: str) -> Part:
    """A text file in UTF-8, ready to be written; line ends stay as they are."""

    def verify(temporary: Path) -> None:
        if temporary.read_bytes().decode() != text:
            raise WriteError(f"Cannot write {path}: it did not read back as written.")

    return Part(path, lambda temporary: _write_text(temporary, text), verify)


def _write_text(path: Path, text: str) -> None:
    path.write_bytes(text.encode())


def check_folder(path: Path) -> None:
    """Check, before long work, that a file could be written at ``path``; nothing is left behind.

    Raises:
        WriteError: It could not, and why.
    """
    if path.is_dir():
        raise WriteError(f"Cannot write {path}: it is a folder; give a file name.")
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    probe = folder / f".{secrets.token_hex(4)}.probe"
    try:
        with probe.open("xb"):
            pass
        probe.unlink()
    except OSError as error:
        raise WriteError(f"Cannot write {path}: {error.strerror or error} in {folder}; give another output.") from None


@contextlib.contextmanager
def _named_errors(path: Path, ending: str = "") -> Iterator[None]:
    try:
        yield
    except EdgeFlowError as error:
        raise error if isinstance(error, WriteError) else WriteError(f"Cannot write {path}: {error}") from error
    except OSError as error:
        raise WriteError(f"Cannot write {path}: {error.strerror or error}{ending}.") from error


def _sweep(path: Path) -> None:
    """Remove temporary files of this name that a killed process left behind long ago."""
    for left in path.parent.glob(f".????????.{glob.escape(path.name)}"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > _STALE_SECONDS:
                left.unlink()


def _flush(path: Path) -> None:
    """Have the operating system put a file on the disk."""
    with path.open("r+b") as file:
        os.fsync(file.fileno())


def _flush_folder(path: Path) -> None:
    """Have the operating system put a folder's new names on the disk, where that can be asked for."""
    if os.name == "nt":
        return  # Windows has no handle on a folder to flush
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems flush no folders
            raise
    finally:
        os.close(handle)
