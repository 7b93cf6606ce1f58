"""A small part of `make accept-seg`: the judges that are installed agree on our files, and find what is planted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.seg.accept_seg import MISSED_ALLOWED, accept, find_defects
from benchmarks.seg.cases import SMALL, several, two
from benchmarks.seg.defects import DEFECTS
from benchmarks.seg.judges import Case, Judge, judges
from tests.phantoms import ellipsoid

_READERS = {
    "binary": ("identity", "dciodvfy", "dcmqi", "ohif", "pydicom"),
    "deflated": ("identity", "dcmqi", "ohif", "pydicom"),
    "labelmap": ("identity", "dcmqi", "ohif", "pydicom"),
}
# Planted defects by the judge that is to find them.
_FOUND = {
    "another frame of reference": "identity",
    "references to another series": "identity",
    "unknown algorithm type": "identity",
    "property type without meaning": "dciodvfy",
    "one voxel": "dcmqi",
    "0.4 mm off": "dcmqi",
    "pixel spacing swapped": "dcmqi",
    "references one slice off": "ohif",
    "derivation images missing": "ohif",
}


@pytest.fixture(scope="module")
def found() -> Iterator[dict[str, Judge]]:
    with judges() as installed:
        yield {name: judge for name, judge in installed.items() if name != "pixelmed"}  # it takes seconds to start


@pytest.mark.parametrize("encoding", list(_READERS))
def test_all_judges_agree(encoding: str, found: dict[str, Judge], tmp_path: Path) -> None:
    complaints = accept(Case(encoding, two(SMALL), _READERS[encoding], encoding), tmp_path, found)
    assert {"identity", "dcmqi", "pydicom"} <= set(complaints)
    assert [line for told in complaints.values() for line in told] == []


def test_all_judges_agree_on_segments_that_overlap(found: dict[str, Judge], tmp_path: Path) -> None:
    segmentation = several(two(SMALL).volume, ellipsoid(SMALL))
    assert segmentation.overlaps
    complaints = accept(Case("overlap", segmentation, _READERS["binary"]), tmp_path, found)
    assert [line for told in complaints.values() for line in told] == []


@pytest.mark.parametrize(("defect", "judge"), list(_FOUND.items()))
def test_a_planted_defect_is_found(defect: str, judge: str, found: dict[str, Judge], tmp_path: Path) -> None:
    if judge not in found:
        how = "scripts/ohif-reader builds it" if judge == "ohif" else "scripts/test-deps installs it"
        pytest.skip(f"{judge} is not installed; {how}")
    complaints = find_defects(tmp_path, found, [defect])
    assert complaints[defect].startswith(judge), complaints


def test_there_are_enough_defects_and_hardly_any_may_be_missed() -> None:
    assert len(DEFECTS) >= 35
    assert MISSED_ALLOWED == 1
