"""Whatever answers a slice: one interface, several backends."""

from __future__ import annotations

from edgeflow_med.predictors.base import Predictor
from edgeflow_med.weights import DEFAULT_MODEL, find_bundle


def load_predictor(name: str = DEFAULT_MODEL, device: str = "auto") -> Predictor:
    """Load a model that comes with the package.

    Args:
        name: Folder of ``weights/``.
        device: ``auto``, ``cpu`` or ``cuda``.

    Raises:
        ModelError: The model is unknown, incomplete or was altered.
        UsageError: The device is not there.
    """
    from edgeflow_med.predictors.torch import TorchPredictor

    return TorchPredictor.from_bundle(find_bundle(name), device)
