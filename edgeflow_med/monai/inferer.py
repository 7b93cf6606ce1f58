"""EdgeFlow as a MONAI inferer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from monai.data import MetaTensor
from monai.inferers import Inferer
from torch import Tensor

from edgeflow_med.errors import UsageError
from edgeflow_med.monai.geometry import to_tensor, to_volume
from edgeflow_med.network import EdgeFlow
from edgeflow_med.predictors.torch import TorchPredictor, choose_device
from edgeflow_med.predictors.zoom import ZoomPolicy
from edgeflow_med.prompts import PromptSet
from edgeflow_med.session import Session
from edgeflow_med.weights import load_network, open_bundle


class EdgeFlowInferer(Inferer):
    """Segment volumes slice by slice from a reader's prompts, and carry the outline to the neighbouring slices.

    Args:
        policy: Fields of :class:`edgeflow_med.predictors.zoom.ZoomPolicy`; a bundle's metadata has its model's.
        brakes: When propagation stops; a bundle's metadata has its model's, if it was calibrated.
        propagate: Carry each segment from its prompted slices to their neighbours; its label tells whether it is a
            lesion, see :meth:`edgeflow_med.session.Session.propagate`.
        limit: At most this many slices in each direction.
        device: ``auto`` (a GPU where there is one), ``cpu`` or ``cuda``.

    Raises:
        UsageError: The device is not there.
    """

    def __init__(
        self,
        policy: Mapping[str, Any] | None = None,
        brakes: Mapping[str, Any] | None = None,
        propagate: bool = True,
        limit: int | None = None,
        device: str = "auto",
    ) -> None:
        self.policy = ZoomPolicy(**(policy or {}))
        self.brakes, self.propagate, self.limit = brakes or {}, propagate, limit
        self.device = choose_device(device)

    def __call__(
        self,
        inputs: Tensor,
        network: Callable[..., Any],
        prompts: PromptSet | Sequence[PromptSet] = (),
        *_: Any,
        **__: Any,
    ) -> Tensor:
        """Segment a batch.

        Args:
            inputs: ``(B, 1, I, J, K)`` in [0, 1], see :class:`edgeflow_med.monai.WindowIntensityd`.
            network: An :class:`edgeflow_med.network.EdgeFlow`.
            prompts: One set for each image; for a batch of one the set itself will do.

        Returns:
            Label maps ``(B, 1, I, J, K)`` uint8 on the grids of the images: 0 for background, else the number of the
            segment, counted from 1 in the order of its prompts.

        Raises:
            UsageError: Values outside [0, 1], another network, or not one set of prompts for each image.
            PromptError: A prompt outside its image, or a segment whose prompts left nothing to propagate.
        """
        sets = (prompts,) if isinstance(prompts, PromptSet) else tuple(prompts)
        if not isinstance(network, EdgeFlow):
            raise UsageError(f"EdgeFlowInferer runs EdgeFlow networks, got {type(network).__name__}.")
        if len(sets) != len(inputs):
            raise UsageError(f"{len(inputs)} images but {len(sets)} sets of prompts; give one set for each image.")
        if inputs.min() < 0 or inputs.max() > 1:
            raise UsageError(
                f"Image values {float(inputs.min()):g} to {float(inputs.max()):g} lie outside [0, 1]; "
                "apply WindowIntensityd first."
            )
        predictor = TorchPredictor(network, "edgeflow", "", self.device, self.policy)
        predictor.brakes = self.brakes
        labels: Tensor = torch.stack([self._segment(predictor, *pair) for pair in zip(inputs, sets, strict=True)])
        if isinstance(inputs, MetaTensor):
            labels = MetaTensor(labels, meta=dict(inputs.meta))
            labels.is_batch = inputs.is_batch
        return labels

    def _segment(self, predictor: TorchPredictor, image: Tensor, prompts: PromptSet) -> Tensor:
        """One image ``(1, I, J, K)`` -> its label map."""
        session = Session(to_volume(image), predictor, plane=prompts.plane, window="0,1", journal=False)
        for entry in prompts.segments:
            segment = session.add_segment(entry.label)
            for prompt in entry.prompts:
                session.prompt(prompt, segment)
            if self.propagate:
                for _ in session.propagate(segment, limit=self.limit):
                    pass
        return to_tensor(session.segmentation().labelmap())


def load_bundle_network(bundle_root: str) -> EdgeFlow:
    """The network of the bundle in a folder, in evaluation mode.

    Raises:
        ModelError: The bundle is incomplete, or its weights were altered.
    """
    return load_network(open_bundle(Path(bundle_root)))
