"""What a reader says about a segment, and the file that holds it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from edgeflow_med.errors import PromptError
from edgeflow_med.volume import Index, Plane, Volume

SCHEMA = "prompts.schema.json"


@dataclass(frozen=True)
class Click:
    """One voxel that belongs to the segment (positive) or does not (negative); ``index`` is (k, j, i)."""

    index: Index
    positive: bool = True

    @property
    def points(self) -> tuple[Index, ...]:
        """The one point, so that clicks and scribbles can be walked alike."""
        return (self.index,)


@dataclass(frozen=True)
class Scribble:
    """A stroke through voxels (k, j, i), all on one slice, ``width_mm`` wide."""

    points: tuple[tuple[float, float, float], ...]
    positive: bool = True
    width_mm: float = 3.0

    def __post_init__(self) -> None:
        if len(self.points) < 2:
            raise PromptError(
                f"A scribble needs at least two points, got {len(self.points)}; use a click for one point."
            )
        if not 0 < self.width_mm < 1000:
            raise PromptError(f"Scribble width {self.width_mm:g} mm is not usable; give a few millimetres.")


@dataclass(frozen=True)
class Box:
    """A rectangle on one slice that holds the segment; both corners are voxels (k, j, i) and belong to it."""

    corner: tuple[float, float, float]
    opposite: tuple[float, float, float]
    positive = True

    @property
    def points(self) -> tuple[tuple[float, float, float], ...]:
        """The two corners."""
        return (self.corner, self.opposite)


@dataclass(frozen=True)
class Lasso:
    """A closed line round the segment through voxels (k, j, i), all on one slice; the last point joins the first."""

    points: tuple[tuple[float, float, float], ...]
    positive = True

    def __post_init__(self) -> None:
        if len(self.points) < 3:
            raise PromptError(f"A lasso needs at least three points, got {len(self.points)}; draw it round the object.")


@dataclass(frozen=True)
class Line:
    """A line measured across the segment from outline to outline (RECIST long axis); its ends are voxels (k, j, i)."""

    start: tuple[float, float, float]
    end: tuple[float, float, float]
    positive = True

    def __post_init__(self) -> None:
        if self.start == self.end:
            raise PromptError(f"A line needs two different ends, got {self.start} twice; use a click for one point.")

    @property
    def points(self) -> tuple[tuple[float, float, float], ...]:
        """The two ends."""
        return (self.start, self.end)


Prompt = Click | Scribble | Box | Lasso | Line


def check_prompt(prompt: Prompt, volume: Volume, axis: int) -> int:
    """Check that a prompt lies on one slice of a volume, and return that slice's number along ``axis``.

    Raises:
        PromptError: A point outside the volume, or a prompt that leaves its slice.
    """
    name = type(prompt).__name__
    for point in prompt.points:
        if not volume.contains(point):
            kind = name if isinstance(prompt, Click) else f"{name} point"
            given = "(" + ", ".join(f"{v:g}" for v in point) + ")"
            raise PromptError(
                f"{kind} {given} lies outside the volume of shape {volume.shape}; give zero-based (k, j, i)."
            )
    slices = {round(point[axis]) for point in prompt.points}
    if len(slices) != 1:
        raise PromptError(
            f"A {name.lower()} must stay on one slice, but touches slices {sorted(slices)} of axis {'kji'[axis]}; "
            "split it, or give another --plane."
        )
    return slices.pop()


@dataclass(frozen=True)
class SegmentPrompts:
    """The prompts of one segment, in the order in which they were given."""

    label: str
    prompts: tuple[Prompt, ...]


@dataclass(frozen=True)
class PromptSet:
    """The content of a prompts file."""

    segments: tuple[SegmentPrompts, ...]
    plane: Plane | None = None
    version: int = field(default=1)


def schema() -> dict[str, Any]:
    """The JSON schema of a prompts file, version 1."""
    text = resources.files("edgeflow_med").joinpath(SCHEMA).read_text("utf-8")
    return dict(json.loads(text))


def read_prompts(path: Path | str) -> PromptSet:
    """Read a prompts file.

    Raises:
        PromptError: The file is missing, is not JSON, or does not follow the schema.
    """
    path = Path(path)
    try:
        document = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise PromptError(f"Cannot read prompts file {path}: {error.strerror or error}; give a JSON file.") from None
    except (ValueError, RecursionError) as error:
        raise PromptError(f"Prompts file {path} is not JSON: {error}; see `edgeflow-med segment --help`.") from None
    return parse_prompts(document, str(path))


def parse_prompts(document: object, where: str = "prompts") -> PromptSet:
    """Turn a decoded prompts document into prompts; ``where`` names it in errors.

    Raises:
        PromptError: The document does not follow the schema.
    """
    import jsonschema

    validator = jsonschema.Draft202012Validator(schema())
    problem = jsonschema.exceptions.best_match(validator.iter_errors(document))
    if problem is not None:
        place = "/".join(str(part) for part in problem.absolute_path) or "the top"
        message = problem.message if len(problem.message) < 160 else problem.message[:157] + "..."
        raise PromptError(f"{where} does not follow the prompts schema at {place}: {message}")
    assert isinstance(document, dict)  # the schema says so
    plane = document.get("plane")
    segments = tuple(
        SegmentPrompts(entry["label"], tuple(parse_prompt(item) for item in entry["prompts"]))
        for entry in document["segments"]
    )
    return PromptSet(segments, Plane(plane) if plane else None)


def parse_prompt(item: dict[str, Any]) -> Prompt:
    """One decoded entry; the schema has checked its form."""
    kind, positive = item["type"], item.get("positive", True)
    if kind == "click":
        k, j, i = item["index"]
        return Click((int(k), int(j), int(i)), positive)
    given: Sequence[Sequence[float]] = item["points"]
    points = tuple((float(k), float(j), float(i)) for k, j, i in given)
    if kind == "scribble":
        return Scribble(points, positive, float(item.get("width_mm", 3.0)))
    if kind == "lasso":
        return Lasso(points)
    return Box(*points) if kind == "box" else Line(*points)


def to_document(prompt: Prompt) -> dict[str, Any]:
    """One prompt as it stands in a prompts file or a journal; :func:`parse_prompt` is the inverse."""
    kind = type(prompt).__name__.lower()
    if isinstance(prompt, Click):
        return {"type": kind, "index": list(prompt.index), "positive": prompt.positive}
    document: dict[str, Any] = {"type": kind, "points": [list(point) for point in prompt.points]}
    if isinstance(prompt, Scribble):
        document |= {"positive": prompt.positive, "width_mm": prompt.width_mm}
    return document
