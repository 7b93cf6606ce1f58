from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from tests.region_growing import disk


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder with one data set: a slice with a bright disc of radius 12, whose centre is one click deep."""
    folder, disc = tmp_path / "data" / "Discs", disk((64, 64), (30, 32), 12)
    for kind, values in (("imagesTr", disc * 1000), ("labelsTr", disc)):
        (folder / kind).mkdir(parents=True)
        nib.save(nib.Nifti1Image(values.astype(np.int16)[..., None], np.eye(4)), folder / kind / "a.nii.gz")
    manifest = {
        "name": "Discs",
        "modality": {"0": "MR"},
        "labels": {"0": "background", "1": "disc"},
        "training": [{"image": "./imagesTr/a.nii.gz", "label": "./labelsTr/a.nii.gz"}],
    }
    (folder / "dataset.json").write_text(json.dumps(manifest), encoding="utf-8")
    return folder.parent
