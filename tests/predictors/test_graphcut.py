"""Graph cuts on pictures whose answer is known, and what becomes of them where numpymaxflow is not installed."""

from __future__ import annotations

import re
import sys

import numpy as np
import pytest

from edgeflow_med.errors import ModelError, UsageError
from edgeflow_med.metrics import iou
from edgeflow_med.predictors import find_model, load_predictor
from edgeflow_med.predictors.base import Predictor, SliceRequest, Stroke
from edgeflow_med.predictors.lazy import LazyPredictor
from edgeflow_med.predictors.strokes import box_stroke
from edgeflow_med.propagation.carry import draw

ROWS, COLUMNS = np.mgrid[:60, :80]
DISC = (ROWS - 28) ** 2 + (COLUMNS - 30) ** 2 <= 12**2
OTHER = (ROWS - 28) ** 2 + (COLUMNS - 60) ** 2 <= 10**2
INSIDE = Stroke(((28.0, 24.0), (28.0, 36.0)), width=3.0)
OUTSIDE = Stroke(((8.0, 10.0), (8.0, 70.0)), positive=False, width=3.0)


def scan() -> np.ndarray:
    """Two discs, both brighter than the rest, with noise."""
    image = np.where(DISC | OTHER, 0.7, 0.3) + np.random.default_rng(0).normal(0, 0.03, DISC.shape)
    return np.clip(image, 0, 1).astype(np.float32)


@pytest.fixture(scope="module")
def cutter() -> Predictor:
    try:
        return load_predictor("graphcut")
    except ModelError as error:
        pytest.skip(str(error))


def test_strokes_on_both_sides_give_the_disc_and_not_its_like_beside_it(cutter: Predictor) -> None:
    assert iou(cutter.predict(SliceRequest(scan(), strokes=(INSIDE, OUTSIDE))).mask, DISC) > 0.97


def test_every_stroke_is_obeyed_even_against_the_picture(cutter: Predictor) -> None:
    against = Stroke(((33.0, 26.0), (33.0, 34.0)), positive=False, width=1.0)
    mask = cutter.predict(SliceRequest(scan(), strokes=(INSIDE, OUTSIDE, against))).mask
    assert mask[28, 24:37].all()
    assert not mask[33, 26:35].any()


def test_a_mirrored_picture_gives_a_mirrored_mask(cutter: Predictor) -> None:
    def mirrored(stroke: Stroke) -> Stroke:
        return Stroke(tuple((row, 79 - column) for row, column in stroke.points), stroke.positive, stroke.width)

    mask = cutter.predict(SliceRequest(scan(), strokes=(INSIDE, OUTSIDE))).mask
    other = cutter.predict(SliceRequest(scan()[:, ::-1].copy(), strokes=(mirrored(INSIDE), mirrored(OUTSIDE)))).mask
    np.testing.assert_array_equal(other[:, ::-1], mask)


def test_a_box_around_the_disc_is_enough(cutter: Predictor) -> None:
    answer = cutter.predict(SliceRequest(scan(), strokes=(box_stroke((15, 17), (41, 43)),)))
    assert iou(answer.mask, DISC) > 0.95


def test_the_mask_of_the_neighbouring_slice_is_followed(cutter: Predictor) -> None:
    smaller = (ROWS - 29) ** 2 + (COLUMNS - 31) ** 2 <= 11**2
    answer = cutter.predict(SliceRequest(scan(), previous=draw(smaller), propagated=True))
    assert iou(smaller, DISC) < 0.85
    assert iou(answer.mask, DISC) > 0.95
    assert 0.5 < answer.quality <= 1


def test_other_segments_stay_out(cutter: Predictor) -> None:
    excluded = COLUMNS > 35
    mask = cutter.predict(SliceRequest(scan(), strokes=(INSIDE, OUTSIDE), excluded=excluded)).mask
    assert iou(mask, DISC & ~excluded) > 0.95
    assert not mask[excluded].any()


def test_nothing_shown_is_nothing_found(cutter: Predictor) -> None:
    answer = cutter.predict(SliceRequest(scan(), strokes=(OUTSIDE,)))
    assert not answer.mask.any()
    assert answer.quality == 0


def test_a_session_finds_it_by_its_name(cutter: Predictor) -> None:
    assert isinstance(cutter, Predictor)
    assert re.fullmatch(r"numpymaxflow \d\S*", cutter.version)
    assert LazyPredictor("graphcut").version == cutter.version == find_model("graphcut").version
    assert find_model("graphcut").sha256 == ""
    with pytest.raises(UsageError, match="runs on the CPU"):
        load_predictor("graphcut", "cuda")


def test_where_the_library_is_missing_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numpymaxflow", None)
    with pytest.raises(ModelError, match=r"needs numpymaxflow.*run `pip install") as caught:
        load_predictor("graphcut")
    assert "\n" not in str(caught.value)
