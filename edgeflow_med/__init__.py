"""EdgeFlow-Med: click-based interactive segmentation of CT and MR.

from edgeflow_med import read_volume, load_predictor, Session
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgeflow_med.io import read_volume
    from edgeflow_med.predictors import load_predictor
    from edgeflow_med.session import Session

__version__ = "0.1.0"
__all__ = ["Session", "load_predictor", "read_volume"]

_HOMES = {
    "Session": "edgeflow_med.session",
    "load_predictor": "edgeflow_med.predictors",
    "read_volume": "edgeflow_med.io",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that importing the package costs nothing."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'edgeflow_med' has no attribute {name!r}")
