"""DICOM image series: scan headers, group, check the geometry, and only then decode.

A reader that decodes first and asks later returns wrong volumes without a word (missing slices, two echoes in one
series, gantry tilt ...), so the order matters.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgeflow_med.errors import EdgeFlowError, GeometryError, ReadError, UsageError
from edgeflow_med.io.dicom.frames import Scan, scan
from edgeflow_med.io.dicom.geometry import Grid, build_grid
from edgeflow_med.io.dicom.pixels import read_pixels
from edgeflow_med.io.dicom.stacks import Stack, find_stacks
from edgeflow_med.io.info import SeriesInfo
from edgeflow_med.volume import Volume

# How many series a message names before it points to the full list.
MOST_NAMED = 10


def read_dicom(
    paths: Sequence[Path], *, series: str | None = None, modality: str | None = None, allow_gaps: bool = False
) -> Volume:
    """Read one series from files and folders.

    Args:
        paths: Files, or folders that are walked through.
        series: Which one, if there are several: a Series Instance UID, a name that `list_dicom` gives, or what tells a
            stack from the others, like ``"b-value 1000"``.
        modality: Only for images that do not say what they are.
        allow_gaps: Fill missing slices with air instead of refusing the series.

    Raises:
        ReadError: No image, several to choose from, or a broken file.
        GeometryError: Slices that do not make one grid.
        UsageError: ``modality`` contradicts the headers.
    """
    found = scan(paths)
    stack, notes = _choose(find_stacks(found), series, found)
    grid = _grid(stack, found.left_out, allow_gaps=allow_gaps)
    array, headers, pixel_notes = read_pixels(grid)
    said = str(headers[0].get("Modality", ""))
    if modality and said in ("CT", "MR") and said != modality:
        raise UsageError(f"The series says that it is {said}, but modality {modality} was given; leave it out.")
    return Volume(
        array=array,
        affine=grid.affine,
        modality=modality or said,
        name=_name(stack),
        headers=headers,
        warnings=(*notes, *stack.warnings, *grid.warnings, *pixel_notes),
    )


def list_dicom(paths: Sequence[Path]) -> list[SeriesInfo]:
    """Describe every stack of every series, with the error that reading it would give; no pixels are decoded.

    Raises:
        ReadError: There is no DICOM image at all.
    """
    found = scan(paths)
    stacks = find_stacks(found)
    if not stacks:
        raise ReadError(_nothing(found))
    return [_describe(stack, found.left_out) for stack in stacks]


def _describe(stack: Stack, left_out: tuple[str, ...]) -> SeriesInfo:
    first = stack.frames[0]
    rows, columns = first.shape
    info = SeriesInfo(
        name=stack.name,
        path=str(first.path.parent if len(stack.frames) > 1 else first.path),
        modality=str(first.header.get("Modality", "")),
        description=", ".join(filter(None, (_name(stack), stack.what))),
        shape=(len(stack.frames), rows, columns),
        warnings=(*left_out, *stack.warnings),
    )
    try:
        _check_volume(stack)
        grid = _grid(stack, left_out)
    except EdgeFlowError as error:
        return info.with_error(str(error))
    return info.with_grid(grid.affine, grid.warnings)


def _grid(stack: Stack, left_out: tuple[str, ...], *, allow_gaps: bool = False) -> Grid:
    """The grid of a stack; where there is none, files that could not be read may be the reason."""
    try:
        return build_grid(stack.frames, allow_gaps=allow_gaps)
    except GeometryError as error:
        if not left_out:
            raise
        raise GeometryError(f"{error} Left out: {left_out[0]}") from None


def _choose(stacks: list[Stack], series: str | None, found: Scan) -> tuple[Stack, tuple[str, ...]]:
    """The stack to read, and what was left out to get there."""
    if not stacks:
        raise ReadError(_nothing(found))
    if series is not None:
        named = [stack for stack in stacks if series in (stack.name, stack.series_uid, stack.what)]
        if not named:
            raise ReadError(f"There is no series {series}; found {_names(stacks)}.")
        stacks = named
    candidates = [stack for stack in stacks if stack.is_volume] or stacks
    if len(candidates) > 1:
        raise ReadError(f"There are {len(candidates)} series, choose one by --series: {_names(candidates)}.")
    _check_volume(candidates[0])
    others = [stack for stack in stacks if stack is not candidates[0]]
    notes = (f"Left out, not part of the volume: {_names(others)}.",) if others else ()
    return candidates[0], (*found.left_out, *notes)


def _check_volume(stack: Stack) -> None:
    if stack.obstacle:
        raise ReadError(f"Series {stack.name} {stack.obstacle}.")


def _nothing(found: Scan) -> str:
    reason = f" {found.left_out[0]}" if found.left_out else ""
    return f"No DICOM image among {found.files} file(s); give a folder or file with CT or MR images.{reason}"


def _names(stacks: Sequence[Stack]) -> str:
    named = [
        f"{stack.name} ({', '.join(filter(None, (str(stack.frames[0].header.get('Modality', '')), stack.what)))}, "
        f"{len(stack.frames)} slices)"
        for stack in stacks[:MOST_NAMED]
    ]
    if len(stacks) > MOST_NAMED:
        named.append(f"and {len(stacks) - MOST_NAMED} more, see `edgeflow-med info`")
    return "; ".join(named)


def _name(stack: Stack) -> str:
    header = stack.frames[0].header
    return str(header.get("SeriesDescription") or f"series {header.get('SeriesNumber', '')}".strip())
