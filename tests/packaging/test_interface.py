"""What the package exports, and what importing it costs."""

from __future__ import annotations

import subprocess
import sys

import pytest

import edgeflow_med

HEAVY = ("torch", "monai", "pydicom", "SimpleITK", "scipy", "matplotlib")


def test_exported_names() -> None:
    assert edgeflow_med.__all__ == ["Session", "load_predictor", "read_volume"]
    for name in edgeflow_med.__all__:
        assert callable(getattr(edgeflow_med, name))


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="segment_everything"):
        _ = edgeflow_med.segment_everything


def loaded_after(statement: str) -> set[str]:
    """Which of the heavy packages are loaded after a statement in a fresh interpreter."""
    code = f"{statement}\nimport sys; print(' '.join(name for name in {HEAVY!r} if name in sys.modules))"
    return set(subprocess.check_output([sys.executable, "-c", code], text=True).split())


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert loaded_after("import edgeflow_med") == set()


def test_reading_and_writing_work_without_torch_and_monai() -> None:
    assert not loaded_after("from edgeflow_med import read_volume, Session") & {"torch", "monai"}


def test_loading_a_predictor_does_not_load_monai() -> None:
    assert "monai" not in loaded_after("from edgeflow_med import load_predictor; load_predictor(device='cpu')")
