"""Small good files of every format, which fuzzing spoils. The patient's name in them must come out nowhere."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import SimpleITK
from pydicom import Dataset, dcmread
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from edgeflow_med.io import save
from edgeflow_med.io.nifti import affine_to_nifti
from edgeflow_med.segmentation import Segment, Segmentation
from edgeflow_med.volume import Volume
from tests.io.edits import big_endian, compress_lossless_jpeg
from tests.io.here import read_volume
from tests.io.test_rtstruct import write_rtstruct
from tests.phantoms import Phantom, ellipsoid, write_enhanced, write_series

CANARY = "Kanarienvogel"
PHANTOM = Phantom(shape=(3, 34, 40))
SYNTAXES = (
    ImplicitVRLittleEndian,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    RLELossless,
    JPEG2000Lossless,
    JPEGLSLossless,
)


def _named(dataset: Dataset, _: int) -> None:
    dataset.PatientName, dataset.PatientID = f"{CANARY}^Otto", CANARY


def _one_slice(path: Path, syntax: str = "") -> None:
    """One slice of the phantom as a file."""

    def edit(dataset: Dataset, k: int) -> None:
        _named(dataset, k)
        if syntax == ExplicitVRBigEndian:
            big_endian(dataset, k)
        elif syntax and syntax in (RLELossless, JPEG2000Lossless, JPEGLSLossless):
            dataset.compress(syntax, generate_instance_uid=False)
        elif syntax:
            dataset.file_meta.TransferSyntaxUID = syntax

    write_series(path.parent / "in", PHANTOM, edit)[1].rename(path)


def dicom(folder: Path) -> list[Path]:
    """Single slices in every transfer syntax, and an enhanced multi-frame."""
    _one_slice(folder / "explicit.dcm")
    for syntax in SYNTAXES:
        _one_slice(folder / f"{syntax.split('.')[-1]}.dcm", syntax)
    _one_slice(folder / "jpeg.dcm")
    dataset = dcmread(folder / "jpeg.dcm")
    compress_lossless_jpeg(dataset, dataset.pixel_array[None], folder)
    dataset.save_as(folder / "jpeg.dcm")
    write_enhanced(folder / "enhanced.dcm", PHANTOM)
    return sorted(folder.glob("*.dcm"))


def nifti(folder: Path) -> list[Path]:
    """Whole numbers and fractions, with and without gzip, scaled and not."""
    affine = affine_to_nifti(PHANTOM.affine)
    for name, kind in (("whole", np.int16), ("fraction", np.float32)):
        image = nibabel.Nifti1Image(PHANTOM.array.transpose(2, 1, 0).astype(kind), affine)
        nibabel.save(image, folder / f"{name}.nii")
        nibabel.save(image, folder / f"{name}.nii.gz")
    image = nibabel.Nifti1Image(PHANTOM.array.transpose(2, 1, 0), affine)
    image.header.set_slope_inter(0.5, -10)
    nibabel.save(image, folder / "scaled.nii")
    return sorted(folder.glob("*.nii*"))


def _image() -> SimpleITK.Image:
    image = SimpleITK.GetImageFromArray(PHANTOM.array)
    image.SetSpacing(PHANTOM.spacing[::-1])
    image.SetOrigin(PHANTOM.origin)
    return image


def nrrd(folder: Path) -> list[Path]:
    """Images with and without gzip, and a header beside its voxels."""
    SimpleITK.WriteImage(_image(), str(folder / "plain.nrrd"))
    SimpleITK.WriteImage(_image(), str(folder / "packed.nrrd"), useCompression=True)
    SimpleITK.WriteImage(_image(), str(folder / "header.nhdr"))
    return sorted(folder.glob("*.n*"))


def seg_nrrd(folder: Path) -> list[Path]:
    """A Slicer segmentation with one layer, and one with two."""
    mask = ellipsoid(PHANTOM)
    save(_segments(PHANTOM.volume(), mask), folder / "one.seg.nrrd")
    save(_segments(PHANTOM.volume(), mask, np.roll(mask, 1, axis=2)), folder / "two.seg.nrrd")
    return sorted(folder.glob("*.seg.nrrd"))


def mha(folder: Path) -> list[Path]:
    """Images with and without deflate, and a header beside its voxels."""
    SimpleITK.WriteImage(_image(), str(folder / "plain.mha"))
    SimpleITK.WriteImage(_image(), str(folder / "packed.mha"), useCompression=True)
    SimpleITK.WriteImage(_image(), str(folder / "header.mhd"))
    return sorted(folder.glob("*.mh*"))


def archive(folder: Path) -> list[Path]:
    """A series in a zip archive, stored and deflated."""
    paths = write_series(folder / "in", PHANTOM, _named)
    for name, method in (("stored", zipfile.ZIP_STORED), ("deflated", zipfile.ZIP_DEFLATED)):
        with zipfile.ZipFile(folder / f"{name}.zip", "w", method) as target:
            for path in paths:
                target.write(path, f"series/{path.name}")
    return sorted(folder.glob("*.zip"))


def dicom_seg(folder: Path) -> list[Path]:
    """DICOM Segmentations: two segments, and a deflated one."""
    mask = ellipsoid(PHANTOM)
    volume = _dicom_volume(folder)
    save(_segments(volume, mask, np.roll(mask, 1, axis=2)), folder / "two.dcm")
    dataset = dcmread(folder / "two.dcm")
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    dataset.save_as(folder / "deflated.dcm")
    return sorted(folder.glob("*.dcm"))


def rtstruct(folder: Path) -> list[Path]:
    """A structure set of three contours."""
    square = np.array([[2.5, 3.5], [2.5, 9.5], [8.5, 9.5], [8.5, 3.5]])
    path = write_rtstruct(folder / "rs.dcm", PHANTOM.volume(), [(0, square), (1, square), (1, square * 0.5 + 3)])
    dataset = dcmread(path)
    _named(dataset, 0)
    dataset.save_as(path)
    return [path]


def prompts(folder: Path) -> list[Path]:
    """Prompts of every kind."""
    items = [
        {"type": "click", "index": [1, 5, 6], "positive": True},
        {"type": "scribble", "points": [[1, 2, 3], [1, 4, 5.5]], "positive": False, "width_mm": 3.0},
        {"type": "lasso", "points": [[1, 2, 3], [1, 4, 5.5], [1, 6, 2]]},
        {"type": "box", "points": [[1, 2, 3], [1, 4, 5]]},
    ]
    document = {"version": 1, "plane": "axial", "segments": [{"label": "Läsion", "prompts": items}]}
    (folder / "all.json").write_text(json.dumps(document, indent=1), "utf-8")
    (folder / "ascii.json").write_text(json.dumps(document), "utf-8")
    return sorted(folder.glob("*.json"))


def _segments(volume: Volume, *masks: np.ndarray) -> Segmentation:
    segments = tuple(Segment(n, f"Segment {n}", algorithm_name="x") for n in range(1, len(masks) + 1))
    return Segmentation(volume, segments, masks)


def _dicom_volume(folder: Path) -> Volume:
    write_series(folder / "in", PHANTOM, _named)
    return read_volume(folder / "in")


# Format -> what makes its seeds, and what is asked of the reader.
FORMATS: dict[str, tuple[Callable[[Path], list[Path]], str]] = {
    "DICOM": (dicom, "volume"),
    "NIfTI": (nifti, "volume"),
    "NRRD": (nrrd, "volume"),
    "seg.nrrd": (seg_nrrd, "segmentation"),
    "MHA": (mha, "volume"),
    "zip": (archive, "volume"),
    "DICOM-SEG": (dicom_seg, "segmentation"),
    "RTSTRUCT": (rtstruct, "segmentation"),
    "prompts": (prompts, "prompts"),
}
