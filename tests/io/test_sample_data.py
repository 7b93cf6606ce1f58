"""The real series that come with the repository, read as SimpleITK reads them."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK
from pydicom import dcmread

from edgeflow_med.io import list_series, read_segmentation, read_volume, save
from tests.phantoms import one_segment

ROOT = Path(__file__).parents[2]
SERIES = {
    "sts_003_ct": ("CT", (51, 158, 154), "STS_003_CT"),
    "sts_003_mr_t1": ("MR", (47, 138, 121), "STS_003_MR_T1"),
}


def find_series(name: str) -> Path:
    """The folder of a sample series: in the repository, or in the shared data beside it."""
    places = [ROOT / "sample_data" / name, ROOT.parent / "shared" / "data" / "sample" / SERIES[name][2]]
    for place in places:
        for folder in (place / "series", place / "dicom", place):
            if any(folder.glob("*.dcm")):
                return folder
    pytest.skip(f"the sample series {name} is not there")


@pytest.mark.parametrize("name", SERIES)
def test_real_series_are_read_as_simpleitk_reads_them(name: str) -> None:
    folder = find_series(name)
    modality, shape, _ = SERIES[name]
    volume = read_volume(folder)
    assert (volume.modality, volume.shape, volume.orientation, volume.warnings) == (modality, shape, "SPL", ())
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    image = reader.Execute()
    np.testing.assert_array_equal(volume.array, SimpleITK.GetArrayFromImage(image))
    for index in ((0, 0, 0), (shape[0] - 1, 3, 5)):
        np.testing.assert_allclose(volume.position(index), image.TransformIndexToPhysicalPoint(index[::-1]), atol=1e-6)
    (info,) = list_series(folder)
    assert (info.name, info.shape, info.error) == (volume.headers[0].SeriesInstanceUID, shape, "")


@pytest.mark.parametrize("name", SERIES)
def test_masks_on_real_series_are_written_and_read(name: str, tmp_path: Path) -> None:
    volume = read_volume(find_series(name))
    mask = volume.array > np.percentile(volume.array, 98)
    for suffix in (".dcm", ".nii.gz", ".seg.nrrd"):
        save(one_segment(volume, mask), tmp_path / f"lesion{suffix}")
        np.testing.assert_array_equal(read_segmentation(tmp_path / f"lesion{suffix}", volume).masks[0], mask)
    assert dcmread(tmp_path / "lesion.dcm").PatientID == "STS_003"
    labels = nibabel.load(tmp_path / "lesion.nii.gz")
    positions = nibabel.affines.apply_affine(labels.affine, np.argwhere(np.asarray(labels.dataobj) > 0)) * (-1, -1, 1)
    expected = volume.position(np.argwhere(mask))
    np.testing.assert_allclose(np.sort(positions, axis=0), np.sort(expected, axis=0), atol=1e-3)
