"""What hospitals really have: each odd series is read right, voxel by voxel, or refused with the place named.

Every voxel of the phantoms knows its position, so "right" means geometry, order and values at once.
"""

from __future__ import annotations

import random
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
    generate_uid,
)

from edgeflow_med.errors import EdgeFlowError, GeometryError, ReadError, UsageError
from tests.io.here import list_series, read_volume
from tests.phantoms import AXIAL, ENHANCED_MR_IMAGE, Phantom, flipped, is_true, write_enhanced, write_series

# What the phantoms do wrong on purpose, pydicom says while it writes them.
pytestmark = pytest.mark.filterwarnings("ignore:Invalid value for VR", "ignore:Unknown encoding")
SMALL = Phantom(shape=(6, 34, 40))
TILTED = replace(AXIAL, shape=(6, 34, 40), step=(0.0, 2.5 * np.tan(np.radians(15)), 2.5))


def unsigned(dataset: Dataset, _: int) -> None:
    dataset.PixelData = (np.frombuffer(dataset.PixelData, np.int16) + 1024).astype(np.uint16).tobytes()
    dataset.PixelRepresentation, dataset.RescaleIntercept = 0, -1024


def slope_of_its_own(dataset: Dataset, k: int) -> None:
    values = np.frombuffer(dataset.PixelData, np.int16)
    dataset.RescaleSlope = 0.05 + 0.01 * k
    dataset.PixelData = np.round(values / dataset.RescaleSlope).astype(np.int16).tobytes()
    dataset.Modality = "PT"


def twelve_bits_and_overlay(dataset: Dataset, _: int) -> None:
    stored = (np.frombuffer(dataset.PixelData, np.int16) + 1024).astype(np.uint16)
    dataset.PixelData = (stored | 0x8000).tobytes()
    dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation, dataset.RescaleIntercept = 12, 11, 0, -1024


def orientation_jitter(dataset: Dataset, k: int) -> None:
    dataset.ImageOrientationPatient = [v + 2e-4 * (-1) ** k for v in dataset.ImageOrientationPatient]


def position_jitter(dataset: Dataset, k: int) -> None:
    dataset.ImagePositionPatient = [v + 0.01 * (-1) ** k for v in dataset.ImagePositionPatient]


def drop(*keywords: str) -> Callable[[Dataset, int], None]:
    def edit(dataset: Dataset, _: int) -> None:
        for keyword in keywords:
            delattr(dataset, keyword)

    return edit


def put(**values: object) -> Callable[[Dataset, int], None]:
    def edit(dataset: Dataset, _: int) -> None:
        for keyword, value in values.items():
            setattr(dataset, keyword, value)

    return edit


def compressed(syntax: str) -> Callable[[Dataset, int], None]:
    def edit(dataset: Dataset, _: int) -> None:
        dataset.compress(syntax, generate_instance_uid=False)

    return edit


def encoded(syntax: str) -> Callable[[Dataset, int], None]:
    def edit(dataset: Dataset, _: int) -> None:
        dataset.file_meta.TransferSyntaxUID = syntax

    return edit


def big_endian(dataset: Dataset, _: int) -> None:
    dataset.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    dataset.PixelData = np.frombuffer(dataset.PixelData, "<i2").astype(">i2").tobytes()
    dataset["PixelData"].VR = "OW"


def mixed_syntaxes(dataset: Dataset, k: int) -> None:
    if k % 2:
        dataset.compress(RLELossless, generate_instance_uid=False)


RIGHT: dict[str, tuple[Phantom, Callable[[Dataset, int], None] | None]] = {
    "oblique": (SMALL, None),
    "axial": (replace(AXIAL, shape=(6, 34, 40)), None),
    "sagittal": (replace(SMALL, row=(0, 1, 0), column=(0, 0, -1)), None),
    "coronal, feet first": (replace(SMALL, row=(-1, 0, 0), column=(0, 0, -1)), None),
    "one row": (replace(SMALL, shape=(6, 1, 40)), None),
    "numbers scrambled": (SMALL, lambda dataset, k: setattr(dataset, "InstanceNumber", (k * 5) % 6)),
    "unsigned": (SMALL, unsigned),
    "rescale slope of each slice": (SMALL, slope_of_its_own),
    "twelve bits with an overlay in the sixteenth": (SMALL, twelve_bits_and_overlay),
    "orientation jitter of 2e-4": (SMALL, orientation_jitter),
    "position jitter of 0.01 mm": (SMALL, position_jitter),
    "MONOCHROME1": (SMALL, put(PhotometricInterpretation="MONOCHROME1")),
    "no frame of reference": (SMALL, drop("FrameOfReferenceUID")),
    "no series UID": (SMALL, drop("SeriesInstanceUID")),
    "no patient": (SMALL, drop("PatientID", "PatientName", "PatientBirthDate", "PatientSex")),
    "no slice thickness": (SMALL, drop("SliceThickness")),
    "implicit": (SMALL, encoded(ImplicitVRLittleEndian)),
    "deflated": (SMALL, encoded(DeflatedExplicitVRLittleEndian)),
    "big endian": (SMALL, big_endian),
    "RLE": (SMALL, compressed(RLELossless)),
    "JPEG-LS": (SMALL, compressed(JPEGLSLossless)),
    "JPEG 2000": (SMALL, compressed(JPEG2000Lossless)),
    "mixed transfer syntaxes": (SMALL, mixed_syntaxes),
    "Japanese name": (SMALL, put(SpecificCharacterSet=["", "ISO 2022 IR 87"], PatientName="Yamada^Tarou=山田^太郎")),
    "unknown character set": (SMALL, put(SpecificCharacterSet="ISO_IR 999")),
    "gantry tilt of 15 degrees": (TILTED, None),
}


@pytest.mark.parametrize("case", RIGHT)
def test_is_read_right(case: str, tmp_path: Path) -> None:
    phantom, edit = RIGHT[case]
    write_series(tmp_path, phantom, edit)
    volume = read_volume(tmp_path)
    assert is_true(volume, tolerance=0.75 if "jitter" in case or "slope" in case else 0.51)
    np.testing.assert_allclose(volume.affine, phantom.affine, atol=2e-2 if "jitter" in case else 1e-6)
    assert len(volume.headers) == phantom.shape[0]
    assert all("PixelData" not in header for header in volume.headers)
    assert ("tilt" in " ".join(volume.warnings)) == ("tilt" in case)


@pytest.mark.parametrize("turns", range(8))
def test_slices_are_sorted_along_the_normal_whatever_the_flips(turns: int, tmp_path: Path) -> None:
    phantom = flipped(SMALL, k=bool(turns & 4), j=bool(turns & 2), i=bool(turns & 1))
    write_series(tmp_path, phantom)
    volume = read_volume(tmp_path)
    assert is_true(volume)
    assert np.linalg.det(volume.affine[:3, [2, 1, 0]]) > 0


def test_names_and_numbers_do_not_matter(tmp_path: Path) -> None:
    paths = write_series(tmp_path / "in", SMALL)
    names = [f"{n:02d}" for n in range(len(paths))]
    random.Random(3).shuffle(names)
    for path, name in zip(paths, names, strict=True):
        (tmp_path / name[0]).mkdir(exist_ok=True)
        path.rename(tmp_path / name[0] / name)
    assert is_true(read_volume(tmp_path))


def test_whole_values_stay_int16_and_fractions_become_float32(tmp_path: Path) -> None:
    write_series(tmp_path / "whole", SMALL, unsigned)
    write_series(tmp_path / "fractions", SMALL, slope_of_its_own)
    assert read_volume(tmp_path / "whole").array.dtype == np.int16
    assert read_volume(tmp_path / "fractions").array.dtype == np.float32


def test_a_volume_of_whole_values_beyond_int16_is_float32(tmp_path: Path) -> None:
    def beyond(dataset: Dataset, k: int) -> None:
        if k == 3:
            dataset.PixelRepresentation, dataset.PixelData = 0, np.full(34 * 40, 60000, np.uint16).tobytes()

    write_series(tmp_path, SMALL, beyond)
    volume = read_volume(tmp_path)
    assert volume.array.dtype == np.float32
    assert (volume.array[3] == 60000).all()
    np.testing.assert_array_equal(volume.array[2], SMALL.array[2])


@pytest.mark.parametrize("syntax", ["lossless", "lossless multi-frame"])
def test_lossless_jpeg_is_decoded_without_a_gpl_plugin(syntax: str, tmp_path: Path, monkeypatch) -> None:
    import SimpleITK
    from pydicom.pixels.decoders import JPEGLosslessSV1Decoder

    for plugin in JPEGLosslessSV1Decoder.available_plugins:
        monkeypatch.delitem(JPEGLosslessSV1Decoder._available, plugin)
    if "multi" in syntax:
        write_enhanced(tmp_path / "all.dcm", SMALL)
        paths = [tmp_path / "all.dcm"]
    else:
        paths = write_series(tmp_path, SMALL, unsigned)
    for path in paths:
        dataset = dcmread(path)
        frames = dataset.pixel_array.reshape(-1, *SMALL.shape[1:])
        _compress_lossless_jpeg(dataset, frames, tmp_path, SimpleITK)
        dataset.save_as(path)
    assert is_true(read_volume(tmp_path))


def _compress_lossless_jpeg(dataset: Dataset, frames: np.ndarray, folder: Path, itk: object) -> None:
    """pydicom has no encoder for lossless JPEG, so GDCM makes the streams."""
    from pydicom.encaps import encapsulate, generate_frames

    streams = []
    for frame in frames:
        writer = itk.ImageFileWriter()
        writer.SetImageIO("GDCMImageIO")
        writer.UseCompressionOn()
        writer.SetCompressor("JPEG")
        writer.SetFileName(str(folder / "stream.tmp"))
        writer.Execute(itk.GetImageFromArray(frame[None]))
        stream = dcmread(folder / "stream.tmp")
        assert stream.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.4.70"
        streams += list(generate_frames(stream.PixelData, number_of_frames=1))
        (folder / "stream.tmp").unlink()
    dataset.PixelData = encapsulate(streams)
    dataset["PixelData"].VR = "OB"
    dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.70"


def test_files_without_preamble_and_meta_are_read(tmp_path: Path) -> None:
    for path in write_series(tmp_path, SMALL, encoded(ImplicitVRLittleEndian)):
        dataset = dcmread(path)
        del dataset.file_meta, dataset.preamble
        dataset.save_as(path, implicit_vr=True, little_endian=True, enforce_file_format=False)
        assert path.read_bytes()[128:132] != b"DICM"
    assert is_true(read_volume(tmp_path))


@pytest.mark.parametrize("sop_class", [None, ENHANCED_MR_IMAGE])
def test_enhanced_multi_frame(sop_class: str | None, tmp_path: Path) -> None:
    write_enhanced(tmp_path / "enhanced.dcm", SMALL, **({"sop_class": sop_class} if sop_class else {}))
    volume = read_volume(tmp_path / "enhanced.dcm")
    assert is_true(volume)
    assert volume.modality == ("MR" if sop_class else "CT")
    # Frames were written in reversed order; each header says which one it describes.
    assert [header.ReferencedFrameNumber for header in volume.headers] == [6, 5, 4, 3, 2, 1]


def test_legacy_converted_enhanced_ct(tmp_path: Path) -> None:
    from highdicom.legacy import LegacyConvertedEnhancedCTImage

    sources = [dcmread(path) for path in write_series(tmp_path / "in", SMALL)]
    for source in sources:
        source.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    converted = LegacyConvertedEnhancedCTImage(sources, generate_uid(), 8, generate_uid(), 1)
    converted.save_as(tmp_path / "legacy.dcm", enforce_file_format=True)
    assert is_true(read_volume(tmp_path / "legacy.dcm"))


def test_enhanced_phases_are_told_apart(tmp_path: Path) -> None:
    write_enhanced(tmp_path / "phases.dcm", SMALL, times=3)
    with pytest.raises(ReadError, match=r"3 series, choose one by --series.*TemporalPositionIndex 2"):
        read_volume(tmp_path / "phases.dcm")
    names = [info.name for info in list_series(tmp_path / "phases.dcm")]
    second = read_volume(tmp_path / "phases.dcm", series=names[1])
    np.testing.assert_array_equal(second.array, SMALL.array + 100)


@pytest.mark.parametrize("keyword", ["EchoTime", "AcquisitionNumber", "TemporalPositionIdentifier", "DiffusionBValue"])
def test_stacks_that_share_positions_in_one_series_are_told_apart(keyword: str, tmp_path: Path) -> None:
    series = generate_uid()

    def of_stack(value: int) -> Callable[[Dataset, int], None]:
        def edit(dataset: Dataset, k: int) -> None:
            dataset.SeriesInstanceUID, dataset.AcquisitionTime = series, f"1010{value}{k}"
            setattr(dataset, keyword, value)
            dataset.RescaleIntercept = 1000 * value

        return edit

    for value in (1, 2):
        write_series(tmp_path, SMALL, of_stack(value), prefix=f"{value}-")
    with pytest.raises(ReadError, match=f"2 series, choose one by --series.*{keyword} 2") as caught:
        read_volume(tmp_path)
    assert "\n" not in str(caught.value)
    for value in (1, 2):
        np.testing.assert_array_equal(
            read_volume(tmp_path, series=f"{series}#{value}").array, SMALL.array + 1000 * value
        )


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
    report.save_as(tmp_path / "report.dcm")
    volume = read_volume(tmp_path)
    assert is_true(volume)
    assert len(volume.warnings) == 1
    assert "empty.dcm is not DICOM but an empty file" in volume.warnings[0]


def missing(folder: Path) -> None:
    write_series(folder, AXIAL)[5].unlink()


def two_missing(folder: Path) -> None:
    paths = write_series(folder, AXIAL)
    paths[5].unlink()
    paths[6].unlink()


def truncated(folder: Path) -> None:
    path = write_series(folder, SMALL)[2]
    path.write_bytes(path.read_bytes()[:-100])


def truncated_rle(folder: Path) -> None:
    path = write_series(folder, SMALL, compressed(RLELossless))[2]
    path.write_bytes(path.read_bytes()[:-60])


def truncated_jpeg_2000(folder: Path) -> None:
    path = write_series(folder, AXIAL, compressed(JPEG2000Lossless))[2]
    path.write_bytes(path.read_bytes()[:-400])


def cut_header(folder: Path) -> None:
    path = write_series(folder, SMALL)[2]
    path.write_bytes(path.read_bytes()[:700])


def spacing_changes(folder: Path) -> None:
    def edit(dataset: Dataset, k: int) -> None:
        dataset.ImagePositionPatient = [0, 0, 2 * k if k < 4 else 6 + 4 * (k - 3)]

    write_series(folder, replace(AXIAL, shape=(8, 34, 40)), edit)


def mixed_orientation(folder: Path) -> None:
    series = generate_uid()
    write_series(folder, SMALL, put(SeriesInstanceUID=series))
    write_series(folder, replace(SMALL, row=(1, 0, 0), column=(0, 1, 0)), put(SeriesInstanceUID=series), prefix="other")


def decimal_comma(folder: Path) -> None:
    for path in write_series(folder, SMALL, put(PixelSpacing=[1.5, 0.75])):
        path.write_bytes(path.read_bytes().replace(b"1.5\\0.75", b"1,5\\0,75"))


def two_series(folder: Path) -> None:
    write_series(folder, SMALL, put(SeriesInstanceUID="1.2.3"))
    write_series(folder, SMALL, put(SeriesInstanceUID="1.2.4"), prefix="z")


def colour(folder: Path) -> None:
    def edit(dataset: Dataset, _: int) -> None:
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PlanarConfiguration = 3, "RGB", 0
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 8, 8, 7, 0
        dataset.PixelData = bytes(3 * 34 * 40)

    write_series(folder, SMALL, edit)


def multi_frame_without_places(folder: Path) -> None:
    def edit(dataset: Dataset, _: int) -> None:
        dataset.NumberOfFrames, dataset.PixelData = 4, dataset.PixelData * 4

    write_series(folder, replace(SMALL, shape=(1, 34, 40)), edit)


def renamed_jpeg(folder: Path) -> None:
    (folder / "picture.dcm").write_bytes(b"\xff\xd8\xff\xe0" + bytes(400))


def lying_size(folder: Path) -> None:
    write_series(folder, SMALL, put(Rows=60000, Columns=60000))


REFUSED: dict[str, tuple[Callable[[Path], object], type[EdgeFlowError], str]] = {
    "empty folder": (lambda _: None, ReadError, r"No DICOM image among 0 file\(s\)"),
    "a JPEG renamed": (renamed_jpeg, ReadError, "No DICOM image.*picture.dcm is not DICOM but a JPEG picture"),
    "a missing slice": (
        missing,
        GeometryError,
        r"A slice is missing after position \(-20.50, -31.25, 22.75\) mm: 5 mm",
    ),
    "two missing slices": (two_missing, GeometryError, "2 slices are missing after position .*slice004.*slice007"),
    "truncated pixels": (truncated, ReadError, "slice002.dcm"),
    "truncated RLE": (truncated_rle, ReadError, "slice002.dcm"),
    "truncated JPEG 2000": (truncated_jpeg_2000, ReadError, "slice002.dcm"),
    "cut header": (cut_header, GeometryError, "slice is missing after.*slice001.dcm to slice003.dcm"),
    "spacing 2 then 4 mm": (spacing_changes, GeometryError, "not evenly spaced: gaps from 2 to 4 mm"),
    "mixed orientation": (mixed_orientation, ReadError, "2 series, choose one by --series.*orientation 1/0/0"),
    "no position": (
        lambda folder: write_series(folder, SMALL, drop("ImagePositionPatient")),
        GeometryError,
        "has no ImagePositionPatient",
    ),
    "no orientation": (
        lambda folder: write_series(folder, SMALL, drop("ImageOrientationPatient")),
        GeometryError,
        "has no ImageOrientationPatient",
    ),
    "no pixel spacing": (
        lambda folder: write_series(folder, SMALL, drop("PixelSpacing")),
        GeometryError,
        "has no PixelSpacing",
    ),
    "a decimal comma": (decimal_comma, GeometryError, "PixelSpacing is not made of decimal numbers"),
    "two series": (two_series, ReadError, r"2 series, choose one by --series: 1\.2\.3 \(CT 6 slices\); 1\.2\.4"),
    "colour": (colour, ReadError, "colour pictures"),
    "frames without a place": (multi_frame_without_places, ReadError, "4 frames"),
    "a Siemens mosaic": (
        lambda folder: write_series(folder, SMALL, put(ImageType=["ORIGINAL", "PRIMARY", "M", "MOSAIC"])),
        ReadError,
        "mosaic",
    ),
    "a size that lies": (lying_size, ReadError, "voxels, more than|truncated"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_is_refused_with_the_reason_in_one_line(case: str, tmp_path: Path) -> None:
    make, kind, reason = REFUSED[case]
    make(tmp_path)
    with pytest.raises(kind, match=reason) as caught:
        read_volume(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("case", [case for case, (_, kind, _) in REFUSED.items() if kind is GeometryError])
def test_the_list_of_series_tells_the_same_error(case: str, tmp_path: Path) -> None:
    make, _, reason = REFUSED[case]
    make(tmp_path)
    (info,) = list_series(tmp_path)
    with pytest.raises(GeometryError, match=reason) as caught:
        read_volume(tmp_path)
    assert info.error == str(caught.value)


def test_a_missing_path_is_named() -> None:
    with pytest.raises(ReadError, match="no/such/place does not exist"):
        read_volume(Path("no/such/place"))


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


def test_the_headers_say_the_modality(tmp_path: Path) -> None:
    write_series(tmp_path, SMALL)
    assert read_volume(tmp_path).modality == "CT"
    with pytest.raises(UsageError, match="says that it is CT, but modality MR was given"):
        read_volume(tmp_path, modality="MR")


def test_a_modality_is_taken_where_the_headers_do_not_say(tmp_path: Path) -> None:
    write_series(tmp_path, SMALL, put(Modality="OT"))
    assert read_volume(tmp_path, modality="CT").modality == "CT"


def test_one_slice_has_the_thickness_of_its_header_or_a_warning(tmp_path: Path) -> None:
    paths = write_series(tmp_path / "with", SMALL)
    volume = read_volume(paths[0])
    assert volume.spacing == pytest.approx((2.5, 1.5, 0.75))
    assert volume.warnings == ()
    paths = write_series(tmp_path / "without", SMALL, drop("SliceThickness"))
    assert "unknown thickness" in read_volume(paths[0]).warnings[0]


def test_a_list_of_files_is_read(tmp_path: Path) -> None:
    paths = write_series(tmp_path, SMALL)
    volume = read_volume(paths[1:4])
    assert is_true(volume)
    assert volume.shape == (3, 34, 40)


def test_private_attributes_and_the_patients_name_stay_out(tmp_path: Path) -> None:
    def private(dataset: Dataset, _: int) -> None:
        dataset.private_block(0x0029, "ACME", create=True).add_new(1, "LO", "secret")

    write_series(tmp_path, SMALL, private)
    volume = read_volume(tmp_path)
    assert not any(element.tag.is_private for element in volume.headers[0])
    assert volume.name == "Oblique phantom"
    assert "Phantom^" not in repr(volume)


@pytest.mark.parametrize("slope", [0, None])
def test_a_rescale_that_says_nothing_is_read_as_one_and_told(slope: int | None, tmp_path: Path) -> None:
    write_series(tmp_path, SMALL, drop("RescaleSlope") if slope is None else put(RescaleSlope=slope))
    volume = read_volume(tmp_path)
    assert is_true(volume)
    assert "slope" in " ".join(volume.warnings)


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
