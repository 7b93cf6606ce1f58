"""A predictor that is there at once and loads its weights when it is asked for the first time, in the asking thread."""

from __future__ import annotations

import threading

import numpy as np

from edgeflow_med.predictors import find_model, load_predictor
from edgeflow_med.predictors.base import Prediction, Predictor, SliceRequest
from edgeflow_med.weights import DEFAULT_MODEL


class LazyPredictor:
    """Stands for a model that comes with the package; importing PyTorch takes seconds that no window should wait.

    Args:
        name: As for :func:`edgeflow_med.predictors.load_predictor`.
        device: ``auto``, ``cpu`` or ``cuda``.

    Raises:
        ModelError: The model is unknown or incomplete. An altered one is told by :meth:`predict`.
    """

    def __init__(self, name: str = DEFAULT_MODEL, device: str = "auto") -> None:
        known = find_model(name)
        self.name, self.version, self.brakes = name, known.version, known.brakes
        self._device = device
        self._loading = threading.Lock()
        self._loaded: Predictor | None = None

    @property
    def device(self) -> str:
        """Where it runs; what was asked for until it is loaded."""
        return self._device if self._loaded is None else self._loaded.device

    def predict(self, request: SliceRequest) -> Prediction:
        """Answer one request, after loading the model if need be.

        Raises:
            ModelError: The weights were altered.
            UsageError: The device is not there.
        """
        with self._loading:
            if self._loaded is None:
                self._loaded = load_predictor(self.name, self._device)
        return self._loaded.predict(request)

    def warm_up(self) -> str:
        """Load the model and answer an empty slice, so that the first click is as quick as the next; the device."""
        self.predict(SliceRequest(np.zeros((64, 64), np.float32)))
        return self.device
