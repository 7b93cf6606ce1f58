"""Files that others made: pydicom's own, each read as SimpleITK reads it or refused in one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom.data
import pytest
import SimpleITK

from edgeflow_med.errors import EdgeFlowError
from edgeflow_med.io import local

FOLDER = Path(pydicom.data.__file__).parent / "test_files"
FILES = sorted(str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*") if path.is_file())
IMAGES = [
    "693_J2KI.dcm",
    "CT_small.dcm",
    "J2K_pixelrep_mismatch.dcm",
    "MR_small.dcm",
    "MR_small_RLE.dcm",
    "MR_small_bigendian.dcm",
    "MR_small_expb.dcm",
    "MR_small_implicit.dcm",
    "MR_small_jp2klossless.dcm",
    "MR_small_jpeg_ls_lossless.dcm",
    "MR_small_padded.dcm",
    "examples_overlay.dcm",
]
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")


def test_there_are_files_to_read() -> None:
    assert len(FILES) > 100
    assert set(IMAGES) <= set(FILES)


@pytest.mark.parametrize("name", IMAGES)
def test_images_are_read_as_simpleitk_reads_them(name: str) -> None:
    volume = local.read_volume([FOLDER / name])
    image = SimpleITK.ReadImage(str(FOLDER / name))
    np.testing.assert_array_equal(volume.array, SimpleITK.GetArrayFromImage(image))
    np.testing.assert_allclose(volume.position((0, 0, 0)), image.GetOrigin(), atol=1e-4)
    end = (0, volume.shape[1] - 1, volume.shape[2] - 1)
    np.testing.assert_allclose(volume.position(end), image.TransformIndexToPhysicalPoint(end[::-1]), atol=1e-3)


@pytest.mark.parametrize("name", [name for name in FILES if name not in IMAGES])
def test_whatever_else_is_read_or_refused_in_one_line(name: str) -> None:
    try:
        volume, error = local.read_volume([FOLDER / name]), ""
    except EdgeFlowError as caught:
        volume, error = None, str(caught)
    assert "\n" not in error
    assert len(error) < 2000
    assert volume is None or volume.modality in ("CT", "MR")


def test_the_whole_folder_at_once_lists_its_series() -> None:
    with pytest.raises(EdgeFlowError, match="series, choose one by --series"):
        local.read_volume([FOLDER])
    infos = local.list_series([FOLDER])
    assert len(infos) > 30
    for info in infos:
        assert info.error or info.affine
