"""Dictionary transforms that prepare an image and a reader's prompts for :class:`EdgeFlowInferer`."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform
from torch import Tensor

from edgeflow_med.io import read_volume
from edgeflow_med.monai.geometry import to_metatensor, to_tensor, to_volume
from edgeflow_med.prompts import read_prompts
from edgeflow_med.windows import choose_window

Data = dict[Hashable, Any]


class ReadVolumed(MapTransform):
    """Path of a DICOM folder, NIfTI, NRRD or MHA file -> MetaTensor ``(1, I, J, K)`` float32, affine to RAS.

    In place of MONAI's ``LoadImaged``, which goes on to its own readers when one has failed: a series with a missing
    slice, refused by this package's reader, would still be read by the next.

    Args:
        keys: Of the paths.
        series: Which DICOM series, where there are several.
        modality: ``CT`` or ``MR``, for files that do not say.
        allow_missing_keys: Skip keys that are not there.

    Raises:
        ReadError: The scan cannot be read; see :func:`edgeflow_med.io.read_volume`.
    """

    def __init__(
        self,
        keys: KeysCollection,
        series: str | None = None,
        modality: str | None = None,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.series, self.modality = series, modality

    def __call__(self, data: Mapping[Hashable, Any]) -> Data:
        """Replace each path by its image."""
        result = dict(data)
        for key in self.key_iterator(result):
            volume = read_volume(result[key], series=self.series, modality=self.modality)
            result[key] = to_metatensor(volume, str(result[key]))
        return result


class WindowIntensityd(MapTransform):
    """Values of a ``(1, I, J, K)`` image -> [0, 1] by the model's window, float32; ``meta["window"]`` says which.

    Args:
        keys: Of the images.
        window: Name of a CT preset, ``"automatic"``, ``"LOW,HIGH"``, or None to decide by modality and values; see
            :func:`edgeflow_med.windows.choose_window`.
        allow_missing_keys: Skip keys that are not there.

    Raises:
        UsageError: An unknown window.
    """

    def __init__(self, keys: KeysCollection, window: str | None = None, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.window = window

    def __call__(self, data: Mapping[Hashable, Any]) -> Data:
        """Replace each image by its windowed copy."""
        result = dict(data)
        for key in self.key_iterator(result):
            image: Tensor = result[key]
            volume = to_volume(image)
            window = choose_window(volume, self.window)
            windowed = to_tensor(window.apply(volume.array)).to(image.device)
            if isinstance(image, MetaTensor):
                windowed = MetaTensor(windowed, meta={**image.meta, "window": str(window)})
            result[key] = windowed
        return result


class ReadPromptsd(MapTransform):
    """Path of a prompts file -> :class:`edgeflow_med.prompts.PromptSet`.

    Its indices (k, j, i) count voxels of the image as it was read; transforms that change the grid would move them.

    Raises:
        PromptError: The file is missing or does not follow the schema.
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> Data:
        """Replace each path by its prompts."""
        result = dict(data)
        for key in self.key_iterator(result):
            result[key] = read_prompts(result[key])
        return result
