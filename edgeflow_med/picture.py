"""A picture of what was found: the annotated slice, its edge map, and a strip of the slices that propagation reached.

Everything is drawn in true proportions: lengths are millimetres until a panel turns them into its pixels. Lines are
drawn several times too large and reduced, which is how they get smooth.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from skimage.measure import find_contours

Plane2D = NDArray[np.float32]
Colour = tuple[int, int, int]

WIDTH = 2000
MARGIN, GAP, TILE_GAP = 56, 16, 12
TILES, MAX_ROWS = 9, 6
LOCATOR = 210
OVERSAMPLING = 4
BACKGROUND, PANEL, TEXT, FAINT = (13, 15, 20), (0, 0, 0), (236, 239, 244), (138, 147, 163)
POSITIVE, NEGATIVE = (52, 211, 120), (255, 82, 92)
COOL, WARM = (72, 190, 255), (255, 168, 72)
_BARS_MM = (1, 2, 5, 10, 20, 50, 100, 200)


@dataclass(frozen=True)
class Mark:
    """A click or scribble: its points ``(row, column)`` in pixels of the slice."""

    points: tuple[tuple[float, float], ...]
    positive: bool = True


@dataclass(frozen=True, eq=False)
class SlicePanel:
    """One slice as it is shown, upright.

    Attributes:
        number: Number of the slice.
        image: ``(H, W)`` in [0, 1].
        level: ``(H, W)``; the outline runs where it crosses 0.5.
        edge: ``(H, W)`` edge probability; None if there is none.
        quality: Expected IoU in [0, 1]; None if unknown.
    """

    number: int
    image: Plane2D
    level: Plane2D
    edge: Plane2D | None = None
    quality: float | None = None


@dataclass(frozen=True, eq=False)
class SegmentPicture:
    """One row of the picture.

    Attributes:
        label: The segment's name.
        colour: RGB of its outline.
        spacing: Millimetres between rows and between columns.
        letters: Patient directions at the top, bottom, left and right border.
        axis: Letter of the axis that the slices are numbered along.
        main: The slice to show large.
        marks: Prompts on it.
        strip: Slices from first to last.
        facts: Names and values to show beside the label.
    """

    label: str
    colour: Colour
    spacing: tuple[float, float]
    letters: tuple[str, str, str, str]
    axis: str
    main: SlicePanel
    marks: tuple[Mark, ...]
    strip: tuple[SlicePanel, ...]
    facts: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Field:
    """A square piece of a slice and the square of pixels that shows it.

    Attributes:
        centre: Row and column in the slice.
        side_mm: Side of the piece.
        pixels: Side of the panel.
        spacing: Millimetres between rows and between columns.
    """

    centre: tuple[float, float]
    side_mm: float
    pixels: int
    spacing: tuple[float, float]

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Top, left, bottom, right in the slice, borders of pixels at halves."""
        half = [self.side_mm / mm / 2 for mm in self.spacing]
        row, column = self.centre
        return row - half[0], column - half[1], row + half[0], column + half[1]

    def sample(self, plane: Plane2D) -> Plane2D:
        """The piece, ``(pixels, pixels)``, cubic; 0 beyond the slice."""
        top, left, bottom, right = (value + 0.5 for value in self.box)
        height, width = plane.shape
        reach = 3 + max(0, *(int(np.ceil(v)) for v in (-top, -left, bottom - height, right - width)))
        padded = np.pad(plane.astype(np.float32), reach, mode="edge")
        box = (left + reach, top + reach, right + reach, bottom + reach)
        resized = Image.fromarray(padded).resize((self.pixels, self.pixels), Image.Resampling.BICUBIC, box=box)
        piece = np.clip(np.asarray(resized), 0.0, 1.0)
        middles = (np.arange(self.pixels) + 0.5) / self.pixels
        rows, columns = top + (bottom - top) * middles, left + (right - left) * middles
        inside = ((rows > 0) & (rows < height))[:, None] & ((columns > 0) & (columns < width))[None]
        return np.where(inside, piece, 0.0).astype(np.float32)

    def place(self, points: Iterable[Sequence[float]]) -> list[tuple[float, float]]:
        """Points (row, column) of the slice -> (x, y) in the panel."""
        top, left, _, _ = self.box
        scale = [mm * self.pixels / self.side_mm for mm in self.spacing]
        return [((column - left) * scale[1], (row - top) * scale[0]) for row, column in points]


def draw_picture(rows: Sequence[SegmentPicture], caption: str, notice: str) -> Image.Image:
    """Draw one row per segment; see the module.

    Args:
        rows: At least one; those after the first :data:`MAX_ROWS` are only counted.
        caption: What was read and what answered it, at the bottom left.
        notice: At the bottom right.

    Returns:
        RGB, :data:`WIDTH` pixels wide.
    """
    if len(rows) > MAX_ROWS:
        caption += f"  ·  {len(rows) - MAX_ROWS} more segments are not shown"
        rows = rows[:MAX_ROWS]
    main = (WIDTH - 2 * MARGIN - GAP) // 2
    tile = (WIDTH - 2 * MARGIN - (TILES - 1) * TILE_GAP) // TILES
    height = 132 + main + 28 + tile + 56
    canvas = Image.new("RGB", (WIDTH, MARGIN // 2 + len(rows) * height + 72), BACKGROUND)
    for number, row in enumerate(rows):
        _draw_row(canvas, row, MARGIN // 2 + number * height, main, tile)
    foot = canvas.height - 40
    _write(canvas, (MARGIN, foot), caption, 22, FAINT, "ls")
    _write(canvas, (WIDTH - MARGIN, foot), notice, 22, FAINT, "rs")
    return canvas


def _draw_row(canvas: Image.Image, row: SegmentPicture, top: int, main: int, tile: int) -> None:
    _draw_header(canvas, row, top)
    below = top + 132
    field = _main_field(row, main)
    left, right = MARGIN, MARGIN + main + GAP
    outlined = _grey(field.sample(row.main.image))
    outlined = _outline(outlined, row.main, field, row.colour, 3.2)
    for mark in row.marks:
        outlined = _mark(outlined, field, mark)
    canvas.paste(outlined, (left, below))
    canvas.paste(_glow(row.main, field, row.colour, 1.0, 0.8), (right, below))
    for corner, text in ((left, f"{row.axis} = {row.main.number}"), (right, "edge map")):
        _write(canvas, (corner + 22, below + 22), text, 26, TEXT, "la", shadow=True)
    _draw_locator(canvas, row, field, (left + main, below + main))
    _draw_directions(canvas, row.letters, left, below, main)
    _draw_scale(canvas, field, left, below + main)
    _draw_strip(canvas, row, below + main + 28, tile)


def _draw_header(canvas: Image.Image, row: SegmentPicture, top: int) -> None:
    middle = top + 66
    dot = Image.new("L", (40 * OVERSAMPLING,) * 2)
    ImageDraw.Draw(dot).ellipse([0, 0, dot.width - 1, dot.height - 1], fill=255)
    dot = dot.reduce(OVERSAMPLING).resize((26, 26), Image.Resampling.LANCZOS)
    canvas.paste(Image.new("RGB", dot.size, row.colour), (MARGIN, middle - 13), dot)
    edge = WIDTH - MARGIN
    for name, value in reversed(row.facts):
        width = max(_length(value, 36), _length(name, 20))
        _write(canvas, (edge - width, middle - 26), name, 20, FAINT, "lm")
        _write(canvas, (edge - width, middle + 12), value, 36, TEXT, "lm")
        edge -= int(width) + 56
    label, size = " ".join(row.label.split()), 54
    while size > 26 and _length(label, size) > edge - MARGIN - 44:
        size -= 2
    _write(canvas, (MARGIN + 44, middle), label, size, TEXT, "lm")


def _draw_strip(canvas: Image.Image, row: SegmentPicture, top: int, tile: int) -> None:
    centre, side = _strip_field(row)
    field = Field(centre, side, tile, row.spacing)
    for place, panel in enumerate(row.strip):
        left = MARGIN + place * (tile + TILE_GAP)
        picture = _outline(_glow(panel, field, row.colour, 0.75, 0.9), panel, field, row.colour, 1.8)
        canvas.paste(picture, (left, top))
        shown = panel.number == row.main.number
        name = f"{row.axis} = {panel.number}"
        _write(canvas, (left, top + tile + 26), name, 22, TEXT, "lm")
        if shown:
            ImageDraw.Draw(canvas).rectangle([left, top, left + tile - 1, top + tile - 1], outline=TEXT, width=2)
        if panel.quality is not None:
            beside = left + _length(name, 22) + 14
            _write(canvas, (beside, top + tile + 26), f"quality {panel.quality:.2f}", 18, FAINT, "lm")


def _draw_directions(canvas: Image.Image, letters: Sequence[str], left: int, top: int, side: int) -> None:
    half = side // 2
    places = (
        ((half, 24), "mt"),
        ((half, side - 24), "mb"),
        ((20, half), "lm"),
        ((side - 20, half), "rm"),
    )
    for letter, ((x, y), anchor) in zip(letters, places, strict=True):
        _write(canvas, (left + x, top + y), letter, 26, FAINT, anchor, shadow=True)


def _draw_scale(canvas: Image.Image, field: Field, left: int, bottom: int) -> None:
    """A bar of a round number of millimetres, at most a quarter of the panel."""
    length = max((mm for mm in _BARS_MM if mm <= field.side_mm / 4), default=_BARS_MM[0])
    end = left + 24 + round(length * field.pixels / field.side_mm)
    ImageDraw.Draw(canvas).rectangle([left + 24, bottom - 30, end, bottom - 26], fill=TEXT)
    _write(canvas, (left + 24, bottom - 42), f"{length} mm", 24, TEXT, "ls", shadow=True)


def _draw_locator(canvas: Image.Image, row: SegmentPicture, field: Field, corner: tuple[int, int]) -> None:
    """The whole slice, small, with the shown piece framed; only where the panel shows much less than the slice."""
    (rows, columns), (row_mm, column_mm) = row.main.image.shape, row.spacing
    whole = max(rows * row_mm, columns * column_mm)
    if field.side_mm > 0.7 * whole:
        return
    scale = LOCATOR / whole
    size = (round(columns * column_mm * scale), round(rows * row_mm * scale))
    left, top = corner[0] - size[0] - 20, corner[1] - size[1] - 20
    canvas.paste(_grey(0.8 * row.main.image).resize(size, Image.Resampling.LANCZOS), (left, top))
    draw = ImageDraw.Draw(canvas)
    draw.rectangle([left - 1, top - 1, left + size[0], top + size[1]], outline=FAINT)
    box = [(value + 0.5) * mm * scale for value, mm in zip(field.box, (row_mm, column_mm) * 2, strict=True)]
    draw.rectangle([left + box[1], top + box[0], left + box[3], top + box[2]], outline=row.colour, width=2)


def _main_field(row: SegmentPicture, pixels: int) -> Field:
    """Around the outline with its surroundings, inside the slice as far as it goes."""
    top, left, bottom, right = _extent([row.main.level])
    extent = max((bottom - top) * row.spacing[0], (right - left) * row.spacing[1])
    shape = row.main.image.shape
    whole = max(shape[0] * row.spacing[0], shape[1] * row.spacing[1])
    side = min(max(2.6 * extent, 70.0), whole)
    centre = []
    for low, high, count, mm in ((top, bottom, shape[0], row.spacing[0]), (left, right, shape[1], row.spacing[1])):
        half = side / mm / 2
        middle, first, last = (low + high) / 2, half - 0.5, count - 0.5 - half
        centre.append(min(max(middle, first), last) if first <= last else (count - 1) / 2)
    return Field((centre[0], centre[1]), side, pixels, row.spacing)


def _strip_field(row: SegmentPicture) -> tuple[tuple[float, float], float]:
    """One centre and side for all tiles: the union of the outlines, with a margin."""
    top, left, bottom, right = _extent([panel.level for panel in row.strip])
    extent = max((bottom - top) * row.spacing[0], (right - left) * row.spacing[1])
    return ((top + bottom) / 2, (left + right) / 2), max(1.45 * extent, 10 * min(row.spacing))


def _extent(levels: Sequence[Plane2D]) -> tuple[float, float, float, float]:
    """First and last row and column of the foreground of several slices: top, left, bottom, right, pixels' borders."""
    inside = np.any([level >= 0.5 for level in levels], axis=0)
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    return rows[0] - 0.5, columns[0] - 0.5, rows[-1] + 0.5, columns[-1] + 0.5


def _grey(plane: Plane2D) -> Image.Image:
    return Image.fromarray(np.round(plane * 255).astype(np.uint8)).convert("RGB")


def _outline(picture: Image.Image, panel: SlicePanel, field: Field, colour: Colour, width: float) -> Image.Image:
    """Draw the outline with a dark rim, so that it shows on any grey."""
    level = np.pad(field.sample(panel.level), 1)
    lines = [[(x - 1 + 0.5, y - 1 + 0.5) for y, x in line] for line in find_contours(level, 0.5)]
    picture = _stroke(picture, lines, (0, 0, 0), 2.4 * width, 0.45)
    return _stroke(picture, lines, colour, width, 1.0)


def _stroke(
    picture: Image.Image,
    lines: Iterable[Sequence[tuple[float, float]]],
    colour: Colour,
    width: float,
    opacity: float,
) -> Image.Image:
    """Draw smooth lines through points (x, y) of the picture."""
    ink = Image.new("L", (picture.width * OVERSAMPLING, picture.height * OVERSAMPLING))
    draw = ImageDraw.Draw(ink)
    for line in lines:
        points = [(x * OVERSAMPLING, y * OVERSAMPLING) for x, y in line]
        draw.line(points, fill=round(255 * opacity), width=round(width * OVERSAMPLING), joint="curve")
    return Image.composite(Image.new("RGB", picture.size, colour), picture, ink.reduce(OVERSAMPLING))


def _mark(picture: Image.Image, field: Field, mark: Mark) -> Image.Image:
    """A click as a disk with its sign, a scribble as a line."""
    colour = POSITIVE if mark.positive else NEGATIVE
    points = field.place(mark.points)
    if len(points) > 1:
        return _stroke(picture, [points], colour, 7, 0.85)
    x, y = points[0]
    for radius, fill in ((15, (0, 0, 0)), (14, (255, 255, 255)), (11.5, colour)):
        picture = _disk(picture, (x, y), radius, fill)
    signs = [[(x - 5.5, y), (x + 5.5, y)]] + ([[(x, y - 5.5), (x, y + 5.5)]] if mark.positive else [])
    return _stroke(picture, signs, (255, 255, 255), 2.6, 1.0)


def _disk(picture: Image.Image, centre: tuple[float, float], radius: float, colour: Colour) -> Image.Image:
    ink = Image.new("L", (picture.width * OVERSAMPLING, picture.height * OVERSAMPLING))
    x, y = (value * OVERSAMPLING for value in centre)
    reach = radius * OVERSAMPLING
    ImageDraw.Draw(ink).ellipse([x - reach, y - reach, x + reach, y + reach], fill=255)
    return Image.composite(Image.new("RGB", picture.size, colour), picture, ink.reduce(OVERSAMPLING))


def _glow(panel: SlicePanel, field: Field, colour: Colour, strength: float, brightness: float) -> Image.Image:
    """The slice with its edge map as light: cool if the outline is warm, warm if it is cool, white where it is sure."""
    base = brightness * np.repeat(field.sample(panel.image)[..., None], 3, axis=2)
    if panel.edge is not None:
        edge = field.sample(panel.edge)
        bloom = np.asarray(
            Image.fromarray(np.round(edge * 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(field.pixels / 90)),
            dtype=np.float32,
        )
        tint = np.array(COOL if colour[0] > colour[2] else WARM, np.float32) / 255
        light = (1.3 * edge**1.2 + bloom / 255)[..., None] * tint + 0.55 * (edge**3)[..., None]
        base = 1 - (1 - base) * (1 - np.clip(strength * light, 0, 1))
    return Image.fromarray(np.round(np.clip(base, 0, 1) * 255).astype(np.uint8))


def _write(
    canvas: Image.Image,
    place: tuple[float, float],
    text: str,
    size: int,
    colour: Colour,
    anchor: str,
    *,
    shadow: bool = False,
) -> None:
    draw, font = ImageDraw.Draw(canvas), _font(size, _is_plain(text))
    draw.text(place, text, colour, font, anchor, stroke_width=2 if shadow else 0, stroke_fill=PANEL)


def _length(text: str, size: int) -> float:
    return _font(size, _is_plain(text)).getlength(text)


def _is_plain(text: str) -> bool:
    """Whether Pillow's own font has all letters."""
    return all(character.isascii() or character == "·" for character in text)


@lru_cache
def _font(size: int, plain: bool) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    if plain:
        return ImageFont.load_default(size)
    import matplotlib as mpl

    return ImageFont.truetype(Path(mpl.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", round(size * 0.9))
