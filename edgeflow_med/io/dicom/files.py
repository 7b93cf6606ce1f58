"""DICOM files wherever they lie: alone, in folders, in a zip archive, or listed by a DICOMDIR.

Archives are read in place and never unpacked, so no member's name can lead outside and no image is left on the disk.
"""

from __future__ import annotations

import hashlib
import io
import os
import warnings
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import pydicom
from pydicom import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from edgeflow_med.errors import ReadError
from edgeflow_med.io.limits import MAX_UNFOLDING
from edgeflow_med.io.wording import one_line

Source = Path | zipfile.Path
MAX_MEMBER = 4 * 2**30  # bytes of one file in an archive
MAX_UNFOLDED = 2**30  # bytes of one deflated DICOM file
_PIECE = 2**20
_RESCALE = ("RescaleSlope", "RescaleIntercept", "PerFrameFunctionalGroupsSequence")
_ENCRYPTED = 0x1  # general purpose bit 0 of a zip entry
_MAGIC = (
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"\x89PNG", "a PNG picture"),
    (b"GIF8", "a GIF picture"),
    (b"BM", "a BMP picture"),
    (b"%PDF", "a PDF document"),
    (b"PK\x03\x04", "a zip archive"),
    (b"\x1f\x8b", "a gzip file"),
    (b"NRRD", "an NRRD file"),
)


def files_under(paths: Iterable[Path]) -> Iterator[Source]:
    """All files behind paths: folders and zip archives are walked in the order of names, a DICOMDIR is followed.

    Raises:
        ReadError: A zip archive or a DICOMDIR that is broken.
    """
    for path in paths:
        if path.is_dir():
            for folder, folders, names in os.walk(path):
                folders.sort()
                yield from (Path(folder, name) for name in sorted(names))
        elif path.suffix.lower() == ".zip":
            yield from _members(path)
        elif path.name.upper() == "DICOMDIR":
            yield from _listed(path)
        else:
            yield path


def _members(path: Path) -> Iterator[zipfile.Path]:
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError) as error:
        raise ReadError(f"{path.name} is a broken zip archive ({one_line(error)}).") from None
    for info in sorted(archive.infolist(), key=lambda info: info.filename):
        if not info.is_dir():
            _check_member(path, info)
            yield zipfile.Path(archive, info.filename)


def _check_member(path: Path, info: zipfile.ZipInfo) -> None:
    """Refuse what no honest archive of images holds; nothing is unpacked, but a name that leads out is a warning sign.

    Raises:
        ReadError: A name that leads outside, encryption, or a size that cannot be.
    """
    if info.filename.startswith("/") or ".." in info.filename.split("/") or set(info.filename) & set("\\:\0"):
        raise ReadError(f"{path.name} names the file {info.filename!r}, which is outside it; the archive is not read.")
    if info.flag_bits & _ENCRYPTED:
        raise ReadError(f"{path.name} is encrypted; unpack it and give the folder.")
    if info.file_size > MAX_MEMBER or (
        info.compress_type == zipfile.ZIP_DEFLATED and info.file_size > MAX_UNFOLDING * max(1, info.compress_size)
    ):
        raise ReadError(f"{path.name} claims that {info.filename} has {info.file_size} bytes; it is made to do harm.")


def _listed(path: Path) -> Iterator[Path]:
    """The files that a DICOMDIR names, which must lie in its own folder."""
    for record in read_dataset(path).get("DirectoryRecordSequence") or []:
        parts = record.get("ReferencedFileID")
        if parts:
            parts = [parts] if isinstance(parts, str) else list(parts)
            if any(part in ("", ".", "..") or set(part) & set("/\\:") for part in parts):
                raise ReadError(
                    f"{path.name} names the file {'/'.join(parts)}, which is outside its folder; it is not followed."
                )
            yield path.parent.joinpath(*parts)


def read_dataset(path: Source, **options: object) -> Dataset:
    """Read a DICOM file, with or without its preamble and file meta information.

    Raises:
        ReadError: It is not DICOM, or broken.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # foreign files bend many small rules; what matters is checked by us
            try:
                return _read(path, **options)
            except InvalidDicomError:
                if not _starts_like_a_dataset(path):
                    raise ReadError(
                        f"{path.name} is not DICOM but {_kind(path)}; give DICOM, NIfTI, NRRD or MHA."
                    ) from None
                dataset = _read(path, force=True, **options)
                if "TransferSyntaxUID" not in dataset.file_meta:
                    implicit = dataset.original_encoding[0]
                    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
                return dataset
    except (ReadError, MemoryError):
        raise
    except OSError as error:
        raise ReadError(f"Cannot read {path.name}: {error.strerror or error}.") from None
    except Exception as error:  # noqa: BLE001 - pydicom raises whatever a broken file leads it into
        raise ReadError(f"{path.name} is broken DICOM ({type(error).__name__}: {one_line(error)}).") from None


def _read(path: Source, **options: object) -> Dataset:
    _check_unfolding(path)
    with path.open("rb") as file:
        # A member of an archive cannot be read backwards but from its beginning, so it is taken whole.
        stream = file if isinstance(path, Path) else io.BytesIO(file.read())
        return pydicom.dcmread(stream, **options)  # type: ignore[arg-type]


def image_digest(path: Source) -> bytes:
    """A checksum of the pixels of a file and of how they are rescaled, the same for copies; nothing is decoded."""
    try:
        dataset = read_dataset(path)
    except ReadError:
        return hashlib.sha256(path.read_bytes()).digest()  # whoever reads it says what is wrong
    digest = hashlib.sha256(str(dataset.file_meta.get("TransferSyntaxUID")).encode())
    for keyword in _RESCALE:
        digest.update(f"{keyword} {dataset.get(keyword)}".encode("utf-8", "replace"))
    digest.update(dataset.get("PixelData") or b"")
    return digest.digest()


def _check_unfolding(path: Source) -> None:
    """Refuse a deflated file that is too large once unfolded, in little time and no memory; pydicom takes it whole."""
    with path.open("rb") as file:
        head = file.read(144)
        meta = file.read(int.from_bytes(head[140:144], "little") & 0xFFFF) if head[128:132] == b"DICM" else b""
        if DeflatedExplicitVRLittleEndian.encode() not in meta:
            return
        inflater, unfolded = zlib.decompressobj(-zlib.MAX_WBITS), 0
        while piece := inflater.unconsumed_tail or file.read(_PIECE):
            unfolded += len(inflater.decompress(piece, _PIECE))
            if unfolded > MAX_UNFOLDED:
                raise ReadError(f"{path.name} unfolds to more than {MAX_UNFOLDED} bytes; it is made to do harm.")
            if inflater.eof:
                return


def claims_to_be_dicom(path: Source) -> bool:
    """Whether a file that could not be read should be one: by its name, its preamble, or for being missing."""
    return path.suffix.lower() in (".dcm", ".dicom", ".ima") or not path.exists() or _head(path)[128:132] == b"DICM"


def _starts_like_a_dataset(path: Source) -> bool:
    """Whether a file without preamble begins with an element of group 0002 or 0008, as DICOM sets do."""
    head = _head(path)
    return len(head) > 8 and head[:2] in (b"\x02\x00", b"\x08\x00") and head[3:4] == b"\x00"


def _head(path: Source) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(132)
    except OSError:
        return b""


def _kind(path: Source) -> str:
    head = _head(path)
    if not head:
        return "an empty file"
    return next((kind for magic, kind in _MAGIC if head.startswith(magic)), "something else")
