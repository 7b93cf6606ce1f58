"""A mask lies where it belongs to within a micrometre, in all 48 orientations, turned, mirrored and sheared.

Other libraries say where: nibabel and SimpleITK for NIfTI, SimpleITK and pynrrd for NRRD, highdicom and the source
instances themselves, found by their UIDs, for DICOM-SEG. dcmqi has tests of its own beside the writer of DICOM-SEG.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations, product
from pathlib import Path

import highdicom
import nibabel
import nrrd
import numpy as np
import pytest
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydicom import dcmread

from edgeflow_med.errors import GeometryError
from edgeflow_med.io import save
from edgeflow_med.io.nifti import affine_to_nifti
from edgeflow_med.volume import Volume
from tests.io.here import read_segmentation, read_volume
from tests.phantoms import Phantom, is_true, one_segment, true_values, write_series

Positions = NDArray[np.float64]
ORIENTATIONS = list(product(permutations(range(3)), product((1, -1), repeat=3)))
TOLERANCE_MM = 1e-3
SHAPE, SPACING, ORIGIN = (5, 6, 7), (2.5, 1.25, 0.75), (-12.5, 31.0, 7.25)
# Turned about an axis that is none of the patient's.
OBLIQUE = np.reshape(SimpleITK.VersorTransform((0.3, -0.7, 0.5), np.radians(28)).GetMatrix(), (3, 3))
GRIDS = ["straight", "oblique", "sheared"]
# Every orientation of every kind of grid; the quick tests take each orientation once.
CASES = [
    pytest.param(*orientation, kind, marks=() if number % 3 == GRIDS.index(kind) else pytest.mark.slow)
    for (number, orientation), kind in product(enumerate(ORIENTATIONS), GRIDS)
]


def oriented(order: tuple[int, ...], signs: tuple[int, ...], turn: Positions | None = None) -> Volume:
    """A small volume whose axes follow the patient's in a given order and sign, turned by ``turn``; values are true."""
    affine = np.eye(4)
    affine[:3, :3] = 0
    for axis, (world, sign, spacing) in enumerate(zip(order, signs, SPACING, strict=True)):
        affine[world, axis] = sign * spacing
    if turn is not None:
        affine[:3, :3] = turn @ affine[:3, :3]
    affine[:3, 3] = ORIGIN
    return Volume(true_values(np.moveaxis(np.indices(SHAPE), 0, -1) @ affine[:3, :3].T + affine[:3, 3]), affine)


def grid_of(kind: str, order: tuple[int, ...], signs: tuple[int, ...]) -> Volume:
    """One of `GRIDS`; the sheared one leans by 20 degrees in the direction of both other axes."""
    volume = oriented(order, signs, None if kind == "straight" else OBLIQUE)
    if kind != "sheared":
        return volume
    affine = volume.affine.copy()
    affine[:3, 0] += np.tan(np.radians(20)) * (affine[:3, 1] - affine[:3, 2])
    return replace(volume, affine=affine)


def marked(shape: tuple[int, int, int]) -> NDArray[np.bool_]:
    """A mask that no flip or swap maps onto itself."""
    mask = np.zeros(shape, np.bool_)
    mask[0, 0, :2] = mask[1, 2, 3] = mask[4, 1, 6] = mask[2, 5, 1] = True
    return mask


def by_nibabel(path: Path) -> Positions:
    """LPS mm of the voxels of a label map."""
    image = nibabel.load(path)
    return nibabel.affines.apply_affine(image.affine, np.argwhere(np.asarray(image.dataobj) > 0)) * (-1, -1, 1)


def by_itk(path: Path) -> Positions:
    """LPS mm of the voxels of a label map."""
    image = SimpleITK.ReadImage(str(path))
    found = np.argwhere(SimpleITK.GetArrayFromImage(image) > 0)[:, ::-1].tolist()
    return np.array([image.TransformIndexToPhysicalPoint(index) for index in found])


def by_pynrrd(path: Path) -> Positions:
    """LPS mm of the voxels of a label map."""
    data, header = nrrd.read(str(path))
    assert header["space"] == "left-posterior-superior"
    return np.argwhere(data > 0) @ header["space directions"] + header["space origin"]


def by_highdicom(path: Path) -> Positions:
    """LPS mm of the voxels of a Segmentation; highdicom indexes (slice, row, column) in LPS."""
    volume = highdicom.seg.segread(path).get_volume(combine_segments=True)
    return volume.map_indices_to_reference(np.argwhere(volume.array > 0))


def by_source_instances(path: Path, sources: list[Path]) -> Positions:
    """LPS mm of the voxels of a Segmentation by the images that its frames refer to, whatever it says of positions."""
    known = {dataset.SOPInstanceUID: dataset for dataset in map(dcmread, sources)}
    dataset = dcmread(path)
    frames = dataset.pixel_array.reshape(-1, dataset.Rows, dataset.Columns)
    found = []
    for pixels, group in zip(frames, dataset.PerFrameFunctionalGroupsSequence, strict=True):
        source = known[group.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID]
        row, column = np.reshape(source.ImageOrientationPatient, (2, 3)).astype(float)
        for j, i in np.argwhere(pixels):
            offset = row * float(source.PixelSpacing[1]) * i + column * float(source.PixelSpacing[0]) * j
            found.append(np.array(source.ImagePositionPatient, float) + offset)
    return np.array(found)


def off_mm(found: Positions, volume: Volume, mask: NDArray[np.bool_]) -> float:
    """How far the worst voxel lies from where it belongs."""
    expected = volume.position(np.argwhere(mask))
    assert len(found) == len(expected)
    return float(np.abs(_sorted(found) - _sorted(expected)).max())


def _sorted(positions: Positions) -> Positions:
    return positions[np.lexsort(np.round(positions, 2).T)]


@pytest.mark.parametrize(("order", "signs", "kind"), CASES)
def test_nifti(order: tuple[int, ...], signs: tuple[int, ...], kind: str, tmp_path: Path) -> None:
    volume, path = grid_of(kind, order, signs), tmp_path / "lesion.nii"
    mask = marked(volume.shape)
    save(one_segment(volume, mask), path)
    assert off_mm(by_nibabel(path), volume, mask) < TOLERANCE_MM
    if kind == "sheared":  # ITK refuses it rather than show it in the wrong place
        with pytest.raises(RuntimeError, match="orthonormal"):
            by_itk(path)
    else:
        assert off_mm(by_itk(path), volume, mask) < TOLERANCE_MM
    np.testing.assert_array_equal(read_segmentation(path, volume).masks[0], mask)


@pytest.mark.parametrize(("order", "signs", "kind"), CASES)
def test_nrrd(order: tuple[int, ...], signs: tuple[int, ...], kind: str, tmp_path: Path) -> None:
    volume, path = grid_of(kind, order, signs), tmp_path / "lesion.seg.nrrd"
    mask = marked(volume.shape)
    save(one_segment(volume, mask), path)
    assert off_mm(by_pynrrd(path), volume, mask) < TOLERANCE_MM
    assert off_mm(by_itk(path), volume, mask) < TOLERANCE_MM
    np.testing.assert_array_equal(read_segmentation(path, volume).masks[0], mask)


def phantom_of(kind: str, order: tuple[int, ...], signs: tuple[int, ...]) -> Phantom:
    """A series of files that follow one another in the direction of axis 0, whichever that is."""
    axes = grid_of(kind, order, signs).affine[:3, :3]
    row, column = (tuple(np.round(axes[:, axis] / SPACING[axis], 9).tolist()) for axis in (2, 1))
    return Phantom(SHAPE, SPACING, row, column, ORIGIN, tuple(axes[:, 0].tolist()))


@pytest.mark.parametrize(("order", "signs", "kind"), CASES)
def test_dicom(order: tuple[int, ...], signs: tuple[int, ...], kind: str, tmp_path: Path) -> None:
    sources = write_series(tmp_path / "in", phantom_of(kind, order, signs))
    volume, path = read_volume(tmp_path / "in"), tmp_path / "lesion.dcm"
    assert is_true(volume)
    mask = marked(volume.shape)
    save(one_segment(volume, mask), path)
    assert off_mm(by_source_instances(path, sources), volume, mask) < TOLERANCE_MM
    if kind != "sheared":  # highdicom makes no volume of it
        assert off_mm(by_highdicom(path), volume, mask) < TOLERANCE_MM
    np.testing.assert_array_equal(read_segmentation(path, volume).masks[0], mask)


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from(ORIENTATIONS),
    st.tuples(*[st.floats(-1.0, 1.0, allow_nan=False)] * 3).filter(lambda axis: np.linalg.norm(axis) > 0.1),
    st.floats(0.0, 180.0),
)
def test_nifti_turned_anyhow(tmp_path_factory, orientation, axis, degrees) -> None:
    turn = np.reshape(SimpleITK.VersorTransform(axis, np.radians(degrees)).GetMatrix(), (3, 3))
    volume, path = oriented(*orientation, turn), tmp_path_factory.mktemp("oblique") / "lesion.nii.gz"
    mask = marked(volume.shape)
    save(one_segment(volume, mask), path)
    assert off_mm(by_nibabel(path), volume, mask) < TOLERANCE_MM
    assert off_mm(by_itk(path), volume, mask) < TOLERANCE_MM


@pytest.mark.parametrize(("order", "signs"), ORIENTATIONS)
def test_images_are_read_with_their_positions(order: tuple[int, ...], signs: tuple[int, ...], tmp_path: Path) -> None:
    volume = oriented(order, signs, OBLIQUE)
    image = nibabel.Nifti1Image(volume.array.transpose(2, 1, 0), affine_to_nifti(volume.affine))
    nibabel.save(image, tmp_path / "nibabel.nii")
    for name in ("itk.nii", "itk.nrrd", "itk.mha"):
        SimpleITK.WriteImage(to_itk(volume), str(tmp_path / name))
    for path in tmp_path.iterdir():
        assert is_true(read_volume(path)), path.name


def to_itk(volume: Volume) -> SimpleITK.Image:
    """A volume as SimpleITK holds it."""
    image = SimpleITK.GetImageFromArray(volume.array)
    image.SetSpacing(volume.spacing[::-1])
    image.SetDirection((volume.affine[:3, [2, 1, 0]] / volume.spacing[::-1]).ravel().tolist())
    image.SetOrigin(volume.affine[:3, 3].tolist())
    return image


@pytest.mark.parametrize("kind", ["straight", "sheared"])
@pytest.mark.parametrize(("order", "signs"), ORIENTATIONS)
def test_label_maps_in_another_order_of_axes_are_placed(
    order: tuple[int, ...], signs: tuple[int, ...], kind: str, tmp_path: Path
) -> None:
    """As dcm2niix leaves them, which turns the rows over; and cut to a part, as 3D Slicer does."""
    volume = grid_of(kind, *ORIENTATIONS[5])
    mask = marked(volume.shape)
    for part in (np.s_[:, :, :], np.s_[0:5, 0:6, 1:7], np.s_[0:5, 0:6, 0:7]):
        labels = mask[part].transpose(order)
        turn = np.zeros((4, 4))
        for axis, (world, sign) in enumerate(zip(order, signs, strict=True)):
            turn[world, axis] = sign
            turn[world, 3] = (part[world].start or 0) + (0 if sign > 0 else labels.shape[axis] - 1)
        turn[3, 3] = 1
        labels = np.flip(labels, [axis for axis in range(3) if signs[axis] < 0])
        affine = affine_to_nifti(volume.affine @ turn)
        nibabel.save(nibabel.Nifti1Image(labels.transpose(2, 1, 0).astype(np.uint8), affine), tmp_path / "turned.nii")
        expected = np.zeros(mask.shape, np.bool_)
        expected[part] = mask[part]
        np.testing.assert_array_equal(read_segmentation(tmp_path / "turned.nii", volume).masks[0], expected)


@pytest.mark.parametrize("index", [(0.5, 0, 0), (-1, 0, 0), (0, 0, 1)])
def test_label_maps_between_the_voxels_or_beyond_them_are_refused(index: tuple[float, ...], tmp_path: Path) -> None:
    volume = grid_of("oblique", *ORIENTATIONS[5])
    affine = volume.affine.copy()
    affine[:3, 3] = volume.position(index)
    save(one_segment(replace(volume, affine=affine), marked(volume.shape)), tmp_path / "label.nii")
    with pytest.raises(GeometryError, match="lies on another grid"):
        read_segmentation(tmp_path / "label.nii", volume)
