"""The picture tells the truth: proportions, places and lengths are those of the scan."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from edgeflow_med.picture import (
    GAP,
    MARGIN,
    MAX_ROWS,
    NEGATIVE,
    POSITIVE,
    TEXT,
    WIDTH,
    Field,
    Mark,
    SegmentPicture,
    SlicePanel,
    draw_picture,
)

COLOUR = (230, 159, 0)
SIDE = (WIDTH - 2 * MARGIN - GAP) // 2
TOP = MARGIN // 2 + 132
SPACING = (2.0, 0.8)  # mm between rows and between columns
SHAPE = (60, 150)


def disk(radius_mm: float = 18.0, centre: tuple[float, float] = (30, 70)) -> NDArray[np.float32]:
    """A disk in mm, so an ellipse of pixels; soft at its border."""
    rows, columns = np.indices(SHAPE)
    distance = np.hypot((rows - centre[0]) * SPACING[0], (columns - centre[1]) * SPACING[1])
    return np.clip(0.5 + (radius_mm - distance) / 4, 0, 1).astype(np.float32)


def panel(number: int = 4, level: NDArray[np.float32] | None = None) -> SlicePanel:
    level = disk() if level is None else level
    grey = np.full(SHAPE, 0.3, np.float32)
    return SlicePanel(number, grey, level, (4 * level * (1 - level)).astype(np.float32), 0.9)


def row(**changes: object) -> SegmentPicture:
    plain = SegmentPicture(
        label="Disk",
        colour=COLOUR,
        spacing=SPACING,
        letters=("A", "P", "R", "L"),
        axis="k",
        main=panel(),
        marks=(),
        strip=(panel(),),
        facts=(("volume", "1 ml"),),
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def draw(*rows: SegmentPicture) -> NDArray[np.int_]:
    return np.asarray(draw_picture(rows or [row()], "caption", "notice")).astype(int)


def places(picture: NDArray[np.int_], colour: tuple[int, int, int], tolerance: int = 30) -> NDArray[np.int_]:
    """Rows and columns ``(N, 2)`` of pixels of a colour."""
    return np.argwhere(np.abs(picture - colour).max(axis=-1) <= tolerance)


def left_panel(picture: NDArray[np.int_]) -> NDArray[np.int_]:
    return picture[TOP : TOP + SIDE, MARGIN : MARGIN + SIDE]


def scale_mm() -> float:
    """Millimetres to a pixel of the left panel, taken from the scale bar that it shows."""
    bar = left_panel(draw())[SIDE - 28]
    filled = np.flatnonzero(np.abs(bar - TEXT).max(axis=-1) == 0)
    return 20 / (filled[-1] - filled[0])


def test_a_disk_is_drawn_round_and_in_the_size_that_the_scale_bar_says() -> None:
    outline = places(left_panel(draw()), COLOUR)
    height, width = np.ptp(outline, axis=0)
    assert height == pytest.approx(width, rel=0.02)
    assert height * scale_mm() == pytest.approx(36, rel=0.04)


def test_the_outline_lies_where_the_level_crosses_a_half() -> None:
    picture = left_panel(draw())
    outline = places(picture, COLOUR)
    centre = outline.mean(axis=0)
    distance = np.linalg.norm(outline - centre, axis=1) * scale_mm()
    assert np.abs(distance - 18).max() < 0.8


def test_clicks_are_drawn_where_they_are() -> None:
    here, there = (30.0, 70.0), (24.0, 100.0)
    picture = left_panel(draw(row(marks=(Mark((here,)), Mark((there,), positive=False)))))
    green, red = (places(picture, colour, 4).mean(axis=0) for colour in (POSITIVE, NEGATIVE))
    apart = (red - green) * scale_mm()
    assert apart == pytest.approx([(there[0] - here[0]) * 2.0, (there[1] - here[1]) * 0.8], abs=0.4)
    assert green == pytest.approx(places(picture, COLOUR).mean(axis=0), abs=3)


def test_a_scribble_is_drawn_from_end_to_end() -> None:
    picture = left_panel(draw(row(marks=(Mark(((30.0, 60.0), (30.0, 80.0))),))))
    drawn = places(picture, POSITIVE, 60)
    assert np.ptp(drawn[:, 1]) * scale_mm() == pytest.approx(16, abs=0.5)


def test_the_right_panel_glows_where_the_edge_is() -> None:
    picture = draw()[TOP : TOP + SIDE, MARGIN + SIDE + GAP : -MARGIN]
    field = Field((30, 70), SIDE * scale_mm(), SIDE, SPACING)
    edge, dark = field.sample(panel().edge), picture.sum(axis=-1)  # type: ignore[arg-type]
    assert dark[edge > 0.9].mean() > 2 * dark[edge < 0.01].mean()


def test_without_an_edge_map_nothing_glows() -> None:
    plain = draw(row(main=replace(panel(), edge=None)))[TOP + 100 : TOP + SIDE - 100, MARGIN + SIDE + GAP : -MARGIN]
    assert np.ptp(plain, axis=-1).max() == 0


def test_tiles_share_one_scale() -> None:
    small = disk(9.0)
    picture = draw(row(strip=(panel(), panel(5, small))))
    strip = picture[TOP + SIDE + 28 :]
    tile = (WIDTH - 2 * MARGIN - 8 * 12) // 9
    spans = [
        np.ptp(places(strip[:tile, left : left + tile], COLOUR, 60)[:, 1]) for left in (MARGIN, MARGIN + tile + 12)
    ]
    assert spans[0] == pytest.approx(2 * spans[1], rel=0.08)


def test_a_field_samples_and_places_alike() -> None:
    plane = np.zeros(SHAPE, np.float32)
    plane[20, 90] = 1
    field = Field((28.3, 81.7), 61.0, 400, SPACING)
    sampled = field.sample(plane)
    rows, columns = np.indices(sampled.shape)
    centre = (columns * sampled).sum() / sampled.sum() + 0.5, (rows * sampled).sum() / sampled.sum() + 0.5
    assert centre == pytest.approx(field.place([(20, 90)])[0], abs=0.3)


def test_beyond_the_slice_is_black_and_its_border_is_sharp() -> None:
    field = Field((0, 0), 40.0, 400, (1.0, 1.0))
    sampled = field.sample(np.ones((50, 50), np.float32))
    assert np.array_equal(np.unique(sampled), [0, 1])
    assert sampled.mean() == pytest.approx((20.5 / 40) ** 2, abs=0.005)


def test_a_small_piece_of_a_large_slice_shows_where_it_is() -> None:
    level = np.zeros((400, 400), np.float32)
    level[190:210, 190:210] = 1
    large = SlicePanel(1, np.full((400, 400), 0.2, np.float32), level)
    corner = left_panel(draw(row(main=large, strip=(large,), spacing=(1.0, 1.0))))[-240:, -240:]
    frame = places(corner, COLOUR, 0)
    assert np.ptp(frame, axis=0) == pytest.approx(70 / 400 * 210, abs=2)


def test_one_row_per_segment_and_the_rest_are_counted() -> None:
    one, two, many = (draw(*[row()] * n).shape for n in (1, 2, MAX_ROWS + 3))
    assert one[1] == two[1] == many[1] == WIDTH
    assert (many[0] - one[0]) == (MAX_ROWS - 1) * (two[0] - one[0])


@pytest.mark.parametrize("label", ["x" * 64, "Läsion Nr. 5", "病灶", "two\nlines"])
def test_any_label_is_drawn_and_leaves_the_figures_alone(label: str) -> None:
    picture, plain = draw(row(label=label)), draw(row(label="Disk"))
    assert not np.array_equal(picture, plain)
    assert np.array_equal(picture[: TOP - 4, WIDTH - 200 :], plain[: TOP - 4, WIDTH - 200 :])


def test_drawing_twice_gives_the_same_picture() -> None:
    first = draw_picture([row()], "caption", "notice")
    assert isinstance(first, Image.Image)
    assert first.tobytes() == draw_picture([row()], "caption", "notice").tobytes()
