"""Which volume a journal belongs to, told without patient data, and how to find it again."""

from __future__ import annotations

import hashlib
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from edgeflow_med.errors import GeometryError, ReadError
from edgeflow_med.volume import Volume


def voxel_digest(volume: Volume) -> str:
    """SHA-256 of the shape, the affine to a micrometre and all voxels, the same whatever their data type."""
    digest = hashlib.sha256(repr(volume.shape).encode())
    digest.update((np.round(volume.affine, 3) + 0.0).astype("<f8").tobytes())  # + 0.0: there is only one zero
    for plane in volume.array:
        with np.errstate(invalid="ignore"):
            short = plane.astype("<i2")  # what scanners give; anything else is hashed as float32
        same = plane.dtype in (np.int16, np.uint8, np.int8) or np.array_equal(short, plane)
        digest.update((short if same else plane.astype("<f4")).tobytes())
    return digest.hexdigest()


def series_hash(volume: Volume) -> str | None:
    """SHA-256 of the Series Instance UID; None if the volume is not DICOM."""
    uid = str(volume.headers[0].get("SeriesInstanceUID", "")) if volume.headers else ""
    return _hash(uid) if uid else None


def describe_volume(volume: Volume, case_dir: Path) -> dict[str, Any]:
    """What a journal says of its volume: digest, hash of the series, path relative to the case, how it was read."""
    known: dict[str, Any] = {"digest": voxel_digest(volume), "series_sha256": series_hash(volume), "path": None}
    if volume.source is not None:
        try:
            known["path"] = Path(os.path.relpath(volume.source.path.resolve(), case_dir.resolve())).as_posix()
        except ValueError:
            return known  # another drive on Windows: there is no relative path
        known["read"] = {name: value for name, value in asdict(volume.source).items() if name != "path" and value}
    return known


def check_volume(known: dict[str, Any], volume: Volume) -> None:
    """Refuse a volume that is not the one of the journal.

    Raises:
        GeometryError: Other voxels, or the same on another grid.
    """
    given = voxel_digest(volume)
    if given != known["digest"]:
        raise GeometryError(
            f"This is not the volume of the case: its digest is {given[:12]}, that of the case {known['digest'][:12]}; "
            "give the scan that the case was started with."
        )


def find_volume(known: dict[str, Any], case_dir: Path) -> Volume:
    """Read the volume of a journal from where it was.

    Raises:
        ReadError: The journal does not know where it was, or it is not there any more.
        GeometryError: Another volume is there now.
    """
    hint = "give it with volume=, or on the command line with --volume"
    if known["path"] is None:
        raise ReadError(f"The case {case_dir} does not know where its volume is; {hint}.")
    path = (case_dir / known["path"]).resolve()
    if not path.exists():
        raise ReadError(f"The volume of the case {case_dir} is no longer at {path}; {hint}.")
    return find_volume_at(known, path)


def find_volume_at(known: dict[str, Any], path: Path) -> Volume:
    """Read the volume of a journal from a place that it was moved to, in the way it was read before.

    Raises:
        ReadError: There is nothing to read.
        GeometryError: Another volume is there.
    """
    from edgeflow_med.io import list_series, read_volume

    names: list[str | None] = [None]
    if known["series_sha256"] is not None and path.is_dir():  # a series may hold several stacks: UID, UID#2, ...
        listed = [entry.name for entry in list_series(path) if not entry.error]
        names = [name for name in listed if _hash(name.partition("#")[0]) == known["series_sha256"]] or [None]
    for name in names:
        volume = read_volume(path, series=name, **known.get("read", {}))
        if name == names[-1] or voxel_digest(volume) == known["digest"]:
            break
    check_volume(known, volume)
    return volume


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
