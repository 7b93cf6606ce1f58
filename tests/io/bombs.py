"""Files made to do harm: small ones that unfold to gigabytes, lie about their size, or end a careless reader."""

from __future__ import annotations

import gzip
import json
import struct
import tempfile
import time
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import SimpleITK
from pydicom import Dataset, dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import DeflatedExplicitVRLittleEndian, RLELossless

from edgeflow_med.errors import EdgeFlowError
from edgeflow_med.io import read_segmentation, read_volume, save
from edgeflow_med.prompts import read_prompts
from tests.io import here
from tests.io.edits import compress_lossless_jpeg, put
from tests.phantoms import Phantom, ellipsoid, one_segment, write_series

PHANTOM = Phantom(shape=(6, 34, 40))
ONE = replace(PHANTOM, shape=(1, 34, 40))
GIGABYTES = 2


def deflated_zeros(path: Path) -> None:
    """A few MB of DICOM that unfold to 2 GB."""
    (whole,) = write_series(path.parent / "in", ONE)
    dataset = dcmread(whole)
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    dataset.PixelData = b""
    dataset.save_as(path)
    raw = path.read_bytes()
    start = 132 + 12 + dcmread(path).file_meta.FileMetaInformationGroupLength
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    head = zlib.decompressobj(-15).decompress(raw[start:])[:-12]
    packed = packer.compress(head + struct.pack("<HH2sHI", 0x7FE0, 0x10, b"OW", 0, 0x78000000)) + packer.flush(
        zlib.Z_FULL_FLUSH
    )
    zeros = packer.compress(bytes(2**24)) + packer.flush(zlib.Z_FULL_FLUSH)  # may be repeated after a full flush
    path.write_bytes(raw[:start] + packed + 64 * GIGABYTES * zeros + packer.flush())


def gzipped_zeros(path: Path) -> None:
    """A few MB of NIfTI that unfold to 2 GB, as its header says."""
    header = nibabel.Nifti1Header()
    header.set_data_dtype(np.int16)
    header.set_data_shape((1024, 1024, 512 * GIGABYTES))
    header["vox_offset"], header["magic"] = 352, b"n+1"
    path.write_bytes(gzip.compress(header.binaryblock + bytes(4)) + 64 * GIGABYTES * gzip.compress(bytes(2**24)))


def gzipped_nrrd(path: Path) -> None:
    """The same as NRRD."""
    sizes = f"1024 1024 {512 * GIGABYTES}"
    header = f"NRRD0004\ntype: short\ndimension: 3\nsizes: {sizes}\nencoding: gzip\nendian: little\n\n"
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    packed = packer.compress(b"") + packer.flush(zlib.Z_FULL_FLUSH)
    zeros = packer.compress(bytes(2**24)) + packer.flush(zlib.Z_FULL_FLUSH)
    path.write_bytes(header.encode() + packed + 64 * GIGABYTES * zeros + packer.flush())


def zipped_zeros(path: Path) -> None:
    """An archive of one member that unfolds to 2 GB."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = packer.compress(bytes(128) + b"DICM") + packer.flush(zlib.Z_FULL_FLUSH)
    zeros = packer.compress(bytes(2**24)) + packer.flush(zlib.Z_FULL_FLUSH)
    packed += 64 * GIGABYTES * zeros + packer.flush()
    # Version, flags, method 8 (deflate), time, date, checksum, sizes, lengths of the name and of extra fields.
    common = struct.pack("<HHHHHIIIHH", 20, 0, 8, 0, 0, 0, len(packed), 132 + GIGABYTES * 2**30, 9, 0)
    local = b"PK\x03\x04" + common + b"slice.dcm" + packed
    directory = b"PK\x01\x02" + struct.pack("<H", 20) + common + struct.pack("<HHHII", 0, 0, 0, 0, 0) + b"slice.dcm"
    end = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 1, 1, len(directory), len(local), 0)
    path.write_bytes(local + directory + end)


def nested_sequences(path: Path) -> None:
    """Sequences in sequences, 20,000 deep: the end of a process that reads them recursively."""
    (whole,) = write_series(path.parent / "in", ONE)
    opening = struct.pack("<HH2sHI", 0x0008, 0x1140, b"SQ", 0, 0xFFFFFFFF) + struct.pack(
        "<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF
    )
    raw = whole.read_bytes()
    place = raw.index(struct.pack("<HH", 0x0010, 0x0010))
    path.write_bytes(raw[:place] + opening * 20_000)


def huge_slice(path: Path) -> None:
    """A DICOM slice that claims 65,535 rows and columns."""
    write_series(path.parent / "in", ONE, put(Rows=65535, Columns=65535))[0].rename(path)


def many_frames(path: Path) -> None:
    """A DICOM file that claims two thousand million frames."""
    write_series(path.parent / "in", ONE, put(NumberOfFrames=2**31 - 1))[0].rename(path)


def huge_nifti(path: Path) -> None:
    """A NIfTI header that claims 30,000 voxels along each axis, and nothing behind it."""
    header = nibabel.Nifti1Header()
    header.set_data_shape((30000, 30000, 30000))
    header["vox_offset"], header["magic"] = 352, b"n+1"
    path.write_bytes(header.binaryblock + bytes(100))


def huge_image(path: Path) -> None:
    """An NRRD or MHA header that claims 30,000 voxels along each axis."""
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(np.zeros((3, 4, 5), np.int16)), str(path))
    path.write_bytes(path.read_bytes().replace(b"5 4 3\n", b"30000 30000 30000\n"))


def long_field(path: Path) -> None:
    """An NRRD field so long that the message about it overflows a buffer of ITK's."""
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(np.zeros((3, 4, 5), np.int16)), str(path))
    path.write_bytes(path.read_bytes().replace(b"sizes: 5 4 3", b"sizes: 5 4 " + b"9" * 5000))


def long_key(path: Path) -> None:
    """The same with the key of a value."""
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(np.zeros((3, 4, 5), np.int16)), str(path))
    path.write_bytes(path.read_bytes().replace(b"sizes: 5 4 3", b"sizes: 5 4 3\nSegment" + b"[" * 2000 + b"_Name:=x"))


def many_dimensions(path: Path) -> None:
    """A MetaImage of more dimensions than ITK's arrays hold."""
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(np.zeros((3, 4, 5), np.int16)), str(path))
    path.write_bytes(path.read_bytes().replace(b"NDims = 3", b"NDims = 99999999999999999999"))


def huge_matrix(path: Path) -> None:
    """A MetaImage whose axes are so long that ITK never ends to take them apart."""
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(np.zeros((3, 4, 5), np.int16)), str(path))
    path.write_bytes(path.read_bytes().replace(b"Matrix = 1 0 0 0 1 0 0 0 1", b"Matrix = 1 0 0 0 1 0 0 1e308 1"))


def panicking_rle(path: Path) -> None:
    """RLE that unfolds to more than its slice holds: the decoder, written in Rust, panics with a BaseException."""

    def edit(dataset: Dataset, _: int) -> None:
        segment = b"\x81\x00" * 1000  # runs of 128 zeros
        header = struct.pack("<16I", 2, 64, 64 + len(segment), *(0,) * 13)
        dataset.PixelData = encapsulate([header + segment + segment])
        dataset["PixelData"].VR = "OB"
        dataset.file_meta.TransferSyntaxUID = RLELossless

    write_series(path.parent / "in", ONE, edit)[0].rename(path)


def lying_jpeg(path: Path) -> None:
    """A lossless JPEG stream of 144 bits a pixel, which GDCM crashes on."""
    whole = write_series(path.parent / "in", ONE)[0]
    dataset = dcmread(whole)
    compress_lossless_jpeg(dataset, dataset.pixel_array[None], path.parent)
    dataset.save_as(path)
    path.write_bytes(path.read_bytes().replace(b"\xff\xc3\x00\x0b\x10", b"\xff\xc3\x00\x0b\x90"))


def lying_segmentation(path: Path) -> None:
    """A DICOM-SEG that claims a thousand million frames and 65,535 segments."""
    _save_segmentation(path)
    dataset = dcmread(path)
    dataset.NumberOfFrames = 10**9
    dataset.SegmentSequence = [dataset.SegmentSequence[0]] * 3000
    dataset.save_as(path)


def endless_contour(path: Path) -> None:
    """An RTSTRUCT whose contour leaves the volume by a million kilometres."""
    from tests.io.test_rtstruct import write_rtstruct

    write_rtstruct(path, PHANTOM.volume(), [(2, np.array([[-1e12, -1e12], [1e12, -1e12], [1e12, 1e12], [3, 4]]))])


def deep_json(path: Path) -> None:
    """A prompts file of brackets alone."""
    path.write_text('{"version": 1, "segments": ' + "[" * 200_000, "utf-8")


def long_number(path: Path) -> None:
    """A prompts file with a number of a million digits."""
    path.write_text(json.dumps({"version": 1, "segments": []}).replace("1", "9" * 1_000_000), "utf-8")


def _save_segmentation(path: Path) -> None:
    write_series(path.parent / "in", PHANTOM)
    save(one_segment(here.read_volume(path.parent / "in"), ellipsoid(PHANTOM)), path)


def _segmentation_on_the_phantom(path: Path) -> object:
    return read_segmentation(path, PHANTOM.volume())


_OF_MEMORY = "asks for more than .* of memory|took longer than"
# Name -> what makes it, what reads it, and what is said.
BOMBS: dict[str, tuple[Callable[[Path], None], Callable[[Path], Any], str]] = {
    "deflated-zeros.dcm": (deflated_zeros, read_volume, "deflated-zeros.dcm unfolds to more than"),
    "gzipped-zeros.nii.gz": (gzipped_zeros, read_volume, _OF_MEMORY),
    "gzipped-zeros.nrrd": (gzipped_nrrd, read_volume, "Cannot read gzipped-zeros"),
    "zipped-zeros.zip": (zipped_zeros, read_volume, _OF_MEMORY),
    "nested-sequences.dcm": (nested_sequences, read_volume, "nested-sequences.dcm is broken DICOM"),
    "huge-slice.dcm": (huge_slice, read_volume, "claims 1 x 65535 x 65535 voxels"),
    "many-frames.dcm": (many_frames, read_volume, "2147483647 frames that do not say where they lie"),
    "huge.nii": (huge_nifti, read_volume, "huge.nii claims 30000 x 30000 x 30000 voxels"),
    "huge.nrrd": (huge_image, read_volume, "huge.nrrd claims 30000 x 30000 x 30000 voxels"),
    "huge.mha": (huge_image, read_volume, "huge.mha claims 30000 x 30000 x 30000 voxels"),
    "long-field.nrrd": (long_field, read_volume, "long-field.nrrd has a header field of"),
    "long-key.nrrd": (long_key, read_volume, "long-key.nrrd has a header field of"),
    "many-dimensions.mha": (many_dimensions, read_volume, "many-dimensions.mha claims '9+' dimensions"),
    "huge-matrix.mha": (huge_matrix, read_volume, "huge-matrix.mha places its voxels by numbers beyond all measure"),
    "panicking-rle.dcm": (panicking_rle, read_volume, r"panicking-rle.dcm: the pixels cannot be decoded \(Panic"),
    "lying-jpeg.dcm": (lying_jpeg, read_volume, r"lying-jpeg.dcm: the pixels cannot be decoded .*144 bits"),
    "lying-segmentation.dcm": (lying_segmentation, _segmentation_on_the_phantom, "lying-segmentation.dcm"),
    "endless-contour.dcm": (endless_contour, _segmentation_on_the_phantom, "A contour of .* lies on no slice"),
    "deep.json": (deep_json, read_prompts, "deep.json is not JSON"),
    "long-number.json": (long_number, read_prompts, "long-number.json"),
}


def explode_all() -> dict[str, dict[str, Any]]:
    """What came of each, read as any user would: the error, and how long it took."""
    found: dict[str, dict[str, Any]] = {}
    for name, (make, read, _) in BOMBS.items():
        with tempfile.TemporaryDirectory(prefix="bomb") as folder:
            make(Path(folder, name))
            size, began = Path(folder, name).stat().st_size, time.perf_counter()
            try:
                read(Path(folder, name))
                outcome = "read"
            except EdgeFlowError as error:
                outcome = f"{type(error).__name__}: {error}".replace(folder, "")
            found[name] = {"bytes": size, "outcome": outcome, "seconds": round(time.perf_counter() - began, 2)}
    return found
