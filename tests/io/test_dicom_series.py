"""Which files belong together: several stacks in a series, copies, localizers, archives, directories."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import (
    generate_uid,
)

from edgeflow_med.errors import EdgeFlowError, GeometryError, ReadError
from tests.io.edits import SMALL, put, two_series
from tests.io.here import list_series, read_volume
from tests.phantoms import Phantom, is_true, write_series

# What the phantoms do wrong on purpose, pydicom says while it writes them.
pytestmark = pytest.mark.filterwarnings("ignore:Invalid value for VR", "ignore:Unknown encoding")


# Private creator -> group, element, value representation, and what is added to the number.
PRIVATE_B_VALUES = {
    "SIEMENS MR HEADER": (0x0019, 0x0C, "IS", 0),
    "GEMS_PARM_01": (0x0043, 0x39, "IS", 1_000_000_000),
    "Philips Imaging DD 001": (0x2001, 0x03, "FL", 0),
}


@pytest.mark.parametrize(
    ("keyword", "called"),
    [
        ("EchoTime", "echo time {} ms"),
        ("EchoNumbers", "echo {}"),
        ("AcquisitionNumber", "acquisition {}"),
        ("TemporalPositionIdentifier", "time point {}"),
        ("DiffusionBValue", "b-value {}"),
        ("SeriesNumber", "series number {}"),
        ("SIEMENS MR HEADER", "b-value {}"),
        ("GEMS_PARM_01", "b-value {}"),
        ("Philips Imaging DD 001", "b-value {}"),
    ],
)
def test_stacks_that_share_positions_in_one_series_are_told_apart(keyword: str, called: str, tmp_path: Path) -> None:
    series = generate_uid()

    def of_stack(value: int) -> Callable[[Dataset, int], None]:
        def edit(dataset: Dataset, k: int) -> None:
            dataset.SeriesInstanceUID, dataset.AcquisitionTime = series, f"1010{value}{k}"
            if keyword in PRIVATE_B_VALUES:
                group, element, vr, offset = PRIVATE_B_VALUES[keyword]
                block = dataset.private_block(group, keyword, create=True)
                block.add_new(element, vr, value + offset)
            else:
                setattr(dataset, keyword, value)
            dataset.RescaleIntercept = 1000 * value

        return edit

    for value in (1, 2):
        write_series(tmp_path, SMALL, of_stack(value), prefix=f"{value}-")
    with pytest.raises(ReadError, match=f"2 series, choose one by --series.*{called.format(2)}, 6 slices") as caught:
        read_volume(tmp_path)
    assert "\n" not in str(caught.value)
    for value in (1, 2):
        for name in (f"{series}#{value}", called.format(value)):
            np.testing.assert_array_equal(read_volume(tmp_path, series=name).array, SMALL.array + 1000 * value)


def test_diffusion_directions_are_told_apart(tmp_path: Path) -> None:
    def of_stack(number: int) -> Callable[[Dataset, int], None]:
        return put(
            SeriesInstanceUID="1.2.3",
            DiffusionBValue=1000 if number else 0,
            DiffusionGradientOrientation=[[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]][number],
        )

    for number in range(4):
        write_series(tmp_path, SMALL, of_stack(number), prefix=f"{number}-")
    whats = [info.description.removeprefix("Oblique phantom, ") for info in list_series(tmp_path)]
    assert whats == ["b-value 0", *(f"b-value 1000, gradient {g}" for g in ("1/0/0", "0/1/0", "0/0/1"))]


def test_two_patients_under_one_series_uid_are_never_mixed(tmp_path: Path) -> None:
    """As a careless anonymiser leaves them: one patient's slices go on where the other's end."""
    write_series(tmp_path, SMALL, put(SeriesInstanceUID="1.2.3"))
    write_series(tmp_path, above(SMALL), put(SeriesInstanceUID="1.2.3", PatientID="Somebody-Else"), prefix="z")
    with pytest.raises(ReadError, match=r"2 series.*patient 1, 6 slices.*patient 2, 6 slices") as caught:
        read_volume(tmp_path)
    assert "Somebody" not in str(caught.value)
    assert is_true(read_volume(tmp_path, series="patient 2"))


@pytest.mark.parametrize(
    ("keyword", "called"), [("StudyInstanceUID", "study"), ("FrameOfReferenceUID", "frame of reference")]
)
def test_two_studies_or_frames_of_reference_under_one_series_uid_are_never_mixed(
    keyword: str, called: str, tmp_path: Path
) -> None:
    """Positions in two frames of reference mean nothing to each other, though the slices seem to go on."""
    for number, phantom in enumerate((SMALL, above(SMALL)), 1):
        write_series(tmp_path, phantom, put(SeriesInstanceUID="1.2", **{keyword: f"1.2.{number}"}), f"{number}-")
    with pytest.raises(ReadError, match=rf"2 series.*{called} 1, 6 slices.*{called} 2, 6 slices"):
        read_volume(tmp_path)
    assert is_true(read_volume(tmp_path, series=f"{called} 2"))


def above(phantom: Phantom) -> Phantom:
    """The phantom whose slices go on where those of another end."""
    return replace(phantom, origin=tuple((phantom.affine @ [phantom.shape[0], 0, 0, 1])[:3]))


def test_slices_that_differ_in_what_one_volume_has_in_common_are_told(tmp_path: Path) -> None:
    for time, phantom in ((2.5, SMALL), (80, above(SMALL))):
        write_series(tmp_path, phantom, put(SeriesInstanceUID="1.2", EchoTime=time), f"{time}-")
    (warning,) = read_volume(tmp_path).warnings
    assert warning.startswith("The slices differ in EchoTime (echo time 2.5 ms; echo time 80 ms)")


def test_series_without_a_uid_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    for folder, phantom in (("a", SMALL), ("b", above(SMALL))):
        write_series(tmp_path / folder / "1", phantom, put(SeriesInstanceUID=""))
    with pytest.raises(ReadError, match=r"2 series.*folder .*a.1 \(CT, 6 slices\); folder .*b.1 \(CT, 6 slices\)"):
        read_volume(tmp_path)
    assert is_true(read_volume(tmp_path, series=f"folder {tmp_path / 'b' / '1'}"))


def test_series_without_a_uid_are_told_apart_by_their_number(tmp_path: Path) -> None:
    for number in (4, 5):
        write_series(tmp_path, SMALL, put(SeriesInstanceUID="", SeriesNumber=number), prefix=f"{number}-")
    with pytest.raises(ReadError, match=r"2 series.*series number 4, 6 slices.*series number 5, 6 slices"):
        read_volume(tmp_path)
    assert is_true(read_volume(tmp_path, series="series number 5"))


def test_two_positions_alike_with_nothing_to_tell_them_apart_are_refused(tmp_path: Path) -> None:
    series = generate_uid()
    for prefix in ("a", "b"):
        write_series(tmp_path, SMALL, put(SeriesInstanceUID=series), prefix=prefix)
    with pytest.raises(
        GeometryError, match=r"6 slice position\(s\) are taken twice, first at .* a000.dcm and b000.dcm"
    ):
        read_volume(tmp_path)


def test_copies_are_left_out_and_told(tmp_path: Path) -> None:
    paths = write_series(tmp_path, SMALL)
    shutil.copy(paths[2], tmp_path / "copy.dcm")
    volume = read_volume(tmp_path)
    assert is_true(volume)
    assert volume.shape == SMALL.shape
    assert any("1 file(s) are copies" in warning for warning in volume.warnings)


def test_a_copy_with_another_header_is_a_copy(tmp_path: Path) -> None:
    dataset = dcmread(write_series(tmp_path, SMALL)[2])
    dataset.PatientComments = "sent twice"
    dataset.save_as(tmp_path / "copy.dcm")
    assert "1 file(s) are copies" in read_volume(tmp_path).warnings[0]


def test_images_that_share_a_uid_by_mistake_are_no_copies(tmp_path: Path) -> None:
    """One Instance UID for all, as some anonymisers leave them: two echoes, then two stacks of different pixels."""
    same = {"SeriesInstanceUID": "1.2", "SOPInstanceUID": "1.2.3"}
    for echo in (1, 2):
        write_series(
            tmp_path / "echoes", SMALL, put(EchoNumbers=echo, RescaleIntercept=1000 * echo, **same), f"{echo}-"
        )
        write_series(tmp_path / "pixels", SMALL, put(RescaleIntercept=1000 * echo, **same), f"{echo}-")
    with pytest.raises(ReadError, match=r"2 series.*echo 1, 6 slices.*echo 2, 6 slices"):
        read_volume(tmp_path / "echoes")
    np.testing.assert_array_equal(read_volume(tmp_path / "echoes", series="echo 2").array, SMALL.array + 2000)
    with pytest.raises(
        GeometryError, match=r"6 slice position\(s\) are taken twice, first at .*1-000.dcm and 2-000.dcm"
    ):
        read_volume(tmp_path / "pixels")


@pytest.mark.parametrize("own_series", [True, False])
def test_localizers_are_left_out_and_told(own_series: bool, tmp_path: Path) -> None:
    series = generate_uid()
    write_series(tmp_path, SMALL, put(SeriesInstanceUID=series))
    localizer = put(
        SeriesInstanceUID=generate_uid() if own_series else series, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]
    )
    coronal = replace(SMALL, shape=(1, 20, 20), row=(1, 0, 0), column=(0, 0, -1))
    write_series(tmp_path, coronal, localizer, prefix="localizer")
    volume = read_volume(tmp_path)
    assert is_true(volume)
    assert volume.shape == SMALL.shape
    assert any("Left out" in warning and "1 slices" in warning for warning in volume.warnings)


def test_garbage_beside_the_images_does_not_matter_but_what_claims_to_be_dicom_is_told(tmp_path: Path) -> None:
    paths = write_series(tmp_path, SMALL)
    (tmp_path / "README.txt").write_text("not an image")
    (tmp_path / "empty.dcm").touch()
    report = dcmread(paths[0])
    del report.PixelData, report.Rows, report.Columns
    report.SOPClassUID = report.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.88.11"
    report.save_as(tmp_path / "report.dcm")
    volume = read_volume(tmp_path)
    assert is_true(volume)
    assert len(volume.warnings) == 1
    assert "empty.dcm is not DICOM but an empty file" in volume.warnings[0]


@pytest.mark.parametrize("length", [400, 700, 1100])
def test_a_cut_file_at_the_end_of_a_series_is_told(length: int, tmp_path: Path) -> None:
    """Without it the rest is a whole volume, so nothing else would say that a slice is gone."""
    path = write_series(tmp_path, SMALL)[-1]
    path.write_bytes(path.read_bytes()[:length])
    volume = read_volume(tmp_path)
    assert volume.shape[0] == SMALL.shape[0] - 1
    assert "slice005.dcm" in " ".join(volume.warnings)


def test_a_series_is_chosen_by_its_uid_and_an_unknown_one_refused(tmp_path: Path) -> None:
    two_series(tmp_path)
    assert read_volume(tmp_path, series="1.2.4").headers[0].SeriesInstanceUID == "1.2.4"
    with pytest.raises(ReadError, match=r"no series 9\.9; found 1\.2\.3"):
        read_volume(tmp_path, series="9.9")


def test_series_are_listed_with_their_geometry(tmp_path: Path) -> None:
    two_series(tmp_path)
    first, second = list_series(tmp_path)
    assert (first.name, second.name) == ("1.2.3", "1.2.4")
    assert first.shape == SMALL.shape
    assert first.orientation == "SPL"
    np.testing.assert_allclose(first.affine, SMALL.affine, atol=1e-6)
    np.testing.assert_allclose(first.spacing, SMALL.spacing, atol=1e-6)
    assert first.to_json()["shape"] == SMALL.shape


def zipped(folder: Path, target: Path) -> Path:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, path.relative_to(folder))
    return target


def test_a_zip_archive_is_read_in_place(tmp_path: Path) -> None:
    write_series(tmp_path / "in" / "deep" / "down", SMALL)
    (tmp_path / "in" / "README.txt").write_text("not an image")
    volume = read_volume(zipped(tmp_path / "in", tmp_path / "series.zip"))
    assert is_true(volume)
    assert volume.warnings == ()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "series.zip"]


def test_a_broken_archive_and_one_without_images_are_refused(tmp_path: Path) -> None:
    write_series(tmp_path / "in", SMALL)
    whole = zipped(tmp_path / "in", tmp_path / "series.zip").read_bytes()
    (tmp_path / "cut.zip").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ReadError, match=r"cut\.zip is a broken zip archive"):
        read_volume(tmp_path / "cut.zip")
    spoilt = bytearray(whole)
    spoilt[5000:5040] = bytes(40)
    (tmp_path / "spoilt.zip").write_bytes(spoilt)
    with pytest.raises(EdgeFlowError, match=r"slice|broken") as caught:
        read_volume(tmp_path / "spoilt.zip")
    assert "\n" not in str(caught.value)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ReadError, match=r"No DICOM image among 0"):
        read_volume(zipped(tmp_path / "empty", tmp_path / "empty.zip"))


@pytest.mark.parametrize("name", ["../slice.dcm", "/etc/slice.dcm", "a/../../slice.dcm", "C:slice.dcm"])
def test_an_archive_whose_names_lead_outside_is_refused(name: str, tmp_path: Path) -> None:
    path = write_series(tmp_path / "in", SMALL)[0]
    with zipfile.ZipFile(tmp_path / "slip.zip", "w") as archive:
        archive.writestr(zipfile.ZipInfo(name), path.read_bytes())
    with pytest.raises(ReadError, match=r"slip\.zip names the file .*, which is outside it; the archive is not read"):
        read_volume(tmp_path / "slip.zip")


def test_an_encrypted_archive_and_one_that_lies_about_sizes_are_refused(tmp_path: Path) -> None:
    write_series(tmp_path / "in", SMALL)
    content = zipped(tmp_path / "in", tmp_path / "series.zip").read_bytes()
    entry = content.index(b"PK\x01\x02")
    encrypted, lying = bytearray(content), bytearray(content)
    encrypted[entry + 8] |= 1
    lying[entry + 24 : entry + 28] = (2**32 - 2).to_bytes(4, "little")
    for name, spoilt, reason in (("e.zip", encrypted, "is encrypted"), ("l.zip", lying, "claims that .* bytes")):
        (tmp_path / name).write_bytes(spoilt)
        with pytest.raises(ReadError, match=reason):
            read_volume(tmp_path / name)


def write_dicomdir(folder: Path, files: list[list[str]]) -> Path:
    dataset = dcmread(write_series(folder / "model", SMALL)[0])
    records = []
    for parts in files:
        record = Dataset()
        record.DirectoryRecordType, record.ReferencedFileID = "IMAGE", parts
        records.append(record)
    directory = Dataset()
    directory.file_meta = dataset.file_meta
    directory.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.1.3.10"
    directory.DirectoryRecordSequence = records
    directory.save_as(folder / "DICOMDIR", enforce_file_format=True)
    shutil.rmtree(folder / "model")
    return folder / "DICOMDIR"


def test_a_dicomdir_is_followed_and_only_what_it_lists_is_read(tmp_path: Path) -> None:
    paths = write_series(tmp_path / "IMAGES", SMALL)
    write_series(tmp_path / "OTHER", SMALL)
    volume = read_volume(write_dicomdir(tmp_path, [["IMAGES", path.name] for path in paths]))
    assert is_true(volume)
    assert volume.warnings == ()
    paths[-1].unlink()
    volume = read_volume(tmp_path / "DICOMDIR")
    assert volume.shape[0] == SMALL.shape[0] - 1
    assert "Cannot read slice005.dcm: No such file" in volume.warnings[0]


@pytest.mark.parametrize("parts", [["..", "secret"], ["IMAGES", "../../secret"], ["C:", "secret"]])
def test_a_dicomdir_cannot_lead_outside_its_folder(parts: list[str], tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="outside its folder; it is not followed"):
        read_volume(write_dicomdir(tmp_path, [parts]))
