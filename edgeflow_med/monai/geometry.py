"""Between MONAI's tensors, (i, j, k) and RAS, and this package's volumes, (k, j, i) and LPS."""

from __future__ import annotations

import numpy as np
import torch
from monai.data import MetaTensor
from monai.utils import MetaKeys, SpaceKeys
from numpy.typing import NDArray
from torch import Tensor

from edgeflow_med.errors import GeometryError
from edgeflow_med.io.nifti import affine_from_nifti, affine_to_nifti
from edgeflow_med.volume import Volume


def to_volume(image: Tensor) -> Volume:
    """One image as a volume.

    Args:
        image: ``(1, I, J, K)``. A :class:`monai.data.MetaTensor` brings its affine (RAS or, if ``meta["space"]`` says
            so, LPS) and, in ``meta["modality"]``, ``CT`` or ``MR``; any other tensor has voxels of 1 mm.

    Raises:
        GeometryError: More than one channel, or not three spatial axes.
    """
    if image.ndim != 4 or image.shape[0] != 1:
        raise GeometryError(f"An image must be one channel of three axes, got {tuple(image.shape)}; give (1, I, J, K).")
    array = image.detach().cpu().numpy()[0].transpose(2, 1, 0)
    if not isinstance(image, MetaTensor):
        return Volume(array, affine_from_nifti(np.eye(4)))
    affine = image.affine.detach().cpu().numpy().astype(np.float64)
    if image.meta.get(MetaKeys.SPACE) == SpaceKeys.LPS:
        affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
    return Volume(array, affine_from_nifti(affine), modality=str(image.meta.get("modality", "")))


def to_tensor(array: NDArray[np.generic]) -> Tensor:
    """``(K, J, I)`` -> ``(1, I, J, K)``."""
    return torch.from_numpy(np.ascontiguousarray(array.transpose(2, 1, 0)))[None]


def to_metatensor(volume: Volume, path: str) -> MetaTensor:
    """A volume as MONAI loads images: ``(1, I, J, K)`` float32, affine to RAS."""
    meta = {
        MetaKeys.SPACE: SpaceKeys.RAS,
        "filename_or_obj": path,
        "modality": volume.modality,
        "warnings": list(volume.warnings),
    }
    affine = torch.from_numpy(affine_to_nifti(volume.affine))
    return MetaTensor(to_tensor(volume.array.astype(np.float32)), affine=affine, meta=meta)
