"""The sample images are what their page says, and their prompts point into the lesion."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pydicom
import pytest

from edgeflow_med.io import read_volume
from edgeflow_med.prompts import Click, read_prompts
from edgeflow_med.resources import resource

SAMPLES = {"sts_003_ct": (51, 158, 154), "sts_003_mr_t1": (47, 138, 121), "rider_lung_ct": (56, 320, 320)}


@pytest.mark.parametrize("name", SAMPLES)
def test_series_has_the_documented_shape_and_clicks_lie_on_one_slice(name: str) -> None:
    volume = read_volume(resource("sample_data") / name / "series")
    assert volume.shape == SAMPLES[name]
    (segment,) = read_prompts(resource("sample_data") / f"{name}.clicks.json").segments
    clicks = [prompt for prompt in segment.prompts if isinstance(prompt, Click)]
    assert 1 <= len(clicks) == len(segment.prompts) <= 3
    assert all(volume.contains(click.index) for click in clicks)
    assert len({click.index[0] for click in clicks}) == 1


@pytest.mark.parametrize("name", ["sts_003_ct", "sts_003_mr_t1"])
def test_first_click_lies_deep_inside_the_experts_outline_on_its_largest_slice(name: str) -> None:
    folder = resource("sample_data") / name
    truth = np.asarray(nib.nifti1.Nifti1Image.from_filename(folder / "tumour.nii.gz").dataobj).T > 0
    (segment,) = read_prompts(folder.with_name(f"{name}.clicks.json")).segments
    first = segment.prompts[0]
    assert isinstance(first, Click)
    k, j, i = first.index
    assert truth[k].sum() == truth.sum(axis=(1, 2)).max()
    assert truth[k, j - 10 : j + 11, i - 10 : i + 11].all()


def test_patients_are_named_by_their_collection() -> None:
    for path in resource("sample_data").rglob("*.dcm"):
        header = pydicom.dcmread(path, stop_before_pixels=True)
        assert str(header.PatientName) == header.PatientID
        assert not header.PatientBirthDate
        assert header.PatientIdentityRemoved == "YES"
