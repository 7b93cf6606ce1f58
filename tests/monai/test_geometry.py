from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import LoadImage

from edgeflow_med.errors import GeometryError
from edgeflow_med.io import save
from edgeflow_med.monai.geometry import to_metatensor, to_volume
from edgeflow_med.segmentation import Segment, Segmentation
from edgeflow_med.volume import Volume
from tests.phantoms import Phantom


@pytest.fixture
def volume() -> Volume:
    phantom = Phantom(shape=(5, 6, 7))
    return Volume(phantom.array, phantom.affine, modality="MR")


def test_there_and_back(volume: Volume) -> None:
    image = to_metatensor(volume, "scan")
    assert image.shape == (1, 7, 6, 5)
    assert image[0, 2, 3, 4] == volume.array[4, 3, 2]
    back = to_volume(image)
    np.testing.assert_array_equal(back.array, volume.array)
    np.testing.assert_allclose(back.affine, volume.affine, atol=1e-12)
    assert back.modality == "MR"


def test_monais_own_reader_puts_a_file_of_ours_in_the_same_place(volume: Volume, tmp_path: Path) -> None:
    mask = volume.array > np.median(volume.array)
    save(Segmentation(volume, (Segment(1, "half"),), (mask,)), tmp_path / "half.nii.gz")
    read = to_volume(LoadImage(ensure_channel_first=True)(tmp_path / "half.nii.gz"))
    np.testing.assert_array_equal(read.array, mask)
    np.testing.assert_allclose(read.affine, volume.affine, atol=1e-4)


def test_an_affine_to_lps_is_understood(volume: Volume) -> None:
    ras = to_metatensor(volume, "scan")
    flip = torch.diag(torch.tensor([-1.0, -1.0, 1.0, 1.0], dtype=torch.float64))
    lps = MetaTensor(ras.as_tensor(), affine=flip @ ras.affine, meta={"space": "LPS"})
    np.testing.assert_allclose(to_volume(lps).affine, volume.affine, atol=1e-12)


def test_a_plain_tensor_has_voxels_of_a_millimetre() -> None:
    assert to_volume(torch.zeros(1, 4, 3, 2)).spacing == (1.0, 1.0, 1.0)


@pytest.mark.parametrize("shape", [(2, 4, 3, 2), (4, 3, 2), (1, 1, 4, 3, 2)])
def test_what_is_not_one_volume_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(GeometryError, match="one channel of three axes"):
        to_volume(torch.zeros(shape))
