"""Which slices propagation may write."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeflow_med.errors import UsageError
from edgeflow_med.predictors.base import Prediction
from edgeflow_med.propagation import SliceStep, touched, walk

FULL = Prediction(np.ones((5, 5), np.float32), np.zeros((5, 5), np.float32), 1.0)
EMPTY = Prediction(np.zeros((5, 5), np.float32), np.zeros((5, 5), np.float32), 1.0)
COUNT = 20


def full(*numbers: int) -> dict[int, Prediction]:
    return dict.fromkeys(numbers, FULL)


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({}, [range(5), range(6, 12), range(13, 20)]),
        ({"starts": [12]}, [range(6, 12), range(13, 20)]),
        ({"starts": [12], "directions": [1]}, [range(13, 20)]),
        ({"starts": [5], "directions": [1]}, [range(6, 12)]),
        ({"limit": 3}, [range(2, 5), range(6, 12), range(13, 16)]),
        ({"limit": 2}, [range(3, 5), range(6, 8), range(10, 12), range(13, 15)]),
        ({"limit_mm": 7.5, "thickness": 2.5}, [range(2, 5), range(6, 12), range(13, 16)]),
        ({"limit": 0}, []),
        ({"anchors": [3, 9]}, [range(4, 5), range(6, 9), range(10, 12), range(13, 20)]),
    ],
)
def test_ranges(options: dict[str, object], wanted: list[range]) -> None:
    assert touched(COUNT, full(5, 12), **options) == wanted  # type: ignore[arg-type]


def test_nothing_starts_from_an_empty_slice() -> None:
    assert touched(COUNT, {5: FULL, 12: EMPTY}) == [range(5), range(6, 12)]
    assert touched(COUNT, {12: EMPTY}) == []
    assert touched(COUNT, {5: FULL, 12: EMPTY}, starts=[12]) == []


@pytest.mark.parametrize("options", [{"starts": [4]}, {"anchors": [20]}, {"limit_mm": -1.0}, {"thickness": 0.0}])
def test_refused(options: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        touched(COUNT, full(5), **options)  # type: ignore[arg-type]


@given(
    known=st.dictionaries(st.integers(0, COUNT - 1), st.sampled_from([FULL, EMPTY]), min_size=1),
    anchors=st.frozensets(st.integers(0, COUNT - 1), max_size=4),
    directions=st.sampled_from([(-1,), (1,), (-1, 1)]),
    limit=st.none() | st.integers(0, 8),
    data=st.data(),
)
def test_a_walk_writes_only_what_it_said(known, anchors, directions, limit, data) -> None:
    starts = data.draw(st.none() | st.sets(st.sampled_from(sorted(known))))
    options = {"starts": starts, "directions": directions, "limit": limit, "anchors": anchors - known.keys()}
    said = [n for numbers in touched(COUNT, known, **options) for n in numbers]
    assert len(said) == len(set(said))
    assert set(said).isdisjoint(known.keys() | anchors)
    image = np.random.default_rng(0).random((5, 5)).astype(np.float32)
    steps = walk(lambda _: image, COUNT, known, **options)
    written, item = set(), next(steps, None)
    while item is not None:
        if isinstance(item, SliceStep):
            written |= {item.index} if item.prediction is not None else set()
            item = next(steps, None)
        else:
            item = steps.send(FULL)
    assert written == set(said)
