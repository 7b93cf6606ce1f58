"""RT structure sets: contours on slices become masks, judged by the masks that the data's publishers made of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

import edgeflow_med.io
from edgeflow_med.errors import GeometryError, ReadError
from edgeflow_med.io.rtstruct import RT_STRUCTURE_SET_STORAGE
from edgeflow_med.segmentation import AlgorithmType, Code
from edgeflow_med.volume import Volume
from tests.io.here import read_segmentation, read_volume
from tests.io.test_sample_data import SERIES, find_series
from tests.phantoms import Phantom, flipped

PHANTOM = Phantom(shape=(5, 30, 40))
CATEGORY, LIVER = Code("123037004", "SCT", "Anatomical Structure"), Code("10200004", "SCT", "Liver")
SQUARE = np.array([[4.5, 6.5], [4.5, 20.5], [17.5, 20.5], [17.5, 6.5]])


@pytest.mark.parametrize("name", SERIES)
def test_the_experts_contours_give_the_publishers_mask(name: str) -> None:
    folder = find_series(name)
    volume = read_volume(folder)
    segmentation = read_segmentation(next((folder.parent / "rtstruct").glob("*.dcm")), volume)
    truth = read_volume(folder.parent / "tumour.nii.gz")
    assert volume.same_grid(truth.affine, truth.shape)
    np.testing.assert_array_equal(segmentation.masks[0], truth.array > 0)
    assert segmentation.segments[0].label.startswith("GTV_Mass")
    assert segmentation.segments[0].algorithm_type == AlgorithmType.MANUAL


def write_rtstruct(path: Path, volume: Volume, contours: list[tuple[float, ArrayLike]], **region: object) -> Path:
    """One structure of contours ``(k, [(j, i), ...])`` given as indices."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = RT_STRUCTURE_SET_STORAGE
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    roi = Dataset()
    roi.ROINumber, roi.ROIName, roi.ROIGenerationAlgorithm = 3, "Gewebe ö", "AUTOMATIC"
    for keyword, value in region.items():
        setattr(roi, keyword, value)
    item = Dataset()
    item.ReferencedROINumber, item.ROIDisplayColor, item.ContourSequence = 3, [10, 20, 30], []
    for k, points in contours:
        contour = Dataset()
        contour.ContourGeometricType = "CLOSED_PLANAR"
        indices = np.insert(np.asarray(points, np.float64), 0, k, axis=1)
        contour.ContourData = [f"{v:.6g}" for v in volume.position(indices).ravel()]
        item.ContourSequence.append(contour)
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.StructureSetROISequence, dataset.ROIContourSequence = [roi], [item]
    dataset.save_as(path, enforce_file_format=True)
    return path


def square() -> NDArray[np.bool_]:
    mask = np.zeros(PHANTOM.shape, np.bool_)
    mask[2, 5:18, 7:21] = True
    return mask


@pytest.mark.parametrize("turns", range(8))
def test_voxels_whose_centres_lie_inside_are_filled_whatever_the_flips(turns: int, tmp_path: Path) -> None:
    volume = flipped(PHANTOM, k=bool(turns & 4), j=bool(turns & 2), i=bool(turns & 1)).volume()
    segmentation = read_segmentation(write_rtstruct(tmp_path / "rs.dcm", volume, [(2, SQUARE)]), volume)
    np.testing.assert_array_equal(segmentation.masks[0], square())
    (segment,) = segmentation.segments
    assert (segment.label, segment.colour, segment.algorithm_type) == (
        "Gewebe ö",
        (10, 20, 30),
        AlgorithmType.AUTOMATIC,
    )


def test_an_inner_contour_is_a_hole_and_an_outer_one_is_added(tmp_path: Path) -> None:
    volume = PHANTOM.volume()
    hole, apart = SQUARE * 0.25 + 8, SQUARE * 0.25 + (20, 24)
    path = write_rtstruct(tmp_path / "rs.dcm", volume, [(2, SQUARE), (2, hole), (2, apart), (4, SQUARE)])
    mask = read_segmentation(path, volume).masks[0]
    assert mask[4].sum() == square().sum()
    assert not mask[2, 11, 12]
    assert mask[2, 6, 8]
    assert mask[2, 23, 28]


@pytest.mark.parametrize(("kind", "count"), [("CLOSEDPLANAR_XOR", 14 * 13 - 4 * 3), ("OPEN_PLANAR", 0)])
def test_exclusive_contours_are_filled_and_open_ones_left_out(kind: str, count: int, tmp_path: Path) -> None:
    volume = PHANTOM.volume()
    path = write_rtstruct(tmp_path / "rs.dcm", volume, [(2, SQUARE), (2, SQUARE * 0.25 + 8), (4, SQUARE)])
    dataset = dcmread(path)
    for contour in dataset.ROIContourSequence[0].ContourSequence[:2]:
        contour.ContourGeometricType = kind
    dataset.save_as(path)
    mask = read_segmentation(path, volume).masks[0]
    assert mask[2].sum() == count
    assert mask[4].sum() == square().sum()


def test_structures_without_a_closed_contour_are_named(tmp_path: Path) -> None:
    volume = PHANTOM.volume()
    path = write_rtstruct(tmp_path / "rs.dcm", volume, [(2, SQUARE)])
    assert read_segmentation(path, volume).warnings == ()
    dataset = dcmread(path)
    for number, name in ((7, "Isocentre"), (8, "Never drawn")):
        region = Dataset()
        region.ROINumber, region.ROIName = number, name
        dataset.StructureSetROISequence.append(region)
    point, place = Dataset(), Dataset()
    place.ContourGeometricType, place.ContourData = "POINT", ["1", "2", "3"]
    point.ReferencedROINumber, point.ContourSequence = 7, [place]
    dataset.ROIContourSequence.insert(0, point)
    dataset.save_as(path)
    expected = ("Not read, for want of a closed contour: Isocentre, Never drawn.",)
    for read in (read_segmentation, edgeflow_med.io.read_segmentation):  # here, and through the child
        found = read(path, volume)
        assert [segment.label for segment in found.segments] == ["Gewebe ö"]
        assert found.warnings == expected


def test_codes_and_tracking_are_kept(tmp_path: Path) -> None:
    volume = PHANTOM.volume()
    tracked = {"TrackingID": "Node 4", "TrackingUID": "1.2.3.4"}
    path = write_rtstruct(tmp_path / "rs.dcm", volume, [(2, SQUARE)], **tracked)
    dataset, observed, category, kind = dcmread(path), Dataset(), Dataset(), Dataset()
    for item, code in ((category, CATEGORY), (kind, LIVER)):
        item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code.value, code.scheme, code.meaning
    observed.ObservationNumber, observed.ReferencedROINumber = 1, 3
    observed.SegmentedPropertyCategoryCodeSequence, observed.RTROIIdentificationCodeSequence = [category], [kind]
    dataset.RTROIObservationsSequence = [observed]
    dataset.save_as(path)
    (segment,) = read_segmentation(path, volume).segments
    assert (segment.category, segment.type) == (CATEGORY, LIVER)
    assert (segment.tracking_id, segment.tracking_uid) == ("Node 4", "1.2.3.4")


def test_contours_between_slices_or_outside_are_refused_with_the_place(tmp_path: Path) -> None:
    volume = PHANTOM.volume()
    for k in (2.4, 7):
        path = write_rtstruct(tmp_path / "rs.dcm", volume, [(k, SQUARE)])
        with pytest.raises(GeometryError, match=r"A contour of 'Gewebe ö' at \(.*\) mm lies on no slice"):
            read_segmentation(path, volume)


def test_a_structure_of_another_frame_of_reference_is_refused(tmp_path: Path) -> None:
    header = Dataset()
    header.FrameOfReferenceUID = "1.2.3"
    volume = replace(PHANTOM.volume(), headers=(header,))
    path = write_rtstruct(tmp_path / "rs.dcm", volume, [(2, SQUARE)], ReferencedFrameOfReferenceUID="1.2.4")
    with pytest.raises(GeometryError, match=r"another frame of reference \(1\.2\.4\)"):
        read_segmentation(path, volume)


def test_empty_structures_and_broken_contours_are_refused(tmp_path: Path) -> None:
    volume = PHANTOM.volume()
    with pytest.raises(ReadError, match="no structure with closed contours"):
        read_segmentation(write_rtstruct(tmp_path / "rs.dcm", volume, []), volume)
    with pytest.raises(ReadError, match="closed contour of 2 points"):
        read_segmentation(write_rtstruct(tmp_path / "rs.dcm", volume, [(2, SQUARE[:2])]), volume)
