"""A data set of bright blocks, and a predictor that outlines whatever is bright."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from edgeflow_med.predictors.base import Prediction, SliceRequest

Boxes = dict[str, dict[int, list[tuple[slice, slice, slice]]]]


class BrightPredictor:
    """Outlines the bright pieces that positive prompts touch, or that the neighbouring slice's answer overlaps."""

    name, version, device = "bright", "1", "cpu"

    def __init__(self) -> None:
        self.requests: list[SliceRequest] = []

    def predict(self, request: SliceRequest) -> Prediction:
        self.requests.append(request)
        pieces, _ = ndimage.label(request.image > 0.5, np.ones((3, 3)))
        chosen = {pieces[round(r), round(c)] for s in request.strokes if s.positive for r, c in s.points}
        if request.propagated:
            chosen |= set(pieces[request.previous.mask].tolist())
        mask = np.isin(pieces, sorted(chosen - {0})).astype(np.float32)
        edge = (mask > 0) & ~ndimage.binary_erosion(mask > 0)
        return Prediction(mask, edge.astype(np.float32), 0.9)


@pytest.fixture
def bright() -> BrightPredictor:
    return BrightPredictor()


@pytest.fixture
def make_set(tmp_path: Path) -> Callable[..., Path]:
    """Write a Decathlon folder: labelled boxes by case and label, bright in the image, zero elsewhere."""

    def make(
        name: str,
        boxes: Boxes,
        shape: tuple[int, int, int] = (12, 40, 50),
        spacing: tuple[float, float, float] = (3.0, 1.0, 0.5),
        note: str = "",
        modality: str = "MR",
    ) -> Path:
        folder = tmp_path / name
        (folder / "imagesTr").mkdir(parents=True)
        (folder / "labelsTr").mkdir()
        affine = np.diag([*spacing[::-1], 1.0])
        for case, by_label in boxes.items():
            labels = np.zeros(shape, np.uint8)
            for value, places in by_label.items():
                for place in places:
                    labels[place] = value
            image = np.where(labels > 0, 1000, 0).astype(np.int16)
            nib.save(nib.Nifti1Image(image.T, affine), folder / "imagesTr" / f"{case}.nii.gz")
            nib.save(nib.Nifti1Image(labels.T, affine), folder / "labelsTr" / f"{case}.nii.gz")
        values = sorted({value for by_label in boxes.values() for value in by_label})
        manifest = {
            "name": name,
            "modality": {"0": modality},
            "labels": {"0": "background"} | {str(v): f"structure {v}" for v in values},
            "note": note,
            "training": [{"image": f"./imagesTr/{c}.nii.gz", "label": f"./labelsTr/{c}.nii.gz"} for c in boxes],
        }
        (folder / "dataset.json").write_text(json.dumps(manifest), encoding="utf-8")
        return folder

    return make


@pytest.fixture
def two_cases(make_set: Callable[..., Path]) -> Path:
    """Case a: label 1 in two pieces (8 and 6 slices) and a speck; case b: label 1 once and label 2."""
    whole = slice(None)
    return make_set(
        "Blocks",
        {
            "a": {
                1: [
                    (slice(2, 10), slice(5, 15), slice(5, 17)),
                    (slice(3, 9), slice(25, 35), slice(30, 44)),
                    (slice(11, 12), slice(0, 3), slice(46, 50)),
                ]
            },
            "b": {1: [(slice(1, 4), slice(5, 15), slice(5, 17))], 2: [(whole, slice(20, 30), slice(20, 30))]},
        },
    )
