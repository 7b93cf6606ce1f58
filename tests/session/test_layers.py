"""Layers that take memory only where something is."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeflow_med.session.layers import SparseLayer, empty_mask

SHAPE = (5, 70, 131)
corner = st.tuples(*(st.integers(0, n - 1) for n in SHAPE))


@given(st.lists(st.tuples(corner, corner, st.integers(0, 3)), min_size=1, max_size=5))
@settings(max_examples=50)
def test_a_sparse_layer_is_an_array(flips: list[tuple[tuple[int, ...], tuple[int, ...], int]]) -> None:
    layer, array = SparseLayer(SHAPE), np.zeros(SHAPE, np.uint8)
    for one, other, seed in flips:
        box = tuple(slice(min(a, b), max(a, b) + 1) for a, b in zip(one, other, strict=True))
        values = np.random.default_rng(seed).integers(0, 5, array[box].shape, np.uint8)
        layer.flip(box, values)  # type: ignore[arg-type]
        array[box] ^= values
    for axis, count in enumerate(SHAPE):
        for index in {0, *flips[0][0], count - 1}:
            if index < count:
                np.testing.assert_array_equal(layer.at((axis, index)), array.take(index, axis))
    assert layer.tobytes() == array.tobytes()
    assert layer.slices() == np.flatnonzero(array.any((1, 2))).tolist()


def test_an_emptied_layer_is_free_again() -> None:
    layer = SparseLayer((600, 512, 512))
    line = (slice(0, 600), slice(100, 101), slice(7, 8))
    layer.flip(line, np.ones((600, 1, 1), np.uint8))
    assert sum(block.nbytes for blocks in layer._blocks.values() for block in blocks.values()) == 600 * 64 * 64
    layer.flip(line, np.ones((600, 1, 1), np.uint8))
    assert layer._blocks == {}


def test_a_mask_starts_empty_and_can_be_written_to() -> None:
    mask = empty_mask((2, 3, 4))
    assert mask.shape == (2, 3, 4)
    assert mask.dtype == np.bool_
    assert not mask.any()
    mask[1, 2, 3] = True
    assert mask.sum() == 1
