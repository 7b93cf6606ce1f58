"""What is drawn to be outlined."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgeflow_med.evaluation.datasets import read_dataset, read_labels
from edgeflow_med.evaluation.targets import sample_targets

BENCH = Path(__file__).parents[2].parent / "shared" / "data" / "bench"


def test_every_piece_on_every_slice_is_a_target_and_specks_are_counted(two_cases):
    sample = sample_targets(read_dataset(two_cases), 1000, seed=0)
    assert (sample.eligible, sample.tiny, sample.cases) == (8 + 6 + 3 + 12, 1, 2)
    assert len(sample.targets) == len({t.id for t in sample.targets}) == 29
    assert {(t.case, t.label, t.piece) for t in sample.targets} == {("a", 1, 1), ("a", 1, 2), ("b", 1, 1), ("b", 2, 1)}


def test_masks_are_the_labelled_pixels(two_cases):
    dataset = read_dataset(two_cases)
    labels = read_labels(dataset.cases[0])
    targets = [t for t in sample_targets(dataset, 1000, seed=0).targets if t.case == "a" and t.slice_index == 5]
    union = np.zeros((40, 50), bool)
    for target in targets:
        mask = target.on_slice((40, 50))
        assert mask.sum() == target.pixels == {1: 120, 2: 140}[target.piece]
        union |= mask
    assert np.array_equal(union, labels[5] == 1)


def test_islands_joined_above_the_slice_are_one_target(make_set):
    """A fork: two prongs on slice 0, joined on slice 1."""
    prongs = [np.s_[0:1, 5:15, 5:10], np.s_[0:1, 5:15, 20:25], np.s_[1:2, 5:15, 5:25]]
    targets = sample_targets(read_dataset(make_set("F", {"a": {1: prongs}}, (2, 40, 50))), 10, seed=0).targets
    assert [(t.slice_index, t.pixels) for t in targets] == [(0, 100), (1, 200)]


def test_islands_of_a_single_slice_are_targets_of_their_own(make_set):
    prongs = [np.s_[0:1, 5:15, 5:10], np.s_[0:1, 5:15, 20:25]]
    targets = sample_targets(read_dataset(make_set("F", {"a": {1: prongs}}, (1, 40, 50))), 10, seed=0).targets
    assert [t.pixels for t in targets] == [50, 50]


def test_structures_and_cases_take_turns(two_cases):
    sample = sample_targets(read_dataset(two_cases), 8, seed=3)
    assert [t.label for t in sample.targets].count(2) == 4  # though label 1 has far more targets
    assert {t.case for t in sample.targets if t.label == 1} == {"a", "b"}


def test_seeded(two_cases):
    dataset = read_dataset(two_cases)
    ids = [[t.id for t in sample_targets(dataset, 6, seed).targets] for seed in (0, 0, 1)]
    assert ids[0] == ids[1] != ids[2]


def test_only_accepted_cases(two_cases):
    sample = sample_targets(read_dataset(two_cases), 100, 0, accept=lambda case: case == "b")
    assert {t.case for t in sample.targets} == {"b"}
    assert sample.cases == 1


@pytest.mark.skipif(not BENCH.is_dir(), reason="needs ../shared/data/bench, which is not part of the repository")
def test_bench_sample_sees_every_structure():
    dataset = read_dataset(BENCH / "AbdomenCT")
    sample = sample_targets(dataset, 40, seed=0)
    assert {t.label for t in sample.targets} == set(dataset.labels)
    assert min(t.pixels for t in sample.targets) >= 20
