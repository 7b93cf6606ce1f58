"""Synthetic scans whose every voxel knows where it lies: value = 2x + 3y + 5z of its LPS position, rounded.

A reader that mistakes an axis, a sign, a spacing, a slice or a rescale gets values that do not fit the positions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

from edgeflow_med.segmentation import Segment, Segmentation
from edgeflow_med.volume import Volume

CT_IMAGE = UID("1.2.840.10008.5.1.4.1.1.2")
ENHANCED_CT_IMAGE = UID("1.2.840.10008.5.1.4.1.1.2.1")
ENHANCED_MR_IMAGE = UID("1.2.840.10008.5.1.4.1.1.4.1")
Edit = Callable[[Dataset, int], None]
# Series that a test writes beside each other come from one visit, unless it says otherwise.
STUDY, FRAME_OF_REFERENCE = generate_uid(), generate_uid()


@dataclass(frozen=True)
class Phantom:
    """A grid in space. The default is oblique, not square and not isotropic, so that no mistake is forgiven.

    Attributes:
        shape: ``(K, J, I)``.
        spacing: mm along k, j and i.
        row: Unit vector in LPS along a row (growing i).
        column: Unit vector in LPS along a column (growing j).
        origin: LPS mm of voxel (0, 0, 0).
        step: LPS mm from a slice to the next; along the normal if None.
    """

    shape: tuple[int, int, int] = (12, 40, 56)
    spacing: tuple[float, float, float] = (2.5, 1.5, 0.75)
    row: tuple[float, float, float] = (0.9396926, 0.3420201, 0.0)
    column: tuple[float, float, float] = (-0.3213938, 0.8830222, -0.3420201)
    origin: tuple[float, float, float] = (-20.5, -31.25, 12.75)
    step: tuple[float, float, float] | None = None

    @property
    def affine(self) -> NDArray[np.float64]:
        """Index (k, j, i, 1) to LPS mm."""
        affine = np.eye(4)
        normal = np.cross(self.row, self.column)
        affine[:3, 0] = self.step if self.step is not None else normal * self.spacing[0]
        affine[:3, 1] = np.array(self.column) * self.spacing[1]
        affine[:3, 2] = np.array(self.row) * self.spacing[2]
        affine[:3, 3] = self.origin
        return affine

    @property
    def array(self) -> NDArray[np.int16]:
        """The voxels."""
        indices = np.moveaxis(np.indices(self.shape), 0, -1)
        return true_values(indices @ self.affine[:3, :3].T + self.affine[:3, 3])

    def volume(self) -> Volume:
        """It as a Volume that came from nowhere."""
        return Volume(self.array, self.affine, modality="CT", name="phantom")


AXIAL = Phantom(row=(1, 0, 0), column=(0, 1, 0))


def true_values(positions: NDArray[np.float64]) -> NDArray[np.int16]:
    """The phantom's values at LPS positions ``(..., 3)`` in mm."""
    return np.round(positions @ np.array([2.0, 3.0, 5.0])).astype(np.int16)


def is_true(volume: Volume, tolerance: float = 0.51) -> bool:
    """Whether every voxel of a volume has the value that belongs to its position; 0.5 is the phantom's rounding."""
    indices = np.moveaxis(np.indices(volume.shape), 0, -1)
    exact = volume.position(indices) @ np.array([2.0, 3.0, 5.0])
    return bool(np.abs(volume.array - exact).max() < tolerance)


def instances(phantom: Phantom, edit: Edit | None = None) -> list[Dataset]:
    """A CT series as datasets, one for each slice; ``edit(dataset, k)`` may change each before it is returned."""
    series = generate_uid()
    datasets = []
    for k, pixels in enumerate(phantom.array):
        dataset = _instance(pixels)
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = STUDY, series
        dataset.FrameOfReferenceUID = FRAME_OF_REFERENCE
        dataset.InstanceNumber = k + 1
        dataset.ImagePositionPatient = [round(v, 6) for v in (phantom.affine @ [k, 0, 0, 1])[:3].tolist()]
        dataset.ImageOrientationPatient = [*phantom.row, *phantom.column]
        dataset.PixelSpacing = [phantom.spacing[1], phantom.spacing[2]]
        dataset.SliceThickness = phantom.spacing[0]
        if edit is not None:
            edit(dataset, k)
        datasets.append(dataset)
    return datasets


def write_series(folder: Path, phantom: Phantom, edit: Edit | None = None, prefix: str = "slice") -> list[Path]:
    """Write a CT series into a folder, and return its files in the order of k."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for k, dataset in enumerate(instances(phantom, edit)):
        paths.append(folder / f"{prefix}{k:03d}.dcm")
        dataset.save_as(paths[-1], enforce_file_format=True)
    return paths


def write_enhanced(path: Path, phantom: Phantom, times: int = 1, sop_class: UID = ENHANCED_CT_IMAGE) -> None:
    """Write one enhanced multi-frame instance, frames in reversed order, ``times`` over with other values each time."""
    dataset = _instance(phantom.array[0])
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = sop_class
    dataset.Modality = "MR" if sop_class == ENHANCED_MR_IMAGE else "CT"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = generate_uid(), generate_uid()
    dataset.FrameOfReferenceUID = generate_uid()
    del dataset.RescaleSlope, dataset.RescaleIntercept
    shared = Dataset()
    shared.PlaneOrientationSequence = [_item(ImageOrientationPatient=[*phantom.row, *phantom.column])]
    shared.PixelMeasuresSequence = [
        _item(PixelSpacing=list(phantom.spacing[1:]), SliceThickness=phantom.spacing[0]),
    ]
    transformation = _item(RescaleSlope=1, RescaleIntercept=-1000, RescaleType="HU")
    shared.PixelValueTransformationSequence = [transformation]
    dataset.SharedFunctionalGroupsSequence = [shared]
    frames, groups = [], []
    for time in range(times):
        for k in reversed(range(phantom.shape[0])):
            frames.append(phantom.array[k] + 1000 + 100 * time)
            group = Dataset()
            position = [round(v, 6) for v in (phantom.affine @ [k, 0, 0, 1])[:3].tolist()]
            group.PlanePositionSequence = [_item(ImagePositionPatient=position)]
            group.FrameContentSequence = [
                _item(TemporalPositionIndex=time + 1, StackID="1", InStackPositionNumber=k + 1)
            ]
            groups.append(group)
    dataset.PerFrameFunctionalGroupsSequence = groups
    dataset.NumberOfFrames = len(frames)
    dataset.PixelData = np.stack(frames).astype(np.int16).tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)


def ellipsoid(phantom: Phantom) -> NDArray[np.bool_]:
    """A mask off the centre, different along each axis, that leaves the first and last slices empty."""
    k, j, i = np.indices(phantom.shape)
    size, centre = np.array(phantom.shape), np.array(phantom.shape) * (0.55, 0.4, 0.65)
    return ((k - centre[0]) / size[0] * 3) ** 2 + ((j - centre[1]) / size[1] * 4) ** 2 + (
        (i - centre[2]) / size[2] * 5
    ) ** 2 < 1


def one_segment(volume: Volume, mask: NDArray[np.bool_], label: str = "Lesion") -> Segmentation:
    """A segmentation of one semi-automatic segment."""
    segment = Segment(1, label, algorithm_name="EdgeFlow", algorithm_version="test", unreviewed_slices=3)
    return Segmentation(volume, (segment,), (mask,), note="window soft-tissue (-160 to 240)")


def flipped(phantom: Phantom, *, j: bool, i: bool, k: bool) -> Phantom:
    """The phantom with axes turned round."""
    return replace(
        phantom,
        row=tuple(-v for v in phantom.row) if i else phantom.row,
        column=tuple(-v for v in phantom.column) if j else phantom.column,
        step=tuple((-phantom.affine[:3, 0]).tolist()) if k else tuple(phantom.affine[:3, 0].tolist()),
    )


def _instance(pixels: NDArray[np.int16]) -> Dataset:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = CT_IMAGE
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.Modality, dataset.Manufacturer = "CT", "Phantom"
    dataset.PatientName, dataset.PatientID = "Phantom^Oblique", "PH-1"
    dataset.PatientBirthDate, dataset.PatientSex = "19700101", "O"
    dataset.StudyDate, dataset.StudyTime, dataset.StudyID = "20260102", "101112", "1"
    dataset.AccessionNumber, dataset.ReferringPhysicianName = "A1", ""
    dataset.SeriesDescription, dataset.SeriesNumber, dataset.AcquisitionNumber = "Oblique phantom", 7, 1
    dataset.BodyPartExamined = "CHEST"
    dataset.PatientPosition, dataset.PositionReferenceIndicator = "HFS", ""
    dataset.KVP = 120
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 1
    dataset.RescaleSlope, dataset.RescaleIntercept, dataset.RescaleType = 1, 0, "HU"
    dataset.PixelData = pixels.astype(np.int16).tobytes()
    return dataset


def _item(**values: object) -> Dataset:
    item = Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return item
