"""What cannot be one volume is refused, with the file, the attribute or the place named in one line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
    generate_uid,
)

from edgeflow_med.errors import EdgeFlowError, GeometryError, ReadError
from tests.io.edits import SMALL, compress_lossless_jpeg, compressed, drop, encoded, put, two_series
from tests.io.here import list_series, read_volume
from tests.phantoms import AXIAL, Edit, write_enhanced, write_series

# What the phantoms do wrong on purpose, pydicom says while it writes them.
pytestmark = pytest.mark.filterwarnings("ignore:Invalid value for VR", "ignore:Unknown encoding")


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


def truncated_as(edit: Edit) -> Callable[[Path], None]:
    """A slice whose file ends in the middle of its pixels."""

    def make(folder: Path) -> None:
        path = write_series(folder, AXIAL, edit)[2]
        whole = path.read_bytes()
        path.write_bytes(whole[: (len(whole) + whole.index(b"\xe0\x7f\x10\x00")) // 2])

    return make


def truncated_lossless_jpeg(folder: Path) -> None:
    truncated_as(lambda dataset, _: compress_lossless_jpeg(dataset, dataset.pixel_array[None], folder))(folder)


def truncated_deflated(folder: Path) -> None:
    path = write_series(folder, AXIAL, encoded(DeflatedExplicitVRLittleEndian))[2]
    path.write_bytes(path.read_bytes()[:-400])


def truncated_enhanced(folder: Path) -> None:
    write_enhanced(folder / "enhanced.dcm", AXIAL)
    path = folder / "enhanced.dcm"
    path.write_bytes(path.read_bytes()[:-1000])


def cut_header(folder: Path) -> None:
    path = write_series(folder, SMALL)[2]
    path.write_bytes(path.read_bytes()[:700])


def emptied(folder: Path) -> None:
    write_series(folder, SMALL)[2].write_bytes(b"")


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
    "truncated JPEG-LS": (truncated_as(compressed(JPEGLSLossless)), ReadError, "slice002.dcm"),
    "truncated lossless JPEG": (truncated_lossless_jpeg, ReadError, "slice002.dcm"),
    "truncated deflated": (truncated_deflated, GeometryError, "missing after.* Left out: slice002.dcm is broken"),
    "truncated enhanced": (truncated_enhanced, ReadError, "enhanced.dcm is truncated"),
    "cut header": (
        cut_header,
        GeometryError,
        "slice is missing after.*slice001.dcm to slice003.dcm.* Left out: slice002.dcm",
    ),
    "an empty file": (
        emptied,
        GeometryError,
        "slice is missing after.* Left out: slice002.dcm is not DICOM but an empty",
    ),
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
    "two series": (two_series, ReadError, r"2 series, choose one by --series: 1\.2\.3 \(CT, 6 slices\); 1\.2\.4"),
    "colour": (colour, ReadError, "colour pictures"),
    "frames without a place": (multi_frame_without_places, ReadError, "4 frames"),
    "a Siemens mosaic": (
        lambda folder: write_series(folder, SMALL, put(ImageType=["ORIGINAL", "PRIMARY", "M", "MOSAIC"])),
        ReadError,
        "mosaic",
    ),
    "twelve bits at the top of sixteen": (
        lambda folder: write_series(folder, SMALL, put(BitsStored=12)),
        ReadError,
        r"slice000\.dcm: High Bit 15 does not fit 12 Bits Stored",
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
