"""Files that are whole or not there: write to a temporary name, read back and compare, rename.

`os.replace` within one folder is atomic, so whatever happens before it, the old file stays as it was.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable
from pathlib import Path

from edgeflow_med.errors import EdgeFlowError, WriteError


def write_verified(path: Path, write: Callable[[Path], None], verify: Callable[[Path], None]) -> None:
    """Write a file, prove that it reads back, and only then give it its name.

    Args:
        path: The final name; its folder is made if need be, an existing file is replaced.
        write: Writes to the temporary name it is given, in the same folder and with the same suffixes.
        verify: Reads that file by another way than it was written and raises `WriteError` on any difference.

    Raises:
        WriteError: It could not be written or did not read back. Nothing is left behind, an old file stays.
    """
    temporary = path.with_name(f".{secrets.token_hex(4)}.{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(temporary)
        _flush(temporary)
        verify(temporary)
        temporary.replace(path)
        _flush(path.parent)
    except EdgeFlowError as error:
        raise error if isinstance(error, WriteError) else WriteError(f"Cannot write {path}: {error}") from error
    except OSError as error:
        raise WriteError(f"Cannot write {path}: {error.strerror or error}; nothing was changed.") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


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


def _flush(path: Path) -> None:
    """Have the operating system put a file or folder on the disk."""
    if path.is_dir() and os.name == "nt":
        return  # Windows has no handle on a folder to flush
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
