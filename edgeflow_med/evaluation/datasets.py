"""Labelled images as in the Medical Segmentation Decathlon: ``dataset.json``, ``imagesTr/``, ``labelsTr/``."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeflow_med.errors import GeometryError, ReadError
from edgeflow_med.io.nifti import read_nifti
from edgeflow_med.volume import Volume
from edgeflow_med.windows import Window, choose_window

Labels = NDArray[np.int32]


@dataclass(frozen=True)
class CaseFiles:
    """One labelled image on disk; ``name`` is the file's name without suffix."""

    name: str
    image: Path
    label: Path


@dataclass(frozen=True)
class DataSet:
    """A folder in the Decathlon layout.

    Attributes:
        name: As in ``dataset.json``, else the folder's name.
        modality: ``"CT"``, ``"MR"`` or empty.
        labels: Names of the structures by label value; background left out.
        cases: The labelled images.
        true_spacing: Millimetres mean something. False where the set's note calls its spacing nominal.
        note: The set's own remark.
    """

    name: str
    modality: str
    labels: dict[int, str]
    cases: tuple[CaseFiles, ...]
    true_spacing: bool
    note: str

    @property
    def unit(self) -> str:
        """Unit of distances in reports: ``"mm"``, or ``"px"`` where the spacing is nominal."""
        return "mm" if self.true_spacing else "px"


def read_dataset(folder: Path | str) -> DataSet:
    """Read what a folder says about itself; the images are read later, one by one.

    Raises:
        ReadError: No usable ``dataset.json``, or a file that it names is missing.
    """
    folder = Path(folder)
    manifest = folder / "dataset.json"
    try:
        content = json.loads(manifest.read_text("utf-8"))
        pairs = [(folder / entry["image"], folder / entry["label"]) for entry in content["training"]]
        labels = {int(value): str(name) for value, name in content["labels"].items() if int(value) != 0}
        modality = str(content["modality"]["0"]).upper()
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ReadError(
            f"{manifest} is not a Decathlon data set ({type(error).__name__}: {error}); "
            "give a folder with dataset.json (modality, labels, training), imagesTr and labelsTr."
        ) from None
    missing = next((path for pair in pairs for path in pair if not path.is_file()), None)
    if missing is not None or not pairs:
        what = f"{missing}, which is missing" if missing else "no images"
        raise ReadError(f"{manifest} names {what}; complete the folder or correct the list under 'training'.")
    note = str(content.get("note", ""))
    return DataSet(
        name=str(content.get("name", folder.resolve().name)),
        modality="CT" if modality.startswith("CT") else "MR" if modality.startswith("MR") else "",
        labels=labels,
        cases=tuple(CaseFiles(_stem(image), image, label) for image, label in pairs),
        true_spacing="nominal" not in note.lower(),
        note=note,
    )


def read_labels(case: CaseFiles) -> Labels:
    """Label values ``(K, J, I)`` of a case.

    Raises:
        ReadError: The file cannot be read, or holds something else than whole numbers in three dimensions.
    """
    array = read_nifti(case.label).array
    if not np.array_equal(array, np.rint(array)):
        raise ReadError(
            f"{case.label} is not a label map: its values are not whole numbers; give one number per structure."
        )
    return array.astype(np.int32)


def read_image(dataset: DataSet, case: CaseFiles) -> Volume:
    """The image of a case.

    Raises:
        ReadError: The file cannot be read, or holds more than one image.
        GeometryError: The labels lie on another grid.
    """
    volume = read_nifti(case.image, modality=dataset.modality)
    labels = read_nifti(case.label)
    if not volume.same_grid(labels.affine, labels.shape):
        raise GeometryError(f"Labels {case.label} lie on another grid than {case.image}; resample them to the image.")
    return volume


def evaluation_window(volume: Volume) -> Window:
    """The window for an image: 0 to 255 where it is stored in 8 bits (its publisher windowed it), else by modality."""
    return choose_window(volume, "0,255" if volume.array.dtype == np.uint8 else None)


def _stem(path: Path) -> str:
    return path.name.removesuffix(".gz").removesuffix(".nii")
