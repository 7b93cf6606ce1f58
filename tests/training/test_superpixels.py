from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy import ndimage

from edgeflow_med import metrics
from edgeflow_med.training.cases import read_cases
from edgeflow_med.training.samples import SampleConfig, Samples
from edgeflow_med.training.superpixels import draw_superpixel
from tests.region_growing import disk

SHAPE = (96, 96)
ORGAN, VESSEL = disk(SHAPE, (30, 34), 16), disk(SHAPE, (70, 64), 6)


def scene(noise: float = 0.02) -> np.ndarray:
    image = np.full(SHAPE, 0.5)
    image[ORGAN], image[VESSEL] = 0.75, 0.25
    return (image + np.random.default_rng(0).normal(0, noise, SHAPE)).astype(np.float32).clip(0, 1)


def test_what_is_found_are_the_things_that_stand_out() -> None:
    image = scene()
    found = [mask for seed in range(30) if (mask := draw_superpixel(image, np.random.default_rng(seed))) is not None]
    assert len(found) > 20
    likeness = np.array([[metrics.iou(mask, thing) for thing in (ORGAN, VESSEL)] for mask in found])
    assert np.median(likeness.max(1)) > 0.95
    assert np.mean(likeness.max(1) > 0.85) > 0.75
    assert np.all((likeness > 0.85).any(0))  # small ones too


def test_an_object_is_in_one_piece_without_holes() -> None:
    image = scene(noise=0.06)
    image[28:33, 32:37] = 0.3  # a hole in the organ
    for seed in range(30):
        mask = draw_superpixel(image, np.random.default_rng(seed))
        if mask is not None:
            assert ndimage.label(mask)[1] == 1
            assert np.array_equal(mask, ndimage.binary_fill_holes(mask))


def test_nothing_is_found_in_air_where_all_is_even_or_in_a_thread() -> None:
    thread = np.full(SHAPE, 0.3, np.float32)
    thread[48:52, 5:90] = 0.8
    cut_off = np.full(SHAPE, 0.3, np.float32)
    cut_off[:40, :40] = 0.8  # goes on outside the crop
    air = np.zeros(SHAPE, np.float32)
    air[ORGAN] = 0.03
    for image in (np.full(SHAPE, 0.5, np.float32), air, thread, cut_off):
        assert all(draw_superpixel(image, np.random.default_rng(seed)) is None for seed in range(10))


def test_a_sample_may_mean_a_superpixel(dataset: Path) -> None:
    config = SampleConfig(size=96, propagate_share=0.0, correct_share=0.0, excluded_share=0.0, region_share=0.0)
    plain, found = (
        Samples(read_cases(dataset), replace(config, superpixel_share=share), 9, seed=2) for share in (0.0, 1.0)
    )
    other = [n for n in range(9) if not np.array_equal(plain[n]["target"], found[n]["target"])]
    assert other
    for n in other:
        sample = found[n]
        target = sample["target"][0].numpy() > 0
        assert ndimage.label(target)[1] == 1
        prompts = sample["guidance"][0].numpy() > 0
        assert (prompts & target).any()  # the reader means it
