"""The layouts in which a data set is written: Medical Segmentation Decathlon, nnU-Net v2, BIDS."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgeflow_med import __version__
from edgeflow_med.errors import UsageError
from edgeflow_med.training.cases import validation_names

LABELS, SPLITS, IMAGES, CHECKSUMS = "labels.json", "splits.json", "images.json", "SHA256SUMS"
_BIDS_VERSION = "1.10.0"


@dataclass(frozen=True)
class Entry:
    """What is said of one image of a data set.

    Attributes:
        name: ``PATIENT__SCAN``, the scan's with its axis and first slice.
        patient: Stands for the patient.
        axis: Along which the scan was cut.
        first: The first slice.
        slices: How many.
        image: The image's file, relative to the data set.
        labels: The label map's.
        provenance: How the outlines came to be.
    """

    name: str
    patient: str
    axis: int
    first: int
    slices: int
    image: Path
    labels: Path
    provenance: dict[str, Any] = field(repr=False)


@dataclass
class Dataset:
    """A data set in the making.

    Attributes:
        name: Its name.
        labels: Value of each label; several names may share one.
        licence: Of images and outlines.
        reference: Where they come from.
        description: What they show.
        contrast: For BIDS and MR, the suffix of file names.
        modality: Of all images; empty until the first.
        entries: The images written so far.
    """

    name: str
    labels: dict[str, int]
    licence: str
    reference: str
    description: str
    contrast: str = ""
    modality: str = ""
    entries: list[Entry] = field(default_factory=list)

    @property
    def names(self) -> dict[int, str]:
        """The first name of each value, by value."""
        first = {value: name for name, value in reversed(self.labels.items())}
        return dict(sorted(first.items()))

    @property
    def held_out(self) -> frozenset[str]:
        """The images that are never trained on, always all of a patient; the same that training will leave out."""
        return validation_names([entry.name for entry in self.entries])

    def splits(self) -> dict[str, list[str]]:
        """Names of the images to train on and of those for validation."""
        held_out, names = self.held_out, [entry.name for entry in self.entries]
        return {
            "training": [name for name in names if name not in held_out],
            "validation": [name for name in names if name in held_out],
        }


@dataclass(frozen=True)
class Layout:
    """How a data set is laid out.

    Attributes:
        place: Where image and label map go, relative to the data set, by name and patient.
        documents: What stands beside them, by path: JSON values or text.
    """

    place: Callable[[Dataset, str, str], tuple[Path, Path]]
    documents: Callable[[Dataset], dict[str, Any]]


def common_documents(dataset: Dataset) -> dict[str, Any]:
    """What every layout has: the frozen label map, the splits, and what is known of each image."""
    held_out = dataset.held_out
    told = [
        {
            "name": entry.name,
            "patient": entry.patient,
            "validation": entry.name in held_out,
            "axis": "kji"[entry.axis],
            "first_slice": entry.first,
            "slices": entry.slices,
            "image": entry.image.as_posix(),
            "labels": entry.labels.as_posix(),
            "provenance": entry.provenance,
        }
        for entry in dataset.entries
    ]
    return {LABELS: dataset.labels, SPLITS: dataset.splits(), IMAGES: {"images": told}}


def _decathlon_place(_dataset: Dataset, name: str, _patient: str) -> tuple[Path, Path]:
    return Path("imagesTr", f"{name}.nii.gz"), Path("labelsTr", f"{name}.nii.gz")


def _decathlon_documents(dataset: Dataset) -> dict[str, Any]:
    training = [{"image": f"./{e.image.as_posix()}", "label": f"./{e.labels.as_posix()}"} for e in dataset.entries]
    return {
        "dataset.json": {
            "name": dataset.name,
            "description": dataset.description,
            "licence": dataset.licence,
            "reference": dataset.reference,
            "release": f"made by EdgeFlow-Med {__version__}",
            "tensorImageSize": "3D",
            "modality": {"0": dataset.modality or "unknown"},
            "labels": {str(value): name for value, name in dataset.names.items()},
            "numTraining": len(training),
            "numTest": 0,
            "training": training,
            "test": [],
        }
    }


def _nnunet_place(_dataset: Dataset, name: str, _patient: str) -> tuple[Path, Path]:
    return Path("imagesTr", f"{name}_0000.nii.gz"), Path("labelsTr", f"{name}.nii.gz")


def _nnunet_documents(dataset: Dataset) -> dict[str, Any]:
    splits = dataset.splits()
    return {
        "dataset.json": {
            "name": dataset.name,
            "description": dataset.description,
            "licence": dataset.licence,
            "reference": dataset.reference,
            "channel_names": {"0": dataset.modality or "unknown"},  # "CT" makes nnU-Net normalise by HU
            "labels": {name: value for value, name in dataset.names.items()},
            "numTraining": len(dataset.entries),
            "file_ending": ".nii.gz",
        },
        "splits_final.json": [{"train": splits["training"], "val": splits["validation"]}],
    }


def _bids_place(dataset: Dataset, _name: str, patient: str) -> tuple[Path, Path]:
    run = 1 + sum(entry.patient == patient for entry in dataset.entries)
    folder, suffix = ("ct", "ct") if dataset.modality == "CT" else ("anat", dataset.contrast)
    if not suffix.isalnum():
        raise UsageError("A BIDS file name tells the contrast of an MR image; give it, e.g. T1w, T2w or FLAIR.")
    stem = f"sub-{patient}_run-{run}"
    where = Path(f"sub-{patient}", folder)
    return where / f"{stem}_{suffix}.nii.gz", Path("derivatives", "edgeflow-med") / where / f"{stem}_dseg.nii.gz"


def _bids_documents(dataset: Dataset) -> dict[str, Any]:
    described = {
        "Name": dataset.name,
        "BIDSVersion": _BIDS_VERSION,
        "License": dataset.licence,
        "ReferencesAndLinks": [dataset.reference],
        "GeneratedBy": [{"Name": "EdgeFlow-Med", "Version": __version__}],
    }
    patients = {entry.patient: entry.name in dataset.held_out for entry in dataset.entries}
    table = [f"sub-{patient}\t{'validation' if held else 'training'}" for patient, held in sorted(patients.items())]
    return {
        "dataset_description.json": {**described, "DatasetType": "raw"},
        "derivatives/edgeflow-med/dataset_description.json": {**described, "DatasetType": "derivative"},
        "participants.tsv": "\n".join(["participant_id\tsplit", *table, ""]),
        "README": f"{dataset.description or dataset.name}\n\n{dataset.reference}\n",
        # CT is not part of BIDS yet (BEP 24)
        ".bidsignore": f"{LABELS}\n{SPLITS}\n{IMAGES}\n{CHECKSUMS}\n**/ct/\n",
    }


LAYOUTS = {
    "decathlon": Layout(_decathlon_place, _decathlon_documents),
    "nnunet": Layout(_nnunet_place, _nnunet_documents),
    "bids": Layout(_bids_place, _bids_documents),
}


def as_text(document: object) -> str:
    """A document as it is written: text as it is, anything else as JSON."""
    return document if isinstance(document, str) else json.dumps(document, indent=2, ensure_ascii=False) + "\n"
