"""Tells whether the library and the packages that it needs are there; imports neither Qt nor Slicer."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

# By import name: what Slicer does not bring and the library cannot work without.
NEEDED = ("torch", "monai", "nibabel", "safetensors", "jsonschema")


def add_checkout_to_path() -> None:
    """Make the library of a source checkout importable; an installed extension carries it beside the module."""
    root = Path(__file__).resolve().parents[2]
    if find_spec("edgeflow_med") is None and (root / "edgeflow_med").is_dir():
        sys.path.append(str(root))


def report() -> list[str]:
    """Say in one line each which library is used, and which packages it still needs."""
    add_checkout_to_path()
    try:
        library = import_module("edgeflow_med")
    except ImportError as error:
        return [f"The library edgeflow_med cannot be imported: {error}."]
    lines = [f"edgeflow_med {library.__version__} in {Path(library.__file__).parent}"]
    missing = [name for name in NEEDED if find_spec(name) is None]
    lines.append(f"Missing packages: {', '.join(missing)}" if missing else "All packages that it needs are there.")
    return lines
