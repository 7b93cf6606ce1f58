"""Models that come with the package: MONAI bundles under ``weights/``, float16 safetensors, checked by checksum."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeflow_med.errors import ModelError
from edgeflow_med.resources import resource

if TYPE_CHECKING:
    from edgeflow_med.network import EdgeFlow

DEFAULT_MODEL = "edgeflow_w18"
MODEL_FILE = "model.safetensors"


@dataclass(frozen=True)
class Bundle:
    """A model's folder and what its metadata says.

    Attributes:
        name: Folder name.
        path: The folder.
        metadata: ``configs/metadata.json``; under ``edgeflow`` the network's config, the crop policy, the checksum and,
            in a model that was calibrated, when propagation stops.
    """

    name: str
    path: Path
    metadata: dict[str, Any]

    @property
    def model_file(self) -> Path:
        """The weights."""
        return self.path / MODEL_FILE

    @property
    def sha256(self) -> str:
        """Checksum that the weights must have."""
        return str(self.metadata["edgeflow"]["sha256"])

    @property
    def version(self) -> str:
        """Version and the start of the checksum, as written into files."""
        return f"{self.metadata['version']}+{self.sha256[:12]}"

    @property
    def policy(self) -> dict[str, Any]:
        """Arguments of :class:`edgeflow_med.predictors.zoom.ZoomPolicy`."""
        return dict(self.metadata["edgeflow"]["policy"])

    @property
    def brakes(self) -> dict[str, Any]:
        """What :class:`edgeflow_med.propagation.Calibration` reads; empty where the model brings no calibration."""
        return dict(self.metadata["edgeflow"].get("brakes", {}))


def bundle_names() -> list[str]:
    """Names of all models that are here."""
    folder = resource("weights")
    return sorted(p.parent.parent.name for p in folder.glob("*/configs/metadata.json")) if folder.is_dir() else []


def find_bundle(name: str) -> Bundle:
    """Find a model that came with the package by its name, or any other by the path of its folder.

    Raises:
        ModelError: No such model, or its folder is incomplete.
    """
    names = bundle_names()
    if name not in names:
        if (Path(name) / "configs").is_dir():
            return open_bundle(Path(name))
        known = ", ".join(names) or "none is installed"
        raise ModelError(f"Unknown model {name!r}; give one of: {known}, or the folder of another.")
    return open_bundle(resource("weights") / name)


def open_bundle(path: Path) -> Bundle:
    """Open the bundle in a folder, whose name is the model's name.

    Raises:
        ModelError: The folder is incomplete.
    """
    name = path.resolve().name
    try:
        bundle = Bundle(name, path, json.loads((path / "configs" / "metadata.json").read_text("utf-8")))
        bundle.sha256, bundle.policy  # noqa: B018 - an incomplete file fails here
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"Model {name!r} has unreadable metadata ({error!r}); install the package again.") from None
    if not bundle.model_file.is_file():
        raise ModelError(f"Model {name!r} has no {MODEL_FILE} in {path}; install the package again.")
    return bundle


def checksum(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load_network(bundle: Bundle) -> EdgeFlow:
    """Build a bundle's network in float32, in evaluation mode.

    Raises:
        ModelError: The weights do not have their checksum, or do not fit the network.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from edgeflow_med.network import EdgeFlow, EdgeFlowConfig

    found = checksum(bundle.model_file)
    if found != bundle.sha256:
        raise ModelError(
            f"Model {bundle.name!r} was altered: {bundle.model_file} has checksum {found[:12]}, "
            f"its metadata says {bundle.sha256[:12]}; install the package again."
        )
    try:
        network = EdgeFlow(EdgeFlowConfig(**bundle.metadata["edgeflow"]["config"]))
        network.load_state_dict({name: tensor.float() for name, tensor in load_file(bundle.model_file).items()})
    except (SafetensorError, RuntimeError, KeyError, TypeError) as error:
        raise ModelError(f"Model {bundle.name!r} does not fit its network: {str(error).splitlines()[0]}") from None
    return network.eval()
