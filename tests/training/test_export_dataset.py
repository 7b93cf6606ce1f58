"""What readers accepted, as a data set: only true labels, in place, patients kept together, files checked."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest

from edgeflow_med.errors import EdgeFlowError, ReadError, UsageError, WriteError
from edgeflow_med.io import local, read_volume
from edgeflow_med.io.atomic import write_together
from edgeflow_med.io.nifti import affine_to_nifti, image_part
from edgeflow_med.session import Session
from edgeflow_med.training.cases import is_validation, read_cases
from edgeflow_med.training.export_dataset import accepted_runs, check_dataset, export_dataset
from edgeflow_med.training.model_card import read_source
from tests.cli.scans import write_ball
from tests.strategies import Grower, scan

ABOUT = {"licence": "own", "reference": "here"}
MakeCase = Callable[..., Path]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are read in this process."""
    monkeypatch.setattr("edgeflow_med.io.child.read_volume", local.read_volume)


@pytest.fixture
def make_case(tmp_path: Path) -> MakeCase:
    """A case on a scan of its own, with two segments; slices 2 to 4 are the reader's, 5 is proposed."""

    def make(seed: int = 0, labels: tuple[str, str] = ("Lesion", "Node"), modality: str = "MR") -> Path:
        path, folder = tmp_path / f"scan{seed}.nii.gz", tmp_path / f"case{seed}"
        write_together([image_part(scan(seed), path)])
        volume = read_volume(path, modality=modality)
        with Session(volume, Grower(), window="0,1000", case_dir=folder) as session:
            one, two = (session.add_segment(label) for label in labels)
            for index in (2, 3, 4):
                session.paint(([(index, 2, 2), (index, 2, 6)], 2.0), one)
            session.accept(3, one)
            session.paint(([(3, 7, 8)], 1.0), two)
            for _ in session.propagate(one, starts=[4], directions=(1,), limit=1):
                pass
            assert one.proposed == [(0, 5)]
        return folder

    return make


def test_only_slices_that_the_reader_stands_behind_are_in_it(make_case: MakeCase, tmp_path: Path) -> None:
    folder = make_case()
    done = export_dataset([folder], tmp_path / "Set", layout="decathlon", **ABOUT)
    assert (done.images, done.slices, done.patients, done.left_out) == (1, 3, 1, ())
    (case,) = read_cases(tmp_path / "Set")
    with Session.resume(folder, read_only=True) as session:
        one, two = session.segments
        np.testing.assert_array_equal(case.image.T, session.volume.array[2:5])
        np.testing.assert_array_equal(case.labels.T, np.where(one.mask[2:5], 1, np.where(two.mask[2:5], 2, 0)))
        (name,) = (path.name for path in (tmp_path / "Set" / "imagesTr").iterdir())
        affine = nibabel.load(tmp_path / "Set" / "imagesTr" / name).affine
        there = affine_to_nifti(np.asarray(affine)) @ (0, 0, 0, 1)
        np.testing.assert_allclose(there[:3], session.volume.position((2, 0, 0)), atol=1e-4)
    assert case.spacing == pytest.approx((0.8, 1.0, 2.5))
    assert read_source(tmp_path / "Set").licence == "own"


def test_a_scan_is_cut_where_nobody_accepted(make_case: MakeCase) -> None:
    folder = make_case()
    with Session.resume(folder, read_only=True) as session:
        assert list(accepted_runs(session)) == [(0, 2, 4)]
        session.accept(0, 1)
        session.accept(6, 1)
        session.accept(2, 1, "coronal")
        assert list(accepted_runs(session)) == [(0, 0, 0), (0, 2, 4), (0, 6, 6), (1, 2, 2)]
        session.accept(None, 1)
        assert list(accepted_runs(session)) == [(0, 0, 0), (0, 2, 6), (1, 2, 2)]
        session.undo()
        imported = np.zeros(session.volume.shape, bool)
        imported[4, 8, 8] = True
        session.add_segment("Imported", imported)
        assert list(accepted_runs(session)) == [(0, 0, 0), (0, 2, 3), (0, 6, 6), (1, 2, 2)]
        session.accept(4, 3)
        assert (0, 2, 4) in list(accepted_runs(session))


@pytest.mark.parametrize("layout", ["nnunet", "bids"])
def test_other_layouts_hold_the_same(make_case: MakeCase, tmp_path: Path, layout: str) -> None:
    done = export_dataset([make_case()], tmp_path / "Set", layout=layout, contrast="T1w", **ABOUT)
    assert done.images == 1
    check_dataset(tmp_path / "Set")
    (entry,) = json.loads((tmp_path / "Set" / "images.json").read_text("utf-8"))["images"]
    patient = entry["patient"]
    expected = {
        "nnunet": (f"imagesTr/{entry['name']}_0000.nii.gz", f"labelsTr/{entry['name']}.nii.gz"),
        "bids": (
            f"sub-{patient}/anat/sub-{patient}_run-1_T1w.nii.gz",
            f"derivatives/edgeflow-med/sub-{patient}/anat/sub-{patient}_run-1_dseg.nii.gz",
        ),
    }[layout]
    assert (entry["image"], entry["labels"]) == expected
    if layout == "nnunet":
        told = json.loads((tmp_path / "Set" / "dataset.json").read_text("utf-8"))
        assert told["labels"] == {"background": 0, "Lesion": 1, "Node": 2}
        assert (told["channel_names"], told["numTraining"], told["file_ending"]) == ({"0": "MR"}, 1, ".nii.gz")
        (split,) = json.loads((tmp_path / "Set" / "splits_final.json").read_text("utf-8"))
        assert split == {"train": [entry["name"]], "val": []}, "of an only image something should be learnt"
    else:
        told = json.loads((tmp_path / "Set" / "dataset_description.json").read_text("utf-8"))
        assert (told["License"], told["ReferencesAndLinks"], told["DatasetType"]) == ("own", ["here"], "raw")
        table = (tmp_path / "Set" / entry["labels"].replace(".nii.gz", ".tsv")).read_text("utf-8")
        assert [row.split("\t")[:2] for row in table.splitlines()[1:]] == [["1", "Lesion"], ["2", "Node"]]


def test_the_label_map_is_frozen_and_may_be_edited(make_case: MakeCase, tmp_path: Path) -> None:
    labels = tmp_path / "labels.json"
    export_dataset([make_case(0)], tmp_path / "One", layout="decathlon", labels=labels, **ABOUT)
    assert json.loads(labels.read_text("utf-8")) == {"background": 0, "Lesion": 1, "Node": 2}
    other = make_case(1, labels=("Metastasis", "Lesion"))
    with pytest.raises(UsageError, match="has no 'Metastasis'"):
        export_dataset([other], tmp_path / "Two", layout="decathlon", labels=labels, **ABOUT)
    labels.write_text('{"background": 0, "Lesion": 0, "Metastasis": 1, "Node": 2}', "utf-8")
    export_dataset([other], tmp_path / "Three", layout="bids", contrast="T2w", labels=labels, **ABOUT)
    labels.write_text('{"background": 0, "Lesion": 1, "Metastasis": 1, "Node": 2}', "utf-8")
    export_dataset([other], tmp_path / "Two", layout="decathlon", labels=labels, **ABOUT)
    (case,) = read_cases(tmp_path / "Two")
    assert np.unique(case.labels).tolist() == [0, 1]
    told = json.loads((tmp_path / "Two" / "dataset.json").read_text("utf-8"))
    assert told["labels"] == {"0": "background", "1": "Lesion", "2": "Node"}


def test_a_patient_is_one_hash_and_is_never_split(tmp_path: Path) -> None:
    """Two runs of one DICOM series: both images carry the patient's hash, and nothing that names the patient."""
    series, folder = write_ball(tmp_path / "series"), tmp_path / "case"
    with Session(read_volume(series), case_dir=folder) as session:
        session.add_segment("Lesion")
        for index in (2, 3, 9):
            session.paint(([(index, 20, 20), (index, 20, 40)], 5.0))
    done = export_dataset([folder], tmp_path / "Set", layout="decathlon", **ABOUT)
    assert (done.images, done.patients, done.slices) == (2, 1, 3)
    patient = hashlib.sha256(b"PAT-4711").hexdigest()[:12]
    names = [case.name for case in read_cases(tmp_path / "Set")]
    assert [name.partition("__")[0] for name in names] == [patient, patient]
    assert {is_validation(name) for name in names} == {is_validation(patient)}
    splits = json.loads((tmp_path / "Set" / "splits.json").read_text("utf-8"))
    assert splits == {"training": sorted(names), "validation": []}
    for path in (tmp_path / "Set").rglob("*"):
        assert path.is_dir() or b"Mustermann" not in path.read_bytes()


def test_two_data_sets_from_the_same_cases_are_the_same(make_case: MakeCase, tmp_path: Path) -> None:
    case = make_case()
    for name in ("One", "Two"):
        export_dataset([case], tmp_path / name / "Set", layout="decathlon", **ABOUT)
    sums = [(tmp_path / name / "Set" / "SHA256SUMS").read_text("utf-8") for name in ("One", "Two")]
    assert sums[0] == sums[1]


def test_replacing_keeps_the_label_map_and_a_failure_keeps_all(make_case: MakeCase, tmp_path: Path) -> None:
    case, output = make_case(0), tmp_path / "Set"
    export_dataset([case], output, layout="decathlon", **ABOUT)
    before = (output / "SHA256SUMS").read_bytes()
    with pytest.raises(WriteError, match="holds a data set already"):
        export_dataset([case], output, layout="decathlon", **ABOUT)
    with pytest.raises(UsageError, match="'Other'"):
        export_dataset([case, make_case(1, ("Lesion", "Other"))], output, layout="decathlon", replace=True, **ABOUT)
    assert (output / "SHA256SUMS").read_bytes() == before
    done = export_dataset([case, make_case(2)], output, layout="decathlon", replace=True, **ABOUT)
    assert done.images == 2
    assert sorted(path.name for path in tmp_path.glob("*Set*")) == ["Set"]


def test_the_check_finds_a_file_that_was_altered(make_case: MakeCase, tmp_path: Path) -> None:
    export_dataset([make_case()], tmp_path / "Set", layout="decathlon", **ABOUT)
    check_dataset(tmp_path / "Set")
    (label,) = (tmp_path / "Set" / "labelsTr").iterdir()
    label.write_bytes(label.read_bytes() + b"\0")
    with pytest.raises(ReadError, match="altered"):
        check_dataset(tmp_path / "Set")


def test_what_cannot_be_a_data_set_is_refused(make_case: MakeCase, tmp_path: Path) -> None:
    case, output = make_case(0), tmp_path / "Set"

    def refused(error: type[EdgeFlowError], said: str, cases: list[Path], **options: str) -> None:
        with pytest.raises(error, match=said):
            export_dataset(cases, output, **{"layout": "decathlon", **ABOUT, **options})
        assert not output.exists()

    refused(UsageError, "Unknown layout", [case], layout="coco")
    refused(UsageError, "licence", [case], licence=" ")
    refused(UsageError, "contrast", [case], layout="bids")
    refused(UsageError, "of one scan", [case, case])
    refused(UsageError, "one modality", [case, make_case(1, modality="CT")])
    with Session.resume(make_case(2)) as session:
        session.paint(([(3, 2, 2), (3, 2, 6)], 2.0), 2)
        session.policy = "allow"
        session.paint(([(3, 2, 2), (3, 2, 6)], 2.0), 1)
    refused(UsageError, "overlaps", [tmp_path / "case2"])
    with Session.resume(make_case(3)) as session:
        session.clear_segment(1)
        session.clear_segment(2)
    refused(ReadError, "No slice of these cases is accepted", [tmp_path / "case3"])
    output.mkdir()
    (output / "notes.txt").write_text("mine", "utf-8")
    with pytest.raises(WriteError, match="something else"):
        export_dataset([case], output, layout="decathlon", replace=True, **ABOUT)
