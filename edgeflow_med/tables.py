"""Tables that a person opens in a spreadsheet and a program reads: rows of plain values, as CSV or JSON."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np

from edgeflow_med.errors import WriteError
from edgeflow_med.io.atomic import check_folder, json_part, text_part, write_together
from edgeflow_med.session import SegmentState, Session
from edgeflow_med.volume import Plane

Row = dict[str, Any]


def check_tables(paths: Sequence[Path]) -> None:
    """Check before work that tables can be written.

    Raises:
        WriteError: Another suffix than ``.csv`` and ``.json``, or no access.
    """
    for path in paths:
        if path.suffix.lower() not in (".csv", ".json"):
            raise WriteError(f"Cannot write {path}: a table is .csv or .json; give a name that ends so.")
        check_folder(path)


def write_table(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows that all have the same columns; in CSV nothing is an empty field and several texts are joined.

    Raises:
        WriteError: It could not be written.
    """
    check_tables([path])
    if path.suffix.lower() == ".json":
        write_together([json_part(path, {"rows": [dict(row) for row in rows]})])
    else:
        write_together([text_part(path, _csv(rows))])


def measurement_rows(session: Session, states: Iterable[SegmentState], plane: Plane | str | None = None) -> list[Row]:
    """For each segment one row about the whole, with ``slice`` None, and one for each slice that it touches.

    Lengths in mm, areas in mm2, the surface in cm2, volumes in ml, values in ``unit`` (HU for CT, else empty).
    """
    volume, chosen = session.volume, Plane(plane) if plane is not None else session.plane
    axis = volume.axis(chosen)
    across, down = np.delete(volume.affine[:3, :3], axis, axis=1).T
    pixel_mm2 = float(np.linalg.norm(np.cross(across, down)))
    rows = []
    for state in states:
        found = session.measure(state, chosen)
        whole = found.longest
        rows.append(
            _row(state, chosen)
            | {
                "longest_mm": whole and round(whole.longest_mm, 2),
                "perpendicular_mm": whole and round(whole.perpendicular_mm, 2),
                "longest_slice": whole and whole.slice_index,
                "volume_ml": round(found.volume_ml, 4),
                "mean": None if found.mean is None else round(found.mean, 2),
                "sd": None if found.sd is None else round(found.sd, 2),
                "unit": "HU" if volume.modality == "CT" else "",
                "surface_cm2": round(found.surface_cm2, 3),
                "unreviewed_slices": session.unreviewed(state),
                "warnings": list(found.warnings),
            }
        )
        for each in found.diameters:
            known = state.slices.get((axis, each.slice_index))
            pixels = int(np.take(state.mask, each.slice_index, axis).sum())
            rows.append(
                _row(state, chosen)
                | {
                    "slice": each.slice_index,
                    "status": known and known.status.value,
                    "area_mm2": round(pixels * pixel_mm2, 2),
                    "longest_mm": round(each.longest_mm, 2),
                    "perpendicular_mm": round(each.perpendicular_mm, 2),
                }
            )
    return rows


def _row(state: SegmentState, plane: Plane) -> Row:
    columns = ("slice", "status", "area_mm2", "longest_mm", "perpendicular_mm", "longest_slice", "volume_ml")
    later = ("mean", "sd", "unit", "surface_cm2", "unreviewed_slices")
    return {
        "segment": state.id,
        "label": state.label,
        "plane": plane.value,
        **dict.fromkeys((*columns, *later)),
        "warnings": [],
    }


def _csv(rows: Sequence[Mapping[str, Any]]) -> str:
    text = StringIO()
    writer = csv.DictWriter(text, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: "; ".join(value) if isinstance(value, list) else value for name, value in row.items()})
    return text.getvalue()
