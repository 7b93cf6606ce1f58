"""Segmentations from elsewhere: other kinds, other writers, other places."""

from __future__ import annotations

import subprocess
import sysconfig
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.uid import DeflatedExplicitVRLittleEndian, RLELossless

from edgeflow_med.errors import GeometryError, ReadError
from edgeflow_med.io import dicom_seg, save
from edgeflow_med.segmentation import AlgorithmType, Code, Segment, Segmentation
from edgeflow_med.volume import Volume
from tests.io.edits import put
from tests.io.here import read_segmentation, read_volume
from tests.phantoms import Phantom, ellipsoid, instances, one_segment, write_series

PHANTOM = Phantom()
LIVER = Code("10200004", "SCT", "Liver")


@pytest.fixture(scope="module")
def volume(tmp_path_factory: pytest.TempPathFactory) -> Volume:
    folder = tmp_path_factory.mktemp("oblique")
    write_series(folder, PHANTOM)
    return read_volume(folder)


def test_a_segmentation_of_another_place_is_refused(volume: Volume, tmp_path: Path) -> None:
    save(one_segment(volume, ellipsoid(PHANTOM)), tmp_path / "lesion.dcm")
    moved = replace(volume, affine=volume.affine + np.eye(4)[:, [3]] * 0 + np.array([[0, 0, 0, 0.4]] + 3 * [4 * [0]]))
    with pytest.raises(GeometryError, match="lies on another grid"):
        read_segmentation(tmp_path / "lesion.dcm", moved)
    part = replace(volume, array=volume.array[:5], headers=volume.headers[:5])
    with pytest.raises(GeometryError, match="reaches outside the volume"):
        read_segmentation(tmp_path / "lesion.dcm", part)
    write_series(tmp_path / "other", PHANTOM, put(FrameOfReferenceUID="1.2.3"))
    with pytest.raises(GeometryError, match="another frame of reference"):
        read_segmentation(tmp_path / "lesion.dcm", read_volume(tmp_path / "other"))


def test_an_image_is_no_segmentation(volume: Volume, tmp_path: Path) -> None:
    (tmp_path / "image.dcm").write_bytes(b"")
    path = write_series(tmp_path / "in", PHANTOM)[0]
    with pytest.raises(ReadError, match="is not a DICOM Segmentation"):
        read_segmentation(path, volume)
    with pytest.raises(ReadError, match="not DICOM but an empty file"):
        read_segmentation(tmp_path / "image.dcm", volume)


def test_segmentations_of_other_kinds_are_read(volume: Volume, tmp_path: Path) -> None:
    """LABELMAP with RLE, deflated BINARY and dcmqi's own file hold the same voxels; FRACTIONAL is refused."""
    mask = ellipsoid(PHANTOM)
    save(one_segment(volume, mask), tmp_path / "lesion.dcm")
    binary = dcmread(tmp_path / "lesion.dcm")
    binary.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    binary.save_as(tmp_path / "deflated.dcm")
    _highdicom(volume, mask, "LABELMAP", RLELossless).save_as(tmp_path / "labelmap.dcm")
    for name in ("deflated", "labelmap"):
        np.testing.assert_array_equal(read_segmentation(tmp_path / f"{name}.dcm", volume).masks[0], mask)
    _highdicom(volume, mask, "FRACTIONAL", RLELossless).save_as(tmp_path / "fractional.dcm")
    with pytest.raises(ReadError, match="is a FRACTIONAL Segmentation; only BINARY and LABELMAP"):
        read_segmentation(tmp_path / "fractional.dcm", volume)


def test_frames_that_contradict_each_other_or_their_number_are_refused(volume: Volume, tmp_path: Path) -> None:
    save(one_segment(volume, ellipsoid(PHANTOM)), tmp_path / "lesion.dcm")
    dataset = dcmread(tmp_path / "lesion.dcm")
    frames = dataset.PerFrameFunctionalGroupsSequence
    frames[1].PlanePositionSequence = frames[0].PlanePositionSequence
    dataset.save_as(tmp_path / "twice.dcm")
    with pytest.raises(ReadError, match=r"twice\.dcm: frame 2 lies where another of its segment lies"):
        read_segmentation(tmp_path / "twice.dcm", volume)
    dataset = dcmread(tmp_path / "lesion.dcm")
    dataset.NumberOfFrames -= 1
    dataset.save_as(tmp_path / "fewer.dcm")
    with pytest.raises(ReadError, match=r"fewer\.dcm claims 7 frames but describes another number"):
        read_segmentation(tmp_path / "fewer.dcm", volume)


def _lesion(volume: Volume, mask: NDArray[np.bool_]) -> tuple[Segment, Segmentation]:
    segmentation = one_segment(volume, mask)
    return segmentation.segments[0], segmentation


def _highdicom(volume: Volume, mask: NDArray[np.bool_], kind: str, syntax: str) -> Dataset:
    from highdicom.seg import Segmentation as HighdicomSegmentation
    from pydicom.uid import generate_uid

    return HighdicomSegmentation(
        source_images=list(volume.headers),
        pixel_array=mask.astype(np.uint8),
        segmentation_type=kind,
        segment_descriptions=[dicom_seg.describe_segment(*_lesion(volume, mask))],
        series_instance_uid=generate_uid(),
        series_number=1,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer="x",
        manufacturer_model_name="x",
        software_versions="1",
        device_serial_number="1",
        transfer_syntax_uid=syntax,
    )


def test_a_segmentation_made_by_dcmqi_is_read(volume: Volume, tmp_path: Path) -> None:
    mask = ellipsoid(PHANTOM)
    save(one_segment(volume, mask), tmp_path / "label.nrrd")
    for dataset in instances(PHANTOM):
        dataset.FrameOfReferenceUID = volume.headers[0].FrameOfReferenceUID
        dataset.save_as(tmp_path / f"{dataset.InstanceNumber}.dcm", enforce_file_format=True)
    (tmp_path / "meta.json").write_text(
        """{"ContentCreatorName": "A^B", "SeriesNumber": "9", "InstanceNumber": "1", "SeriesDescription": "x",
        "segmentAttributes": [[{"labelID": 1, "SegmentLabel": "Liver", "SegmentDescription": "Liver",
        "SegmentAlgorithmType": "AUTOMATIC", "SegmentAlgorithmName": "x", "recommendedDisplayRGBValue": [1, 2, 3],
        "SegmentedPropertyCategoryCodeSequence":
        {"CodeValue": "123037004", "CodingSchemeDesignator": "SCT", "CodeMeaning": "Anatomical Structure"},
        "SegmentedPropertyTypeCodeSequence":
        {"CodeValue": "10200004", "CodingSchemeDesignator": "SCT", "CodeMeaning": "Liver"}}]]}"""
    )
    program = Path(sysconfig.get_path("scripts"), "itkimage2segimage")
    images = ",".join(str(tmp_path / f"{k + 1}.dcm") for k in range(PHANTOM.shape[0]))
    command = [program, "--inputImageList", tmp_path / "label.nrrd", "--inputDICOMList", images]
    command += ["--inputMetadata", tmp_path / "meta.json", "--outputDICOM", tmp_path / "dcmqi.dcm"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (tmp_path / "dcmqi.dcm").exists(), result.stdout + result.stderr
    found = read_segmentation(tmp_path / "dcmqi.dcm", volume)
    np.testing.assert_array_equal(found.masks[0], mask)
    assert (found.segments[0].label, found.segments[0].type) == ("Liver", LIVER)
    assert found.segments[0].algorithm_type == AlgorithmType.AUTOMATIC
