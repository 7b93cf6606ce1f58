"""Clicks, scribbles and the file that holds them: what is accepted, and one line for all that is not."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeflow_med.errors import PromptError
from edgeflow_med.prompts import (
    Box,
    Click,
    Lasso,
    Line,
    Scribble,
    check_prompt,
    parse_prompts,
    read_prompts,
    schema,
    to_document,
)
from edgeflow_med.volume import Plane, Volume

VOLUME = Volume(np.zeros((8, 9, 10), np.uint8), np.eye(4))
GOOD: dict[str, Any] = {
    "version": 1,
    "plane": "coronal",
    "segments": [
        {
            "label": "Läsion",
            "prompts": [
                {"type": "click", "index": [1, 2, 3]},
                {"type": "click", "index": [1, 2, 4], "positive": False},
                {"type": "scribble", "points": [[1, 2, 3], [1, 2.5, 3]], "positive": False, "width_mm": 2},
                {"type": "box", "points": [[1, 2, 3], [4, 2, 8]]},
                {"type": "lasso", "points": [[1, 2, 3], [4, 2, 8], [5, 2, 1.5]]},
                {"type": "line", "points": [[1, 2, 3], [4, 2, 8]]},
            ],
        }
    ],
}


def changed(path: list[str | int], value: object) -> dict[str, Any]:
    """The good document with one place changed, or deleted where the value is None."""
    document = copy.deepcopy(GOOD)
    place: Any = document
    for step in path[:-1]:
        place = place[step]
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return document


def test_a_good_document_is_read_in_order() -> None:
    prompts = parse_prompts(GOOD)
    assert prompts.plane is Plane.CORONAL
    (segment,) = prompts.segments
    assert segment.label == "Läsion"
    assert segment.prompts == (
        Click((1, 2, 3)),
        Click((1, 2, 4), positive=False),
        Scribble(((1, 2, 3), (1, 2.5, 3)), positive=False, width_mm=2),
        Box((1, 2, 3), (4, 2, 8)),
        Lasso(((1, 2, 3), (4, 2, 8), (5, 2, 1.5))),
        Line((1, 2, 3), (4, 2, 8)),
    )


def test_a_prompt_is_written_as_it_is_read() -> None:
    (segment,) = parse_prompts(GOOD).segments
    document = copy.deepcopy(GOOD)
    document["segments"][0]["prompts"] = [to_document(prompt) for prompt in segment.prompts]
    assert parse_prompts(document).segments == (segment,)


def test_a_line_without_length_and_a_lasso_without_area_are_refused() -> None:
    with pytest.raises(PromptError, match="two different ends"):
        Line((1, 2, 3), (1, 2, 3))
    with pytest.raises(PromptError, match="at least three points, got 2"):
        Lasso(((1, 2, 3), (1, 2, 5)))


def test_a_box_must_stay_on_one_slice() -> None:
    assert check_prompt(Box((3, 1, 1), (3, 5, 6)), VOLUME, 0) == 3
    with pytest.raises(PromptError, match="A box must stay on one slice"):
        check_prompt(Box((3, 1, 1), (4, 5, 6)), VOLUME, 0)
    with pytest.raises(PromptError, match=r"Box point .* lies outside"):
        check_prompt(Box((3, 1, 1), (3, 5, 60)), VOLUME, 0)


def test_the_plane_may_be_left_out() -> None:
    assert parse_prompts(changed(["plane"], None)).plane is None


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())


PROMPT = ["segments", 0, "prompts", 0]
BAD: dict[str, tuple[list[str | int], object, str]] = {
    "no version": (["version"], None, "'version' is a required property"),
    "another version": (["version"], 2, "at version: 1 was expected"),
    "no segments": (["segments"], [], "at segments: .*non-empty"),
    "an unknown key": (["colour"], "red", "'colour' was unexpected"),
    "an unknown plane": (["plane"], "oblique", "at plane: 'oblique' is not one of"),
    "no prompts": (["segments", 0, "prompts"], [], "at segments/0/prompts: .*non-empty"),
    "an empty label": (["segments", 0, "label"], "", "at segments/0/label"),
    "a label too long for DICOM": (["segments", 0, "label"], "x" * 65, "at segments/0/label"),
    "an unknown prompt": ([*PROMPT, "type"], "lasso", "at segments/0/prompts/0"),
    "two coordinates": ([*PROMPT, "index"], [1, 2], "at segments/0/prompts/0"),
    "a fraction": ([*PROMPT, "index"], [1, 2, 3.5], "at segments/0/prompts/0"),
    "a negative index": ([*PROMPT, "index"], [1, -2, 3], "at segments/0/prompts/0"),
    "a word for a sign": ([*PROMPT, "positive"], "yes", "at segments/0/prompts/0"),
    "one point": (["segments", 0, "prompts", 2, "points"], [[1, 2, 3]], "at segments/0/prompts/2"),
    "no width": (["segments", 0, "prompts", 2, "width_mm"], 0, "at segments/0/prompts/2"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_document_is_refused_with_the_place_in_one_line(case: str) -> None:
    path, value, reason = BAD[case]
    with pytest.raises(PromptError, match=f"^clicks.json does not follow the prompts schema .*{reason}") as caught:
        parse_prompts(changed(path, value), "clicks.json")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


@settings(max_examples=30, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_whatever_is_not_a_prompts_document_is_refused(document: object) -> None:
    with pytest.raises(PromptError):
        parse_prompts(document)


@pytest.mark.parametrize("content", ["", "{", "[1, 2", "\x00", "[" * 100_000])
def test_a_file_that_is_not_json_is_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "clicks.json"
    path.write_text(content)
    with pytest.raises(PromptError, match="is not JSON"):
        read_prompts(path)


def test_a_file_is_read_and_a_missing_one_named(tmp_path: Path) -> None:
    (tmp_path / "clicks.json").write_text(json.dumps(GOOD), "utf-8")
    assert read_prompts(tmp_path / "clicks.json") == parse_prompts(GOOD)
    with pytest.raises(PromptError, match=r"Cannot read prompts file .*none\.json: No such file"):
        read_prompts(tmp_path / "none.json")


def test_a_click_outside_is_refused_with_the_shape() -> None:
    expected = r"Click \(8, 0, 0\) lies outside the volume of shape \(8, 9, 10\); give zero-based \(k, j, i\)\."
    with pytest.raises(PromptError, match=expected):
        check_prompt(Click((8, 0, 0)), VOLUME, axis=0)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_click_lies_on_the_slice_of_its_axis(axis: int) -> None:
    assert check_prompt(Click((5, 6, 7)), VOLUME, axis) == (5, 6, 7)[axis]


def test_a_scribble_stays_on_one_slice() -> None:
    scribble = Scribble(((4, 1, 1), (4, 3, 2.5)))
    assert check_prompt(scribble, VOLUME, axis=0) == 4
    with pytest.raises(PromptError, match=r"touches slices \[1, 3\] of axis j; split it"):
        check_prompt(scribble, VOLUME, axis=1)
    with pytest.raises(PromptError, match=r"Scribble point \(4, 30, 1\) lies outside"):
        check_prompt(Scribble(((4, 1, 1), (4, 30, 1))), VOLUME, axis=0)


def test_a_scribble_needs_two_points_and_a_width() -> None:
    with pytest.raises(PromptError, match="at least two points, got 1"):
        Scribble(((1, 2, 3),))
    with pytest.raises(PromptError, match="width 0 mm"):
        Scribble(((1, 2, 3), (1, 2, 4)), width_mm=0)
