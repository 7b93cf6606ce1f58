"""Reading in a child process: the same answers, the same errors, and no file that takes the parent with it."""

from __future__ import annotations

import gzip
import os
import struct
import zlib
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
from pydicom import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian

from edgeflow_med.errors import GeometryError, ReadError, UsageError
from edgeflow_med.io import child, list_series, read_segmentation, read_volume, save
from tests.io import here
from tests.phantoms import Phantom, ellipsoid, one_segment, write_enhanced, write_series

# What the phantoms do wrong on purpose, pydicom says while it writes them.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
resource = pytest.importorskip("resource", reason="Windows has no limit on a child's memory")
PHANTOM = Phantom(shape=(6, 34, 40))


@pytest.mark.parametrize("kind", ["series", "enhanced", "NIfTI"])
def test_the_child_gives_what_the_reader_gives(kind: str, tmp_path: Path) -> None:
    if kind == "series":
        write_series(tmp_path, PHANTOM, lambda dataset, _: setattr(dataset, "PatientName", "Müller^J"))
    elif kind == "enhanced":
        write_enhanced(tmp_path / "all.dcm", PHANTOM)
    path = tmp_path
    if kind == "NIfTI":
        path = tmp_path / "image.nii.gz"
        nibabel.save(nibabel.Nifti1Image(np.arange(60, dtype=np.float32).reshape(3, 4, 5), None), path)
    one, other = here.read_volume(path), read_volume(path)
    np.testing.assert_array_equal(one.array, other.array)
    assert one.array.dtype == other.array.dtype
    np.testing.assert_array_equal(one.affine, other.affine)
    assert (one.name, one.modality, one.warnings) == (other.name, other.modality, other.warnings)
    assert [header.to_json() for header in one.headers] == [header.to_json() for header in other.headers]
    assert here.list_series(path) == list_series(path)


def test_headers_that_break_the_rules_pass_unchanged(tmp_path: Path) -> None:
    """Attributes that nobody needs may hold anything; they are not a reason to refuse a series."""

    def edit(dataset: Dataset, _: int) -> None:
        dataset.SpecificCharacterSet, dataset.WindowCenter, dataset.StudyID = "ISO_IR 999", "7.5", "M\xfcller"
        dataset.WindowWidth, dataset.StudyDate, dataset.InstanceNumber = "9.5", "yesterday", None

    for path in write_series(tmp_path, PHANTOM, edit):
        path.write_bytes(path.read_bytes().replace(b"7.5 ", b"7,5 ").replace(b"9.5 ", b"wide"))
    one, other = here.read_volume(tmp_path), read_volume(tmp_path)
    assert [list(header.keys()) for header in one.headers] == [list(header.keys()) for header in other.headers]
    assert bytes(other.headers[0].get_item("WindowCenter").value) == b"7,5 "
    save(one_segment(other, ellipsoid(PHANTOM)), tmp_path / "lesion.dcm")


@pytest.mark.parametrize("suffix", [".dcm", ".seg.nrrd"])
def test_segmentations_too(suffix: str, tmp_path: Path) -> None:
    write_series(tmp_path / "in", PHANTOM)
    volume, path = here.read_volume(tmp_path / "in"), tmp_path / f"lesion{suffix}"
    save(one_segment(volume, ellipsoid(PHANTOM)), path)
    one, other = here.read_segmentation(path, volume), read_segmentation(path, volume)
    assert one.segments == other.segments
    np.testing.assert_array_equal(one.masks, other.masks)
    with pytest.raises(GeometryError, match="lies on another grid"):
        read_segmentation(path, replace(volume, affine=volume.affine + 0.5 * np.eye(4)[3] * np.eye(4)[:, :1]))
    if suffix == ".dcm":
        write_series(tmp_path / "other", PHANTOM)
        with pytest.raises(GeometryError, match="another frame of reference"):
            read_segmentation(path, here.read_volume(tmp_path / "other"))


def test_errors_keep_their_kind_and_their_one_line(tmp_path: Path) -> None:
    write_series(tmp_path, PHANTOM)[2].unlink()
    with pytest.raises(GeometryError, match="A slice is missing after") as caught:
        read_volume(tmp_path)
    assert "\n" not in str(caught.value)
    write_series(tmp_path, PHANTOM)
    with pytest.raises(UsageError, match="modality MR was given"):
        read_volume(tmp_path / "slice000.dcm", modality="MR")
    with pytest.raises(ReadError, match="none does not exist"):
        read_volume(tmp_path / "none")
    with pytest.raises(ReadError, match="No input was given"):
        read_volume([])


def test_a_child_that_dies_is_a_read_error(tmp_path: Path, monkeypatch) -> None:
    write_series(tmp_path, PHANTOM)
    monkeypatch.setattr(child, "_PROGRAM", "import os; os.abort()")
    with pytest.raises(ReadError, match="crashed its reader"):
        read_volume(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs a file that never ends")
def test_a_child_that_hangs_is_ended(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(child, "BASE_SECONDS", 1.0)
    os.mkfifo(tmp_path / "endless.dcm")
    with pytest.raises(ReadError, match=r"endless\.dcm took longer than 1 s"):
        read_volume(tmp_path / "endless.dcm")


def deflate_bomb(path: Path) -> None:
    """A few MB of DICOM that unfold to 2 GB."""
    (whole,) = write_series(path.parent / "in", replace(PHANTOM, shape=(1, 34, 40)))
    from pydicom import dcmread

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
    path.write_bytes(raw[:start] + packed + 120 * zeros + packer.flush())


def gzip_bomb(path: Path) -> None:
    """A few MB of NIfTI that unfold to 2 GB."""
    header = nibabel.Nifti1Header()
    header.set_data_dtype(np.int16)
    header.set_data_shape((1024, 1024, 1024))
    header["vox_offset"], header["magic"] = 352, b"n+1"
    path.write_bytes(gzip.compress(header.binaryblock + bytes(4)) + 128 * gzip.compress(bytes(2**24)))


def nested_sequences(path: Path) -> None:
    """Sequences in sequences, 20,000 deep: the end of a process that reads them recursively."""
    (whole,) = write_series(path.parent / "in", replace(PHANTOM, shape=(1, 34, 40)))
    opening = struct.pack("<HH2sHI", 0x0008, 0x1140, b"SQ", 0, 0xFFFFFFFF) + struct.pack(
        "<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF
    )
    raw = whole.read_bytes()
    place = raw.index(struct.pack("<HH", 0x0010, 0x0010))
    path.write_bytes(raw[:place] + opening * 20_000)


@pytest.mark.parametrize(
    ("bomb", "name"),
    [(deflate_bomb, "bomb.dcm"), (nested_sequences, "nested.dcm"), (gzip_bomb, "bomb.nii.gz")],
)
def test_bombs_are_refused_within_the_childs_memory(bomb, name: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(child, "BASE_MEMORY", 2**30)
    bomb(tmp_path / name)
    with pytest.raises(ReadError, match=name) as caught:
        read_volume(tmp_path / name)
    assert "\n" not in str(caught.value)
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss < 1.1 * 2**20  # KB
