"""Which frames belong together: series, and within them the stacks that each make one volume."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np

from edgeflow_med.errors import GeometryError
from edgeflow_med.io.dicom.files import image_digest
from edgeflow_med.io.dicom.frames import SPLITTERS, Frame, Scan
from edgeflow_med.io.dicom.geometry import TOLERANCE_MM, along_normal

ORIENTATION_TOLERANCE = 1e-3
# Slices that differ in these are never one volume, whatever their series UID; told by number, not by name.
_OWNERS = {"PatientID": "patient", "StudyInstanceUID": "study", "FrameOfReferenceUID": "frame of reference"}
# Slices that differ in these may be, but it is worth telling.
_ALIKE = ("SeriesNumber", "EchoNumbers", "EchoTime", "EffectiveEchoTime", "DiffusionBValue", "ConvolutionKernel")
MOST_VALUES = 3  # of an attribute that a message quotes
_FOLDER = "folder "


@dataclass(frozen=True)
class Stack:
    """Frames of one series that share size, spacing and orientation, at most one at each position.

    Attributes:
        series_uid: Series Instance UID, empty if the files have none.
        name: What ``series=`` accepts: the UID, with ``#1``, ``#2`` ... where a series holds several stacks.
        what: What tells it from the other stacks of its series, e.g. ``"echo 2"``.
        frames: In no order yet.
        localizer: Whether its headers call it a localizer.
        warnings: One line each.
    """

    series_uid: str
    name: str
    what: str
    frames: tuple[Frame, ...]
    localizer: bool
    warnings: tuple[str, ...] = ()

    @property
    def is_volume(self) -> bool:
        """Whether it can be a volume at all: grey values with a place in the patient, not a localizer."""
        return not self.localizer and not self.obstacle and "ImagePositionPatient" in self.frames[0].header

    @property
    def obstacle(self) -> str:
        """Why these images can never make a volume, as a sentence's end; empty if they may."""
        header = self.frames[0].header
        if header.get("SamplesPerPixel", 1) != 1:
            return "holds colour pictures, not CT or MR values; give another --series"
        if "MOSAIC" in (header.get("ImageType") or ()):
            return "is a Siemens mosaic (many slices in one picture); convert it to plain slices"
        if (header.get("NumberOfFrames") or 1) > 1:
            return (
                f"holds {header.NumberOfFrames} frames that do not say where they lie; give enhanced or plain CT or MR"
            )
        return ""


def find_stacks(scan: Scan) -> list[Stack]:
    """Group all frames of a scan into stacks, in the order of series number, then of file names."""
    series: dict[str, list[Frame]] = defaultdict(list)
    for frame in scan.frames:
        # Files without a series UID are kept together by the folder that they lie in.
        uid = frame.header.get("SeriesInstanceUID") or f"{_FOLDER}{Path(str(frame.path)).parent}"
        series[str(uid)].append(frame)
    ordered = sorted(series.items(), key=lambda item: _number(item[1][0]))
    return [stack for uid, frames in ordered for stack in _stacks_of(uid, frames)]


def _stacks_of(uid: str, frames: list[Frame]) -> list[Stack]:
    unique, copies = _drop_copies(frames)
    notes = (f"{copies} file(s) are copies of others and were left out.",) if copies else ()
    parts: list[tuple[str, list[Frame]]] = []
    for what, group in _split_forms(unique):
        parts += [(", ".join(filter(None, (what, inner))), part) for inner, part in _split_positions(group)]
    shared = set.intersection(*(set(what.split(", ")) for what, _ in parts))
    several = len(parts) > 1
    return [
        Stack(
            series_uid="" if uid.startswith(_FOLDER) else uid,
            name=f"{uid}#{number}" if several else uid,
            what=", ".join(word for word in what.split(", ") if word not in shared) if several else "",
            frames=tuple(part),
            localizer="localizer" in what.split(", "),
            warnings=(*notes, *_told_differences(part)),
        )
        for number, (what, part) in enumerate(parts, 1)
    ]


def _drop_copies(frames: list[Frame]) -> tuple[list[Frame], int]:
    """Leave out frames that were seen before: the same instance UID, place, pixels, and all that tells stacks apart.

    A careless anonymiser gives one UID to several images, so the UID alone proves nothing.
    """
    alike: dict[Hashable, list[Frame]] = defaultdict(list)
    for frame in frames:
        uid, place = frame.header.get("SOPInstanceUID"), str(frame.header.get("ImagePositionPatient"))
        alike[
            str(uid) if uid else frame, frame.number, place, *(_text(frame, keyword) for keyword in SPLITTERS)
        ].append(frame)
    unique: list[Frame] = []
    digest = cache(image_digest)
    for group in alike.values():
        different: dict[bytes, Frame] = {}
        for frame in group:
            different.setdefault(digest(frame.path) if len(group) > 1 else b"", frame)
        unique += different.values()
    return unique, len(frames) - len(unique)


def _split_forms(frames: list[Frame]) -> list[tuple[str, list[Frame]]]:
    """Split by what all frames of one volume have in common: owner, size, spacing, orientation, being a localizer."""
    parts: list[tuple[str, list[Frame]]] = []
    owners = _named_owners(frames)
    for what, group in _split_by(frames, lambda frame: ", ".join(filter(None, (owners[_owner(frame)], _form(frame))))):
        clusters: list[list[Frame]] = []
        for frame in group:
            home = next((cluster for cluster in clusters if _same_plane(cluster[0], frame)), None)
            if home is None:
                clusters.append([frame])
            else:
                home.append(frame)
        parts += [
            (f"{what}, orientation {_rounded(cluster[0], 'ImageOrientationPatient', 3)}", cluster)
            for cluster in clusters
        ]
    return parts


def _form(frame: Frame) -> str:
    words = [
        f"{frame.header.Rows} x {frame.header.Columns}",
        "spacing " + _rounded(frame, "PixelSpacing", 4),
    ]
    image_type = [str(part).upper() for part in np.atleast_1d(frame.header.get("ImageType") or "")]
    if any(part in ("LOCALIZER", "SCOUT") for part in image_type):
        words.append("localizer")
    return ", ".join(words)


def _owner(frame: Frame) -> tuple[str, ...]:
    return tuple(str(frame.header.get(keyword) or "") for keyword in _OWNERS)


def _named_owners(frames: Sequence[Frame]) -> dict[tuple[str, ...], str]:
    """What to call each owner: the first of its parts that tells it from others, like ``"patient 2"``."""
    owners = dict.fromkeys(_owner(frame) for frame in frames)
    names: dict[tuple[str, ...], str] = {}
    for owner in owners:
        words = []
        for place, called in enumerate(_OWNERS.values()):
            values = list(dict.fromkeys(other[place] for other in owners if other[:place] == owner[:place]))
            words += [f"{called} {values.index(owner[place]) + 1}"] if len(values) > 1 else []
        names[owner] = ", ".join(words)
    return names


def _told_differences(frames: Sequence[Frame]) -> list[str]:
    """One line for each attribute that should be alike in a stack and is not."""
    lines = []
    for keyword in _ALIKE:
        values = list(dict.fromkeys(_text(frame, keyword) for frame in frames))
        if len(values) > 1:
            some = "; ".join(values[:MOST_VALUES]) + ("; ..." if len(values) > MOST_VALUES else "")
            lines.append(f"The slices differ in {keyword} ({some}); make sure that they are one volume.")
    return lines


def _same_plane(one: Frame, other: Frame) -> bool:
    """Whether two orientations agree to 1e-3, wider than the jitter of real scanners; True if neither has one."""
    try:
        return bool(np.abs(one.orientation - other.orientation).max() < ORIENTATION_TOLERANCE)
    except GeometryError:
        return _rounded(one, "ImageOrientationPatient", 3) == _rounded(other, "ImageOrientationPatient", 3)


def _rounded(frame: Frame, keyword: str, digits: int) -> str:
    try:
        values = np.atleast_1d(frame.header.get(keyword))
        return "/".join(f"{round(float(value), digits) + 0.0:g}" for value in values)
    except (TypeError, ValueError):
        return "unknown"


def _split_by(frames: list[Frame], key: Callable[[Frame], str]) -> list[tuple[str, list[Frame]]]:
    groups: dict[str, list[Frame]] = defaultdict(list)
    for frame in frames:
        groups[key(frame)].append(frame)
    return list(groups.items())


def _split_positions(frames: list[Frame]) -> list[tuple[str, list[Frame]]]:
    """Split frames that share positions by the attributes that tell them apart; leave them together if none do."""
    layers = _layers(frames)
    if layers < 2:
        return [("", frames)]
    for keyword in SPLITTERS:
        groups = _split_by(frames, partial(_text, keyword=keyword))
        if len(groups) == 1:
            continue
        parts: list[tuple[str, list[Frame]]] = []
        for value, group in groups:
            parts += [(f"{value}, {inner}".removesuffix(", "), part) for inner, part in _split_positions(group)]
        # As many parts as there are frames at one position: a time that differs in every frame is no way to split.
        if len(parts) == layers and all(_layers(part) == 1 for _, part in parts):
            return parts
    return [("", frames)]


def _text(frame: Frame, keyword: str) -> str:
    value = frame.header.get(keyword, "unknown")
    parts = np.atleast_1d(value).tolist()
    return SPLITTERS[keyword].format("/".join(f"{part:g}" if isinstance(part, float) else str(part) for part in parts))


def _layers(frames: Sequence[Frame]) -> int:
    """The most frames at one place along the normal; 1 where nothing says where they are."""
    try:
        distances = np.sort(along_normal(frames))
    except GeometryError:
        return 1
    places = np.split(distances, np.flatnonzero(np.diff(distances) > TOLERANCE_MM / 10) + 1)
    return max(len(place) for place in places)


def _number(frame: Frame) -> tuple[int, str]:
    try:
        return int(frame.header.get("SeriesNumber") or 0), str(frame.path)
    except (TypeError, ValueError):
        return 0, str(frame.path)
