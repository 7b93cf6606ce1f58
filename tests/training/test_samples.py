from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import ndimage

from edgeflow_med.predictors.base import Stroke
from edgeflow_med.predictors.crop import Crop, fill_regions
from edgeflow_med.predictors.zoom import ZoomPolicy
from edgeflow_med.training.cases import Case, read_cases
from edgeflow_med.training.samples import (
    SampleConfig,
    Samples,
    boundary,
    corrupt,
    draw_box,
    draw_crop,
    draw_lasso,
    draw_line,
    draw_point,
    draw_scribble,
    first_prompts,
    orient,
    pick_scene,
    state_of,
    window_slice,
)
from tests.region_growing import disk, iou

CONFIG = SampleConfig(size=48)
COUNT = 150


@pytest.fixture(scope="module")
def cases(dataset: Path) -> list[Case]:
    return read_cases(dataset, dataset.parent / "pseudo")


@pytest.fixture(scope="module")
def samples(cases: list[Case]) -> list[dict[str, torch.Tensor]]:
    source = Samples(cases, CONFIG, COUNT, seed=3)
    assert len(source) == COUNT
    return [source[n] for n in range(COUNT)]


def kind(sample: dict[str, torch.Tensor]) -> str:
    """What a sample practises."""
    if not sample["target"].any():
        return "ended"
    if not sample["previous"].any():
        return "first prompt"
    return "correction" if sample["guidance"].any() else "propagation or refinement"


def test_the_edge_is_the_targets_outline(samples: list[dict[str, torch.Tensor]]) -> None:
    for sample in samples:
        target, edge = sample["target"][0].numpy() > 0, sample["edge"][0].numpy() > 0
        np.testing.assert_array_equal(edge, boundary(target))
        assert edge.any() == (target.any() and not target.all())
    outline = boundary(disk((48, 48), (15, 16), 12))
    assert outline.sum() == pytest.approx(2 * 2 * np.pi * 12, rel=0.2)


def test_every_situation_of_use_occurs(samples: list[dict[str, torch.Tensor]]) -> None:
    shares = {name: number / COUNT for name, number in Counter(map(kind, samples)).items()}
    assert shares["first prompt"] > 0.2
    assert shares["propagation or refinement"] > 0.1
    assert shares["correction"] > 0.03
    assert shares["ended"] > 0.01


def test_samples_are_what_the_network_takes(samples: list[dict[str, torch.Tensor]]) -> None:
    channels = {"image": 1, "target": 1, "edge": 1, "previous": 2, "guidance": 2}
    for sample in samples:
        assert sample["scribbles"].dtype == torch.bool
        pictures = {name: tensor for name, tensor in sample.items() if name != "scribbles"}
        assert {name: tuple(t.shape) for name, t in pictures.items()} == {n: (c, 48, 48) for n, c in channels.items()}
        for tensor in pictures.values():
            assert tensor.dtype == torch.float32
            assert 0 <= tensor.min() <= tensor.max() <= 1
        assert set(sample["target"].unique().tolist()) <= {0.0, 1.0}


def test_a_first_prompt_lies_in_the_target(samples: list[dict[str, torch.Tensor]]) -> None:
    first = [sample for sample in samples if kind(sample) == "first prompt"]
    for sample in first:
        positive, target = sample["guidance"][0] > 0, sample["target"][0].numpy() > 0
        assert positive.any()
        away = ndimage.distance_transform_edt(~target)
        assert away[positive.numpy()].max() <= 6.5  # the radius of a click is 5, of a scribble at most 6


def test_the_image_shows_the_target(samples: list[dict[str, torch.Tensor]]) -> None:
    """The shapes are brighter than what is around them, whatever augmentation did; so images and masks fit."""
    brighter = []
    for sample in samples:
        image, target = sample["image"][0].numpy(), sample["target"][0].numpy() > 0
        ring = ndimage.binary_dilation(target, iterations=6) & ~ndimage.binary_dilation(target, iterations=2)
        if target.sum() > 40 and ring.sum() > 40:
            brighter.append(np.median(image[target]) > np.median(image[ring]))
    assert len(brighter) > 50
    assert np.mean(brighter) > 0.8  # not all: class-free squares lie on background


def test_a_sample_depends_on_the_seed_and_its_number_alone(cases: list[Case]) -> None:
    one, again, other = (Samples(cases, CONFIG, 9, seed=seed) for seed in (1, 1, 2))
    again[0]  # what was drawn before must not matter
    for name, tensor in one[5].items():
        assert torch.equal(tensor, again[5][name])
    assert not torch.equal(one[5]["image"], other[5]["image"])
    assert not torch.equal(one[5]["image"], one[6]["image"])


def test_data_sets_are_weighted(cases: list[Case]) -> None:
    twice = [*cases, *(replace(one, dataset="Rare") for one in cases[:1])]
    source = Samples(twice, replace(CONFIG, weights={"Rare": 3.0}), 1, seed=0)
    assert dict(zip(source.names, source.probabilities, strict=True)) == {"Shapes": 0.25, "Rare": 0.75}


def test_class_free_objects_are_used(cases: list[Case]) -> None:
    (one,) = [case for case in cases if case.objects]
    scene = pick_scene(one, 2, 11, replace(CONFIG, pseudo_share=1.0), np.random.default_rng(0))
    np.testing.assert_array_equal(scene.target, one.objects[2, 11][0])
    assert scene.neighbour is None


def test_propagation_scenes_are_slices_of_one_structure(cases: list[Case]) -> None:
    config, rng = replace(CONFIG, propagate_share=1.0, pseudo_share=0.0), np.random.default_rng(1)
    scenes = [pick_scene(cases[0], 2, 11, config, rng) for _ in range(60)]
    assert any(not scene.target.any() for scene in scenes)
    for scene in scenes:
        assert scene.neighbour is not None
        assert scene.neighbour.any()
        values = set(np.unique(np.take(cases[0].labels, scene.number, 2)[scene.target]).tolist())
        assert len(values) <= 1  # of one structure, or ended
        if scene.target.any():
            np.testing.assert_array_equal(scene.target, np.take(cases[0].labels, scene.number, 2) == values.pop())


def sides(mask: NDArray[np.bool_], spacing: tuple[float, float], *, known: bool) -> NDArray[np.float64]:
    rng, config = np.random.default_rng(5), SampleConfig(size=192, look_share=1.0)
    return np.array([draw_crop(mask, spacing, config, rng, known=known).side for _ in range(300)])


def test_a_known_structure_is_seen_as_the_predictor_sees_it() -> None:
    mask = np.zeros((400, 200), bool)
    mask[100:130, 50:70] = True  # 60 mm high in rows of 2 mm, 20 mm wide: 60 pixels of the finer axis
    drawn = sides(mask, (2.0, 1.0), known=True)
    assert np.median(drawn) == pytest.approx(60 * ZoomPolicy().expansion, rel=0.05)
    assert np.std(np.log(drawn)) == pytest.approx(0.2, rel=0.2)


def test_at_a_first_click_half_of_the_crops_do_not_tell_the_size() -> None:
    small, large = np.zeros((600, 600), bool), np.zeros((600, 600), bool)
    small[300:306, 300:306] = large[200:300, 150:250] = True
    about_click = [np.mean(abs(np.log(sides(mask, (1.0, 1.0), known=False) / 192)) < 0.15) for mask in (small, large)]
    assert about_click == pytest.approx([0.43, 0.51], abs=0.06)  # 0.5 * 0.87, and of the 180 pixels that fit the large


def test_a_crop_about_a_first_click_has_the_click_in_its_middle() -> None:
    mask = np.zeros((600, 600), bool)
    mask[300:310, 200:420] = True  # long, so that clicks lie far from its middle
    rng, config = np.random.default_rng(6), SampleConfig(size=192, look_share=1.0)
    crops = [draw_crop(mask, (1.0, 1.0), config, rng, known=False) for _ in range(200)]
    about_click = [crop for crop in crops if crop.side < 250]  # those about an own answer are 396 wide, give or take
    centres = np.array([np.add(crop.start, crop.side / 2) for crop in about_click])
    assert len(about_click) > 60
    assert np.mean(mask[tuple(centres.round().astype(int).T)]) > 0.8
    assert np.std(centres[:, 1]) > 20


def test_a_crop_is_never_larger_than_the_slice_where_the_predictor_looks() -> None:
    mask = np.zeros((128, 128), bool)
    mask[4:120, 10:110] = True
    for known in (False, True):
        assert sides(mask, (1.0, 1.0), known=known).max() <= 128 + 1e-6


def test_islands_are_meant_as_often_as_asked() -> None:
    labels = np.zeros((40, 40, 12), np.uint8)
    labels[5:15, 5:15] = labels[15:20, 15:20] = labels[30:35, 30:35] = 1  # the first two touch at a corner
    one = Case("Islands", "one", labels.astype(np.int16), labels, (1.0, 1.0, 3.0), False, {})
    rng = np.random.default_rng(7)
    for share in (0.0, 1.0):
        config = replace(CONFIG, propagate_share=0.0, piece_share=share)
        areas = {int(pick_scene(one, 2, 5, config, rng).target.sum()) for _ in range(30)}
        assert areas == ({125, 25} if share else {150})


def test_boundary_is_one_pixel_on_either_side() -> None:
    mask = np.zeros((8, 8), bool)
    mask[2:7, 2:7] = True
    outline = boundary(mask)
    assert not outline[3:6, 3:6].any()
    assert outline[2, 2:7].all()
    assert outline[1, 2:7].all()
    assert not outline[1, 1]  # touches the mask by a corner only
    assert not outline[0].any()
    assert not boundary(np.ones((8, 8), bool)).any()  # the border of the image is not an outline
    assert not boundary(np.zeros((8, 8), bool)).any()


def test_corruption_keeps_near_when_mild() -> None:
    mask = disk((96, 96), (48, 44), 25)
    mild = [iou(corrupt(mask, np.random.default_rng(n), mild=True), mask) for n in range(20)]
    strong = [iou(corrupt(mask, np.random.default_rng(n), mild=False), mask) for n in range(20)]
    assert min(mild) > 0.5
    assert np.mean(strong) < np.mean(mild) < 0.999
    one, again = (corrupt(mask, np.random.default_rng(7), mild=False) for _ in range(2))
    np.testing.assert_array_equal(one, again)


def test_a_state_is_like_an_answer_of_the_network() -> None:
    mask = disk((64, 64), (30, 34), 15)
    probability, edge = state_of(mask, np.random.default_rng(0))
    assert iou(probability >= 0.5, mask) > 0.95
    assert edge[boundary(mask)].mean() > 5 * edge[~boundary(mask)].mean()


def test_corrections_lie_where_the_mask_is_wrong() -> None:
    wanted, rng = disk((64, 64), (32, 32), 20), np.random.default_rng(0)
    too_small, too_large = disk((64, 64), (32, 20), 8), wanted | disk((64, 64), (10, 50), 12)
    for _ in range(20):
        stroke = first_prompts(wanted, too_small, False, CONFIG, rng)[0]
        row, column = (int(v) for v in stroke.points[0])
        assert stroke.positive
        assert wanted[row, column]
        assert not too_small[row, column]
        stroke = first_prompts(wanted, too_large, False, CONFIG, rng)[0]
        row, column = (int(v) for v in stroke.points[0])
        assert not stroke.positive
        assert too_large[row, column]
        assert not wanted[row, column]
    assert first_prompts(wanted, wanted, False, CONFIG, rng) == []
    assert first_prompts(wanted, too_small, True, CONFIG, rng)[0].width > 0


def test_points_are_deep_and_scribbles_stay_inside() -> None:
    region, rng = disk((64, 64), (32, 32), 20), np.random.default_rng(0)
    depth = ndimage.distance_transform_edt(region)
    for _ in range(20):
        row, column = draw_point(region, rng)
        assert depth[int(row), int(column)] >= 0.4 * depth.max()
        stroke = draw_scribble(region, positive=False, rng=rng)
        assert isinstance(stroke, Stroke)
        assert stroke.width > 0
        assert all(region[round(row), round(column)] for row, column in stroke.points)


def test_the_eight_ways_to_lay_a_square() -> None:
    square = np.arange(9).reshape(3, 3)
    ways = {orient(square, turn).tobytes() for turn in range(8)}
    assert len(ways) == 8
    np.testing.assert_array_equal(orient(square, 0), square)


@pytest.mark.parametrize("hounsfield", [True, False])
def test_windows_vary_and_stay_in_range(cases: list[Case], hounsfield: bool) -> None:
    one = replace(cases[0], hounsfield=hounsfield)
    values = np.take(one.image, 11, 2)
    windows: list[NDArray[np.float32]] = [window_slice(one, values, np.random.default_rng(n)) for n in range(8)]
    assert all(0 <= w.min() <= w.max() <= 1 for w in windows)
    assert len({w.tobytes() for w in windows}) == 8
    eight_bit = replace(one, image=np.zeros(one.image.shape, np.uint8), hounsfield=False)
    full = window_slice(eight_bit, np.array([[0, 128, 255]], np.uint8), np.random.default_rng(0))
    assert full[0, 1] == pytest.approx(0.5, abs=0.2)


@pytest.mark.parametrize("seed", range(8))
def test_boxes_and_lassos_go_round_the_object_and_lines_across_it(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows, columns = np.ogrid[:64, :64]
    truth = ((rows - 30) / 10) ** 2 + ((columns - 34) / 22) ** 2 <= 1
    identity = Crop((-0.5, -0.5), (1.0, 1.0), 64, (64, 64))
    box, lasso, line = draw_box(truth, rng), draw_lasso(truth, rng), draw_line(truth, rng)
    for region, least in ((box, 0.6), (lasso, 0.55)):
        inside = fill_regions([region], identity) > 0
        assert (inside & truth).sum() / truth.sum() > 0.85
        assert (truth & inside).sum() / inside.sum() > least
    (r0, c0), (r1, c1) = line.points
    assert abs(r0 - r1) < 6
    assert 30 < abs(c0 - c1) < 44  # 84 % of the longest diameter, the ends off by a little


def test_tiny_objects_can_be_drawn_round() -> None:
    truth = np.zeros((48, 48), bool)
    truth[20, 20:22] = True
    rng = np.random.default_rng(0)
    for draw in (draw_box, draw_lasso, draw_line):
        assert len(draw(truth, rng).points) >= 2


def test_presence_tells_where_structures_are(cases: list[Case]) -> None:
    for one in cases:
        assert tuple(one.presence) == one.axes
        for axis, values in one.presence.items():
            assert list(values) == [value for value in np.unique(one.labels).tolist() if value > 0]
            for value, slices in values.items():
                others = tuple(a for a in range(3) if a != axis)
                assert slices.tolist() == np.flatnonzero((one.labels == value).any(axis=others)).tolist()
