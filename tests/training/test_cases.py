from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgeflow_med.errors import ReadError
from edgeflow_med.training.cases import Case, is_validation, read_cases, validation_names
from tests.training.conftest import SHAPE


def case(shape: tuple[int, int, int], spacing: tuple[float, float, float]) -> Case:
    return Case(
        "set", "name", np.zeros(shape, np.int16), np.zeros(shape, np.uint8), spacing, hounsfield=False, objects={}
    )


def test_a_decathlon_folder_is_read(dataset: Path) -> None:
    cases = read_cases(dataset, dataset.parent / "pseudo")
    assert len(cases) == 6
    for one in cases:
        assert one.dataset == "Shapes"
        assert one.image.shape == one.labels.shape == SHAPE
        assert one.image.dtype == np.int16
        assert np.unique(one.labels).tolist() == [0, 1, 2]
        assert one.spacing == pytest.approx((1.0, 1.0, 1.2))
        assert one.hounsfield
    (objects,) = [one.objects for one in cases if one.objects]
    (mask,) = objects[2, 11]
    rows, columns = np.nonzero(mask)
    assert mask.shape == SHAPE[:2]
    assert (rows.min(), rows.max(), columns.min(), columns.max(), mask.sum()) == (30, 37, 4, 11, 64)


def test_a_slice_on_which_nothing_was_found_has_no_objects(dataset: Path, tmp_path: Path) -> None:
    (known,) = (dataset.parent / "pseudo").glob("*.npz")
    nothing = tmp_path / known.name
    np.savez(nothing, shape=SHAPE[:2], boxes=np.zeros((0, 4), np.int16), bits=np.zeros(0, np.uint8))
    assert not any(one.objects for one in read_cases(dataset, tmp_path))


def test_slices_are_taken_along_the_axes_that_make_sense() -> None:
    assert case((40, 40, 40), (1.0, 1.0, 1.5)).axes == (0, 1, 2)
    assert case((40, 40, 40), (1.0, 1.0, 3.0)).axes == (2,)
    assert case((40, 1, 40), (1.0, 1.0, 1.0)).axes == (1,)
    assert case((40, 40, 9), (1.0, 1.0, 1.0)).axes == (2,)


def test_the_validation_split_is_a_fixed_share_of_the_names() -> None:
    names = [f"patient_{number}" for number in range(4000)]
    share = np.mean([is_validation(name) for name in names])
    assert share == pytest.approx(0.12, abs=0.02)
    assert [name for name in names[:20] if is_validation(name)] == ["patient_16"]


def test_a_patient_goes_to_one_split_and_never_takes_all() -> None:
    held_out = ["patient_16__a", "patient_16__b"]
    assert validation_names([*held_out, "patient_1__a"]) == frozenset(held_out)
    assert validation_names(held_out) == frozenset()


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="Decathlon"):
        read_cases(tmp_path)
