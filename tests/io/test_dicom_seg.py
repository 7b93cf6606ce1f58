"""DICOM-SEG: what is written is judged by other implementations, and read by a reader that places frames itself."""

from __future__ import annotations

import shutil
import subprocess
import sysconfig
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK
from numpy.typing import NDArray
from pydicom import Dataset, dcmread

from edgeflow_med.errors import WriteError
from edgeflow_med.io import dicom_seg, save
from edgeflow_med.segmentation import AlgorithmType, Code, Segment, Segmentation
from edgeflow_med.volume import Volume
from tests.io.here import read_segmentation, read_volume
from tests.phantoms import AXIAL, Phantom, ellipsoid, flipped, one_segment, write_enhanced, write_series

# What the phantoms do wrong on purpose, pydicom says while it writes them.
pytestmark = pytest.mark.filterwarnings("ignore:The value length")
PHANTOM = Phantom()
LIVER = Code("10200004", "SCT", "Liver")
BARE_OF = (
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
    "Manufacturer",
    "SliceThickness",
    "FrameOfReferenceUID",
    "SeriesNumber",
)
ORGAN = Code("123037004", "SCT", "Anatomical Structure")


@pytest.fixture(scope="module")
def volume(tmp_path_factory: pytest.TempPathFactory) -> Volume:
    folder = tmp_path_factory.mktemp("oblique")
    write_series(folder, PHANTOM)
    return read_volume(folder)


@pytest.fixture(scope="module")
def three() -> tuple[tuple[Segment, ...], tuple[NDArray[np.bool_], ...]]:
    mask = ellipsoid(PHANTOM)
    masks = (mask, np.roll(mask, 3, axis=2), np.roll(mask, -22, axis=2))
    segments = (
        Segment(1, "Läsion 腫瘍", algorithm_name="EdgeFlow", algorithm_version="1.2", tracking_uid="1.2.3.4"),
        Segment(2, "Liver", ORGAN, LIVER, AlgorithmType.AUTOMATIC, "TotalSegmentator", "2", colour=(10, 200, 30)),
        Segment(3, "Painted", algorithm_type=AlgorithmType.MANUAL),
    )
    return segments, masks


def dcmqi(path: Path, folder: Path, volume: Volume) -> list[NDArray[np.bool_]]:
    """Masks by dcmqi on the volume's grid; dcmqi leaves out the empty slices at both ends."""
    program = Path(sysconfig.get_path("scripts"), "segimage2itkimage")
    command = [program, "--inputDICOM", path, "--outputDirectory", folder, "--prefix", "part", "-t", "nrrd"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    files = sorted(folder.glob("part-*.nrrd"))  # its exit code can be 0 with no file
    assert files, result.stdout + result.stderr
    masks = []
    for file in files:
        image = SimpleITK.ReadImage(str(file))
        affine = np.eye(4)
        affine[:3, :3] = (np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing())[:, ::-1]
        affine[:3, 3] = image.GetOrigin()
        found = np.argwhere(SimpleITK.GetArrayFromImage(image) > 0)
        indices = volume.index(found @ affine[:3, :3].T + affine[:3, 3])
        assert np.abs(indices - np.round(indices)).max() < 1e-3
        mask = np.zeros(volume.shape, np.bool_)
        mask[tuple(np.round(indices).astype(int).T)] = True
        masks.append(mask)
    return masks


def test_dcmqi_reads_the_mask_that_the_nifti_holds(volume: Volume, tmp_path: Path) -> None:
    segmentation = one_segment(volume, ellipsoid(PHANTOM))
    save(segmentation, tmp_path / "lesion.dcm")
    save(segmentation, tmp_path / "lesion.nii.gz")
    (mask,) = dcmqi(tmp_path / "lesion.dcm", tmp_path, volume)
    nifti = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(tmp_path / "lesion.nii.gz")))
    np.testing.assert_array_equal(mask, nifti > 0)
    np.testing.assert_array_equal(mask, ellipsoid(PHANTOM))


@pytest.mark.parametrize("turns", range(8))
def test_dcmqi_and_our_reader_agree_for_every_flip(turns: int, tmp_path: Path) -> None:
    phantom = flipped(PHANTOM, k=bool(turns & 4), j=bool(turns & 2), i=bool(turns & 1))
    write_series(tmp_path / "in", phantom)
    volume = read_volume(tmp_path / "in")
    mask = ellipsoid(PHANTOM)
    save(one_segment(volume, mask), tmp_path / "lesion.dcm")
    np.testing.assert_array_equal(read_segmentation(tmp_path / "lesion.dcm", volume).masks[0], mask)
    np.testing.assert_array_equal(dcmqi(tmp_path / "lesion.dcm", tmp_path, volume)[0], mask)


def test_several_segments_with_overlap_keep_voxels_and_all_that_is_said_about_them(volume, three, tmp_path) -> None:
    segments, masks = three
    save(Segmentation(volume, segments, masks), tmp_path / "three.dcm")
    found = read_segmentation(tmp_path / "three.dcm", volume)
    for mask, found_mask, dcmqi_mask in zip(
        masks, found.masks, dcmqi(tmp_path / "three.dcm", tmp_path, volume), strict=True
    ):
        np.testing.assert_array_equal(found_mask, mask)
        np.testing.assert_array_equal(dcmqi_mask, mask)
    for segment, other in zip(segments, found.segments, strict=True):
        assert np.abs(np.subtract(segment.colour, other.colour)).max() <= 1  # CIELab is rounded to 16 bits
        tracking = segment.tracking_uid or other.tracking_uid
        expected = replace(segment, tracking_uid=tracking, tracking_id=segment.label)
        assert replace(other, colour=segment.colour) == expected
        assert tracking
    assert dcmread(tmp_path / "three.dcm").SegmentsOverlap == "YES"


def needs_dciodvfy() -> None:
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy is not installed; `apt-get install dicom3tools` enables this check")


def dciodvfy_errors(path: Path) -> list[str]:
    result = subprocess.run(["dciodvfy", path], capture_output=True, text=True, timeout=60, check=False)
    return [line for line in (result.stdout + result.stderr).splitlines() if line.startswith("Error")]


@pytest.mark.parametrize("kind", ["one", "three", "enhanced", "bare", "single slice", "tilt"])
def test_dciodvfy_finds_no_error(kind: str, volume, three, tmp_path) -> None:
    needs_dciodvfy()
    if kind == "enhanced":
        write_enhanced(tmp_path / "in.dcm", PHANTOM)
        volume = read_volume(tmp_path / "in.dcm")
    elif kind == "bare":
        write_series(tmp_path / "in", PHANTOM, _bare)
        volume = read_volume(tmp_path / "in")
    elif kind == "single slice":
        volume = read_volume(write_series(tmp_path / "in", PHANTOM)[6])
    elif kind == "tilt":
        write_series(tmp_path / "in", replace(AXIAL, step=(0.0, 0.7, 2.5)))
        volume = read_volume(tmp_path / "in")
    mask = ellipsoid(PHANTOM)[6:7] if kind == "single slice" else ellipsoid(PHANTOM)
    segmentation = Segmentation(volume, *three) if kind == "three" else one_segment(volume, mask)
    save(segmentation, tmp_path / "out.dcm")
    assert dciodvfy_errors(tmp_path / "out.dcm") == []


def _bare(dataset: Dataset, _: int) -> None:
    """As anonymised files come: without the Type 2 attributes that highdicom insists on."""
    for keyword in BARE_OF:
        delattr(dataset, keyword)


def test_the_file_tells_the_truth(volume: Volume, tmp_path: Path) -> None:
    save(one_segment(volume, ellipsoid(PHANTOM)), tmp_path / "lesion.dcm")
    dataset, source = dcmread(tmp_path / "lesion.dcm"), volume.headers[0]
    for keyword in ("PatientID", "PatientName", "StudyInstanceUID", "FrameOfReferenceUID", "BodyPartExamined"):
        assert dataset.get(keyword) == source.get(keyword)
    assert dataset.ContentDescription == "Not for clinical use; 3 unreviewed slices"
    assert dataset.SeriesDescription == "EdgeFlow-Med: Lesion"
    assert dataset.SegmentationType == "BINARY"
    (segment,) = dataset.SegmentSequence
    assert segment.SegmentAlgorithmType == "SEMIAUTOMATIC"
    assert segment.SegmentDescription == "window soft-tissue (-160 to 240)"
    assert segment.SegmentedPropertyTypeCodeSequence[0].CodeValue == "52988006"
    (algorithm,) = segment.SegmentationAlgorithmIdentificationSequence
    assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == ("EdgeFlow", "test")
    assert segment.TrackingID
    assert segment.TrackingUID


@pytest.mark.parametrize(
    ("label", "written"),
    [
        ("left\\right", "left/right"),
        ("two\nlines", "two lines"),
        ("x" * 70, "x" * 61 + "..."),
        ("腫瘍" * 32, "腫瘍" * 32),
        ("\x1b[31m red\0", "[31m red"),
        (" ", "Segment 1"),
    ],
    ids=["backslash", "two lines", "too long", "64 characters of 3 bytes", "control characters", "none"],
)
def test_labels_that_dicom_cannot_hold_are_bent_as_little_as_possible(label, written, volume, tmp_path) -> None:
    save(one_segment(volume, ellipsoid(PHANTOM), label), tmp_path / "lesion.dcm")
    assert read_segmentation(tmp_path / "lesion.dcm", volume).segments[0].label == written
    if shutil.which("dciodvfy") and label.isascii():  # it counts bytes where the standard counts characters
        assert dciodvfy_errors(tmp_path / "lesion.dcm") == []


def test_only_slices_with_voxels_become_frames_and_each_refers_to_its_source(volume: Volume, tmp_path: Path) -> None:
    mask = ellipsoid(PHANTOM)
    mask[5] = False
    save(one_segment(volume, mask), tmp_path / "lesion.dcm")
    dataset = dcmread(tmp_path / "lesion.dcm")
    source_of = {tuple(header.ImagePositionPatient): header.SOPInstanceUID for header in volume.headers}
    places = []
    for frame in dataset.PerFrameFunctionalGroupsSequence:
        (reference,) = frame.DerivationImageSequence[0].SourceImageSequence
        places.append(tuple(frame.PlanePositionSequence[0].ImagePositionPatient))
        assert reference.ReferencedSOPInstanceUID == source_of[places[-1]]
    occupied = np.flatnonzero(mask.any(axis=(1, 2)))
    assert sorted(places) == sorted(tuple(volume.headers[k].ImagePositionPatient) for k in occupied)
    listed = dataset.ReferencedSeriesSequence[0].ReferencedInstanceSequence
    assert [item.ReferencedSOPInstanceUID for item in listed] == [header.SOPInstanceUID for header in volume.headers]
    np.testing.assert_array_equal(dcmqi(tmp_path / "lesion.dcm", tmp_path, volume)[0], mask)


def test_frames_of_an_enhanced_source_are_referred_to_by_number(tmp_path: Path) -> None:
    write_enhanced(tmp_path / "in.dcm", PHANTOM)
    volume, mask = read_volume(tmp_path / "in.dcm"), ellipsoid(PHANTOM)
    save(one_segment(volume, mask), tmp_path / "lesion.dcm")
    dataset, source = dcmread(tmp_path / "lesion.dcm"), dcmread(tmp_path / "in.dcm", stop_before_pixels=True)
    for frame in dataset.PerFrameFunctionalGroupsSequence:
        (reference,) = frame.DerivationImageSequence[0].SourceImageSequence
        assert reference.ReferencedSOPInstanceUID == source.SOPInstanceUID
        assert reference.ReferencedSOPClassUID == source.SOPClassUID
        referred = source.PerFrameFunctionalGroupsSequence[reference.ReferencedFrameNumber - 1]
        assert frame.PlanePositionSequence == referred.PlanePositionSequence
    (listed,) = dataset.ReferencedSeriesSequence[0].ReferencedInstanceSequence
    assert listed.ReferencedSOPInstanceUID == source.SOPInstanceUID
    np.testing.assert_array_equal(dcmqi(tmp_path / "lesion.dcm", tmp_path, volume)[0], mask)


@pytest.mark.parametrize("oddity", ["bare", "jitter", "Japanese", "a number in words", "long words"])
def test_sources_that_highdicom_refuses_are_written(oddity: str, tmp_path: Path) -> None:
    def edit(dataset: Dataset, k: int) -> None:
        if oddity == "bare":
            _bare(dataset, k)
        elif oddity == "jitter":
            dataset.ImageOrientationPatient = [v + 2e-4 * (-1) ** k for v in dataset.ImageOrientationPatient]
        elif oddity == "Japanese":
            dataset.SpecificCharacterSet, dataset.PatientName = ["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎"
        elif oddity == "a number in words":
            dataset.add_new("SeriesNumber", "LO", "seven")
        else:
            dataset.StudyID = "longer than the sixteen characters allowed"

    write_series(tmp_path / "in", PHANTOM, edit)
    volume, mask = read_volume(tmp_path / "in"), ellipsoid(PHANTOM)
    save(one_segment(volume, mask), tmp_path / "lesion.dcm")
    np.testing.assert_array_equal(read_segmentation(tmp_path / "lesion.dcm", volume).masks[0], mask)
    dataset = dcmread(tmp_path / "lesion.dcm")
    assert dataset.FrameOfReferenceUID
    if oddity == "Japanese":
        assert str(dataset.PatientName) == "Yamada^Tarou=山田^太郎"


def test_a_gantry_tilt_stays_exact_slice_by_slice(tmp_path: Path) -> None:
    phantom = replace(AXIAL, step=(0.0, 2.5 * np.tan(np.radians(15)), 2.5))
    write_series(tmp_path / "in", phantom)
    volume, mask = read_volume(tmp_path / "in"), ellipsoid(phantom)
    save(one_segment(volume, mask), tmp_path / "lesion.dcm")
    np.testing.assert_array_equal(read_segmentation(tmp_path / "lesion.dcm", volume).masks[0], mask)
    positions = {header.SOPInstanceUID: header.ImagePositionPatient for header in volume.headers}
    for frame in dcmread(tmp_path / "lesion.dcm").PerFrameFunctionalGroupsSequence:
        source = frame.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
        assert frame.PlanePositionSequence[0].ImagePositionPatient == positions[source]


def test_every_save_is_a_new_instance_in_a_new_series(volume: Volume, tmp_path: Path) -> None:
    segmentation = one_segment(volume, ellipsoid(PHANTOM))
    save(segmentation, tmp_path / "lesion.dcm")
    first = dcmread(tmp_path / "lesion.dcm")
    save(segmentation, tmp_path / "lesion.dcm")
    second = dcmread(tmp_path / "lesion.dcm")
    assert first.SOPInstanceUID != second.SOPInstanceUID
    assert first.SeriesInstanceUID != second.SeriesInstanceUID


@pytest.mark.parametrize("enhanced", [False, True])
def test_saving_changes_nothing_in_the_volumes_headers(enhanced: bool, tmp_path: Path) -> None:
    if enhanced:
        write_enhanced(tmp_path / "in" / "in.dcm", PHANTOM)
    else:
        write_series(tmp_path / "in", PHANTOM, _bare)
    volume = read_volume(tmp_path / "in")
    before = [header.to_json() for header in volume.headers]
    save(one_segment(volume, ellipsoid(PHANTOM)), tmp_path / "lesion.dcm")
    assert [header.to_json() for header in volume.headers] == before


def test_a_volume_that_is_not_dicom_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(WriteError, match=r"must refer to a DICOM series; give \.nii\.gz or \.seg\.nrrd"):
        save(one_segment(PHANTOM.volume(), ellipsoid(PHANTOM)), tmp_path / "lesion.dcm")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SOPInstanceUID"])
def test_a_source_without_identity_is_refused(keyword: str, tmp_path: Path) -> None:
    write_series(tmp_path / "in", PHANTOM, lambda dataset, _: setattr(dataset, keyword, ""))
    volume = read_volume(tmp_path / "in")
    with pytest.raises(WriteError, match=f"have no {keyword}"):
        save(one_segment(volume, ellipsoid(PHANTOM)), tmp_path / "lesion.dcm")
    assert not (tmp_path / "lesion.dcm").exists()


def test_sources_with_one_uid_for_all_are_refused(tmp_path: Path) -> None:
    write_series(tmp_path / "in", PHANTOM, lambda dataset, _: setattr(dataset, "SOPInstanceUID", "1.2.3"))
    volume = read_volume(tmp_path / "in")
    with pytest.raises(WriteError, match="Several source images have one SOPInstanceUID"):
        save(one_segment(volume, ellipsoid(PHANTOM)), tmp_path / "lesion.dcm")


def test_what_highdicom_refuses_after_all_is_a_write_error(tmp_path: Path) -> None:
    write_series(tmp_path / "in", PHANTOM, lambda dataset, _: setattr(dataset, "SOPClassUID", "1.2.3.4"))
    volume = read_volume(tmp_path / "in")
    with pytest.raises(WriteError, match=r"headers of the source series do not allow a DICOM-SEG .*give \.nii\.gz"):
        save(one_segment(volume, ellipsoid(PHANTOM)), tmp_path / "lesion.dcm")
    assert not (tmp_path / "lesion.dcm").exists()


def test_what_does_not_read_back_is_never_given_its_name(volume: Volume, tmp_path: Path, monkeypatch) -> None:
    """A writer that loses one voxel is caught, and the old file stays."""
    target = tmp_path / "lesion.dcm"
    save(one_segment(volume, ellipsoid(PHANTOM)), target)
    old, honest = target.read_bytes(), dicom_seg.build_dicom_seg

    def careless(*arguments: Any) -> Dataset:
        dataset = honest(*arguments)
        pixels = bytearray(dataset.PixelData)
        pixels[next(n for n, byte in enumerate(pixels) if byte)] ^= 0xFF
        dataset.PixelData = bytes(pixels)
        return dataset

    monkeypatch.setattr(dicom_seg, "build_dicom_seg", careless)
    with pytest.raises(WriteError, match="did not read back as written: voxels of 'Lesion' differ"):
        save(one_segment(volume, ellipsoid(PHANTOM)), target)
    assert target.read_bytes() == old
    assert list(tmp_path.iterdir()) == [target]
