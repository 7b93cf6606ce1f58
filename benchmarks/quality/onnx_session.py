"""ONNX files on onnxruntime, on as many cores as torch uses."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


class OnnxModel:
    """A network in an ONNX or ORT file, on the CPU.

    Args:
        path: The file.
        threads: Cores to use; None for all that the process may use.
    """

    def __init__(self, path: Path, threads: int | None = None) -> None:
        onnxruntime: Any = importlib.import_module("onnxruntime")  # it has no types
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._outputs = [output.name for output in self._session.get_outputs()]

    def __call__(self, **inputs: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """Run it; inputs and outputs by name, all float32."""
        feed = {name: np.ascontiguousarray(array, np.float32) for name, array in inputs.items()}
        return dict(zip(self._outputs, self._session.run(None, feed), strict=True))
