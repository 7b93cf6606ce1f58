"""Missing slices that are allowed, padding, and sheared grids made straight: what was not measured is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset

from edgeflow_med import io
from edgeflow_med.errors import GeometryError, WriteError
from edgeflow_med.io import save
from edgeflow_med.io.straighten import straightened
from tests.cli.scans import BALL, CENTRE, values
from tests.io.edits import SMALL, put, unsigned
from tests.io.here import read_segmentation, read_volume
from tests.phantoms import AXIAL, Phantom, is_true, one_segment, write_series

LONG = replace(AXIAL, shape=(12, 34, 40))
TILTED = replace(AXIAL, shape=(6, 34, 40), step=(0.0, 2.5 * np.tan(np.radians(15)), 2.5))


def write_with_gaps(folder: Path, phantom: Phantom, missing: tuple[int, ...], edit: object = None) -> None:
    paths = write_series(folder, phantom, edit)  # type: ignore[arg-type]
    for k in missing:
        paths[k].unlink()


@pytest.mark.parametrize("missing", [(5,), (3, 4), (1, 8), (2, 3, 4, 5, 6)])
@pytest.mark.parametrize("phantom", [LONG, replace(TILTED, shape=(12, 34, 40))], ids=["axial", "tilted"])
def test_allowed_gaps_keep_the_true_geometry_and_are_filled_and_named(
    phantom: Phantom, missing: tuple[int, ...], tmp_path: Path
) -> None:
    write_with_gaps(tmp_path, phantom, missing)
    with pytest.raises(GeometryError, match=r"missing after position .*; add the missing files, or allow gaps"):
        read_volume(tmp_path)
    volume = read_volume(tmp_path, allow_gaps=True)
    assert volume.shape == phantom.shape
    np.testing.assert_allclose(volume.affine, phantom.affine, atol=1e-6)
    (warning,) = [line for line in volume.warnings if "Missing" in line]
    for k in range(phantom.shape[0]):
        x, y, z = phantom.affine @ [k, 0, 0, 1] @ np.eye(4)[:, :3]
        named = f"{k} at position ({x:.2f}, {y:.2f}, {z:.2f}) mm"
        assert (named in warning) == (k in missing)
        assert ("SOPInstanceUID" not in volume.headers[k]) == (k in missing)
        np.testing.assert_allclose(volume.headers[k].ImagePositionPatient, (x, y, z), atol=1e-6)
        np.testing.assert_array_equal(volume.array[k], -1000 if k in missing else phantom.array[k])


def test_missing_slices_of_an_mr_get_the_lowest_measured_value(tmp_path: Path) -> None:
    write_with_gaps(tmp_path, LONG, (4,), put(Modality="MR"))
    assert (read_volume(tmp_path, allow_gaps=True).array[4] == np.delete(LONG.array, 4, axis=0).min()).all()


def test_every_gap_is_named_when_they_are_refused(tmp_path: Path) -> None:
    write_with_gaps(tmp_path, LONG, (3, 7))
    with pytest.raises(GeometryError, match=r"missing after position \(.*, 17\.75\).*; 2 such gaps.* 27\.75\) mm"):
        read_volume(tmp_path)


def _at(*z_mm: float) -> Callable[[Dataset, int], None]:
    return lambda dataset, k: setattr(dataset, "ImagePositionPatient", [0, 0, z_mm[k]])


def test_spacing_that_doubles_is_a_grid_with_gaps(tmp_path: Path) -> None:
    write_series(tmp_path, replace(AXIAL, shape=(8, 34, 40)), _at(0, 2, 4, 6, 10, 14, 18, 22))
    with pytest.raises(GeometryError, match="not evenly spaced"):
        read_volume(tmp_path)
    volume = read_volume(tmp_path, allow_gaps=True)
    assert volume.shape[0] == 12
    assert volume.spacing[0] == pytest.approx(2)
    assert [k for k in range(12) if "SOPInstanceUID" not in volume.headers[k]] == [4, 6, 8, 10]


@pytest.mark.parametrize(
    ("places", "reason"),
    [
        ((0, 2, 4, 7, 9, 11, 13, 15), "not evenly spaced: gaps from 2 to 3 mm"),
        ((0, 2, 4, 6, 60, 62, 64, 66), "more are missing than are there"),
        ((0, 2, 4, 4, 6, 8, 10, 12), "taken twice"),
    ],
)
def test_gaps_that_fit_no_grid_are_refused_even_then(places: tuple[float, ...], reason: str, tmp_path: Path) -> None:
    write_series(tmp_path, replace(AXIAL, shape=(8, 34, 40)), _at(*places))
    with pytest.raises(GeometryError, match=reason):
        read_volume(tmp_path, allow_gaps=True)


def test_a_series_without_gaps_is_the_same_either_way(tmp_path: Path) -> None:
    write_series(tmp_path, SMALL)
    assert is_true(read_volume(tmp_path, allow_gaps=True))
    assert read_volume(tmp_path, allow_gaps=True).warnings == ()
    assert read_volume(tmp_path / "slice000.dcm", allow_gaps=True).shape[0] == 1


def test_the_child_passes_gaps_on(tmp_path: Path) -> None:
    write_with_gaps(tmp_path, LONG, (5,))
    volume = io.read_volume(tmp_path, allow_gaps=True)
    assert volume.shape == LONG.shape
    assert "SOPInstanceUID" not in volume.headers[5]


@pytest.mark.parametrize("suffix", [".dcm", ".nii.gz", ".seg.nrrd"])
def test_a_mask_beside_a_gap_is_saved_and_read_back(suffix: str, tmp_path: Path) -> None:
    write_with_gaps(tmp_path / "in", LONG, (5,))
    volume = read_volume(tmp_path / "in", allow_gaps=True)
    mask = np.zeros(LONG.shape, np.bool_)
    mask[6:8, 3:9, 4:12] = True
    save(one_segment(volume, mask), tmp_path / f"lesion{suffix}")
    np.testing.assert_array_equal(read_segmentation(tmp_path / f"lesion{suffix}", volume).masks[0], mask)
    mask[5, 3:9, 4:12] = True
    if suffix == ".dcm":  # there is no image that this part could refer to
        with pytest.raises(WriteError):
            save(one_segment(volume, mask), tmp_path / "other.dcm")
    else:
        save(one_segment(volume, mask), tmp_path / f"other{suffix}")


def padded(value: int, stored: int | None = None, *, modality: str = "CT") -> Callable[[Dataset, int], None]:
    """The first three columns are padding: ``stored`` in the pixels, ``value`` in the header."""

    def edit(dataset: Dataset, _: int) -> None:
        pixels = np.frombuffer(dataset.PixelData, np.int16).reshape(34, 40).copy()
        pixels[:, :3] = value if stored is None else stored
        dataset.PixelData, dataset.Modality = pixels.tobytes(), modality
        dataset.add_new("PixelPaddingValue", "SS" if value < 2**15 else "US", value)

    return edit


@pytest.mark.parametrize("value", [-32768, 32767, -2000])
def test_padding_beyond_everything_measured_becomes_the_lowest_measured_value(value: int, tmp_path: Path) -> None:
    write_series(tmp_path, SMALL, padded(value, modality="MR"))
    volume = read_volume(tmp_path)
    assert (volume.array[:, :, :3] == SMALL.array[:, :, 3:].min()).all()
    np.testing.assert_array_equal(volume.array[:, :, 3:], SMALL.array[:, :, 3:])


def test_padding_given_unsigned_for_signed_pixels_is_understood(tmp_path: Path) -> None:
    write_series(tmp_path, SMALL, padded(63536, -2000))
    assert read_volume(tmp_path).array.min() == SMALL.array[:, :, 3:].min()


def test_a_padding_value_among_the_measured_ones_punches_no_holes(tmp_path: Path) -> None:
    value = int(np.median(SMALL.array))
    write_series(tmp_path, SMALL, put(PixelPaddingValue=value))
    np.testing.assert_array_equal(read_volume(tmp_path).array, SMALL.array)


def test_a_range_of_padding_is_understood(tmp_path: Path) -> None:
    def edit(dataset: Dataset, k: int) -> None:
        unsigned(dataset, k)
        pixels = np.frombuffer(dataset.PixelData, np.uint16).reshape(34, 40).copy()
        pixels[:, 0], pixels[:, 1] = 65535, 65530
        dataset.PixelData, dataset.PixelPaddingValue, dataset.PixelPaddingRangeLimit = pixels.tobytes(), 65535, 65530

    write_series(tmp_path, SMALL, edit)
    assert read_volume(tmp_path).array.max() == SMALL.array[:, :, 2:].max()


def test_a_volume_of_nothing_but_padding_keeps_it(tmp_path: Path) -> None:
    write_series(tmp_path, SMALL, lambda dataset, _: setattr(dataset, "PixelData", bytes(2 * 34 * 40)))
    write_series(tmp_path, SMALL, lambda d, _: d.update({"PixelPaddingValue": 0, "PixelData": bytes(2 * 34 * 40)}))
    assert (read_volume(tmp_path).array == 0).all()


@pytest.mark.parametrize("flip", [1, -1])
@pytest.mark.parametrize("modality", ["CT", "MR"])
def test_a_tilted_volume_is_straightened_on_request_without_losing_a_voxel(
    modality: str, flip: int, tmp_path: Path
) -> None:
    phantom = replace(TILTED, step=(0.4, flip * 2.5 * np.tan(np.radians(15)), 2.5))
    write_series(tmp_path, phantom, put(Modality=modality))
    tilted = read_volume(tmp_path)
    volume = io.read_volume(tmp_path, straighten=True)
    step, column, row = volume.affine[:3, :3].T
    assert abs(step @ row) < 1e-9
    assert abs(step @ column) < 1e-9
    np.testing.assert_allclose(volume.spacing, (2.5, 1.5, 0.75))
    assert volume.headers == ()
    assert [line for line in volume.warnings if "resampled to a right-angled grid" in line]
    assert not [line for line in volume.warnings if "true geometry is kept" in line]
    corners = volume.index(tilted.position([(0, 0, 0), (5, 33, 39), (0, 33, 0), (5, 0, 39)]))
    assert (corners > -1e-6).all()
    assert (corners < np.array(volume.shape) - 1 + 1e-6).all()
    # Values are linear in position, so linear interpolation keeps them true wherever the scan was.
    indices = np.moveaxis(np.indices(volume.shape), 0, -1)
    source = tilted.index(volume.position(indices))
    inside = ((source >= 0) & (source <= np.array(tilted.shape) - 1)).all(axis=-1)
    exact = volume.position(indices) @ np.array([2.0, 3.0, 5.0])
    assert inside.sum() > 0.9 * tilted.array.size
    assert np.abs(volume.array - exact)[inside].max() < 0.55
    far = ((source < -1) | (source > np.array(tilted.shape))).any(axis=-1)
    assert far.any()
    assert (volume.array[far] == (-1000 if modality == "CT" else tilted.array.min())).all()


def test_a_straight_volume_is_left_as_it_is() -> None:
    volume = SMALL.volume()
    assert straightened(volume) is volume


def test_the_command_line_allows_gaps_and_straightens(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from edgeflow_med.cli import main

    write_with_gaps(
        tmp_path / "in", BALL, (1,), lambda dataset, k: setattr(dataset, "PixelData", values()[k].tobytes())
    )
    arguments = ["segment", str(tmp_path / "in"), "--click", ",".join(map(str, CENTRE)), "--device", "cpu", "--output"]
    assert main([*arguments, str(tmp_path / "ball.nii")]) == 2
    assert "allow gaps (--allow-gaps)" in capsys.readouterr().err
    assert main([*arguments, str(tmp_path / "ball.nii"), "--allow-gaps"]) == 0
    assert "Missing, filled with air: slice 1 at position" in capsys.readouterr().out
    tilted = replace(BALL, step=(0.0, 0.5, 2.5))
    write_series(tmp_path / "tilted", tilted, lambda dataset, k: setattr(dataset, "PixelData", values()[k].tobytes()))
    arguments[1] = str(tmp_path / "tilted")
    assert main([*arguments, str(tmp_path / "straight.dcm"), "--straighten"]) == 2
    assert "must refer to a DICOM series" in capsys.readouterr().err
    assert main([*arguments, str(tmp_path / "straight.nii"), "--straighten"]) == 0
    assert "resampled to a right-angled grid" in capsys.readouterr().out
