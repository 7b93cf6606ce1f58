from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage

from edgeflow_med.training.cases import read_cases
from edgeflow_med.training.samples import SampleConfig, Samples
from edgeflow_med.training.synthetic import MOST, plant_lesions, repaint
from tests.region_growing import disk

IMAGE = np.full((96, 96), 0.5, np.float32)


def test_a_lesion_shows_is_in_one_piece_and_is_not_alone() -> None:
    others, signs = [], []
    for seed in range(30):
        planted = plant_lesions(IMAGE, np.random.default_rng(seed))
        assert planted is not None
        image, target = planted
        assert 0 <= image.min() <= image.max() <= 1
        assert ndimage.label(target, np.ones((3, 3)))[1] == 1
        change = image - IMAGE
        inside = change[target].mean()
        assert abs(inside) > 0.02
        pieces = ndimage.label(np.abs(change) > 0.02)[1]
        assert 1 <= pieces <= MOST
        others.append(pieces - 1)
        signs.append(inside > 0)
    assert max(others) >= 2
    assert 0.3 < np.mean(signs) < 0.95  # lighter and darker ones


def test_no_lesion_floats_in_air() -> None:
    assert plant_lesions(np.zeros((96, 96), np.float32), np.random.default_rng(0)) is None
    half = np.concatenate([np.zeros((96, 48), np.float32), np.full((96, 48), 0.5, np.float32)], axis=1)
    for seed in range(20):
        planted = plant_lesions(half, np.random.default_rng(seed))
        assert planted is not None
        assert planted[1][:, 44:].any()


def test_no_lesion_is_lighter_than_white() -> None:
    white = np.full((96, 96), 0.97, np.float32)
    planted = [plant_lesions(white, np.random.default_rng(seed)) for seed in range(20)]
    assert None in planted  # those that would have been lighter
    darker = [image[target].mean() for image, target in filter(None, planted)]
    assert darker
    assert max(darker) < 0.95


def test_a_sample_may_mean_a_planted_lesion(dataset: Path) -> None:
    config = SampleConfig(size=96, lesion_share=1.0, propagate_share=0.0, correct_share=0.0, excluded_share=0.0)
    cases = read_cases(dataset)
    plain, planted = (Samples(cases, replace(config, lesion_share=share), 9, seed=2) for share in (0.0, 1.0))
    for n in range(6):
        sample = planted[n]
        target = sample["target"][0].bool()
        assert target.any()
        assert not torch.equal(sample["target"], plain[n]["target"])
        away = ndimage.distance_transform_edt(~target.numpy())
        prompt = (sample["guidance"][0] > 0) | (sample["previous"][0] > 0)  # a box is filled, as a previous mask
        assert away[prompt.numpy()].min() == 0  # the first prompt is about the lesion


def test_painted_anew_the_anatomy_stays_and_the_contrast_changes() -> None:
    wanted, other = disk((64, 64), (30, 34), 12), disk((64, 64), (30, 8), 5)
    image = (0.4 + 0.3 * wanted + 0.01 * np.random.default_rng(0).normal(size=wanted.shape)).astype(np.float32)
    brighter, edges = [], []
    for seed in range(40):
        painted = repaint(image, (wanted, other), np.random.default_rng(seed))
        assert painted.dtype == np.float32
        assert 0 <= painted.min() <= painted.max() <= 1
        ring = disk((64, 64), (30, 34), 15) & ~disk((64, 64), (30, 34), 13)
        brighter.append(np.median(painted[wanted]) > np.median(painted[ring]))
        edges.append(abs(np.median(painted[wanted]) - np.median(painted[ring])))
    assert 0.2 < np.mean(brighter) < 0.8  # any contrast occurs
    assert np.median(edges) > 0.1  # and mostly there is one
