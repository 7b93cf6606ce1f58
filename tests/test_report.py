"""The report: right figures, JSON that a program can read, and nothing that names a patient."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from edgeflow_med.io import read_volume
from edgeflow_med.measurements import longest_diameters, volume_ml
from edgeflow_med.prompts import parse_prompts
from edgeflow_med.report import describe
from edgeflow_med.session import Session
from tests.cli.scans import CENTRE, RADIUS_MM, Flood, ball, volume, write_ball


@pytest.fixture
def session() -> Session:
    session = Session(volume(), Flood())
    segment = session.add_segment("Ball")
    session.click(CENTRE, segment=segment)
    session.scribble([(8, 40, 20), (8, 42, 30)], positive=False, width_mm=2, segment=segment)
    return session


def test_figures_are_those_of_the_measurements(session: Session) -> None:
    steps = list(session.propagate())
    report = describe(session, [steps], checksum="ab" * 32, seconds={"read": 1.23456})
    (entry,) = report["segments"]
    mask = session.mask()
    assert entry["volume_ml"] == pytest.approx(volume_ml(mask, session.volume), abs=1e-4)
    diameters = longest_diameters(mask, session.volume)
    assert diameters is not None
    assert entry["diameters"]["slice"] == diameters.slice_index
    assert entry["diameters"]["longest_mm"] == pytest.approx(diameters.longest_mm, abs=0.01)
    assert entry["diameters"]["longest_mm"] == pytest.approx(2 * RADIUS_MM, abs=2)
    assert report["model"] == {"name": "flood", "version": "1", "sha256": "ab" * 32, "device": "cpu"}
    assert report["seconds"] == {"read": 1.235}
    assert report["window"] == {"name": "soft-tissue", "low": -160, "high": 240}


def test_every_slice_has_its_row_and_every_direction_its_reason(session: Session) -> None:
    steps = list(session.propagate())
    (entry,) = describe(session, [steps])["segments"]
    mask = session.mask()
    rows = {row["slice"]: row for row in entry["slices"]}
    assert sorted(rows) == np.flatnonzero(mask.any(axis=(1, 2))).tolist()
    for number, row in rows.items():
        assert row["area_mm2"] == pytest.approx(mask[number].sum() * 1.5 * 0.75, abs=0.01)
        assert row["origin"] == ("prompted" if number == CENTRE[0] else "proposed")
    assert entry["unreviewed_slices"] == len(rows) - 1
    assert [stop["direction"] for stop in entry["stops"]] == [-1, 1]
    assert all(isinstance(stop["reason"], str) for stop in entry["stops"])


def test_an_imported_segment_is_called_so_and_has_no_times() -> None:
    session = Session(volume(), Flood())
    session.add_segment("Old", ball())
    (entry,) = describe(session)["segments"]
    assert {row["origin"] for row in entry["slices"]} == {"imported"}
    assert {row["quality"] for row in entry["slices"]} == {None}
    assert entry["first_prompt_seconds"] is None
    assert entry["later_prompts_median_seconds"] is None


def test_an_empty_segment_is_told_without_diameters() -> None:
    session = Session(volume(), Flood())
    session.add_segment("Nothing")
    (entry,) = describe(session)["segments"]
    assert (entry["volume_ml"], entry["diameters"], entry["slices"]) == (0, None, [])


def test_its_prompts_ask_for_the_same_again(session: Session) -> None:
    again = Session(volume(), Flood())
    prompts = parse_prompts(json.loads(json.dumps(describe(session)["prompts"])))
    for entry in prompts.segments:
        segment = again.add_segment(entry.label)
        for prompt in entry.prompts:
            again.prompt(prompt, segment)
    assert prompts.plane == session.plane
    assert np.array_equal(again.mask(), session.mask())


def test_it_is_strict_json(session: Session) -> None:
    report = describe(session, [list(session.propagate())])
    assert json.loads(json.dumps(report, allow_nan=False)) == report


def test_no_patient_and_no_uid(tmp_path: Path) -> None:
    read = read_volume(write_ball(tmp_path / "Mustermann"))
    uid = str(read.headers[0].SeriesInstanceUID)
    noticing = type(read)(
        read.array, read.affine, read.modality, read.name, read.headers, (f"Left out, not part of the volume: {uid}.",)
    )
    report = describe(Session(noticing, Flood()))
    text = json.dumps(report)
    for secret in ("Mustermann", "PAT-4711", "19700101", read.name, uid):
        assert secret not in text
    del report["versions"]  # the platform's looks like a UID
    assert not re.search(r"\d+(\.\d+){4,}", json.dumps(report))
    assert "UID sha256:" in text


def test_series_are_told_apart_by_a_hash(tmp_path: Path) -> None:
    hashes = {
        describe(Session(read_volume(write_ball(tmp_path / name)), Flood()))["input"]["series_uid_sha256"]
        for name in ("one", "two")
    }
    assert len(hashes) == 2
    assert describe(Session(volume(), Flood()))["input"]["series_uid_sha256"] is None
