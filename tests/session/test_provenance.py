"""The file beside a saved mask tells how it came to be, and nothing about who was scanned."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeflow_med.errors import UsageError
from edgeflow_med.session import Session
from edgeflow_med.session.provenance import provenance
from tests.strategies import Grower, box_mask, scan


@pytest.fixture
def session(tmp_path: Path) -> Session:
    """Clicked, propagated, painted, partly accepted; a second segment was imported; one click was undone."""
    at_work = Session(scan(), Grower(), window="0,1000", case_dir=tmp_path / "case", reader="r1", policy="allow")
    one = at_work.add_segment("One")
    at_work.add_segment("Two", box_mask(((1, 2, 2), (2, 5, 6))))
    at_work.click((3, 4, 5), segment=one)
    at_work.click((3, 1, 1), positive=False, segment=one)
    at_work.undo()
    for _ in at_work.propagate(one, limit=2):
        pass
    at_work.accept(one.proposed[0][1], one)
    painted = np.zeros(at_work.volume.shape[1:], bool)
    painted[7, 9] = True
    at_work.paint((5, painted), one)
    at_work.flag(4, one, comment="Mustermann?")
    return at_work


def test_what_stands_is_told_and_what_was_undone_is_not(session: Session) -> None:
    told = provenance(session)
    one, two = told["Segments"]
    assert told["Readers"] == ["r1"]
    assert told["Started"] <= told["LastChanged"] <= told["Saved"][:19] + ".999"
    assert [source["Name"] for source in told["GeneratedBy"]] == ["EdgeFlow-Med", "grower"]
    assert one["PromptCounts"] == {"click": 1}
    assert one["Prompts"][0]["Prompt"] == {"type": "click", "index": [3, 4, 5], "positive": True}
    assert [(edit["Edit"], edit["Slices"]) for edit in one["ManualEdits"]] == [("Paint", [5])]
    assert one["Propagations"] == 1
    assert (two["PromptCounts"], two["ManualEdits"], two["Origins"]) == ({}, [], ["import"])


def test_every_slice_says_where_it_comes_from(session: Session) -> None:
    one, two = provenance(session)["Segments"]
    origins = {row["Slice"]: row["Origin"] for row in one["Slices"]}
    mask = session.segments[0].mask
    assert sorted(origins) == np.flatnonzero(mask.any((1, 2))).tolist()
    assert (origins[3], origins[5]) == ("prompted", "edited")
    assert {origin for index, origin in origins.items() if index not in (3, 5)} == {"propagated"}
    assert [row["Origin"] for row in two["Slices"]] == ["imported", "imported"]
    states = {row["Slice"]: row["Status"] for row in one["Slices"]}
    assert list(states.values()).count("accepted") == 1
    kept = provenance(session, accepted_only=True)["Segments"]
    assert {row["Status"] for row in kept[0]["Slices"]} == {"annotated", "accepted"}
    assert kept[1]["Slices"] == []


def test_neither_remarks_nor_on_request_dates_and_readers_are_told(session: Session) -> None:
    assert "Mustermann" not in json.dumps(provenance(session))
    bare = json.dumps(provenance(session, deidentify=True))
    year = provenance(session)["Started"][:4]
    assert f'"{year}-' not in bare
    assert "r1" not in bare
    assert "Readers" not in bare


def read(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


def test_a_case_saves_it_beside_the_mask_and_for_bids_inside_the_sidecar(session: Session, tmp_path: Path) -> None:
    saved = session.save(tmp_path / "a.seg.nrrd")
    assert [path.name for path in saved.paths] == ["a.seg.nrrd", "a.seg.nrrd.provenance.json"]
    assert read(saved.paths[1])["Segments"] == provenance(session)["Segments"]
    saved = session.save(tmp_path / "a_dseg.nii.gz", bids=True, separate=True)
    sidecars = [path for path in saved.paths if path.suffix == ".json"]
    assert len(sidecars) == 2
    assert read(sidecars[0])["Provenance"]["Segments"] == provenance(session)["Segments"]
    assert not list(tmp_path.glob("*.provenance.json"))[1:]


def test_a_session_in_memory_has_none(tmp_path: Path) -> None:
    at_work = Session(scan(), Grower(), window="0,1000", journal=False)
    at_work.add_segment("One")
    at_work.click((3, 4, 5))
    assert [path.name for path in at_work.save(tmp_path / "a.nii").paths] == ["a.nii"]


def test_saving_only_what_is_accepted_refuses_a_segment_without(session: Session, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No slice of 'Two' is accepted"):
        session.save(tmp_path / "a.seg.nrrd", accepted_only=True)
    assert list(tmp_path.glob("a*")) == []
