"""What hospitals really have: each odd series is read right, voxel by voxel.

Every voxel of the phantoms knows its position, so "right" means geometry, order and values at once.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
    generate_uid,
)

from edgeflow_med.errors import ReadError, UsageError
from tests.io.edits import (
    SMALL,
    big_endian,
    compress_lossless_jpeg,
    compressed,
    drop,
    encoded,
    put,
    slope_of_its_own,
    unsigned,
)
from tests.io.here import list_series, read_volume
from tests.phantoms import AXIAL, ENHANCED_MR_IMAGE, Phantom, flipped, is_true, write_enhanced, write_series

# What the phantoms do wrong on purpose, pydicom says while it writes them.
pytestmark = pytest.mark.filterwarnings("ignore:Invalid value for VR", "ignore:Unknown encoding")
TILTED = replace(AXIAL, shape=(6, 34, 40), step=(0.0, 2.5 * np.tan(np.radians(15)), 2.5))


def twelve_bits_and_overlay(dataset: Dataset, _: int) -> None:
    stored = (np.frombuffer(dataset.PixelData, np.int16) + 1024).astype(np.uint16)
    dataset.PixelData = (stored | 0x8000).tobytes()
    dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation, dataset.RescaleIntercept = 12, 11, 0, -1024


def modality_lut(dataset: Dataset, _: int) -> None:
    """Stored values are their places in a table of the true ones."""
    values = np.frombuffer(dataset.PixelData, np.int16)
    table, places = np.unique(values, return_inverse=True)
    item = Dataset()
    item.LUTDescriptor, item.ModalityLUTType = [len(table), 0, 16], "HU"
    item.LUTData = (table.astype(np.int32) + 1000).astype(np.uint16).tobytes()
    item["LUTDescriptor"].VR, item["LUTData"].VR = "US", "OW"
    dataset.ModalityLUTSequence = [item]
    del dataset.RescaleSlope, dataset.RescaleIntercept
    dataset.PixelRepresentation, dataset.PixelData = 0, places.astype(np.uint16).tobytes()


def private(dataset: Dataset, _: int) -> None:
    dataset.private_block(0x0029, "ACME", create=True).add_new(1, "LO", "secret")


def orientation_jitter(dataset: Dataset, k: int) -> None:
    dataset.ImageOrientationPatient = [v + 2e-4 * (-1) ** k for v in dataset.ImageOrientationPatient]


def position_jitter(dataset: Dataset, k: int) -> None:
    dataset.ImagePositionPatient = [v + 0.01 * (-1) ** k for v in dataset.ImagePositionPatient]


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
    "feet first, prone": (replace(SMALL, row=(1, 0, 0), column=(0, -1, 0)), put(PatientPosition="FFP")),
    "slices from head to feet": (flipped(AXIAL, k=True, j=False, i=False), None),
    "instance numbers missing": (SMALL, drop("InstanceNumber")),
    "instance UIDs all alike": (SMALL, put(SOPInstanceUID="1.2.3.4")),
    "instance UIDs missing": (SMALL, put(SOPInstanceUID="")),
    "UIDs that are no UIDs": (SMALL, put(StudyInstanceUID="anonymous", SeriesInstanceUID="X" * 64)),
    "no study UID": (SMALL, drop("StudyInstanceUID")),
    "acquisition times all different": (SMALL, lambda dataset, k: setattr(dataset, "AcquisitionTime", f"10111{k}")),
    "signed": (SMALL, None),
    "unsigned": (SMALL, unsigned),
    "a modality look-up table": (SMALL, modality_lut),
    "rescale slope of each slice": (SMALL, slope_of_its_own),
    "twelve bits with an overlay in the sixteenth": (SMALL, twelve_bits_and_overlay),
    "orientation jitter of 2e-4": (SMALL, orientation_jitter),
    "position jitter of 0.01 mm": (SMALL, position_jitter),
    "MONOCHROME1": (SMALL, put(PhotometricInterpretation="MONOCHROME1")),
    "no frame of reference": (SMALL, drop("FrameOfReferenceUID")),
    "no series UID": (SMALL, drop("SeriesInstanceUID")),
    "UTF-8 name": (SMALL, put(SpecificCharacterSet="ISO_IR 192", PatientName="Müller^Jörg=山田^太郎")),
    "private attributes": (SMALL, private),
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
    if case == "a modality look-up table":
        volume = replace(volume, array=volume.array - 1000)  # a table holds no negative values
    assert is_true(volume, tolerance=0.75 if "jitter" in case or "slope" in case else 0.51)
    if case != "slices from head to feet":
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
        compress_lossless_jpeg(dataset, frames, tmp_path)
        dataset.save_as(path)
    assert is_true(read_volume(tmp_path))


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
    with pytest.raises(ReadError, match=r"3 series, choose one by --series.*time point 2"):
        read_volume(tmp_path / "phases.dcm")
    names = [info.name for info in list_series(tmp_path / "phases.dcm")]
    second = read_volume(tmp_path / "phases.dcm", series=names[1])
    np.testing.assert_array_equal(second.array, SMALL.array + 100)


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
    write_series(tmp_path, SMALL, private)
    volume = read_volume(tmp_path)
    assert not any(element.tag.is_private for element in volume.headers[0])
    assert volume.name == "Oblique phantom"
    assert "Phantom^" not in repr(volume)


def test_losses_of_compression_are_told(tmp_path: Path) -> None:
    write_series(tmp_path, SMALL, put(LossyImageCompression="01"))
    assert "compressed with losses" in " ".join(read_volume(tmp_path).warnings)


def test_slices_without_a_slope_among_others_with_one_are_told(tmp_path: Path) -> None:
    def edit(dataset: Dataset, k: int) -> None:
        dataset.Modality = "MR"
        if k == 3:
            del dataset.RescaleSlope

    write_series(tmp_path, SMALL, edit)
    assert "Some slices have a rescale slope and others have none" in " ".join(read_volume(tmp_path).warnings)


def test_a_ct_without_an_intercept_is_told(tmp_path: Path) -> None:
    write_series(tmp_path, SMALL, drop("RescaleIntercept"))
    assert "may not be Hounsfield units" in " ".join(read_volume(tmp_path).warnings)


@pytest.mark.parametrize("slope", [0, None])
def test_a_rescale_that_says_nothing_is_read_as_one_and_told(slope: int | None, tmp_path: Path) -> None:
    write_series(tmp_path, SMALL, drop("RescaleSlope") if slope is None else put(RescaleSlope=slope))
    volume = read_volume(tmp_path)
    assert is_true(volume)
    assert "slope" in " ".join(volume.warnings)
