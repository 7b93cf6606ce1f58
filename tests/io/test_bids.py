"""NIfTI with what BIDS wants beside it, and one file for each segment."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from edgeflow_med.errors import ReadError, WriteError
from edgeflow_med.io import save
from edgeflow_med.segmentation import AlgorithmType, Code, Segment, Segmentation
from tests.io.here import read_segmentation
from tests.phantoms import Phantom, ellipsoid, one_segment

PHANTOM = Phantom()
VOLUME = PHANTOM.volume()


def two(*, overlap: bool = False) -> Segmentation:
    mask = ellipsoid(PHANTOM)
    segments = (
        Segment(1, "Läsion\tA", colour=(255, 0, 16), unreviewed_slices=2, algorithm_name="EdgeFlow"),
        Segment(2, "Cyst", algorithm_type=AlgorithmType.MANUAL, unreviewed_slices=1),
    )
    return Segmentation(VOLUME, segments, (mask, np.roll(mask, 3 if overlap else -22, axis=2)), note="window x")


def voxels(path: Path) -> np.ndarray:
    return SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path)))


def test_a_label_map_comes_with_sidecar_and_table(tmp_path: Path) -> None:
    path = tmp_path / "sub-01_ct_dseg.nii.gz"
    saved = save(two(), path, bids=True)
    assert saved.paths == (path, tmp_path / "sub-01_ct_dseg.json", tmp_path / "sub-01_ct_dseg.tsv")
    assert sorted(tmp_path.iterdir()) == sorted(saved.paths)
    np.testing.assert_array_equal(voxels(path), two().labelmap())
    with (tmp_path / "sub-01_ct_dseg.tsv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert rows == [
        {"index": "1", "name": "Läsion A", "color": "#ff0010"},
        {"index": "2", "name": "Cyst", "color": "#e69f00"},
    ]
    sidecar = json.loads((tmp_path / "sub-01_ct_dseg.json").read_text("utf-8"))
    assert (sidecar["Manual"], sidecar["UnreviewedSlices"], sidecar["Note"]) == (False, 3, "window x")
    assert "not for clinical use" in sidecar["Description"]
    assert sidecar["Segments"][0]["type"] == {"value": "52988006", "scheme": "SCT", "meaning": "Lesion"}
    assert [segment["algorithm_type"] for segment in sidecar["Segments"]] == ["SEMIAUTOMATIC", "MANUAL"]


@pytest.mark.parametrize("name", ["lesion.nii.gz", "lesion_seg.nii", "dseg.nii.gz"])
def test_another_name_is_refused_with_one_that_would_do(name: str, tmp_path: Path) -> None:
    stem = name.split(".", maxsplit=1)[0]
    with pytest.raises(WriteError, match=rf"is named \*_dseg\.nii\.gz; give {stem}_dseg\.nii\.gz"):
        save(two(), tmp_path / name, bids=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("bids", [False, True])
def test_one_file_for_each_segment_even_if_they_overlap(bids: bool, tmp_path: Path) -> None:
    saved = save(two(overlap=True), tmp_path / "x_dseg.nii.gz", separate=True, bids=bids)
    images = [path for path in saved.paths if path.suffix == ".gz"]
    assert [path.name for path in images] == ["x_label-LsionA_mask.nii.gz", "x_label-Cyst_mask.nii.gz"]
    for path, mask in zip(images, two(overlap=True).masks, strict=True):
        np.testing.assert_array_equal(voxels(path), mask)
    sidecars = [path for path in saved.paths if path.suffix == ".json"]
    assert [json.loads(path.read_text("utf-8"))["Manual"] for path in sidecars] == ([False, True] if bids else [])
    assert sorted(tmp_path.iterdir()) == sorted(saved.paths)


def test_labels_alike_or_without_letters_still_give_names_of_their_own(tmp_path: Path) -> None:
    written = two()
    segments = [replace(segment, label=label) for segment, label in zip(written.segments, ("腫瘍", "!"), strict=True)]
    saved = save(replace(written, segments=tuple(segments)), tmp_path / "x.nii", separate=True)
    assert [path.name for path in saved.paths] == ["x_label-segment1_mask.nii", "x_label-segment2_mask.nii"]
    segments = [replace(segment, label=label) for segment, label in zip(written.segments, ("A-1", "a1"), strict=True)]
    saved = save(replace(written, segments=tuple(segments)), tmp_path / "y.nii", separate=True)
    assert [path.name for path in saved.paths] == ["y_label-A1_mask.nii", "y_label-a12_mask.nii"]


def test_names_codes_and_tracking_come_back_with_the_label_map(tmp_path: Path) -> None:
    written = two()
    liver = replace(
        written.segments[1],
        category=Code("123037004", "SCT", "Anatomical Structure"),
        type=Code("10200004", "SCT", "Liver"),
        region=Code("818983003", "SCT", "Abdomen"),
        tracking_uid="1.2.3",
        tracking_id="Liver, first visit",
        colour=(1, 2, 3),
    )
    written = replace(written, segments=(written.segments[0], liver))
    save(written, tmp_path / "x_dseg.nii.gz", bids=True)
    found = read_segmentation(tmp_path / "x_dseg.nii.gz", VOLUME)
    assert found.segments == tuple(replace(segment, unreviewed_slices=0) for segment in written.segments)
    np.testing.assert_array_equal(found.masks, written.masks)
    saved = save(written, tmp_path / "y.nii", bids=True, separate=True)  # 1 inside, whatever the number
    alone = read_segmentation(saved.paths[2], VOLUME)
    assert alone.segments == (replace(liver, number=1, unreviewed_slices=0),)


def test_names_and_colours_come_from_anyones_table_of_labels(tmp_path: Path) -> None:
    path = tmp_path / "sub-01_dseg.nii.gz"
    save(two(), path)
    path.with_name("sub-01_dseg.json").write_text('{"Manual": true}')
    path.with_name("sub-01_dseg.tsv").write_text("index\tname\tcolor\n2\tLiver\t#0A0B0C\n9\tSpleen\tred\n", "utf-8")
    segments = read_segmentation(path, VOLUME).segments
    assert [(segment.number, segment.label) for segment in segments] == [(1, "Segment 1"), (2, "Liver")]
    assert segments[1].colour == (10, 11, 12)
    path.with_name("sub-01_dseg.tsv").write_text("participant_id\tage\nsub-01\t50\n", "utf-8")
    assert [segment.label for segment in read_segmentation(path, VOLUME).segments] == ["Segment 1", "Segment 2"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("x_dseg.json", "{"),
        ("x_dseg.json", "[]"),
        ("x_dseg.json", '{"Segments": 4}'),
        ("x_dseg.json", '{"Segments": [{"number": 1}]}'),
        ("x_dseg.json", "[" * 100_000),
        ("x_dseg.tsv", "index\tname\none\tLiver\n"),
        ("x_dseg.tsv", f"index\tname\n1\t{'x' * 2**24}\n"),
    ],
)
def test_a_broken_file_beside_a_label_map_is_refused_by_name(name: str, text: str, tmp_path: Path) -> None:
    save(two(), tmp_path / "x_dseg.nii")
    (tmp_path / name).write_text(text, "utf-8")
    with pytest.raises(ReadError, match=rf"^{name}, which says what x_dseg\.nii holds, is broken"):
        read_segmentation(tmp_path / "x_dseg.nii", VOLUME)


def test_an_option_for_another_format_is_passed_over(tmp_path: Path) -> None:
    saved = save(one_segment(VOLUME, ellipsoid(PHANTOM)), tmp_path / "x.seg.nrrd", bids=True, encoding="deflated")
    assert saved.paths == (tmp_path / "x.seg.nrrd",)
