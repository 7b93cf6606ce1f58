"""Reading data sets in the Decathlon layout."""

from __future__ import annotations

import json

import nibabel as nib
import numpy as np
import pytest

from edgeflow_med.errors import GeometryError, ReadError
from edgeflow_med.evaluation.datasets import evaluation_window, read_dataset, read_image, read_labels
from edgeflow_med.volume import Volume


def test_reads_what_the_folder_says(two_cases):
    dataset = read_dataset(two_cases)
    assert (dataset.name, dataset.modality, dataset.unit) == ("Blocks", "MR", "mm")
    assert dataset.labels == {1: "structure 1", 2: "structure 2"}
    assert [case.name for case in dataset.cases] == ["a", "b"]


def test_images_and_labels_have_slices_first(two_cases):
    dataset = read_dataset(two_cases)
    image, labels = read_image(dataset, dataset.cases[1]), read_labels(dataset.cases[1])
    assert image.shape == labels.shape == (12, 40, 50)
    assert image.spacing == pytest.approx((3.0, 1.0, 0.5))
    assert np.array_equal(image.array > 500, labels > 0)
    assert labels[0, 25, 25] == 2


def test_a_note_that_calls_the_spacing_nominal_is_believed(make_set):
    dataset = read_dataset(make_set("N", {"a": {1: [np.s_[0:1, 0:9, 0:9]]}}, note="Nominal spacing; single slices."))
    assert dataset.unit == "px"


@pytest.mark.parametrize(("dtype", "expected"), [(np.uint8, (0.0, 255.0)), (np.int16, (0.0, 99.0))])
def test_eight_bit_images_keep_their_publishers_window(dtype, expected):
    values = np.repeat(np.arange(100), 100).reshape(1, 100, 100).astype(dtype)
    window = evaluation_window(Volume(values, np.eye(4), "CT"))
    assert (window.low, window.high) == pytest.approx(expected, abs=1.0)


@pytest.mark.parametrize("content", ["", "[]", '{"labels": {}}', '{"modality": {"0": "CT"}, "labels": {"x": 1}}'])
def test_unusable_manifest(tmp_path, content):
    (tmp_path / "dataset.json").write_text(content)
    with pytest.raises(ReadError, match="not a Decathlon data set"):
        read_dataset(tmp_path)


def test_no_manifest(tmp_path):
    with pytest.raises(ReadError, match=r"give a folder with dataset\.json"):
        read_dataset(tmp_path)


def test_missing_image_is_named(two_cases):
    (two_cases / "imagesTr" / "b.nii.gz").unlink()
    with pytest.raises(ReadError, match=r"b\.nii\.gz, which is missing"):
        read_dataset(two_cases)


def test_no_images(two_cases):
    manifest = two_cases / "dataset.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"training": []}))
    with pytest.raises(ReadError, match="names no images"):
        read_dataset(two_cases)


def test_labels_on_another_grid_are_refused(two_cases):
    path = two_cases / "labelsTr" / "a.nii.gz"
    labels = nib.load(path)
    nib.save(nib.Nifti1Image(np.asarray(labels.dataobj), np.diag([0.6, 1.0, 3.0, 1.0])), path)
    dataset = read_dataset(two_cases)
    with pytest.raises(GeometryError, match="another grid"):
        read_image(dataset, dataset.cases[0])


def test_labels_must_be_whole_numbers(two_cases):
    path = two_cases / "labelsTr" / "a.nii.gz"
    nib.save(nib.Nifti1Image(np.full((50, 40, 12), 0.5, np.float32), np.diag([0.5, 1.0, 3.0, 1.0])), path)
    with pytest.raises(ReadError, match="not a label map"):
        read_labels(read_dataset(two_cases).cases[0])
