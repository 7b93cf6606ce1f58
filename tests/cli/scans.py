"""What the command line's tests work on: a small CT with a ball in it, and a predictor that needs no network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from scipy import ndimage

from edgeflow_med.predictors.base import Prediction, SliceRequest
from edgeflow_med.volume import Volume
from tests.phantoms import Phantom, write_series

# Neither square nor isotropic; the ball has a radius of 14 mm, so it is 18 rows by 37 columns on 11 slices.
BALL = Phantom(shape=(16, 48, 96), spacing=(2.5, 1.5, 0.75), row=(1, 0, 0), column=(0, 1, 0))
CENTRE, RADIUS_MM = (8, 22, 50), 14.0


def ball(centre: tuple[int, int, int] = CENTRE, radius_mm: float = RADIUS_MM) -> NDArray[np.bool_]:
    """The voxels inside the ball."""
    indices = np.moveaxis(np.indices(BALL.shape), 0, -1)
    return np.asarray(np.linalg.norm((indices - centre) * BALL.spacing, axis=-1) < radius_mm)


def values() -> NDArray[np.int16]:
    """Air in front, fat behind, the ball as soft tissue in it, and noise; HU."""
    noise = np.random.default_rng(5).normal(0, 12, BALL.shape)
    array = np.where(ball(), 60, -90) + noise
    array[:, :3] = -1000
    return np.round(array).astype(np.int16)


def volume() -> Volume:
    """The scan without files."""
    return Volume(values(), BALL.affine, modality="CT", name="ball")


def write_ball(folder: Path) -> Path:
    """The scan as a DICOM series of a named patient."""
    array = values()

    def fill(dataset: Dataset, k: int) -> None:
        dataset.PixelData = array[k].tobytes()
        dataset.PatientName, dataset.PatientID = "Mustermann^Erika", "PAT-4711"

    write_series(folder, BALL, fill)
    return folder


@dataclass(frozen=True)
class Flood:
    """Answers with all that is bright and connected to a positive prompt or to the previous mask."""

    name: str = "flood"
    version: str = "1"
    device: str = "cpu"

    def predict(self, request: SliceRequest) -> Prediction:
        """See `Predictor`."""
        labels, _ = ndimage.label(ndimage.uniform_filter(request.image, 3) > 0.35)
        seeds = np.zeros(labels.shape, bool)
        for stroke in request.strokes:
            if stroke.positive:
                for row, column in stroke.points:
                    seeds[round(row), round(column)] = True
        if request.previous is not None:
            seeds |= request.previous.mask
        mask = np.isin(labels, np.setdiff1d(labels[seeds], [0]))
        edge = mask ^ ndimage.binary_erosion(mask)
        return Prediction(mask.astype(np.float32), edge.astype(np.float32), 0.9)
