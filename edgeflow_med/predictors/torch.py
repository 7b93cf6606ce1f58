"""EdgeFlow on PyTorch: CPU or CUDA."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from edgeflow_med.errors import ModelError, UsageError
from edgeflow_med.network import EdgeFlow, join_prompts, normalise
from edgeflow_med.predictors.zoom import Square, SquareAnswer, ZoomPolicy, ZoomPredictor
from edgeflow_med.weights import Bundle, load_network


def choose_device(choice: str = "auto") -> torch.device:
    """``auto`` takes a GPU where there is one.

    Raises:
        UsageError: ``cuda`` was asked for and is not there, or the name is unknown.
    """
    if choice not in {"auto", "cpu", "cuda"}:
        raise UsageError(f"Unknown device {choice!r}; give auto, cpu or cuda.")
    if choice == "cuda" and not torch.cuda.is_available():
        raise UsageError("Device cuda is not available here; give --device cpu, or see `edgeflow-med doctor`.")
    return torch.device("cuda" if choice != "cpu" and torch.cuda.is_available() else "cpu")


@contextmanager
def whole_floats() -> Iterator[None]:
    """Convolutions on a GPU in float32 proper: cuDNN would round to TF32, and move pixels on the outline of a mask."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


class TorchPredictor(ZoomPredictor):
    """A network and where it runs.

    Args:
        network: In evaluation mode.
        name: Model name.
        version: Version and checksum, for files.
        device: Where to run.
        policy: How crops are chosen.
    """

    def __init__(
        self, network: EdgeFlow, name: str, version: str, device: torch.device, policy: ZoomPolicy | None = None
    ) -> None:
        super().__init__(policy)
        self.name, self.version = name, version
        self._device = device
        self.network = network.to(device).to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload]

    @classmethod
    def from_bundle(cls, bundle: Bundle, device: str = "auto") -> TorchPredictor:
        """Load a model of ``weights/``.

        Raises:
            ModelError: The weights were altered, or the bundle was made for another version.
            UsageError: The device is not there.
        """
        try:
            policy = ZoomPolicy(**bundle.policy)
        except TypeError as error:
            raise ModelError(f"Model {bundle.name!r} has a policy of another version ({error}).") from None
        predictor = cls(load_network(bundle), bundle.name, bundle.version, choose_device(device), policy)
        predictor.brakes = bundle.brakes
        return predictor

    @property
    def device(self) -> str:
        """``cpu``, or ``cuda`` with the card's name."""
        if self._device.type == "cuda":
            return f"cuda ({torch.cuda.get_device_name(self._device)})"
        return f"cpu ({torch.get_num_threads()} threads)"

    @torch.inference_mode()
    def infer(self, image: Square, previous: Square, guidance: Square) -> SquareAnswer:
        """See :meth:`ZoomPredictor.infer`."""

        def batch(array: Square) -> torch.Tensor:
            tensor = torch.from_numpy(np.ascontiguousarray(array)).to(self._device)
            return tensor.reshape(1, -1, *array.shape[-2:])

        prompts = join_prompts(self.network.config, batch(previous), batch(guidance))
        inputs = normalise(batch(image)).to(memory_format=torch.channels_last)
        with whole_floats():
            output = self.network(inputs, prompts)
        mask, edge = torch.sigmoid(torch.cat([output.mask, output.edge])).float().cpu().numpy()[:, 0]
        quality = None if output.quality is None else float(torch.sigmoid(output.quality.float()))
        return SquareAnswer(mask, edge, quality)
