"""``EdgeFlow.json`` is an entry that Slicer's Extensions Index takes; the repository only lacks an address so far."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import jsonschema
import pytest

ROOT = Path(__file__).resolve().parents[2]
ENTRY = ROOT / "EdgeFlow.json"
CMAKE = (ROOT / "CMakeLists.txt").read_text("utf-8")
# The rules of the schema that the entry names, in our words.
TEXT = {"type": "string"}
RULES = {
    "type": "object",
    "required": ["$schema", "category", "scm_url"],
    "additionalProperties": False,
    "properties": {
        "$schema": {
            "const": json.loads(ENTRY.read_text("utf-8"))["$schema"],
            "pattern": "catalog-entry-schema-v1.0.2.json#$",
        },
        "category": TEXT,
        "scm_url": TEXT,
        "scm_revision": TEXT,
        "scm_type": {"enum": ["git", "local"]},
        "build_dependencies": {"type": "array", "items": TEXT},
        "dicom_support_rule": TEXT,
        "build_subdirectory": TEXT,
        "enabled": {"type": "boolean"},
        "tier": {"type": "integer", "minimum": 1, "maximum": 5},
    },
}


def entry() -> dict[str, object]:
    return json.loads(ENTRY.read_text("utf-8"))


def setting(name: str) -> str:
    found = re.search(rf'^set\({name} "([^"]*)"\)$', CMAKE, re.MULTILINE)
    assert found is not None, name
    return found[1]


def test_entry_follows_the_schema() -> None:
    jsonschema.validate(entry(), RULES)


@pytest.mark.parametrize(
    "wrong", [{"tier": 9}, {"icon": "EdgeFlow.png"}, {"build_dependencies": "PyTorch"}, {"scm_type": "svn"}]
)
def test_the_rules_refuse_what_the_schema_refuses(wrong: dict[str, object]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(entry() | wrong, RULES)


def test_entry_agrees_with_the_build() -> None:
    assert re.search(r"^project\((\w+)\)", CMAKE, re.MULTILINE)[1] == ENTRY.stem
    assert not ENTRY.stem.startswith("Slicer")
    assert entry()["category"] == setting("EXTENSION_CATEGORY") == "Segmentation"
    assert entry()["build_dependencies"] == setting("EXTENSION_DEPENDS").split()


def test_entry_has_line_ends_that_the_index_takes() -> None:
    assert b"\r" not in ENTRY.read_bytes()


@pytest.mark.parametrize("name", ["EdgeFlow.svg", "EdgeFlow-dark.svg"])
def test_icons_are_drawings_without_foreign_parts(name: str) -> None:
    drawing = ET.parse(ROOT / "slicer_module/Resources/Icons" / name).getroot()
    assert drawing.tag.endswith("svg")
    assert not [key for part in drawing.iter() for key in part.attrib if key.endswith("href")]
