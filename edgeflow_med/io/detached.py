"""NRRD and MetaImage headers that keep their voxels in another file.

That name comes from outside, so it may lead to a file in the header's own folder and nowhere else.
"""

from __future__ import annotations

import re
from pathlib import Path

from edgeflow_med.errors import ReadError

HEADERS = (".nhdr", ".mhd")
# Headers are text at the beginning of a file; one longer than this is none.
_MAX_HEADER = 4 * 2**20
# ITK's parsers overflow on longer fields and on more dimensions, and its decomposition of a matrix of larger numbers
# never ends.
_MAX_FIELD, _MAX_DIMENSIONS, _MAX_MM = 400, 10, 1e9
_NRRD_FIELD = re.compile(rb"\s*data ?file\s*:(?!=)\s*(.*)", re.IGNORECASE)
_META_DIMENSIONS = re.compile(rb"\s*NDims\s*[=:]\s*(.*)", re.IGNORECASE)
_META_FIELD = re.compile(rb"\s*ElementDataFile\s*[=:]\s*(.*)", re.IGNORECASE)
_GEOMETRY = re.compile(
    rb"\s*(?:TransformMatrix|Rotation|Orientation|Offset|Position|Origin|CenterOfRotation|ElementSpacing|ElementSize"
    rb"|space directions|space origin|spacings)\s*[=:]\s*(.*)",
    re.IGNORECASE,
)
_NRRD_UNITS = re.compile(rb"\s*(?:space )?units:(?!=)\s*(.*)", re.IGNORECASE)
_MM = (b"mm", b"", b"???")  # or unknown, which is taken for mm
_NUMBER = re.compile(rb"[^\s(),]+")
_NRRD_TEXT = re.compile(rb"#|content:|[^:]{0,200}:=", re.IGNORECASE)  # lines of any length


def data_file(path: Path) -> Path:
    """The file that holds the voxels of an NRRD or MetaImage file: often itself.

    Raises:
        ReadError: The header leads outside its folder, to several files or to none, or is no header.
    """
    detached = path.suffix.lower() in HEADERS
    name = _named_file(path)
    if name is None:
        if detached:
            raise ReadError(f"{path.name} names no file with its voxels; give .nrrd or .mha, which hold both.")
        return path
    if not detached:
        raise ReadError(f"{path.name} keeps its voxels in another file; give one file that holds both.")
    if name.upper().startswith("LIST") or "%" in name:
        raise ReadError(f"{path.name} keeps its voxels in several files; give one file, or one header with one file.")
    name = name.removeprefix("./")
    if not name or name in (".", "..") or set(name) & set("/\\:\0"):
        raise ReadError(f"{path.name} names the file {name!r}, which is outside its folder; it is not followed.")
    file = path.parent / name
    if not file.is_file():
        raise ReadError(f"{path.name} keeps its voxels in {name}, which is not there; put it beside the header.")
    return file


def _named_file(path: Path) -> str | None:
    """What the header says of another file; None if the voxels follow the header."""
    with path.open("rb") as file:
        is_nrrd = file.read(4) == b"NRRD"
        file.seek(0)
        field, left = _NRRD_FIELD if is_nrrd else _META_FIELD, _MAX_HEADER
        while left > 0:
            line = file.readline(left)
            left -= len(line)
            for part in line.split(b"\r"):  # which ends a line of NRRD as well
                _check_line(path, part, is_nrrd)
                found = field.match(part)
                if found:
                    name = found[1].strip().decode("utf-8", "replace")
                    return None if name.upper() == "LOCAL" else name
            if not line or (is_nrrd and not line.strip()):
                return None
    raise ReadError(f"{path.name} does not end its header within {_MAX_HEADER} bytes; it is broken.")


def _check_line(path: Path, line: bytes, is_nrrd: bool) -> None:
    """Refuse what ITK's parsers do not survive, and what they pass over though it changes the meaning."""
    units = _NRRD_UNITS.match(line) if is_nrrd else None
    if units and not all(unit.strip().lower() in _MM for unit in re.findall(rb'"([^"]*)"', units[1])):
        raise ReadError(f"{path.name} measures in other units than mm; convert it.")
    if is_nrrd and len(line) > _MAX_FIELD and not _NRRD_TEXT.match(line):
        raise ReadError(f"{path.name} has a header field of {len(line)} bytes; it is broken, or made to do harm.")
    geometry = _GEOMETRY.match(line)
    if geometry and not all(_is_bearable(word) for word in _NUMBER.findall(geometry[1])):
        raise ReadError(f"{path.name} places its voxels by numbers beyond all measure; it is broken.")
    found = None if is_nrrd else _META_DIMENSIONS.match(line)
    if found and not (found[1].strip().isdigit() and int(found[1][:5]) <= _MAX_DIMENSIONS):
        given = found[1][:20].decode("ascii", "replace").strip()
        raise ReadError(f"{path.name} claims {given!r} dimensions, not three; it is broken, or made to do harm.")


def _is_bearable(word: bytes) -> bool:
    """Whether a word of a field is a number within bounds; other words, like ``none``, are left to the parser."""
    try:
        return abs(float(word)) <= _MAX_MM
    except ValueError:
        return True
