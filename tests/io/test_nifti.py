"""NIfTI: what the header says, odd geometry, and files that lie; see `test_orientations` for places."""

from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest

from edgeflow_med.errors import GeometryError, ReadError, WriteError
from edgeflow_med.io import save
from edgeflow_med.io.nifti import affine_to_nifti
from edgeflow_med.segmentation import Segment, Segmentation
from tests.io.here import read_segmentation, read_volume
from tests.phantoms import Phantom, ellipsoid, one_segment


@pytest.mark.parametrize("kind", ["sform", "qform", "both"])
def test_the_mask_of_a_nifti_image_has_that_files_shape_and_affine(kind: str, tmp_path: Path) -> None:
    affine = np.array([[-0.7, 0.1, 0.3, 11], [0.2, 0.9, -0.4, -7], [0.05, 0.3, 2.1, 3.5], [0, 0, 0, 1]])
    rotation, _ = np.linalg.qr(affine[:3, :3])
    affine[:3, :3] = rotation * (0.7, 0.9, 2.1)
    source = nibabel.Nifti1Image(np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6), None)
    source.set_sform(affine, code=1 if kind != "qform" else 0)
    source.set_qform(affine, code=1 if kind != "sform" else 0)
    nibabel.save(source, tmp_path / "image.nii.gz")
    volume = read_volume(tmp_path / "image.nii.gz")
    mask = volume.array % 7 == 3
    save(one_segment(volume, mask), tmp_path / "mask.nii.gz")
    image, labels = nibabel.load(tmp_path / "image.nii.gz"), nibabel.load(tmp_path / "mask.nii.gz")
    assert labels.shape == image.shape
    np.testing.assert_allclose(labels.affine, image.affine, atol=1e-6)
    np.testing.assert_array_equal(np.asarray(labels.dataobj), np.asarray(image.dataobj) % 7 == 3)


def test_what_the_header_says(tmp_path: Path) -> None:
    volume = Phantom().volume()
    save(one_segment(volume, ellipsoid(Phantom())), tmp_path / "lesion.nii.gz")
    header = nibabel.load(tmp_path / "lesion.nii.gz").header
    assert header.get_data_dtype() == np.uint8
    assert (int(header["sform_code"]), int(header["qform_code"])) == (1, 1)
    assert header.get_xyzt_units()[0] == "mm"
    assert header.get_intent()[0] == "label"
    np.testing.assert_allclose(header.get_sform(), header.get_qform(), atol=1e-5)


def test_a_field_that_reads_back_differently_is_caught(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(nibabel.Nifti1Header, "set_xyzt_units", lambda *_: None)
    with pytest.raises(WriteError, match="did not read back as written: xyzt_units differs"):
        save(one_segment(Phantom().volume(), ellipsoid(Phantom())), tmp_path / "lesion.nii.gz")
    assert list(tmp_path.iterdir()) == []


def test_a_sheared_grid_is_kept_in_the_sform(tmp_path: Path) -> None:
    phantom = replace(Phantom(), step=(0.3, 0.9, 2.2))
    volume, mask = phantom.volume(), ellipsoid(phantom)
    save(one_segment(volume, mask), tmp_path / "lesion.nii.gz")
    header = nibabel.load(tmp_path / "lesion.nii.gz").header
    assert (int(header["sform_code"]), int(header["qform_code"])) == (1, 0)
    np.testing.assert_array_equal(read_segmentation(tmp_path / "lesion.nii.gz", volume).masks[0], mask)


def test_segments_are_numbered_and_overlap_is_refused(tmp_path: Path) -> None:
    volume, mask = Phantom().volume(), ellipsoid(Phantom())
    other = np.roll(mask, -22, axis=2) & ~mask
    segments = (Segment(1, "a"), Segment(2, "b"))
    save(Segmentation(volume, segments, (mask, other)), tmp_path / "two.nii.gz")
    labels = np.asarray(nibabel.load(tmp_path / "two.nii.gz").dataobj).transpose(2, 1, 0)
    np.testing.assert_array_equal(labels, mask + 2 * other)
    found = read_segmentation(tmp_path / "two.nii.gz", volume)
    assert [segment.label for segment in found.segments] == ["Segment 1", "Segment 2"]
    with pytest.raises(WriteError, match=r"segments overlap.*give \.dcm or \.seg\.nrrd"):
        save(Segmentation(volume, segments, (mask, mask)), tmp_path / "overlap.nii.gz")
    assert not (tmp_path / "overlap.nii.gz").exists()


def test_rescaled_integers_and_floats(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(np.arange(60, dtype=np.int16).reshape(3, 4, 5), np.eye(4))
    image.header.set_slope_inter(0.5, -10)
    nibabel.save(image, tmp_path / "scaled.nii")
    expected = np.asarray(nibabel.load(tmp_path / "scaled.nii").dataobj).transpose(2, 1, 0)
    volume = read_volume(tmp_path / "scaled.nii", modality="MR")
    assert volume.modality == "MR"
    assert volume.name == "scaled"
    np.testing.assert_allclose(volume.array, expected)
    broken = np.ones((3, 4, 5))
    broken[1, 2, 3], broken[0, 0, 0] = np.nan, np.inf
    nibabel.save(nibabel.Nifti1Image(broken, np.eye(4)), tmp_path / "nan.nii")
    volume = read_volume(tmp_path / "nan.nii")
    assert volume.array[3, 2, 1] == 0
    assert np.isfinite(volume.array).all()
    assert "2 voxels are not numbers" in volume.warnings[0]


def test_a_last_axis_of_one_is_dropped_and_a_longer_one_refused(tmp_path: Path) -> None:
    nibabel.save(nibabel.Nifti1Image(np.zeros((3, 4, 5, 1), np.int16), np.eye(4)), tmp_path / "one.nii")
    assert read_volume(tmp_path / "one.nii").shape == (5, 4, 3)
    nibabel.save(nibabel.Nifti1Image(np.zeros((3, 4, 5, 2), np.int16), np.eye(4)), tmp_path / "two.nii")
    with pytest.raises(ReadError, match=r"two\.nii is 3 x 4 x 5 x 2, not one three-dimensional image"):
        read_volume(tmp_path / "two.nii")


def test_colours_and_complex_numbers_are_refused(tmp_path: Path) -> None:
    nibabel.save(nibabel.Nifti1Image(np.zeros((3, 4, 5), np.complex64), np.eye(4)), tmp_path / "complex.nii")
    with pytest.raises(ReadError, match="not real numbers"):
        read_volume(tmp_path / "complex.nii")


def test_odd_geometry_is_told(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(np.zeros((3, 4, 5), np.int16), None)
    image.set_sform(np.eye(4), code=1)
    image.set_qform(np.diag([1, 1, 2, 1]), code=1)
    nibabel.save(image, tmp_path / "disagree.nii")
    assert (
        "sform and qform disagree by up to 4 mm; the sform is used"
        in read_volume(tmp_path / "disagree.nii").warnings[0]
    )
    image.set_sform(np.eye(4), code=0)
    image.set_qform(np.eye(4), code=0)
    nibabel.save(image, tmp_path / "unknown.nii")
    assert "does not say where the image lies" in read_volume(tmp_path / "unknown.nii").warnings[0]
    image = nibabel.Nifti1Image(np.zeros((3, 4, 5), np.int16), np.diag([0.001, 0.001, 0.002, 1]))
    image.header.set_xyzt_units("meter")
    nibabel.save(image, tmp_path / "metres.nii")
    volume = read_volume(tmp_path / "metres.nii")
    assert volume.spacing == pytest.approx((2, 1, 1))
    assert "measures in meters" in volume.warnings[0]


@pytest.mark.parametrize("name", ["image.nii", "image.nii.gz"])
@pytest.mark.parametrize("part", [0.0, 0.02, 0.5, 0.95])
def test_truncated_files_are_refused(name: str, part: float, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(-1000, 1000, (20, 30, 40)).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(noise, np.eye(4)), tmp_path / name)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: int(len(whole) * part)])
    with pytest.raises(ReadError, match=f"{name}.* truncated") as caught:
        read_volume(tmp_path / name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["image.nii", "image.nii.gz"])
@pytest.mark.parametrize("side", [300, 30000])
def test_a_size_that_lies_is_refused_before_memory_is_asked_for(name: str, side: int, tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(np.zeros((3, 4, 5), np.int16), np.eye(4))
    nibabel.save(image, tmp_path / "image.nii")
    content = bytearray((tmp_path / "image.nii").read_bytes())
    content[42:48] = np.array([side] * 3, "<i2").tobytes()
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    with pytest.raises(ReadError, match=r"bytes cannot hold them|voxels, more than"):
        read_volume(tmp_path / name)


def test_what_is_not_nifti_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.nii").write_text("not an image" * 100)
    with pytest.raises(ReadError, match="truncated or not NIfTI"):
        read_volume(tmp_path / "text.nii")


def test_a_label_map_of_another_grid_or_of_fractions_is_refused(tmp_path: Path) -> None:
    volume = Phantom().volume()
    save(one_segment(volume, ellipsoid(Phantom())), tmp_path / "lesion.nii.gz")
    moved = replace(volume, affine=volume.affine + np.array([[0, 0, 0, 0.4]] + 3 * [4 * [0]]))
    with pytest.raises(GeometryError, match="lies on another grid"):
        read_segmentation(tmp_path / "lesion.nii.gz", moved)
    fractions = nibabel.Nifti1Image(np.full((56, 40, 12), 0.5), affine_to_nifti(volume.affine))
    nibabel.save(fractions, tmp_path / "fractions.nii")
    with pytest.raises(ReadError, match="is not a label map"):
        read_segmentation(tmp_path / "fractions.nii", volume)
    empty = nibabel.Nifti1Image(np.zeros((56, 40, 12), np.uint8), affine_to_nifti(volume.affine))
    nibabel.save(empty, tmp_path / "empty.nii")
    with pytest.raises(ReadError, match="holds 0 segments"):
        read_segmentation(tmp_path / "empty.nii", volume)
