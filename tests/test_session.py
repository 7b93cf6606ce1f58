"""A session on an oblique volume with a ball in it, with a predictor whose answers can be told beforehand."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgeflow_med.errors import EdgeFlowError, GeometryError, PromptError, UsageError
from edgeflow_med.predictors.base import SliceRequest
from edgeflow_med.predictors.zoom import ZoomPolicy
from edgeflow_med.prompts import Click, Scribble
from edgeflow_med.propagation import Stop
from edgeflow_med.segmentation import AlgorithmType
from edgeflow_med.session import MAX_SEGMENTS, Session
from edgeflow_med.volume import Index, Plane, Volume
from tests.phantoms import Phantom
from tests.region_growing import RegionGrower, iou

SHAPE = (24, 40, 48)
MIDDLE = (12, 18, 26)
RADIUS = 8
SMALL = ZoomPolicy(size=96)  # squares as large as the slices need, so that many can be answered


def ball(centre: Index = MIDDLE, radius: float = RADIUS, shape: Index = SHAPE) -> NDArray[np.bool_]:
    """Voxels within ``radius`` voxels of ``centre``."""
    grid = np.indices(shape)
    return np.asarray(sum((grid[axis] - centre[axis]) ** 2 for axis in range(3)) <= radius**2)


def scan(mask: NDArray[np.bool_]) -> Volume:
    """An oblique MR volume, 900 inside the mask and 100 outside."""
    phantom = Phantom(shape=mask.shape, spacing=(1.5, 1.0, 1.0))  # type: ignore[arg-type]
    return Volume(np.where(mask, 900, 100).astype(np.int16), phantom.affine, modality="MR")


@pytest.fixture
def session() -> Session:
    return Session(scan(ball()), RegionGrower(SMALL), window="0,1000")


class Watcher(RegionGrower):
    """Keeps the requests."""

    def __init__(self) -> None:
        super().__init__(SMALL)
        self.seen: list[SliceRequest] = []

    def predict(self, request: SliceRequest):  # type: ignore[no-untyped-def]
        self.seen.append(request)
        return super().predict(request)


def test_a_click_outlines_one_slice(session: Session) -> None:
    segment = session.add_segment("Lesion")
    change = session.click(MIDDLE)
    assert change.answer is not None
    mask = session.mask()
    assert mask.shape == SHAPE
    assert mask.dtype == np.bool_
    assert iou(mask[12], ball()[12]) > 0.9
    np.testing.assert_array_equal(mask[12], change.answer.mask)
    assert not np.delete(mask, 12, 0).any()
    assert list(segment.slices) == [(0, 12)]
    assert segment.slices[0, 12].prompts == (Click(MIDDLE),)
    assert session.prompt_seconds() == [change.seconds]
    assert session.edge_quality(segment, 12) > 0.05


@pytest.mark.parametrize("plane", list(Plane))
def test_every_plane_is_segmented_in_its_own_slices(plane: Plane) -> None:
    volume = scan(ball())
    session = Session(volume, RegionGrower(SMALL), plane=plane, window="0,1000")
    session.add_segment("Lesion")
    session.click(MIDDLE)
    assert session.axis == volume.axis(plane)
    touched = np.flatnonzero(session.mask().any(tuple(a for a in range(3) if a != session.axis)))
    assert touched.tolist() == [MIDDLE[session.axis]]
    assert iou(np.take(session.mask(), touched[0], session.axis), np.take(ball(), touched[0], session.axis)) > 0.9
    assert session.slice_spacing == tuple(np.delete(volume.spacing, session.axis))
    list(session.propagate())
    assert iou(session.mask(), ball()) > 0.9


def test_the_plane_of_acquisition_is_the_default(session: Session) -> None:
    assert session.axis == 0
    assert session.plane == session.volume.acquisition_plane


@given(st.permutations(range(3)), st.lists(st.booleans(), min_size=3, max_size=3))
@settings(max_examples=12, deadline=None)
def test_a_turned_volume_gets_a_turned_mask(axes: list[int], flips: list[bool]) -> None:
    flipped = [axis for axis, flip in enumerate(flips) if flip]
    index = tuple(SHAPE[axes[n]] - 1 - MIDDLE[axes[n]] if n in flipped else MIDDLE[axes[n]] for n in range(3))

    def turn(array: NDArray[np.generic]) -> NDArray[np.generic]:
        return np.flip(array.transpose(axes), flipped)

    volume = scan(ball())
    affine = volume.affine[:, [*axes, 3]]
    turned_shape = turn(volume.array).shape
    for axis in flipped:
        affine[:, 3] += affine[:, axis] * (turned_shape[axis] - 1)
        affine[:, axis] *= -1
    masks = []
    for given_volume, click in ((volume, MIDDLE), (Volume(turn(volume.array), affine, modality="MR"), index)):
        session = Session(given_volume, RegionGrower(SMALL), plane=Plane.AXIAL, window="0,1000")
        session.add_segment("Lesion")
        session.click(click)
        masks.append(session.mask())
    np.testing.assert_array_equal(turn(masks[0]), masks[1])


def test_clicks_add_up_and_the_last_answer_is_handed_on() -> None:
    watcher = Watcher()
    session = Session(scan(ball()), watcher, window="0,1000")
    session.add_segment("Lesion")
    first = session.click(MIDDLE)
    session.click((12, 18, 33), positive=False)
    assert [len(request.strokes) for request in watcher.seen] == [1, 2]
    assert watcher.seen[0].previous is None
    assert first.answer is not None
    previous = watcher.seen[1].previous
    assert previous is not None
    np.testing.assert_array_equal(previous.probability, first.answer.probability)
    np.testing.assert_array_equal(previous.edge, first.answer.edge)
    assert watcher.seen[1].strokes[1].points == ((18.0, 33.0),)
    assert not watcher.seen[1].strokes[1].positive
    assert not session.mask()[12, 18, 33]
    session.click((13, 18, 26))
    assert len(watcher.seen[2].strokes) == 1  # prompts belong to their slice
    assert watcher.seen[2].previous is None


def test_a_scribble_is_handed_on_in_pixels() -> None:
    watcher = Watcher()
    session = Session(scan(ball()), watcher, window="0,1000", plane="coronal")
    session.add_segment("Lesion")
    axis = session.axis
    ends = [list(MIDDLE), list(MIDDLE)]
    ends[1][(axis + 1) % 3] += 4
    session.scribble(ends, width_mm=3.0)
    (stroke,) = watcher.seen[0].strokes
    assert [list(point) for point in stroke.points] == [[v for a, v in enumerate(e) if a != axis] for e in ends]
    assert stroke.width == pytest.approx(3.0 / min(session.slice_spacing))
    assert isinstance(session.segments[0].slices[axis, MIDDLE[axis]].prompts[0], Scribble)


@given(st.tuples(*(st.integers(0, n - 1) for n in SHAPE)), st.booleans())
@settings(max_examples=25, deadline=None)
def test_every_click_is_obeyed_at_its_voxel(index: Index, positive: bool) -> None:
    session = Session(scan(ball()), RegionGrower(SMALL), window="0,1000")
    session.add_segment("Lesion")
    session.click(MIDDLE)
    session.click(index, positive)
    assert session.mask()[index] == positive


def test_propagation_finds_the_ball_and_proposes_it(session: Session) -> None:
    segment = session.add_segment("Lesion")
    session.click(MIDDLE)
    steps = list(session.propagate(segment))
    assert iou(session.mask(), ball()) > 0.9
    assert {step.direction: step.stop for step in steps if step.stop} == {-1: Stop.ENDED, 1: Stop.ENDED}
    assert segment.proposed == sorted({(0, step.index) for step in steps if step.prediction is not None})
    assert (0, 12) not in segment.proposed
    assert session.segmentation().segments[0].unreviewed_slices == len(segment.proposed)


def test_a_prompt_on_a_proposed_slice_reviews_it(session: Session) -> None:
    segment = session.add_segment("Lesion")
    session.click(MIDDLE)
    list(session.propagate(limit=2))
    assert segment.proposed == [(0, 10), (0, 11), (0, 13), (0, 14)]
    session.click((13, 18, 26))
    assert segment.proposed == [(0, 10), (0, 11), (0, 14)]


def test_slices_of_the_reader_are_never_overwritten(session: Session) -> None:
    segment = session.add_segment("Lesion")
    session.click(MIDDLE)
    session.click((15, 18, 26))
    session.click((15, 18, 31), positive=False)
    mine = session.mask()[15]
    steps = list(session.propagate(segment))
    np.testing.assert_array_equal(session.mask()[15], mine)
    assert [step.index for step in steps if step.stop is Stop.REACHED] == [15, 12]
    assert {12, 15}.isdisjoint(step.index for step in steps if step.prediction is not None)


def test_a_second_run_takes_back_what_the_first_proposed_within_its_range(session: Session) -> None:
    segment = session.add_segment("Lesion")
    session.click(MIDDLE)
    list(session.propagate(segment))
    first = dict(segment.on_axis(0))
    session.click(MIDDLE, positive=False)
    session.click((12, 18, 30))
    list(session.propagate(segment, limit=1))
    second = dict(segment.on_axis(0))
    assert second.keys() == first.keys()
    assert {index for index in first if first[index] is not second[index]} == {11, 12, 13}


def test_cancelling_keeps_what_is_done(session: Session) -> None:
    segment = session.add_segment("Lesion")
    session.click(MIDDLE)
    steps = session.propagate(segment)
    next(steps)
    next(steps)
    steps.close()  # type: ignore[attr-defined]
    assert np.flatnonzero(session.mask().any((1, 2))).tolist() == [10, 11, 12]
    assert segment.proposed == [(0, 10), (0, 11)]


def test_segments_are_kept_apart(session: Session) -> None:
    one, two = session.add_segment("One"), session.add_segment("Two")
    session.click(MIDDLE, segment=one)
    session.click((2, 2, 2), segment=two)
    assert session.segments == (one, two)
    assert session.mask(one)[12].any()
    assert not session.mask(two)[12].any()
    saved = session.segmentation()
    assert [(s.number, s.label) for s in saved.segments] == [(1, "One"), (2, "Two")]
    assert saved.segments[0].colour != saved.segments[1].colour
    with pytest.raises(UsageError, match="say which one"):
        session.click(MIDDLE)


def test_an_existing_mask_is_corrected_and_then_no_longer_automatic() -> None:
    watcher = Watcher()
    session = Session(scan(ball()), watcher, window="0,1000")
    existing = ball(radius=5)
    segment = session.add_segment("Lesion", existing)
    assert session.segmentation().segments[0].algorithm_type is AlgorithmType.AUTOMATIC
    assert session.segmentation().segments[0].algorithm_name == ""
    session.click((12, 18, 32), segment=segment)
    previous = watcher.seen[0].previous
    assert previous is not None
    np.testing.assert_array_equal(previous.mask, existing[12])
    entry = session.segmentation().segments[0]
    assert entry.algorithm_type is AlgorithmType.SEMIAUTOMATIC
    assert (entry.algorithm_name, entry.algorithm_version) == ("region-growing", "1")
    np.testing.assert_array_equal(session.mask()[5], existing[5])
    assert iou(session.mask()[12], ball()[12]) > 0.9
    assert existing.sum() == ball(radius=5).sum()  # the caller's array is his


def test_a_mask_is_a_copy(session: Session) -> None:
    session.add_segment("Lesion")
    session.click(MIDDLE)
    session.mask()[:] = True
    assert not session.mask().all()
    kept = session.segmentation()
    session.click((12, 18, 30), positive=False)
    assert kept.masks[0][12, 18, 30]


def test_the_model_sees_the_window() -> None:
    watcher = Watcher()
    session = Session(scan(ball()), watcher, window="100,500")
    session.add_segment("Lesion")
    session.click(MIDDLE)
    assert np.unique(watcher.seen[0].image).tolist() == [0.0, 1.0]
    assert session.window.low == 100
    assert "100 to 500" in session.segmentation().note


def test_saving(session: Session, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no segments"):
        session.save(tmp_path / "lesion.nii.gz")
    session.add_segment("Lesion")
    session.click(MIDDLE)
    session.save(tmp_path / "lesion.nii.gz")
    written = nib.load(tmp_path / "lesion.nii.gz")
    np.testing.assert_array_equal(np.asanyarray(written.dataobj).transpose(2, 1, 0) == 1, session.mask())


WRONG = {
    "outside": (lambda s: s.click((12, 40, 0)), PromptError, r"\(12, 40, 0\) lies outside"),
    "negative index": (lambda s: s.click((-1, 0, 0)), PromptError, "lies outside"),
    "two numbers": (lambda s: s.click((1, 2)), PromptError, "three numbers"),
    "two slices": (lambda s: s.scribble([(1, 2, 3), (2, 2, 3)]), PromptError, "one slice"),
    "one point": (lambda s: s.scribble([(1, 2, 3)]), PromptError, "two points"),
    "nothing yet": (lambda s: s.propagate(), PromptError, "nothing to propagate"),
    "empty label": (lambda s: s.add_segment(" "), UsageError, "1 to 64"),
    "long label": (lambda s: s.add_segment("x" * 65), UsageError, "1 to 64"),
    "other grid": (lambda s: s.add_segment("x", np.zeros((1, 2, 3), bool)), GeometryError, r"\(1, 2, 3\)"),
    "stranger": (
        lambda s: s.click(MIDDLE, segment=Session(s.volume, RegionGrower(SMALL), journal=False).add_segment("x")),
        UsageError,
        "does not belong",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_use_is_refused_and_changes_nothing(session: Session, case: str) -> None:
    act, error, message = WRONG[case]
    session.add_segment("Lesion")
    with pytest.raises(error, match=message) as caught:
        act(session)
    assert isinstance(caught.value, EdgeFlowError)
    assert "\n" not in str(caught.value)
    assert len(session.segments) == 1
    assert not session.mask().any()
    assert not session.segments[0].slices


def test_unknown_planes_and_windows_are_refused() -> None:
    with pytest.raises(UsageError, match="diagonal"):
        Session(scan(ball()), RegionGrower(SMALL), plane="diagonal")
    with pytest.raises(UsageError, match="stained glass"):
        Session(scan(ball()), RegionGrower(SMALL), window="stained glass")


def test_no_more_segments_than_a_label_map_can_count() -> None:
    session = Session(scan(ball(shape=(2, 2, 2), centre=(0, 0, 0), radius=1)), RegionGrower(SMALL))
    for number in range(MAX_SEGMENTS):
        session.add_segment(str(number))
    with pytest.raises(UsageError, match="at most 255"):
        session.add_segment("one too many")
