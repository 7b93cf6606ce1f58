"""A data set in the Decathlon layout, made here: a bright ball and a bright box on a dark, noisy background."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from edgeflow_med.training.cases import is_validation

SHAPE = (40, 44, 24)


def shapes(seed: int) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    """An image in HU, 60 inside a ball (label 1) and a box (label 2) and -80 outside, and the labels."""
    rng = np.random.default_rng(seed)
    grid = np.indices(SHAPE)
    labels = np.zeros(SHAPE, np.uint8)
    ball, box = (np.add(centre, rng.integers(-1, 2, 3)) for centre in ((13, 14, 11), (29, 31, 13)))
    labels[sum((grid[axis] - ball[axis]) ** 2 for axis in range(3)) <= 64] = 1
    labels[np.max([abs(grid[axis] - box[axis]) for axis in range(3)], axis=0) <= 5] = 2
    image = np.where(labels > 0, 60, -80) + rng.normal(0, 12, SHAPE)
    image[:2] = -1000  # air, so that the values look like HU
    return image.astype(np.int16), labels


def write_objects(folder: Path, name: str, mask: NDArray[np.bool_]) -> None:
    """One class-free object in the packed form that `read_cases` takes."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    box = (rows[0], rows[-1] + 1, columns[0], columns[-1] + 1)
    bits = np.packbits(mask[box[0] : box[1], box[2] : box[3]])
    np.savez(folder / name, shape=mask.shape, boxes=np.array([box], np.int16), bits=bits)


@pytest.fixture(scope="package", autouse=True)
def one_thread() -> Iterator[None]:
    """Tensors here are so small that several threads would mostly wait for one another."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder ``Shapes`` with six cases, at least one of them for validation, and objects beside it in ``pseudo``."""
    folder = tmp_path_factory.mktemp("data") / "Shapes"
    for part in ("imagesTr", "labelsTr"):
        (folder / part).mkdir(parents=True)
    (folder.parent / "pseudo").mkdir()
    names = [f"case_{n:03d}" for n in range(100)]
    training = [name for name in names if not is_validation(name)][:5]
    for seed, name in enumerate([*training, next(name for name in names if is_validation(name))]):
        image, labels = shapes(seed)
        for part, array in (("imagesTr", image), ("labelsTr", labels)):
            nib.save(nib.Nifti1Image(array, np.diag([1.0, 1.0, 1.2, 1.0])), folder / part / f"{name}.nii.gz")
    manifest = {
        "name": "Shapes",
        "modality": {"0": "CT"},
        "description": "A ball and a box",
        "licence": "CC0",
        "reference": "here",
    }
    (folder / "dataset.json").write_text(json.dumps(manifest), "utf-8")
    square = np.zeros((SHAPE[0], SHAPE[1]), bool)
    square[30:38, 4:12] = True
    write_objects(folder.parent / "pseudo", f"train_Shapes_{training[0]}__a2_k11_w-160_240.npz", square)
    return folder
