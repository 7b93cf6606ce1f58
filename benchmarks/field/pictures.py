"""One picture a target: what every method drew after one and after three interactions, side by side."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from skimage.measure import find_contours

from benchmarks.field.collect import Field, Measured
from benchmarks.field.outlines import Drawn, Scene, read_outline, scenes
from benchmarks.field.plan import LOOK_MARKS, Folder, models
from edgeflow_med import metrics
from edgeflow_med.io.atomic import write_verified
from edgeflow_med.metrics import bounding_box

GROUP = 4
ROLES = ("best", "median", "worst")
TILE, GAP, LINE = 160, 6, 20
ACROSS = 4  # methods in a row
MARGIN_SHARE, LEAST_MARGIN = 0.6, 14  # around the target: of its extent, and in pixels
OVER = 3  # drawn so many times too large and reduced, which makes lines smooth
TARGET, ANSWER, POSITIVE, NEGATIVE = (250, 214, 60), (72, 170, 255), (60, 220, 120), (255, 80, 90)
PAPER, INK, FAINT = (255, 255, 255), (20, 24, 30), (110, 118, 130)
LARGEST = 300_000  # bytes


@dataclass(frozen=True)
class Picture:
    """A picture on the page.

    Attributes:
        role: ``"best"``, ``"median"`` or ``"worst"`` of ours.
        title: Which target.
        alt: What the picture shows.
        link: From the page's folder.
    """

    role: str
    title: str
    alt: str
    link: str


def choose(field: Field) -> dict[str, str]:
    """Role by key of the target: by our default model's IoU after three clicks, no data set twice in a group."""
    ours = next(measured for measured in field.slices if measured.name == models()[0])
    scores = {
        f"{r.dataset}/{r.target}": r.iou_after(LOOK_MARKS[-1]) for r in ours.entry.report.slices if r.robot == "clicks"
    }
    ranked = sorted(scores, key=lambda key: (-scores[key], key))
    middle = len(ranked) // 2
    about = sorted(ranked, key=lambda key: abs(ranked.index(key) - middle))
    chosen: dict[str, str] = {}
    # With few targets the groups share them out: nobody gets two roles.
    count = min(GROUP, max(1, len(ranked) // len(ROLES)))
    for role, order in (("best", ranked), ("worst", ranked[::-1]), ("median", about)):
        sets: set[str] = set()
        for key in order:
            name = key.partition("/")[0]
            if len(sets) < count and key not in chosen and name not in sets:
                sets.add(name)
                chosen[key] = role
    return chosen


def draw_all(field: Field, sets: Sequence[Path], parts: Folder, folder: Path, base: Path) -> list[Picture]:
    """Write the pictures into a folder, in place of those that are there; links are as seen from ``base``."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.jpg"):
        old.unlink()
    chosen = choose(field)
    found = []
    for number in range(field.rounds):
        for scene in scenes(field.plan, number, sets, list(chosen)):
            role = chosen.pop(scene.key, None)
            if role is not None:
                name = scene.key.partition("/")[0]
                path = folder / f"{role}-{name}-{number + 1}.jpg"
                own = [measured for measured in field.slices if not measured.borrowed]
                shown = [(measured, _drawn(parts, measured, number, scene)) for measured in own]
                save(compose(scene, shown), path)
                link = Path(os.path.relpath(path, base)).as_posix()
                title = f"{scene.key}, {int(scene.task.target.sum())} pixels"
                found.append(Picture(role, title, f"Outlines of all methods on {scene.key}", link))
    return sorted(found, key=lambda picture: (ROLES.index(picture.role), picture.link))


def _drawn(parts: Folder, measured: Measured, number: int, scene: Scene) -> list[Drawn]:
    path = parts.outlines(measured.name, number)
    return [read_outline(path, scene.key, count, scene.task.target.shape[1]) for count in LOOK_MARKS]


def compose(scene: Scene, shown: Sequence[tuple[Measured, list[Drawn]]]) -> Image.Image:
    """The picture: pairs of tiles, ``ACROSS`` methods in a row."""
    rows = -(-len(shown) // ACROSS)
    width, height = 2 * TILE + GAP, TILE + LINE
    sheet = Image.new("RGB", (ACROSS * (width + 2 * GAP) - 2 * GAP, rows * (height + GAP) - GAP), PAPER)
    font = ImageFont.load_default(13)
    pen = ImageDraw.Draw(sheet)
    view = View.around(scene)
    for place, (measured, drawn) in enumerate(shown):
        x, y = (place % ACROSS) * (width + 2 * GAP), (place // ACROSS) * (height + GAP)
        scores = " / ".join(f"{metrics.iou(d.mask, scene.task.target):.2f}" for d in drawn)
        ink = INK if measured.entry.peer is None else FAINT
        pen.text((x, y + 2), _shortened(measured.entry.title, pen, font, width - 76), ink, font)
        pen.text((x + width, y + 2), scores, INK, font, anchor="ra")
        boxes = measured.entry.report.settings.robots == ("box",)
        for number, one in enumerate(drawn):
            sheet.paste(view.tile(scene, one, boxes), (x + number * (TILE + GAP), y + LINE))
    return sheet


def _shortened(
    text: str, pen: ImageDraw.ImageDraw, font: ImageFont.ImageFont | ImageFont.FreeTypeFont, width: int
) -> str:
    while pen.textlength(text, font) > width:
        text = text.rstrip("…")[:-1].rstrip() + "…"
    return text


@dataclass(frozen=True)
class View:
    """A square of millimetres around the target.

    Attributes:
        start: Row and column of its corner.
        scale: Tile pixels for a pixel of the slice, along rows and columns.
    """

    start: tuple[float, float]
    scale: tuple[float, float]

    @classmethod
    def around(cls, scene: Scene) -> View:
        """The target with a margin."""
        spacing = np.divide(scene.task.spacing, min(scene.task.spacing))
        box = bounding_box(scene.task.target)
        low, high = np.array([side.start for side in box]), np.array([side.stop for side in box])
        extent = float(((high - low) * spacing).max())
        side = extent + 2 * max(MARGIN_SHARE * extent / 2, LEAST_MARGIN)
        start = (low + high) / 2 - side / spacing / 2
        rows, columns = (TILE * OVER / side * spacing).tolist()
        return cls((float(start[0]), float(start[1])), (rows, columns))

    def tile(self, scene: Scene, drawn: Drawn, boxes: bool = False) -> Image.Image:
        """The slice with the target's and a method's outline, and the prompts: strokes, or boxes by two corners."""
        side = TILE * OVER
        grey = Image.fromarray(np.rint(scene.task.image * 255).astype(np.uint8))
        (row, column), (down, across) = self.start, self.scale
        box = (1 / across, 0, column, 0, 1 / down, row)
        tile = grey.transform((side, side), Image.Transform.AFFINE, box, Image.Resampling.BICUBIC).convert("RGB")
        pen = ImageDraw.Draw(tile)
        for mask, colour, thick in ((scene.task.target, TARGET, 1.2), (drawn.mask, ANSWER, 2.2)):
            for line in find_contours(np.pad(mask, 1).astype(float), 0.5):
                pen.line(self._on_tile(line - 0.5), colour, round(thick * OVER), joint="curve")
        for stroke in drawn.strokes:
            colour = POSITIVE if stroke["positive"] else NEGATIVE
            points = np.asarray(stroke["points"], float) + 0.5
            if boxes:
                pen.rectangle(self._on_tile(points), outline=colour, width=2 * OVER)
            else:
                self._stroke(pen, points, colour)
        return tile.resize((TILE, TILE), Image.Resampling.LANCZOS)

    def _stroke(self, pen: ImageDraw.ImageDraw, points: NDArray[np.float64], colour: tuple[int, int, int]) -> None:
        places = self._on_tile(points)
        if len(places) > 1:
            pen.line(places, colour, 2 * OVER)
            return
        (x, y), radius = places[0], 3.5 * OVER
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), colour, (0, 0, 0), OVER)

    def _on_tile(self, points: NDArray[np.float64]) -> list[tuple[float, float]]:
        """Rows and columns, pixel 0 beginning at 0 -> x and y."""
        moved = (points - self.start) * self.scale
        return [(float(x), float(y)) for y, x in moved]


def save(picture: Image.Image, path: Path) -> None:
    """Write a JPEG, at the best quality with which it stays small."""

    def put(temporary: Path) -> None:
        for quality in (88, 80, 70, 60):
            picture.save(temporary, "JPEG", quality=quality, optimize=True)
            if temporary.stat().st_size < LARGEST:
                break

    def verify(temporary: Path) -> None:
        with Image.open(temporary) as written:
            written.load()

    write_verified(path, put, verify)
