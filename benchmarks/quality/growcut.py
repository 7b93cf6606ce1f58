"""GrowCut: what "Grow from seeds" of 3D Slicer runs.

Zhu, Kolesov, Gao, Kikinis and Tannenbaum, *An effective interactive medical image segmentation method using fast
GrowCut*, MICCAI workshop on interactive methods, 2014.

The class is Slicer's own (``vtkImageGrowCutSegment``), in a child process: Slicer's libraries live in an environment
beside this one (``scripts/slicer_environment.py``).
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.grids import Array
from benchmarks.quality.peer import Peer
from edgeflow_med.errors import ModelError
from edgeflow_med.predictors.base import Prediction, SliceRequest
from edgeflow_med.predictors.seeds import certain, read_seeds

FOREGROUND, BACKGROUND = 1, 2
LEAST = 3  # voxels along each axis that the class wants
GREYS = 1000.0  # the image in these units, so that whole numbers would do
PYTHON = Path(__file__).resolve().parents[2] / ".venv-slicer/bin/python"

PEER = Peer(
    name="growcut",
    title="GrowCut (3D Slicer)",
    code_licence="BSD-style (Slicer)",
    weights_licence="",
    parameters=0.0,
    megabytes=0.0,
    prompts=("scribbles",),
    seen="no: nothing is trained",
    python=PYTHON,
    adapts="without a negative stroke the border region of the slice is background; no smoothing, no seed locality",
)


class SlicerGrowCut:
    """The algorithm in its child process, which is started with the first question and ends with this object.

    Raises:
        ModelError: The environment with Slicer's libraries is not there.
    """

    def __init__(self) -> None:
        if not PEER.installed:
            raise ModelError(f"The libraries of 3D Slicer are not installed; run `{PEER.install_command}`.")
        self._process: subprocess.Popen[bytes] | None = None

    def __call__(self, image: Array, seeds: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Image and seeds ``(K, J, I)`` -> what each voxel was given."""
        if self._process is None:
            command = [str(PYTHON), str(Path(__file__).with_name("growcut_worker.py"))]
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        questions, answers = self._process.stdin, self._process.stdout
        assert questions is not None  # both were asked for
        assert answers is not None
        question = np.array(seeds.shape, np.int32), np.asarray(image * GREYS, np.float32), np.asarray(seeds, np.uint8)
        try:
            for part in question:
                questions.write(part.tobytes())
            questions.flush()
        except BrokenPipeError:
            pass  # told by the answer that is missing
        found = answers.read(seeds.size)
        if len(found) < seeds.size:
            raise ModelError(f"GrowCut's process ended early; run `{PEER.install_command}`, and see what it printed.")
        return np.frombuffer(found, np.uint8).reshape(seeds.shape)

    def __del__(self) -> None:
        if getattr(self, "_process", None) is not None:
            self._process.communicate()  # closes its input, which ends it


class GrowCut:
    """The predictor."""

    name = PEER.name
    version = PEER.version
    device = "cpu"

    def __init__(self, threads: int | None = None) -> None:  # noqa: ARG002  the algorithm runs on one
        self._grow = SlicerGrowCut()

    def predict(self, request: SliceRequest) -> Prediction:
        """Answer one request; see :class:`edgeflow_med.predictors.base.Predictor`."""
        seeds = read_seeds(request.strokes, (request.image.shape[0], request.image.shape[1]))
        labels = np.zeros(request.image.shape, np.uint8)
        labels[seeds.background] = BACKGROUND
        labels[seeds.positive] = FOREGROUND
        if not seeds.positive.any() or not (labels == BACKGROUND).any():
            return certain(seeds.positive)
        thick = [np.repeat(array[None], LEAST, axis=0) for array in (request.image, labels)]
        return certain(self._grow(*thick)[LEAST // 2] == FOREGROUND)
