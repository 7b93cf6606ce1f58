from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest

from benchmarks.quality import PEERS
from benchmarks.quality.propose import Object, grid, is_object, largest_piece, main, pack, thinned
from edgeflow_med.training.cases import read_cases
from tests.region_growing import disk, iou, picture

SHAPE = (80, 90)


def test_points_lie_in_their_cells_and_on_the_body() -> None:
    image = np.zeros((170, 340), np.float32)
    image[:, 170:] = 0.5
    points = grid(image, np.random.default_rng(0))
    assert 8 * 17 <= len(points) <= 9 * 17
    assert all(column >= 170 for _, column in points)
    assert len({(int(row // 10), int(column // 20)) for row, column in points}) == len(points)


def test_specks_backgrounds_and_cut_off_things_are_no_objects() -> None:
    bright = np.full(SHAPE, 0.6, np.float32)
    thing = disk(SHAPE, (40, 45), 12)
    assert is_object(thing, bright)
    assert not is_object(thing, np.zeros(SHAPE, np.float32))
    assert not is_object(disk(SHAPE, (40, 45), 3), bright)
    assert not is_object(disk(SHAPE, (40, 45), 30), bright)
    assert not is_object(disk(SHAPE, (40, 0), 12), bright)
    assert is_object(disk(SHAPE, (40, 11), 12), bright)  # touches the border with a few pixels


def test_of_several_pieces_the_largest_stays() -> None:
    large, small = disk(SHAPE, (30, 30), 9), disk(SHAPE, (60, 70), 4)
    np.testing.assert_array_equal(largest_piece(large | small), large)


def test_of_the_same_object_the_best_stays() -> None:
    one, same, other = disk(SHAPE, (30, 30), 9), disk(SHAPE, (30, 31), 9), disk(SHAPE, (60, 70), 9)
    kept = thinned([Object(one, 0.8, 0.9), Object(other, 0.75, 0.9), Object(same, 0.9, 0.9)])
    assert [found.quality for found in kept] == [0.9, 0.75]


def test_files_are_read_by_training(tmp_path: Path) -> None:
    dataset, shape = tmp_path / "Liver", (40, 44)
    (dataset / "imagesTr").mkdir(parents=True)
    nibabel.save(nibabel.Nifti1Image(np.zeros((*shape, 8), np.int16), np.eye(4)), dataset / "imagesTr" / "one.nii.gz")
    masks = [disk(shape, (10, 12), 5), disk(shape, (20, 18), 7)]
    objects = [Object(mask, 0.9, 0.9) for mask in masks]
    np.savez_compressed(tmp_path / "x_Liver_one__a2_k3.npz", **pack(objects, shape))
    (found,) = read_cases(dataset, tmp_path)
    assert list(found.objects) == [(2, 3)]
    for got, mask in zip(found.objects[2, 3], masks, strict=True):
        np.testing.assert_array_equal(got, mask)


@pytest.mark.slow
@pytest.mark.skipif(not PEERS["sam2_hiera_tiny"].installed, reason=f"run `{PEERS['sam2_hiera_tiny'].install_command}`")
def test_sam_proposes_a_bright_disk() -> None:
    from benchmarks.quality.propose import propose
    from benchmarks.quality.sam2_hiera_tiny import Sam2HieraTiny

    truth = disk((128, 128), (60, 70), 18)
    found = propose(Sam2HieraTiny(2), picture(truth, outside=0.2), np.random.default_rng(0))
    assert any(iou(thing.mask, truth) > 0.9 for thing in found)


def test_a_folder_without_images_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if not PEERS["sam2_hiera_tiny"].installed:
        pytest.skip(f"run `{PEERS['sam2_hiera_tiny'].install_command}`")
    assert main([str(tmp_path), "--output", str(tmp_path / "out")]) == 2
    assert "No images" in capsys.readouterr().err
