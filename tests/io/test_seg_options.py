"""What may be asked of a DICOM-SEG, what is told about its sources, and what it keeps of a segment."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread

from edgeflow_med.errors import GeometryError, UsageError, WriteError
from edgeflow_med.io import SegEncoding, save
from edgeflow_med.segmentation import AlgorithmType, Code, LabelMasks, Segment, Segmentation, new_tracking_uid
from edgeflow_med.volume import Volume
from tests.io.here import read_segmentation, read_volume
from tests.phantoms import Phantom, ellipsoid, one_segment, write_series

pytestmark = pytest.mark.filterwarnings("ignore:The value length")
PHANTOM = Phantom()
LUNG = Code("39607008", "SCT", "Lung")


@pytest.fixture(scope="module")
def volume(tmp_path_factory: pytest.TempPathFactory) -> Volume:
    folder = tmp_path_factory.mktemp("oblique")
    write_series(folder, PHANTOM)
    return read_volume(folder)


def two(volume: Volume) -> Segmentation:
    mask = ellipsoid(PHANTOM)
    segments = (Segment(1, "Lesion"), Segment(2, "Cyst", algorithm_type=AlgorithmType.MANUAL))
    return Segmentation(volume, segments, (mask, np.roll(mask, -22, axis=2)))


@pytest.mark.parametrize(
    ("encoding", "syntax", "kind"),
    [
        ("binary", "1.2.840.10008.1.2.1", "BINARY"),
        ("deflated", "1.2.840.10008.1.2.1.99", "BINARY"),
        (SegEncoding.LABELMAP, "1.2.840.10008.1.2.5", "LABELMAP"),
    ],
)
def test_every_encoding_holds_the_same_masks(encoding, syntax, kind, volume: Volume, tmp_path: Path) -> None:
    written, path = two(volume), tmp_path / "two.dcm"
    assert save(written, path, encoding=encoding).paths == (path,)
    dataset = dcmread(path)
    assert (dataset.file_meta.TransferSyntaxUID, dataset.SegmentationType) == (syntax, kind)
    for mask, found in zip(written.masks, read_segmentation(path, volume).masks, strict=True):
        np.testing.assert_array_equal(found, mask)


def test_deflated_is_smaller(volume: Volume, tmp_path: Path) -> None:
    for encoding in ("binary", "deflated"):
        save(two(volume), tmp_path / f"{encoding}.dcm", encoding=encoding)
    assert (tmp_path / "deflated.dcm").stat().st_size < (tmp_path / "binary.dcm").stat().st_size / 2


def test_an_unknown_encoding_and_overlap_in_a_label_map_are_refused(volume: Volume, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Unknown encoding 'jpeg'; give binary, deflated, labelmap"):
        save(two(volume), tmp_path / "two.dcm", encoding="jpeg")
    mask = ellipsoid(PHANTOM)
    overlapping = replace(two(volume), masks=(mask, np.roll(mask, 1, axis=2)))
    with pytest.raises(WriteError, match=r"Segments overlap.*give the encoding binary or deflated"):
        save(overlapping, tmp_path / "two.dcm", encoding="labelmap")
    assert list(tmp_path.iterdir()) == []


def test_masks_that_share_a_label_map_are_written_like_masks_of_their_own(volume: Volume, tmp_path: Path) -> None:
    written = two(volume)
    shared = replace(written, masks=LabelMasks(written.labelmap(), 2))
    assert not shared.overlaps
    save(shared, tmp_path / "shared.dcm")
    for mask, found in zip(written.masks, read_segmentation(tmp_path / "shared.dcm", volume).masks, strict=True):
        np.testing.assert_array_equal(found, mask)
    np.testing.assert_array_equal(shared.masks[-1], written.masks[1])
    assert len(shared.masks[:]) == 2
    with pytest.raises(IndexError):
        shared.masks[2]
    with pytest.raises(GeometryError, match="values up to 2 does not fit 1 segments"):
        LabelMasks(written.labelmap(), 1)


def test_creator_and_provenance_are_written(volume: Volume, tmp_path: Path) -> None:
    written = replace(one_segment(volume, ellipsoid(PHANTOM)), provenance={"sha256": "abc", "policy": "keep\\both"})
    save(written, tmp_path / "lesion.dcm", creator="Döring^Anna")
    dataset = dcmread(tmp_path / "lesion.dcm")
    assert str(dataset.ContentCreatorName) == "Döring^Anna"
    (algorithm,) = dataset.SegmentSequence[0].SegmentationAlgorithmIdentificationSequence
    assert algorithm.AlgorithmParameters == "sha256=abc,policy=keep/both"


def test_a_manual_segment_names_no_algorithm(volume: Volume, tmp_path: Path) -> None:
    save(two(volume), tmp_path / "two.dcm")
    lesion, cyst = dcmread(tmp_path / "two.dcm").SegmentSequence
    assert (lesion.SegmentAlgorithmType, cyst.SegmentAlgorithmType) == ("SEMIAUTOMATIC", "MANUAL")
    assert "SegmentationAlgorithmIdentificationSequence" not in cyst
    assert "SegmentAlgorithmName" not in cyst


def test_tracking_and_region_survive_renaming_and_renumbering(volume: Volume, tmp_path: Path) -> None:
    uid = new_tracking_uid()
    cyst = Segment(2, "Cyst", tracking_uid=uid, tracking_id="Finding 7", region=LUNG)
    written = replace(two(volume), segments=(Segment(1, "Lesion"), cyst))
    for suffix in (".dcm", ".seg.nrrd"):
        save(written, tmp_path / f"two{suffix}")
        found = read_segmentation(tmp_path / f"two{suffix}", volume)
        first = replace(found.segments[1], number=1, label="Abscess")
        save(replace(found, segments=(first,), masks=found.masks[1:]), tmp_path / f"one{suffix}")
        (again,) = read_segmentation(tmp_path / f"one{suffix}", volume).segments
        assert (again.label, again.tracking_uid, again.tracking_id, again.region) == ("Abscess", uid, "Finding 7", LUNG)


def _lacking(dataset: Dataset, k: int) -> None:
    del dataset.FrameOfReferenceUID, dataset.PatientID, dataset.StudyTime, dataset.SliceThickness
    dataset.PatientSex = "unknown"
    dataset.SpecificCharacterSet = ["", "ISO 2022 IR 87"]
    dataset.ImageOrientationPatient = [v + 2e-4 * (-1) ** k for v in dataset.ImageOrientationPatient]


@pytest.mark.parametrize(
    "told",
    [
        "name no frame of reference; one derived",
        "have no PatientID, StudyTime; written empty",
        "PatientSex are not what DICOM allows",
        "have no SliceThickness; the distance",
        "orientations differ by up to 0.0002",
        "from ISO 2022 IR 87 to UTF-8",
    ],
)
def test_what_had_to_be_changed_about_the_sources_is_told(told: str, lacking: tuple[str, ...]) -> None:
    assert sum(told in line for line in lacking) == 1, lacking


@pytest.fixture(scope="module")
def lacking(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    folder = tmp_path_factory.mktemp("lacking")
    write_series(folder / "in", PHANTOM, _lacking)
    volume = read_volume(folder / "in")
    return save(one_segment(volume, ellipsoid(PHANTOM)), folder / "lesion.dcm").warnings


def test_nothing_is_told_where_nothing_was_changed(volume: Volume, tmp_path: Path) -> None:
    assert save(one_segment(volume, ellipsoid(PHANTOM)), tmp_path / "lesion.dcm").warnings == ()


def test_a_missing_slice_may_be_empty_but_not_segmented(tmp_path: Path) -> None:
    paths = write_series(tmp_path / "in", PHANTOM)
    paths[5].unlink()
    volume = read_volume(tmp_path / "in", allow_gaps=True)
    mask = ellipsoid(PHANTOM)
    with pytest.raises(WriteError, match="Slice 5 is missing from the series, or has no SOPInstanceUID"):
        save(one_segment(volume, mask), tmp_path / "lesion.dcm")
    mask[5] = False
    save(one_segment(volume, mask), tmp_path / "lesion.dcm")
    np.testing.assert_array_equal(read_segmentation(tmp_path / "lesion.dcm", volume).masks[0], mask)
    listed = dcmread(tmp_path / "lesion.dcm").ReferencedSeriesSequence[0].ReferencedInstanceSequence
    assert len(listed) == volume.shape[0] - 1


@pytest.mark.parametrize(
    ("keyword", "value", "said"),
    [
        ("PatientID", "X-9", "PatientID"),
        ("ContentLabel", "OTHER", "ContentLabel"),
        ("FrameOfReferenceUID", "1.2.3", "FrameOfReferenceUID"),
    ],
)
def test_an_attribute_that_reads_back_differently_is_caught(
    keyword, value, said, volume, tmp_path, monkeypatch
) -> None:
    """The file is altered between writing and reading back."""
    plain = Dataset.save_as

    def careless(dataset: Dataset, path: Path, **options: object) -> None:
        plain(dataset, path, **options)
        altered = dcmread(path)
        setattr(altered, keyword, value)
        plain(altered, path)

    monkeypatch.setattr(Dataset, "save_as", careless)
    with pytest.raises(WriteError, match=f"did not read back as written: {said} differs; the old file was kept"):
        save(one_segment(volume, ellipsoid(PHANTOM)), tmp_path / "lesion.dcm")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("what", ["position", "reference", "frame", "label"])
def test_a_frame_that_reads_back_differently_is_caught(what: str, volume, tmp_path, monkeypatch) -> None:
    plain = Dataset.save_as

    def careless(dataset: Dataset, path: Path, **options: object) -> None:
        plain(dataset, path, **options)
        altered = dcmread(path)
        first, second = altered.PerFrameFunctionalGroupsSequence[:2]
        if what == "position":
            first.PlanePositionSequence, second.PlanePositionSequence = (
                second.PlanePositionSequence,
                first.PlanePositionSequence,
            )
        elif what == "reference":
            first.DerivationImageSequence = second.DerivationImageSequence
        elif what == "frame":
            first.PlanePositionSequence[0].ImagePositionPatient = [0, 0, 0]
        else:
            altered.SegmentSequence[0].SegmentLabel = "Other"
        plain(altered, path)

    monkeypatch.setattr(Dataset, "save_as", careless)
    with pytest.raises(WriteError, match="did not read back as written"):
        save(one_segment(volume, ellipsoid(PHANTOM)), tmp_path / "lesion.dcm")
    assert list(tmp_path.iterdir()) == []
