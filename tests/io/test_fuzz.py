"""A few hundred mutated files of each format: the reader's process never dies and no error is without a name."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless

from edgeflow_med.io import save
from tests.io.here import read_volume
from tests.phantoms import Phantom, one_segment, write_enhanced, write_series

ROOT = Path(__file__).parents[2]
PHANTOM = Phantom(shape=(2, 34, 40))


def native(folder: Path) -> None:
    write_series(folder, PHANTOM)[1].unlink()
    write_enhanced(folder / "enhanced.dcm", PHANTOM)


def compressed(folder: Path) -> None:
    for syntax in (RLELossless, JPEG2000Lossless, JPEGLSLossless):
        prefix = syntax.split(".")[-1]
        edit = lambda dataset, _, syntax=syntax: dataset.compress(syntax, generate_instance_uid=False)  # noqa: E731
        write_series(folder, PHANTOM, edit, prefix=prefix)[1].unlink()


def nifti(folder: Path) -> None:
    image = nibabel.Nifti1Image(PHANTOM.array.transpose(2, 1, 0), np.eye(4))
    nibabel.save(image, folder / "image.nii")
    nibabel.save(image, folder / "image.nii.gz")


def nrrd(folder: Path) -> None:
    volume = PHANTOM.volume()
    save(one_segment(volume, PHANTOM.array > 0), folder / "image.nrrd")
    save(one_segment(volume, PHANTOM.array > 0), folder / "lesion.seg.nrrd")


def segmentation(folder: Path) -> None:
    write_series(folder / "in", PHANTOM)
    volume = read_volume(folder / "in")
    save(one_segment(volume, PHANTOM.array > 0), folder / "seg.dcm")
    for path in (folder / "in").iterdir():
        path.rename(folder / path.name)
    (folder / "in").rmdir()


@pytest.mark.skipif(sys.platform == "win32", reason="limits memory by a means that Windows lacks")
@pytest.mark.parametrize("make", [native, compressed, nifti, nrrd, segmentation])
def test_mutated_files_are_read_or_refused(make, tmp_path: Path) -> None:
    make(tmp_path)
    command = [sys.executable, "-W", "ignore", "-m", "tests.io.fuzz", str(tmp_path), "7", "200"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, cwd=ROOT)
    assert result.returncode == 0, result.stderr[-3000:]
    results = json.loads(result.stdout)
    assert results["ReadError"] > 0
    assert results["lines too many"] == 0
