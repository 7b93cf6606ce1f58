"""The shape of lesions, measured on blocks."""

from __future__ import annotations

import math
from typing import Any

from benchmarks import lesions
from edgeflow_med.evaluation.datasets import read_dataset
from tests.evaluation.conftest import BrightPredictor, make_set

__all__ = ["make_set"]  # a fixture

# Case "a" is for training. Slices 3 mm apart, pixels of 1 x 0.5 mm.
BLOCK = (slice(2, 9), slice(10, 30), slice(10, 40))
RADIUS = math.sqrt(20 * 30 * 0.5 / math.pi)


def test_a_block_keeps_its_area_until_it_ends(make_set: Any) -> None:
    found = lesions.shape(read_dataset(make_set("Blocks", {"a": {1: [BLOCK]}})))
    assert found["lesions"] == 1
    assert found["half_length_quartiles"] == [round(3.5 * 3 / RADIUS, 2)] * 3
    assert found["spread_of_logarithm"] == 0
    shares = dict(zip(lesions.PLACES, found["share_of_area_quartiles"][1], strict=True))
    assert [shares[place] for place in (0.0, 0.5, 0.75)] == [1, 1, 1]  # three slices of 3 mm, the radius is 9.8 mm
    assert shares[1.0] == round(4 - RADIUS / 3, 2)  # between the last slice and the first empty one
    assert shares[1.5] == 0


def test_what_shows_keeps_its_ends_and_loses_at_most_a_rim(make_set: Any) -> None:
    dataset = read_dataset(make_set("Blocks", {"a": {1: [BLOCK]}}))
    found = lesions.effect(dataset, BrightPredictor(), validation=False)
    assert found.pop("lesions") == 1
    for where in ("middle", "off_middle"):
        anything, lesion = found.pop(f"{where}, anything"), found.pop(f"{where}, lesion")
        assert anything == {"dice": 1, "accepted": 1, "overrun": 0, "underrun": 0, "ends_within_1": 1}
        assert 0.95 < lesion.pop("dice") < 1  # where the carried outline is soft the two are not sure together
        assert lesion == {"accepted": 1, "overrun": 0, "underrun": 0, "ends_within_1": 1}
    assert not found
