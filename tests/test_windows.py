"""Which values the model sees as 0 and 1."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeflow_med.errors import UsageError
from edgeflow_med.volume import Volume
from edgeflow_med.windows import CT_PRESETS, Window, automatic_window, choose_window, looks_like_hu


def volume(values: np.ndarray, modality: str = "") -> Volume:
    return Volume(values.reshape(2, -1, 10), np.eye(4), modality=modality)


@pytest.fixture
def hounsfield() -> np.ndarray:
    """Half air, half tissue."""
    return np.concatenate([np.full(100, -1000), np.linspace(-100, 200, 100)]).astype(np.int16)


@pytest.fixture
def arbitrary() -> np.ndarray:
    return np.linspace(0, 4000, 200).astype(np.int16)


def test_a_window_maps_its_ends_to_zero_and_one_and_clips_beyond() -> None:
    window = Window("given", -160, 240)
    values = window.apply(np.array([-3000, -160, 40, 240, 3000], np.int16))
    np.testing.assert_allclose(values, [0, 0, 0.5, 1, 1])
    assert values.dtype == np.float32


def test_what_is_not_a_number_becomes_zero() -> None:
    np.testing.assert_array_equal(Window("given", 0, 1).apply(np.array([np.nan, -np.inf, np.inf])), [0, 0, 1])


@given(st.floats(-5000, 5000), st.floats(1, 5000), st.integers(-32768, 32767))
def test_any_window_gives_values_from_zero_to_one(low: float, width: float, value: int) -> None:
    assert 0 <= Window("given", low, low + width).apply(np.array([value], np.int16))[0] <= 1


@pytest.mark.parametrize(("low", "high"), [(1, 1), (2, 1), (np.nan, 1), (0, np.inf)])
def test_an_empty_window_is_refused(low: float, high: float) -> None:
    with pytest.raises(UsageError, match="is empty; give LOW,HIGH"):
        Window("given", low, high)


def test_ct_gets_soft_tissue(hounsfield: np.ndarray) -> None:
    assert choose_window(volume(hounsfield, "CT")) == CT_PRESETS["soft-tissue"]


def test_unknown_modality_gets_soft_tissue_only_where_values_look_like_hu(hounsfield, arbitrary) -> None:
    assert choose_window(volume(hounsfield)) == CT_PRESETS["soft-tissue"]
    assert choose_window(volume(arbitrary)).name == "automatic"


def test_mr_gets_the_automatic_window_even_where_values_look_like_hu(hounsfield: np.ndarray) -> None:
    assert choose_window(volume(hounsfield, "MR")).name == "automatic"


def test_ct_whose_values_are_not_hu_gets_the_automatic_window(arbitrary: np.ndarray) -> None:
    assert choose_window(volume(arbitrary, "CT")).name == "automatic"


def test_the_automatic_window_leaves_out_the_brightest_and_darkest_half_percent() -> None:
    values = np.arange(10_001, dtype=np.float32)
    values[-1] = 1e6
    window = automatic_window(values)
    assert (window.low, window.high) == pytest.approx((50, 9950), abs=1)


@pytest.mark.parametrize("values", [np.zeros(20), np.full(20, -7.0), np.array([0.0] * 999 + [5.0])])
def test_an_image_with_hardly_any_contrast_still_has_a_window(values: np.ndarray) -> None:
    window = automatic_window(values)
    assert window.low < window.high


@pytest.mark.parametrize("name", CT_PRESETS)
def test_presets_are_chosen_by_name(name: str, arbitrary: np.ndarray) -> None:
    assert choose_window(volume(arbitrary, "MR"), name) is CT_PRESETS[name]


def test_numbers_and_automatic_are_chosen_too(hounsfield: np.ndarray) -> None:
    assert choose_window(volume(hounsfield, "CT"), "-100,300") == Window("given", -100, 300)
    assert choose_window(volume(hounsfield, "CT"), "automatic").name == "automatic"
    assert str(Window("given", -100, 300)) == "given (-100 to 300)"


@pytest.mark.parametrize("choice", ["brian", "1", "1,2,3", "a,b", ""])
def test_an_unknown_choice_is_refused_with_the_names(choice: str, hounsfield: np.ndarray) -> None:
    with pytest.raises(UsageError, match="give LOW,HIGH or one of soft-tissue, lung"):
        choose_window(volume(hounsfield), choice)


@pytest.mark.parametrize(
    ("values", "answer"),
    [([-1000, 0, 50], True), ([0, 50, 4000], False), ([-1000, -900, 2000], False), ([-9000, 0, 50], False)],
)
def test_what_looks_like_hounsfield_units(values: list[int], answer: bool) -> None:
    assert looks_like_hu(np.array(values)) is answer
