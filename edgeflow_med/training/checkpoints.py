"""Reading what a run has saved, and weights to start from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from edgeflow_med.errors import ModelError
from edgeflow_med.network import EdgeFlow


def read_checkpoint(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """What a trainer saved: ``network``, ``average``, ``optimiser``, ``step``, ``seconds`` and ``config`` (JSON)."""
    # Learning rates were once saved as NumPy scalars, which PyTorch only reads when told that they are harmless.
    scalar: Any = np.float64(0).__reduce__()[0]
    with torch.serialization.safe_globals([scalar, np.dtype, np.dtypes.Float64DType]):
        return torch.load(path, map_location=device, weights_only=True)


def load_into(network: EdgeFlow, path: Path) -> None:
    """Copy weights from a ``.safetensors`` file or a checkpoint (its running average) into a network.

    A quality head that the weights lack keeps its start: it listens to the rest and changes nothing.

    Raises:
        ModelError: The weights do not fit the network.
    """
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        state = load_file(path)
    else:
        state = read_checkpoint(path)["average"]
    try:
        missing, unknown = network.load_state_dict(state, strict=False)
    except RuntimeError as error:
        raise ModelError(
            f"The weights in {path} do not fit the network: {str(error).splitlines()[-1].strip()}"
        ) from None
    missing = [name for name in missing if not name.startswith("quality.")]
    if missing or unknown:
        name = [*missing, *unknown][0]
        raise ModelError(f"The weights in {path} do not fit the network ({name}); give the config they were made with.")
